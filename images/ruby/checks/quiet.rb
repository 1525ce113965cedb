# Warnings, and gems that RubyGems does not like ("Ignoring ... because its extensions are not built"), go to standard
# error: these commands leave it empty.

require "open3"

COMMANDS = [%w[ruby -w -ropenssl -ryaml -rjson -rsocket -e exit], %w[gem list], %w[gem env]]

COMMANDS.each do |command|
  _, errors, status = Open3.capture3(*command)
  raise "#{command.join(" ")}: #{status}\n#{errors}" unless status.success? && errors.empty?
end

puts "#{COMMANDS.size} commands leave standard error empty"

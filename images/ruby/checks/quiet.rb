# Nothing that starts says a word on standard error: no warning, no "Ignoring ... extensions are not built".

require "open3"

COMMANDS = [
  %w[ruby -w -e exit], %w[ruby -w -ropenssl -ryaml -rjson -rsocket -e exit], %w[ruby -v], %w[gem list],
  %w[gem env], %w[bundle --version], %w[irb --version], %w[rake --version],
]

COMMANDS.each do |command|
  _, errors, status = Open3.capture3(*command)
  raise "#{command.join(" ")}: #{status}\n#{errors}" unless status.success? && errors.empty?
end

puts "#{COMMANDS.size} commands leave standard error empty"

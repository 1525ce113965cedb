# What can be written to, and what can't.

require "tempfile"
require "tmpdir"

raise "temporary files go to #{Dir.tmpdir}" unless Dir.tmpdir == "/tmp"
raise "/tmp lacks the sticky bit" unless File.stat("/tmp").sticky?
raise "#{Gem.dir} is not #{ENV["GEM_HOME"]}" unless Gem.dir == ENV.fetch("GEM_HOME")

places = [Dir.tmpdir, Dir.home, Gem.dir]
places.each do |folder|
  Tempfile.create("check", folder) { |file| file.write("x") }
end

# Root may write anywhere; and where a sandbox has one id to give, all files belong to the user.
unless Process.uid.zero? || File.owned?("/usr")
  open = %w[/ /etc /usr/bin /usr/lib /usr/lib/ruby /home].select { |folder| File.writable?(folder) }
  raise "can be written to: #{open.join(" ")}" unless open.empty?
end

puts "#{places.join(", ")} can be written to, the rest can't"

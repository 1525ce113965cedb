# A script that starts with `#!/usr/bin/env ruby`, as the commands of gems and applications do, is a command.

require "open3"
require "tmpdir"

Dir.mktmpdir do |folder|
  script = File.join(folder, "hello")
  File.write(script, "#!/usr/bin/env ruby\nputs \"hello \#{ARGV.first}\"\n")
  File.chmod(0o755, script)
  output, errors, status = Open3.capture3(script, "world")
  raise "#{status}: #{output}#{errors}" unless status.success? && output == "hello world\n"
  $stderr.write(errors)
end

puts "a script starts through /usr/bin/env"

# A shell with its tools, git with a repository, pkg-config with the headers that are there.

require "open3"
require "tmpdir"

def run(*command, **options)
  output, errors, status = Open3.capture3({ "HOME" => "/nonexistent" }, *command, **options)
  raise "#{command.join(" ")}: #{status}\n#{output}#{errors}" unless status.success?
  $stderr.write(errors)
  output.strip
end

Dir.mktmpdir do |folder|
  here = { chdir: folder }
  File.write("#{folder}/a", "text\n")
  run("git", "init", "-q", **here)
  run("git", "-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "safe.directory=*", "add", "a", **here)
  run("git", "-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "safe.directory=*", "commit", "-qm", "m", **here)
  copy = "#{folder}/copy"
  run("git", "-c", "safe.directory=*", "clone", "-q", "#{folder}/.git", copy)
  raise "no clone" unless File.read("#{copy}/a") == "text\n"
end
sum = run("sh", "-c", "printf '1\n2\n' | awk '{ sum += $1 } END { print sum }' | xargs echo")
raise sum unless sum == "3"
raise "no libyaml" unless run("pkg-config", "--libs", "yaml-0.1").include?("-lyaml")
raise "no make" unless run("make", "--version").start_with?("GNU Make")

puts "sh, awk, git, pkg-config and make do their work"

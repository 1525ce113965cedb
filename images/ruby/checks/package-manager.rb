# The records of dpkg are true: for each package that it thinks is installed, and for the files of all of them.

require "open3"

def run(*command)
  output, errors, status = Open3.capture3({ "LC_ALL" => "C" }, *command)
  raise "#{command.join(" ")}: #{status}\n#{output}#{errors}" unless status.success? && errors.empty?
  output
end

audit = run("dpkg", "--audit")
raise audit unless audit.empty?
wrong = run("dpkg", "--verify")
raise "not as they were installed:\n#{wrong}" unless wrong.empty?
run("apt-get", "check", "-q")
packages = run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}\n").split("\n")
raise "#{packages.tally}" unless packages.all?("ii ")
ruby = run("dpkg-query", "-S", File.realpath(RbConfig.ruby))
raise ruby unless ruby.start_with?("ruby")

puts "#{packages.size} packages are whole"

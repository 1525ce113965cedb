# The records of dpkg are true: for each package that it thinks is installed, and for the files of all of them.

require "fileutils"
require "open3"
require "tmpdir"

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
# The Ruby is of a package, or in /usr/local, where packages put nothing (Debian Policy 9.1.2).
ruby = File.realpath(RbConfig.ruby)
owner, found = Open3.capture2e({ "LC_ALL" => "C" }, "dpkg-query", "-S", ruby)
in_local = ruby.start_with?("/usr/local/")
raise owner unless in_local ? owner.include?("no path found") : found.success? && owner.start_with?("ruby")
depends = in_local ? "libc6" : "libc6, ruby"

# One more goes in, runs its script and libc-bin's trigger, and goes.
Dir.mktmpdir do |folder|
  FileUtils.mkdir_p(["#{folder}/package/DEBIAN", "#{folder}/package/usr/share/doc/tried"])
  File.write("#{folder}/package/DEBIAN/control", <<~TEXT)
    Package: tried
    Version: 1
    Architecture: all
    Maintainer: nobody <nobody@example.org>
    Depends: #{depends}
    Description: installed and removed
  TEXT
  File.write("#{folder}/package/DEBIAN/triggers", "activate ldconfig\n")
  File.write("#{folder}/package/DEBIAN/postinst", "#!/bin/sh\nset -e\ntouch #{folder}/configured\n")
  File.chmod(0o755, "#{folder}/package/DEBIAN/postinst")
  File.write("#{folder}/package/usr/share/doc/tried/copyright", "free\n")
  File.write("#{folder}/package/usr/share/doc/tried/README", "not here\n")
  run("dpkg-deb", "--build", "#{folder}/package", "#{folder}/tried.deb")
  said = run("dpkg", "--install", "#{folder}/tried.deb")
  raise "no trigger of libc-bin:\n#{said}" unless said.include?("triggers for libc-bin")
  raise "its script did not run" unless File.exist?("#{folder}/configured")
  raise "no licence" unless File.exist?("/usr/share/doc/tried/copyright")
  raise "documentation is installed" if File.exist?("/usr/share/doc/tried/README")
  run("dpkg", "--purge", "tried")
  raise "it is still there" if File.exist?("/usr/share/doc/tried")
end

puts "#{packages.size} packages are whole"

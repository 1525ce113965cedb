# Commands: those of Ruby and `env`, and nothing else. No shell, no package manager, no set-user-id bit.

require "find"

RUBY = /\A(?:ruby|gem|irb|erb|rake|bundler?)[\d.]*\z/
ABSENT = %w[
  /bin/sh /bin/bash /bin/dash /bin/ash /bin/busybox /bin/toybox /usr/bin/sh /usr/bin/bash /usr/bin/dash
  /usr/bin/perl /usr/bin/python3 /usr/bin/apt /usr/bin/apt-get /usr/bin/dpkg /usr/bin/aptitude /usr/bin/openssl
  /sbin/apk /usr/bin/microdnf /usr/bin/rpm /usr/sbin/update-ca-certificates /sbin/ldconfig
  /var/lib/dpkg/status /var/lib/dpkg/info
]

commands = ENV.fetch("PATH").split(":").select { |folder| File.directory?(folder) }
              .flat_map { |folder| Dir.children(folder) }.uniq.sort
others = commands.reject { |name| name == "env" || name.match?(RUBY) }
raise "other commands: #{others.join(" ")}" unless others.empty?

present = ABSENT.select { |path| File.exist?(path) }
raise "in the image: #{present.join(" ")}" unless present.empty?

# Ruby starts a plain command by itself; only what has a shell's characters in it goes to /bin/sh.
raise "a shell ran" unless system("exit 0; true").nil?
begin
  `true | true`
  raise "a shell ran"
rescue Errno::ENOENT
  # As it should.
end

here = File.stat("/").dev
Find.find("/") do |path|
  stat = File.lstat(path)
  Find.prune if stat.directory? && (stat.dev != here || !File.readable?(path) || !File.executable?(path))
  next if stat.symlink?
  raise "#{path} has a set-id bit" if stat.setuid? || (stat.setgid? && !stat.directory?)
  raise "#{path} can be changed by all" if stat.world_writable? && !stat.sticky?
end

puts "commands: #{commands.join(" ")}; no shell ran"

# Users and groups have names, and the user that runs has a home of its own.

require "etc"

me = Etc.getpwuid
raise "the user is #{me.uid}" unless me.uid == Process.uid
raise "its home #{me.dir} is not its own" unless File.stat(me.dir).uid == me.uid && File.writable?(me.dir)
raise "Dir.home is #{Dir.home} and not #{me.dir}" unless Dir.home == me.dir

{ "root" => 0, "nobody" => 65534, "nonroot" => 65532 }.each do |name, id|
  raise "#{name} is user #{Etc.getpwnam(name).uid}" unless Etc.getpwnam(name).uid == id
end
{ "root" => 0, "tty" => 5, "staff" => 50, "nonroot" => 65532 }.each do |name, id|
  raise "#{name} is group #{Etc.getgrnam(name).gid}" unless Etc.getgrnam(name).gid == id
end
raise "group #{Process.gid} has no name" unless Etc.getgrgid(Process.gid)

puts "#{me.name} is #{me.uid}, at home in #{me.dir}"

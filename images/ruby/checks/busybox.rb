# The shell runs, finds its tools beside itself, and is in nobody's way: /bin/sh is still absent.

tools = Dir.children("/busybox")
known = IO.popen(["/busybox/busybox", "--list"], &:readlines).map(&:chomp)
raise "no tools: #{(tools - known).join(" ")}" unless (tools - known).empty?

output = IO.popen(["/busybox/sh", "-c", "cd / && ls -d usr | tr a-z A-Z"], &:read)
raise "the shell says #{output.inspect}" unless output == "USR\n"
raise "it is not found by its name" unless system("sh", "-c", "exit 0")
raise "/bin/sh is there" if File.exist?("/bin/sh")

puts "the shell ran, with #{tools.size} tools"

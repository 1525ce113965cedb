# Names: localhost, and the numbers of services, through the C library's name service switch.

require "fiddle"
require "socket"

addresses = Addrinfo.getaddrinfo("localhost", "http", nil, :STREAM)
raise "localhost is #{addresses.inspect}" unless addresses.map(&:inspect_sockaddr).include?("127.0.0.1:80")
raise "https is #{Socket.getservbyname("https")}" unless Socket.getservbyname("https") == 443

# Until glibc 2.34 each service is an object of its own, opened by name.
version = Fiddle::Function.new(Fiddle::Handle::DEFAULT["gnu_get_libc_version"], [], Fiddle::TYPE_VOIDP).call.to_s
services = %w[files dns].map { |name| "libnss_#{name}.so.2" }
services.each { |name| Fiddle.dlopen(name) } if Gem::Version.new(version) < Gem::Version.new("2.34")

server = TCPServer.new("localhost", 0)
client = TCPSocket.new("localhost", server.addr[1])
raise "another peer" unless server.accept.remote_address.ip_port == client.local_address.ip_port

puts "localhost and services have their numbers (glibc #{version})"

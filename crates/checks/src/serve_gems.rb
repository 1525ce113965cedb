# Serves the gem source that follows `__END__` as a tar, on the loopback of the container that the
# check runs in: no second service, and nothing to reach from outside. Its address is in GEM_SOURCE.

require "rubygems/package"
require "socket"
require "stringio"

Thread.new(TCPServer.new("127.0.0.1", 0), {}) do |server, files|
  ENV["GEM_SOURCE"] = "http://127.0.0.1:#{server.addr[1]}/"
  Gem::Package::TarReader.new(StringIO.new(DATA.binmode.read)).each do |entry|
    files["/#{entry.full_name}"] = entry.read || ""
  end
  loop do
    Thread.new(server.accept) do |client|
      method, path, = client.gets("\r\n").to_s.split
      nil until client.gets("\r\n").to_s.strip.empty?
      body = files[path] if %w[GET HEAD].include?(method)
      client.write("HTTP/1.1 #{body ? "200 OK" : "404 Not Found"}\r\n",
                   "Content-Length: #{body.to_s.bytesize}\r\nConnection: close\r\n\r\n")
      client.write(body) if body && method == "GET"
    rescue SystemCallError
      # A client that hung up knows why.
    ensure
      client.close
    end
  end
end
Thread.pass until ENV["GEM_SOURCE"]


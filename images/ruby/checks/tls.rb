# TLS: a handshake with a server is verified against the authorities that SSL_CERT_FILE names, and fails for a server
# that they do not vouch for. The image's own authorities are there, with SSL_CERT_FILE and without it.

require "net/http"
require "open3"
require "openssl"
require "socket"
require "tempfile"

def certificate(name, key, issuer = nil, issuer_key = key, extensions)
  certificate = OpenSSL::X509::Certificate.new
  certificate.version = 2
  certificate.serial = Process.clock_gettime(Process::CLOCK_REALTIME, :nanosecond)
  certificate.subject = OpenSSL::X509::Name.parse("/CN=#{name}")
  certificate.issuer = (issuer || certificate).subject
  certificate.public_key = key
  certificate.not_before = Time.now - 3600
  certificate.not_after = Time.now + 3600
  factory = OpenSSL::X509::ExtensionFactory.new(issuer || certificate, certificate)
  extensions.each { |oid, value| certificate.add_extension(factory.create_extension(oid, value, true)) }
  certificate.sign(issuer_key, "SHA256")
end

authority_key, server_key = Array.new(2) { OpenSSL::PKey::EC.generate("prime256v1") }
authority = certificate("Local authority", authority_key, "basicConstraints" => "CA:TRUE", "keyUsage" => "keyCertSign")
server_certificate = certificate("localhost", server_key, authority, authority_key, "subjectAltName" => "DNS:localhost")

context = OpenSSL::SSL::SSLContext.new
context.cert = server_certificate
context.key = server_key
tcp = TCPServer.new("127.0.0.1", 0)
Thread.new do
  loop do
    client = OpenSSL::SSL::SSLSocket.new(tcp.accept, context)
    client.accept
    client.gets("\r\n\r\n")
    client.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
    client.close
  rescue OpenSSL::SSL::SSLError, SystemCallError
    # A client that hung up, as one of them has to.
  end
end

# What a program of this image sees: the answer of the server, and how many of the image's authorities it trusts.
CLIENT = <<'RUBY'
require "net/http"
answer = begin
  Net::HTTP.get(URI("https://localhost:#{ARGV[0]}/"))
rescue OpenSSL::SSL::SSLError => error
  error.message
end
bundle = File.read("/etc/ssl/certs/ca-certificates.crt").scan(/^-----BEGIN.*?^-----END[^\n]*\n/m)
certificates = bundle.map { |text| OpenSSL::X509::Certificate.new(text) }
current = certificates.select { |one| (one.not_before..one.not_after).cover?(Time.now) }
store = OpenSSL::X509::Store.new
store.set_default_paths
puts "#{current.count { |one| store.verify(one) }} of #{current.size}", answer
RUBY

def see(port, environment)
  output, errors, status = Open3.capture3(environment, "ruby", "-e", CLIENT, port.to_s)
  raise "#{status}: #{output}#{errors}" unless status.success?
  $stderr.write(errors)
  output.split("\n", 2)
end

port = tcp.addr[1]
Tempfile.create("authority") do |file|
  file.write(authority.to_pem)
  file.flush
  _, answer = see(port, "SSL_CERT_FILE" => file.path)
  raise "with its authority: #{answer}" unless answer == "hello\n"
end
trusted = [{}, { "SSL_CERT_FILE" => nil }].map do |environment|
  trusted, answer = see(port, environment)
  raise "without its authority: #{answer}" unless answer.include?("certificate verify failed")
  trusted
end
good, all = trusted.first.split(" of ").map(&:to_i)
raise "the image trusts #{trusted.join(" or ")} authorities" unless trusted.uniq.one? && good == all && good > 100

puts "verified by a local authority, refused without it; #{good} authorities; #{OpenSSL::OPENSSL_LIBRARY_VERSION}"

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
  certificate.public_key = key.public_key
  certificate.not_before = Time.now - 3600
  certificate.not_after = Time.now + 3600
  factory = OpenSSL::X509::ExtensionFactory.new(issuer || certificate, certificate)
  extensions.each { |oid, value| certificate.add_extension(factory.create_extension(oid, value, true)) }
  certificate.sign(issuer_key, "SHA256")
end

authority_key, server_key = Array.new(2) { OpenSSL::PKey::RSA.new(2048) }
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

CLIENT = <<'RUBY'
require "net/http"
begin
  puts Net::HTTP.get(URI("https://localhost:#{ARGV[0]}/"))
rescue OpenSSL::SSL::SSLError => error
  puts error.message
end
RUBY

def fetch(port, environment)
  output, status = Open3.capture2e(environment, "ruby", "-e", CLIENT, port.to_s)
  raise "#{status}: #{output}" unless status.success?
  output
end

port = tcp.addr[1]
Tempfile.create("authority") do |file|
  file.write(authority.to_pem)
  file.flush
  answer = fetch(port, "SSL_CERT_FILE" => file.path)
  raise "with its authority: #{answer}" unless answer == "hello\n"
end
[{}, { "SSL_CERT_FILE" => nil }].each do |environment|
  answer = fetch(port, environment)
  raise "without its authority: #{answer}" unless answer.include?("certificate verify failed")
end

AUTHORITIES = <<'RUBY'
require "openssl"
bundle = File.read("/etc/ssl/certs/ca-certificates.crt").scan(/^-----BEGIN.*?^-----END[^\n]*\n/m)
certificates = bundle.map { |text| OpenSSL::X509::Certificate.new(text) }
store = OpenSSL::X509::Store.new
store.set_default_paths
now = certificates.select { |one| (one.not_before..one.not_after).cover?(Time.now) }
unknown = now.reject { |one| store.verify(one) }
abort "not trusted: #{unknown.map { |one| one.subject.to_s }.join(", ")}" unless unknown.empty?
print now.size
RUBY
counts = [{}, { "SSL_CERT_FILE" => nil }].map do |environment|
  output, status = Open3.capture2e(environment, "ruby", "-e", AUTHORITIES)
  raise output unless status.success?
  Integer(output)
end
raise "the image trusts #{counts.join(" and ")} authorities" unless counts.uniq.size == 1 && counts.first > 100

puts "verified by a local authority, refused without it; #{counts.first} authorities; #{OpenSSL::OPENSSL_LIBRARY_VERSION}"

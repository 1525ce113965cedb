# The whole standard library loads, without a word on standard error: what the tree has, found at run time, and nothing
# that a Ruby of this version should have is missing from it. A native extension that loads shows that the objects it is
# linked with are in the image.

require "rbconfig"
require "tempfile"

# By the Ruby's own documentation (https://docs.ruby-lang.org, "Standard Library"), default and bundled gems included.
ALWAYS = %w[
  English abbrev base64 benchmark bigdecimal bigdecimal/math bigdecimal/util bundler cgi cgi/escape cgi/session
  continuation coverage csv date delegate did_you_mean digest digest/bubblebabble digest/md5 digest/rmd160 digest/sha1
  digest/sha2 drb erb etc expect fcntl fiddle fiddle/import fileutils find forwardable getoptlong io/console io/nonblock
  io/wait ipaddr irb json json/ext kconv logger matrix monitor mutex_m net/ftp net/http net/https net/imap net/pop
  net/protocol net/smtp nkf objspace observer open-uri open3 openssl optparse ostruct pathname pp prettyprint prime
  pstore psych pty racc racc/parser rake rbconfig/sizeof rdoc readline reline resolv resolv-replace rexml/document
  rinda/rinda rinda/tuplespace ripper rss rubygems securerandom set shellwords singleton socket stringio strscan syslog
  tempfile time timeout tmpdir tsort un unicode_normalize/normalize uri weakref yaml yaml/store zlib
]
SINCE = {
  "3.1" => %w[error_highlight random/formatter],
  "3.2" => %w[syntax_suggest],
  "3.3" => %w[prism],
}
UNTIL = { "3.0" => %w[tracer webrick], "3.1" => %w[dbm gdbm sdbm] }
# What is no library to load, but does something at once.
APART = {
  "mkmf" => "looks for the C headers that an extension is compiled with",
  "debug" => "takes over the terminal",
}

def version(text)
  Gem::Version.new(text)
end

def expected
  now = version(RUBY_VERSION)
  ALWAYS + SINCE.select { |since, _| now >= version(since) }.values.flatten +
    UNTIL.select { |ended, _| now < version(ended) }.values.flatten
end

# What can be required: each file on top of a folder of libraries, and each native extension at any depth.
def found
  folders = RbConfig::CONFIG.values_at("rubylibdir", "rubyarchdir", "vendordir", "vendorlibdir", "vendorarchdir")
  folders += Gem::Specification.flat_map(&:full_require_paths)
  folders.uniq.select { |folder| File.directory?(folder) }.flat_map do |folder|
    libraries = Dir.children(folder).grep(/\.rb\z/)
    # Encodings are tried by a check of their own.
    extensions = Dir.glob("**/*.so", base: folder).reject { |path| path.start_with?("enc/") }
    (libraries + extensions).map { |path| path.delete_suffix(".rb").delete_suffix(".so") }
  end
end

# What the block raises or writes to standard error, C code included; nil for nothing.
def failure(errors)
  errors.truncate(0)
  errors.rewind
  begin
    yield
  rescue StandardError, ScriptError, SystemExit => error
    return "#{error.class}: #{error.message.lines.first}".chomp
  end
  said = File.read(errors.path).strip
  said unless said.empty?
end

libraries = (found + expected).uniq.sort - APART.keys
gems = Gem::Specification.map(&:full_name).sort

# In a process of its own: some of what is loaded changes the Ruby that it is loaded into.
reader, writer = IO.pipe
loader = fork do
  $VERBOSE = nil
  $stdout.reopen(File::NULL)
  Tempfile.create("stderr") do |errors|
    $stderr.reopen(errors)
    tried = libraries.map { |name| [name, failure(errors) { require name }] }
    tried << ["a gem with what it depends on", failure(errors) { Gem::Specification.each(&:activate) }]
    tried.select(&:last).each { |name, why| writer.puts("  #{name}: #{why}") }
  end
  writer.flush
  exit!(0)
end
writer.close
failures = reader.read
Process.wait(loader)
raise "cannot load:\n#{failures}" unless failures.empty?
raise "loading ended with #{$?}" unless $?.success?

puts "#{libraries.size} libraries load, #{gems.size} gems have what they depend on"

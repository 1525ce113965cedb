# Makes a gem source out of gems as a distro packages them.
#
# In:  after `__END__`, a tar of unpacked packages, each in a folder of its own: PACKAGE/usr/share/...
# Out: a tar on standard output: the gems, and the index files that RubyGems and Bundler ask a source for
#      (https://guides.rubygems.org, "Run your own gem server": specs.4.8.gz and quick/Marshal.4.8/*.gemspec.rz).
#
# A package has either the gem's whole folder beside its specification, or the specification alone and the gem's
# `lib` spread over vendor_ruby, its commands in /usr/bin.

require "rubygems/package"
require "stringio"
require "tmpdir"
require "zlib"

# Every time in the gems and in the index: the same packages give the same bytes.
ENV["SOURCE_DATE_EPOCH"] = "315619200"
Gem::DefaultUserInteraction.ui = Gem::SilentUI.new

def unpack(tar, folder)
  Gem::Package::TarReader.new(StringIO.new(tar)).each do |entry|
    next unless entry.file?
    path = File.join(folder, entry.full_name)
    FileUtils.mkdir_p(File.dirname(path))
    File.binwrite(path, entry.read || "")
    File.chmod(entry.header.mode & 0o777, path)
  end
end

# The gem's files in a package, as { path in the gem => path on disk }.
def files_of(spec, package)
  whole = Dir[File.join(package, "usr/share/rubygems-integration/*/gems", spec.full_name)].first
  return tree(whole) if whole
  files = tree(File.join(package, "usr/lib/ruby/vendor_ruby")).transform_keys { |path| "lib/#{path}" }
  spec.executables.each do |name|
    command = File.join(package, "usr/bin", name)
    files["#{spec.bindir}/#{name}"] = command if File.file?(command)
  end
  files
end

def tree(folder)
  Dir.glob("**/*", File::FNM_DOTMATCH, base: folder).map { |path| [path, File.join(folder, path)] }
     .select { |_, file| File.file?(file) }.sort.to_h
end

# The bytes of the gem.
def build(spec, files)
  spec.files = files.keys
  spec.test_files = []
  spec.extra_rdoc_files = []
  spec.executables = spec.executables.select { |name| files.key?("#{spec.bindir}/#{name}") }
  Dir.mktmpdir do |folder|
    Dir.chdir(folder) do
      files.each do |path, file|
        FileUtils.mkdir_p(File.dirname(path))
        FileUtils.cp(file, path, preserve: true)
      end
      File.binread(Gem::Package.build(spec, true))
    end
  end
end

def gzip(bytes)
  out = StringIO.new("".b)
  Zlib::GzipWriter.wrap(out) do |writer|
    writer.mtime = Integer(ENV.fetch("SOURCE_DATE_EPOCH"))
    writer.write(bytes)
    writer.finish
  end
  out.string
end

source = {}
specs = []
Dir.mktmpdir do |folder|
  unpack(DATA.binmode.read, folder)
  Dir[File.join(folder, "*/usr/share/rubygems-integration/*/specifications/*.gemspec")].sort.each do |path|
    spec = Gem::Specification.load(path) or abort "cannot read #{File.basename(path)}"
    files = files_of(spec, path[%r{\A#{Regexp.escape(folder)}/[^/]+}])
    abort "no file of #{spec.full_name} is in its package" if files.empty?
    source["gems/#{spec.file_name}"] = build(spec, files)
    source["quick/Marshal.4.8/#{spec.full_name}.gemspec.rz"] = Zlib.deflate(Marshal.dump(spec))
    specs << [spec.name, spec.version, spec.original_platform.to_s]
  end
end
abort "the packages have no gem" if specs.empty?

# No package brings two versions of a gem, so the latest are all.
source["specs.4.8.gz"] = source["latest_specs.4.8.gz"] = gzip(Marshal.dump(specs.sort))
source["prerelease_specs.4.8.gz"] = gzip(Marshal.dump([]))

out = StringIO.new("".b)
Gem::Package::TarWriter.new(out) do |tar|
  source.sort.each { |path, bytes| tar.add_file_simple(path, 0o644, bytes.bytesize) { |file| file.write(bytes) } }
end
$stdout.binmode.write(out.string)

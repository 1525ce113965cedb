# Gems with extensions, built from source by Bundler without a network.

require "fileutils"
require "open3"
require "tmpdir"

def run(*command)
  output, errors, status = Open3.capture3(*command)
  raise "#{command.join(" ")}: #{status}\n#{output}#{errors}" unless status.success?
  $stderr.write(errors)
  output
end

SOURCE = <<~C
  #include <ruby.h>
  static VALUE answer(VALUE self) { return INT2NUM(42); }
  extern "C" void Init_NAME(void) { rb_define_global_function("NAME", (VALUE (*)(ANYARGS))answer, 0); }
C

def make_gem(name, ending, source)
  FileUtils.mkdir_p("#{name}/ext")
  File.write("#{name}/ext/#{name}.#{ending}", source.gsub("NAME", name))
  File.write("#{name}/ext/extconf.rb", "require 'mkmf'\ncreate_makefile('#{name}')\n")
  File.write("#{name}/#{name}.gemspec", <<~RUBY)
    Gem::Specification.new do |spec|
      spec.name, spec.version, spec.summary, spec.authors = "#{name}", "1", "answers", ["nobody"]
      spec.licenses, spec.homepage, spec.required_ruby_version = ["MIT"], "https://example.org/", ">= 2.7"
      spec.files = Dir["ext/*"]
      spec.extensions = ["ext/extconf.rb"]
    end
  RUBY
  FileUtils.mkdir_p("app/vendor/cache")
  gem = File.expand_path("app/vendor/cache/#{name}-1.gem")
  Dir.chdir(name) { run("gem", "build", "#{name}.gemspec", "--output", gem) }
end

Dir.mktmpdir do |folder|
  Dir.chdir(folder) do
    make_gem("in_c", "c", SOURCE.sub('extern "C" ', ""))
    make_gem("in_cpp", "cpp", SOURCE)
    Dir.chdir("app") do
      File.write("Gemfile", "source 'http://localhost'\ngem 'in_c'\ngem 'in_cpp'\n")
      run("bundle", "install", "--local")
      said = run("bundle", "exec", "ruby", "-rin_c", "-rin_cpp", "-e", "print in_c + in_cpp")
      raise said unless said == "84"
    end
  end
end

puts "extensions in C and C++ were built and load"

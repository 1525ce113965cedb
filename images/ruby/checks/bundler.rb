# `bundle install` of a Gemfile from the gem source, and `bundle exec` of what it installed.

require "open3"
require "tmpdir"

# Bundler says so wherever an application uses a gem that comes with Ruby and the source does not have: here `logger`.
BUILT_IN = /\A\S+ is built in to Ruby, and can't be cached /
# Ruby says so of gems older than itself, which a distro has beside a Ruby that was compiled for it.
OLDER = /: warning: \S+ was loaded from the standard library, but will no longer be part |\AYou can add \S+ to your Gemfile /

def run(*command)
  output, errors, status = Open3.capture3(*command)
  raise "#{command.join(" ")}: #{status}\n#{output}#{errors}" unless status.success?
  $stderr.write(*errors.lines.grep_v(Regexp.union(BUILT_IN, OLDER)))
  output
end

Dir.mktmpdir do |folder|
  Dir.chdir(folder) do
    File.write("Gemfile", <<~RUBY)
      source "#{ENV.fetch("GEM_SOURCE")}"
      gem "sinatra", require: "sinatra/base"
    RUBY
    installed = run("bundle", "install")
    lock = File.read("Gemfile.lock")
    wanted = lock[/^    sinatra \((.*)\)$/, 1] or raise "Gemfile.lock has no sinatra:\n#{lock}"
    loaded = run("bundle", "exec", "ruby", "-rbundler/setup", "-e", "Bundler.require; print Sinatra::VERSION")
    raise "bundle exec loads Sinatra #{loaded} and not #{wanted}" unless loaded == wanted
    puts "#{installed[/Bundle complete!.*?installed/m].to_s.tr("\n", " ")}; bundle exec loads Sinatra #{loaded}"
  end
end

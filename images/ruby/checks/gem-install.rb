# `gem install sinatra`, as a person types it: over HTTP from the gem source, by the image's own user, into GEM_HOME.

require "open3"

command = ["gem", "install", "sinatra", "--clear-sources", "--source", ENV.fetch("GEM_SOURCE")]
output, errors, status = Open3.capture3(*command)
raise "gem install sinatra: #{status}\n#{output}#{errors}" unless status.success?
$stderr.write(errors)

Gem.refresh
spec = Gem::Specification.find_by_name("sinatra")
home = ENV.fetch("GEM_HOME")
raise "#{spec.full_name} is in #{spec.base_dir} and not in #{home}" unless spec.base_dir == home

missing = spec.runtime_dependencies.select { |dependency| dependency.matching_specs.empty? }
raise "#{spec.full_name} came without #{missing.join(", ")}" unless missing.empty?

puts "#{output[/\d+ gems? installed/]}, #{spec.full_name} among them, by user #{Process.uid}"

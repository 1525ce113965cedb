# A Sinatra application from gems that were just installed, in a process of its own, answers over HTTP.

require "net/http"
require "open3"
require "tmpdir"

def install(*gems)
  command = ["gem", "install", *gems, "--clear-sources", "--source", ENV.fetch("GEM_SOURCE")]
  output, errors, status = Open3.capture3(*command)
  raise "gem install #{gems.join(" ")}: #{status}\n#{output}#{errors}" unless status.success?
  $stderr.write(errors)
  Gem.refresh
end

install("sinatra")
version = Gem::Specification.find_by_name("sinatra").version
# From its fourth version on, Sinatra leaves the choice of a server to the application. Before, it takes WEBrick, which comes
# with Debian's own Rubies and with rackup.
if version >= Gem::Version.new("4")
  install("rackup")
elsif Gem::Specification.find_all_by_name("webrick").empty?
  install("webrick")
end

APPLICATION = <<'RUBY'
require "sinatra"
set :server, :webrick
get("/hello/:name") { erb "Hello, <%= params[:name] %>!" }
RUBY
ADDRESS = URI("http://127.0.0.1:4567/hello/%E4%B8%96%E7%95%8C")

# Long for an emulator too. On a processor of its own the check's time ends before.
def answer(application, log)
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 600
  begin
    Net::HTTP.get_response(ADDRESS)
  rescue SystemCallError
    ended = Process.wait(application, Process::WNOHANG)
    late = Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
    raise "the application #{ended ? "ended" : "does not listen"}:\n#{File.read(log)}" if ended || late
    sleep 0.02
    retry
  end
end

Dir.mktmpdir do |folder|
  log = File.join(folder, "log")
  File.write(File.join(folder, "app.rb"), APPLICATION)
  application = Process.spawn("ruby", "app.rb", chdir: folder, in: File::NULL, out: log, err: log)
  begin
    response = answer(application, log)
    body = response.body.force_encoding("UTF-8")
    unless response.code == "200" && body == "Hello, 世界!"
      raise "expected 200 and a greeting, not #{response.code} and #{body.inspect}\n#{File.read(log)}"
    end
  ensure
    begin
      Process.kill("TERM", application)
      Process.wait(application)
    rescue SystemCallError
      # It ended before, which is told with its log.
    end
  end
end

puts "Sinatra #{version} answers 200"

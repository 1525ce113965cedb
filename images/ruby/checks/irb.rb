# IRB holds a session: over pipes, and on a terminal, where Reline edits the line.

require "open3"
require "pty"
require "timeout"

output, errors, status = Open3.capture3("irb", stdin_data: "x = [1, 2, 3]\nx.sum * 7\n")
raise "irb over pipes: #{status}\n#{output}#{errors}" unless status.success? && output.match?(/\b42\b/)
$stderr.write(errors)

# The other end of a terminal: keeps what came, and answers when it is asked where the cursor is.
class Terminal
  ASKED = "\e[6n".freeze

  attr_reader :seen

  def initialize(reader, writer)
    @reader, @writer, @seen, @answered = reader, writer, +"", 0
  end

  def type(text)
    @writer.write(text)
  end

  def read
    @seen << @reader.readpartial(4096)
    (@seen.scan(ASKED).size - @answered).times { type("\e[1;1R") }
    @answered = @seen.scan(ASKED).size
  end

  def read_until(wanted)
    read until @seen.match?(wanted)
  end

  def read_to_end
    loop { read }
  rescue Errno::EIO, EOFError
    # The terminal is gone with its last process.
  end
end

PTY.spawn({ "TERM" => "xterm" }, "irb") do |reader, writer, pid|
  terminal = Terminal.new(reader, writer)
  begin
    Timeout.timeout(600) do
      terminal.read_until(/irb.*> /m)
      terminal.type("\"4\" + \"2\"\r")
      terminal.read_until(/=> .*42/)
      terminal.type("exit\r")
      terminal.read_to_end
      Process.wait(pid)
    end
  rescue Timeout::Error
    raise "irb on a terminal says no more than #{terminal.seen.inspect}"
  end
  raise "irb on a terminal: #{$?}\n#{terminal.seen.inspect}" unless $?.success?
end

puts "irb answers over pipes and on a terminal"

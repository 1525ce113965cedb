# The allocator says itself what it gave to Ruby.

require "open3"

script = "kept = Array.new(1000) { |n| n.to_s * 10_000 }; exit"
_, errors, status = Open3.capture3({ "MALLOC_CONF" => "stats_print:true" }, "ruby", "-e", script)
raise "#{status}: #{errors}" unless status.success?
raise "jemalloc says nothing" unless errors.include?("Begin jemalloc statistics")
allocated = errors[/^Allocated: (\d+)/, 1].to_i
raise "it allocated #{allocated} bytes" unless allocated > 10_000_000
raise "this very process is without it" unless File.read("/proc/self/maps").include?("libjemalloc.so.2")

puts "#{allocated} bytes were allocated by jemalloc"

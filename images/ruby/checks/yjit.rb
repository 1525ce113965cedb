# Where the Ruby was built with YJIT, `--yjit` turns it on, and a method that is called often is compiled.
require "rbconfig"

claimed = %w[yes dev].include?(RbConfig::CONFIG["YJIT_SUPPORT"].to_s)
present = defined?(RubyVM::YJIT) ? true : false
raise "RbConfig says that YJIT is there, and it is not" if claimed && !present

unless present
  puts "this Ruby is without YJIT"
  exit
end

program = <<~RUBY
  def often(n) = n + 1
  10_000.times { |n| often(n) }
  abort "YJIT is off" unless RubyVM::YJIT.enabled?
  # Rubies before 3.3 count nothing in a release.
  compiled = RubyVM::YJIT.runtime_stats&.fetch(:compiled_iseq_count, nil)
  abort "YJIT compiled nothing" if compiled&.zero?
RUBY
raise "ruby --yjit failed" unless system(RbConfig.ruby, "--yjit", "-e", program)
puts "this Ruby is with YJIT, which compiles"

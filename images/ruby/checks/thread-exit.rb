# A thread made by C code ends itself with pthread_exit. The C library opens libgcc_s by name at that moment, and
# aborts the process when it is not there; so this happens in a child.

require "fiddle"

child = fork do
  handle = Fiddle::Handle::DEFAULT
  word = Fiddle::TYPE_VOIDP
  create = Fiddle::Function.new(handle["pthread_create"], [word, word, word, word], Fiddle::TYPE_INT)
  join = Fiddle::Function.new(handle["pthread_join"], [word, word], Fiddle::TYPE_INT)
  thread = Fiddle::Pointer.malloc(Fiddle::SIZEOF_VOIDP, Fiddle::RUBY_FREE)
  # The thread starts in pthread_exit itself, with the value that it ends with.
  failed = create.call(thread, nil, handle["pthread_exit"], 42)
  abort "pthread_create: #{failed}" unless failed.zero?
  value = Fiddle::Pointer.malloc(Fiddle::SIZEOF_VOIDP, Fiddle::RUBY_FREE)
  failed = join.call(thread.ptr.to_i, value)
  abort "pthread_join: #{failed}" unless failed.zero?
  abort "the thread ended with #{value.ptr.to_i}" unless value.ptr.to_i == 42
  abort "libgcc_s is not loaded" unless File.read("/proc/self/maps").include?("/libgcc_s.so.1")
end
Process.wait(child)
raise "the process ended with #{$?}" unless $?.success?

puts "a thread ended in pthread_exit, through libgcc_s"

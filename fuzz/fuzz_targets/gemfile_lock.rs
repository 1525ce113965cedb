//! The gems that Bundler locked.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::gemfile_lock(bytes));

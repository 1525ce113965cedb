//! The specification of a gem.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::gem_specification(bytes));

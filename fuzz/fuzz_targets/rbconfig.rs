//! The configuration of a Ruby.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::rbconfig(bytes));

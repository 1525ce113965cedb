//! Ruby code, for the parser alone.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::ruby_source(bytes));

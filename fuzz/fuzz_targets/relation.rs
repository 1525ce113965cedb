//! What packages need and provide.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::relation(bytes));

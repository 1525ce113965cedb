//! Release files, their signatures and keys.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::release(bytes));

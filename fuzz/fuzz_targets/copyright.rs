//! A Debian copyright file.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::copyright(bytes));

//! Indexes of source packages.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::sources(bytes));

//! The configuration of apt.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::apt_sources(bytes));

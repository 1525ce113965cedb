//! The loader's configuration.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::ld_so_conf(bytes));

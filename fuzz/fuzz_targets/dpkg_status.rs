//! What dpkg knows of installed packages.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::dpkg_status(bytes));

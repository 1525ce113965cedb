//! An archive of Docker's, and the documents in one.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::docker_archive(bytes));

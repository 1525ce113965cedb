//! A note of an object on the libraries that it opens.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::dlopen_note(bytes));

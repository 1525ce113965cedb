//! Documents of an image layout.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::oci_document(bytes));

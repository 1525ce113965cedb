//! Doors for the fuzzer to the parsers that are private otherwise. They are there only where it runs (`cfg(fuzzing)`).

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::document::{ImageConfig, Index, Manifest, canonical, parse};

/// Reads bytes as every document of a layout. The canonical form of what is read has the same meaning.
pub fn documents(bytes: &[u8]) {
    document::<Index>(bytes);
    document::<Manifest>(bytes);
    document::<ImageConfig>(bytes);
}

fn document<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    if let Ok(document) = parse::<T>(bytes) {
        let again: T = parse(&canonical(&document)).expect("what is written can be read");
        assert_eq!(again, document);
    }
}

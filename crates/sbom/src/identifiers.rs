//! Identifiers inside documents: made from names, so that they can be read, and unique.

use std::collections::BTreeSet;

use schema::Digest;

/// `text` with the letters, digits, dots and hyphens that an SPDX identifier may have (SPDX 2.3, 7.2); each run of
/// others becomes one hyphen, none at the ends.
pub(crate) fn readable(text: &str) -> String {
    let mut readable = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_ascii_alphanumeric() || letter == '.' {
            readable.push(letter);
        } else if !readable.is_empty() && !readable.ends_with('-') {
            readable.push('-');
        }
    }
    readable.truncate(readable.trim_end_matches('-').len());
    readable
}

/// The identifiers of one document.
#[derive(Debug, Default)]
pub(crate) struct Identifiers(BTreeSet<String>);

impl Identifiers {
    /// An identifier that begins like this and was not given yet. `exact` is what tells the thing from all others, where
    /// its readable name does not.
    pub(crate) fn give(&mut self, prefix: &str, exact: &str) -> String {
        let mut identifier = format!("{prefix}-{}", readable(exact));
        if self.0.contains(&identifier) {
            identifier = format!("{identifier}-{}", Digest::of(exact.as_bytes()).hex());
        }
        // Two things with the same name: the order in the document tells them apart.
        while !self.0.insert(identifier.clone()) {
            identifier.push_str("-again");
        }
        identifier
    }
}

/// A UUID of version 8 whose bits are those of the SHA-256 of `parts` (RFC 9562, 5.8 and B.2): the same for the same
/// parts, always.
pub(crate) fn uuid(parts: &[&str]) -> String {
    let digest = Digest::of(parts.join("\0").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex::encode(bytes);
    let groups = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_readable_and_unique() {
        let mut identifiers = Identifiers::default();
        assert_eq!(identifiers.give("File", "/usr/lib/libstdc++.so.6"), "File-usr-lib-libstdc-.so.6");
        assert_eq!(identifiers.give("File", "/a_b"), "File-a-b");
        let other = identifiers.give("File", "/a-b");
        assert!(other.starts_with("File-a-b-") && other.len() == "File-a-b-".len() + 64, "{other}");
        assert_eq!(identifiers.give("File", "/a-b"), format!("{other}-again"));
        assert_eq!(identifiers.give("File", "é"), "File-");
    }

    #[test]
    fn a_uuid_is_of_version_8_and_of_its_parts_alone() {
        let id = uuid(&["a", "b"]);
        assert_eq!(id, "59b271ae-1bbc-81d3-9d41-929817f4b16f");
        assert_eq!(id, uuid(&["a", "b"]));
        assert_ne!(id, uuid(&["ab"]));
        assert_eq!(id.as_bytes()[14], b'8');
        assert!(b"89ab".contains(&id.as_bytes()[19]));
    }
}

//! Bytes of an archive shown to people: text stays as it is, the rest becomes `\xNN`, and nothing is lost.

use std::fmt;

/// Bytes that are text most of the time: names of archive members, paths in a root, targets of links.
///
/// `Display` shows UTF-8 as it is and each other byte, control character and backslash as `\xNN`, so two different
/// names never look the same and none can act on a terminal.
#[derive(Clone, PartialEq, Eq)]
pub struct Escaped(Box<[u8]>);

impl From<&[u8]> for Escaped {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Display for Escaped {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(&self.0, out)
    }
}

impl fmt::Debug for Escaped {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\"{self}\"")
    }
}

pub(crate) fn write_escaped(bytes: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for part in chunk.valid().split_inclusive(is_escaped) {
            let plain = part.trim_end_matches(is_escaped);
            out.write_str(plain)?;
            write_hex(&part.as_bytes()[plain.len()..], out)?;
        }
        write_hex(chunk.invalid(), out)?;
    }
    Ok(())
}

fn is_escaped(character: char) -> bool {
    character == '\\' || character.is_control()
}

fn write_hex(bytes: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(out, "\\x{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_and_the_rest_is_escaped() {
        for (bytes, shown) in [
            (&b"usr/bin/ruby"[..], "usr/bin/ruby"),
            ("Főtanúsítvány.crt".as_bytes(), "Főtanúsítvány.crt"),
            (b"a\xffb", "a\\xffb"),
            (b"tab\there", "tab\\x09here"),
            (b"a\\xff", "a\\x5cxff"),
            ("\u{85}".as_bytes(), "\\xc2\\x85"),
        ] {
            assert_eq!(Escaped::from(bytes).to_string(), shown);
        }
    }
}

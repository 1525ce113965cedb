//! Package URLs (purl-spec, "PURL specification"): `pkg:deb/debian/libc6@2.41-12?arch=amd64`, the name by which scanners
//! look a component up.

use std::fmt::Write as _;

/// The package URL of these parts. Qualifiers have to be sorted by their keys; one with an empty value is left out.
pub(crate) fn text(
    kind: &str,
    namespace: Option<&str>,
    name: &str,
    version: &str,
    qualifiers: &[(&str, &str)],
) -> String {
    let mut url = format!("pkg:{kind}/");
    if let Some(namespace) = namespace {
        encode(&mut url, namespace);
        url.push('/');
    }
    encode(&mut url, name);
    url.push('@');
    encode(&mut url, version);
    let given = qualifiers.iter().filter(|(_, value)| !value.is_empty());
    for (position, (key, value)) in given.enumerate() {
        url.push(if position == 0 { '?' } else { '&' });
        url.push_str(key);
        url.push('=');
        encode(&mut url, value);
    }
    url
}

/// Writes `text` percent-encoded: all but letters, digits, `.`, `-`, `_`, `~` and `:` (purl-spec, "Character
/// encoding").
fn encode(url: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                url.push(char::from(byte));
            }
            _ => write!(url, "%{byte:02X}").expect("writing to a string cannot fail"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_encoded_and_empty_qualifiers_left_out() {
        let cases = [
            (text("gem", None, "rack", "3.1", &[("platform", "")]), "pkg:gem/rack@3.1"),
            (
                text("deb", Some("debian"), "libstdc++6", "1:14~2+b1", &[]),
                "pkg:deb/debian/libstdc%2B%2B6@1:14~2%2Bb1",
            ),
            (
                text("gem", None, "é/@?#%", "1 2", &[("a", "x&y=z"), ("b", "-")]),
                "pkg:gem/%C3%A9%2F%40%3F%23%25@1%202?a=x%26y%3Dz&b=-",
            ),
        ];
        for (url, expected) in cases {
            assert_eq!(url, expected);
        }
    }
}

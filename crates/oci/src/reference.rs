//! Names of images in a layout, as `ruby:3.3-trixie`.
//!
//! The grammar is that of `org.opencontainers.image.ref.name` (OCI image specification, "Pre-Defined Annotation Keys"):
//! components of letters and digits, joined by one of `-._:@+` or `--`, themselves joined by `/`.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

/// The name of an image in a layout.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference(String);

/// A text that is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a reference of an image: expected letters and digits joined by one of `-._:@+/`, as `ruby:3.3-trixie`"
)]
pub struct ReferenceError(String);

impl Reference {
    /// The reference as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Repository and tag where it has the form `repository:tag` that Docker knows images by (lower-case repository;
    /// a tag of at most 128 letters, digits and `_.-`).
    pub fn repository_and_tag(&self) -> Option<(&str, &str)> {
        let (repository, tag) = self.0.rsplit_once(':')?;
        let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._/".contains(&byte);
        let word = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        (repository.bytes().all(lower) && tag.bytes().all(word) && tag.len() <= 128)
            .then_some((repository, tag))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let is_component = |component: &str| {
            let mut separators =
                component.split(|c: char| c.is_ascii_alphanumeric()).filter(|s| !s.is_empty());
            component.starts_with(|c: char| c.is_ascii_alphanumeric())
                && component.ends_with(|c: char| c.is_ascii_alphanumeric())
                && separators.all(|s| matches!(s, "-" | "." | "_" | ":" | "@" | "+" | "--"))
        };
        if text.split('/').all(is_component) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ReferenceError(text.to_owned()))
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl Borrow<str> for Reference {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn follows_the_grammar() {
        for good in ["ruby:3.3-trixie", "a", "ghcr.io/o/ruby:3.3.8--root", "x@sha256:00", "1+2_3", "UPPER"] {
            assert_eq!(good.parse::<Reference>().unwrap().to_string(), good);
        }
        for wrong in
            ["", "/", "a/", "/a", "a//b", "-a", "a-", "a---b", "a..b", "a b", "a:é", "../a", "a\n", "a-.b"]
        {
            assert_eq!(wrong.parse::<Reference>(), Err(ReferenceError(wrong.to_owned())), "{wrong:?}");
        }
    }

    #[test]
    fn some_have_a_repository_and_a_tag() {
        for (text, parts) in [
            ("ruby:3.3-trixie", Some(("ruby", "3.3-trixie"))),
            ("ghcr.io/o/ruby:3.3", Some(("ghcr.io/o/ruby", "3.3"))),
            ("ruby", None),
            ("Ruby:3.3", None),
            ("ruby:3@3", None),
            ("a:b:c", None),
            ("a:b/c", None),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().repository_and_tag(), parts, "{text}");
        }
        let long = format!("ruby:{}", "a".repeat(129));
        assert_eq!(long.parse::<Reference>().unwrap().repository_and_tag(), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.as_str(), text);
                reference.repository_and_tag();
            }
        }
    }
}

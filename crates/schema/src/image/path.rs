//! Paths in an image and patterns for them, as a description writes them: absolute, and in one form, so that the same
//! path is the same text. Whether there is such a path is another question.
//!
//! A pattern may begin with `{prefix}`, the folder that the row's Ruby was installed to: `/usr` or `/usr/local`.

use std::borrow::Cow;
use std::fmt;

use globset::GlobBuilder;
use serde::{Deserialize, Deserializer};

use super::value::with_placeholders;
use crate::text::{FromText, deserialize_from_text};

/// What stands for the folder that a Ruby was installed to.
const PREFIX: &str = "{prefix}";

/// The characters that make a path a pattern.
const WILDCARDS: [char; 4] = ['*', '?', '[', '{'];

/// One absolute path in an image, as `/etc/passwd`: no empty name, no `.` or `..`, no wildcards.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImagePath(String);

/// An absolute path in an image or a glob over such paths, as `/usr/lib/*/libssl.so.*`: no empty name, no `.` or `..`.
/// It may begin with `{prefix}`, as `{prefix}/bin/ruby`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

/// A glob over paths like a [`Pattern`], for an image of which nobody knows yet where its Ruby is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPattern(String);

impl OwnPattern {
    /// The pattern as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for OwnPattern {
    fn from_text(text: &str) -> Result<Self, String> {
        match text.starts_with(PREFIX) {
            true => Err(format!("`{PREFIX}` stands for nothing here")),
            false => Pattern::from_text(text).map(|Pattern(text)| Self(text)),
        }
    }
}

impl<'de> Deserialize<'de> for OwnPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_from_text(deserializer)
    }
}

impl ImagePath {
    /// The path as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Pattern {
    /// Whether it begins with `{prefix}`.
    pub fn is_in_prefix(&self) -> bool {
        self.0.starts_with(PREFIX)
    }

    /// The pattern for an image whose Ruby was installed to the folder `prefix`.
    pub fn for_prefix(&self, prefix: &str) -> Cow<'_, str> {
        match self.0.strip_prefix(PREFIX) {
            Some(rest) => Cow::Owned(format!("{prefix}{rest}")),
            None => Cow::Borrowed(&self.0),
        }
    }
}

impl FromText for ImagePath {
    fn from_text(text: &str) -> Result<Self, String> {
        let wildcards = || text.contains(WILDCARDS).then_some("it has a wildcard");
        match fault(text).or_else(wildcards) {
            None => Ok(Self(text.to_owned())),
            Some(fault) => Err(format!("`{text}` is no path in an image: {fault}")),
        }
    }
}

impl FromText for Pattern {
    fn from_text(text: &str) -> Result<Self, String> {
        // An alternative in braces is a part of the path too.
        let upwards = || text.split(['/', '{', ',', '}']).any(|name| name == "..").then_some(UPWARDS);
        let rest = text.strip_prefix(PREFIX).unwrap_or(text);
        with_placeholders(rest, &[])?;
        let fault = match fault(rest).or_else(upwards) {
            Some(fault) => Some(fault.to_owned()),
            None => glob_fault(rest),
        };
        match fault {
            None => Ok(Self(text.to_owned())),
            Some(fault) => Err(format!("`{text}` is no pattern for paths in an image: {fault}")),
        }
    }
}

impl<'de> Deserialize<'de> for ImagePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_from_text(deserializer)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_from_text(deserializer)
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

const UPWARDS: &str = "it leads upwards";

/// What keeps a text from being a path.
fn fault(text: &str) -> Option<&'static str> {
    let Some(relative) = text.strip_prefix('/') else {
        return Some("it does not begin with a slash");
    };
    if text.contains('\0') {
        return Some("it has a NUL");
    }
    if relative.is_empty() {
        return None;
    }
    relative.split('/').find_map(|name| match name {
        "" => Some("it has a doubled or a last slash"),
        "." => Some("a name in it is a dot alone"),
        ".." => Some(UPWARDS),
        _ => None,
    })
}

/// What keeps a text from being a glob.
pub(super) fn glob_fault(text: &str) -> Option<String> {
    GlobBuilder::new(text).build().err().map(|error| error.kind().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_form() {
        for good in ["/", "/etc/passwd", "/a/..b/.c", "/ä b"] {
            assert_eq!(ImagePath::from_text(good).unwrap().as_str(), good);
        }
        for (wrong, says) in [
            ("", "slash"),
            ("etc", "slash"),
            ("/etc/", "last slash"),
            ("//etc", "doubled"),
            ("/./etc", "dot"),
            ("/etc/..", "upwards"),
            ("/e\0tc", "NUL"),
            ("/etc/*", "wildcard"),
            ("/etc/{a,b}", "wildcard"),
        ] {
            let error = ImagePath::from_text(wrong).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_pattern_is_a_path_with_wildcards() {
        for good in ["/", "/usr/bin/env", "/usr/lib/*/x.so.?", "/a/**", "/a/{b,c/d}-[0-9]*"] {
            assert_eq!(Pattern::from_text(good).unwrap().for_prefix("/usr"), good);
        }
        let bundler = Pattern::from_text("{prefix}/bin/bundle{,[0-9]*}").unwrap();
        assert_eq!(bundler.for_prefix("/usr/local"), "/usr/local/bin/bundle{,[0-9]*}");
        for (wrong, says) in [
            ("**/x", "slash"),
            ("/a/../*", "upwards"),
            ("/a/{b,../c}", "upwards"),
            ("/a/[b", "unclosed character class"),
            ("/a/{b", "unclosed alternate group"),
            ("{prefix}bin", "slash"),
            ("{prefix}", "slash"),
            ("/a/{prefix}/b", "`{prefix}` stands for nothing here"),
            ("{prefx}/b", "`{prefx}` stands for nothing here"),
        ] {
            let error = Pattern::from_text(wrong).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
        assert_eq!(OwnPattern::from_text("/etc/ld.so.*").unwrap().as_str(), "/etc/ld.so.*");
        assert!(OwnPattern::from_text("{prefix}/bin").unwrap_err().contains("stands for nothing"));
    }
}

//! Values of a description that are more than text: each is read whole or refused, at its place in the file.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer};

use super::path::{self, ImagePath};
use crate::text::{FromText, deserialize_from_text};

/// User and group of a container, as numbers: `65532:65532`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// The number of the user.
    pub uid: u32,
    /// The number of the group.
    pub gid: u32,
}

impl FromText for User {
    fn from_text(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| is_plain)
        };
        let user = text.split_once(':').and_then(|(uid, gid)| Some((number(uid)?, number(gid)?)));
        match user {
            Some((uid, gid)) => Ok(Self { uid, gid }),
            None => {
                Err(format!("`{text}` is no user and group: expected their numbers, as in \"65532:65532\""))
            }
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.uid, self.gid)
    }
}

/// The permission bits of a file (`07777` at the most), written as octal digits: `"1777"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(u32);

impl Mode {
    /// The bits, as `chmod(2)` takes them.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl FromText for Mode {
    fn from_text(text: &str) -> Result<Self, String> {
        match u32::from_str_radix(text, 8) {
            Ok(bits) if bits <= 0o7777 && !text.starts_with('+') => Ok(Self(bits)),
            _ => Err(format!("`{text}` is not a mode: expected octal digits, as in \"0755\"")),
        }
    }
}

/// The only value of a field that is there or not: `true`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "bool")]
pub struct Always;

impl TryFrom<bool> for Always {
    type Error = &'static str;

    fn try_from(value: bool) -> Result<Self, Self::Error> {
        value.then_some(Self).ok_or("leave the field out instead of `false`")
    }
}

/// A text in which `{ruby}` and `{series}` may stand, and nothing else that looks like them.
pub(super) struct Template(String);

/// A text in which `{ruby}`, `{series}`, `{uid}` and `{yjit}` may stand.
struct Expectation(String);

/// The target of a symbolic link, in which `{series}` may stand.
pub(super) struct LinkTarget(String);

/// One name in a folder.
#[derive(PartialEq, Eq)]
pub(super) struct FileName(String);

impl FileName {
    /// The path of that name in a folder.
    pub(super) fn below(&self, folder: &ImagePath) -> ImagePath {
        let path = format!("{}/{}", folder.as_str().trim_end_matches('/'), self.0);
        ImagePath::from_text(&path).expect("a name was read as the path of its own")
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl FromText for FileName {
    fn from_text(text: &str) -> Result<Self, String> {
        match ImagePath::from_text(&format!("/{text}")) {
            Ok(_) if !text.is_empty() && !text.contains('/') => Ok(Self(text.to_owned())),
            _ => Err(format!("`{text}` is no name of a file")),
        }
    }
}

impl<'de> Deserialize<'de> for FileName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_from_text(deserializer)
    }
}

/// A glob.
struct Glob(String);

/// The name of an environment variable.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Variable(String);

impl FromText for Template {
    fn from_text(text: &str) -> Result<Self, String> {
        with_placeholders(text, &["{ruby}", "{series}"]).map(Self)
    }
}

impl FromText for Expectation {
    fn from_text(text: &str) -> Result<Self, String> {
        with_placeholders(text, &["{ruby}", "{series}", "{uid}", "{yjit}"]).map(Self)
    }
}

impl FromText for LinkTarget {
    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a link needs a target".to_owned());
        }
        with_placeholders(text, &["{series}"]).map(Self)
    }
}

impl FromText for Glob {
    fn from_text(text: &str) -> Result<Self, String> {
        match path::glob_fault(text) {
            None => Ok(Self(text.to_owned())),
            Some(fault) => Err(format!("`{text}` is no pattern: {fault}")),
        }
    }
}

impl FromText for Variable {
    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.contains(['=', '\0']) {
            return Err(format!("`{text}` is no name of an environment variable"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl From<Template> for String {
    fn from(Template(text): Template) -> Self {
        text
    }
}

impl From<LinkTarget> for String {
    fn from(LinkTarget(text): LinkTarget) -> Self {
        text
    }
}

impl<'de> Deserialize<'de> for User {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_from_text(deserializer)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_from_text(deserializer)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_from_text(deserializer)
    }
}

impl<'de> Deserialize<'de> for Expectation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_from_text(deserializer)
    }
}

impl<'de> Deserialize<'de> for LinkTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_from_text(deserializer)
    }
}

impl<'de> Deserialize<'de> for Variable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_from_text(deserializer)
    }
}

/// Environment variables whose values are read as `V`.
pub(super) fn environment<'de, D, V>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de> + Into<String>,
{
    let variables: BTreeMap<Variable, V> = BTreeMap::deserialize(deserializer)?;
    Ok(variables.into_iter().map(|(Variable(name), value)| (name, value.into())).collect())
}

/// A text that may be left out, in which `{ruby}` and `{series}` may stand.
pub(super) fn template<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let template: Option<Template> = Option::deserialize(deserializer)?;
    Ok(template.map(|Template(text)| text))
}

/// What a check expects, which may be left out.
pub(super) fn expectation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let expectation: Option<Expectation> = Option::deserialize(deserializer)?;
    Ok(expectation.map(|Expectation(text)| text))
}

/// A glob, over whatever it may be.
pub(super) fn glob<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let Glob(text) = deserialize_from_text(deserializer)?;
    Ok(text)
}

/// `text`, unless something in it looks like a placeholder and is none of those that are `known`. A word in braces does;
/// other braces are what they are.
pub(super) fn with_placeholders(text: &str, known: &[&str]) -> Result<String, String> {
    for (start, _) in text.match_indices('{') {
        let Some((word, _)) = text[start + 1..].split_once('}') else { break };
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let placeholder = &text[start..start + word.len() + 2];
        if !word.is_empty() && word.bytes().all(is_word) && !known.contains(&placeholder) {
            let Some((last, others)) = known.split_last() else {
                return Err(format!("`{placeholder}` stands for nothing here"));
            };
            let known = [others.join("`, `"), (*last).to_owned()];
            let known = known.iter().filter(|part| !part.is_empty()).map(String::as_str);
            let known = known.collect::<Vec<_>>().join("` and `");
            return Err(format!("`{placeholder}` stands for nothing here, unlike `{known}`"));
        }
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_two_numbers() {
        let user = User::from_text("65532:0").unwrap();
        assert_eq!((user.uid, user.gid, user.to_string().as_str()), (65532, 0, "65532:0"));
        for wrong in ["", "nonroot", "65532", "65532:", ":1", "1:2:3", "+1:1", "1:4294967296", "1: 1"] {
            assert!(User::from_text(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_word_in_braces_is_a_placeholder() {
        for good in
            ["", "ruby {ruby}", "{series}{ruby}", "{{ruby}}", "{}", "{ ruby}", "{:a=>1}", "{", "}{ruby"]
        {
            assert!(Template::from_text(good).is_ok(), "{good}");
        }
        for (wrong, named) in
            [("{rubyx}", "{rubyx}"), ("{ruby}{Ruby}", "{Ruby}"), ("{{x}", "{x}"), ("{a-b_1}", "{a-b_1}")]
        {
            let error = Template::from_text(wrong).err().unwrap();
            assert!(error.starts_with(&format!("`{named}` stands for nothing")), "{error}");
        }
        assert!(LinkTarget::from_text("bundle{series}").is_ok());
        for wrong in ["", "bundle{ruby}"] {
            assert!(LinkTarget::from_text(wrong).is_err(), "{wrong}");
        }
    }
}

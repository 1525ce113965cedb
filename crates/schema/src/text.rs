//! Reading a TOML file that people write: every error says the file, the line and the column, shows the line, and
//! names the nearest valid word where one is near.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::Deserializer;
use serde::de::{DeserializeOwned, Visitor};

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    file: String,
    /// 1-based; in characters for the column.
    place: Option<(usize, usize)>,
    line: String,
    message: String,
    suggestion: Option<String>,
}

impl ParseError {
    /// The valid word nearest to the wrong one, as a sentence.
    pub fn hint(&self) -> Option<String> {
        self.suggestion.as_ref().map(|word| format!("did you mean `{word}`?"))
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.file)?;
        let Some((line, column)) = self.place else {
            return write!(formatter, ": {}", self.message);
        };
        write!(formatter, ":{line}:{column}: {}", self.message)?;
        if self.line.trim().is_empty() {
            return Ok(());
        }
        let margin = line.to_string().len();
        write!(formatter, "\n{:margin$} |\n{line} | {}\n{:margin$} | {:>column$}", "", self.line, "", "^")
    }
}

impl std::error::Error for ParseError {}

/// A value that is written as a text. Its [`Deserialize`](serde::Deserialize) is made by [`deserialize_from_text`].
pub(crate) trait FromText: Sized {
    /// Reads it; the error is a sentence.
    fn from_text(text: &str) -> Result<Self, String>;
}

/// Reads a value, so that an error has the place of the text, and not that of the list or table around it, as an error
/// of `#[serde(try_from)]` has.
pub(crate) fn deserialize_from_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromText,
{
    struct TextVisitor<T>(PhantomData<T>);

    impl<T: FromText> Visitor<'_> for TextVisitor<T> {
        type Value = T;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a string")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            T::from_text(text).map_err(E::custom)
        }
    }

    deserializer.deserialize_str(TextVisitor(PhantomData))
}

/// A text under the name that errors give it.
#[derive(Clone, Copy)]
pub(crate) struct Document<'a> {
    file: &'a str,
    text: &'a str,
}

impl<'a> Document<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text }
    }

    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, ParseError> {
        toml::from_str(self.text).map_err(|error| {
            // The parser lists what it would have taken: "unknown field `x`, expected one of `a`, `b`".
            let message = error.message().trim_end().to_owned();
            let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
            let suggestion = match words.split_first() {
                Some((wrong, valid)) => nearest(wrong, valid.iter().copied()),
                None => None,
            };
            self.error(error.span(), message.replace('\n', " "), suggestion)
        })
    }

    /// An error at a place in the text, given in bytes.
    pub(crate) fn error(
        &self,
        span: Option<Range<usize>>,
        message: impl Into<String>,
        suggestion: Option<String>,
    ) -> ParseError {
        let place = span.map(|span| self.place(span.start));
        let line = place.and_then(|(line, _)| self.text.lines().nth(line - 1)).unwrap_or_default().to_owned();
        ParseError { file: self.file.to_owned(), place, line, message: message.into(), suggestion }
    }

    /// The line of a place in the text, counted from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.place(at).0
    }

    /// Refuses names that stand twice; `what` is what has them, and each comes with its place in bytes.
    pub(crate) fn refuse_doubled<'n>(
        &self,
        what: &str,
        names: impl Iterator<Item = (&'n str, Range<usize>)>,
    ) -> Result<(), ParseError> {
        let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, span) in names {
            if let Some(first) = lines.insert(name, self.place(span.start).0) {
                let message = format!("{what} `{name}` stands at line {first} already");
                return Err(self.error(Some(span), message, None));
            }
        }
        Ok(())
    }

    fn place(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
    }
}

/// The valid word that is most like `wrong`, where one is like it at all.
pub fn nearest<'a>(wrong: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<String> {
    const ALIKE: f64 = 0.75;
    valid
        .into_iter()
        .map(|word| (strsim::jaro_winkler(&wrong.to_lowercase(), &word.to_lowercase()), word))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, word)| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_nearest_word_only_when_it_is_near() {
        let valid = ["bullseye", "bookworm", "trixie"];
        for (wrong, near) in [
            ("trixi", Some("trixie")),
            ("Trixie", Some("trixie")),
            ("bookwrom", Some("bookworm")),
            ("alpine", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, valid).as_deref(), near, "{wrong}");
        }
    }

    #[test]
    fn places_count_characters_from_one() {
        let document = Document::new("x.toml", "é = 1\nby = 2\n");
        assert_eq!(document.place(0), (1, 1));
        assert_eq!(document.place(3), (1, 3));
        assert_eq!(document.place(7), (2, 1));
        assert_eq!(document.place(999), (3, 1));
    }
}

//! Licences as SPDX licence expressions (SPDX 2.3, annex D), from what Debian and RubyGems write.
//!
//! A *name* is what somebody wrote; an *identifier* is on SPDX's list; a *reference* (`LicenseRef-...`) stands for a
//! licence that is not on it, and a document carries what is known of it. A name becomes an identifier only where it
//! means exactly that licence; for all others a reference keeps the text.

mod copyright;
mod names;
mod synopsis;

use std::collections::BTreeSet;
use std::fmt;

use schema::Digest;
use serde::{Deserialize, Serialize};

pub use copyright::Copyright;

use crate::identifiers::readable;

/// How many characters of a name a reference keeps.
const REFERENCE_NAME: usize = 64;

/// A licence expression. Its `Display` is SPDX's grammar.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expression {
    /// One licence: an identifier, maybe with an exception, or a reference.
    Licence(String),
    /// Each of them applies. At least two.
    All(Vec<Self>),
    /// One of them may be chosen. At least two.
    Any(Vec<Self>),
}

impl Expression {
    /// All of `parts`, in their order and each once; none where there are none.
    pub(crate) fn all(parts: impl IntoIterator<Item = Self>) -> Option<Self> {
        let flat = parts.into_iter().flat_map(|part| match part {
            Self::All(parts) => parts,
            other => vec![other],
        });
        join(flat, Self::All)
    }

    /// Any of `parts`, in their order and each once; none where there are none.
    pub(crate) fn any(parts: impl IntoIterator<Item = Self>) -> Option<Self> {
        let flat = parts.into_iter().flat_map(|part| match part {
            Self::Any(parts) => parts,
            other => vec![other],
        });
        join(flat, Self::Any)
    }

    /// The identifier, where it is one of SPDX's list and nothing else.
    pub(crate) fn identifier(&self) -> Option<&str> {
        match self {
            Self::Licence(licence) => names::listed(licence),
            Self::All(_) | Self::Any(_) => None,
        }
    }
}

fn join(
    parts: impl Iterator<Item = Expression>,
    combine: fn(Vec<Expression>) -> Expression,
) -> Option<Expression> {
    let mut seen = BTreeSet::new();
    let mut distinct: Vec<Expression> = parts.filter(|part| seen.insert(part.clone())).collect();
    match distinct.len() {
        0 | 1 => distinct.pop(),
        _ => Some(combine(distinct)),
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, operator) = match self {
            Self::Licence(licence) => return formatter.write_str(licence),
            Self::All(parts) => (parts, " AND "),
            Self::Any(parts) => (parts, " OR "),
        };
        for (position, part) in parts.iter().enumerate() {
            if position > 0 {
                formatter.write_str(operator)?;
            }
            match part {
                Self::Licence(licence) => formatter.write_str(licence)?,
                other => write!(formatter, "({other})")?,
            }
        }
        Ok(())
    }
}

/// What is known of a licence that only a reference stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LicenceText {
    /// `LicenseRef-...`
    pub reference: String,
    /// Its name, as it was written; may be empty.
    pub name: String,
    /// Its text, where that was found.
    pub text: Option<String>,
}

impl LicenceText {
    /// A licence that `origin` names like this. Its reference says its name, for people, and a digest of name and text
    /// wherever the name alone does not tell it from others; so it is the same in all images.
    fn new(origin: &str, name: &str, text: Option<String>) -> Self {
        let mut short = readable(name);
        short.truncate(REFERENCE_NAME);
        let mut reference =
            format!("LicenseRef-{origin}-{}", if short.is_empty() { "unnamed" } else { &short });
        if text.is_some() || short != name {
            let exact = [name, text.as_deref().unwrap_or_default()].join("\0");
            reference.push('-');
            reference.push_str(&Digest::of(exact.as_bytes()).hex()[..12]);
        }
        Self { reference, name: name.to_owned(), text }
    }

    fn expression(&self) -> Expression {
        Expression::Licence(self.reference.clone())
    }
}

/// A licence that `origin` names where an SPDX identifier is wanted and nobody insists, as in the specification of a gem.
pub(crate) fn named(origin: &str, name: &str) -> (Expression, Option<LicenceText>) {
    match names::identifier(name, None) {
        Some(identifier) => (Expression::Licence(identifier), None),
        None => {
            let text = LicenceText::new(origin, name, None);
            (text.expression(), Some(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str) -> Expression {
        Expression::Licence(name.to_owned())
    }

    #[test]
    fn expressions_are_flat_have_each_part_once_and_print_as_the_grammar_has_them() {
        let either = Expression::any([one("A"), one("B"), one("A")]).unwrap();
        let all = Expression::all([either.clone(), one("C"), Expression::all([one("C"), one("D")]).unwrap()]);
        assert_eq!(all.unwrap().to_string(), "(A OR B) AND C AND D");
        assert_eq!(Expression::any([either, one("E")]).unwrap().to_string(), "A OR B OR E");
        assert_eq!(Expression::all([one("A"), one("A")]), Some(one("A")));
        assert_eq!(Expression::all([]), None);
    }

    #[test]
    fn a_single_identifier_is_told() {
        assert_eq!(one("MIT").identifier(), Some("MIT"));
        assert_eq!(one("LicenseRef-debian-x").identifier(), None);
        assert_eq!(one("MPL-1.1+").identifier(), None);
    }

    #[test]
    fn a_reference_is_readable_and_says_its_text() {
        let cases = [
            ("public-domain", None, "LicenseRef-debian-public-domain"),
            ("BSD (3 clauses)", None, "LicenseRef-debian-BSD-3-clauses-43c5403d6534"),
            ("", None, "LicenseRef-debian-unnamed"),
            ("x", Some("do as you like"), "LicenseRef-debian-x-210800a4970d"),
        ];
        for (name, text, expected) in cases {
            let text = LicenceText::new("debian", name, text.map(str::to_owned));
            assert_eq!(text.reference, expected);
        }
        assert!(LicenceText::new("debian", &"x".repeat(1000), None).reference.len() < 100);
    }

    #[test]
    fn licences_of_gems() {
        let cases = [
            ("MIT", "MIT"),
            ("ruby", "Ruby"),
            ("GPL-2.0", "GPL-2.0-only"),
            ("Nonstandard", "LicenseRef-gem-Nonstandard"),
            ("", "LicenseRef-gem-unnamed"),
        ];
        for (name, expected) in cases {
            assert_eq!(named("gem", name).0.to_string(), expected);
        }
    }
}

//! Relations between packages: the grammar of `Depends` and `Provides` (Debian policy, chapter 7).
//!
//! A [`Relation`] is a need: met by any one of its alternatives. A provision is a name that a package stands for.
//! Restrictions to architectures and build profiles, which only source packages have, are refused.

use std::cmp::Ordering;
use std::fmt;

use crate::version::Version;

/// A relation that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a relation such as `ruby (>= 3.1) | ruby3.3:any`")]
pub struct RelationError(String);

/// A need that any one of several packages meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation<'a> {
    /// The packages, the preferred one first; there is at least one.
    pub(crate) alternatives: Vec<Alternative<'a>>,
}

/// One way to meet a need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alternative<'a> {
    /// The name of a package, or one that packages provide.
    pub(crate) package: &'a str,
    /// What follows the name after a colon: `any`, or an architecture.
    pub(crate) qualifier: Option<&'a str>,
    /// Which versions will do; all, if there is none.
    pub(crate) version: Option<(Operator, Version<'a>)>,
}

/// A name that a package provides, and the version of it that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Provision<'a> {
    /// The name.
    pub(crate) package: &'a str,
    /// Its version. Without one, only needs without a version are met.
    pub(crate) version: Option<Version<'a>>,
}

/// How a version has to compare with the one that is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Operator {
    /// In an order in which none is tried before another that begins with it.
    const ALL: [(Self, &'static str); 5] = [
        (Self::Earlier, "<<"),
        (Self::EarlierOrEqual, "<="),
        (Self::Equal, "="),
        (Self::LaterOrEqual, ">="),
        (Self::Later, ">>"),
    ];

    fn accepts(self, order: Ordering) -> bool {
        match self {
            Self::Earlier => order.is_lt(),
            Self::EarlierOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::LaterOrEqual => order.is_ge(),
            Self::Later => order.is_gt(),
        }
    }
}

impl<'a> Relation<'a> {
    /// Parses one need, without commas.
    ///
    /// # Errors
    /// When it is empty or follows another grammar.
    pub fn parse(text: &'a str) -> Result<Self, RelationError> {
        let alternatives = text.split('|').map(Alternative::parse).collect::<Result<_, _>>()?;
        Ok(Self { alternatives })
    }

    /// Parses the value of a field: needs with commas between them. An empty value is none.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(crate) fn parse_all(text: &'a str) -> Result<Vec<Self>, RelationError> {
        elements(text).map(Self::parse).collect()
    }
}

impl<'a> Alternative<'a> {
    fn parse(text: &'a str) -> Result<Self, RelationError> {
        let malformed = || RelationError(text.trim().to_owned());
        let (name, version) = match text.split_once('(') {
            None => (text, None),
            Some((name, rest)) => (name, Some(rest.trim_end().strip_suffix(')').ok_or_else(malformed)?)),
        };
        let (package, qualifier) = match name.trim().split_once(':') {
            None => (name.trim(), None),
            Some((package, qualifier)) => (package, Some(qualifier)),
        };
        let version = version.map(|text| parse_version(text).ok_or_else(malformed)).transpose()?;
        if is_name(package) && qualifier.is_none_or(is_name) {
            Ok(Self { package, qualifier, version })
        } else {
            Err(malformed())
        }
    }

    /// Whether a package of that version meets it, names aside.
    pub(crate) fn accepts(&self, version: Version<'_>) -> bool {
        self.version.is_none_or(|(operator, wanted)| operator.accepts(version.cmp(&wanted)))
    }

    /// Whether that provision meets it, names aside. One without a version meets no need that has one (policy,
    /// section 7.5).
    pub(crate) fn accepts_provision(&self, version: Option<Version<'_>>) -> bool {
        match version {
            Some(version) => self.accepts(version),
            None => self.version.is_none(),
        }
    }
}

impl<'a> Provision<'a> {
    /// Parses the value of a `Provides` field.
    ///
    /// # Errors
    /// When a provision has another form than `name` or `name (= version)`.
    pub(crate) fn parse_all(text: &'a str) -> Result<Vec<Self>, RelationError> {
        elements(text)
            .map(|text| match Alternative::parse(text)? {
                Alternative { package, version: None, .. } => Ok(Self { package, version: None }),
                Alternative { package, version: Some((Operator::Equal, version)), .. } => {
                    Ok(Self { package, version: Some(version) })
                }
                _ => Err(RelationError(text.to_owned())),
            })
            .collect()
    }
}

/// The elements of a list with commas. Empty ones, as after a last comma, are none.
fn elements(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|element| !element.is_empty())
}

fn parse_version(text: &str) -> Option<(Operator, Version<'_>)> {
    let text = text.trim();
    let (operator, rest) =
        Operator::ALL.iter().find_map(|(operator, sign)| Some((*operator, text.strip_prefix(sign)?)))?;
    let version = rest.trim();
    let is_version = !version.is_empty()
        && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-~:".contains(&byte));
    is_version.then_some((operator, Version::new(version)))
}

/// The characters that names of packages and architectures consist of (policy, section 5.6.1). Some packages provide
/// names with capitals or underscores.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-_".contains(&byte))
}

impl fmt::Display for Relation<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, alternative) in self.alternatives.iter().enumerate() {
            if index > 0 {
                formatter.write_str(" | ")?;
            }
            alternative.fmt(formatter)?;
        }
        Ok(())
    }
}

impl fmt::Display for Alternative<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.package)?;
        if let Some(qualifier) = self.qualifier {
            write!(formatter, ":{qualifier}")?;
        }
        if let Some((operator, version)) = self.version {
            write!(formatter, " ({operator} {version})")?;
        }
        Ok(())
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = Self::ALL.iter().find(|(operator, _)| operator == self).map_or("", |(_, sign)| sign);
        formatter.write_str(sign)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_field_reads_back() {
        let cases = [
            ("libc6 (>= 2.38), libruby3.3 (= 3.3.8-2)", "libc6 (>= 2.38), libruby3.3 (= 3.3.8-2)"),
            ("debconf (>= 0.5)|debconf-2.0", "debconf (>= 0.5) | debconf-2.0"),
            ("python3:any (<< 3.14) , perl:any,", "python3:any (<< 3.14), perl:any"),
            ("a (>>1:2~rc1-3), b(<= 2), c", "a (>> 1:2~rc1-3), b (<= 2), c"),
            ("  ", ""),
        ];
        for (written, read) in cases {
            let relations = Relation::parse_all(written).unwrap();
            let again: Vec<_> = relations.iter().map(Relation::to_string).collect();
            assert_eq!(again.join(", "), read);
        }
    }

    #[test]
    fn another_grammar_is_refused() {
        let cases = [
            "a (1)",
            "a (= 1",
            "a = 1",
            "a (=)",
            "a b",
            "a [amd64]",
            "a <!nocheck>",
            "a |",
            "| a",
            ":any",
            "a:",
            "a (= 1) b",
        ];
        for text in cases {
            assert!(Relation::parse_all(text).is_err(), "{text}");
        }
        assert!(Relation::parse("").is_err());
        assert!(Provision::parse_all("a (>= 1)").is_err());
    }

    #[test]
    fn versions_are_held_against_the_need() {
        let cases = [
            ("a", "1", true),
            ("a (>= 2)", "1", false),
            ("a (>= 2)", "2.0", true),
            ("a (>> 2)", "2", false),
            ("a (<< 2)", "2~rc1", true),
            ("a (<= 2)", "2-1", false),
            ("a (= 2)", "2-0", true),
        ];
        for (need, version, met) in cases {
            let relation = Relation::parse(need).unwrap();
            assert_eq!(relation.alternatives[0].accepts(Version::new(version)), met, "{need} {version}");
        }
    }

    #[test]
    fn only_a_versioned_provision_meets_a_versioned_need() {
        let provisions = Provision::parse_all("ruby-interpreter, ruby-json (= 2.9.1)").unwrap();
        let need = Relation::parse("x (>= 2)").unwrap().alternatives[0];
        assert!(!need.accepts_provision(provisions[0].version));
        assert!(need.accepts_provision(provisions[1].version));
        let need = Relation::parse("x").unwrap().alternatives[0];
        assert!(need.accepts_provision(provisions[0].version));
    }

    #[test]
    fn a_cut_field_is_read_or_refused() {
        let field = "libc6 (>= 2.38), debconf:any (<< 1~) | cdebconf, x";
        for length in 0..field.len() {
            let _ = (Relation::parse_all(&field[..length]), Provision::parse_all(&field[..length]));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[ a|,:()<>=1~]{0,30}") {
            if let Ok(relations) = Relation::parse_all(&text) {
                for relation in relations {
                    let written = relation.to_string();
                    prop_assert_eq!(Relation::parse(&written), Ok(relation));
                }
            }
        }
    }
}

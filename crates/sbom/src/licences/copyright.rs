//! Machine-readable copyright files (Debian's copyright format 1.0, "DEP-5"): paragraphs of fields, the first of which
//! has `Format`. The others say for some files which licence they are under, or what the text of a licence is.
//!
//! Other copyright files are prose (Debian Policy 12.5). Nothing is concluded from prose.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::synopsis::{self, Term};
use super::{Expression, LicenceText, names};

/// The bytes of a synopsis that is read as an expression. A longer one counts as the name of one licence: each name in it
/// may carry the text below it, so this bounds what comes out for what goes in.
const SYNOPSIS_LIMIT: usize = 512;

/// What a copyright file says of a package's licences.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copyright {
    /// The licences; none where the file is prose, or names none.
    pub licence: Option<Expression>,
    /// What the references in `licence` stand for, sorted by reference.
    pub texts: Vec<LicenceText>,
}

/// What a paragraph says, as far as it is about licences.
#[derive(Debug, Default)]
struct Paragraph {
    is_header: bool,
    is_about_files: bool,
    licence: Option<Licence>,
}

/// A `License` field: a synopsis, then a text.
#[derive(Debug, Default)]
struct Licence {
    synopsis: String,
    text: String,
}

impl Copyright {
    /// Reads a copyright file. Bytes that are no UTF-8 are replaced in what is kept of them.
    ///
    /// The licence of a package is what the header says of the whole, or else all that its files are under (copyright
    /// format 1.0, 6.1.1): more than is installed, since the file is that of the source package.
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let paragraphs = paragraphs(&text);
        let Some((header, rest)) = paragraphs.split_first().filter(|(first, _)| first.is_header) else {
            return Self::default();
        };
        let mut reader = Reader { by_name: texts_by_name(rest), ..Reader::default() };
        let whole = header.licence.as_ref().filter(|licence| !licence.synopsis.is_empty());
        let of_files = rest.iter().filter(|paragraph| paragraph.is_about_files);
        let licence = match whole {
            Some(licence) => reader.expression(licence),
            None => {
                let licences = of_files.filter_map(|paragraph| paragraph.licence.as_ref());
                let licences: Vec<_> = licences.filter_map(|licence| reader.expression(licence)).collect();
                Expression::all(licences)
            }
        };
        Self { licence, texts: reader.found.into_values().collect() }
    }
}

/// The texts of the paragraphs that are there for a licence alone, by its lower-case synopsis.
fn texts_by_name(paragraphs: &[Paragraph]) -> BTreeMap<String, &str> {
    let standing_alone = paragraphs.iter().filter(|paragraph| !paragraph.is_about_files);
    let mut texts = BTreeMap::new();
    for licence in standing_alone.filter_map(|paragraph| paragraph.licence.as_ref()) {
        if !licence.text.is_empty() {
            texts.entry(key(&licence.synopsis)).or_insert(licence.text.as_str());
        }
    }
    texts
}

/// A name without regard to case and spaces.
fn key(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase()
}

/// Turns fields into expressions, and remembers what it had to refer to.
#[derive(Default)]
struct Reader<'a> {
    by_name: BTreeMap<String, &'a str>,
    /// What a term became that has no text beside it, by its lower-case form.
    known: BTreeMap<String, Expression>,
    found: BTreeMap<String, LicenceText>,
}

impl Reader<'_> {
    fn expression(&mut self, licence: &Licence) -> Option<Expression> {
        let text = (!licence.text.is_empty()).then_some(licence.text.as_str());
        if licence.synopsis.is_empty() {
            return text.map(|text| self.refer("", Some(text)));
        }
        if licence.synopsis.len() > SYNOPSIS_LIMIT {
            return Some(self.refer(&licence.synopsis, text));
        }
        synopsis::parse(&licence.synopsis, |term| self.licence(term, text))
    }

    /// The licence of one term; `text` is what follows the synopsis that it stands in.
    fn licence(&mut self, term: &Term, text: Option<&str>) -> Expression {
        if let Some(identifier) = names::identifier(&term.name, term.exception.as_deref()) {
            return Expression::Licence(identifier);
        }
        if text.is_some() {
            return self.refer(&term.written, text);
        }
        let key = key(&term.written);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let text = self.by_name.get(&key).copied();
        let expression = self.refer(&term.written, text);
        self.known.insert(key, expression.clone());
        expression
    }

    fn refer(&mut self, name: &str, text: Option<&str>) -> Expression {
        let text = LicenceText::new("debian", name, text.map(str::to_owned));
        let expression = text.expression();
        self.found.insert(text.reference.clone(), text);
        expression
    }
}

/// The paragraphs of a control file (Debian Policy 5.1), as far as they are about licences.
fn paragraphs(text: &str) -> Vec<Paragraph> {
    let mut paragraphs = Vec::new();
    let mut current: Option<Paragraph> = None;
    let mut in_licence = false;
    for line in text.lines() {
        if line.trim().is_empty() {
            paragraphs.extend(current.take());
        } else if line.starts_with('#') {
            // A comment, wherever it is.
        } else if let Some(continuation) = line.strip_prefix([' ', '\t']) {
            let licence = current.as_mut().and_then(|paragraph| paragraph.licence.as_mut());
            if let Some(licence) = licence.filter(|_| in_licence) {
                // A dot alone stands for an empty line (Debian Policy 5.6.13).
                licence.text.push_str(if continuation.trim_end() == "." {
                    ""
                } else {
                    continuation.trim_end()
                });
                licence.text.push('\n');
            }
        } else if let Some((name, value)) = line.split_once(':') {
            let paragraph = current.get_or_insert_default();
            in_licence = false;
            match name.trim_end().to_ascii_lowercase().as_str() {
                "format" => paragraph.is_header = true,
                "files" => paragraph.is_about_files = true,
                "license" => {
                    in_licence = true;
                    paragraph.licence =
                        Some(Licence { synopsis: value.trim().to_owned(), text: String::new() });
                }
                _ => {}
            }
        }
    }
    paragraphs.extend(current);
    paragraphs
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn licence(copyright: &str) -> Option<String> {
        Copyright::parse(copyright.as_bytes()).licence.map(|licence| licence.to_string())
    }

    const WHOLE: &str = "\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: tool

# The rest
Files: *
Copyright: 2001 One
 2002 Two
License: GPL-2+ or Artistic

Files: a
License: Permissive
 Do as
 .
   you like.

Files: b c
License: odd, and Expat

Files: debian/*
license: gpl-2+ or ARTISTIC

License: GPL-2+
 On Debian systems ...

License: Odd
 Odd terms.
";

    #[test]
    fn a_package_is_under_all_that_its_files_are_under() {
        let copyright = Copyright::parse(WHOLE.as_bytes());
        assert_eq!(
            copyright.licence.unwrap().to_string(),
            "(GPL-2.0-or-later OR Artistic-1.0-Perl) AND LicenseRef-debian-Permissive-6069b7fecd5b \
             AND LicenseRef-debian-odd-0b7c41c28d76 AND MIT"
        );
        let texts: Vec<_> =
            copyright.texts.iter().map(|text| (text.name.as_str(), text.text.as_deref())).collect();
        assert_eq!(texts, [("Permissive", Some("Do as\n\n  you like.\n")), ("odd", Some("Odd terms.\n"))]);
    }

    #[test]
    fn what_the_header_says_of_the_whole_goes_before() {
        let whole = WHOLE.replace("Upstream-Name: tool", "License: Expat");
        assert_eq!(licence(&whole).as_deref(), Some("MIT"));
    }

    #[test]
    fn prose_and_files_without_licences_say_nothing() {
        let cases = [
            "",
            "This package was debianized by someone.\n\nLicense: GPL-2\n",
            "Files: *\nLicense: GPL-2\n",
            "Format: x\n",
            "Format: x\n\nFiles: *\nLicense:\n",
            "Format: x\n\nFiles: *\nCopyright: me\n\nLicense: Expat\n text\n",
        ];
        for case in cases {
            assert_eq!(licence(case), None, "{case:?}");
        }
    }

    #[test]
    fn odd_forms() {
        let cases = [
            ("Format: x\nFiles: *\nLicense: Expat\n", Some("MIT")),
            ("FORMAT : x\r\n\r\nFiles: *\r\nLicense : Expat\r\n", Some("MIT")),
            ("Format: x\n \t\nFiles: *\nLicense:\n text\n", Some("LicenseRef-debian-unnamed-ba2a11e70425")),
            ("Format: x\n\nFiles: *\nLicense: Expat\nLicense: ISC\n", Some("ISC")),
            ("Format: x\n\nFiles: *\n License: Expat\nno field\n", None),
        ];
        for (text, expected) in cases {
            assert_eq!(licence(text).as_deref(), expected, "{text:?}");
        }
        let bytes = b"Format: x\n\nFiles: *\nLicense: caf\xe9\n \xff\n";
        assert_eq!(Copyright::parse(bytes).texts[0].text.as_deref(), Some("\u{fffd}\n"));
    }

    #[test]
    fn a_file_that_is_cut_anywhere_is_read() {
        for end in 0..WHOLE.len() {
            let copyright = Copyright::parse(&WHOLE.as_bytes()[..end]);
            assert!(copyright.texts.len() <= 3);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            Copyright::parse(&bytes);
        }

        #[test]
        fn every_expression_is_one_of_spdx(
            licences in proptest::collection::vec("(GPL-2\\+?|Expat|odd|and|or|,|with|x exception|\n|\u{e9}| ){0,9}", 0..5)
        ) {
            let paragraphs: Vec<String> =
                licences.iter().map(|licence| format!("Files: *\nLicense: {licence}\n text")).collect();
            let text = format!("Format: x\n\n{}", paragraphs.join("\n\n"));
            if let Some(licence) = Copyright::parse(text.as_bytes()).licence {
                prop_assert!(spdx::Expression::parse(&licence.to_string()).is_ok(), "{licence}");
            }
        }
    }
}

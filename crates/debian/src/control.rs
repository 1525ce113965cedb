//! Control data: paragraphs of `Name: value` fields, as in indexes, packages and apt's `.sources` (Debian policy,
//! chapter 5; deb822(5)).
//!
//! A paragraph borrows from the text. Values keep their continuation lines, so that nothing is copied; lines that
//! begin with `#` are comments.

/// The most fields that a paragraph may have: each is held against those before it. Debian's have 50 at most.
const MAX_FIELDS: usize = 1000;

/// A text that is no control data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// A line that is neither a field nor the continuation of one.
    #[error("line {0} is not of the form `Name: value`")]
    NoField(usize),
    /// A paragraph has a field twice.
    #[error("line {0} has a field that its paragraph has already")]
    Repeated(usize),
    /// A paragraph has more fields than any.
    #[error("line {0} is in a paragraph of more than {MAX_FIELDS} fields")]
    TooMany(usize),
    /// A single paragraph was expected.
    #[error("it has {0} paragraphs instead of one")]
    NotSingle(usize),
}

/// One field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field<'a> {
    name: &'a str,
    value: &'a str,
}

/// Fields that belong together, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Paragraph<'a> {
    fields: Vec<Field<'a>>,
}

impl<'a> Paragraph<'a> {
    /// The value of a field, whose name may be written in any case; white space around the value is gone.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// Every field with its value, in the order of the text.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.fields.iter().map(|field| (field.name, field.value))
    }

    /// The lines of a field's value without the white space around them, comments and empty lines left out.
    pub(crate) fn lines(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let lines = self.get(name).unwrap_or_default().lines();
        lines.filter(|line| !line.starts_with('#')).map(str::trim).filter(|line| !line.is_empty())
    }

    /// The words of a field's value, over all of its lines.
    pub(crate) fn words(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.lines(name).flat_map(str::split_ascii_whitespace)
    }
}

/// Parses the paragraphs of a text.
///
/// # Errors
/// When a line has no place in a paragraph, or a paragraph has a field twice.
pub(crate) fn paragraphs(text: &str) -> Result<Vec<Paragraph<'_>>, ControlError> {
    let mut paragraphs = Vec::new();
    let mut open = Paragraph::default();
    let mut offset = 0;
    // Where the value of the open field begins; it ends where its last line does.
    let mut value_start = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let number = index + 1;
        let start = offset;
        offset += line.len();
        if line.starts_with('#') {
            continue;
        }
        if line.trim_ascii().is_empty() {
            if !open.fields.is_empty() {
                paragraphs.push(std::mem::take(&mut open));
            }
            continue;
        }
        if line.starts_with([' ', '\t']) {
            let field = open.fields.last_mut().ok_or(ControlError::NoField(number))?;
            field.value = text[value_start..offset].trim_ascii();
            continue;
        }
        let (name, value) = line.split_once(':').ok_or(ControlError::NoField(number))?;
        if name.is_empty() || name.starts_with('-') || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ControlError::NoField(number));
        }
        if open.fields.len() == MAX_FIELDS {
            return Err(ControlError::TooMany(number));
        }
        if open.get(name).is_some() {
            return Err(ControlError::Repeated(number));
        }
        value_start = start + name.len() + 1;
        open.fields.push(Field { name, value: value.trim_ascii() });
    }
    if !open.fields.is_empty() {
        paragraphs.push(open);
    }
    Ok(paragraphs)
}

/// Parses a text that has to be one paragraph.
///
/// # Errors
/// As [`paragraphs`], and when there is not exactly one.
pub(crate) fn paragraph(text: &str) -> Result<Paragraph<'_>, ControlError> {
    let mut paragraphs = paragraphs(text)?;
    match (paragraphs.len(), paragraphs.pop()) {
        (1, Some(paragraph)) => Ok(paragraph),
        (count, _) => Err(ControlError::NotSingle(count)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "# about\nPackage: ruby\nDescription: a language\n of its own\n# between\n .\n\tthe end\nEmpty:\n\n \n\
        Package: irb\nWords:\n  one two\n# no\n three\n";

    #[test]
    fn fields_keep_their_lines() {
        let paragraphs = paragraphs(TEXT).unwrap();
        assert_eq!(paragraphs.len(), 2);
        assert_eq!(paragraphs[0].get("package"), Some("ruby"));
        assert_eq!(paragraphs[0].get("Empty"), Some(""));
        assert_eq!(paragraphs[0].get("Missing"), None);
        assert_eq!(
            paragraphs[0].get("Description"),
            Some("a language\n of its own\n# between\n .\n\tthe end")
        );
        let lines: Vec<_> = paragraphs[0].lines("Description").collect();
        assert_eq!(lines, ["a language", "of its own", ".", "the end"]);
        assert_eq!(paragraphs[1].words("Words").collect::<Vec<_>>(), ["one", "two", "three"]);
    }

    #[test]
    fn what_is_no_field_is_an_error_with_its_line() {
        let cases = [
            ("Package: a\nno field\n", ControlError::NoField(2)),
            (" continued\n", ControlError::NoField(1)),
            ("Package: a\n\n continued\n", ControlError::NoField(3)),
            (": value\n", ControlError::NoField(1)),
            ("-name: value\n", ControlError::NoField(1)),
            ("two words: value\n", ControlError::NoField(1)),
            ("Package: a\npackage: b\n", ControlError::Repeated(2)),
        ];
        for (text, error) in cases {
            assert_eq!(paragraphs(text), Err(error), "{text}");
        }
        assert_eq!(paragraph("A: 1\n\nB: 2\n"), Err(ControlError::NotSingle(2)));
        assert_eq!(paragraph("\n"), Err(ControlError::NotSingle(0)));
    }

    #[test]
    fn the_fields_of_a_paragraph_are_bounded() {
        let fields = |count| (0..count).map(|index| format!("F{index}:\n")).collect::<Vec<_>>().concat();
        assert!(paragraphs(&format!("{0}\n{0}", fields(MAX_FIELDS))).is_ok());
        assert_eq!(paragraphs(&fields(MAX_FIELDS + 1)), Err(ControlError::TooMany(MAX_FIELDS + 1)));
    }

    #[test]
    fn a_cut_text_never_panics() {
        for length in 0..TEXT.len() {
            let _ = paragraphs(&TEXT[..length]);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[ \t\n#:A-Ca-cé]{0,60}") {
            if let Ok(paragraphs) = paragraphs(&text) {
                prop_assert!(paragraphs.iter().all(|paragraph| !paragraph.fields.is_empty()));
            }
        }
    }
}

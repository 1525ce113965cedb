//! What the specification of an installed gem says: the files `specifications/*.gemspec` that RubyGems writes, and
//! Debian's packages with it (`Gem::Specification#to_ruby`).
//!
//! They are Ruby, but their writer sets each attribute to a literal in a statement of its own. That much is read and
//! nothing is run: an attribute that is computed counts as not set.

use std::borrow::Cow;

/// How much of a file is read: the attributes come before the lists that can be long.
const SPECIFICATION_LIMIT: usize = 1 << 20;
/// How long the value of an attribute may be.
const VALUE_LIMIT: usize = 4096;

/// A gem, as its specification describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Specification {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The platform that it was built for; none where it is plain Ruby.
    pub platform: Option<String>,
    /// The licences that it names, as written.
    pub licences: Vec<String>,
}

/// A file that is no specification of an installed gem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpecificationError {
    /// There is no `Gem::Specification.new do |...|` in it.
    #[error("it makes no Gem::Specification")]
    NoSpecification,
    /// An attribute that every gem has is not there as a literal.
    #[error("it does not set `{0}` to a literal")]
    NotSet(&'static str),
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(String),
    List(Vec<String>),
}

impl Specification {
    /// Reads a specification. Bytes that are no UTF-8 are replaced in what is kept of them.
    ///
    /// # Errors
    /// A file that makes no specification, or one without a name or version.
    pub fn parse(bytes: &[u8]) -> Result<Self, SpecificationError> {
        let text = String::from_utf8_lossy(bytes.get(..SPECIFICATION_LIMIT).unwrap_or(bytes));
        let (variable, body) = body(&text).ok_or(SpecificationError::NoSpecification)?;
        let (mut name, mut version, mut platform, mut licences) = (None, None, None, Vec::new());
        for (attribute, value) in assignments(variable, body) {
            match (attribute, value) {
                ("name", Value::Text(text)) => name = Some(text),
                ("version", Value::Text(text)) => version = Some(text),
                ("platform", Value::Text(text)) => platform = Some(text),
                ("license", Value::Text(text)) => licences = vec![text],
                ("licenses", Value::List(list)) => licences = list,
                _ => {}
            }
        }
        let set = |value: Option<String>, attribute| {
            value.filter(|text| !text.is_empty()).ok_or(SpecificationError::NotSet(attribute))
        };
        Ok(Self {
            name: set(name, "name")?,
            version: set(version, "version")?,
            platform: platform.filter(|platform| !platform.is_empty() && platform != "ruby"),
            licences,
        })
    }
}

/// The name of the block's variable, and what comes after it.
fn body(text: &str) -> Option<(&str, &str)> {
    let (_, rest) = text.split_once("Gem::Specification.new")?;
    let (_, rest) = rest.split_once('|')?;
    let (variable, body) = rest.split_once('|')?;
    let variable = variable.trim();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (!variable.is_empty() && variable.bytes().all(is_name)).then_some((variable, body))
}

/// The statements `variable.attribute = literal`, each of which begins a line.
fn assignments<'a>(variable: &'a str, body: &'a str) -> impl Iterator<Item = (&'a str, Value)> {
    let mut start = 0;
    body.split_inclusive('\n').filter_map(move |line| {
        let line_start = start;
        start += line.len();
        let statement = line.trim_start().strip_prefix(variable)?.strip_prefix('.')?;
        let (attribute, _) = statement.split_once('=')?;
        let value = line_start + line.len() - statement.len() + attribute.len() + 1;
        let attribute = attribute.trim_end();
        matches!(attribute, "name" | "version" | "platform" | "license" | "licenses").then_some(())?;
        Some((attribute, Literals::new(body.as_bytes().get(value..)?).statement()?))
    })
}

/// A reader of Ruby's literals.
struct Literals<'a> {
    rest: &'a [u8],
}

impl<'a> Literals<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes.get(..VALUE_LIMIT).unwrap_or(bytes) }
    }

    /// A literal, and after it the end of the statement.
    fn statement(mut self) -> Option<Value> {
        let value = self.value()?;
        self.spaces();
        let ended = matches!(self.rest, [] | [b'\n' | b'\r' | b';' | b'#', ..]);
        (ended || self.rest.starts_with(b"if ") || self.rest.starts_with(b"unless ")).then_some(value)
    }

    fn value(&mut self) -> Option<Value> {
        self.spaces();
        if self.rest.starts_with(b"[") {
            return self.list(b"[", b']').map(Value::List);
        }
        if self.take(b"%w") {
            return self.words().map(Value::List);
        }
        if self.take(b"Gem::Version.new") || self.take(b"Gem::Version.create") {
            let mut arguments = self.list(b"(", b')')?;
            return arguments.pop().filter(|_| arguments.is_empty()).map(Value::Text);
        }
        self.string().map(Value::Text)
    }

    /// Strings between brackets, with commas between them.
    fn list(&mut self, open: &[u8], close: u8) -> Option<Vec<String>> {
        self.take(open).then_some(())?;
        let mut items = Vec::new();
        loop {
            self.lines();
            if self.take(&[close]) {
                self.take(b".freeze");
                return Some(items);
            }
            items.push(self.string()?);
            self.lines();
            if !self.take(b",") && self.rest.first() != Some(&close) {
                return None;
            }
        }
    }

    /// The rest of `%w[a b]`.
    fn words(&mut self) -> Option<Vec<String>> {
        let words = self.bracketed()?;
        self.take(b".freeze");
        Some(String::from_utf8_lossy(words).split_whitespace().map(str::to_owned).collect())
    }

    fn string(&mut self) -> Option<String> {
        let bytes: Cow<'_, [u8]> = match self.rest {
            [b'"', ..] => Cow::Owned(self.double_quoted()?),
            [b'\'', ..] => Cow::Owned(self.single_quoted()?),
            [b'%', b'q', rest @ ..] => {
                self.rest = rest;
                Cow::Borrowed(self.bracketed()?)
            }
            _ => return None,
        };
        self.take(b".freeze");
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn double_quoted(&mut self) -> Option<Vec<u8>> {
        self.next()?;
        let mut bytes = Vec::new();
        loop {
            match self.next()? {
                b'"' => return Some(bytes),
                b'\\' => self.escape(&mut bytes)?,
                // Computed.
                b'#' if matches!(self.rest, [b'{' | b'@' | b'$', ..]) => return None,
                byte => bytes.push(byte),
            }
        }
    }

    /// What follows a backslash (Ruby's doc/syntax/literals.rdoc, "Escape Sequences"), as far as `String#dump` and
    /// `#inspect` write it.
    fn escape(&mut self, bytes: &mut Vec<u8>) -> Option<()> {
        let byte = match self.next()? {
            b'a' => 0x07,
            b'b' => 0x08,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 0x0b,
            b'f' => 0x0c,
            b'r' => b'\r',
            b'e' => 0x1b,
            b's' => b' ',
            b'x' => u8::try_from(self.number(2, 16)?).ok()?,
            b'u' if self.take(b"{") => {
                let letter = char::from_u32(self.number(6, 16)?)?;
                self.take(b"}").then(|| bytes.extend(letter.to_string().bytes()))?;
                return Some(());
            }
            b'u' => {
                bytes.extend(char::from_u32(self.number(4, 16)?)?.to_string().bytes());
                return Some(());
            }
            first @ b'0'..=b'7' => {
                let more = self.digits(2, 8);
                let text = [&[first], more].concat();
                u8::try_from(u32::from_str_radix(std::str::from_utf8(&text).ok()?, 8).ok()?).ok()?
            }
            byte => byte,
        };
        bytes.push(byte);
        Some(())
    }

    fn single_quoted(&mut self) -> Option<Vec<u8>> {
        self.next()?;
        let mut bytes = Vec::new();
        loop {
            match (self.next()?, self.rest.first()) {
                (b'\'', _) => return Some(bytes),
                (b'\\', Some(escaped @ (b'\'' | b'\\'))) => {
                    bytes.push(*escaped);
                    self.next()?;
                }
                (byte, _) => bytes.push(byte),
            }
        }
    }

    /// What is between brackets of one kind, which may nest.
    fn bracketed(&mut self) -> Option<&'a [u8]> {
        let open = self.next()?;
        let close = match open {
            b'<' => b'>',
            b'(' => b')',
            b'[' => b']',
            b'{' => b'}',
            _ => return None,
        };
        let mut depth = 1_usize;
        let end = self.rest.iter().position(|byte| {
            depth += usize::from(*byte == open);
            depth -= usize::from(*byte == close);
            depth == 0
        })?;
        let (inside, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        // A backslash would have to be understood.
        (!inside.contains(&b'\\')).then_some(inside)
    }

    fn number(&mut self, most: usize, radix: u32) -> Option<u32> {
        let digits = self.digits(most, radix);
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
    }

    fn digits(&mut self, most: usize, radix: u32) -> &'a [u8] {
        let is_digit = |byte: &&u8| char::from(**byte).is_digit(radix);
        let (digits, rest) = self.rest.split_at(self.rest.iter().take(most).take_while(is_digit).count());
        self.rest = rest;
        digits
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn take(&mut self, prefix: &[u8]) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn spaces(&mut self) {
        let spaces = self.rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        self.rest = &self.rest[spaces..];
    }

    fn lines(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    const GENERATED: &str = r#"# -*- encoding: utf-8 -*-
# stub: racc 1.7.3 ruby lib

Gem::Specification.new do |s|
  s.name = "racc".freeze
  s.version = "1.7.3".freeze

  s.required_rubygems_version = Gem::Requirement.new(">= 0".freeze) if s.respond_to? :required_rubygems_version=
  s.require_paths = ["lib".freeze]
  s.description = "Racc\n  s.name = \"other\"\n".freeze
  s.licenses = ["Ruby".freeze, "BSD-2-Clause".freeze]
  s.rubygems_version = "3.4.10".freeze
end
"#;

    fn of(attributes: &str) -> Result<Specification, SpecificationError> {
        let base = "s.name = 'x'\ns.version = '1'\n";
        Specification::parse(format!("Gem::Specification.new do |s|\n{base}{attributes}\nend").as_bytes())
    }

    #[test]
    fn a_specification_as_rubygems_writes_it() {
        let expected = Specification {
            name: "racc".to_owned(),
            version: "1.7.3".to_owned(),
            platform: None,
            licences: vec!["Ruby".to_owned(), "BSD-2-Clause".to_owned()],
        };
        assert_eq!(Specification::parse(GENERATED.as_bytes()), Ok(expected));
    }

    #[test]
    fn names_are_read_from_every_literal() {
        let cases = [
            ("\"a\"", Some("a")),
            ("\"a\".freeze  # why", Some("a")),
            ("'it\\'s \\\\ \\n'", Some("it's \\ \\n")),
            ("%q<a<b>c>.freeze;", Some("a<b>c")),
            ("%q(a)", Some("a")),
            (r#""\"\t\x41\101\u00e9\u{1F48E}\q#""#, Some("\"\tAA\u{e9}\u{1f48e}q#")),
            ("\"a\" if s.respond_to? :name=", Some("a")),
            ("\"\\xff\"", Some("\u{fffd}")),
            ("\"a#{1}\"", None),
            ("\"a\" + \"b\"", None),
            ("\"a", None),
            ("'a\\", None),
            ("\"\\u{110000}\"", None),
            ("\"\\777\"", None),
            ("NAME", None),
            ("%q!a!", None),
            ("%q<a", None),
            ("%q<a\\>>", None),
            ("= \"a\"", None),
            ("", None),
        ];
        for (literal, expected) in cases {
            let name = of(&format!("  s.name = {literal}")).unwrap().name;
            assert_eq!(name, expected.unwrap_or("x"), "{literal}");
        }
    }

    #[test]
    fn versions_platforms_and_licences() {
        let cases: [(&str, &str, Option<&str>, &[&str]); 11] = [
            ("s.version = Gem::Version.new(\"2.0\")", "2.0", None, &[]),
            ("s.version=Gem::Version.create( '2.0'.freeze )", "2.0", None, &[]),
            ("s.version = Gem::Version.new(VERSION)", "1", None, &[]),
            ("s.version = Gem::Version.new(\"1\", \"2\")", "1", None, &[]),
            ("s.platform = \"x86_64-linux\".freeze", "1", Some("x86_64-linux"), &[]),
            ("s.platform = \"ruby\"", "1", None, &[]),
            ("s.license = \"MIT\".freeze", "1", None, &["MIT"]),
            ("s.licenses = [\n  'A', # why\n  'B',\n]", "1", None, &[]),
            ("s.licenses = [\n  'A',\n  %q<B>.freeze,\n].freeze", "1", None, &["A", "B"]),
            ("s.licenses = %w[A B].freeze", "1", None, &["A", "B"]),
            ("s.licenses = []", "1", None, &[]),
        ];
        for (attribute, version, platform, licences) in cases {
            let gem = of(attribute).unwrap();
            assert_eq!((gem.version.as_str(), gem.platform.as_deref()), (version, platform), "{attribute}");
            assert_eq!(gem.licences, licences, "{attribute}");
        }
    }

    #[test]
    fn what_is_no_specification() {
        use SpecificationError::{NoSpecification, NotSet};
        let cases = [
            ("", NoSpecification),
            ("puts 1", NoSpecification),
            ("Gem::Specification.new do |s", NoSpecification),
            ("Gem::Specification.new do |a b|", NoSpecification),
            ("Gem::Specification.new do |s|\nend", NotSet("name")),
            ("Gem::Specification.new do |s|\n s.name = \"\"\nend", NotSet("name")),
            ("Gem::Specification.new do |s|\n s.name = \"a\"\nx.version = \"1\"\nend", NotSet("version")),
        ];
        for (text, expected) in cases {
            assert_eq!(Specification::parse(text.as_bytes()), Err(expected), "{text}");
        }
        let long = format!("s.name = '{}'", "y".repeat(VALUE_LIMIT));
        assert_eq!(of(&long).unwrap().name, "x");
    }

    #[test]
    fn a_file_that_is_cut_anywhere_is_read() {
        for end in 0..GENERATED.len() {
            let parsed = Specification::parse(&GENERATED.as_bytes()[..end]);
            assert!(
                parsed.is_err()
                    || parsed.is_ok_and(|gem| gem.name == "racc" && "1.7.3".starts_with(&gem.version))
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Specification::parse(&bytes);
        }

        #[test]
        fn anything_that_looks_like_a_specification_is_read(
            lines in proptest::collection::vec(
                "s\\.(name|version|licenses) = [\\[(%\"'<>qw\\\\ux{}0-9a\\n,.\u{e9}# ]{0,12}(\"|'|\\])?", 0..6)
        ) {
            let _ = of(&lines.join("\n"));
        }
    }
}

//! The text of a Ruby's `rbconfig.rb`: where that Ruby looks for its libraries.
//!
//! The file is a Ruby program that is written by Ruby's own build in a fixed manner (tool/mkconfig.rb). It is read as
//! text, never run: lines `CONFIG["name"] = "value"` whose values refer to one another as `$(name)`, and one line for
//! `prefix`, which is found from the place of the file itself.

use std::collections::BTreeMap;

/// How many references one setting may follow in all; real ones follow about ten.
const MOST_REFERENCES: usize = 256;
/// How long a setting may get: a value that doubles with every reference gets longer.
const LONGEST: usize = 4096;

/// The settings of one Ruby.
#[derive(Debug)]
pub(crate) struct RbConfig {
    values: BTreeMap<String, String>,
}

impl RbConfig {
    /// Reads the file that lies in `folder`. Lines of another form are passed over.
    pub(crate) fn parse(text: &[u8], folder: &str) -> Self {
        let text = String::from_utf8_lossy(text);
        let mut values = BTreeMap::new();
        let mut top = None;
        for line in text.lines().map(str::trim) {
            if let Some(suffix) = top_suffix(line) {
                top = folder.strip_suffix(suffix);
            } else if let Some((name, expression)) = assignment(line)
                && let Some(value) = evaluate(expression, top)
            {
                values.insert(name.to_owned(), value);
            }
        }
        Self { values }
    }

    /// A setting with every reference put in, as `RbConfig::CONFIG` has it. `None` where there is none, or where its
    /// references do not come to an end.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let mut out = String::new();
        let mut references_left = MOST_REFERENCES;
        self.expand(self.values.get(name)?, &mut references_left, &mut out)?;
        Some(out)
    }

    fn expand(&self, mut value: &str, references_left: &mut usize, out: &mut String) -> Option<()> {
        while let Some((before, reference, after)) = next_reference(value) {
            *references_left = references_left.checked_sub(1)?;
            out.push_str(before);
            match (reference, self.values.get(reference)) {
                ("$", _) => out.push('$'),
                (_, Some(value)) => self.expand(value, references_left, out)?,
                // Ruby leaves a reference to nothing as it stands.
                (_, None) => out.push_str(&value[before.len()..value.len() - after.len()]),
            }
            if out.len() > LONGEST {
                return None;
            }
            value = after;
        }
        out.push_str(value);
        (out.len() <= LONGEST).then_some(())
    }
}

/// The text before, the name in, and the text after the first `$(name)`, `${name}` or `$$`.
fn next_reference(value: &str) -> Option<(&str, &str, &str)> {
    for (at, _) in value.match_indices('$') {
        let (before, rest) = (&value[..at], &value[at + 1..]);
        if let Some(after) = rest.strip_prefix('$') {
            return Some((before, "$", after));
        }
        let found = [('(', ')'), ('{', '}')]
            .into_iter()
            .find_map(|(open, close)| rest.strip_prefix(open)?.split_once(close))
            .filter(|(name, _)| !name.is_empty() && name.bytes().all(is_name_byte));
        if let Some((name, after)) = found {
            return Some((before, name, after));
        }
    }
    None
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// `TOPDIR = File.dirname(__FILE__).chomp!("/lib/ruby/3.4.0/x86_64-linux")`: what follows the prefix in the folder of
/// the file.
fn top_suffix(line: &str) -> Option<&str> {
    let call = line.strip_prefix("TOPDIR = File.dirname(__FILE__).chomp!(")?;
    call.strip_prefix('"')?.strip_suffix("\")")
}

/// `CONFIG["name"] = expression`
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.strip_prefix("CONFIG[\"")?.split_once("\"]")?;
    Some((name, rest.trim_start().strip_prefix('=')?.trim()))
}

/// A text in double quotes; for the prefix, `(TOPDIR || DESTDIR + "/usr")`, where `top` is TOPDIR and DESTDIR is empty.
fn evaluate(expression: &str, top: Option<&str>) -> Option<String> {
    if let Some(fallback) =
        expression.strip_prefix("(TOPDIR || DESTDIR + ").and_then(|rest| rest.strip_suffix(')'))
    {
        return top.map(str::to_owned).or_else(|| unquote(fallback));
    }
    if expression == "DESTDIR" {
        return Some(String::new());
    }
    unquote(expression)
}

/// The text of a literal in double quotes, with the escapes of quotes, backslashes and `#` that Ruby's `inspect` makes.
fn unquote(literal: &str) -> Option<String> {
    let inside = literal.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = String::with_capacity(inside.len());
    let mut letters = inside.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => out.push(letters.next()?),
            '"' => return None,
            _ => out.push(letter),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MULTIARCH: &str = r#"
# frozen-string-literal: false
module RbConfig
  TOPDIR = File.dirname(__FILE__).chomp!("/lib/x86_64-linux-gnu/ruby/3.3.0")
  DESTDIR = '' unless defined? DESTDIR
  CONFIG = {}
  CONFIG["DESTDIR"] = DESTDIR
  CONFIG["MAJOR"] = "3"
  CONFIG["prefix"] = (TOPDIR || DESTDIR + "/usr")
  CONFIG["EXEEXT"] = ""
  CONFIG["ruby_install_name"] = "$(RUBY_BASE_NAME)3.3"
  CONFIG["RUBY_BASE_NAME"] = "ruby"
  CONFIG["configure_args"] = " '--prefix=/usr' \"quoted\" \#{x}"
  CONFIG["rubyarchdir"] = "$(rubyarchprefix)/$(ruby_version)"
  CONFIG["rubylibdir"] = "${rubylibprefix}/$(ruby_version)"
  CONFIG["ruby_version"] = "3.3.0"
  CONFIG["sitedir"] = "$(DESTDIR)/usr/local/lib/site_ruby"
  CONFIG["arch"] = "x86_64-linux-gnu"
  CONFIG["archlibdir"] = "$(libdir)/$(arch)"
  CONFIG["rubyarchprefix"] = "$(archlibdir)/$(RUBY_BASE_NAME)"
  CONFIG["rubylibprefix"] = "$(libdir)/$(RUBY_BASE_NAME)"
  CONFIG["libdir"] = "$(exec_prefix)/lib"
  CONFIG["exec_prefix"] = "$(prefix)"
  CONFIG["topdir"] = File.dirname(__FILE__)
  CONFIG["dollar"] = "$$ $(none) $( $"
  CONFIG["circle"] = "$(round)"
  CONFIG["round"] = "$(circle)"
end
"#;

    #[test]
    fn values_of_a_multiarch_ruby() {
        let config = RbConfig::parse(MULTIARCH.as_bytes(), "/usr/lib/x86_64-linux-gnu/ruby/3.3.0");
        for (name, wanted) in [
            ("rubylibdir", Some("/usr/lib/ruby/3.3.0")),
            ("rubyarchdir", Some("/usr/lib/x86_64-linux-gnu/ruby/3.3.0")),
            ("sitedir", Some("/usr/local/lib/site_ruby")),
            ("ruby_install_name", Some("ruby3.3")),
            ("configure_args", Some(" '--prefix=/usr' \"quoted\" #{x}")),
            ("EXEEXT", Some("")),
            ("dollar", Some("$ $(none) $( $")),
            ("circle", None),
            ("topdir", None),
            ("none", None),
        ] {
            assert_eq!(config.get(name).as_deref(), wanted, "{name}");
        }
    }

    #[test]
    fn the_prefix_follows_the_place_of_the_file() {
        for (folder, wanted) in
            [("/opt/ruby/lib/x86_64-linux-gnu/ruby/3.3.0", "/opt/ruby"), ("/elsewhere", "/usr")]
        {
            let config = RbConfig::parse(MULTIARCH.as_bytes(), folder);
            assert_eq!(config.get("prefix").as_deref(), Some(wanted));
        }
    }

    #[test]
    fn values_that_grow_without_end_are_refused() {
        for last in ["x", ""] {
            let line = |n: usize| format!("CONFIG[\"a{n}\"] = \"$(a{next})$(a{next})\"\n", next = n + 1);
            let lines: Vec<_> =
                (0..30).map(line).chain([format!("CONFIG[\"a30\"] = \"{last}\"\n")]).collect();
            let config = RbConfig::parse(lines.concat().as_bytes(), "/");
            assert_eq!(config.get("a0"), None);
            assert_eq!(config.get("a28"), Some(last.repeat(4)));
        }
    }

    #[test]
    fn a_cut_anywhere_gives_less_but_no_panic() {
        for length in 0..MULTIARCH.len() {
            let config = RbConfig::parse(&MULTIARCH.as_bytes()[..length], "/usr/lib");
            let _ = config.get("rubylibdir");
        }
    }

    proptest! {
        #[test]
        fn never_panics(value in "[ -~]{0,40}", noise in proptest::collection::vec(any::<u8>(), 0..100)) {
            let text = [format!("CONFIG[\"a\"] = {value}\nCONFIG[\"b\"] = \"{value}\"\n").as_bytes(), &noise].concat();
            let config = RbConfig::parse(&text, "/usr");
            let _ = (config.get("a"), config.get("b"));
        }
    }
}

//! A command that is written as one text: its words, as a shell would split them (POSIX shell, 2.2 "Quoting"), and
//! whether it takes a shell to run it.

use anyhow::bail;

/// What a shell does something about, outside of quotes.
const SHELL: &str = "|&;<>()$`*?[{~#!\n";

/// Whether only a shell knows what to do with the text.
pub(crate) fn needs_shell(text: &str) -> bool {
    let mut quote = None;
    let mut escaped = false;
    for character in text.chars() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (Some(open), _) if character == open => quote = None,
            (Some('"'), '$' | '`') => return true,
            (None, '\'' | '"') => quote = Some(character),
            (None, _) if SHELL.contains(character) => return true,
            _ => {}
        }
    }
    // `NAME=value program` sets a variable.
    text.split_whitespace().next().is_some_and(|first| first.contains('=') && !first.starts_with('/'))
}

/// The words of a text that needs no shell.
pub(crate) fn split(text: &str) -> anyhow::Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (Some(open), _) if character == open => quote = None,
            (None | Some('"'), '\\') => match characters.next() {
                // Between double quotes a backslash is one, but in front of what is special there.
                Some(next) if quote.is_some() && !matches!(next, '"' | '\\' | '$' | '`') => {
                    word.get_or_insert_default().extend(['\\', next]);
                }
                Some(next) => word.get_or_insert_default().push(next),
                None => bail!("cannot read the command `{text}`: nothing follows its last backslash"),
            },
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            (_, _) => word.get_or_insert_default().push(character),
        }
    }
    if quote.is_some() {
        bail!("cannot read the command `{text}`: a quote in it has no end");
    }
    words.extend(word);
    if words.is_empty() {
        bail!("cannot run a command without words");
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_by_a_shell() {
        for (text, wanted) in [
            ("ruby -v", &["ruby", "-v"][..]),
            ("  ruby\t-e  'puts 1'  ", &["ruby", "-e", "puts 1"]),
            (r#"ruby -e "puts \"a b\"""#, &["ruby", "-e", r#"puts "a b""#]),
            (r#"echo "a\n" '\n' a\ b"#, &["echo", r"a\n", r"\n", "a b"]),
            ("a'b'\"c\"", &["abc"]),
            ("a ''", &["a", ""]),
        ] {
            assert_eq!(split(text).unwrap(), wanted, "{text}");
            assert!(!needs_shell(text), "{text}");
        }
        for text in ["", "  ", "'a", "\"a", "a\\"] {
            assert!(split(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_takes_a_shell() {
        for text in
            ["a | b", "a && b", "echo $HOME", "echo \"$HOME\"", "ls *", "a > b", "A=1 b", "a; b", "`a`"]
        {
            assert!(needs_shell(text), "{text}");
        }
        for text in ["ruby -e 'puts $0; 1 | 2'", "a \\$b", "/a=b c", "a b=c"] {
            assert!(!needs_shell(text), "{text}");
        }
    }
}

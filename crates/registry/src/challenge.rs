//! What a registry answers to those whom it does not know: the `WWW-Authenticate` header (RFC 9110, section 11.6.1).
//!
//! A *challenge* names a scheme and its parameters. Several may stand in one header, parted by the same commas as the
//! parameters of each.

use std::collections::BTreeMap;

/// One way of saying who one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// In lower case: `bearer`, `basic`.
    pub(crate) scheme: String,
    parameters: BTreeMap<String, String>,
}

impl Challenge {
    /// A parameter, its name in lower case.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// As it would be for any rights: a scope is for the request that was refused.
    pub(crate) fn without_scope(mut self) -> Self {
        self.parameters.remove("scope");
        self
    }
}

/// The challenges of a header. What is no challenge ends the reading; those before it count.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = token(rest);
        if word.is_empty() {
            return challenges;
        }
        let value = after.trim_start().strip_prefix('=');
        let Some(value) = value else {
            challenges.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: BTreeMap::new() });
            rest = after;
            continue;
        };
        let Some((value, after)) = parameter_value(value.trim_start()) else { return challenges };
        let Some(challenge) = challenges.last_mut() else { return challenges };
        challenge.parameters.insert(word.to_ascii_lowercase(), value);
        rest = after;
    }
}

/// A token (RFC 9110, section 5.6.2), and what follows.
fn token(text: &str) -> (&str, &str) {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let end = text.bytes().position(|byte| !is_token(byte)).unwrap_or(text.len());
    text.split_at(end)
}

/// A token or a quoted string, and what follows.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = token(text);
        return Some((value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(header: &str) -> String {
        let challenges = parse(header).into_iter().map(|challenge| {
            let parameters = challenge.parameters.iter().map(|(name, value)| format!(" {name}=<{value}>"));
            challenge.scheme.clone() + &parameters.collect::<String>()
        });
        challenges.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn challenges_and_their_parameters() {
        for (header, expected) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/ruby:pull""#,
                "bearer realm=<https://auth.docker.io/token> scope=<repository:library/ruby:pull> service=<registry.docker.io>",
            ),
            (r#"Basic realm="a \"b\" c, d""#, r#"basic realm=<a "b" c, d>"#),
            (
                r#"Basic realm="x", Bearer realm="y" , service=z"#,
                "basic realm=<x>; bearer realm=<y> service=<z>",
            ),
            (r#"Negotiate, Basic Realm = "x""#, "negotiate; basic realm=<x>"),
            ("Bearer", "bearer"),
            (r#"Bearer realm="open"#, "bearer"),
            (r#"realm="x""#, ""),
            ("", ""),
            ("Bearer =,", ""),
        ] {
            assert_eq!(shown(header), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic_or_run_for_ever(header in "[a-zB \"\\\\=,é\t]{0,60}") {
            parse(&header);
        }
    }
}

//! The first line of a `License` field: short names, joined by `and`, `or` and commas (copyright format 1.0, 7.2).
//!
//! `and` binds closer than `or`, and a comma in front of either makes it the loosest of all: `A or B, and C` is
//! `(A or B) and C`. There are no brackets, so nothing nests deeper than that.

use super::Expression;

/// One licence, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    /// Its words, one space between them.
    pub written: String,
    /// Its short name; words are joined by hyphens.
    pub name: String,
    /// The keywords of its exception, joined likewise: `OpenSSL` of "with OpenSSL exception".
    pub exception: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conjunction {
    And,
    Or,
}

#[derive(Debug, Clone, Copy)]
enum Token<'a> {
    Word(&'a str),
    Conjunction(Conjunction),
    Comma,
}

/// The expression that a synopsis is; `licence` says what a term is in it. Text that does not follow the grammar is
/// read as far as it does: a missing operand is passed over.
pub(super) fn parse(synopsis: &str, mut licence: impl FnMut(&Term) -> Expression) -> Option<Expression> {
    let tokens = with_commas_resolved(&tokens(synopsis));
    let groups = split_at_commas(&tokens)
        .into_iter()
        .filter_map(|(conjunction, tokens)| Some((conjunction, group(tokens, &mut licence)?)));
    combine(&groups.collect::<Vec<_>>())
}

fn tokens(synopsis: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for word in synopsis.split_whitespace() {
        let mut pieces = word.split(',').peekable();
        while let Some(piece) = pieces.next() {
            match piece.to_ascii_lowercase().as_str() {
                "" => {}
                "and" => tokens.push(Token::Conjunction(Conjunction::And)),
                "or" | "and/or" => tokens.push(Token::Conjunction(Conjunction::Or)),
                _ => tokens.push(Token::Word(piece)),
            }
            if pieces.peek().is_some() {
                tokens.push(Token::Comma);
            }
        }
    }
    tokens
}

/// Commas that are followed by no conjunction separate a list, `A, B or C`: each becomes the conjunction that is next.
fn with_commas_resolved<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut next = Conjunction::And;
    let mut resolved: Vec<Token<'a>> = Vec::with_capacity(tokens.len());
    for token in tokens.iter().rev() {
        let kept = match token {
            Token::Conjunction(conjunction) => {
                next = *conjunction;
                *token
            }
            Token::Comma if !matches!(resolved.last(), Some(Token::Conjunction(_))) => {
                Token::Conjunction(next)
            }
            Token::Comma | Token::Word(_) => *token,
        };
        resolved.push(kept);
    }
    resolved.reverse();
    resolved
}

/// The runs of tokens between commas, each with the conjunction in front of it.
fn split_at_commas<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<(Conjunction, &'t [Token<'a>])> {
    let mut conjunction = Conjunction::And;
    let mut groups = Vec::new();
    for run in tokens.split(|token| matches!(token, Token::Comma)) {
        match run {
            [Token::Conjunction(leading), rest @ ..] => groups.push((*leading, rest)),
            _ => groups.push((conjunction, run)),
        }
        conjunction = Conjunction::And;
    }
    groups
}

/// A run without commas.
fn group(tokens: &[Token<'_>], licence: &mut impl FnMut(&Term) -> Expression) -> Option<Expression> {
    let mut terms = Vec::new();
    let mut conjunction = Conjunction::And;
    for run in tokens.chunk_by(|one, other| matches!((one, other), (Token::Word(_), Token::Word(_)))) {
        match run {
            [Token::Conjunction(next)] => conjunction = *next,
            words => {
                let words: Vec<&str> = words
                    .iter()
                    .filter_map(|token| match token {
                        Token::Word(word) => Some(*word),
                        Token::Conjunction(_) | Token::Comma => None,
                    })
                    .collect();
                terms.push((conjunction, licence(&Term::of(&words))));
            }
        }
    }
    combine(&terms)
}

/// Operands, each with the conjunction in front of it (that of the first means nothing), where `and` binds closer.
fn combine(operands: &[(Conjunction, Expression)]) -> Option<Expression> {
    let runs = operands.chunk_by(|_, (conjunction, _)| *conjunction == Conjunction::And);
    let all = runs.filter_map(|run| Expression::all(run.iter().map(|(_, operand)| operand.clone())));
    Expression::any(all)
}

impl Term {
    fn of(words: &[&str]) -> Self {
        let written = words.join(" ");
        let with = words.iter().position(|word| word.eq_ignore_ascii_case("with")).filter(|place| *place > 0);
        if let Some((name, [_, keywords @ ..])) = with.and_then(|place| words.split_at_checked(place)) {
            let keywords = match keywords {
                [keywords @ .., last] if is_exception(last) => keywords,
                all => all,
            };
            return Self { written, name: name.join("-"), exception: Some(keywords.join("-")) };
        }
        let name = words.join("-");
        match dashed_exception(&name) {
            Some((base, keywords)) => {
                Self { written, name: base.to_owned(), exception: Some(keywords.to_owned()) }
            }
            None => Self { written, name, exception: None },
        }
    }
}

fn is_exception(word: &str) -> bool {
    word.eq_ignore_ascii_case("exception") || word.eq_ignore_ascii_case("exceptions")
}

/// `GPL-2+` and `autoconf` of `GPL-2+-with-autoconf-exception`, which is how many write it to have one word.
fn dashed_exception(name: &str) -> Option<(&str, &str)> {
    // Lower case for ASCII keeps every byte in its place.
    let lower = name.to_ascii_lowercase();
    let with = lower.find("-with-")?;
    let keywords = with + "-with-".len();
    let end = lower.strip_suffix("-exception")?.len();
    Some((name.get(..with)?, name.get(keywords..end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(synopsis: &str) -> String {
        let expression = parse(synopsis, |term| {
            let exception = term.exception.as_ref().map(|keywords| format!("[{keywords}]"));
            Expression::Licence(term.name.clone() + &exception.unwrap_or_default())
        });
        expression.map(|expression| expression.to_string()).unwrap_or_default()
    }

    #[test]
    fn precedence_commas_and_exceptions() {
        let cases = [
            ("GPL-2+", "GPL-2+"),
            ("GPL-1+ or Artistic", "GPL-1+ OR Artistic"),
            ("A or B and C", "A OR (B AND C)"),
            ("A and B or C", "(A AND B) OR C"),
            ("A or B, and C", "(A OR B) AND C"),
            ("REGCOMP, and GPL-1+ or Artistic", "REGCOMP AND (GPL-1+ OR Artistic)"),
            ("A and B, or C and D", "(A AND B) OR (C AND D)"),
            ("A, B or C", "A OR B OR C"),
            ("A, B and C", "A AND B AND C"),
            ("A, B", "A AND B"),
            ("A AND B Or A", "(A AND B) OR A"),
            ("A and/or B", "A OR B"),
            ("A or A", "A"),
            ("GPL-2+ with OpenSSL exception", "GPL-2+[OpenSSL]"),
            ("GPL-2+ with OpenSSL exception or Expat", "GPL-2+[OpenSSL] OR Expat"),
            ("GPL-3+ with GCC Runtime Library exception", "GPL-3+[GCC-Runtime-Library]"),
            ("GPL-3+-WITH-BISON-EXCEPTION", "GPL-3+[BISON]"),
            ("GPL-2+-with-exception", "GPL-2+-with-exception"),
            ("BSD 3 clause", "BSD-3-clause"),
            ("with some exception", "with-some-exception"),
        ];
        for (synopsis, expected) in cases {
            assert_eq!(read(synopsis), expected, "{synopsis}");
        }
    }

    #[test]
    fn what_does_not_follow_the_grammar_is_read_as_far_as_it_does() {
        let cases = [
            ("", ""),
            ("and", ""),
            (", , ,", ""),
            ("or or A", "A"),
            ("A and", "A"),
            ("A and or B", "A OR B"),
            ("A,, B", "A AND B"),
            (",and A ,or, B", "A OR B"),
        ];
        for (synopsis, expected) in cases {
            assert_eq!(read(synopsis), expected, "{synopsis}");
        }
    }
}

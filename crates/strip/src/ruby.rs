//! Ruby code without what its comments say.
//!
//! A *magic comment* is one that the parser obeys (Ruby's documentation, "Comments, Magic Comments"). Comments are found
//! by Ruby's own parser, so what looks like one in a string, in a here document, or behind `__END__` stays.
//!
//! Invariants: every line keeps its number and every column of code its place; magic comments, the interpreter line,
//! and lines about copyright stay; and so does the `#` of a comment that stands before a line which goes on with the
//! expression above it. Without it the line would be blank, and a blank line ends what a comment does not end.

use std::ops::Range;

use ruby_prism::{CommentType, Location};

/// More than any program that people write. The parser's memory grows with its input.
const LONGEST: usize = 16 << 20;

/// The words of magic comments that count on any line, in small letters.
const MAGIC: [&[u8]; 6] =
    [b"-*-", b"frozen_string", b"frozen-string", b"warn_indent", b"warn-indent", b"shareable"];

/// What says whose the code is, in small letters: whoever passes code on has to pass it on too.
const LEGAL: [&[u8]; 3] = [b"copyright", b"licen", b"(c)"];

/// The code with empty comments.
///
/// `None` where the bytes stay as they are: code that the parser does not accept, as that of another version of Ruby; and
/// code without anything to take away.
pub fn comments(source: &[u8]) -> Option<Vec<u8>> {
    // What has no comment at all need not be parsed.
    if source.len() > LONGEST || memchr::memchr2(b'#', b'=', source).is_none() {
        return None;
    }
    let parsed = ruby_prism::parse(source);
    if parsed.is_failure() {
        return None;
    }
    let mut out = Vec::with_capacity(source.len());
    let mut copied = 0;
    let comments: Vec<_> = parsed.comments().collect();
    let ranges: Vec<_> = comments.iter().map(|comment| range(&comment.location())).collect();
    for (index, comment) in comments.iter().enumerate() {
        let Range { start, end } = ranges[index];
        let text = source.get(start..end)?;
        let before = source.get(copied..start)?;
        match comment.type_() {
            CommentType::EmbDocComment => {
                out.extend_from_slice(before);
                empty_document(text, &mut out);
            }
            CommentType::InlineComment if has_effect(source, start, text) => {
                out.extend_from_slice(before);
                out.extend_from_slice(text);
            }
            CommentType::InlineComment => match indentation(before, copied == 0) {
                Some(indentation) => {
                    out.extend_from_slice(&before[..before.len() - indentation]);
                    out.extend(goes_on(source, &ranges[index..]).then_some(b'#'));
                }
                None => out.extend_from_slice(without_space(before)),
            },
        }
        copied = end;
    }
    out.extend_from_slice(source.get(copied..)?);
    (out.len() < source.len()).then_some(out)
}

fn range(location: &Location<'_>) -> Range<usize> {
    location.start() as usize..location.end() as usize
}

/// Whether the code behind the first of these comments goes on with the expression before it: with a call of what it
/// gives, or with an operator.
fn goes_on(source: &[u8], comments: &[Range<usize>]) -> bool {
    let mut next = comments.iter().skip(1);
    let mut at = comments[0].end;
    loop {
        let Some(rest) = source.get(at..) else { return false };
        at = source.len() - rest.trim_ascii_start().len();
        match next.next() {
            Some(comment) if comment.start == at => at = comment.end,
            _ => {
                return [&b"."[..], b"&", b"|", b"and", b"or"]
                    .iter()
                    .any(|word| source[at..].starts_with(word));
            }
        }
    }
}

/// Keeps the lines of a document that is a comment, without what they say, but for lines about copyright.
fn empty_document(text: &[u8], out: &mut Vec<u8>) {
    for (number, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let mark: &[u8] = if number == 0 { b"=begin" } else { b"=end" };
        if is_about_copyright(line) {
            out.extend_from_slice(line);
            continue;
        }
        if line.starts_with(mark) {
            out.extend_from_slice(mark);
        }
        out.extend(line.ends_with(b"\n").then_some(b'\n'));
    }
}

/// Whether somebody obeys a comment, or has to be able to read it.
fn has_effect(source: &[u8], start: usize, text: &[u8]) -> bool {
    let lower = text.to_ascii_lowercase();
    let has = |word: &[u8]| memchr::memmem::find(&lower, word).is_some();
    let is_interpreter_line = start == 0 && text.starts_with(b"#!");
    // The encoding is read from the first line, or the second.
    let may_say_encoding = memchr::memchr_iter(b'\n', &source[..start]).nth(1).is_none();
    is_interpreter_line
        || (may_say_encoding && has(b"coding"))
        || MAGIC.iter().any(|word| has(word))
        || is_about_copyright(text)
}

fn is_about_copyright(text: &[u8]) -> bool {
    let lower = text.to_ascii_lowercase();
    LEGAL.iter().any(|word| memchr::memmem::find(&lower, word).is_some())
}

/// How far a comment is from the start of its line, where nothing else stands before it.
fn indentation(before: &[u8], is_first: bool) -> Option<usize> {
    let line = memchr::memrchr(b'\n', before).map(|newline| newline + 1).or(is_first.then_some(0))?;
    before[line..].iter().all(|byte| matches!(byte, b' ' | b'\t')).then_some(before.len() - line)
}

/// Code without the space behind it, unless that may be a character: `?\ `.
fn without_space(code: &[u8]) -> &[u8] {
    let end = code.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
    if matches!(code[..end].last(), Some(b'\\' | b'?')) { code } else { &code[..end] }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comments_say_nothing_any_more() {
        for (source, stripped) in [
            ("a = 1 # one\nb\n", "a = 1\nb\n"),
            ("  # why\na\n", "\na\n"),
            ("a\n\n  # one\n  # two\nb", "a\n\n\n\nb"),
            ("foo\n  # chained\n  .bar # here\n", "foo\n#\n  .bar\n"),
            ("foo\n# one\n  # two\n  &.bar\n# three\n", "foo\n#\n#\n  &.bar\n\n"),
            ("#\na\n", "\na\n"),
            ("=begin rdoc\nwords\n=end words\na\n", "=begin\n\n=end\na\n"),
            ("x = ?\\  # a space\n", "x = ?\\  \n"),
            ("\"#{a # inside\n}\"\n", "\"#{a\n}\"\n"),
            ("puts 1 # last", "puts 1"),
        ] {
            assert_eq!(text(comments(source.as_bytes())).as_deref(), Some(stripped), "{source}");
        }
    }

    #[test]
    fn what_is_obeyed_or_is_no_comment_stays() {
        for source in [
            "#!/usr/bin/env ruby\nputs\n",
            "# encoding: euc-jp\nputs\n",
            "#!/usr/bin/ruby\n# coding: utf-8\nputs\n",
            "# -*- ruby -*-\n",
            "\n\n# frozen_string_literal: true\nputs\n",
            "# Copyright (C) 2020 somebody\n",
            "a = '# no comment'\n",
            "a = <<~TEXT\n  # no comment\nTEXT\n",
            "%w[# a]\n",
            "puts DATA.read\n__END__\n# data\n",
            "a b c d )( # not Ruby\n",
            "",
        ] {
            assert_eq!(text(comments(source.as_bytes())), None, "{source}");
        }
        let license = "=begin\nwords\nCopyright 2020\n=end\na # b\n";
        assert_eq!(text(comments(license.as_bytes())).unwrap(), "=begin\n\nCopyright 2020\n=end\na\n");
    }

    fn text(bytes: Option<Vec<u8>>) -> Option<String> {
        bytes.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    proptest! {
        #[test]
        fn lines_keep_their_numbers_and_nothing_is_left_to_do(
            parts in proptest::collection::vec(
                prop::sample::select(vec![
                    "a", " ", "\n", "# c\n", "=begin\n", "=end\n", ".b", "'", "\"#{", "}\"", "<<~E\n", "E\n", "?\\ ",
                    "(", ")", "do\n", "end\n", "__END__\n", "\r\n", "%w[", "]", "/", "é", "\\\n",
                ]),
                0..40,
            ),
        ) {
            let source = parts.concat();
            if let Some(stripped) = comments(source.as_bytes()) {
                let lines = |bytes: &[u8]| memchr::memchr_iter(b'\n', bytes).count();
                prop_assert_eq!(lines(&stripped), lines(source.as_bytes()));
                prop_assert_eq!(comments(&stripped), None);
            }
        }

        #[test]
        fn never_panics_on_noise(noise in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = comments(&noise);
        }
    }
}

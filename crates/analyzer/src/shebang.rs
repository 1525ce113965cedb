//! The first line of a script: which interpreter the kernel starts for it, and which program `env` looks up then
//! (execve(2), env(1)).

/// How much of a script the kernel looks at (`BINPRM_BUF_SIZE` since Linux 5.1).
pub(crate) const KERNEL_LIMIT: usize = 256;

/// What the first line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shebang<'a> {
    /// The interpreter, as written.
    pub(crate) interpreter: &'a [u8],
    /// The program that `env` looks up in `PATH`, where the interpreter is `env`.
    pub(crate) program: Option<&'a [u8]>,
}

/// Reads the first line of a script. `None` where the kernel would take the file for no script.
pub(crate) fn parse(bytes: &[u8]) -> Option<Shebang<'_>> {
    let head = bytes[..bytes.len().min(KERNEL_LIMIT)].strip_prefix(b"#!")?;
    let line = match memchr::memchr2(b'\n', 0, head) {
        Some(end) => &head[..end],
        None => head,
    };
    let line = trim_blanks(line);
    let end = memchr::memchr2(b' ', b'\t', line).unwrap_or(line.len());
    let (interpreter, argument) = line.split_at(end);
    if interpreter.is_empty() {
        return None;
    }
    let is_env = interpreter.rsplit(|&byte| byte == b'/').next() == Some(b"env");
    let program = is_env.then(|| env_program(trim_blanks(argument))).flatten();
    Some(Shebang { interpreter, program })
}

/// The kernel takes spaces and tabs for blanks, but no carriage return.
fn trim_blanks(mut line: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = line {
        line = rest;
    }
    line
}

/// The program that `env` runs for the one argument that the kernel hands it. Without `-S` the whole argument is one
/// word, blanks and all.
fn env_program(argument: &[u8]) -> Option<&[u8]> {
    let Some(words) = split_argument(argument) else {
        let is_program = !argument.is_empty() && !argument.starts_with(b"-") && !argument.contains(&b'=');
        return is_program.then_some(argument);
    };
    let mut words = words.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        match word {
            b"-u" | b"-C" | b"--unset" | b"--chdir" => _ = words.next(),
            _ if word.starts_with(b"-") || word.contains(&b'=') => {}
            _ => return Some(word),
        }
    }
    None
}

/// What follows `-S` (also in `-vS`, and as the long option).
fn split_argument(argument: &[u8]) -> Option<&[u8]> {
    [&b"-S"[..], b"-vS", b"-iS", b"--split-string="].iter().find_map(|option| argument.strip_prefix(*option))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn first_lines() {
        let long = format!("#!/bin/{}\n", "x".repeat(300));
        for (script, wanted) in [
            ("#!/usr/bin/ruby3.3\nputs 1\n", Some(("/usr/bin/ruby3.3", None))),
            ("#! /bin/sh -e", Some(("/bin/sh", None))),
            ("#!/bin/sh\r\n", Some(("/bin/sh\r", None))),
            ("#!\t/usr/bin/perl\t-w \n", Some(("/usr/bin/perl", None))),
            ("#!/usr/bin/env ruby\n", Some(("/usr/bin/env", Some("ruby")))),
            ("#!/usr/bin/env  ruby  \n", Some(("/usr/bin/env", Some("ruby")))),
            ("#!/usr/bin/env ruby -w\n", Some(("/usr/bin/env", Some("ruby -w")))),
            ("#!/usr/bin/env -S ruby -w\n", Some(("/usr/bin/env", Some("ruby")))),
            ("#!/usr/bin/env -Sruby -w\n", Some(("/usr/bin/env", Some("ruby")))),
            ("#!/usr/bin/env -vS -i A=1 -u B ruby\n", Some(("/usr/bin/env", Some("ruby")))),
            ("#!/usr/bin/env --split-string=ruby\n", Some(("/usr/bin/env", Some("ruby")))),
            ("#!/usr/bin/env\n", Some(("/usr/bin/env", None))),
            ("#!/usr/bin/env A=1\n", Some(("/usr/bin/env", None))),
            ("#!/usr/bin/environment ruby\n", Some(("/usr/bin/environment", None))),
            ("#!\nruby\n", None),
            ("#!  ", None),
            ("#", None),
            ("", None),
            ("\u{feff}#!/bin/sh\n", None),
            (&long, Some((&long[2..256], None))),
        ] {
            let found = parse(script.as_bytes());
            let wanted = wanted.map(|(interpreter, program): (&str, Option<&str>)| Shebang {
                interpreter: interpreter.as_bytes(),
                program: program.map(str::as_bytes),
            });
            assert_eq!(found, wanted, "{script:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
            let _ = parse(&[b"#!/usr/bin/env ", bytes.as_slice()].concat());
        }
    }
}

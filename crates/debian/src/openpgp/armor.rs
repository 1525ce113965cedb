//! Text forms: ASCII armour (RFC 9580, section 6.2) and the cleartext signature framework (section 7).
//!
//! Both are read strictly. Of a cleartext message only what was signed comes out, in the form in which it was signed;
//! text before it, after it or between its parts refuses the whole message. The checksum of an armour is not
//! looked at, as section 6.1 asks: it protects nothing that a signature does not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Malformed;

const KEY: &str = "PGP PUBLIC KEY BLOCK";
const SIGNATURE: &str = "PGP SIGNATURE";
const MESSAGE_BEGIN: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE_BEGIN: &[u8] = b"-----BEGIN PGP SIGNATURE-----";

/// A cleartext message in its parts.
#[derive(Debug)]
pub(super) struct Cleartext {
    /// The signed text: no dash-escapes, no white space at the ends of lines, lines joined by one line feed.
    pub(super) text: String,
    /// The packets of the signature.
    pub(super) signature: Vec<u8>,
}

/// Takes a cleartext message apart.
pub(super) fn cleartext(message: &[u8]) -> Result<Cleartext, Malformed> {
    let mut lines = Lines(message);
    if lines.next_line() != Some(MESSAGE_BEGIN) {
        return Err(Malformed("it does not begin with a signed message"));
    }
    loop {
        match lines.next_line() {
            Some(b"") => break,
            Some(header) if header.starts_with(b"Hash: ") => {}
            _ => return Err(Malformed("the signed message has a header that is no `Hash`")),
        }
    }
    let mut text = Vec::with_capacity(message.len());
    let mut signature = loop {
        let before = lines;
        let line = lines.next_line().ok_or(Malformed("the signed message has no signature"))?;
        if line == SIGNATURE_BEGIN {
            break before;
        }
        let line = match line.strip_prefix(b"- ") {
            Some(escaped) => escaped,
            None if line.starts_with(b"-") => return Err(Malformed("a dash in the text is not escaped")),
            None => line,
        };
        if memchr::memchr2(b'\r', 0, line).is_some() {
            return Err(Malformed("the text has a control character"));
        }
        text.extend(without_trailing_blanks(line));
        text.push(b'\n');
    };
    text.pop();
    let text = String::from_utf8(text).map_err(|_| Malformed("the text is not UTF-8"))?;
    Ok(Cleartext { text, signature: dearmor(&mut signature, SIGNATURE)? })
}

/// The packets of each armoured key in a file.
pub(super) fn keys(file: &[u8]) -> Result<Vec<Vec<u8>>, Malformed> {
    let mut rest = Lines(file.trim_ascii_start());
    let mut keys = Vec::new();
    while !rest.0.is_empty() {
        keys.push(armored_block(&mut rest, KEY)?);
        rest.0 = rest.0.trim_ascii_start();
    }
    Ok(keys)
}

/// The only thing in `lines`: one armoured block.
fn dearmor(lines: &mut Lines<'_>, kind: &str) -> Result<Vec<u8>, Malformed> {
    let packets = armored_block(lines, kind)?;
    if !lines.0.trim_ascii().is_empty() {
        return Err(Malformed("there is text after the signature"));
    }
    Ok(packets)
}

fn armored_block(lines: &mut Lines<'_>, kind: &str) -> Result<Vec<u8>, Malformed> {
    let is_edge = |line: &[u8], edge: &str| line == format!("-----{edge} {kind}-----").as_bytes();
    if !lines.next_line().is_some_and(|line| is_edge(line, "BEGIN")) {
        return Err(Malformed("no armour begins where one should"));
    }
    // Headers, which say nothing that matters, up to an empty line.
    loop {
        match lines.next_line() {
            Some(line) if line.trim_ascii().is_empty() => break,
            Some(line) if memchr::memmem::find(line, b": ").is_some() => {}
            _ => return Err(Malformed("an armour has a malformed header")),
        }
    }
    let mut digits = Vec::new();
    let mut finished = false;
    while let Some(line) = lines.next_line() {
        if is_edge(line, "END") {
            return STANDARD.decode(&digits).map_err(|_| Malformed("an armour is not Base64"));
        }
        if finished {
            break;
        }
        if line.first() == Some(&b'=') {
            finished = true;
        } else {
            digits.extend(line.trim_ascii_end());
        }
    }
    Err(Malformed("an armour does not end"))
}

/// Lines, without their line ends (LF or CRLF).
#[derive(Debug, Clone, Copy)]
struct Lines<'a>(&'a [u8]);

impl<'a> Lines<'a> {
    fn next_line(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', self.0);
        let (line, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest.get(1..).unwrap_or_default();
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// Without the spaces and tabs at the end of a line: just those two are not part of what is signed.
fn without_trailing_blanks(line: &[u8]) -> &[u8] {
    let kept = line.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
    &line[..kept]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{text}\n\
             -----BEGIN PGP SIGNATURE-----\nComment: none\n\nAAEC\n=abcd\n-----END PGP SIGNATURE-----\n"
        )
    }

    #[test]
    fn the_text_comes_out_as_it_was_signed() {
        let cases = [
            ("one\ntwo", "one\ntwo"),
            ("one\n\ntwo\n", "one\n\ntwo\n"),
            ("blanks \t\nat ends ", "blanks\nat ends"),
            ("- -----BEGIN PGP SIGNATURE-----", "-----BEGIN PGP SIGNATURE-----"),
            ("- From here\n- - there", "From here\n- there"),
            ("", ""),
        ];
        for (written, signed) in cases {
            for message in [message(written), message(written).replace('\n', "\r\n")] {
                let parts = cleartext(message.as_bytes()).unwrap();
                assert_eq!((parts.text.as_str(), &*parts.signature), (signed, &[0, 1, 2][..]), "{message}");
            }
        }
    }

    #[test]
    fn anything_beside_the_signed_text_is_refused() {
        let good = message("text");
        let cases = [
            format!("Origin: evil\n{good}"),
            format!("\n{good}"),
            format!("{good}Origin: evil\n"),
            format!("{good}{good}"),
            good.replace("Hash:", "Comment:"),
            good.replace("SHA256\n\n", "SHA256\n"),
            good.replace("text", "-text"),
            good.replace("text", "te\rxt"),
            good.replace("text", "te\0xt"),
            good.replace("AAEC", "AAE"),
            good.replace("AAEC", "AA*C"),
            good.replace("=abcd\n", "=abcd\nAAEC\n"),
            good.replace("-----END", "-----FIN"),
            good.replace("BEGIN PGP SIGNATURE", "BEGIN PGP MESSAGE"),
        ];
        for message in cases {
            assert!(cleartext(message.as_bytes()).is_err(), "{message}");
        }
        for length in 0..good.len() - 1 {
            assert!(cleartext(&good.as_bytes()[..length]).is_err(), "cut at {length}");
        }
    }
}

//! The records of a pax extended header: `LENGTH KEY=VALUE\n`, where LENGTH counts the whole record (pax, IEEE Std
//! 1003.1, "pax Extended Header"). They override the fields of the header that follows.

use std::collections::BTreeMap;

/// The prefix of an extended attribute's key, as every Linux tar writes it.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// What stands before a header and overrides it: pax records, or the long names of GNU.
#[derive(Debug, Default)]
pub(crate) struct Extended<'a> {
    pub(crate) path: Option<&'a [u8]>,
    pub(crate) link: Option<&'a [u8]>,
    pub(crate) size: Option<u64>,
    pub(crate) mtime: Option<i64>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) xattrs: BTreeMap<&'a [u8], &'a [u8]>,
}

/// Why an extended header cannot be taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PaxFault<'a> {
    /// It is no list of records.
    Malformed,
    /// The value of this key is not what the key wants.
    Value(&'a [u8]),
    /// The key changes how contents are read, in a way not known here.
    Unsupported(&'a [u8]),
}

impl<'a> Extended<'a> {
    /// Takes the records in `text`. A later record wins over an earlier one; an empty value takes one back.
    pub(crate) fn apply(&mut self, text: &'a [u8]) -> Result<(), PaxFault<'a>> {
        for record in Records(text) {
            let (key, value) = record?;
            match key {
                b"path" => self.path = Some(value).filter(|value| !value.is_empty()),
                b"linkpath" => self.link = Some(value).filter(|value| !value.is_empty()),
                b"size" => self.size = parsed(key, value, decimal)?,
                b"uid" => self.uid = parsed(key, value, decimal)?,
                b"gid" => self.gid = parsed(key, value, decimal)?,
                b"mtime" => self.mtime = parsed(key, value, seconds)?,
                _ if key.starts_with(b"GNU.sparse.") => return Err(PaxFault::Unsupported(key)),
                _ => match key.strip_prefix(XATTR) {
                    Some(b"") => return Err(PaxFault::Value(key)),
                    Some(name) => drop(self.xattrs.insert(name, value)),
                    // Times of access, names of owners, comments: nothing here uses them.
                    None => {}
                },
            }
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.path.is_none()
            && self.link.is_none()
            && self.size.is_none()
            && self.mtime.is_none()
            && self.uid.is_none()
            && self.gid.is_none()
            && self.xattrs.is_empty()
    }
}

/// Refuses a global header that would change anything: only comments, as `git archive` writes them, are harmless.
pub(crate) fn check_global(text: &[u8]) -> Result<(), PaxFault<'_>> {
    for record in Records(text) {
        let (key, _) = record?;
        if key != b"comment" {
            return Err(PaxFault::Unsupported(key));
        }
    }
    Ok(())
}

struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), PaxFault<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let record = split_record(self.0);
        self.0 = record.map_or(&[], |(_, rest)| rest);
        Some(record.map(|(record, _)| record).ok_or(PaxFault::Malformed))
    }
}

type Record<'a> = (&'a [u8], &'a [u8]);

fn split_record(text: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let space = memchr::memchr(b' ', text)?;
    let length = decimal(&text[..space])?;
    let record = text.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = memchr::memchr(b'=', record)?;
    let (key, value) = (&record[..equals], &record[equals + 1..]);
    (!key.is_empty()).then_some(((key, value), &text[length..]))
}

fn parsed<'a, T>(
    key: &'a [u8],
    value: &[u8],
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Result<Option<T>, PaxFault<'a>> {
    match value {
        b"" => Ok(None),
        _ => parse(value).map(Some).ok_or(PaxFault::Value(key)),
    }
}

/// Digits and nothing else; no sign, which `str::parse` would take.
fn decimal<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(text).ok()?.parse().ok())?
}

/// Whole seconds of a decimal time stamp, rounded down as all times are.
fn seconds(text: &[u8]) -> Option<i64> {
    let (whole, fraction) = match memchr::memchr(b'.', text) {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &b""[..]),
    };
    let digits = whole.strip_prefix(b"-").unwrap_or(whole);
    if digits.is_empty() || !digits.iter().chain(fraction).all(u8::is_ascii_digit) {
        return None;
    }
    let rounding = digits.len() < whole.len() && fraction.iter().any(|&digit| digit != b'0');
    let whole: i64 = std::str::from_utf8(whole).ok()?.parse().ok()?;
    whole.checked_sub(rounding.into())
}

/// The records to write before a header that cannot hold everything itself.
#[derive(Debug, Default)]
pub(crate) struct NewRecords(Vec<u8>);

impl NewRecords {
    pub(crate) fn push(&mut self, key: &str, value: &[u8]) {
        self.push_bytes(key.as_bytes(), value);
    }

    /// `name` must have no `=`, which would end the key.
    pub(crate) fn push_xattr(&mut self, name: &[u8], value: &[u8]) {
        self.push_bytes(&[XATTR, name].concat(), value);
    }

    fn push_bytes(&mut self, key: &[u8], value: &[u8]) {
        // The length counts its own digits: it grows until it is right.
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length.to_string().len() + rest != length {
            length = length.to_string().len() + rest;
        }
        self.0.extend_from_slice(format!("{length} ").as_bytes());
        for part in [key, b"=", value, b"\n"] {
            self.0.extend_from_slice(part);
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read() {
        let mut extended = Extended::default();
        extended
            .apply(b"12 path=a/b\n11 size=12\n19 mtime=1700000.9\n9 uid=70\n27 SCHILY.xattr.user.x=\0=\n\n10 atime=\n")
            .unwrap();
        assert_eq!(extended.path, Some(&b"a/b"[..]));
        assert_eq!((extended.size, extended.mtime, extended.uid), (Some(12), Some(1_700_000), Some(70)));
        assert_eq!(extended.xattrs.into_iter().collect::<Vec<_>>(), [(&b"user.x"[..], &b"\0=\n"[..])]);
    }

    #[test]
    fn an_empty_value_takes_an_earlier_one_back() {
        let mut extended = Extended::default();
        extended.apply(b"12 path=a/b\n8 path=\n10 size=1\n8 size=\n").unwrap();
        assert!(extended.is_empty());
    }

    #[test]
    fn what_is_no_list_of_records_is_refused() {
        for (text, wanted) in [
            (&b"x"[..], PaxFault::Malformed),
            (b"12", PaxFault::Malformed),
            (b"12 path=a/b", PaxFault::Malformed),
            (b"13 path=a/b\n", PaxFault::Malformed),
            (b"11 path=a/b\n", PaxFault::Malformed),
            (b"+12 path=a/b\n", PaxFault::Malformed),
            (b"99999999999999999999999 path=a/b\n", PaxFault::Malformed),
            (b"0 path=a/b\n", PaxFault::Malformed),
            (b"2 path=a/b\n", PaxFault::Malformed),
            (b"8 novalu\n", PaxFault::Malformed),
            (b"6 =ab\n", PaxFault::Malformed),
            (b"12 size=0x1\n", PaxFault::Value(b"size")),
            (b"11 size=-1\n", PaxFault::Value(b"size")),
            (b"19 uid=99999999999\n", PaxFault::Value(b"uid")),
            (b"11 mtime=x\n", PaxFault::Value(b"mtime")),
            (b"18 SCHILY.xattr.=\n", PaxFault::Value(b"SCHILY.xattr.")),
            (b"22 GNU.sparse.major=1\n", PaxFault::Unsupported(b"GNU.sparse.major")),
        ] {
            assert_eq!(Extended::default().apply(text), Err(wanted), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_global_header_may_hold_comments_only() {
        assert_eq!(check_global(b"13 comment=x\n"), Ok(()));
        assert_eq!(check_global(b"10 path=x\n"), Err(PaxFault::Unsupported(b"path")));
    }

    #[test]
    fn times_are_rounded_down() {
        for (text, wanted) in [
            ("0", Some(0)),
            ("1700000000.999", Some(1_700_000_000)),
            ("-1", Some(-1)),
            ("-1.5", Some(-2)),
            ("-1.0", Some(-1)),
            ("-0.5", Some(-1)),
            ("-9223372036854775807.5", Some(i64::MIN)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("-9223372036854775808.5", None),
            ("9223372036854775808", None),
            ("+1", None),
            ("1.x", None),
            (".5", None),
            ("--1", None),
        ] {
            assert_eq!(seconds(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back_at_every_length() {
        for length in 1..1200 {
            let value = vec![b'v'; length];
            let mut records = NewRecords::default();
            records.push("path", &value);
            records.push_xattr(b"user.a", &value);
            let mut extended = Extended::default();
            extended.apply(records.as_bytes()).unwrap();
            assert_eq!(extended.path, Some(&*value));
            assert_eq!(extended.xattrs[&b"user.a"[..]], &*value);
        }
    }
}

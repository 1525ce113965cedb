//! `Release` files: what a suite consists of, from when it is and until when (Debian repository format, "Release
//! files").
//!
//! A [`Release`] is only parsed from text; whether it may be relied on is for [`Release::check`] to say, after its
//! signature was verified.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use schema::Digest;

use crate::control::{self, ControlError};
use crate::openpgp::CLOCK_TOLERANCE;
use crate::suite::Suite;

/// A text that is no `Release` file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// It is no control data.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A field that every suite has is missing.
    #[error("it has no field `{0}`")]
    Missing(&'static str),
    /// A date is none.
    #[error("its `{field}` is `{value}`, which is no date")]
    Date {
        /// The field.
        field: &'static str,
        /// What it says.
        value: String,
    },
    /// A line of the list of files is malformed, or names a file for the second time.
    #[error("its `SHA256` has the line `{0}`")]
    File(String),
}

/// Why the index of a suite is refused, though its signature is good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is of another suite.
    #[error("it is the index of `{0}`")]
    OtherSuite(String),
    /// Its time is over.
    #[error("it was valid until {0}")]
    Expired(Timestamp),
    /// It is from the future.
    #[error("it is dated {0}, which is in the future")]
    FromFuture(Timestamp),
    /// A newer one was seen before.
    #[error("it is dated {date}, but one of {seen} was seen before")]
    Replayed {
        /// The date of this one.
        date: Timestamp,
        /// The date of the other one.
        seen: Timestamp,
    },
}

impl Refusal {
    /// The next step for the person who reads it.
    pub(crate) const fn hint(&self) -> &'static str {
        match self {
            Self::OtherSuite(_) => "the mirror serves another suite under this name: use another mirror",
            Self::Expired(_) => {
                "the mirror is behind, or the clock is wrong: use another mirror; if nobody updates the \
                suite any more, mark its distro as archived in matrix.toml"
            }
            Self::FromFuture(_) => "set the clock of this machine",
            Self::Replayed { .. } => "the mirror is behind: wait for it, or use another one",
        }
    }
}

/// A file of a suite: its size and its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexFile {
    /// Bytes.
    pub(crate) size: u64,
    /// Their digest.
    pub(crate) digest: Digest,
}

/// What a suite consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    /// The name that stays, as `trixie`; or the other one, where there is no such name.
    codename: String,
    /// The name that moves on to the next release, as `stable`.
    suite: Option<String>,
    /// When it was made.
    pub(crate) date: Timestamp,
    /// When it stops being valid, if it does.
    pub(crate) valid_until: Option<Timestamp>,
    /// Whether its files can be had under their digests.
    pub(crate) by_hash: bool,
    files: BTreeMap<String, IndexFile>,
}

impl Release {
    /// Parses the text of a `Release` file.
    ///
    /// # Errors
    /// When a field is missing or malformed.
    pub(crate) fn parse(text: &str) -> Result<Self, ReleaseError> {
        let fields = control::paragraph(text)?;
        let needed = |name| fields.get(name).ok_or(ReleaseError::Missing(name));
        let suite = fields.get("Suite");
        let codename = fields.get("Codename").or(suite).ok_or(ReleaseError::Missing("Codename"))?;
        let mut files = BTreeMap::new();
        needed("SHA256")?;
        for line in fields.lines("SHA256") {
            let malformed = || ReleaseError::File(line.to_owned());
            let (name, file) = parse_file(line).ok_or_else(malformed)?;
            if files.insert(name.to_owned(), file).is_some_and(|earlier| earlier != file) {
                return Err(malformed());
            }
        }
        Ok(Self {
            codename: codename.to_owned(),
            suite: suite.map(str::to_owned),
            date: parse_date("Date", needed("Date")?)?,
            valid_until: fields
                .get("Valid-Until")
                .map(|value| parse_date("Valid-Until", value))
                .transpose()?,
            by_hash: fields.get("Acquire-By-Hash") == Some("yes"),
            files,
        })
    }

    /// Whether it is an index of `suite` that may be relied on at the time `now`.
    ///
    /// # Errors
    /// When it is of another suite, its time is over or not yet come, or it is older than one seen before.
    pub(crate) fn check(&self, suite: &Suite, now: Timestamp) -> Result<(), Refusal> {
        if self.codename != suite.name && self.suite.as_ref() != Some(&suite.name) {
            return Err(Refusal::OtherSuite(self.codename.clone()));
        }
        if self.date.as_second() > now.as_second().saturating_add(CLOCK_TOLERANCE) {
            return Err(Refusal::FromFuture(self.date));
        }
        if let Some(seen) = suite.seen.filter(|seen| *seen > self.date) {
            return Err(Refusal::Replayed { date: self.date, seen });
        }
        match self.valid_until {
            Some(end) if end <= now && !suite.archived => Err(Refusal::Expired(end)),
            _ => Ok(()),
        }
    }

    /// The file of that name, as `main/binary-amd64/Packages.xz`.
    pub(crate) fn file(&self, name: &str) -> Option<IndexFile> {
        self.files.get(name).copied()
    }
}

fn parse_file(line: &str) -> Option<(&str, IndexFile)> {
    let mut words = line.split_ascii_whitespace();
    let (digest, size, name) = (words.next()?, words.next()?, words.next()?);
    let file = IndexFile { size: size.parse().ok()?, digest: Digest::from_hex(digest).ok()? };
    words.next().is_none().then_some((name, file))
}

/// Dates are those of mail (RFC 2822), always in UTC, which has names here that mail does not know.
fn parse_date(field: &'static str, value: &str) -> Result<Timestamp, ReleaseError> {
    let malformed = || ReleaseError::Date { field, value: value.to_owned() };
    let zones = [" UTC", " GMT", " Z", " +0000"];
    let date = zones.iter().find_map(|zone| value.strip_suffix(zone)).ok_or_else(malformed)?;
    rfc2822::parse(&format!("{date} +0000")).map(|date| date.timestamp()).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::suite::ArchiveName;

    const TEXT: &str = "Origin: Debian\nSuite: stable\nCodename: trixie\nDate: Sat, 21 Nov 2026 09:15:44 UTC\n\
        Valid-Until: Sat, 28 Nov 2026 09:15:44 UTC\nAcquire-By-Hash: yes\nMD5Sum:\n ignored\nSHA256:\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855        0 main/binary-amd64/Packages\n";

    fn suite(name: &str) -> Suite {
        let components = vec!["main".to_owned()];
        Suite { name: name.to_owned(), archive: ArchiveName::Main, components, archived: false, seen: None }
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn fields_and_files_are_read() {
        let release = Release::parse(TEXT).unwrap();
        assert_eq!((release.codename.as_str(), release.suite.as_deref()), ("trixie", Some("stable")));
        assert!(release.by_hash);
        assert_eq!(release.date, time("2026-11-21T09:15:44Z"));
        assert_eq!(release.valid_until, Some(time("2026-11-28T09:15:44Z")));
        let file = IndexFile { size: 0, digest: Digest::of(b"") };
        assert_eq!(release.file("main/binary-amd64/Packages"), Some(file));
        assert_eq!(release.file("main/binary-amd64/Packages.xz"), None);
    }

    #[test]
    fn one_name_is_enough_and_utc_has_several() {
        let one_name = TEXT.replace("Codename: trixie\n", "");
        assert_eq!(Release::parse(&one_name).unwrap().codename, "stable");
        for zone in ["GMT", "Z", "+0000"] {
            assert_eq!(Release::parse(&TEXT.replace("UTC", zone)), Release::parse(TEXT), "{zone}");
        }
    }

    #[test]
    fn malformed_fields_are_refused() {
        let cases = [
            ("Suite: stable\nCodename", "Codenames"),
            ("Date", "Dates"),
            ("SHA256", "SHA512"),
            ("09:15:44 UTC", "09:15:44"),
            ("09:15:44 UTC", "09:15:44 PST"),
            ("21 Nov", "31 Nov"),
            ("e3b0", "E3B0"),
            ("e3b0", "3b0"),
            ("  0 main", "  -1 main"),
            ("Packages", "Packages twice"),
            ("Origin", "Codename"),
        ];
        for (from, to) in cases {
            assert!(Release::parse(&TEXT.replacen(from, to, 1)).is_err(), "{from} -> {to}");
        }
    }

    #[test]
    fn only_a_current_index_of_the_suite_is_accepted() {
        let release = Release::parse(TEXT).unwrap();
        let (date, end) = (release.date, release.valid_until.unwrap());
        let seen = |suite: Suite, time| Suite { seen: Some(time), ..suite };
        let archived = |suite: Suite| Suite { archived: true, ..suite };
        let cases = [
            (suite("trixie"), "2026-11-22T00:00:00Z", Ok(())),
            (suite("stable"), "2026-11-22T00:00:00Z", Ok(())),
            (suite("bookworm"), "2026-11-22T00:00:00Z", Err(Refusal::OtherSuite("trixie".into()))),
            (suite("trixie"), "2026-11-28T09:15:43Z", Ok(())),
            (suite("trixie"), "2026-11-28T09:15:44Z", Err(Refusal::Expired(end))),
            (archived(suite("trixie")), "2036-11-28T09:15:44Z", Ok(())),
            (suite("trixie"), "2026-11-21T08:20:00Z", Ok(())),
            (suite("trixie"), "2026-11-21T08:00:00Z", Err(Refusal::FromFuture(date))),
            (archived(suite("trixie")), "2026-11-21T08:00:00Z", Err(Refusal::FromFuture(date))),
            (seen(suite("trixie"), date), "2026-11-22T00:00:00Z", Ok(())),
            (
                seen(suite("trixie"), time("2026-11-21T09:15:45Z")),
                "2026-11-22T00:00:00Z",
                Err(Refusal::Replayed { date, seen: time("2026-11-21T09:15:45Z") }),
            ),
        ];
        for (suite, now, verdict) in cases {
            assert_eq!(release.check(&suite, time(now)), verdict, "{suite:?} at {now}");
        }
    }

    #[test]
    fn a_cut_text_never_panics() {
        for length in 0..TEXT.len() {
            let _ = Release::parse(&TEXT[..length]);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(lines in prop::collection::vec("(SHA256|Date|Codename|)(:| )[ 0-9A-Za-z,:+]{0,40}", 0..6)) {
            let _ = Release::parse(&lines.join("\n"));
        }
    }
}

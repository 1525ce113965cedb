//! Sizes that others publish of their images, from a data file.

use schema::Architecture;
use serde::Deserialize;

use crate::error::ReportError;

/// The size of somebody else's image, as it was published.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Name and tag.
    pub image: String,
    /// The version of its Ruby, as far as it is known.
    pub ruby: String,
    /// The architecture that the figures are of.
    pub architecture: Architecture,
    /// What its files take, where that is published.
    pub disk: Option<Megabytes>,
    /// What a pull brings, where that is published.
    pub pull: Option<Megabytes>,
    /// Who says so: Markdown.
    pub source: String,
    /// When it was so: `2026-09`.
    pub date: String,
    /// Whether it is in the picture too, and not in the table alone.
    #[serde(default)]
    pub chart: bool,
}

/// A size that is written in megabytes (10^6 bytes): `77.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Megabytes {
    bytes: u64,
}

impl Megabytes {
    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.bytes
    }
}

impl TryFrom<f64> for Megabytes {
    type Error = String;

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is looked at first"
    )]
    fn try_from(megabytes: f64) -> Result<Self, String> {
        if (0.0..1e9).contains(&megabytes) {
            Ok(Self { bytes: (megabytes * 1e6).round() as u64 })
        } else {
            Err(format!("{megabytes} is no size in MB"))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    images: Vec<Published>,
}

impl Published {
    /// Reads a data file; `file` is the name that an error gives it. The order of the file is kept.
    ///
    /// # Errors
    /// A field that does not exist, is missing or has a wrong value, with its place.
    pub fn parse(file: &str, text: &str) -> Result<Vec<Self>, ReportError> {
        let written: Result<Written, _> = toml::from_str(text);
        written
            .map(|written| written.images)
            .map_err(|source| ReportError::Published { file: file.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    const IMAGE: &str = "[[images]]\nimage = \"ruby:1\"\nruby = \"1\"\narchitecture = \"amd64\"\npull = 2\n\
        source = \"a record\"\ndate = \"2020\"\n";

    #[test]
    fn reads_images_in_their_order() {
        assert_eq!(Published::parse("published.toml", "").unwrap(), []);
        let two = format!("{IMAGE}{}", IMAGE.replace("ruby:1", "ruby:0").replace("pull = 2", "disk = 1.5"));
        let images = Published::parse("published.toml", &two).unwrap();
        let bytes = |size: Option<Megabytes>| size.map(Megabytes::bytes);
        let read: Vec<_> =
            images.iter().map(|image| (image.image.as_str(), bytes(image.disk), bytes(image.pull))).collect();
        assert_eq!(read, [("ruby:1", None, Some(2_000_000)), ("ruby:0", Some(1_500_000), None)]);
    }

    #[test]
    fn a_wrong_field_has_its_place() {
        for (from, to, what) in [
            ("pull", "poll", "unknown field `poll`"),
            ("date = \"2020\"\n", "", "missing field `date`"),
            ("amd64", "x86", "unknown variant `x86`"),
            ("pull = 2", "pull = \"2\"", "invalid type: string \"2\", expected f64"),
            ("pull = 2", "pull = -0.1", "-0.1 is no size in MB"),
            ("pull = 2", "pull = nan", "NaN is no size in MB"),
            ("pull = 2", "pull = inf", "inf is no size in MB"),
        ] {
            let error = Published::parse("published.toml", &IMAGE.replace(from, to)).unwrap_err();
            assert!(error.to_string().contains("published.toml"));
            let cause = error.source().unwrap().to_string();
            assert!(cause.contains(what) && cause.contains("line "), "{cause}");
        }
    }
}

//! The run record, `dist/run.json`: everything that a run made and measured. Reports are drawn from it alone, so an old
//! one can be drawn again.
//!
//! Sizes are bytes. Nothing in it depends on when or where it was made, but for the durations of checks.

use serde::{Deserialize, Serialize};

use crate::{Architecture, Digest};

/// The version of the format that is written.
pub const VERSION: u32 = 1;

/// One run over a matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The version of this format.
    pub version: u32,
    /// The images, in the matrix's order.
    pub images: Vec<ImageRecord>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Its name with its main tag: `ruby:3.3-trixie`.
    pub name: String,
    /// Every reference that names it in the layout, the main one among them.
    pub references: Vec<String>,
    /// The full version of its Ruby: `3.3.8`.
    pub ruby: String,
    /// The code name of its distro.
    pub distro: String,
    /// Its architecture.
    pub architecture: Architecture,
    /// Whether it was compressed as hard as can be, for a release.
    pub release: bool,
    /// The digest of its manifest; of the one in gzip, where there are both.
    pub manifest: Digest,
    /// The bytes of its files, each hard-linked one once.
    pub disk: u64,
    /// The bytes that a pull brings: configuration and compressed layers; in gzip, where they are in both.
    pub pull: u64,
    /// The same for engines that understand zstd, where they are in both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zstd: Option<u64>,
    /// How many files it has (no folders, no links).
    pub files: u64,
    /// Its layers, lowest first.
    pub layers: Vec<LayerRecord>,
    /// The packages that gave it a file, by name.
    pub packages: Vec<PackageRecord>,
    /// The documents that declare what it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sboms: Vec<SbomRecord>,
    /// What was left out.
    pub dropped: Vec<DropRecord>,
    /// What was made smaller.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shrunk: Vec<ShrinkRecord>,
    /// Needs that are not met, and accepted.
    pub accepted: Vec<AcceptRecord>,
    /// What the analysis cannot decide, because it depends on what a program does when it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undecided: Vec<String>,
    /// The checks, in the order of the image's description; none where they did not run.
    pub checks: Vec<CheckRecord>,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// Its name in the image's description.
    pub name: String,
    /// The digest of the compressed layer.
    pub digest: Digest,
    /// The digest of its tar.
    pub diff_id: Digest,
    /// The compressed size.
    pub size: u64,
    /// The bytes of its files.
    pub disk: u64,
    /// How many files it has.
    pub files: u64,
}

/// What one package gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageRecord {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How many of its files are in the image.
    pub files: u64,
    /// Their bytes.
    pub disk: u64,
}

/// A document that declares what an image holds: a bill of materials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SbomRecord {
    /// Where it is, from the folder of the run record: `sbom/ruby-3.3-trixie-amd64.spdx.json`.
    pub file: String,
    /// What it is: `application/spdx+json`.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size.
    pub size: u64,
}

/// What one rule left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropRecord {
    /// The rule's name.
    pub name: String,
    /// Its reason.
    pub why: String,
    /// How many files it took.
    pub files: u64,
    /// Their bytes.
    pub disk: u64,
}

/// What one rule made smaller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShrinkRecord {
    /// The rule's name.
    pub name: String,
    /// Its reason.
    pub why: String,
    /// How many files it changed; hard links count once.
    pub files: u64,
    /// The bytes that they lost.
    pub saved: u64,
}

/// A finding that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptRecord {
    /// The finding.
    pub finding: String,
    /// Why it does no harm.
    pub why: String,
}

/// How a check went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRecord {
    /// The check's name.
    pub name: String,
    /// What a pass proves.
    pub proves: String,
    /// How it ended.
    pub outcome: CheckOutcome,
    /// Milliseconds it took.
    pub milliseconds: u64,
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum CheckOutcome {
    /// As it should.
    Passed {
        /// The end of standard output.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        output: String,
    },
    /// It did not begin: nothing here runs the image's programs.
    NotRun {
        /// What is missing.
        why: String,
    },
    /// Otherwise.
    Failed {
        /// One sentence: what was expected, and what came.
        message: String,
        /// The end of standard output.
        output: String,
        /// The end of standard error.
        errors: String,
    },
}

impl CheckRecord {
    /// Whether it ended as it should.
    pub fn passed(&self) -> bool {
        matches!(self.outcome, CheckOutcome::Passed { .. })
    }
}

impl ImageRecord {
    /// How many of its checks passed.
    pub fn checks_passed(&self) -> usize {
        self.checks.iter().filter(|check| check.passed()).count()
    }

    /// The checks that did not begin, of those that it should pass, each with what is missing.
    pub fn checks_not_run(&self) -> impl Iterator<Item = (&CheckRecord, &str)> {
        self.checks.iter().filter_map(|check| match &check.outcome {
            CheckOutcome::NotRun { why } => Some((check, why.as_str())),
            CheckOutcome::Passed { .. } | CheckOutcome::Failed { .. } => None,
        })
    }
}

/// A text that is no run record.
#[derive(Debug, thiserror::Error)]
pub enum RunRecordError {
    /// It is no JSON, or has other fields.
    #[error("cannot read the run record: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It was written by a later version of this program.
    #[error("the run record is of version {found}; this program reads versions up to {VERSION}")]
    Version {
        /// The version that it has.
        found: u32,
    },
}

impl RunRecord {
    /// Reads a record of this or an earlier version.
    ///
    /// # Errors
    /// Text that is no record, or one of a later version.
    pub fn parse(text: &str) -> Result<Self, RunRecordError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let Head { version } = serde_json::from_str(text)?;
        if version == 0 || version > VERSION {
            return Err(RunRecordError::Version { found: version });
        }
        Ok(serde_json::from_str(text)?)
    }

    /// The text of the file.
    pub fn render(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).expect("strings and numbers can be written as JSON");
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_no_later_version() {
        let record = RunRecord {
            version: VERSION,
            images: vec![ImageRecord {
                name: "ruby:3.3-trixie".to_owned(),
                references: vec!["ruby:3.3-trixie".to_owned()],
                ruby: "3.3.8".to_owned(),
                distro: "trixie".to_owned(),
                architecture: Architecture::Amd64,
                release: false,
                manifest: Digest::of(b"manifest"),
                disk: 3,
                pull: 2,
                zstd: Some(1),
                files: 1,
                layers: Vec::new(),
                packages: Vec::new(),
                sboms: Vec::new(),
                dropped: Vec::new(),
                shrunk: Vec::new(),
                accepted: Vec::new(),
                undecided: Vec::new(),
                checks: vec![
                    CheckRecord {
                        name: "ruby -v".to_owned(),
                        proves: "it starts".to_owned(),
                        outcome: CheckOutcome::Failed {
                            message: "expected 3.3.8".to_owned(),
                            output: "3.3.7".to_owned(),
                            errors: String::new(),
                        },
                        milliseconds: 9,
                    },
                    CheckRecord {
                        name: "tls".to_owned(),
                        proves: "it verifies".to_owned(),
                        outcome: CheckOutcome::NotRun { why: "no emulator".to_owned() },
                        milliseconds: 0,
                    },
                ],
            }],
        };
        let text = record.render();
        assert_eq!(RunRecord::parse(&text).unwrap(), record);
        assert_eq!(record.images[0].checks_passed(), 0);
        let of_before: CheckOutcome = serde_json::from_str("{\"outcome\":\"passed\"}").unwrap();
        assert_eq!(of_before, CheckOutcome::Passed { output: String::new() });
        let not_run = record.images[0].checks_not_run().map(|(check, why)| (&*check.name, why));
        assert_eq!(not_run.collect::<Vec<_>>(), [("tls", "no emulator")]);
        let earlier = RunRecord::parse(&text.replace("      \"zstd\": 1,\n", "")).unwrap();
        assert_eq!(earlier.images[0].zstd, None);
        let later = text.replace("\"version\": 1", "\"version\": 2");
        assert!(matches!(RunRecord::parse(&later), Err(RunRecordError::Version { found: 2 })));
        assert!(matches!(RunRecord::parse("{}"), Err(RunRecordError::Malformed(_))));
    }
}

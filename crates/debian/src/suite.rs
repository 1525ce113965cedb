//! Suites: which parts of Debian's archives packages are taken from.

use std::fmt;

use jiff::Timestamp;

/// One of Debian's archives, each of which is a place of its own with its own mirrors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArchiveName {
    /// The releases and their updates.
    Main,
    /// The security updates.
    Security,
}

impl ArchiveName {
    /// The name that mirrors and the snapshot service know it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Main => "debian",
            Self::Security => "debian-security",
        }
    }
}

impl fmt::Display for ArchiveName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// A suite to read, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// Its name, as `trixie-security`.
    pub name: String,
    /// The archive that it is in.
    pub archive: ArchiveName,
    /// Its components, as `main`.
    pub components: Vec<String>,
    /// Whether nobody updates it any more: then its index is good for ever, whatever its `Valid-Until` says.
    pub archived: bool,
    /// The date of the newest index of it that was seen so far. An older one is a replay, and refused.
    pub seen: Option<Timestamp>,
}

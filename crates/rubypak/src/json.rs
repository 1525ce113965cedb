//! `--json`: the whole answer, for programs. The forms here are what others read: a change that breaks them raises
//! [`VERSION`].

use analyzer::{Closure, Reason, Severity};
use rootfs::{Entry, Filesystem, Kind, RootPath};
use serde::Serialize;

use crate::judgement::{Judged, Verdict};
use crate::packages::Owners;
use crate::running::Missed;

const VERSION: u32 = 1;

/// The answer. Paths and names that are not UTF-8, and backslashes in them, are written as `\xNN`.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    version: u32,
    /// Everything that is taken, in the order of the paths.
    files: Vec<FileRecord<'a>>,
    findings: Vec<FindingRecord>,
    /// What traced commands used and nothing else leads to.
    traced: Vec<TracedRecord>,
    packages: Vec<PackageRecord<'a>>,
    totals: Totals,
}

#[derive(Debug, Serialize)]
struct FileRecord<'a> {
    path: String,
    kind: KindName,
    /// Bytes of a file's content.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// What a link says.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// Rights as octal digits.
    mode: String,
    uid: u32,
    gid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<&'a str>,
    /// Why it is taken, at least one.
    reasons: Vec<ReasonRecord<'a>>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum KindName {
    File,
    Folder,
    Link,
}

#[derive(Debug, Serialize)]
struct ReasonRecord<'a> {
    /// The rule that found it.
    rule: &'a str,
    /// The path that needs it; none for a root.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    because: &'a str,
}

#[derive(Debug, Serialize)]
struct FindingRecord {
    /// What to accept it by.
    key: String,
    severity: SeverityName,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// Where in a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    message: String,
    /// What accepts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum SeverityName {
    Unmet,
    Undecided,
}

#[derive(Debug, Serialize)]
struct TracedRecord {
    path: String,
    command: String,
}

#[derive(Debug, Serialize)]
struct PackageRecord<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    /// How many of its files are taken, and their bytes.
    files: usize,
    bytes: u64,
}

/// What there is of everything. Hard links count once.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Totals {
    pub(crate) files: usize,
    pub(crate) folders: usize,
    pub(crate) links: usize,
    pub(crate) bytes: u64,
}

impl Totals {
    /// The totals of entries.
    pub(crate) fn of<'e>(entries: impl Iterator<Item = &'e Entry>) -> Self {
        let mut totals = Self::default();
        let mut inodes = std::collections::HashSet::new();
        for entry in entries {
            match &entry.kind {
                Kind::Directory => totals.folders += 1,
                Kind::Symlink(_) => totals.links += 1,
                Kind::File(file) => {
                    totals.files += 1;
                    if inodes.insert(file.inode) {
                        totals.bytes += file.content.size();
                    }
                }
            }
        }
        totals
    }
}

impl<'a> Report<'a> {
    /// The report of what a closure leads to: `kept` is what of it is taken.
    pub(crate) fn new(
        closure: &'a Closure,
        kept: &[(&'a RootPath, &'a Entry)],
        judged: &[Judged<'_>],
        missed: &[Missed],
        owners: &'a Owners<'_>,
    ) -> Self {
        let mut packages: Vec<_> = owners
            .packages
            .iter()
            .map(|package| PackageRecord {
                name: &package.name,
                version: package.version.as_deref(),
                files: 0,
                bytes: 0,
            })
            .collect();
        let mut files = Vec::with_capacity(kept.len());
        for (path, entry) in kept {
            let owner = owners.of(path);
            if let Some(package) = owner.and_then(|owner| packages.get_mut(owner)) {
                package.files += 1;
                package.bytes += size(entry).unwrap_or(0);
            }
            let package = owner.map(|owner| owners.packages[owner].name.as_str());
            let reasons = closure.entries.get(*path).map_or(&[][..], Vec::as_slice);
            files.push(FileRecord::new(path, entry, package, reasons));
        }
        packages.sort_by_key(|package| (package.name, package.version));
        Self {
            version: VERSION,
            files,
            findings: judged.iter().map(FindingRecord::new).collect(),
            traced: missed.iter().map(TracedRecord::new).collect(),
            packages,
            totals: Totals::of(kept.iter().map(|(_, entry)| *entry)),
        }
    }
}

impl<'a> FileRecord<'a> {
    fn new(path: &RootPath, entry: &Entry, package: Option<&'a str>, reasons: &'a [Reason]) -> Self {
        let (kind, target) = match &entry.kind {
            Kind::Directory => (KindName::Folder, None),
            Kind::File(_) => (KindName::File, None),
            Kind::Symlink(target) => (KindName::Link, Some(rootfs::Escaped::from(&**target).to_string())),
        };
        let record = |reason: &'a Reason| ReasonRecord {
            rule: reason.rule,
            from: reason.from.as_ref().map(ToString::to_string),
            because: &reason.because,
        };
        Self {
            path: path.to_string(),
            kind,
            size: size(entry),
            target,
            mode: format!("{:04o}", entry.metadata.mode),
            uid: entry.metadata.uid,
            gid: entry.metadata.gid,
            package,
            reasons: reasons.iter().map(record).collect(),
        }
    }
}

fn size(entry: &Entry) -> Option<u64> {
    match &entry.kind {
        Kind::File(file) => Some(file.content.size()),
        Kind::Directory | Kind::Symlink(_) => None,
    }
}

impl FindingRecord {
    fn new(judged: &Judged<'_>) -> Self {
        let Judged { finding, key, verdict } = judged;
        Self {
            key: key.clone(),
            severity: match finding.severity() {
                Severity::Unmet => SeverityName::Unmet,
                Severity::Undecided => SeverityName::Undecided,
            },
            file: finding.file.as_ref().map(ToString::to_string),
            line: finding.line,
            message: finding.kind.to_string(),
            accepted: match verdict {
                Verdict::Accepted(by) => Some(by.clone()),
                Verdict::Unmet | Verdict::Undecided => None,
            },
        }
    }
}

impl TracedRecord {
    fn new(missed: &Missed) -> Self {
        Self { path: missed.path.to_string(), command: missed.command.clone() }
    }
}

/// The owners of the files that are taken.
pub(crate) fn owners<'p>(filesystem: &dyn Filesystem, kept: &[(&'p RootPath, &Entry)]) -> Owners<'p> {
    let owned = kept.iter().filter(|(_, entry)| !entry.is_directory());
    Owners::find(filesystem, owned.map(|(path, _)| *path))
}

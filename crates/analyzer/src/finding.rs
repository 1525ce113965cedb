//! What is wrong with a tree: needs that are not met, and files that cannot be read; and what no analysis can decide. A
//! finding has a key that stays the same from one version of a package to the next, so that a configuration can accept it
//! by name.

use std::fmt;
use std::sync::Arc;

use rootfs::{Fault, RootPath};

use crate::elf::ElfError;

/// One thing that is wrong, or that cannot be decided.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file that needs something, or is damaged itself; `None` where the request asks for something.
    pub file: Option<RootPath>,
    /// The line of a text file that needs it, counted from 1.
    pub line: Option<u32>,
    /// What is wrong.
    pub kind: FindingKind,
}

/// What a finding means for whoever depends on the closure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something goes wrong without what is missing.
    Unmet,
    /// Whether something goes wrong depends on what a program does when it runs.
    Undecided,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// A pattern of the request is no glob.
    BadPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Nothing in the tree matches a root of the request, or nothing that is kept.
    RootNotFound {
        /// The pattern of the root.
        pattern: String,
    },
    /// The file is an ELF object, but cut or malformed.
    Damaged(ElfError),
    /// Something is there and cannot be read, so what it needs is not known; of a folder, what it holds.
    Unreadable {
        /// What was tried, and what the system said.
        problem: String,
    },
    /// No folder that the loader searches has the library.
    LibraryNotFound {
        /// The name of the library.
        name: String,
        /// A file of that name for another architecture, which the loader passes over.
        other_architecture: Option<RootPath>,
    },
    /// The file that the loader comes to first is none that it can load.
    LibraryUnusable {
        /// The name of the library.
        name: String,
        /// The file.
        candidate: RootPath,
    },
    /// A library does not define a version of its symbols that is needed of it.
    VersionNotFound {
        /// The name of the library, as it is needed.
        name: String,
        /// The version.
        version: String,
        /// The library that the loader finds.
        library: RootPath,
    },
    /// What an ELF object says of the libraries that it opens cannot be read.
    UnreadableNote,
    /// A library that is opened by its name, if at all, is not there.
    OptionalLibraryNotFound {
        /// The name of the library.
        name: String,
    },
    /// A Ruby program loads a file that is not there.
    FeatureNotFound {
        /// What it loads, as written.
        name: String,
        /// The method, as `require`.
        call: &'static str,
        /// Whether it does so in any case.
        is_certain: bool,
    },
    /// A gem is not installed.
    GemNotFound {
        /// Its name, with the version where that is fixed.
        name: String,
        /// Whether something needs it in any case.
        is_certain: bool,
    },
    /// A file should be Ruby, and is none that can be read.
    NotRuby {
        /// What is wrong with it.
        problem: String,
        /// Whether a program loads it for certain.
        is_loaded: bool,
    },
    /// A Ruby program calls something that loads a file or a library with a name that it computes.
    Computed {
        /// The method, as `require`.
        call: &'static str,
    },
    /// A Ruby is there without the file that says where its libraries, encodings and gems lie.
    NoConfiguration,
    /// Programs may convert texts between encodings, and modules of glibc for that are not kept.
    ConversionsLeftOut {
        /// The folder of the modules.
        folder: RootPath,
    },
    /// A program is in none of the folders of the search path.
    ProgramNotFound {
        /// The name of the program.
        name: String,
    },
    /// A path that is needed leads nowhere.
    NotFound {
        /// The path as written.
        path: String,
        /// What it is for the file.
        because: Arc<str>,
    },
    /// Something is needed that the request drops.
    Dropped {
        /// The path that is dropped.
        path: RootPath,
        /// The name of the [`Drop`](crate::Drop) that takes it.
        by: String,
        /// What it is for the file.
        because: Arc<str>,
    },
}

impl Finding {
    /// Whether something goes wrong for certain.
    pub fn severity(&self) -> Severity {
        match self.kind {
            FindingKind::OptionalLibraryNotFound { .. }
            | FindingKind::UnreadableNote
            | FindingKind::Computed { .. }
            | FindingKind::ConversionsLeftOut { .. }
            | FindingKind::FeatureNotFound { is_certain: false, .. }
            | FindingKind::GemNotFound { is_certain: false, .. }
            | FindingKind::NotRuby { is_loaded: false, .. } => Severity::Undecided,
            _ => Severity::Unmet,
        }
    }

    /// The finding as one word to accept it by: its kind, the file, and what the file needs, with colons between them.
    /// The line is no part of it.
    pub fn key(&self) -> String {
        let (kind, needed) = match &self.kind {
            FindingKind::BadPattern { pattern, .. } => ("bad-pattern", pattern.clone()),
            FindingKind::RootNotFound { pattern } => ("root-not-found", pattern.clone()),
            FindingKind::Damaged(_) => ("damaged", String::new()),
            FindingKind::Unreadable { .. } => ("unreadable", String::new()),
            FindingKind::LibraryNotFound { name, .. } => ("library-not-found", name.clone()),
            FindingKind::LibraryUnusable { name, .. } => ("library-unusable", name.clone()),
            FindingKind::VersionNotFound { name, version, .. } => {
                ("version-not-found", format!("{name}:{version}"))
            }
            FindingKind::UnreadableNote => ("unreadable-note", String::new()),
            FindingKind::OptionalLibraryNotFound { name } => ("optional-library-not-found", name.clone()),
            FindingKind::FeatureNotFound { name, .. } => ("feature-not-found", name.clone()),
            FindingKind::GemNotFound { name, .. } => ("gem-not-found", name.clone()),
            FindingKind::NotRuby { .. } => ("not-ruby", String::new()),
            FindingKind::Computed { call } => ("computed", (*call).to_owned()),
            FindingKind::NoConfiguration => ("no-rbconfig", String::new()),
            FindingKind::ConversionsLeftOut { folder } => ("conversions-left-out", folder.to_string()),
            FindingKind::ProgramNotFound { name } => ("program-not-found", name.clone()),
            FindingKind::NotFound { path, .. } => ("not-found", path.clone()),
            FindingKind::Dropped { path, .. } => ("dropped", path.to_string()),
        };
        let file = self.file.as_ref().map(RootPath::to_string);
        let parts = [Some(kind.to_owned()), file, Some(needed)];
        parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(":")
    }
}

impl From<Fault> for Finding {
    fn from(fault: Fault) -> Self {
        let problem = fault.problem();
        Self { file: Some(fault.path), line: None, kind: FindingKind::Unreadable { problem } }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            match self.line {
                Some(line) => write!(out, "{file}:{line}: ")?,
                None => write!(out, "{file}: ")?,
            }
        }
        self.kind.fmt(out)
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadPattern { pattern, problem } => write!(out, "`{pattern}` is no pattern: {problem}"),
            Self::RootNotFound { pattern } => {
                write!(out, "nothing that is kept matches the root `{pattern}`")
            }
            Self::Damaged(error) => write!(out, "damaged ELF object: {error}"),
            Self::Unreadable { problem } => out.write_str(problem),
            Self::LibraryNotFound { name, other_architecture: None } => {
                write!(out, "cannot find the library {name}")
            }
            Self::LibraryNotFound { name, other_architecture: Some(candidate) } => {
                write!(out, "cannot find the library {name} ({candidate} is for another architecture)")
            }
            Self::LibraryUnusable { name, candidate } => {
                write!(out, "cannot load the library {name}: {candidate} comes first and is no shared object")
            }
            Self::VersionNotFound { name, version, library } => {
                write!(out, "needs the version {version} of {name}, which {library} does not define")
            }
            Self::UnreadableNote => {
                write!(out, "has a note of libraries that it opens, which cannot be read")
            }
            Self::OptionalLibraryNotFound { name } => {
                write!(out, "may open the library {name}, which is not there")
            }
            Self::FeatureNotFound { name, call, is_certain: true } => {
                write!(out, "cannot find {name}, which it loads with {call}")
            }
            Self::FeatureNotFound { name, call, is_certain: false } => {
                write!(out, "may load {name} with {call}, which is not there")
            }
            Self::GemNotFound { name, is_certain: true } => {
                write!(out, "needs the gem {name}, which is not installed")
            }
            Self::GemNotFound { name, is_certain: false } => {
                write!(out, "may need the gem {name}, which is not installed")
            }
            Self::NotRuby { problem, .. } => write!(out, "cannot be read as Ruby: {problem}"),
            Self::Computed { call } => write!(out, "calls {call} with a name that it computes"),
            Self::NoConfiguration => write!(
                out,
                "is a Ruby whose rbconfig.rb is not there, so its libraries, encodings and gems cannot be told: install it \
                 whole, or name them as roots"
            ),
            Self::ConversionsLeftOut { folder } => write!(
                out,
                "is asked for conversions of encodings, for which only some modules of {folder} are taken: name that folder \
                 as a root where texts are in old encodings"
            ),
            Self::ProgramNotFound { name } => write!(out, "cannot find the program {name}"),
            Self::NotFound { path, because } => write!(out, "cannot find {path}, its {because}"),
            Self::Dropped { path, by, because } => {
                write!(out, "needs {path} ({because}), which `{by}` drops")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_texts() {
        let file = || Some(RootPath::parse("/usr/lib/a.so").unwrap());
        let other = RootPath::parse("/lib/libb.so.1").unwrap();
        let name = || "libb.so.1".to_owned();
        for (file, line, kind, key, text) in [
            (
                file(),
                None,
                FindingKind::LibraryNotFound { name: name(), other_architecture: Some(other.clone()) },
                "library-not-found:/usr/lib/a.so:libb.so.1",
                "/usr/lib/a.so: cannot find the library libb.so.1 (/lib/libb.so.1 is for another architecture)",
            ),
            (
                file(),
                None,
                FindingKind::Damaged(ElfError::Segment),
                "damaged:/usr/lib/a.so",
                "/usr/lib/a.so: damaged ELF object: a segment reaches past the end of the file",
            ),
            (
                file(),
                None,
                FindingKind::Unreadable { problem: "cannot be read: no".into() },
                "unreadable:/usr/lib/a.so",
                "/usr/lib/a.so: cannot be read: no",
            ),
            (
                None,
                None,
                FindingKind::RootNotFound { pattern: "/usr/bin/ruby".into() },
                "root-not-found:/usr/bin/ruby",
                "nothing that is kept matches the root `/usr/bin/ruby`",
            ),
            (
                file(),
                Some(7),
                FindingKind::OptionalLibraryNotFound { name: name() },
                "optional-library-not-found:/usr/lib/a.so:libb.so.1",
                "/usr/lib/a.so:7: may open the library libb.so.1, which is not there",
            ),
            (
                file(),
                None,
                FindingKind::VersionNotFound { name: name(), version: "B_2".into(), library: other.clone() },
                "version-not-found:/usr/lib/a.so:libb.so.1:B_2",
                "/usr/lib/a.so: needs the version B_2 of libb.so.1, which /lib/libb.so.1 does not define",
            ),
            (
                file(),
                None,
                FindingKind::Dropped { path: other, by: "docs".into(), because: "link target".into() },
                "dropped:/usr/lib/a.so:/lib/libb.so.1",
                "/usr/lib/a.so: needs /lib/libb.so.1 (link target), which `docs` drops",
            ),
        ] {
            let finding = Finding { file, line, kind };
            assert_eq!(finding.key(), key);
            assert_eq!(finding.to_string(), text);
        }
    }
}

//! Why a path is in an image, or why it is not.

use std::fmt;

use analyzer::{Finding, Step};
use rootfs::{Entry, RootPath};

use crate::layers::Selection;
use crate::stack::{Stack, Upstream};
use crate::{installed, status};

/// What there is to say of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The path asked for.
    pub asked: RootPath,
    /// The path that it leads to through links.
    pub path: RootPath,
    /// Where it is from, unless it was made or is nowhere.
    pub from: Option<Provenance>,
    /// Whether it is in the image, and why.
    pub verdict: Verdict,
    /// How a rule made it smaller.
    pub shrunk: Option<Shrunk>,
    /// What is wrong with it, or cannot be decided, accepted or not.
    pub findings: Vec<Finding>,
}

/// Where a file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provenance {
    /// A package, with its version.
    Package(String),
    /// The tarball of a Ruby that was compiled.
    Tarball,
    /// The image that the Ruby is taken from, where no package has it.
    Image,
}

/// Why a file is there that the layers of a row are put on.
pub(crate) const IN_BASE: &str = "the image that the row stands on has it";

/// Why a file is there that nothing needs, in a layer whose packages are installed.
const INSTALLED: &str = "its package is installed";

/// How a rule made a file smaller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk {
    /// The name of the rule.
    pub rule: String,
    /// Its reason.
    pub why: String,
    /// The bytes that it took away.
    pub saved: u64,
}

/// Whether a path is in an image, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is, and these steps lead back to a root.
    Kept {
        /// The layer that it is in.
        layer: String,
        /// From the path to a root.
        chain: Vec<Step>,
    },
    /// It is, beside what the closure has.
    Added {
        /// The layer that it is in.
        layer: String,
        /// What it is there for.
        because: &'static str,
    },
    /// It would be, but a rule of `image.toml` leaves it out.
    Dropped {
        /// The name of the rule.
        rule: String,
        /// Its reason.
        why: String,
    },
    /// A package has it, and nothing in the image needs it.
    NotNeeded,
    /// No package of the image has it.
    Unknown,
}

impl Verdict {
    /// Whether the path is in the image.
    pub fn is_kept(&self) -> bool {
        matches!(self, Self::Kept { .. } | Self::Added { .. })
    }
}

impl Explanation {
    /// Whether an upper layer's explanation is the one to give.
    pub(crate) fn says_more_than(&self, lower: &Self) -> bool {
        let weight = |verdict: &Verdict| match verdict {
            Verdict::Kept { .. } => 4,
            Verdict::Added { .. } => 3,
            Verdict::Dropped { .. } => 2,
            Verdict::NotNeeded => 1,
            Verdict::Unknown => 0,
        };
        let is_kept = matches!(self.verdict, Verdict::Kept { .. });
        is_kept || weight(&self.verdict) > weight(&lower.verdict)
    }

    /// That a path is there in the image that a row stands on, where it may be of a package.
    pub(crate) fn there_already(asked: RootPath, path: RootPath, package: Option<String>) -> Self {
        let verdict = Verdict::Added { layer: "base image".to_owned(), because: IN_BASE };
        let from = package.map(Provenance::Package);
        Self { asked, path, from, verdict, shrunk: None, findings: Vec::new() }
    }

    pub(crate) fn of(stack: &Stack<'_>, selection: &Selection<'_>, asked: &RootPath) -> Self {
        let path = real_path(stack, selection, asked);
        let from = |entry: &Entry| match (stack.package(entry), stack.upstream(entry)) {
            (Some(package), _) => {
                Some(Provenance::Package(format!("{} {}", package.key.name, package.key.version)))
            }
            (None, Some(Upstream::Tarball)) => Some(Provenance::Tarball),
            (None, Some(Upstream::Image)) => Some(Provenance::Image),
            (None, None) => None,
        };
        let entry = stack.tree.get(&path);
        let findings = selection.closure.findings.iter();
        let findings = findings.filter(|finding| finding.file.as_ref() == Some(&path)).cloned().collect();
        Self {
            asked: asked.clone(),
            from: entry.and_then(from),
            verdict: verdict(selection, &path, entry.is_some()),
            shrunk: selection.shrinker.change(&path).map(|(rule, change)| Shrunk {
                rule: rule.name.clone(),
                why: rule.why.clone(),
                saved: change.saved,
            }),
            path,
            findings,
        }
    }
}

/// The path itself where the image has it, or else what it leads to through links.
fn real_path(stack: &Stack<'_>, selection: &Selection<'_>, asked: &RootPath) -> RootPath {
    if stack.tree.get(asked).is_some() || selection.layers.iter().any(|layer| layer.tree.get(asked).is_some())
    {
        return asked.clone();
    }
    stack.tree.resolve(asked).map_or_else(|_| asked.clone(), |resolved| resolved.path)
}

fn verdict(selection: &Selection<'_>, path: &RootPath, packaged: bool) -> Verdict {
    let layer = selection.layers.iter().find(|layer| layer.tree.get(path).is_some());
    let installed = layer.is_some_and(|layer| layer.spec.installed);
    let layer = layer.map(|layer| layer.spec.name.clone());
    if let (Some(chain), Some(layer)) = (selection.closure.chain(path), &layer) {
        return Verdict::Kept { layer: layer.clone(), chain };
    }
    if let Some(rule) = selection.closure.dropped.get(path).and_then(|rule| selection.request.drop.get(*rule))
    {
        return Verdict::Dropped { rule: rule.name.clone(), why: rule.reason.clone() };
    }
    match layer {
        Some(layer) => Verdict::Added { layer, because: because(selection, path, installed) },
        None if packaged => Verdict::NotNeeded,
        None => Verdict::Unknown,
    }
}

/// Why something is in a layer that is not in the closure.
pub(crate) fn because(selection: &Selection<'_>, path: &RootPath, installed: bool) -> &'static str {
    let mut entries = selection.layers.iter().filter_map(|layer| layer.tree.get(path));
    if entries.any(Entry::is_directory) {
        "something in the image is below it"
    } else if path.as_bytes().starts_with(status::FOLDER.as_bytes()) {
        "it is the record of a package that gave a file"
    } else if path.as_bytes().starts_with(installed::FOLDER.as_bytes()) {
        "dpkg keeps it of packages that are installed"
    } else if installed {
        INSTALLED
    } else {
        "the loader finds a library by it"
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, path, from, verdict, shrunk, findings } = self;
        if asked != path {
            writeln!(out, "{asked} leads to {path}")?;
        }
        let from = match from {
            None => String::new(),
            Some(Provenance::Package(package)) => format!(", from package {package}"),
            Some(Provenance::Tarball) => ", from the compiled Ruby".to_owned(),
            Some(Provenance::Image) => ", from the image that the Ruby is taken from".to_owned(),
        };
        match verdict {
            Verdict::Kept { layer, chain } => {
                write!(out, "{path} is in the layer `{layer}`{from}")?;
                for (depth, step) in chain.iter().enumerate() {
                    write!(out, "\n{:1$}{2}", "", 2 * (depth + 1), step.reason)?;
                }
            }
            Verdict::Added { layer, because } if [INSTALLED, IN_BASE].contains(because) => {
                write!(out, "{path} is in the layer `{layer}`{from}: {because}")?;
            }
            Verdict::Added { layer, because } => write!(out, "{path} is in the layer `{layer}`: {because}")?,
            Verdict::Dropped { rule, why } => {
                write!(out, "{path} is left out{from}\n  by the rule `{rule}`: {why}")?;
            }
            Verdict::NotNeeded => {
                write!(out, "{path} is not in the image{from}: nothing in the image needs it")?;
            }
            Verdict::Unknown => {
                write!(out, "{path} is not in the image, and no package of the image has it")?;
            }
        }
        if let Some(Shrunk { rule, why, saved }) = shrunk {
            write!(out, "\n  {saved} bytes smaller by the rule `{rule}`: {why}")?;
        }
        findings.iter().try_for_each(|finding| write!(out, "\n  finding: {finding}"))
    }
}

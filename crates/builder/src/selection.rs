//! Which of the images of a matrix are meant: by patterns over their names, by architecture, by variant, by row, by group of
//! rows.
//!
//! A variant on demand and a row in a group are not meant where nothing is named: they are asked for by the name of the
//! variant, the row or the group, or by the very name of the image.

use std::collections::BTreeSet;

use globset::GlobBuilder;
use schema::Architecture;
use schema::image::ImageSpec;
use schema::lock::Lock;
use schema::matrix::{Matrix, Row};

use crate::plan::{self, Target};

/// Which of the targets are meant.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Globs over names or tags; all where there is none.
    pub patterns: Vec<String>,
    /// For which machines.
    pub architectures: Architectures,
    /// Which variants.
    pub variants: Kinds,
    /// Which groups of rows.
    pub groups: Kinds,
    /// The rows of these names, whatever group they are in; all where there is none.
    pub rows: Vec<String>,
}

impl Selection {
    /// Every target: those on demand too.
    pub fn every() -> Self {
        Self { variants: Kinds::All, groups: Kinds::All, ..Self::default() }
    }

    fn meant(&self, target: &Target, spec: &ImageSpec) -> Meant {
        let variant = target.variant(spec);
        let group = target.row.group.as_deref();
        let variants = self.variants.meant(Some(&variant.name), !variant.on_demand);
        let rows = match self.rows.as_slice() {
            [] => self.groups.meant(group, group.is_none()),
            rows if rows.contains(&target.row.name()) => Meant::Yes,
            _ => Meant::No,
        };
        variants.min(rows)
    }
}

/// Whether a target is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Meant {
    No,
    /// By its very name, and not by a pattern that many match.
    ByName,
    Yes,
}

/// The kinds of images that are meant, of several that have a name each: variants, or groups of rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Kinds {
    /// Those that are always built, and any image whose very name is asked for.
    #[default]
    Usual,
    /// Those on demand too.
    All,
    /// Those of these names.
    Only(Vec<String>),
}

impl Kinds {
    /// Those of these names, where `all` stands for all; the usual ones where there is no name.
    pub fn named(names: &[String]) -> Self {
        match names {
            [] => Self::Usual,
            names if names.iter().any(|name| name == "all") => Self::All,
            names => Self::Only(names.to_vec()),
        }
    }

    /// Whether the rows of this group are meant, or those in none.
    pub(crate) fn has_group(&self, group: Option<&str>) -> bool {
        self.meant(group, group.is_none()) == Meant::Yes
    }

    fn meant(&self, name: Option<&str>, is_usual: bool) -> Meant {
        match self {
            Self::Usual if is_usual => Meant::Yes,
            Self::Usual => Meant::ByName,
            Self::All => Meant::Yes,
            Self::Only(names) if names.iter().any(|one| Some(one.as_str()) == name) => Meant::Yes,
            Self::Only(_) => Meant::No,
        }
    }

    /// A name that none of `known` is.
    fn unknown<'k>(&self, known: impl Iterator<Item = &'k str>) -> Option<&String> {
        let Self::Only(names) = self else { return None };
        let known: BTreeSet<&str> = known.collect();
        names.iter().find(|name| !known.contains(name.as_str()))
    }
}

/// The architectures that are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Architectures {
    /// Those that the row names, or else the matrix.
    #[default]
    Matrix,
    /// The host's, if it is one of them; otherwise all of them.
    Host,
    /// This one, whether the matrix names it or not; but for rows that name others.
    Only(Architecture),
}

impl Architectures {
    /// The one that is asked for, or the host's.
    pub fn only_or_host(asked: Option<Architecture>) -> Self {
        asked.map_or(Self::Host, Self::Only)
    }

    /// The one that is asked for, or the matrix's.
    pub fn only_or_matrix(asked: Option<Architecture>) -> Self {
        asked.map_or(Self::Matrix, Self::Only)
    }

    /// Those of a row.
    pub(crate) fn of(self, matrix: &Matrix, row: &Row, host: Architecture) -> BTreeSet<Architecture> {
        let named = matrix.architectures_of(row, host);
        match self {
            Self::Only(architecture) if row.architectures.is_some() && !named.contains(&architecture) => {
                BTreeSet::new()
            }
            Self::Only(architecture) => BTreeSet::from([architecture]),
            Self::Host if named.contains(&host) => BTreeSet::from([host]),
            Self::Host | Self::Matrix => named,
        }
    }
}

/// A selection that selects nothing.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A pattern that is no glob.
    #[error("`{pattern}` is not a pattern")]
    Pattern {
        /// As it was given.
        pattern: String,
        /// What is wrong with it.
        source: globset::Error,
    },
    /// A pattern that no image's name matches.
    #[error("no image is called `{pattern}`")]
    NoMatch {
        /// As it was given.
        pattern: String,
        /// The names that there are.
        names: Vec<String>,
    },
    /// A group that no row is in.
    #[error("no group is called `{group}`")]
    NoGroup {
        /// As it was given.
        group: String,
        /// The names that there are.
        groups: Vec<String>,
    },
    /// A row that is not there.
    #[error("no row is called `{row}`")]
    NoRow {
        /// As it was given.
        row: String,
        /// The names that there are.
        rows: Vec<String>,
    },
    /// A variant that no image has.
    #[error("no variant is called `{variant}`")]
    NoVariant {
        /// As it was given.
        variant: String,
        /// The names that there are.
        variants: Vec<String>,
    },
}

impl PlanError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Pattern { .. } => None,
            Self::NoMatch { names, .. } if names.is_empty() => {
                Some("every row names other architectures than this one".to_owned())
            }
            Self::NoMatch { names, .. } => Some(format!("the images are {}", names.join(", "))),
            Self::NoGroup { groups, .. } if groups.is_empty() => Some("no row is in a group".to_owned()),
            Self::NoGroup { groups, .. } => Some(format!("the groups are {}", groups.join(", "))),
            Self::NoRow { rows, .. } => Some(format!("the rows are {}", rows.join(", "))),
            Self::NoVariant { variants, .. } => Some(format!("the variants are {}", variants.join(", "))),
        }
    }
}

/// The targets of a matrix that a selection means, in the matrix's order, for a machine of architecture `host`. The lock
/// knows the full versions that some of their names have.
///
/// # Errors
/// When a pattern matches nothing, or a variant or a group is not there.
pub fn select(
    matrix: &Matrix,
    spec: &ImageSpec,
    lock: Option<&Lock>,
    host: Architecture,
    selection: &Selection,
) -> Result<Vec<Target>, PlanError> {
    verify(matrix, spec, selection)?;
    let all = plan::targets(matrix, spec, host, selection.architectures);
    if selection.patterns.is_empty() {
        let is_meant = |target: &Target| selection.meant(target, spec) == Meant::Yes;
        return Ok(all.into_iter().filter(is_meant).collect());
    }
    let mut selected: BTreeSet<usize> = BTreeSet::new();
    for pattern in &selection.patterns {
        let glob = GlobBuilder::new(pattern)
            .build()
            .map_err(|source| PlanError::Pattern { pattern: pattern.clone(), source })?
            .compile_matcher();
        let matching = all.iter().enumerate().filter(|(_, target)| {
            let matches = |name: &str| match selection.meant(target, spec) {
                Meant::Yes => glob.is_match(name),
                Meant::ByName => name == pattern,
                Meant::No => false,
            };
            target.known_by(spec, lock).iter().any(|reference| {
                let tag = reference.split_once(':').map_or(reference.as_str(), |(_, tag)| tag);
                matches(reference) || matches(tag)
            })
        });
        let matching: Vec<usize> = matching.map(|(position, _)| position).collect();
        if matching.is_empty() {
            let mut names: Vec<String> = all.into_iter().map(|target| target.name).collect();
            names.dedup();
            return Err(PlanError::NoMatch { pattern: pattern.clone(), names });
        }
        selected.extend(matching);
    }
    Ok(selected.into_iter().map(|position| all[position].clone()).collect())
}

/// Whether everything that a selection names is there.
fn verify(matrix: &Matrix, spec: &ImageSpec, selection: &Selection) -> Result<(), PlanError> {
    let variants = spec.variants.iter().map(|variant| variant.name.as_str());
    if let Some(unknown) = selection.variants.unknown(variants.clone()) {
        let variants = variants.map(str::to_owned).collect();
        return Err(PlanError::NoVariant { variant: unknown.clone(), variants });
    }
    let rows: Vec<String> = matrix.rows.iter().map(Row::name).collect();
    if let Some(unknown) = selection.rows.iter().find(|row| !rows.contains(row)) {
        return Err(PlanError::NoRow { row: unknown.clone(), rows });
    }
    verify_groups(matrix, &selection.groups)
}

/// Whether a row is in every group that is named.
pub(crate) fn verify_groups(matrix: &Matrix, groups: &Kinds) -> Result<(), PlanError> {
    let known: BTreeSet<&str> = matrix.rows.iter().filter_map(|row| row.group.as_deref()).collect();
    match groups.unknown(known.iter().copied()) {
        Some(unknown) => {
            let groups = known.into_iter().map(str::to_owned).collect();
            Err(PlanError::NoGroup { group: unknown.clone(), groups })
        }
        None => Ok(()),
    }
}

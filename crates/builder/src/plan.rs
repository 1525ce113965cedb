//! From a matrix to targets: which images there are, what they are called, and which packages each asks for. A plan
//! needs neither a network nor a cache.

use std::collections::BTreeSet;
use std::fmt;

use globset::GlobBuilder;
use schema::Architecture;
use schema::image::ImageSpec;
use schema::lock::{Lock, SetKey};
use schema::matrix::{Matrix, Row, Source};

/// One image to build: a row of the matrix for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The row.
    pub row: Row,
    /// The architecture.
    pub architecture: Architecture,
    /// Its name with its main tag: `ruby:3.3-trixie`. The same row for another architecture has the same name.
    pub name: String,
    image: String,
    is_for_host: bool,
    first_of_its_ruby: bool,
}

/// Which of the targets are meant.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Globs over names or tags; all where there is none.
    pub patterns: Vec<String>,
    /// For which machines.
    pub architectures: Architectures,
}

/// The architectures that are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Architectures {
    /// Those that the matrix names.
    #[default]
    Matrix,
    /// The host's, if the matrix names it; otherwise those that it names.
    Host,
    /// This one, whether the matrix names it or not.
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

    fn resolve(self, matrix: &Matrix, host: Architecture) -> BTreeSet<Architecture> {
        let named = || -> BTreeSet<Architecture> {
            matrix.architectures.iter().map(|choice| choice.resolve(host)).collect()
        };
        match self {
            Self::Only(architecture) => BTreeSet::from([architecture]),
            Self::Host if named().contains(&host) => BTreeSet::from([host]),
            Self::Host | Self::Matrix => named(),
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
}

impl PlanError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Pattern { .. } => None,
            Self::NoMatch { names, .. } => Some(format!("the images are {}", names.join(", "))),
        }
    }
}

/// The targets of a matrix that a selection means, in the matrix's order, for a machine of architecture `host`. The lock
/// knows the full versions that some of their names have.
///
/// # Errors
/// When a pattern matches nothing.
pub fn plan(
    matrix: &Matrix,
    spec: &ImageSpec,
    lock: Option<&Lock>,
    host: Architecture,
    selection: &Selection,
) -> Result<Vec<Target>, PlanError> {
    let all = targets(matrix, spec, host, selection.architectures);
    if selection.patterns.is_empty() {
        return Ok(all);
    }
    let mut selected: BTreeSet<usize> = BTreeSet::new();
    for pattern in &selection.patterns {
        let glob = GlobBuilder::new(pattern)
            .build()
            .map_err(|source| PlanError::Pattern { pattern: pattern.clone(), source })?
            .compile_matcher();
        let matching = all.iter().enumerate().filter(|(_, target)| {
            target.known_by(spec, lock).iter().any(|reference| {
                let tag = reference.split_once(':').map_or(reference.as_str(), |(_, tag)| tag);
                glob.is_match(reference) || glob.is_match(tag)
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

/// Every target of a matrix, in its order, for these architectures.
pub(crate) fn targets(
    matrix: &Matrix,
    spec: &ImageSpec,
    host: Architecture,
    architectures: Architectures,
) -> Vec<Target> {
    let architectures = architectures.resolve(matrix, host);
    let mut rubies = BTreeSet::new();
    let mut targets = Vec::new();
    for row in &matrix.rows {
        let first_of_its_ruby = rubies.insert(&row.ruby);
        for &architecture in &architectures {
            targets.push(Target {
                name: format!("{}:{}-{}", spec.name, row.ruby, row.distro),
                row: row.clone(),
                architecture,
                image: spec.name.clone(),
                is_for_host: architecture == host,
                first_of_its_ruby,
            });
        }
    }
    targets
}

impl Target {
    /// The package that the Ruby comes in.
    pub fn ruby_package(&self) -> &str {
        let Source::Package(package) = &self.row.source;
        package
    }

    /// What this target asks of its distro for the image itself.
    pub fn image_set(&self, spec: &ImageSpec) -> SetKey {
        let mut wants: BTreeSet<String> = spec.packages.iter().cloned().collect();
        wants.insert(self.ruby_package().to_owned());
        self.set(wants)
    }

    /// What it asks of its distro for the image and the gems of its checks.
    pub fn gem_set(&self, spec: &ImageSpec) -> SetKey {
        let mut set = self.image_set(spec);
        set.wants.extend(spec.gems.iter().flat_map(|gems| &gems.packages).cloned());
        set
    }

    fn set(&self, wants: BTreeSet<String>) -> SetKey {
        SetKey { distro: self.row.distro.clone(), architecture: self.architecture, wants }
    }

    /// The full version of the Ruby among the locked packages: `3.3.8` of `ruby3.3 3.3.8-2`.
    pub fn locked_version(&self, spec: &ImageSpec, lock: &Lock) -> Option<String> {
        let versioned = format!("ruby{}", self.row.ruby);
        let (package, _) = lock.set(&self.image_set(spec))?.find(|(package, _)| package.name == versioned)?;
        Some(upstream_version(&package.version).to_owned())
    }

    /// Every reference that names the image, the main one first, when its Ruby is of version `ruby`.
    pub fn references(&self, ruby: &str) -> Vec<String> {
        let Self { row, image, .. } = self;
        let mut references = vec![self.name.clone(), format!("{image}:{ruby}-{}", row.distro)];
        // A version that says no more than its series makes no further name.
        references.dedup();
        references.extend(self.plain_tag());
        references
    }

    /// Every reference that it may be asked for by.
    fn known_by(&self, spec: &ImageSpec, lock: Option<&Lock>) -> Vec<String> {
        match lock.and_then(|lock| self.locked_version(spec, lock)) {
            Some(ruby) => self.references(&ruby),
            None => std::iter::once(self.name.clone()).chain(self.plain_tag()).collect(),
        }
    }

    fn plain_tag(&self) -> Option<String> {
        let Self { row, image, .. } = self;
        self.first_of_its_ruby.then(|| format!("{image}:{}", row.ruby))
    }
}

/// As people tell it from its siblings: its name, and its architecture where that is not the host's.
impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        if self.is_for_host { Ok(()) } else { write!(formatter, " for {}", self.architecture) }
    }
}

/// A Debian version without its epoch and revision (Debian Policy 5.6.12). What comes after `+really` is the version that
/// it really is (Debian Policy 3.2.2).
fn upstream_version(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let upstream = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
    upstream.rsplit_once("+really").map_or(upstream, |(_, real)| real)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_version_has_no_epoch_and_no_revision() {
        for (version, upstream) in [
            ("3.3.8-2", "3.3.8"),
            ("2.7.4-1+deb11u5", "2.7.4"),
            ("1:3.3+b1", "3.3+b1"),
            ("3.3", "3.3"),
            ("3.1.7+really3.1.2-7", "3.1.2"),
        ] {
            assert_eq!(upstream_version(version), upstream);
        }
    }
}

//! From a matrix to targets: which images there are, what they are called, and which packages each asks for. A plan
//! needs neither a network nor a cache.
//!
//! A row has a target for each architecture and variant. The tag of a row with options has their names, and that of a
//! variant ends with its name; the first variant has the tags without it too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schema::Architecture;
use schema::image::{Addition, ImageSpec, User, Variant};
use schema::lock::{Lock, SetKey};
use schema::matrix::{Matrix, Row};

use crate::selection::Architectures;

/// One image to build: a variant of a row of the matrix for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The row.
    pub row: Row,
    /// The architecture.
    pub architecture: Architecture,
    /// Its name with its main tag: `ruby:3.3-trixie`. The same row for another architecture has the same name.
    pub name: String,
    /// The place of its variant in the image's description.
    variant: usize,
    /// What its tags may end with.
    endings: Vec<String>,
    image: String,
    is_for_host: bool,
    rank: Rank,
    on_demand: bool,
}

/// Which of the short tags a row's images have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    /// That of the Ruby, and in a release `latest`.
    Latest,
    /// That of the Ruby: `3.3`.
    FirstOfItsRuby,
    /// None.
    Other,
}

/// Every target of a matrix, in its order, for these architectures.
pub(crate) fn targets(
    matrix: &Matrix,
    spec: &ImageSpec,
    host: Architecture,
    architectures: Architectures,
) -> Vec<Target> {
    let mut rubies = BTreeSet::new();
    let mut targets = Vec::new();
    let mut has_latest = false;
    for row in &matrix.rows {
        let rank = match rubies.insert((&row.ruby, &row.options)) {
            true if !has_latest && row.group.is_none() && row.options.is_empty() => Rank::Latest,
            true => Rank::FirstOfItsRuby,
            false => Rank::Other,
        };
        has_latest |= rank == Rank::Latest;
        for architecture in architectures.of(matrix, row, host) {
            for (position, variant) in variants(spec, row) {
                let endings = endings(row, variant, position == 0);
                targets.push(Target {
                    name: name(spec, row, &endings),
                    row: row.clone(),
                    architecture,
                    variant: position,
                    endings,
                    image: spec.name.clone(),
                    is_for_host: architecture == host,
                    rank,
                    on_demand: variant.on_demand || row.group.is_some(),
                });
            }
        }
    }
    targets
}

/// The places of all images of a matrix in its order, by their names.
pub(crate) fn names(matrix: &Matrix, spec: &ImageSpec) -> BTreeMap<String, usize> {
    let all = matrix.rows.iter().flat_map(|row| {
        variants(spec, row)
            .map(move |(position, variant)| name(spec, row, &endings(row, variant, position == 0)))
    });
    all.enumerate().map(|(place, name)| (name, place)).collect()
}

/// The variants of a row, with their places. Packages are not installed on an image that somebody else built, whose dpkg
/// knows others or is not there: the same row without a base has the image for building.
fn variants<'s>(spec: &'s ImageSpec, row: &Row) -> impl Iterator<Item = (usize, &'s Variant)> {
    let on_image = row.base.is_some();
    let installs = |variant: &Variant| variant.addition.layers.iter().any(|layer| layer.installed);
    spec.variants.iter().enumerate().filter(move |(_, variant)| !on_image || !installs(variant))
}

/// An image's name with its main tag.
fn name(spec: &ImageSpec, row: &Row, endings: &[String]) -> String {
    format!("{}:{}-{}{}", spec.name, row.ruby, row.distro, endings[0])
}

/// What the tags of a variant of a row end with, the main one first.
fn endings(row: &Row, variant: &Variant, is_plain: bool) -> Vec<String> {
    let options = row.options.iter().flat_map(|option| ["-", option]).collect::<String>();
    let named = format!("{options}-{}", variant.name);
    match (is_plain, variant.name.is_empty()) {
        (_, true) => vec![options],
        (true, false) => vec![options, named],
        (false, false) => vec![named],
    }
}

impl Target {
    /// Its variant.
    pub fn variant<'s>(&self, spec: &'s ImageSpec) -> &'s Variant {
        &spec.variants[self.variant]
    }

    /// Whose rights a container of it has.
    pub fn user(&self, spec: &ImageSpec) -> User {
        self.variant(spec).user.unwrap_or(spec.config.user)
    }

    /// Whether it is of the first variant of its row.
    pub const fn is_first_variant(&self) -> bool {
        self.variant == 0
    }

    /// Whether it is built only where it is asked for: its variant is, or its row is in a group.
    pub const fn is_on_demand(&self) -> bool {
        self.on_demand
    }

    /// What its row's options and its variant put on the image, lowest first, with the name of each.
    pub fn additions<'s>(&self, spec: &'s ImageSpec) -> Vec<(&'s str, &'s Addition)> {
        let options = self.row.options.iter().filter_map(|name| {
            spec.options
                .iter()
                .find(|option| option.name == *name)
                .map(|option| (&*option.name, &option.addition))
        });
        let variant = self.variant(spec);
        options.chain([(&*variant.name, &variant.addition)]).collect()
    }

    /// What an addition's layers ask of its distro; where packages are installed, those of the image are too.
    pub fn addition_set(&self, spec: &ImageSpec, addition: &Addition) -> SetKey {
        let mut wants = self.asked_for(&addition.packages);
        if addition.layers.iter().any(|layer| layer.installed) {
            wants.extend(self.image_set(spec).wants);
        }
        self.set(wants)
    }

    /// What this target asks of its distro for the image itself.
    pub fn image_set(&self, spec: &ImageSpec) -> SetKey {
        let mut wants = self.asked_for(&spec.packages);
        wants.extend(self.ruby_packages(spec));
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

    /// Every reference that names the image, the main one first, when its Ruby is of version `ruby`.
    pub fn references(&self, ruby: &str) -> Vec<String> {
        let Self { row: Row { ruby: series, distro, .. }, image, .. } = self;
        let mut bases = vec![format!("{image}:{series}-{distro}"), format!("{image}:{ruby}-{distro}")];
        // A version that says no more than its series makes no further name.
        bases.dedup();
        if self.rank != Rank::Other {
            bases.push(format!("{image}:{series}"));
        }
        let with = |ending: &String| bases.iter().map(|base| format!("{base}{ending}")).collect::<Vec<_>>();
        self.endings.iter().flat_map(with).collect()
    }

    /// The same, and what a release adds: `latest` for the first row of the matrix that is in no group and has no options.
    pub fn release_references(&self, ruby: &str) -> Vec<String> {
        let mut references = self.references(ruby);
        if self.rank == Rank::Latest {
            references.extend(self.endings.iter().map(|ending| format!("{}:latest{ending}", self.image)));
        }
        references
    }

    /// Every reference that it may be asked for by.
    pub(crate) fn known_by(&self, spec: &ImageSpec, lock: Option<&Lock>) -> Vec<String> {
        // Until the lock says which, it is the series.
        let locked = lock.and_then(|lock| self.locked_version(spec, lock));
        self.references(locked.as_deref().unwrap_or(self.row.ruby.as_str()))
    }
}

/// As people tell it from its siblings: its name, and its architecture where that is not the host's.
impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        if self.is_for_host { Ok(()) } else { write!(formatter, " for {}", self.architecture) }
    }
}

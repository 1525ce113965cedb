//! What differs between two images, or between the images of two runs: packages, gems, files, bytes and configuration.
//!
//! An [`Image`] is what is known of an image, as plain data; [`Comparison`] is what two of them, or two lists, differ in,
//! and it renders as text, Markdown or JSON. Nothing is read here. What is not known of one of two images is not compared,
//! and the rendering says so. Times are not compared: those in an image are the same in every build of the same packages.

mod markdown;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use schema::Digest;
use serde::Serialize;

/// What is known of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// What people call it: `ruby:3.3-trixie`, with its architecture where several are compared.
    pub name: String,
    /// The digest of its manifest, where that is known: equal ones are the same image.
    pub manifest: Option<Digest>,
    /// The bytes of its files, each hard-linked one once.
    pub disk: u64,
    /// The bytes that a pull brings.
    pub pull: u64,
    /// The version of each package.
    pub packages: BTreeMap<String, String>,
    /// The versions of each gem.
    pub gems: Option<BTreeMap<String, String>>,
    /// Everything in it, by path.
    pub files: Option<BTreeMap<String, File>>,
    /// What it says of how it runs, by the name of the setting.
    pub config: Option<BTreeMap<String, String>>,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct File {
    /// What it is, and what it holds.
    #[serde(flatten)]
    pub kind: Kind,
    /// The bits of its mode.
    #[serde(serialize_with = "octal")]
    pub mode: u32,
    /// The numbers of its user and group.
    pub owner: (u32, u32),
    /// Its extended attributes, as `name=value` with a value in hexadecimal digits.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub attributes: BTreeSet<String>,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Kind {
    /// A folder.
    Folder,
    /// A symbolic link.
    Link {
        /// Where it leads, as written.
        target: String,
    },
    /// A regular file.
    File {
        /// Its bytes.
        bytes: u64,
        /// The digest of its content.
        digest: Digest,
    },
}

/// Something that is not the same on both sides: what it was, where it was there, and what it is, where it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change<V> {
    /// Its name or path.
    pub name: String,
    /// None where it was added.
    pub before: Option<V>,
    /// None where it was removed.
    pub after: Option<V>,
}

/// A number on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Size {
    /// What it was.
    pub before: u64,
    /// What it is.
    pub after: u64,
}

/// What two images differ in. A list that is none was not compared: one side does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The name of the one.
    pub before: String,
    /// The name of the other.
    pub after: String,
    /// The bytes of their files.
    pub disk: Size,
    /// The bytes that a pull brings.
    pub pull: Size,
    /// Packages, with their versions.
    pub packages: Vec<Change<String>>,
    /// Gems, with their versions.
    pub gems: Option<Vec<Change<String>>>,
    /// Files, folders and links.
    pub files: Option<Vec<Change<File>>>,
    /// Settings.
    pub config: Option<Vec<Change<String>>>,
}

/// An image, or a pair of them, in a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum Compared {
    /// Only the second list has it.
    Added {
        /// Its name.
        name: String,
    },
    /// Only the first list has it.
    Removed {
        /// Its name.
        name: String,
    },
    /// Nothing differs.
    Same {
        /// Its name.
        name: String,
    },
    /// Something differs.
    Changed(Box<Difference>),
}

/// What two images, or the images of two runs, differ in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// By name.
    pub images: Vec<Compared>,
}

impl Comparison {
    /// Compares two images, whatever their names.
    pub fn of_images(before: &Image, after: &Image) -> Self {
        Self { images: vec![compare(before, after)] }
    }

    /// Compares those images of two runs that have the same name.
    pub fn of_runs(before: &[Image], after: &[Image]) -> Self {
        let by_name = |images: &[Image]| -> BTreeMap<String, Image> {
            images.iter().map(|image| (image.name.clone(), image.clone())).collect()
        };
        let (before, after) = (by_name(before), by_name(after));
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let images = names.into_iter().map(|name| match (before.get(name), after.get(name)) {
            (Some(before), Some(after)) => compare(before, after),
            (Some(_), None) => Compared::Removed { name: name.clone() },
            (None, _) => Compared::Added { name: name.clone() },
        });
        Self { images: images.collect() }
    }

    /// Whether nothing differs.
    pub fn is_same(&self) -> bool {
        self.images.iter().all(|image| matches!(image, Compared::Same { .. }))
    }

    /// For a terminal: every change on a line.
    pub fn text(&self) -> String {
        text::render(self)
    }

    /// For a pull request: long lists are folded.
    pub fn markdown(&self) -> String {
        markdown::render(self)
    }

    /// For programs: an object with `images`, each of which has `change` (`added`, `removed`, `same` or `changed`) and
    /// the fields of [`Difference`].
    pub fn json(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).expect("strings and numbers can be written as JSON");
        text.push('\n');
        text
    }
}

fn compare(before: &Image, after: &Image) -> Compared {
    let name = || match before.name == after.name {
        true => before.name.clone(),
        false => format!("{} and {}", before.name, after.name),
    };
    if before.manifest.is_some() && before.manifest == after.manifest {
        return Compared::Same { name: name() };
    }
    let both = |before: &Option<BTreeMap<String, String>>, after: &Option<BTreeMap<String, String>>| {
        Some(changes(before.as_ref()?, after.as_ref()?))
    };
    let files = || Some(changes(before.files.as_ref()?, after.files.as_ref()?));
    let difference = Difference {
        before: before.name.clone(),
        after: after.name.clone(),
        disk: Size { before: before.disk, after: after.disk },
        pull: Size { before: before.pull, after: after.pull },
        packages: changes(&before.packages, &after.packages),
        gems: both(&before.gems, &after.gems),
        files: files(),
        config: both(&before.config, &after.config),
    };
    if difference.is_nothing() {
        Compared::Same { name: name() }
    } else {
        Compared::Changed(Box::new(difference))
    }
}

impl Difference {
    fn is_nothing(&self) -> bool {
        let Self { disk, pull, packages, gems, files, config, before: _, after: _ } = self;
        let same = |size: &Size| size.before == size.after;
        same(disk)
            && same(pull)
            && packages.is_empty()
            && gems.as_ref().is_none_or(Vec::is_empty)
            && files.as_ref().is_none_or(Vec::is_empty)
            && config.as_ref().is_none_or(Vec::is_empty)
    }
}

fn changes<V: Clone + PartialEq>(
    before: &BTreeMap<String, V>,
    after: &BTreeMap<String, V>,
) -> Vec<Change<V>> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let change = |name: &String| Change {
        name: name.clone(),
        before: before.get(name).cloned(),
        after: after.get(name).cloned(),
    };
    names.into_iter().map(change).filter(|change| change.before != change.after).collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn octal<S: serde::Serializer>(mode: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{mode:04o}"))
}

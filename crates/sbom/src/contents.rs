//! What an image holds, as plain data that can be kept.
//!
//! Paths are absolute paths in the image, as text: a path that is not UTF-8 is escaped by whoever made it text. An
//! installed *package* is Debian's; it was built from a *source* package. A *gem* may come with a package or beside
//! it; it is there because its specification is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schema::{Architecture, Digest};
use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};

use crate::licences::{Copyright, Expression, LicenceText};
use crate::{cyclonedx, licences, purl, spdx};

/// The program that documents are signed with, as a tool.
pub(crate) const TOOL: &str = "distroless-ruby";
/// Its version.
pub(crate) const TOOL_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What an image holds, whatever its configuration. The order of the lists does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The distribution that its packages are from.
    pub distro: Distro,
    /// The packages that gave a file.
    pub packages: Vec<Package>,
    /// The gems whose specification is in the image.
    pub gems: Vec<Gem>,
    /// Its regular files, each name of a hard-linked one. Folders and links are not listed.
    pub files: Vec<File>,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its name with a tag: `ruby:3.3-trixie`.
    pub name: String,
    /// The version of what it is for: `3.3.8`.
    pub version: String,
    /// Its architecture.
    pub architecture: Architecture,
    /// The digest of its manifest. Whatever in a document has to be unique is derived from it.
    pub digest: Digest,
    /// Its own time; a document says that it was created then. Cut to whole seconds, as both formats want it.
    pub created: Timestamp,
    /// Who makes it.
    pub vendor: String,
}

/// A distribution, as its os-release(5) has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distro {
    /// `ID`: `debian`.
    pub id: String,
    /// The name of who makes it: `Debian`.
    pub vendor: String,
    /// `VERSION_ID`: `13`.
    pub version: String,
}

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, with epoch and revision.
    pub version: String,
    /// The architecture that it was built for, `all` among them.
    pub architecture: String,
    /// What it was built from.
    pub source: Source,
    /// The digest of its archive, the `.deb`.
    pub archive: Option<Digest>,
    /// Its copyright file, where it has one.
    pub copyright: Option<CopyrightFile>,
}

/// A source package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A copyright file, read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyrightFile {
    /// Where it is.
    pub path: String,
    /// What it says.
    pub copyright: Copyright,
}

/// A gem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gem {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The platform that it was built for; none where it is plain Ruby.
    pub platform: Option<String>,
    /// The licences that its specification names, as written there.
    pub licences: Vec<String>,
    /// Where its specification is.
    pub path: String,
}

/// A regular file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Where it is.
    pub path: String,
    /// Its checksums.
    pub checksums: Checksums,
    /// The name of the package that it is from, if any.
    pub package: Option<String>,
}

/// The checksums of a file: SPDX wants SHA-1 whatever else there is (SPDX 2.3, 8.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksums {
    /// SHA-1.
    #[serde(with = "hex::serde")]
    pub sha1: [u8; 20],
    /// SHA-256.
    pub sha256: Digest,
}

impl Checksums {
    /// Those of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self { sha1: Sha1::digest(bytes).into(), sha256: Digest::of(bytes) }
    }
}

/// A format of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// SPDX 2.3 as JSON (ISO/IEC 5962).
    Spdx,
    /// CycloneDX 1.6 as JSON (ECMA-424).
    CycloneDx,
}

impl Format {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Spdx, Self::CycloneDx];

    /// The media type of its documents, which is also the type of an OCI artifact that is one.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Spdx => "application/spdx+json",
            Self::CycloneDx => "application/vnd.cyclonedx+json",
        }
    }

    /// The ending that tools tell its files by.
    pub const fn file_ending(self) -> &'static str {
        match self {
            Self::Spdx => ".spdx.json",
            Self::CycloneDx => ".cdx.json",
        }
    }

    /// The document about `image`, which holds `contents`: JSON with its keys sorted and no space between them, ended by
    /// a line feed.
    pub fn render(self, image: &Image, contents: &Contents) -> Vec<u8> {
        let listing = Listing::of(image, contents);
        let document = match self {
            Self::Spdx => serde_json::to_vec(&spdx::document(&listing)),
            Self::CycloneDx => serde_json::to_vec(&cyclonedx::document(&listing)),
        };
        let mut bytes = document.expect("texts and lists of them can be written as JSON");
        bytes.push(b'\n');
        bytes
    }
}

/// Contents in the order that documents have them in, with the files of each package.
pub(crate) struct Listing<'a> {
    pub image: &'a Image,
    pub distro: &'a Distro,
    /// By name.
    pub packages: Vec<Listed<'a>>,
    /// By name, version and path.
    pub gems: Vec<&'a Gem>,
    /// By path.
    pub files: Vec<&'a File>,
    /// The files that are of no listed package, by path.
    pub unowned: Vec<&'a File>,
}

/// A package and its files, by path.
pub(crate) struct Listed<'a> {
    pub package: &'a Package,
    pub files: Vec<&'a File>,
}

impl<'a> Listing<'a> {
    fn of(image: &'a Image, contents: &'a Contents) -> Self {
        let mut files: Vec<&File> = contents.files.iter().collect();
        files.sort_by(|one, other| one.path.cmp(&other.path));
        let mut packages: Vec<Listed<'_>> =
            contents.packages.iter().map(|package| Listed { package, files: Vec::new() }).collect();
        packages.sort_by_key(|listed| (&listed.package.name, &listed.package.version));
        let positions: BTreeMap<&str, usize> = packages
            .iter()
            .enumerate()
            .map(|(position, listed)| (listed.package.name.as_str(), position))
            .collect();
        let mut unowned = Vec::new();
        for file in &files {
            match file.package.as_deref().and_then(|name| positions.get(name)) {
                Some(position) => packages[*position].files.push(file),
                None => unowned.push(*file),
            }
        }
        let mut gems: Vec<&Gem> = contents.gems.iter().collect();
        gems.sort_by_key(|gem| (&gem.name, &gem.version, &gem.path));
        Self { image, distro: &contents.distro, packages, gems, files, unowned }
    }
}

impl Image {
    /// Its time in whole seconds: `2026-11-24T13:02:00Z`.
    pub(crate) fn created(&self) -> String {
        Timestamp::from_second(self.created.as_second()).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
    }

    /// Its package URL: the repository's name, and the digest as its version.
    pub(crate) fn purl(&self) -> String {
        let (repository, tag) = self.name.split_once(':').unwrap_or((&self.name, ""));
        let name = repository.rsplit('/').next().unwrap_or(repository).to_lowercase();
        let digest = self.digest.to_string();
        purl::text("oci", None, &name, &digest, &[("arch", self.architecture.name()), ("tag", tag)])
    }
}

impl Package {
    /// Its package URL. `upstream` names the source package, which Debian's security tracker goes by.
    pub(crate) fn purl(&self, distro: &Distro) -> String {
        let Source { name, version } = &self.source;
        let upstream = match (name == &self.name, version == &self.version) {
            (true, true) => String::new(),
            (_, true) => name.clone(),
            (_, false) => format!("{name}@{version}"),
        };
        let release = format!("{}-{}", distro.id, distro.version);
        let qualifiers =
            [("arch", self.architecture.as_str()), ("distro", &release), ("upstream", &upstream)];
        purl::text("deb", Some(&distro.id), &self.name, &self.version, &qualifiers)
    }

    /// The licences that it is under, where its copyright file says so for machines.
    pub(crate) fn licence(&self) -> Option<&Expression> {
        self.copyright.as_ref()?.copyright.licence.as_ref()
    }
}

impl Gem {
    /// Its package URL.
    pub(crate) fn purl(&self) -> String {
        let platform = self.platform.as_deref().unwrap_or_default();
        purl::text("gem", None, &self.name, &self.version, &[("platform", platform)])
    }

    /// Each licence as SPDX has it, and the reference's name where it has none.
    pub(crate) fn licences(&self) -> impl Iterator<Item = (Expression, Option<LicenceText>)> {
        self.licences.iter().map(|name| licences::of_gem(name))
    }
}

//! What an image holds, as plain data that can be kept.
//!
//! Paths are absolute paths in the image, as text: a path that is not UTF-8 is escaped by whoever made it text. An
//! installed *package* is Debian's; it was built from a *source* package. *Software* is of no package: somebody compiled it
//! from what its makers published. A *gem* may come with either or beside them; it is there because its specification is.

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
    /// The software of no package that gave a file.
    pub software: Vec<Software>,
    /// The images that files were taken from.
    pub images: Vec<PulledImage>,
    /// The gems whose specification is in the image.
    pub gems: Vec<Gem>,
    /// Its regular files, each name of a hard-linked one. Folders and links are not listed.
    pub files: Vec<File>,
}

// Thousands of files with their sums: written and read here, in a crate that is compiled to be fast.
impl Contents {
    /// It as JSON, to be kept.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and lists of them can be written as JSON")
    }

    /// What [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// Bytes that are something else.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }
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

/// Software that is of no package: its files are of one version, from one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Software {
    /// Its name.
    pub name: String,
    /// Its version, as its makers give it.
    pub version: String,
    /// Its name in the list of products that vulnerabilities are reported for (CPE 2.3).
    pub cpe: Option<String>,
    /// The licences that its makers offer it under, of which one may be chosen; none where that is not known.
    pub licences: Vec<String>,
    /// What it was compiled from, where that is known.
    pub tarball: Option<Tarball>,
}

/// A tarball, as the makers of software publish it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tarball {
    /// Its path where it was published, without the name of a host.
    pub path: String,
    /// The address of its makers, where it came from there.
    pub address: Option<String>,
    /// The digest of its bytes.
    pub digest: Digest,
}

/// An image that files were taken from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PulledImage {
    /// Its repository with the host of the registry, or the file that it is in: `docker.io/library/ruby`.
    pub repository: String,
    /// Its tag, where it has one.
    pub tag: Option<String>,
    /// The digest of its manifest.
    pub digest: Digest,
}

/// Whose a file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// The package of this name.
    Package(String),
    /// The software of this name.
    Software(String),
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
    /// What it is from, if anything.
    pub owner: Option<Owner>,
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
    /// SHA-1 as 40 hexadecimal digits.
    pub(crate) fn sha1_hex(&self) -> String {
        let mut digits = [0; 40];
        hex::encode_to_slice(self.sha1, &mut digits).expect("a byte has two digits");
        std::str::from_utf8(&digits).expect("digits are ASCII").to_owned()
    }

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
        // A file takes about that much.
        let mut bytes = Vec::with_capacity(contents.files.len() * 1024);
        let written = match self {
            Self::Spdx => serde_json::to_writer(&mut bytes, &spdx::document(&listing)),
            Self::CycloneDx => serde_json::to_writer(&mut bytes, &cyclonedx::document(&listing)),
        };
        written.expect("texts and lists of them can be written as JSON");
        bytes.push(b'\n');
        bytes
    }
}

/// Contents in the order that documents have them in, with the files of each package.
pub(crate) struct Listing<'a> {
    pub image: &'a Image,
    pub distro: &'a Distro,
    /// By name.
    pub packages: Vec<Listed<'a, Package>>,
    /// By name.
    pub software: Vec<Listed<'a, Software>>,
    /// By name.
    pub images: Vec<&'a PulledImage>,
    /// By name, version and path.
    pub gems: Vec<&'a Gem>,
    /// By path.
    pub files: Vec<&'a File>,
    /// The files that are of nothing listed, by path.
    pub unowned: Vec<&'a File>,
}

/// A package, or software, and its files, by path.
pub(crate) struct Listed<'a, T> {
    pub what: &'a T,
    pub files: Vec<&'a File>,
}

impl<'a> Listing<'a> {
    fn of(image: &'a Image, contents: &'a Contents) -> Self {
        let mut files: Vec<&File> = contents.files.iter().collect();
        files.sort_by(|one, other| one.path.cmp(&other.path));
        let mut packages = listed(&contents.packages);
        packages.sort_by_key(|listed| (&listed.what.name, &listed.what.version));
        let mut software = listed(&contents.software);
        software.sort_by_key(|listed| (&listed.what.name, &listed.what.version));
        let of_packages = positions(packages.iter().map(|listed| &*listed.what.name));
        let of_software = positions(software.iter().map(|listed| &*listed.what.name));
        let mut unowned = Vec::new();
        for file in &files {
            let owner = match &file.owner {
                Some(Owner::Package(name)) => {
                    of_packages.get(&**name).map(|position| &mut packages[*position].files)
                }
                Some(Owner::Software(name)) => {
                    of_software.get(&**name).map(|position| &mut software[*position].files)
                }
                None => None,
            };
            owner.unwrap_or(&mut unowned).push(*file);
        }
        let mut images: Vec<&PulledImage> = contents.images.iter().collect();
        images.sort_unstable();
        let mut gems: Vec<&Gem> = contents.gems.iter().collect();
        gems.sort_by_key(|gem| (&gem.name, &gem.version, &gem.path));
        let distro = &contents.distro;
        Self { image, distro, packages, software, images, gems, files, unowned }
    }
}

fn listed<T>(all: &[T]) -> Vec<Listed<'_, T>> {
    all.iter().map(|what| Listed { what, files: Vec::new() }).collect()
}

/// The places of names in their order.
fn positions<'n>(names: impl Iterator<Item = &'n str>) -> BTreeMap<&'n str, usize> {
    names.enumerate().map(|(position, name)| (name, position)).collect()
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

impl Software {
    /// Its package URL: its makers have no registry of their own.
    pub(crate) fn purl(&self) -> String {
        let tarball = self.tarball.as_ref();
        let checksum = tarball.map(|tarball| tarball.digest.to_string()).unwrap_or_default();
        let address = tarball.and_then(|tarball| tarball.address.as_deref()).unwrap_or_default();
        let qualifiers = [("checksum", checksum.as_str()), ("download_url", address)];
        purl::text("generic", None, &self.name, &self.version, &qualifiers)
    }

    /// The licences of which one may be chosen, and what is known of those that SPDX does not list.
    pub(crate) fn licence(&self) -> (Option<Expression>, Vec<LicenceText>) {
        let (licences, texts): (Vec<_>, Vec<_>) =
            self.licences.iter().map(|name| licences::named("upstream", name)).unzip();
        (Expression::any(licences), texts.into_iter().flatten().collect())
    }
}

impl Tarball {
    /// The last word of its path.
    pub(crate) fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

impl PulledImage {
    /// Its package URL: the last word of the repository is its name, and the digest its version.
    pub(crate) fn purl(&self) -> String {
        let tag = self.tag.as_deref().unwrap_or_default();
        let qualifiers = [("repository_url", self.repository.as_str()), ("tag", tag)];
        purl::text("oci", None, self.name(), &self.digest.to_string(), &qualifiers)
    }

    /// The last word of its repository.
    pub(crate) fn name(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or(&self.repository)
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
        self.licences.iter().map(|name| licences::named("gem", name))
    }
}

//! `matrix.lock`: every package and image behind the matrix, by version and SHA-256. Generated, committed, and used as Cargo uses
//! its lock: what it says is what is built, and only `cargo xtask update` or a changed matrix changes it.
//!
//! An image that a Ruby is taken from is locked when it is first built from: by the digest of its manifest.
//!
//! A *set* is what one wish list (the packages that a row asks for) came to on one distro and architecture.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::matrix::ImageName;
use crate::text::{Document, ParseError};
use crate::{Architecture, Digest};

const HEADER: &str = "\
# Generated: every package and image behind matrix.toml, by version and SHA-256. Do not edit.
# `cargo xtask update` resolves the suites anew and shows what changes.

";

/// The version of the format that is written, and the only one that is read.
const VERSION: u32 = 1;

/// What a matrix resolved to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lock {
    /// The suites that the packages come from.
    pub suites: BTreeSet<LockedSuite>,
    /// The sets, each with the packages it came to.
    pub sets: BTreeMap<SetKey, BTreeSet<PackageKey>>,
    /// The packages of all sets.
    pub packages: BTreeMap<PackageKey, LockedPackage>,
    /// The images that Rubies are taken from.
    pub images: BTreeMap<ImageKey, LockedImage>,
    /// The upstream tarballs of source packages.
    pub tarballs: BTreeMap<TarballKey, LockedPackage>,
}

/// An image for one architecture.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageKey {
    /// Where it is.
    pub image: ImageName,
    /// For which architecture.
    pub architecture: Architecture,
}

/// What an image was found to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedImage {
    /// The digest of its manifest; of its configuration, in an archive of Docker's, which has no manifest.
    pub digest: Digest,
    /// The Rubies in it.
    pub rubies: BTreeSet<LockedRuby>,
}

/// A Ruby in an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedRuby {
    /// The folder that it was installed to.
    pub prefix: String,
    /// Its full version: `3.4.5`.
    pub version: String,
}

/// An upstream tarball in a source package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TarballKey {
    /// The name of the source package.
    #[serde(rename = "source-package")]
    pub package: String,
    /// The version of what is in the tarball.
    pub version: String,
}

/// One state of a suite.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedSuite {
    /// Its name in the archive, as `trixie-updates`.
    pub name: String,
    /// The `Date` of its release file: an older one is not taken again.
    pub date: Timestamp,
    /// The digest of its signed release file.
    pub release: Digest,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetKey {
    /// The distro's code name.
    pub distro: String,
    /// For which architecture.
    pub architecture: Architecture,
    /// The packages asked for, sorted.
    pub wants: BTreeSet<String>,
}

/// A package among those of the lock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackageKey {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `amd64`, `arm64` or `all`.
    pub architecture: String,
}

impl From<PackageKey> for String {
    fn from(key: PackageKey) -> Self {
        format!("{} {} {}", key.name, key.version, key.architecture)
    }
}

impl TryFrom<String> for PackageKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.split(' ').collect::<Vec<_>>()[..] {
            [name, version, architecture] if !name.is_empty() && !version.is_empty() => Ok(Self {
                name: name.to_owned(),
                version: version.to_owned(),
                architecture: architecture.to_owned(),
            }),
            _ => Err(format!("`{text}` is not a package: expected its name, version and architecture")),
        }
    }
}

/// Where the bytes of a package or a tarball are, and which they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// The suite that it was taken from.
    pub suite: String,
    /// Its path below the archive's address.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// The digest of the `.deb` or the tarball.
    pub digest: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    #[serde(default)]
    suites: Vec<LockedSuite>,
    #[serde(default)]
    sets: Vec<WrittenSet>,
    #[serde(default)]
    packages: Vec<WrittenPackage>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    images: Vec<WrittenImage>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tarballs: Vec<WrittenTarball>,
}

#[derive(Serialize, Deserialize)]
struct WrittenImage {
    #[serde(flatten)]
    key: ImageKey,
    #[serde(flatten)]
    found: LockedImage,
}

#[derive(Serialize, Deserialize)]
struct WrittenTarball {
    #[serde(flatten)]
    key: TarballKey,
    #[serde(flatten)]
    at: LockedPackage,
}

#[derive(Serialize, Deserialize)]
struct WrittenSet {
    #[serde(flatten)]
    key: SetKey,
    packages: BTreeSet<PackageKey>,
}

#[derive(Serialize, Deserialize)]
struct WrittenPackage {
    package: PackageKey,
    #[serde(flatten)]
    at: LockedPackage,
}

impl Lock {
    /// Reads a lock; `file` is the name that errors give it.
    ///
    /// # Errors
    /// Another version of the format, a field that is wrong, or a set that names a package which is not there.
    pub fn parse(file: &str, text: &str) -> Result<Self, ParseError> {
        let document = Document::new(file, text);
        let written: Written = document.parse()?;
        if written.version != VERSION {
            let message = format!(
                "this is version {} of the lock's format, and version {VERSION} is read here: remove the file and \
                 run `cargo xtask update`",
                written.version
            );
            return Err(document.error(None, message, None));
        }
        let lock = Self {
            suites: written.suites.into_iter().collect(),
            sets: written.sets.into_iter().map(|set| (set.key, set.packages)).collect(),
            packages: written.packages.into_iter().map(|entry| (entry.package, entry.at)).collect(),
            images: written.images.into_iter().map(|entry| (entry.key, entry.found)).collect(),
            tarballs: written.tarballs.into_iter().map(|entry| (entry.key, entry.at)).collect(),
        };
        for package in lock.sets.values().flatten() {
            if !lock.packages.contains_key(package) {
                let message = format!(
                    "a set names package `{}`, which is not there: restore the file, or run `cargo xtask update`",
                    String::from(package.clone())
                );
                return Err(document.error(None, message, None));
            }
        }
        Ok(lock)
    }

    /// The text of the file: the same lock always gives the same bytes.
    pub fn render(&self) -> String {
        let written = Written {
            version: VERSION,
            suites: self.suites.iter().cloned().collect(),
            sets: self
                .sets
                .iter()
                .map(|(key, packages)| WrittenSet { key: key.clone(), packages: packages.clone() })
                .collect(),
            packages: self
                .packages
                .iter()
                .map(|(package, at)| WrittenPackage { package: package.clone(), at: at.clone() })
                .collect(),
            images: self
                .images
                .iter()
                .map(|(key, found)| WrittenImage { key: key.clone(), found: found.clone() })
                .collect(),
            tarballs: self
                .tarballs
                .iter()
                .map(|(key, at)| WrittenTarball { key: key.clone(), at: at.clone() })
                .collect(),
        };
        let body =
            toml::to_string_pretty(&written).expect("tables of strings and numbers can be written as TOML");
        format!("{HEADER}{body}")
    }

    /// The packages of a set, where it is locked.
    pub fn set(&self, key: &SetKey) -> Option<impl Iterator<Item = (&PackageKey, &LockedPackage)>> {
        let packages = self.sets.get(key)?;
        Some(packages.iter().filter_map(|package| self.packages.get_key_value(package)))
    }

    /// Leaves only these sets and what they need.
    pub fn retain(&mut self, wanted: &BTreeSet<SetKey>) {
        self.sets.retain(|key, _| wanted.contains(key));
        let used: BTreeSet<PackageKey> = self.sets.values().flatten().cloned().collect();
        self.packages.retain(|package, _| used.contains(package));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::matrix::LocalImage;

    fn package(name: &str) -> PackageKey {
        PackageKey { name: name.to_owned(), version: "1.0-1".to_owned(), architecture: "amd64".to_owned() }
    }

    fn key(want: &str) -> SetKey {
        SetKey {
            distro: "trixie".to_owned(),
            architecture: Architecture::Amd64,
            wants: BTreeSet::from([want.to_owned()]),
        }
    }

    fn lock() -> Lock {
        let at = |name: &str| LockedPackage {
            suite: "trixie".to_owned(),
            path: format!("pool/main/{name}.deb"),
            size: 7,
            digest: Digest::of(name.as_bytes()),
        };
        Lock {
            suites: BTreeSet::from([LockedSuite {
                name: "trixie".to_owned(),
                date: "2026-11-21T09:15:44Z".parse().unwrap(),
                release: Digest::of(b"release"),
            }]),
            sets: BTreeMap::from([
                (key("a"), BTreeSet::from([package("a"), package("b")])),
                (key("c"), BTreeSet::from([package("b"), package("c")])),
            ]),
            packages: ["a", "b", "c"].map(|name| (package(name), at(name))).into(),
            images: BTreeMap::from([(
                ImageKey {
                    image: ImageName::Layout(LocalImage {
                        path: "vendor".to_owned(),
                        name: Some("3.4".to_owned()),
                    }),
                    architecture: Architecture::Amd64,
                },
                LockedImage {
                    digest: Digest::of(b"manifest"),
                    rubies: BTreeSet::from([LockedRuby {
                        prefix: "/usr/local".to_owned(),
                        version: "3.4.5".to_owned(),
                    }]),
                },
            )]),
            tarballs: BTreeMap::from([(
                TarballKey { package: "ruby3.3".to_owned(), version: "3.3.8".to_owned() },
                LockedPackage { path: "pool/main/ruby3.3_3.3.8.orig.tar.xz".to_owned(), ..at("tarball") },
            )]),
        }
    }

    #[test]
    fn reads_what_it_writes() {
        let text = lock().render();
        assert_eq!(Lock::parse("matrix.lock", &text).unwrap(), lock());
        assert_eq!(Lock::parse("matrix.lock", &text).unwrap().render(), text);
    }

    #[test]
    fn is_written_in_one_form() {
        let mut small = lock();
        small.retain(&BTreeSet::from([key("c")]));
        insta::assert_snapshot!(small.render(), @r#"
        # Generated: every package and image behind matrix.toml, by version and SHA-256. Do not edit.
        # `cargo xtask update` resolves the suites anew and shows what changes.

        version = 1

        [[suites]]
        name = "trixie"
        date = "2026-11-21T09:15:44Z"
        release = "sha256:a4d451ec23463726f72c43d64c710968f6b602cd653b4de8adee1b556240a829"

        [[sets]]
        distro = "trixie"
        architecture = "amd64"
        wants = ["c"]
        packages = [
            "b 1.0-1 amd64",
            "c 1.0-1 amd64",
        ]

        [[packages]]
        package = "b 1.0-1 amd64"
        suite = "trixie"
        path = "pool/main/b.deb"
        size = 7
        digest = "sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"

        [[packages]]
        package = "c 1.0-1 amd64"
        suite = "trixie"
        path = "pool/main/c.deb"
        size = 7
        digest = "sha256:2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6"

        [[images]]
        image = "oci:vendor:3.4"
        architecture = "amd64"
        digest = "sha256:05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f"

        [[images.rubies]]
        prefix = "/usr/local"
        version = "3.4.5"

        [[tarballs]]
        source-package = "ruby3.3"
        version = "3.3.8"
        suite = "trixie"
        path = "pool/main/ruby3.3_3.3.8.orig.tar.xz"
        size = 7
        digest = "sha256:db4b4d0d1cb480bf9aeea253771c00febe627f236765fa37d6a5614f079a3aa0"
        "#);
    }

    #[test]
    fn refuses_another_version_and_missing_packages() {
        let cases = [
            (lock().render().replace("version = 1\n", "version = 2\n"), "version 2 of the lock's format"),
            (
                lock().render().replace("package = \"b 1.0-1 amd64\"", "package = \"b 1.0-2 amd64\""),
                "`b 1.0-1 amd64`",
            ),
            (
                lock().render().replace("package = \"b 1.0-1 amd64\"", "package = \"b 1.0-1\""),
                "is not a package",
            ),
            (lock().render().replace("size = 7", "size = -7"), "matrix.lock:"),
        ];
        for (text, says) in cases {
            let error = Lock::parse("matrix.lock", &text).expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_set_that_nobody_wants_goes_with_its_packages() {
        let mut lock = lock();
        lock.retain(&BTreeSet::from([key("a")]));
        assert_eq!(lock.packages.into_keys().map(|key| key.name).collect::<Vec<_>>(), ["a", "b"]);
    }

    proptest! {
        #[test]
        fn a_changed_lock_never_makes_it_panic(at in any::<prop::sample::Index>(), put in "[{}/.:=\\[\"é*a0\n]{0,4}") {
            let text = lock().render();
            let at = at.index(text.len());
            let changed = [&text[..at], &put, &text[at + 1..]].concat();
            if let Err(error) = Lock::parse("file", &changed) {
                prop_assert!(error.to_string().starts_with("file:"), "{error}");
            }
        }
    }
}

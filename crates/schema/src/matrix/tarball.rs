//! Tarballs that Rubies are compiled from, as upstream published them: by their digest, or as the archive of Debian has
//! them in a source package, which it signs for.
//!
//! ```toml
//! [tarballs."3.4.5"]
//! addresses = ["https://cache.ruby-lang.org/pub/ruby/3.4/ruby-3.4.5.tar.xz"]
//! digest = "sha256:..."
//! size = 14956044
//!
//! [tarballs."3.3.8"]
//! source-package = "ruby3.3"
//! suite = "trixie"
//! ```

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::text::{Document, FromText, ParseError, deserialize_from_text};
use crate::{Digest, name};

/// Where a tarball is, and which it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tarball {
    /// These very bytes.
    Pinned {
        /// Where they may be had, the best address first; never empty.
        addresses: Vec<TarballAddress>,
        /// Their digest.
        digest: Digest,
        /// How many they are.
        size: u64,
    },
    /// The one in a source package of Debian.
    SourcePackage {
        /// The name of the package: `ruby3.3`.
        package: String,
        /// The suite of the main archive that has it.
        suite: String,
    },
}

/// Where a tarball may be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TarballAddress {
    /// An address of a server.
    Url(String),
    /// A path below the address of a Debian mirror.
    Archive(String),
}

/// A Ruby that is compiled: written as the version alone, or as a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct Compiled {
    /// The full version, a key of the matrix's tarballs.
    pub version: String,
    /// Whether it has YJIT, which wants a Rust compiler of its distro.
    #[serde(default = "yes")]
    pub yjit: bool,
}

const fn yes() -> bool {
    true
}

impl<'de> Deserialize<'de> for Compiled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CompiledVisitor;

        impl<'de> Visitor<'de> for CompiledVisitor {
            type Value = Compiled;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(
                    "the version of a tarball, as \"3.4.5\" or { version = \"3.4.5\", yjit = false }",
                )
            }

            fn visit_str<E: serde::de::Error>(self, version: &str) -> Result<Compiled, E> {
                Ok(Compiled { version: version.to_owned(), yjit: yes() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Compiled, A::Error> {
                Compiled::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_any(CompiledVisitor)
    }
}

impl FromText for TarballAddress {
    fn from_text(text: &str) -> Result<Self, String> {
        let is_path = || text.split('/').all(|name| !matches!(name, "" | "." | ".."));
        if text.starts_with("http://") || text.starts_with("https://") {
            return Ok(Self::Url(text.to_owned()));
        }
        match text.contains(':') || !is_path() {
            true => Err(format!(
                "`{text}` is no address: expected one of a server, or a path below a Debian mirror, as \"pool/main/...\""
            )),
            false => Ok(Self::Archive(text.to_owned())),
        }
    }
}

impl<'de> Deserialize<'de> for TarballAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_from_text(deserializer)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WrittenTarball {
    #[serde(default)]
    addresses: Vec<TarballAddress>,
    digest: Option<Digest>,
    size: Option<u64>,
    source_package: Option<String>,
    suite: Option<String>,
}

/// The tarballs by the versions of the Rubies in them.
pub(super) fn tarballs(
    document: &Document<'_>,
    written: BTreeMap<Spanned<String>, WrittenTarball>,
) -> Result<BTreeMap<String, Tarball>, ParseError> {
    let read = |(version, written): (Spanned<String>, WrittenTarball)| {
        let refused = |message: String| Err(document.error(Some(version.span()), message, None));
        // A tag is named after it.
        if !name::is_tag_word(version.get_ref())
            || !version.get_ref().starts_with(|first: char| first.is_ascii_digit())
        {
            return refused(format!("`{}` is no version of a Ruby, as \"3.4.5\" is", version.get_ref()));
        }
        let WrittenTarball { addresses, digest, size, source_package, suite } = written;
        let tarball = match (digest, size, source_package, suite) {
            (Some(digest), Some(size), None, None) if !addresses.is_empty() => {
                Tarball::Pinned { addresses, digest, size }
            }
            (None, None, Some(package), Some(suite)) if addresses.is_empty() => {
                Tarball::SourcePackage { package, suite }
            }
            _ => {
                let version = version.get_ref();
                return refused(format!(
                    "tarball `{version}` has either `addresses`, `digest` and `size`, or `source-package` and `suite`"
                ));
            }
        };
        Ok((version.into_inner(), tarball))
    };
    written.into_iter().map(read).collect()
}

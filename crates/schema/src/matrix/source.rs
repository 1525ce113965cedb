//! Where the Ruby of a row comes from. Each kind is one variant here, and one module of what builds.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::tarball::Compiled;
use crate::reference::Reference;
use crate::text::{FromText, deserialize_from_text};

/// Where a Ruby comes from: a table with one entry, as `{ package = "ruby" }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", remote = "Self")]
pub enum Source {
    /// The distro's own package of this name.
    Package(String),
    /// An image that has it, in `/usr/local` or `/usr`.
    Image(ImageName),
    /// A tarball that it is compiled from, for `/usr/local`.
    Tarball(Compiled),
}

/// Where an image is, written as containers-transports(5) has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub enum ImageName {
    /// In a registry: `docker.io/library/ruby:3.4-trixie`, with or without `docker://` before it.
    Registry(Reference),
    /// In an OCI image layout: `oci:FOLDER:NAME`, or `oci:FOLDER` where it has one image alone.
    Layout(LocalImage),
    /// In a file that `docker save` wrote: `docker-archive:FILE:NAME`, or `docker-archive:FILE` where it has one image
    /// alone.
    Archive(LocalImage),
}

/// An image in a file or folder of the project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalImage {
    /// The path from the project's folder, inside it.
    pub path: String,
    /// What the image is called there.
    pub name: Option<String>,
}

const REGISTRY: &str = "docker://";
const LAYOUT: &str = "oci:";
const ARCHIVE: &str = "docker-archive:";

impl Source {
    /// The image that has it, if it is of one.
    pub fn image(&self) -> Option<&ImageName> {
        match self {
            Self::Image(image) => Some(image),
            Self::Package(_) | Self::Tarball(_) => None,
        }
    }
}

/// As it is written; a text alone is refused with what it could mean.
impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SourceVisitor;

        impl<'de> Visitor<'de> for SourceVisitor {
            type Value = Source;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a table with one entry, as { package = \"ruby\" }")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Source, A::Error> {
                Source::deserialize(MapAccessDeserializer::new(map))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Source, E> {
                Err(E::custom(format!(
                    "say what `{text}` is: {{ package = \"{text}\" }} of the distro, or {{ image = \"{text}\" }}"
                )))
            }
        }

        deserializer.deserialize_any(SourceVisitor)
    }
}

impl FromText for ImageName {
    fn from_text(text: &str) -> Result<Self, String> {
        if let Some(local) = text.strip_prefix(LAYOUT) {
            return LocalImage::read(text, local).map(Self::Layout);
        }
        if let Some(local) = text.strip_prefix(ARCHIVE) {
            return LocalImage::read(text, local).map(Self::Archive);
        }
        let name = text.strip_prefix(REGISTRY).unwrap_or(text);
        name.parse().map(Self::Registry).map_err(|error| {
            format!(
                "{error}; an image is named as in \"docker.io/library/ruby:3.4-trixie\", \
                 \"oci:folder:name\" or \"docker-archive:file\""
            )
        })
    }
}

impl LocalImage {
    fn read(text: &str, local: &str) -> Result<Self, String> {
        let (path, name) = match local.split_once(':') {
            Some((path, name)) => (path, Some(name.to_owned())),
            None => (local, None),
        };
        let is_inside = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !is_inside || path.contains('\0') {
            return Err(format!("`{text}` names no path inside the project's folder"));
        }
        if name.as_ref().is_some_and(String::is_empty) {
            return Err(format!(
                "`{text}` ends with a colon: leave it out, or write the name of the image behind it"
            ));
        }
        Ok(Self { path: path.to_owned(), name })
    }
}

impl<'de> Deserialize<'de> for ImageName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_from_text(deserializer)
    }
}

impl From<ImageName> for String {
    fn from(name: ImageName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => reference.fmt(formatter),
            Self::Layout(local) => write!(formatter, "{LAYOUT}{local}"),
            Self::Archive(local) => write!(formatter, "{ARCHIVE}{local}"),
        }
    }
}

impl fmt::Display for LocalImage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.path)?;
        self.name.iter().try_for_each(|name| write!(formatter, ":{name}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_image_is_in_a_registry_a_layout_or_an_archive() {
        for (written, shown) in [
            ("ruby:3.4-trixie", "docker.io/library/ruby:3.4-trixie"),
            ("docker://ghcr.io/team/ruby", "ghcr.io/team/ruby:latest"),
            ("localhost:5000/ruby:3.4", "localhost:5000/ruby:3.4"),
            ("oci:vendor/ruby", "oci:vendor/ruby"),
            ("oci:ruby:3.4-trixie", "oci:ruby:3.4-trixie"),
            ("docker-archive:ruby.tar", "docker-archive:ruby.tar"),
            ("docker-archive:ruby.tar:team/ruby:3.4", "docker-archive:ruby.tar:team/ruby:3.4"),
        ] {
            let name = ImageName::from_text(written).unwrap();
            assert_eq!(name.to_string(), shown, "{written}");
            assert_eq!(ImageName::from_text(shown).unwrap(), name, "{written}");
        }
    }

    #[test]
    fn what_names_no_image_is_told() {
        for (wrong, says) in [
            ("", "is no name in a registry"),
            ("Ruby", "is no name in a registry"),
            ("oci:", "names no path inside the project's folder"),
            ("oci:/srv/ruby", "names no path inside the project's folder"),
            ("oci:../ruby:3.4", "names no path inside the project's folder"),
            ("docker-archive:ruby.tar:", "ends with a colon"),
        ] {
            let error = ImageName::from_text(wrong).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(oci:|docker-archive:|docker://)?[a-z0-9./:@_-]{0,30}") {
            if let Ok(name) = ImageName::from_text(&text) {
                prop_assert_eq!(ImageName::from_text(&name.to_string()), Ok(name));
            }
        }
    }
}

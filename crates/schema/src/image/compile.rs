//! How a Ruby is made of its tarball, where a row has one: in a root of its distro's packages, by a script.

use serde::Deserialize;
use toml::Spanned;

use super::{FileSpec, WrittenFile};
use crate::text::{Document, ParseError};

/// How Rubies are compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileSpec {
    /// A script of a shell beside `image.toml`. What it is given is said where it is run.
    pub script: String,
    /// The packages of the root that it runs in, with what these depend on.
    pub packages: Vec<String>,
    /// The packages besides, where the Ruby gets YJIT.
    pub yjit_packages: Vec<String>,
    /// The packages that the compiled Ruby needs files of when it runs.
    pub libraries: Vec<String>,
    /// The files of that root that no package brings.
    pub files: Vec<FileSpec>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WrittenCompile {
    script: String,
    packages: Vec<String>,
    #[serde(default)]
    yjit_packages: Vec<String>,
    #[serde(default)]
    libraries: Vec<String>,
    #[serde(default)]
    files: Vec<Spanned<WrittenFile>>,
}

impl WrittenCompile {
    pub(super) fn read(self, document: &Document<'_>) -> Result<CompileSpec, ParseError> {
        let Self { script, packages, yjit_packages, libraries, files } = self;
        Ok(CompileSpec { script, packages, yjit_packages, libraries, files: super::files(document, files)? })
    }
}

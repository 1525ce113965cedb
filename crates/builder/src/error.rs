//! What keeps an image from being built, with the next step where there is one.

use std::io;

use debian::{ArchiveError, ResolveError};
use schema::Architecture;
use schema::matrix::ImageName;

use crate::assemble::AssembleError;
use crate::compile::CompileError;
use crate::image_source::ImageSourceError;
use crate::packages::PackageError;
use crate::project::ProjectError;
use crate::replace::ReplaceError;
use crate::stack::TreeError;
use crate::verify::FindingsError;

/// What keeps an image from being built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The project is wrong.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// The address of a proxy is none.
    #[error(transparent)]
    Proxy(#[from] cache::ProxyError),
    /// The cache does not work.
    #[error(transparent)]
    Store(#[from] cache::StoreError),
    /// The shared cache does not take what was made.
    #[error("cannot share what was built")]
    Shared {
        /// Why.
        source: registry::RegistryError,
    },
    /// The layout does not work.
    #[error(transparent)]
    Layout(#[from] oci::LayoutError),
    /// The machine's apt sources are none.
    #[error("cannot read the sources of apt")]
    AptSources(#[source] debian::control::ControlError),
    /// The keys of a distro are none.
    #[error("cannot read the keys of {distro}")]
    Keyring {
        /// The distro.
        distro: String,
        /// What is wrong.
        source: debian::openpgp::Malformed,
    },
    /// A suite cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The packages that are wanted cannot be had together.
    #[error("cannot choose the packages of {distro}")]
    Resolve {
        /// The distro.
        distro: String,
        /// Why.
        source: ResolveError,
    },
    /// A package's name in the project is none.
    #[error("`{package}` is not the name of a package")]
    PackageName {
        /// As it was written.
        package: String,
        /// What is wrong.
        source: debian::relation::RelationError,
    },
    /// The lock would have to change, and may not.
    #[error("matrix.lock does not have the packages that the matrix asks for on {bases}, and may not change")]
    LockedOut {
        /// Distros and architectures.
        bases: String,
    },
    /// The lock has no answer for a distro.
    #[error("matrix.lock does not have the packages of {distro}")]
    NotLocked {
        /// The distro.
        distro: String,
    },
    /// The distro has another Ruby than the row says.
    #[error("{image} is for Ruby {series}, which {origin} does not bring")]
    OtherRuby {
        /// The image.
        image: String,
        /// What the Ruby comes in.
        origin: String,
        /// The Ruby that is wanted.
        series: String,
    },
    /// An image that a Ruby is taken from cannot be had, or is none.
    #[error(transparent)]
    ImageSource(#[from] ImageSourceError),
    /// An image would have to be locked, and may not.
    #[error("matrix.lock does not have the image {image} for {architecture}, and may not change")]
    ImageLockedOut {
        /// The image.
        image: ImageName,
        /// For which architecture.
        architecture: Architecture,
    },
    /// The lock has no answer for an image.
    #[error("matrix.lock does not have the image {image} for {architecture}")]
    ImageNotLocked {
        /// The image.
        image: ImageName,
        /// For which architecture.
        architecture: Architecture,
    },
    /// The image's description does not say how a Ruby is compiled.
    #[error("{image} has a Ruby that is to be compiled, and its image.toml does not say how")]
    NoCompile {
        /// The image.
        image: String,
    },
    /// The lock does not know a tarball.
    #[error("matrix.lock does not have the tarball of Ruby {version}, and may not change")]
    TarballNotLocked {
        /// The version of the Ruby.
        version: String,
    },
    /// No source package has the tarball.
    #[error("the source package {package} in {suite} has no tarball of Ruby {version}, {}", there_is(.versions))]
    NoTarball {
        /// The version of the Ruby.
        version: String,
        /// The name of the source package.
        package: String,
        /// The suite.
        suite: String,
        /// The versions of the package that have one.
        versions: Vec<String>,
    },
    /// A tarball cannot be had.
    #[error("cannot fetch the tarball of {ruby}")]
    Tarball {
        /// What it is for.
        ruby: String,
        /// Why.
        source: cache::FetchError,
    },
    /// A Ruby is for machines of another kind than this one.
    #[error("cannot compile {ruby}: it is for {architecture}, and this machine is not")]
    CompileElsewhere {
        /// The Ruby.
        ruby: String,
        /// What it is for.
        architecture: Architecture,
    },
    /// A Ruby cannot be compiled.
    #[error("cannot compile {ruby}")]
    Compile {
        /// The Ruby.
        ruby: String,
        /// Why.
        source: CompileError,
    },
    /// A package cannot be had or opened.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The packages make no tree.
    #[error("cannot build {image}")]
    Tree {
        /// The image.
        image: String,
        /// Why.
        source: TreeError,
    },
    /// Something is missing.
    #[error(transparent)]
    Findings(#[from] FindingsError),
    /// The image cannot be put together.
    #[error("cannot build {image}")]
    Assemble {
        /// The image.
        image: String,
        /// Why.
        source: AssembleError,
    },
    /// A layer that is packed cannot be read.
    #[error("cannot read the packed layer `{layer}`")]
    Packed {
        /// Its name.
        layer: String,
        /// Why.
        source: AssembleError,
    },
    /// What an image holds cannot be declared.
    #[error("cannot list what {image} holds")]
    Inventory {
        /// The image.
        image: String,
        /// Why.
        source: crate::inventory::InventoryError,
    },
    /// What an image holds was listed a moment ago.
    #[error("the list of what an image holds has gone from the cache meanwhile")]
    InventoryGone,
    /// The documents about the images cannot be written as files.
    #[error("cannot write the bills of materials")]
    Documents(#[source] io::Error),
    /// A record cannot be kept in the cache.
    #[error("cannot keep a record in the cache")]
    Keep(#[source] io::Error),
    /// A file of the project cannot be written.
    #[error(transparent)]
    Replace(#[from] ReplaceError),
    /// The run record cannot be read.
    #[error("cannot read the run record")]
    RecordFile(#[source] io::Error),
    /// A layer cannot be unpacked to be run.
    #[error("cannot unpack a layer of {image}")]
    Unpack {
        /// The image.
        image: String,
        /// Why.
        source: rootfs::DirectoryError,
    },
    /// The checks cannot be read.
    #[error(transparent)]
    Suite(#[from] checks::SuiteError),
    /// The gems of the checks cannot be made of the packages.
    #[error("cannot make the gems of the checks of {image}")]
    Gems {
        /// The image.
        image: String,
        /// Why.
        source: checks::GemPackagesError,
    },
    /// Checks cannot run.
    #[error("cannot run {image}")]
    Engine {
        /// The image.
        image: String,
        /// Why.
        source: checks::EngineError,
    },
    /// A layer is no tree.
    #[error("cannot read a layer of {image}")]
    Layer {
        /// The image.
        image: String,
        /// Why.
        source: crate::check::TreeFault,
    },
    /// What is to be compared is not there.
    #[error(transparent)]
    Compare(#[from] crate::compare::CompareError),
    /// The run record is none.
    #[error(transparent)]
    Record(#[from] schema::run::RunRecordError),
}

fn there_is(versions: &[String]) -> String {
    match versions {
        [] => "nor of any other".to_owned(),
        versions => format!("but those of {}", versions.join(", ")),
    }
}

impl BuildError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Project(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Layout(error) => error.hint(),
            Self::Archive(error) => error.hint(),
            Self::Resolve { source, .. } => source.hint(),
            Self::LockedOut { .. } => Some("run `cargo xtask update`, or leave `--locked` out".to_owned()),
            Self::ImageLockedOut { .. } => {
                Some("leave `--locked` out, so that the image that it is now is locked".to_owned())
            }
            Self::ImageSource(error) => error.hint(),
            Self::ImageNotLocked { .. } => {
                Some("build its row, as `cargo xtask build IMAGE` does".to_owned())
            }
            Self::NotLocked { .. } => Some("run `cargo xtask build-all`".to_owned()),
            Self::NoCompile { .. } => Some("give it a table [compile]".to_owned()),
            Self::TarballNotLocked { .. } => {
                Some("run `cargo xtask update`, or leave `--locked` out".to_owned())
            }
            Self::NoTarball { .. } => Some(
                "name another suite in matrix.toml, or addresses and the digest of the tarball".to_owned(),
            ),
            Self::Tarball { source, .. } => source.hint(),
            Self::CompileElsewhere { architecture, .. } => Some(format!(
                "build it on a machine of {architecture}; images of packages are built anywhere"
            )),
            Self::Compile { source, .. } => source.hint(),
            Self::OtherRuby { .. } => Some("write the Ruby that is there into matrix.toml".to_owned()),
            Self::Package(error) => error.hint(),
            Self::Findings(error) => error.hint(),
            Self::Engine { source, .. } => source.hint(),
            Self::Unpack { source, .. } => source.hint(),
            Self::Inventory { .. } => Some(
                "write it as RubyGems does, with literals, or leave it out with a rule under `[[drop]]` in image.toml"
                    .to_owned(),
            ),
            Self::Compare(error) => error.hint(),
            Self::Shared { source } => source.hint(),
            Self::Proxy(_)
            | Self::AptSources(_)
            | Self::Keyring { .. }
            | Self::PackageName { .. }
            | Self::Tree { .. }
            | Self::Assemble { .. }
            | Self::Packed { .. }
            | Self::Keep(_)
            | Self::InventoryGone
            | Self::Documents(_)
            | Self::Replace(_)
            | Self::RecordFile(_)
            | Self::Layer { .. }
            | Self::Suite(_)
            | Self::Gems { .. }
            | Self::Record(_) => None,
        }
    }

    /// Whether a locked package is nowhere any more.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Package(error) if error.is_gone())
    }
}

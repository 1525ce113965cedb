//! Why checks could not be read, or an engine could not run them.

use std::io;

use rootfs::{InsertError, PathError, StackError, TarError, WriteError};

use crate::container::Tool;
use crate::means::NoMeans;

/// Why an engine could not run an image.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The sandbox failed.
    #[error("cannot run a command of the image in the sandbox")]
    Sandbox(#[from] sandbox::SandboxError),
    /// The user of an image's configuration is more than two numbers.
    #[error("cannot run as user `{0}`: expected two numbers, as `65532:65532`")]
    User(String),
    /// An image that has no command of its own, and none was given.
    #[error("the image has no command of its own")]
    NoCommand,
    /// A file of the image could not be read.
    #[error("cannot read the image's files")]
    Files(#[source] io::Error),
    /// There is no such program, or no daemon behind it.
    #[error("cannot use {tool}: {message}")]
    Unavailable {
        /// Which engine.
        tool: Tool,
        /// What it said, or that it is not there.
        message: String,
    },
    /// A container engine did not do as it was told.
    #[error("cannot {doing} with {tool}: {message}")]
    Refused {
        /// Which engine.
        tool: Tool,
        /// What it should do.
        doing: &'static str,
        /// What it said.
        message: String,
    },
    /// The image could not be handed to a container engine.
    #[error("cannot hand the image to {tool}")]
    HandOver {
        /// Which engine.
        tool: Tool,
        /// What failed.
        source: oci::export::ExportError,
    },
    /// `/proc` does not tell of this process.
    #[error("cannot read what names this process")]
    Process(#[source] io::Error),
    /// Nothing runs the programs of the image.
    #[error("cannot run the image here")]
    NoMeans(#[from] NoMeans),
    /// A temporary file could not be made.
    #[error("cannot write a temporary file")]
    Temporary(#[source] io::Error),
}

impl EngineError {
    /// The next step, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Sandbox(error) => error.hint(),
            Self::Unavailable { tool, .. } => {
                Some(format!("install {tool} and start its daemon if it has one, or choose another engine"))
            }
            Self::HandOver { source, .. } => source.hint(),
            Self::NoMeans(missing) => Some(missing.hint()),
            Self::NoCommand => Some("name a command".to_owned()),
            _ => None,
        }
    }
}

/// Why the checks of an image could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// A script is not there.
    #[error("cannot read the script of check `{check}`")]
    Script {
        /// The check, or what else the script is for.
        check: String,
        /// The error, with the path.
        source: io::Error,
    },
    /// A check wants gems, and the image's description names no packages that have any.
    #[error("check `{check}` installs gems, and the image's description has no `gems`")]
    NoGems {
        /// The check.
        check: String,
    },
}

/// Why gems cannot be made of packages.
#[derive(Debug, thiserror::Error)]
pub enum GemPackagesError {
    /// A package's files are not as they may be.
    #[error("cannot take gems from package `{package}`")]
    Package {
        /// The package.
        package: String,
        /// What is wrong with it.
        source: GemPackageFault,
    },
    /// The files of all packages do not go into one tar.
    #[error("cannot put the packages of gems into one tar")]
    Write(#[from] WriteError),
}

/// What is wrong with a package that gems are taken from.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
#[expect(missing_docs, reason = "each is an error of the crate `rootfs`, which says what it means")]
pub enum GemPackageFault {
    Name(#[from] PathError),
    Tar(#[from] TarError),
    Stack(#[from] StackError),
    Insert(#[from] InsertError),
}

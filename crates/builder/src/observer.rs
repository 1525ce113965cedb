//! What a build tells while it runs. Libraries do not print: whoever wants to see a build watches it.

use schema::Digest;
use schema::matrix::ImageName;

use crate::compile::Changes;
use crate::locking::LockChange;

/// Watches a build, from any of its threads.
pub trait Observer: Sync {
    /// Something has happened.
    fn observe(&self, event: &Event<'_>);
}

/// Watches nothing.
pub(crate) struct Unobserved;

impl Observer for Unobserved {
    fn observe(&self, _: &Event<'_>) {}
}

/// Something that happens in a build.
#[derive(Debug)]
pub enum Event<'a> {
    /// The indexes of a distro are being read.
    Resolving {
        /// The distro's code name.
        distro: &'a str,
    },
    /// The lock is not as it was.
    Relocked(&'a LockChange),
    /// Packages are about to be fetched.
    Fetching {
        /// How many.
        packages: usize,
        /// How many bytes they have.
        bytes: u64,
    },
    /// Bytes of packages have come.
    Fetched {
        /// How many more.
        bytes: u64,
    },
    /// Every package is there.
    FetchingDone,
    /// An image that a Ruby is taken from is about to be pulled.
    Pulling {
        /// The image.
        image: &'a ImageName,
        /// How many bytes it has.
        bytes: u64,
    },
    /// Bytes of that image have come, or were there.
    Pulled {
        /// How many more.
        bytes: u64,
    },
    /// All of that image is there, or it cannot be had.
    PullingDone,
    /// A Ruby is about to be compiled.
    Compiling {
        /// What it is called.
        ruby: &'a str,
        /// What is not as it was when it was last compiled here, if it was.
        changes: Option<&'a Changes>,
    },
    /// A compile says something.
    Compiles {
        /// The Ruby.
        ruby: &'a str,
        /// The line.
        line: &'a str,
    },
    /// A Ruby is compiled.
    Compiled {
        /// What it is called.
        ruby: &'a str,
        /// How long that took.
        seconds: u64,
    },
    /// An image has come to a stage.
    Stage {
        /// Its name.
        image: &'a str,
        /// The stage.
        stage: Stage,
    },
    /// An image is in the layout.
    Built {
        /// Its name.
        image: &'a str,
        /// The digest of its manifest.
        manifest: Digest,
        /// Bytes of its files.
        disk: u64,
        /// Bytes to pull.
        pull: u64,
        /// Bytes to pull in zstd, where that is a choice.
        zstd: Option<u64>,
        /// How many findings depend on what a program does when it runs.
        undecided: usize,
        /// Whether it was there before.
        unchanged: bool,
    },
    /// A check has ended.
    Checked {
        /// The image's name.
        image: &'a str,
        /// The check's name.
        check: &'a str,
        /// Whether it passed.
        passed: bool,
        /// How long it took.
        milliseconds: u64,
    },
    /// Every check of an image has ended.
    CheckingDone {
        /// The image's name.
        image: &'a str,
    },
}

/// What is being done to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its packages become one tree.
    Stacking,
    /// Its closure is computed.
    Analyzing,
    /// Its layers are written and compressed.
    Packing,
    /// Its own tree is analyzed.
    Verifying,
    /// Its checks run.
    Checking,
}

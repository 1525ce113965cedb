//! A signed Debian archive: indexes, dependency choice, packages.
//!
//! An [`Archive`] reads a [`Suite`] from a [`mirror`]: its release file, whose signature [`openpgp`] verifies, and the
//! indexes that it names. Suites join into a [`Universe`], of which [`resolve()`] chooses. A chosen package is fetched by
//! its [`PackageRecord`] and opened by [`deb`]. What a package was built from is an [`UpstreamTarball`].
//!
//! Every parser takes bytes or text and is total: whatever it is given, it answers or refuses.

mod archive;
mod compression;
pub mod control;
pub mod deb;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod mirror;
pub mod openpgp;
mod packages;
#[cfg(test)]
mod reference;
pub mod relation;
mod release;
mod resolve;
mod sources;
pub mod status;
mod suite;
mod universe;
mod version;

pub use archive::{Archive, ArchiveError, ArchiveFault};
pub use compression::UnpackError;
pub use packages::{FieldError, IndexError};
pub use release::{Refusal, ReleaseError};
pub use resolve::{ResolveError, Shortfall, resolve};
pub use sources::{SourceIndex, UpstreamTarball};
pub use suite::{ArchiveName, Suite};
pub use universe::{PackageRecord, SuiteIndex, Universe};

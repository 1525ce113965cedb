//! A signed Debian archive: indexes, dependency choice, packages.

mod archive;
mod compression;
pub mod control;
pub mod deb;
pub mod mirror;
pub mod openpgp;
pub mod packages;
pub mod relation;
pub mod release;
pub mod resolve;
mod suite;
mod universe;
pub mod version;

pub use archive::{Archive, ArchiveError, ArchiveFault};
pub use compression::UnpackError;
pub use resolve::{ResolveError, resolve};
pub use suite::{ArchiveName, Suite};
pub use universe::{PackageRecord, SuiteIndex, Universe};

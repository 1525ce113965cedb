//! A signed Debian archive: indexes, dependency choice, packages.

mod compression;
pub mod control;
pub mod deb;
pub mod openpgp;
pub mod packages;
pub mod relation;
pub mod release;
mod suite;
pub mod version;

pub use compression::UnpackError;
pub use suite::{ArchiveName, Suite};

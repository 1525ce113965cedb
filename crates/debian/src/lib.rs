//! A signed Debian archive: indexes, dependency choice, packages.

pub mod control;
pub mod openpgp;
pub mod packages;
pub mod relation;
pub mod release;
mod suite;
pub mod version;

pub use suite::{ArchiveName, Suite};

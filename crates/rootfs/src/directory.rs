//! The one writer to a disk.
use crate::tree::Tree;
use std::path::Path;

/// Whether owners and extended attributes are written too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Owners, groups and extended attributes are those of the tree, which takes root's rights.
    Preserve,
    /// Everything belongs to whoever writes it.
    Ignore,
}

/// Why a folder could not be written.
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct DirectoryError;

/// Writes.
pub fn write_directory(_tree: &Tree, _directory: &Path, _ownership: Ownership) -> Result<(), DirectoryError> {
    Err(DirectoryError)
}

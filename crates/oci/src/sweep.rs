//! Removing what nothing names any more: blobs of images that were rebuilt or dropped, and the passing files of runs
//! that were killed.

use std::collections::BTreeSet;
use std::fs::TryLockError;

use fs_err::{self as fs, File};

use crate::error::LayoutError;
use crate::layout::Layout;

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Layout {
    /// Removes every blob that the index does not lead to. `None`, and nothing is removed, while a [`crate::Writer`]
    /// lives, in this process or another: what it put may not have its name yet.
    ///
    /// # Errors
    /// An image that cannot be read, so that it is not known what it needs (nothing is removed then); a file that
    /// cannot be removed.
    pub fn remove_unreferenced(&self) -> Result<Option<Swept>, LayoutError> {
        let path = self.lock_path();
        let folder = File::open(&path).map_err(|source| self.io("lock its blobs", source))?;
        match folder.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(self.io("lock its blobs", source)),
        }
        let reached = self.reach(self.index()?.1.manifests)?;
        let kept: BTreeSet<String> = reached.into_iter().map(|(digest, _)| digest.hex()).collect();
        let mut swept = Swept::default();
        let blobs = self.blobs();
        let files = fs::read_dir(&blobs).map_err(|source| self.io("list its blobs", source))?;
        for file in files {
            let file = file.map_err(|source| self.io("list its blobs", source))?;
            if file.file_name().to_str().is_some_and(|name| kept.contains(name)) {
                continue;
            }
            let size = file.metadata().map_err(|source| self.io("list its blobs", source))?.len();
            fs::remove_file(file.path()).map_err(|source| self.io("remove a blob", source))?;
            swept.files += 1;
            swept.bytes += size;
        }
        Ok(Some(swept))
    }
}

//! Files of a project that are written whole or not at all: the lock, the run record, documents, the README.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct ReplaceError {
    path: PathBuf,
    source: io::Error,
}

/// Every file may be read by everybody, as far as the umask allows.
const MODE: u32 = 0o666;

/// Puts a file with these bytes at `path`, in place of what is there.
///
/// # Errors
/// When it cannot be written; what was there stays.
pub fn replace(path: &Path, bytes: impl AsRef<[u8]>) -> Result<(), ReplaceError> {
    write(path, bytes.as_ref()).map_err(|source| ReplaceError { path: path.to_owned(), source })
}

/// The same for a file that every run compares with what it was made from: it is not flushed to the disk, since what a power
/// cut takes from it the next run puts there again.
///
/// # Errors
/// When it cannot be written; what was there stays.
pub(crate) fn replace_copy(path: &Path, bytes: &[u8]) -> Result<(), ReplaceError> {
    let write = || Ok(passing(path, bytes)?.persist(path).map(drop)?);
    write().map_err(|source| ReplaceError { path: path.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let passing = passing(path, bytes)?;
    passing.as_file().sync_all()?;
    passing.persist(path)?;
    Ok(())
}

/// A file with these bytes beside the place of another.
fn passing(path: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let folder = path.parent().expect("a file of a project has a folder");
    let mut passing =
        tempfile::Builder::new().permissions(Permissions::from_mode(MODE)).tempfile_in(folder)?;
    passing.write_all(bytes)?;
    Ok(passing)
}

//! Files that appear whole or not at all: written under a passing name, flushed to the disk, then renamed.
//!
//! A flush waits for the disk, and several files are flushed in little more time than one: [`publish_all`] does that.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use fs_err::File;
use tempfile::{NamedTempFile, TempPath};

/// Every file may be read by everybody, as far as the umask allows.
const MODE: u32 = 0o666;

/// How many files are flushed at once: a file system writes down together what it is asked for together.
const FLUSHES: usize = 16;

/// What to do with a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Leave it; the new bytes are dropped.
    Keep,
    /// The new bytes take its place.
    Replace,
}

/// A file with a passing name in `folder`; it is gone when dropped.
pub(crate) fn passing(folder: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().permissions(Permissions::from_mode(MODE)).tempfile_in(folder)
}

/// Puts `bytes` at `path`, by way of a passing file in `passing_folder`, which is on the same filesystem.
pub(crate) fn write(path: &Path, bytes: &[u8], passing_folder: &Path, existing: Existing) -> io::Result<()> {
    let mut file = passing(passing_folder)?;
    file.write_all(bytes)?;
    persist(file, path, existing)
}

/// Gives a passing file its place.
pub(crate) fn persist(file: NamedTempFile, path: &Path, existing: Existing) -> io::Result<()> {
    file.as_file().sync_all()?;
    match existing {
        Existing::Replace => drop(file.persist(path)?),
        Existing::Keep => match file.persist_noclobber(path) {
            Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => return Err(error.error),
            Ok(_) | Err(_) => {}
        },
    }
    // The name is on the disk once its folder is.
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// A finished file with a passing name, and the place where it belongs. It is closed: there may be thousands.
#[derive(Debug)]
pub(crate) struct Passing {
    file: TempPath,
    place: PathBuf,
}

impl Passing {
    /// Writes `bytes` to a passing file in `folder`, to be put at `place`.
    pub(crate) fn write(place: PathBuf, bytes: &[u8], folder: &Path) -> io::Result<Self> {
        let mut file = passing(folder)?;
        file.write_all(bytes)?;
        Ok(Self { file: file.into_temp_path(), place })
    }
}

/// Gives passing files their places, all in `folder`, and takes those of files that are there. None has its place before
/// all are on the disk; all have it once this returns.
pub(crate) fn publish_all(files: Vec<Passing>, folder: &Path) -> io::Result<()> {
    let open = Mutex::new(files.iter());
    let flush = || {
        // The lock is not held while a file is flushed.
        let next = || open.lock().expect("no thread panics while it takes one").next();
        while let Some(passing) = next() {
            File::open(&passing.file)?.sync_all()?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..FLUSHES.min(files.len())).map(|_| scope.spawn(flush)).collect();
        let ended = threads.into_iter().map(|thread| thread.join().expect("flushing does not panic"));
        ended.collect::<Vec<io::Result<()>>>().into_iter().collect::<io::Result<()>>()
    })?;
    for Passing { file, place } in files {
        file.persist(&place)?;
    }
    // The names are on the disk once their folder is.
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_or_replaces_and_leaves_no_passing_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for (bytes, existing, then) in [
            (&b"one"[..], Existing::Keep, &b"one"[..]),
            (b"two", Existing::Keep, b"one"),
            (b"three", Existing::Replace, b"three"),
        ] {
            write(&path, bytes, folder.path(), existing).unwrap();
            assert_eq!(fs_err::read(&path).unwrap(), then);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o400, 0o400);
        assert_eq!(mode & 0o111, 0);
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("no such folder/file");
        assert!(write(&path, b"bytes", folder.path(), Existing::Replace).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

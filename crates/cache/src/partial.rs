//! The beginning of a download, kept when the connection or the process ends so that the next try can go on.
//!
//! Whoever holds one also holds the lock of that download. Its bytes may be wrong; the digest of the whole decides.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use schema::{Digest, Hasher};
use tempfile::TempPath;

use crate::blob::Blob;
use crate::store::{Lock, Store, StoreError};

pub(crate) struct Partial<'a> {
    store: &'a Store,
    digest: Digest,
    path: PathBuf,
    file: File,
    hasher: Hasher,
    length: u64,
    _lock: Lock,
}

impl Store {
    /// The lock for fetching a blob, and what there is of it.
    ///
    /// # Errors
    /// When the file cannot be opened or read.
    pub(crate) fn partial(&self, digest: Digest, lock: Lock) -> Result<Partial<'_>, StoreError> {
        let path = self.partial_path(&digest);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(StoreError::at("open", &path))?;
        let mut hasher = Hasher::new();
        let length = hash_rest(&mut file, &mut hasher).map_err(StoreError::at("read", &path))?;
        Ok(Partial { store: self, digest, path, file, hasher, length, _lock: lock })
    }
}

impl Partial<'_> {
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(StoreError::at("write", &self.path))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Forgets what there is.
    pub(crate) fn restart(&mut self) -> Result<(), StoreError> {
        let restart = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        restart.map_err(StoreError::at("cut", &self.path))?;
        self.hasher = Hasher::new();
        self.length = 0;
        Ok(())
    }

    /// The digest of what there is.
    pub(crate) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// Gives the bytes their name. They have the wanted digest.
    pub(crate) fn finish(self) -> Result<Blob, StoreError> {
        debug_assert_eq!(self.digest(), self.digest);
        let file = TempPath::try_from_path(&self.path).map_err(StoreError::at("find", &self.path))?;
        self.store.name_blob(self.digest, file)
    }
}

fn hash_rest(file: &mut File, hasher: &mut Hasher) -> io::Result<u64> {
    let mut buffer = vec![0; 128 * 1024];
    let mut length = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(length),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                length += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_with_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut partial = store.partial(Digest::of(b"wanted"), store.lock("fetch").unwrap()).unwrap();
        partial.append(b"before").unwrap();
        // full(4)
        partial.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = partial.append(b"after").unwrap_err();
        assert_eq!((error.path(), error.kind()), (partial.path.as_path(), io::ErrorKind::StorageFull));
        assert_eq!(partial.length(), 6, "what does not get onto the disk does not count");
    }
}

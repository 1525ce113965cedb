//! Blobs: bytes in the store, named by their digest.
//!
//! A [`Blob`] exists only for bytes that were hashed while they were written or when they were opened. A damaged file
//! is removed and counts as missing, so that whoever wants it fetches or makes it again.

use std::fs::{self, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rootfs::Content;
use schema::{Digest, Hasher};
use tempfile::{NamedTempFile, TempPath};

use crate::store::{Store, StoreError, make_folder, remove_file};

/// What a file in the store may be used for.
const READ_ONLY: u32 = 0o444;

/// Gathers small writes before they are hashed and handed to the system.
const BUFFER: usize = 128 * 1024;

/// Bytes of the store that have the digest they are named by.
#[derive(Debug, Clone)]
pub struct Blob {
    digest: Digest,
    path: PathBuf,
    content: Content,
}

impl Blob {
    /// The digest of its bytes.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Where it is. Read it through [`Blob::content`], which is verified; this is for programs that want a name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its bytes, mapped into memory.
    pub const fn content(&self) -> &Content {
        &self.content
    }

    fn map(digest: Digest, path: PathBuf) -> io::Result<Self> {
        Ok(Self { digest, content: Content::map(&path)?, path })
    }
}

impl Store {
    /// The blob with that digest, if the store has it undamaged. This reads and hashes it (54 MB in 30 ms).
    ///
    /// # Errors
    /// When it is there and cannot be read, or is damaged and cannot be removed.
    pub fn get(&self, digest: &Digest) -> Result<Option<Blob>, StoreError> {
        let path = self.blob_path(digest);
        let blob = match Blob::map(*digest, path) {
            Ok(blob) => blob,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::at("read", &self.blob_path(digest))(error)),
        };
        if Digest::of(&blob.content) == *digest {
            return Ok(Some(blob));
        }
        remove_file(&blob.path)?;
        Ok(None)
    }

    /// Whether a blob of that name is there, damaged or not: for counting what is left to fetch.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.blob_path(digest).is_file()
    }

    /// Keeps `bytes`.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn put(&self, bytes: &[u8]) -> Result<Blob, StoreError> {
        let mut writer = self.writer()?;
        writer.buffer.write_all(bytes).map_err(StoreError::at("write", &self.temporary()))?;
        writer.finish()
    }

    /// A writer for bytes that come piece by piece. Dropped unfinished, it leaves nothing.
    ///
    /// # Errors
    /// When no file can be made.
    pub fn writer(&self) -> Result<BlobWriter<'_>, StoreError> {
        let folder = self.temporary();
        let file = NamedTempFile::new_in(&folder).map_err(StoreError::at("make a file in", &folder))?;
        Ok(BlobWriter {
            store: self,
            buffer: BufWriter::with_capacity(BUFFER, Hashing { file, hasher: Hasher::new() }),
        })
    }

    /// Gives finished bytes the name of `digest`, which was computed while they were written to `file`.
    pub(crate) fn name_blob(&self, digest: Digest, file: TempPath) -> Result<Blob, StoreError> {
        let path = self.blob_path(&digest);
        if let Some(parent) = path.parent() {
            make_folder(parent)?;
        }
        fs::set_permissions(&file, Permissions::from_mode(READ_ONLY))
            .map_err(StoreError::at("protect", &file))?;
        file.persist(&path).map_err(|error| StoreError::at("write", &path)(error.error))?;
        Blob::map(digest, path.clone()).map_err(StoreError::at("read", &path))
    }
}

/// Writes a blob: hashes what it is given into a temporary file, which gets its name at the end.
pub struct BlobWriter<'a> {
    store: &'a Store,
    buffer: BufWriter<Hashing>,
}

struct Hashing {
    file: NamedTempFile,
    hasher: Hasher,
}

impl BlobWriter<'_> {
    /// Gives the bytes their name.
    ///
    /// # Errors
    /// When the last of them cannot be written.
    pub fn finish(self) -> Result<Blob, StoreError> {
        let Self { store, buffer } = self;
        let path = buffer.get_ref().file.path().to_owned();
        let Hashing { file, hasher } =
            buffer.into_inner().map_err(|error| StoreError::at("write", &path)(error.into_error()))?;
        store.name_blob(hasher.finish(), file.into_temp_path())
    }

    fn named(&self, result: io::Result<usize>) -> io::Result<usize> {
        result.map_err(|error| StoreError::at("write", self.buffer.get_ref().file.path())(error).into())
    }
}

/// Its errors are [`StoreError`]s inside, so they name the file.
impl Write for BlobWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.buffer.write(bytes);
        self.named(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.buffer.flush().map(|()| 0);
        self.named(result).map(|_| ())
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    /// A writer whose file is on a full disk: full(4).
    fn writer_on_a_full_disk(store: &Store) -> BlobWriter<'_> {
        let mut writer = store.writer().unwrap();
        let Hashing { file, .. } = writer.buffer.get_mut();
        *file.as_file_mut() = OpenOptions::new().write(true).open("/dev/full").unwrap();
        writer
    }

    #[test]
    fn a_full_disk_is_told_with_the_path_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut early = writer_on_a_full_disk(&store);
        let error = early.write_all(&vec![7; 2 * BUFFER]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(
            error.to_string().starts_with(&format!("cannot write {}", store.temporary().display())),
            "{error}"
        );
        let mut late = writer_on_a_full_disk(&store);
        late.write_all(b"fits into the buffer").unwrap();
        let error = late.finish().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(error.hint().is_some_and(|hint| hint.contains("space")));
        drop(early);
        assert_eq!(std::fs::read_dir(store.temporary()).unwrap().count(), 0);
    }
}

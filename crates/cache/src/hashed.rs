//! What files hash to, remembered by what the system says of them, so that a file that did not change is not read again.
//!
//! A file is told by its device, its inode, its size, and the times of its last change and of its last modification
//! (inode(7)); nobody can set the former. These times go in steps: a file that changed a moment before it was hashed could
//! change again without a difference, so it is not remembered, as Git does it with its index.
//!
//! What is remembered counts during one boot of the machine: only a power cut could have taken from a file what was written
//! to it. Decay on a disk is not noticed before the next boot. So this tells whether work was done before; bytes that are used
//! are hashed, as ever.
//!
//! ```text
//! hashed        the SHA-256 of the boot and of what follows: a record for each file, those that were met last first
//! ```

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use schema::{Digest, Hasher};

use crate::derived::boot_id;
use crate::store::{Store, StoreError};

/// The name of the file, in the store.
const NAME: &str = "hashed";

/// How long ago a file has to have changed. The coarsest times are those of FAT, in steps of two seconds.
const SETTLED: Duration = Duration::from_secs(3);

/// How many files are remembered.
const LIMIT: usize = 1 << 16;

/// The bytes of an [`Identity`].
const IDENTITY: usize = 56;

/// The bytes of a [`Digest`].
const DIGEST: usize = 32;

/// What tells a file in one of its states from every other: device, inode, size, and two times, each in seconds and
/// nanoseconds.
type Identity = [u8; IDENTITY];

/// What a store remembers.
#[derive(Debug, Default)]
pub(crate) struct Hashed {
    /// As the last run left it; read when it is first asked for.
    before: OnceLock<HashMap<Identity, Digest>>,
    /// The files that were met since, and whether each is new.
    met: Mutex<HashMap<Identity, (Digest, bool)>>,
}

impl Store {
    /// The digest of the regular file at `path`; it is not read where it was before, and has not changed since.
    ///
    /// # Errors
    /// A file that cannot be read, or is no regular one.
    pub fn digest_of(&self, path: &Path) -> Result<Digest, StoreError> {
        self.known_or_hashed(path).map_err(StoreError::at("read", path))
    }

    fn known_or_hashed(&self, path: &Path) -> io::Result<Digest> {
        // Asked before it is opened: a pipe would keep the caller waiting.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        let identity = identity(&metadata);
        let before = self.hashed.before.get_or_init(|| self.read_hashed());
        let met = |digest, is_new| {
            let mut met = self.hashed.met.lock().unwrap_or_else(PoisonError::into_inner);
            met.entry(identity).or_insert((digest, is_new));
        };
        if let Some(digest) = before.get(&identity) {
            met(*digest, false);
            return Ok(*digest);
        }
        let mut hasher = Hasher::new();
        io::copy(&mut file, &mut hasher)?;
        let digest = hasher.finish();
        if is_settled(&metadata) && identity == self::identity(&file.metadata()?) {
            met(digest, true);
        }
        Ok(digest)
    }

    /// Keeps what [`Store::digest_of`] found, for those who open the store later.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_digests(&self) -> Result<(), StoreError> {
        let met = self.hashed.met.lock().unwrap_or_else(PoisonError::into_inner);
        if met.values().all(|(_, is_new)| !is_new) {
            return Ok(());
        }
        // Another run may have left more meanwhile.
        let others = self.read_hashed();
        let others = others.iter().filter(|(identity, _)| !met.contains_key(*identity));
        let all = met.iter().map(|(identity, (digest, _))| (identity, digest)).chain(others);
        let records: Vec<u8> = all
            .take(LIMIT)
            .flat_map(|(identity, digest)| identity.iter().chain(digest.as_bytes()))
            .copied()
            .collect();
        let bytes = [&sum(&records)?.as_bytes()[..], &records].concat();
        let path = self.root().join(NAME);
        let write = || {
            let file = tempfile::NamedTempFile::new_in(self.temporary())?;
            fs::write(file.path(), bytes)?;
            file.persist(&path).map_err(|error| error.error)
        };
        write().map(drop).map_err(StoreError::at("write", &path))
    }

    /// Whatever cannot be read, or is damaged, is not known.
    fn read_hashed(&self) -> HashMap<Identity, Digest> {
        let bytes = fs::read(self.root().join(NAME)).unwrap_or_default();
        let Some((sum, records)) = bytes.split_first_chunk::<DIGEST>() else { return HashMap::new() };
        if !self::sum(records).is_ok_and(|found| found.as_bytes() == sum) {
            return HashMap::new();
        }
        let record = |record: &[u8]| {
            let (identity, digest) = record.split_first_chunk()?;
            Some((*identity, Digest::from_bytes(digest.try_into().ok()?)))
        };
        records.chunks_exact(IDENTITY + DIGEST).filter_map(record).collect()
    }
}

/// What records are told by that were written during this boot.
fn sum(records: &[u8]) -> Result<Digest, StoreError> {
    let mut hasher = Hasher::new();
    hasher.field(boot_id()?.as_bytes());
    hasher.field(records);
    Ok(hasher.finish())
}

fn identity(metadata: &fs::Metadata) -> Identity {
    let numbers = [
        metadata.dev().to_le_bytes(),
        metadata.ino().to_le_bytes(),
        metadata.size().to_le_bytes(),
        metadata.mtime().to_le_bytes(),
        metadata.mtime_nsec().to_le_bytes(),
        metadata.ctime().to_le_bytes(),
        metadata.ctime_nsec().to_le_bytes(),
    ];
    let mut identity = [0; IDENTITY];
    identity.copy_from_slice(numbers.as_flattened());
    identity
}

/// Whether a file changed so long ago that another change would show.
fn is_settled(metadata: &fs::Metadata) -> bool {
    let since = |seconds: i64| {
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?);
        SystemTime::now().duration_since(changed).ok()
    };
    [metadata.ctime(), metadata.mtime()].into_iter().all(|time| since(time).is_some_and(|age| age > SETTLED))
}

#[cfg(test)]
mod tests {
    use std::fs::FileTimes;

    use super::*;

    /// Puts a record into the store as if a file of this state had had these bytes.
    fn remember(store: &Store, path: &Path, bytes: &[u8]) {
        let identity = identity(&fs::metadata(path).unwrap());
        store.hashed.met.lock().unwrap().insert(identity, (Digest::of(bytes), true));
        store.keep_digests().unwrap();
    }

    #[test]
    fn a_file_is_read_again_when_it_is_another_or_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Store::open(&folder.path().join("cache")).unwrap();
        let (path, other) = (folder.path().join("file"), folder.path().join("other"));
        fs::write(&path, b"bytes").unwrap();
        // What nobody could have hashed it to shows whether it was read.
        remember(&open(), &path, b"remembered");
        assert_eq!(open().digest_of(&path).unwrap(), Digest::of(b"remembered"));

        let times = fs::metadata(&path).unwrap();
        let times = FileTimes::new().set_modified(times.modified().unwrap());
        fs::write(&other, b"other").unwrap();
        File::options().write(true).open(&other).unwrap().set_times(times).unwrap();
        assert_eq!(open().digest_of(&other).unwrap(), Digest::of(b"other"));
        fs::rename(&other, &path).unwrap();
        assert_eq!(open().digest_of(&path).unwrap(), Digest::of(b"other"));
    }

    #[test]
    fn a_file_that_has_just_changed_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("cache")).unwrap();
        let path = folder.path().join("file");
        fs::write(&path, b"bytes").unwrap();
        assert_eq!(store.digest_of(&path).unwrap(), Digest::of(b"bytes"));
        store.keep_digests().unwrap();
        assert!(store.read_hashed().is_empty() && !store.root().join(NAME).exists());
    }

    #[test]
    fn a_result_is_there_until_its_blob_changes() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Store::open(folder.path()).unwrap();
        let key = Digest::of(b"input");
        assert!(!open().has_derived("kind", &key).unwrap());
        let blob = open().derive_anew("kind", &key, b"result").unwrap();
        let (path, digest) = (blob.path().to_owned(), blob.digest());
        drop(blob);
        for _ in 0..2 {
            assert!(open().has_derived("kind", &key).unwrap());
            remember(&open(), &path, b"result");
        }
        fs::remove_file(&path).unwrap();
        fs::write(&path, b"damage").unwrap();
        assert!(!open().has_derived("kind", &key).unwrap());
        assert!(!open().contains(&digest), "what is damaged is removed");
    }

    #[test]
    fn what_is_damaged_is_not_known_and_nothing_but_files_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("cache");
        let path = folder.path().join("file");
        fs::write(&path, b"bytes").unwrap();
        remember(&Store::open(&root).unwrap(), &path, b"remembered");
        let kept = fs::read(root.join(NAME)).unwrap();
        for damaged in [&kept[..kept.len() - 1], &[&kept[..], b"x"].concat(), b"", b"no records"] {
            fs::write(root.join(NAME), damaged).unwrap();
            assert_eq!(Store::open(&root).unwrap().digest_of(&path).unwrap(), Digest::of(b"bytes"));
        }
        let store = Store::open(&root).unwrap();
        assert_eq!(store.digest_of(folder.path()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let none = folder.path().join("none");
        assert_eq!(store.digest_of(&none).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}

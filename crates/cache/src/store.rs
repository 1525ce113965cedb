//! The folder of a store: where things are, who may clean it, and what can go wrong.
//!
//! ```text
//! CACHEDIR.TAG                      backup programs leave the folder out
//! blobs/sha256/<aa>/<hex>           bytes, named by their digest, mode 0444
//! derived/<kind>/<hex>              a text: which blob was derived from the input <hex>
//! folders/<kind>/<hex>.<boot>       a folder derived from the input <hex>, during one boot of the machine
//! hashed                            what other files hash to, by what the system says of them
//! partial/<hex>                     the beginning of a download
//! locks/<name>                      files to lock
//! tmp/                              everything unfinished
//! ```
//!
//! Nothing is flushed to the disk before it gets its name, and yet a power cut leaves nothing wrong behind: a blob is
//! hashed whenever it is opened, a derived entry is a reference to a blob, and a folder is used only during the boot
//! that made it.
//!
//! Everybody who has a store open holds a shared lock on `locks/store`; who opens it and finds nobody else clears what
//! killed processes left.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::FlockOperation;
use schema::Digest;

use crate::derived;
use crate::elsewhere::Known;
use crate::hashed::Hashed;

/// Backup programs know a cache by the first line (Cache Directory Tagging Specification).
const CACHEDIR_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This folder is a cache of distroless-ruby: it may be removed at any time when nothing uses it.\n";

/// How long the beginning of a download waits to be continued.
const PARTIAL_LIFETIME: Duration = Duration::from_hours(7 * 24);

/// A store could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct StoreError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl StoreError {
    /// Turns the error of a system call into one that names the file, for `map_err`.
    pub(crate) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { action, path: path.to_owned(), source }
    }

    /// The file or folder that it is about.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the system said.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// The next step for the person who reads it.
    pub fn hint(&self) -> Option<String> {
        match self.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(
                "free some space, or put the cache on another disk; what was downloaded so far is kept"
                    .into(),
            ),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Some("the cache must be a folder that you may write: was it made by another user?".into())
            }
            _ => None,
        }
    }
}

/// For a writer in the store, which is an [`io::Write`] and still has to name the file.
impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        Self::new(error.kind(), error)
    }
}

/// A store in a folder of its own.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Locked for as long as it is open.
    open: Arc<File>,
    pub(crate) known: Known,
    pub(crate) hashed: Hashed,
}

/// A lock on a name, held until it is dropped or its process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    /// The names are cleared when nobody has the store open, so a lock keeps it open.
    _store: Arc<File>,
}

impl Store {
    /// Opens the store in `root`, which is made if it is missing, and clears what killed processes left in it.
    ///
    /// # Errors
    /// When the folder cannot be made, read or written.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let root = std::path::absolute(root).map_err(StoreError::at("find", root))?;
        for folder in ["locks", "tmp", "partial"] {
            make_folder(&root.join(folder))?;
        }
        let tag = root.join("CACHEDIR.TAG");
        if !tag.exists() {
            fs::write(&tag, CACHEDIR_TAG).map_err(StoreError::at("write", &tag))?;
        }
        let path = root.join("locks/store");
        let file = open_lock(&path)?;
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            clear_leftovers(&root)?;
        }
        rustix::fs::flock(&file, FlockOperation::LockShared)
            .map_err(|errno| StoreError::at("lock", &path)(errno.into()))?;
        Ok(Self { root, open: Arc::new(file), known: Known::default(), hashed: Hashed::default() })
    }

    /// Waits for the lock of that name and takes it; other processes and other threads wait meanwhile.
    ///
    /// `name` consists of letters, digits, `-` and `_`. Take it around work that must not be done twice at once; never
    /// while waiting for a thread pool, whose other tasks may want the same lock.
    ///
    /// # Errors
    /// When the lock's file cannot be made or locked.
    pub fn lock(&self, name: &str) -> Result<Lock, StoreError> {
        debug_assert!(is_plain(name), "`{name}` is no name for a lock");
        let path = self.root.join("locks").join(format!("{name}.lock"));
        let file = open_lock(&path)?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)
            .map_err(|errno| StoreError::at("lock", &path)(errno.into()))?;
        Ok(Lock { _file: file, _store: Arc::clone(&self.open) })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join("blobs/sha256").join(&hex[..2]).join(hex)
    }

    pub(crate) fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("partial").join(digest.hex())
    }
}

/// Letters, digits, `-` and `_`: a name that is one component of a path.
pub(crate) fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Makes a folder and its parents.
pub(crate) fn make_folder(path: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(path).map_err(StoreError::at("make the folder", path))
}

/// Removes a file, which may be gone already.
pub(crate) fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::at("remove", path)(error)),
        _ => Ok(()),
    }
}

/// What a folder holds; nothing when it is missing.
pub(crate) fn entries(path: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let read = || fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(StoreError::at("read the folder", path)),
    }
}

fn open_lock(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(StoreError::at("open", path))
}

/// Removes what belonged to processes that are gone. The caller is alone in the store.
fn clear_leftovers(root: &Path) -> Result<(), StoreError> {
    for path in entries(&root.join("tmp"))? {
        derived::remove_tree(&path)?;
    }
    for path in entries(&root.join("locks"))? {
        if path.extension().is_some_and(|extension| extension == "lock") {
            remove_file(&path)?;
        }
    }
    for path in entries(&root.join("partial"))? {
        let modified = path.metadata().and_then(|metadata| metadata.modified()).ok();
        let age = modified.and_then(|then| SystemTime::now().duration_since(then).ok());
        if age.is_some_and(|age| age > PARTIAL_LIFETIME) {
            remove_file(&path)?;
        }
    }
    derived::clear_other_boots(root)
}

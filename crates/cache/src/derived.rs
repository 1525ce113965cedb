//! Results derived from an input that a digest names: a package's tar from its `.deb`, an unpacked layer from its tar.
//!
//! A derived file is a blob, and the entry only says which: what was damaged or lost is noticed as with any blob and
//! derived again. A derived folder is not hashed: it is good for running something in it, and nothing is copied from
//! it into an image. It is used during one boot of the machine, because only a power cut could have left it in part.
//!
//! Two processes that derive the same result at once both do the work, and either's result is good: no lock is held
//! while somebody else's code runs.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use schema::Digest;

use crate::blob::{Blob, BlobWriter};
use crate::store::{Store, StoreError, entries, is_plain, make_folder};

/// Changes whenever the machine starts (proc(5), `/proc/sys/kernel/random/boot_id`).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

impl Store {
    /// What was derived from the input `key`, if it is there undamaged, or elsewhere ([`Store::with_elsewhere`]).
    ///
    /// `kind` names the derivation and its version: letters, digits, `-` and `_`. Whoever changes what a derivation
    /// makes of the same input gives it another name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn derived(&self, kind: &'static str, key: &Digest) -> Result<Option<Blob>, StoreError> {
        let found = match self.own_derived(kind, key)? {
            Some(blob) => Some(blob),
            None => {
                let brought = self.brought(kind, key)?;
                if let Some(blob) = &brought {
                    self.write_reference(&self.entry_path("derived", kind, key), blob)?;
                }
                brought
            }
        };
        if let Some(blob) = &found {
            self.note(kind, key, blob.digest());
        }
        Ok(found)
    }

    /// Whether [`Store::derived`] has a result, which is not read where it was hashed before and has not changed since.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn has_derived(&self, kind: &'static str, key: &Digest) -> Result<bool, StoreError> {
        if let Some(digest) = self.reference(kind, key)?
            && self.digest_of(&self.blob_path(&digest)).is_ok_and(|found| found == digest)
        {
            self.note(kind, key, digest);
            return Ok(true);
        }
        Ok(self.derived(kind, key)?.is_some())
    }

    fn own_derived(&self, kind: &'static str, key: &Digest) -> Result<Option<Blob>, StoreError> {
        self.reference(kind, key)?.map_or(Ok(None), |digest| self.get(&digest))
    }

    /// Which blob was derived, whether it is there or not.
    fn reference(&self, kind: &'static str, key: &Digest) -> Result<Option<Digest>, StoreError> {
        let path = self.entry_path("derived", kind, key);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.parse().ok()),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
                Ok(None)
            }
            Err(error) => Err(StoreError::at("read", &path)(error)),
        }
    }

    /// As [`Store::derived`], but when it is missing, `make` writes it.
    ///
    /// # Errors
    /// When `make` fails, or the store cannot be read or written. Nothing is kept then.
    pub fn derive<E: From<StoreError>>(
        &self,
        kind: &'static str,
        key: &Digest,
        make: impl FnOnce(&mut BlobWriter<'_>) -> Result<(), E>,
    ) -> Result<Blob, E> {
        if let Some(blob) = self.derived(kind, key)? {
            return Ok(blob);
        }
        let mut writer = self.writer()?;
        make(&mut writer)?;
        let blob = writer.finish()?;
        self.write_reference(&self.entry_path("derived", kind, key), &blob)?;
        self.note(kind, key, blob.digest());
        Ok(blob)
    }

    /// Derives from the input `key` whether something was derived from it before or not: what is read later is this.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn derive_anew(&self, kind: &'static str, key: &Digest, bytes: &[u8]) -> Result<Blob, StoreError> {
        let blob = self.put(bytes)?;
        self.write_reference(&self.entry_path("derived", kind, key), &blob)?;
        Ok(blob)
    }

    /// An empty folder to work in. It goes when it is dropped; where the process is killed, when the store is opened next.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self) -> Result<Scratch, StoreError> {
        Ok(Scratch(Unfinished::new(&self.temporary())?))
    }

    /// The folder derived from the input `key`. When it is missing, `make` fills an empty folder.
    ///
    /// Nobody may change the folder afterwards. It stays until the machine was started anew.
    ///
    /// # Errors
    /// When `make` fails, or the store cannot be read or written. Nothing is kept then.
    pub fn derive_folder<E: From<StoreError>>(
        &self,
        kind: &'static str,
        key: &Digest,
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let path = self.entry_path("folders", kind, key).with_extension(boot_id()?);
        if path.is_dir() {
            return Ok(path);
        }
        let unfinished = Unfinished::new(&self.temporary())?;
        make(&unfinished.content)?;
        unfinished.name(&path)?;
        Ok(path)
    }

    fn entry_path(&self, folder: &str, kind: &str, key: &Digest) -> PathBuf {
        debug_assert!(is_plain(kind), "`{kind}` is no name for a kind of result");
        self.root().join(folder).join(kind).join(key.hex())
    }

    fn write_reference(&self, path: &Path, blob: &Blob) -> Result<(), StoreError> {
        if let Some(parent) = path.parent() {
            make_folder(parent)?;
        }
        let write = || {
            let file = tempfile::NamedTempFile::new_in(self.temporary())?;
            fs::write(file.path(), blob.digest().to_string())?;
            file.persist(path).map_err(|error| error.error)
        };
        write().map(|_| ()).map_err(StoreError::at("write", path))
    }
}

/// A folder to work in, which is removed with everything in it.
#[derive(Debug)]
pub struct Scratch(Unfinished);

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0.content
    }
}

/// A folder in the making, removed unless it gets its name.
#[derive(Debug)]
struct Unfinished {
    outer: PathBuf,
    /// One level down, as the outer folder is private to this user and the content need not be.
    content: PathBuf,
}

impl Unfinished {
    fn new(temporary: &Path) -> Result<Self, StoreError> {
        let make = || {
            let outer = tempfile::TempDir::new_in(temporary)?.keep();
            let content = outer.join("content");
            fs::create_dir(&content)?;
            Ok(Self { outer, content })
        };
        make().map_err(StoreError::at("make a folder in", temporary))
    }

    fn name(&self, path: &Path) -> Result<(), StoreError> {
        if let Some(parent) = path.parent() {
            make_folder(parent)?;
        }
        match fs::rename(&self.content, path) {
            // Somebody else was faster.
            Err(_) if path.is_dir() => Ok(()),
            other => other.map_err(StoreError::at("write", path)),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // What cannot be removed now is cleared when the store is opened.
        let _ = remove_tree(&self.outer);
    }
}

pub(crate) fn boot_id() -> Result<String, StoreError> {
    let text = fs::read_to_string(BOOT_ID).map_err(StoreError::at("read", Path::new(BOOT_ID)))?;
    Ok(text.trim().to_owned())
}

/// Removes the folders of earlier boots. The caller is alone in the store.
pub(crate) fn clear_other_boots(root: &Path) -> Result<(), StoreError> {
    for kind in entries(&root.join("folders"))? {
        for folder in entries(&kind)? {
            if folder.extension() != Some(boot_id()?.as_ref()) {
                remove_tree(&folder)?;
            }
        }
    }
    Ok(())
}

/// Removes a file or a folder with everything in it, folders too that their own mode forbids to change.
pub(crate) fn remove_tree(path: &Path) -> Result<(), StoreError> {
    let is_folder = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    if !is_folder {
        return crate::store::remove_file(path);
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let _ = fs::set_permissions(path, Permissions::from_mode(0o700));
            for entry in entries(path)? {
                remove_tree(&entry)?;
            }
            fs::remove_dir(path).map_err(StoreError::at("remove", path))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(StoreError::at("remove", path)),
    }
}

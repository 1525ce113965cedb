//! Where an export goes: made under a passing name beside its output, then put into its place.
//!
//! Invariants: what is at the output goes only when that was asked for, and only if such an export replaces such a
//! thing ([`Form`]): no file ever takes the place of a folder, and no folder that of something else than an earlier
//! export. An export that fails leaves everything as it was, and nothing passing.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use fs_err as fs;
use rootfs::RootPath;
use tempfile::TempDir;

use crate::export::{Existing, ExportError};
use crate::layout::Layout;

/// What is exported, which decides what it may replace.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form<'a> {
    /// An archive: replaces a file.
    Archive,
    /// A layout: replaces an empty folder or another layout.
    Layout {
        /// The layout that the image is in, which an export never replaces.
        source: &'a Path,
    },
    /// The files of an image: replace an empty folder or those of another image.
    Root {
        /// What a folder has that holds the files of an image.
        mark: &'a RootPath,
    },
}

/// A place for an export.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output<'a> {
    pub(crate) path: &'a Path,
    pub(crate) existing: Existing,
    pub(crate) form: Form<'a>,
}

impl Output<'_> {
    /// Lets `write` make a file or folder under the passing name that it is given, then puts it into its place.
    pub(crate) fn publish(
        &self,
        write: impl FnOnce(&Path) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let path = self.path;
        self.vacant()?;
        let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Everything passing is inside, and gone with it, whatever happens.
        let passing = tempfile::Builder::new().prefix(".export-").tempdir_in(beside);
        let passing = passing.map_err(|source| self.io(source))?;
        let ending = self.make(&passing, write);
        let passed = passing.path().to_owned();
        // Not left to the folder itself, which fails where a folder in it may not be written to.
        let removed = rootfs::remove_directory(&passed);
        let _ = passing.keep();
        ending?;
        removed.map_err(|source| ExportError::Leftover { path: passed, source })
    }

    /// Makes the export in the folder `passing`, and puts it into its place.
    fn make(
        &self,
        passing: &TempDir,
        write: impl FnOnce(&Path) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let path = self.path;
        let staged = passing.path().join("new");
        write(&staged)?;
        // Writing took its time: somebody may have put something there.
        let vacant = self.vacant()?;
        if vacant || matches!(self.form, Form::Archive) {
            // A file takes the place of a file as it is.
            rootfs::move_written(&staged, path).map_err(|source| self.io(source))?;
        } else {
            let aside = passing.path().join("old");
            rootfs::move_written(path, &aside).map_err(|source| self.io(source))?;
            rootfs::move_written(&staged, path).map_err(|source| {
                // The first error is the one to tell.
                let _ = rootfs::move_written(&aside, path);
                self.io(source)
            })?;
        }
        Ok(())
    }

    /// Whether nothing is at the output; what is there and must stay is an error.
    fn vacant(&self) -> Result<bool, ExportError> {
        let metadata = match fs::symlink_metadata(self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(self.io(error)),
        };
        let unlike = match self.form {
            Form::Archive => (!metadata.is_file()).then_some("is not a regular file"),
            _ if !metadata.is_dir() => Some("is not a folder"),
            Form::Layout { source } => self.unlike_layout(source)?,
            Form::Root { mark } => self.unlike_root(mark)?,
        };
        match (unlike, self.existing) {
            (Some(what), _) => Err(ExportError::NotReplaceable { path: self.path.to_owned(), what }),
            (None, Existing::Refuse) => Err(ExportError::Exists(self.path.to_owned())),
            (None, Existing::Replace) => Ok(false),
        }
    }

    /// What keeps the folder at the output from being one that a layout replaces.
    fn unlike_layout(&self, source: &Path) -> Result<Option<&'static str>, ExportError> {
        let real = |path: &Path| fs::canonicalize(path).map_err(|source| self.io(source));
        if real(self.path)? == real(source)? {
            return Ok(Some("is the layout that the image comes from"));
        }
        let names = self.names()?;
        let is_layout = Layout::open(self.path).is_ok() && names.iter().all(|name| Layout::has_part(name));
        Ok((!names.is_empty() && !is_layout).then_some("is neither an empty folder nor an OCI image layout"))
    }

    /// What keeps the folder at the output from being one that the files of an image replace.
    fn unlike_root(&self, mark: &RootPath) -> Result<Option<&'static str>, ExportError> {
        let mark = self.path.join(OsStr::from_bytes(mark.relative()));
        let is_root = mark.symlink_metadata().is_ok();
        let unlike = !is_root && !self.names()?.is_empty();
        Ok(unlike.then_some("is neither an empty folder nor the root of an image"))
    }

    /// What is in the folder at the output.
    fn names(&self) -> Result<Vec<OsString>, ExportError> {
        let entries = fs::read_dir(self.path).map_err(|source| self.io(source))?;
        entries.map(|entry| entry.map(|entry| entry.file_name()).map_err(|source| self.io(source))).collect()
    }

    pub(crate) fn io(&self, source: io::Error) -> ExportError {
        ExportError::Io { path: self.path.to_owned(), source }
    }
}

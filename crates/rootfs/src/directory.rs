//! The one writer to a disk: a tree as a folder that nothing can leave.
//!
//! The folder is empty or new. Each name is one component, opened below the open folder that holds it with openat2(2)
//! and `RESOLVE_BENEATH`, without links: whatever somebody else does to the folder meanwhile, no write follows it out.
//! A folder gets its own rights and time when everything in it is written.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, chownat, fchmod, fchown,
    fsetxattr, futimens, linkat, mkdirat, symlinkat, utimensat,
};
use rustix::io::Errno;
use thiserror::Error;

use crate::beneath::{self, open};
use crate::entry::{Entry, Inode, Kind, Metadata};
use crate::path::RootPath;
use crate::tree::Tree;

/// Whether owners and extended attributes are written too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Owners, groups and the extended attributes of files and folders are those of the tree, which takes root's rights.
    Preserve,
    /// Everything belongs to whoever writes it, and nothing has extended attributes.
    Ignore,
}

/// Why a tree could not be written to a folder, which then holds a part of it.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// The folder holds something already.
    #[error("cannot write a root into {}: it is not empty", directory.display())]
    NotEmpty {
        /// The folder, a path of the host.
        directory: PathBuf,
    },
    /// The system refused a step.
    #[error("cannot {action} {path} below {}", directory.display())]
    Refused {
        /// What was tried.
        action: &'static str,
        /// With which entry; the root for the folder itself.
        path: RootPath,
        /// The folder, a path of the host.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl DirectoryError {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        let source = match self {
            Self::NotEmpty { .. } => return Some("name a folder that is empty or does not exist".to_owned()),
            Self::Refused { source, .. } => source,
        };
        let text = match Errno::from_io_error(source)? {
            Errno::NOSPC | Errno::DQUOT => Some("free some space there, or name another folder"),
            _ => beneath::hint(source),
        };
        text.map(str::to_owned)
    }
}

/// Writes a tree into `directory`, which is made where it is missing and must be empty. Hard links, modes and times
/// are kept. The folder itself gets the rights of the root.
pub fn write_directory(tree: &Tree, directory: &Path, ownership: Ownership) -> Result<(), DirectoryError> {
    let top = RootPath::root();
    let refused = |Step { action, path, source }: Step| {
        let (path, directory) = (path.clone(), directory.to_path_buf());
        DirectoryError::Refused { action, path, directory, source }
    };
    let fd = open_top(directory).map_err(Step::at("open", &top)).map_err(refused)?;
    if !is_empty(&fd).map_err(Step::at("read", &top)).map_err(refused)? {
        return Err(DirectoryError::NotEmpty { directory: directory.to_path_buf() });
    }
    let metadata = tree.get(&top).map(|entry| &entry.metadata).expect("a tree has a root");
    let mut writer =
        Writer { ownership, written: HashMap::new(), open: vec![OpenFolder { path: &top, metadata, fd }] };
    let mut entries: Vec<_> = tree.iter().collect();
    entries.sort_unstable_by(|(one, _), (other, _)| by_component(one, other));
    for (path, entry) in entries {
        writer.entry(path, entry).map_err(refused)?;
    }
    writer.finish().map_err(refused)
}

/// The order of a walk: everything in a folder comes right behind it. (By bytes, `/a-b` is between `/a` and `/a/b`.)
fn by_component(one: &RootPath, other: &RootPath) -> Ordering {
    one.relative().split(|&byte| byte == b'/').cmp(other.relative().split(|&byte| byte == b'/'))
}

/// What was refused, with which entry.
struct Step<'a> {
    action: &'static str,
    path: &'a RootPath,
    source: io::Error,
}

impl<'a> Step<'a> {
    fn at<E: Into<io::Error>>(action: &'static str, path: &'a RootPath) -> impl FnOnce(E) -> Self {
        move |source| Self { action, path, source: source.into() }
    }
}

struct Writer<'a> {
    ownership: Ownership,
    /// The first path of each file.
    written: HashMap<Inode, &'a RootPath>,
    /// The folder that is being filled, last, and those above it. The first is the top and stays.
    open: Vec<OpenFolder<'a>>,
}

struct OpenFolder<'a> {
    path: &'a RootPath,
    metadata: &'a Metadata,
    fd: OwnedFd,
}

impl<'a> Writer<'a> {
    fn entry(&mut self, path: &'a RootPath, entry: &'a Entry) -> Result<(), Step<'a>> {
        while self.open.len() > 1 && !self.current().path.holds(path) {
            self.close()?;
        }
        let folder = self.current().fd.as_fd();
        match &entry.kind {
            Kind::Directory => {
                let fd = make_folder(folder, path.name()).map_err(Step::at("make the folder", path))?;
                self.open.push(OpenFolder { path, metadata: &entry.metadata, fd });
            }
            Kind::Symlink(target) => {
                symlinkat(&**target, folder, path.name())
                    .map_err(Step::at("make the symbolic link", path))?;
                self.finish_symlink(folder, path, &entry.metadata)?;
            }
            Kind::File(file) => {
                if let Some(first) = self.written.get(&file.inode) {
                    return self.link(first, path).map_err(Step::at("make the hard link", path));
                }
                let fd = write_file(folder, path.name(), &file.content)
                    .map_err(Step::at("write the file", path))?;
                finish(fd.as_fd(), path, &entry.metadata, self.ownership)?;
                self.written.insert(file.inode, path);
            }
        }
        Ok(())
    }

    fn current(&self) -> &OpenFolder<'a> {
        self.open.last().expect("the top stays open")
    }

    /// Closes the folder that is being filled.
    fn close(&mut self) -> Result<(), Step<'a>> {
        match self.open.pop() {
            Some(folder) => finish(folder.fd.as_fd(), folder.path, folder.metadata, self.ownership),
            None => Ok(()),
        }
    }

    fn finish(mut self) -> Result<(), Step<'a>> {
        while !self.open.is_empty() {
            self.close()?;
        }
        Ok(())
    }

    /// Makes a hard link to a file that has been written.
    fn link(&self, first: &RootPath, path: &RootPath) -> io::Result<()> {
        let folder = self.current();
        let flags = AtFlags::empty();
        if folder.path.holds(first) {
            linkat(&folder.fd, first.name(), &folder.fd, path.name(), flags)?;
        } else {
            let parent = first.parent().unwrap_or_else(RootPath::root);
            let name = if parent.is_root() { b"." } else { parent.relative() };
            let parent = open(self.open[0].fd.as_fd(), name, OFlags::PATH | OFlags::DIRECTORY)?;
            linkat(&parent, first.name(), &folder.fd, path.name(), flags)?;
        }
        Ok(())
    }

    fn finish_symlink(
        &self,
        folder: BorrowedFd<'_>,
        path: &'a RootPath,
        metadata: &Metadata,
    ) -> Result<(), Step<'a>> {
        if self.ownership == Ownership::Preserve {
            owner(metadata)
                .and_then(|(uid, gid)| Ok(chownat(folder, path.name(), uid, gid, AtFlags::SYMLINK_NOFOLLOW)?))
                .map_err(Step::at("set the owner of", path))?;
        }
        utimensat(folder, path.name(), &times(metadata), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(Step::at("set the time of", path))
    }
}

/// Gives a file or folder its owner, attributes, mode and time, in this order: a change of owner clears set-user-ID and
/// capabilities (chown(2)), and the rest changes the time.
fn finish<'a>(
    fd: BorrowedFd<'_>,
    path: &'a RootPath,
    metadata: &Metadata,
    ownership: Ownership,
) -> Result<(), Step<'a>> {
    if ownership == Ownership::Preserve {
        owner(metadata)
            .and_then(|(uid, gid)| Ok(fchown(fd, uid, gid)?))
            .map_err(Step::at("set the owner of", path))?;
        for (name, value) in &metadata.xattrs {
            fsetxattr(fd, &**name, value, XattrFlags::empty())
                .map_err(Step::at("set an extended attribute of", path))?;
        }
    }
    fchmod(fd, Mode::from_raw_mode(metadata.mode & 0o7777)).map_err(Step::at("set the mode of", path))?;
    futimens(fd, &times(metadata)).map_err(Step::at("set the time of", path))
}

/// Opens the folder to write into, and makes it where it is missing.
fn open_top(directory: &Path) -> io::Result<OwnedFd> {
    match rustix::fs::mkdir(directory, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(directory, flags, Mode::empty())?)
}

fn is_empty(folder: &OwnedFd) -> io::Result<bool> {
    for entry in Dir::read_from(folder)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

fn make_folder(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    // Nobody else comes in before the folder has its own rights.
    mkdirat(parent, name, Mode::RWXU)?;
    Ok(open(parent, name, OFlags::RDONLY | OFlags::DIRECTORY)?)
}

fn write_file(folder: BorrowedFd<'_>, name: &[u8], content: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(open(folder, name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?);
    file.write_all(content)?;
    Ok(file.into())
}

/// The owner as the system takes it. The highest number means "leave it" to chown(2), so nothing can belong to it.
fn owner(metadata: &Metadata) -> io::Result<(Option<Uid>, Option<Gid>)> {
    if metadata.uid == u32::MAX || metadata.gid == u32::MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok((Some(Uid::from_raw(metadata.uid)), Some(Gid::from_raw(metadata.gid))))
}

fn times(metadata: &Metadata) -> Timestamps {
    let time = Timespec { tv_sec: metadata.mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

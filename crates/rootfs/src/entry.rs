//! What stands at a path of a root: a folder, a file or a symbolic link, with its metadata and where it came from.
//!
//! Device nodes, FIFOs and sockets have no place in an image: the container runtime makes what a program needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::content::Content;

/// Everything known about one path of a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Rights, owner, time and extended attributes.
    pub metadata: Metadata,
    /// What it is.
    pub kind: Kind,
    /// Where it came from.
    pub origin: Origin,
}

impl Entry {
    /// A folder.
    pub fn directory(metadata: Metadata, origin: Origin) -> Self {
        Self { metadata, kind: Kind::Directory, origin }
    }

    /// A file with this content, hard-linked to no other.
    pub fn file(metadata: Metadata, content: impl Into<Content>, origin: Origin) -> Self {
        Self { metadata, kind: Kind::File(File::new(content)), origin }
    }

    /// A symbolic link owned by root with this target, as written.
    pub fn symlink(target: impl AsRef<[u8]>, origin: Origin) -> Self {
        Self { metadata: Metadata::root(0o777), kind: Kind::Symlink(target.as_ref().into()), origin }
    }

    /// Whether it is a folder.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory)
    }
}

/// Rights, owner, time and extended attributes of an entry (inode(7), xattr(7)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The lowest twelve bits of the mode: rights, sticky, set-user-ID and set-group-ID.
    pub mode: u32,
    /// The number of the owner.
    pub uid: u32,
    /// The number of the group.
    pub gid: u32,
    /// The last change of the content, in seconds since 1970-01-01 UTC.
    pub mtime: i64,
    /// Extended attributes by full name (`security.capability`), sorted. Usually none.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Metadata {
    /// Metadata with this mode, owner and group root, time 0 and no extended attributes.
    pub fn root(mode: u32) -> Self {
        Self { mode, ..Self::default() }
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Directory,
    /// A file with its content.
    File(File),
    /// A symbolic link with its target, as written.
    Symlink(Arc<[u8]>),
}

/// A regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its bytes.
    pub content: Content,
    /// Which file it is. Two paths with the same inode are hard links of one another and have the same content: whoever
    /// changes a content gives it a new inode, as [`File::new`] does.
    pub inode: Inode,
}

impl File {
    /// A file with this content, hard-linked to no other.
    pub fn new(content: impl Into<Content>) -> Self {
        Self { content: content.into(), inode: Inode::unique() }
    }
}

/// The identity of a file. It can be compared, and says nothing else: it has no order, so nothing written can depend
/// on the order in which files were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Inode(u64);

impl Inode {
    /// One that no other file of this process has, so that entries can move between trees.
    pub(crate) fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Which layer or other source an entry came from. What the number means is up to the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(pub u32);

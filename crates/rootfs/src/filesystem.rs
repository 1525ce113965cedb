//! What every root filesystem can be asked, be it in memory or on a disk.

use std::fmt;
use std::io;

use crate::entry::{Entry, Kind};
use crate::path::RootPath;
use crate::resolve::{ResolveError, Resolved, resolve};

/// Paths with their entries, one behind the other.
pub type Entries<'f> = Box<dyn Iterator<Item = (&'f RootPath, &'f Entry)> + 'f>;

/// How many of the first bytes of the file at a path are wanted.
pub type Wanted<'a> = &'a dyn Fn(&RootPath) -> Option<usize>;

/// Who is shown a path, its entry and, of a file, its first bytes.
pub type Visit<'a, 'f> = &'a mut dyn FnMut(&'f RootPath, &'f Entry, Option<&[u8]>);

/// A root filesystem to read: a [`Tree`](crate::Tree) in memory, or a
/// [`LiveRoot`](crate::LiveRoot) on a disk.
///
/// What it answers never changes while it lives, so answers can be borrowed and any number of threads may ask. The root
/// itself is always there and always a folder; it is no child of anything.
pub trait Filesystem: Sync {
    /// The entry at a normalised path, as [`RootPath::as_bytes`] gives it, with the path. No link is followed, and none
    /// of the path's parents may be one.
    fn look_up(&self, path: &[u8]) -> Option<(&RootPath, &Entry)>;

    /// What a folder holds itself, in the order of the names. Nothing for a path that is no folder.
    fn children<'f>(&'f self, folder: &RootPath) -> Entries<'f>;

    /// Visits what a folder holds itself, in any order, each file with the start of its bytes: as many as `wanted` says for
    /// its path, or all that there are. `None` comes with what is no file, and where `wanted` says `None`.
    ///
    /// On a disk this is the cheapest way to a folder of files: each is opened once, and looked at and read while it is.
    /// Those of a file that cannot be read look empty.
    fn visit_children<'f>(&'f self, folder: &RootPath, wanted: Wanted<'_>, visit: Visit<'_, 'f>) {
        for (path, entry) in self.children(folder) {
            show(path, entry, wanted(path), visit);
        }
    }

    /// The entry at a path. No link is followed, and none of the path's parents may be one.
    fn get(&self, path: &RootPath) -> Option<&Entry> {
        self.look_up(path.as_bytes()).map(|(_, entry)| entry)
    }

    /// Everything below a folder, without the folder itself; each folder before what it holds.
    fn descendants<'f>(&'f self, folder: &RootPath) -> Entries<'f> {
        let mut open = vec![self.children(folder)];
        Box::new(std::iter::from_fn(move || {
            loop {
                let Some((path, entry)) = open.last_mut()?.next() else {
                    open.pop();
                    continue;
                };
                if entry.is_directory() {
                    open.push(self.children(path));
                }
                return Some((path, entry));
            }
        }))
    }

    /// Follows the links of a path inside the root, the last one too, as a chroot would.
    fn resolve(&self, path: &RootPath) -> Result<Resolved, ResolveError> {
        resolve(self, path)
    }

    /// What could not be read so far, in order: where something is missing because of that, nobody knows it.
    fn faults(&self) -> Vec<Fault> {
        Vec::new()
    }
}

/// Shows a path to a visitor, with the bytes that are wanted of it.
pub(crate) fn show<'f>(path: &'f RootPath, entry: &'f Entry, wanted: Option<usize>, visit: Visit<'_, 'f>) {
    match (&entry.kind, wanted) {
        (Kind::File(file), Some(most)) => file.content.glance(most, |bytes| visit(path, entry, Some(bytes))),
        _ => visit(path, entry, None),
    }
}

/// Something that is there and cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Where.
    pub path: RootPath,
    /// What was tried.
    pub attempt: Attempt,
    /// What the system said (errno(3)).
    pub errno: i32,
}

/// What was tried with something that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attempt {
    /// To see what is at a path.
    Look,
    /// To see what is at a path in a folder.
    Enter,
    /// To list a folder.
    List,
    /// To read a file.
    Read,
}

impl Fault {
    /// What failed and why, without the path.
    pub fn problem(&self) -> String {
        let attempt = match self.attempt {
            Attempt::Look => "cannot be looked at",
            Attempt::Enter => "cannot be entered",
            Attempt::List => "cannot be listed",
            Attempt::Read => "cannot be read",
        };
        format!("{attempt}: {}", io::Error::from_raw_os_error(self.errno))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.path, self.problem())
    }
}

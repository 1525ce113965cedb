//! A root on a disk, read as far as somebody looks: `/`, an unpacked image, the root of a build stage.
//!
//! What was first seen at a path stays, so all who ask get the same answer, however many list a folder at once. A file is
//! read when its bytes are first wanted; who visits a folder has each opened once, for its status and its start. Every way
//! goes from the open top or an open folder downwards, with openat2(2), and no link is ever followed by the kernel: nothing
//! outside of the root is opened. What is neither folder, file nor link is
//! not there, and neither is what the kernel makes up ([`is_made_up`]). What cannot be read is a [`Fault`].

mod disk;
mod known;

use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, readlinkat, statat};
use rustix::io::Errno;
use thiserror::Error;

use self::disk::{Disk, Identity, is_made_up};
pub(crate) use self::disk::{OnDisk, OpenFile};
use self::known::{Known, Node, Place};
use crate::beneath::{self, open};
use crate::content::Content;
use crate::entry::{Entry, File, Inode, Kind, Metadata, Origin};
use crate::filesystem::{Attempt, Entries, Fault, Filesystem, Visit, Wanted, show};
use crate::path::{RootPath, parent};
use crate::tree::{InsertError, Tree};

/// A root filesystem on a disk.
///
/// While it and what came from it live, files below it must not be changed or cut in place: large ones are mapped into
/// memory, and a page that is gone ends the process with SIGBUS (mmap(2)). A file that another one replaces, as package
/// managers do it, is safe. Entries have no extended attributes; [`select`](Self::select) reads those.
pub struct LiveRoot {
    disk: Arc<Disk>,
    known: Known,
    /// Files that have more than one name.
    linked: Mutex<HashMap<Identity, File>>,
}

/// A folder that cannot be read as a root.
#[derive(Debug, Error)]
#[error("cannot read {} as a root filesystem", directory.display())]
pub struct OpenError {
    /// The folder, a path of the host.
    pub directory: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl OpenError {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        beneath::hint(&self.source).map(str::to_owned)
    }
}

/// Why paths cannot be taken out of a root on a disk.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SelectError {
    /// One of them cannot be read.
    #[error("{0}")]
    Unreadable(Fault),
    /// One of them cannot stand in a tree.
    #[error(transparent)]
    Insert(#[from] InsertError),
}

/// What is at a path.
struct Found {
    entry: Entry,
    device: u64,
    /// Whether this is a folder that counts as empty, since the kernel makes up what is in it.
    is_made_up: bool,
    /// What the folder holds, in order: each is known, and there.
    listing: OnceLock<Box<[Place]>>,
}

impl LiveRoot {
    /// Opens a folder as a root. The path may lead through links; it is the last one that does.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, OpenError> {
        let directory = directory.as_ref();
        let try_open = || {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let top = rustix::fs::open(directory, flags, Mode::empty())?;
            let stat = fstat(&top)?;
            // A system without openat2 is told here, before everything counts as missing.
            beneath::open(top.as_fd(), b".", OFlags::PATH)?;
            Ok::<_, Errno>((top, stat))
        };
        let (top, stat) = try_open()
            .map_err(|error| OpenError { directory: directory.to_owned(), source: error.into() })?;
        let known = Known::new();
        let found = Found {
            entry: Entry::directory(metadata(&stat), Origin::default()),
            device: stat.st_dev,
            is_made_up: false,
            listing: OnceLock::new(),
        };
        known.insert(RootPath::root(), Some(found));
        Ok(Self { disk: Arc::new(Disk::new(top)), known, linked: Mutex::default() })
    }

    /// A tree of only these paths and the folders above them, with everything that a writer writes: the bytes, the
    /// capabilities (`security.capability`) and the attributes of users (`user.*`), which files are one. A folder comes
    /// without what it holds; a path that is not there brings nothing.
    pub fn select(&self, paths: impl IntoIterator<Item = RootPath>) -> Result<Tree, SelectError> {
        let mut tree = Tree::new();
        self.copy(&RootPath::root(), &mut tree)?;
        for path in paths.into_iter().filter(|path| self.get(path).is_some()) {
            let ancestors = path.ancestors();
            let new = std::iter::once(path).chain(ancestors).take_while(|path| tree.get(path).is_none());
            let new: Vec<RootPath> = new.collect();
            for path in new.iter().rev() {
                self.copy(path, &mut tree)?;
            }
        }
        Ok(tree)
    }

    fn copy(&self, path: &RootPath, tree: &mut Tree) -> Result<(), SelectError> {
        let Some(mut entry) = self.get(path).cloned() else { return Ok(()) };
        match &mut entry.kind {
            Kind::File(file) => file.content = file.content.load().map_err(SelectError::Unreadable)?,
            Kind::Symlink(target) => *target = within_root(path, target).into(),
            Kind::Directory => {}
        }
        if !matches!(entry.kind, Kind::Symlink(_)) {
            entry.metadata.xattrs = self.disk.attributes(path).map_err(SelectError::Unreadable)?;
        }
        tree.insert(path.clone(), entry)?;
        Ok(())
    }

    fn node(&self, path: &[u8]) -> Option<&Node> {
        if let Some(node) = self.known.get(path) {
            return Some(node);
        }
        let folder = self.node(parent(path)?)?;
        let found = folder.found.as_ref()?;
        if !found.entry.is_directory() || found.is_made_up {
            return None;
        }
        // A folder that is listed has nothing that is not known: by now, since somebody may just have listed it.
        if found.listing.get().is_some() {
            return self.known.get(path);
        }
        let path = RootPath::from_normalised(path);
        let found = self.look(&folder.path, found.device, &path);
        Some(self.known.insert(path, found))
    }

    /// Looks at one path; its folder is known to be one.
    fn look(&self, folder: &RootPath, device: u64, path: &RootPath) -> Option<Found> {
        let look = || {
            let fd = self.disk.open(path, OFlags::PATH)?;
            let stat = fstat(&fd)?;
            self.found(
                path,
                &stat,
                device,
                || readlinkat(&fd, c"", Vec::new()),
                || rustix::io::fcntl_dupfd_cloexec(&fd, 0),
            )
        };
        look().unwrap_or_else(|error| {
            self.note(folder, path, error);
            None
        })
    }

    /// Lists a folder, looks at all that it holds, and shows it to a visitor.
    fn list<'f>(
        &'f self,
        folder: &Node,
        device: u64,
        wanted: Wanted<'_>,
        visit: Visit<'_, 'f>,
    ) -> Box<[Place]> {
        let mut places: Vec<Place> = Vec::new();
        let listed = self.disk.list(&folder.path, |fd, name, kind| {
            let Ok(path) = folder.path.join(name.to_bytes()) else {
                // Longer than Linux takes in one path.
                return self.disk.note(&folder.path, Attempt::List, Errno::NAMETOOLONG);
            };
            let most = wanted(&path);
            let mut open_file = None;
            let node = self.known.get(path.as_bytes()).unwrap_or_else(|| {
                if most.is_some() && kind == FileType::RegularFile {
                    open_file = OpenFile::open(fd, name.to_bytes());
                }
                let look = || {
                    let target = || readlinkat(fd, name, Vec::new());
                    let stat = match &open_file {
                        Some(file) => file.stat,
                        None => statat(fd, name, AtFlags::SYMLINK_NOFOLLOW)?,
                    };
                    self.found(&path, &stat, device, target, || open(fd, name.to_bytes(), OFlags::PATH))
                };
                let found = look().unwrap_or_else(|error| {
                    self.note(&folder.path, &path, error);
                    None
                });
                self.known.insert(path, found)
            });
            let Some((path, entry)) = node.there() else { return };
            places.push(node.place);
            match (&entry.kind, most, open_file) {
                (Kind::File(file), Some(most), Some(open)) => {
                    file.content.glance_at(open, most, |bytes| visit(path, entry, Some(bytes)));
                }
                _ => show(path, entry, most, visit),
            }
        });
        if let Err(error) = listed {
            self.disk.note(&folder.path, Attempt::List, error);
        }
        places.sort_unstable_by(|&a, &b| self.known.at(a).path.cmp(&self.known.at(b).path));
        places.into()
    }

    /// The folder at a path and what is known of it, where one is there that has a list.
    fn folder(&self, path: &RootPath) -> Option<(&Node, &Found)> {
        let node = self.node(path.as_bytes())?;
        let found = node.found.as_ref().filter(|found| found.entry.is_directory() && !found.is_made_up)?;
        Some((node, found))
    }

    /// What is at a path, where it is something that a root has.
    fn found(
        &self,
        path: &RootPath,
        stat: &Stat,
        device: u64,
        target: impl FnOnce() -> rustix::io::Result<CString>,
        handle: impl FnOnce() -> rustix::io::Result<OwnedFd>,
    ) -> rustix::io::Result<Option<Found>> {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Kind::Directory,
            FileType::RegularFile => Kind::File(self.file(path, stat)),
            FileType::Symlink => Kind::Symlink(target()?.as_bytes().into()),
            _ => return Ok(None),
        };
        let is_mounted = matches!(kind, Kind::Directory) && stat.st_dev != device;
        Ok(Some(Found {
            is_made_up: is_mounted && is_made_up(path, &handle()?)?,
            entry: Entry { metadata: metadata(stat), kind, origin: Origin::default() },
            device: stat.st_dev,
            listing: OnceLock::new(),
        }))
    }

    fn file(&self, path: &RootPath, stat: &Stat) -> File {
        let identity = Identity::of(stat);
        let new = || {
            let size = u64::try_from(stat.st_size).unwrap_or_default();
            let content = Content::on_disk(OnDisk::new(&self.disk, path, identity, size));
            File { content, inode: Inode::unique() }
        };
        if stat.st_nlink == 1 {
            return new();
        }
        let mut linked = self.linked.lock().unwrap_or_else(PoisonError::into_inner);
        linked.entry(identity).or_insert_with(new).clone()
    }

    /// Notes why it is not known what is at a path, unless it is: nothing.
    fn note(&self, folder: &RootPath, path: &RootPath, error: Errno) {
        match error {
            // The last ones come where somebody has put a link or a file in place of a folder meanwhile.
            Errno::NOENT | Errno::NAMETOOLONG | Errno::NOTDIR | Errno::LOOP | Errno::XDEV => {}
            Errno::ACCESS => self.disk.note(folder, Attempt::Enter, error),
            _ => self.disk.note(path, Attempt::Look, error),
        }
    }
}

impl Filesystem for LiveRoot {
    fn look_up(&self, path: &[u8]) -> Option<(&RootPath, &Entry)> {
        self.node(path)?.there()
    }

    fn children<'f>(&'f self, folder: &RootPath) -> Entries<'f> {
        let Some((node, found)) = self.folder(folder) else { return Box::new(std::iter::empty()) };
        let list = || self.list(node, found.device, &|_| None, &mut |_, _, _| ());
        let places = found.listing.get_or_init(list);
        Box::new(places.iter().filter_map(|&place| self.known.at(place).there()))
    }

    fn visit_children<'f>(&'f self, folder: &RootPath, wanted: Wanted<'_>, visit: Visit<'_, 'f>) {
        let Some((node, found)) = self.folder(folder) else { return };
        if let Some(places) = found.listing.get() {
            for (path, entry) in places.iter().filter_map(|&place| self.known.at(place).there()) {
                show(path, entry, wanted(path), visit);
            }
        } else {
            // Whoever lists it meanwhile finds the same; nobody waits for what a visitor does.
            let places = self.list(node, found.device, wanted, visit);
            found.listing.get_or_init(|| places);
        }
    }

    fn faults(&self) -> Vec<Fault> {
        self.disk.faults()
    }
}

fn metadata(stat: &Stat) -> Metadata {
    Metadata {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: stat.st_mtime,
        xattrs: Vec::new(),
    }
}

/// The target of a link without those of the `..` at its start that stay at the root (`path_resolution(7)`): no link of a
/// tree climbs out of it.
fn within_root<'t>(link: &RootPath, target: &'t [u8]) -> &'t [u8] {
    let is_absolute = target.starts_with(b"/");
    let depth = if is_absolute { 0 } else { link.ancestors().count().saturating_sub(1) };
    let mut end = 0;
    let mut ends_of_ups = Vec::new();
    for component in target.split(|&byte| byte == b'/') {
        end += component.len();
        match component {
            b"" | b"." => {}
            b".." => ends_of_ups.push(end),
            _ => break,
        }
        end += 1;
    }
    let rest = match ends_of_ups.len().checked_sub(depth + 1) {
        Some(last) => &target[ends_of_ups[last]..],
        None => return target,
    };
    match rest.strip_prefix(b"/") {
        _ if is_absolute && rest.is_empty() => b"/",
        _ if is_absolute => rest,
        None | Some(b"") => b".",
        Some(rest) => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_within_the_root() {
        for (link, target, wanted) in [
            ("/usr/bin/x", "../lib/x", "../lib/x"),
            ("/usr/bin/x", "../../etc/x", "../../etc/x"),
            ("/usr/bin/x", "../../../etc/x", "../../etc/x"),
            ("/usr/bin/x", ".././../../../etc/../x", "../../etc/../x"),
            ("/usr/bin/x", "../../..", "../.."),
            ("/x", "../etc", "etc"),
            ("/x", "..", "."),
            ("/x", "../", "."),
            ("/x/y", "/../../etc", "/etc"),
            ("/x/y", "/..", "/"),
            ("/x/y", "a/../../../b", "a/../../../b"),
        ] {
            let link = RootPath::parse(link).unwrap();
            let found = String::from_utf8(within_root(&link, target.as_bytes()).to_vec()).unwrap();
            assert_eq!(found, wanted, "{link} -> {target}");
        }
    }
}

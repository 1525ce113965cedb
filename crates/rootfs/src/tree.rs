//! A root filesystem in memory: paths and their entries, in order.
//!
//! Every parent of an entry is a folder of the tree; no link's text climbs out of the root. The root is always there and
//! always a folder; `get` and `resolve` know it, the iterators leave it out.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::ops::Bound;

use thiserror::Error;

use crate::entry::{Entry, Kind, Metadata, Origin};
use crate::escape::Escaped;
use crate::filesystem::{Entries, Filesystem};
use crate::layer::{Layer, is_link_target};
use crate::path::{RootPath, climbs_out};
use crate::resolve::{ResolveError, Resolved, resolve};
use crate::stack::{StackError, stack};

/// A root filesystem in memory.
#[derive(Clone, Debug)]
pub struct Tree {
    entries: BTreeMap<RootPath, Entry>,
}

/// Why an entry cannot stand at a path.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InsertError {
    /// What should hold it is no folder.
    #[error("cannot put {path} into {parent}, which is not a folder")]
    ParentNotFolder {
        /// Where the entry should go.
        path: RootPath,
        /// The file or link in the way.
        parent: RootPath,
    },
    /// A folder that holds something is there.
    #[error("cannot put {path} in place of a folder that is not empty")]
    FolderNotEmpty {
        /// Where the entry should go.
        path: RootPath,
    },
    /// The root is always a folder.
    #[error("cannot put something other than a folder in place of the root")]
    RootNotFolder,
    /// The target of the link is empty, too long, has a NUL byte or climbs out of the root.
    #[error("cannot put the link {path} to \"{target}\": no target inside the root")]
    LinkTarget {
        /// Where the link should go.
        path: RootPath,
        /// Its target.
        target: Escaped,
    },
    /// The name of an extended attribute is empty or has a NUL byte or a `=`, which no tar can hold.
    #[error("cannot put {path} with the extended attribute \"{name}\": no valid name")]
    AttributeName {
        /// Where the entry should go.
        path: RootPath,
        /// The name of the attribute.
        name: Escaped,
    },
}

impl Tree {
    /// An empty root, owned by root, with mode 0755.
    pub fn new() -> Self {
        let root = Entry::directory(Metadata::root(0o755), Origin::default());
        Self { entries: BTreeMap::from([(RootPath::root(), root)]) }
    }

    /// Puts a layer on top, by the rules of its dialect. A member whose parents are links to folders goes to the real
    /// place. After an error the tree holds part of the layer.
    pub fn stack(&mut self, layer: &Layer, origin: Origin) -> Result<(), StackError> {
        stack(self, layer, origin)
    }

    /// Puts an entry at a path, in place of what is there; a folder keeps what it holds. Missing parents become folders
    /// of root's with mode 0755 and the entry's origin.
    pub fn insert(&mut self, path: RootPath, entry: Entry) -> Result<(), InsertError> {
        if !entry.is_directory() {
            if path.is_root() {
                return Err(InsertError::RootNotFolder);
            }
            if self.descendants(&path).next().is_some() {
                return Err(InsertError::FolderNotEmpty { path });
            }
        }
        check_entry(&path, &entry)?;
        let mut missing = Vec::new();
        for parent in path.ancestors() {
            match self.get(&parent) {
                None => missing.push(parent),
                Some(found) if found.is_directory() => break,
                Some(_) => return Err(InsertError::ParentNotFolder { path, parent }),
            }
        }
        for parent in missing {
            self.put(parent, Entry::directory(Metadata::root(0o755), entry.origin));
        }
        self.put(path, entry);
        Ok(())
    }

    /// Takes away what is at a path and everything below it; of the root, what it holds. Tells whether anything was
    /// there.
    pub fn remove(&mut self, path: &RootPath) -> bool {
        let before = self.entries.len();
        let below: Vec<RootPath> = self.descendants(path).map(|(path, _)| path.clone()).collect();
        for path in below {
            self.entries.remove(&path);
        }
        if !path.is_root() {
            self.entries.remove(path);
        }
        self.entries.len() < before
    }

    /// The entry at a path. No link is followed, and none of the path's parents may be one.
    pub fn get(&self, path: &RootPath) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Follows the links of a path inside the root, the last one too, as a chroot would.
    pub fn resolve(&self, path: &RootPath) -> Result<Resolved, ResolveError> {
        resolve(self, path)
    }

    /// What a folder holds itself, in order.
    pub fn children<'tree>(
        &'tree self,
        folder: &RootPath,
    ) -> impl Iterator<Item = (&'tree RootPath, &'tree Entry)> + use<'tree> {
        let (prefix, end) = bounds_below(folder);
        let mut range = self.range(Bound::Excluded(&prefix), &end);
        std::iter::from_fn(move || {
            loop {
                let (path, entry) = range.next()?;
                match memchr::memchr(b'/', &path.as_bytes()[prefix.len()..]) {
                    None => return Some((path, entry)),
                    // Inside a child: go on behind everything that the child holds.
                    Some(slash) => {
                        let behind = behind_slash(&path.as_bytes()[..=prefix.len() + slash]);
                        range = self.range(Bound::Included(&behind), &end);
                    }
                }
            }
        })
    }

    /// Everything below a folder, in order, without the folder itself.
    pub fn descendants<'tree>(
        &'tree self,
        folder: &RootPath,
    ) -> impl Iterator<Item = (&'tree RootPath, &'tree Entry)> + use<'tree> {
        let (prefix, end) = bounds_below(folder);
        self.range(Bound::Excluded(&prefix), &end)
    }

    /// Everything below the root, in order: a folder before what it holds.
    pub fn iter(&self) -> impl Iterator<Item = (&RootPath, &Entry)> {
        self.descendants(&RootPath::root())
    }

    /// How many entries are below the root.
    pub fn len(&self) -> usize {
        self.entries.len() - 1
    }

    /// Whether nothing is below the root.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A tree of only these entries and the folders above them. A folder comes without what it holds; a path that is not
    /// there brings nothing.
    #[must_use]
    pub fn select(&self, paths: impl Iterator<Item = RootPath>) -> Self {
        let mut selected = Self::new();
        selected.copy(self, &RootPath::root());
        for path in paths {
            if selected.copy(self, &path) {
                // Where a folder is there already, so are those above it.
                path.ancestors().take_while(|parent| selected.copy(self, parent)).for_each(drop);
            }
        }
        selected
    }

    /// Copies one entry; tells whether that changed anything.
    fn copy(&mut self, from: &Self, path: &RootPath) -> bool {
        match from.entries.get_key_value(path) {
            Some((path, entry)) if path.is_root() || !self.entries.contains_key(path) => {
                self.entries.insert(path.clone(), entry.clone());
                !path.is_root()
            }
            _ => false,
        }
    }

    /// Puts an entry where its parents are known to be folders and nothing is orphaned.
    pub(crate) fn put(&mut self, path: RootPath, entry: Entry) {
        self.entries.insert(path, entry);
    }

    fn range(&self, start: Bound<&Vec<u8>>, end: &[u8]) -> Range<'_, RootPath, Entry> {
        self.entries.range::<[u8], _>((start.map(Vec::as_slice), Bound::Excluded(end)))
    }
}

impl Filesystem for Tree {
    fn look_up(&self, path: &[u8]) -> Option<(&RootPath, &Entry)> {
        self.entries.get_key_value(path)
    }

    fn children<'f>(&'f self, folder: &RootPath) -> Entries<'f> {
        Box::new(Self::children(self, folder))
    }

    fn descendants<'f>(&'f self, folder: &RootPath) -> Entries<'f> {
        Box::new(Self::descendants(self, folder))
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

/// What every path below a folder starts with, and the first text behind all of them.
fn bounds_below(folder: &RootPath) -> (Vec<u8>, Vec<u8>) {
    let mut prefix = folder.as_bytes().to_vec();
    if !folder.is_root() {
        prefix.push(b'/');
    }
    let end = behind_slash(&prefix);
    (prefix, end)
}

/// The first text behind all that start with `prefix`, which ends with a slash.
fn behind_slash(prefix: &[u8]) -> Vec<u8> {
    let mut behind = prefix.to_vec();
    if let Some(slash) = behind.last_mut() {
        *slash += 1;
    }
    behind
}

fn check_entry(path: &RootPath, entry: &Entry) -> Result<(), InsertError> {
    if let Kind::Symlink(target) = &entry.kind {
        let climbs = path.parent().is_none_or(|folder| climbs_out(&folder, target));
        if climbs || !is_link_target(target) {
            return Err(InsertError::LinkTarget { path: path.clone(), target: Escaped::from(&**target) });
        }
    }
    match entry.metadata.xattrs.iter().find(|(name, _)| !is_attribute_name(name)) {
        Some((name, _)) => {
            Err(InsertError::AttributeName { path: path.clone(), name: Escaped::from(&**name) })
        }
        None => Ok(()),
    }
}

fn is_attribute_name(name: &[u8]) -> bool {
    !name.is_empty() && !name.iter().any(|byte| matches!(byte, 0 | b'='))
}

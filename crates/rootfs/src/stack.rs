//! Putting one layer on top of a tree.
//!
//! Debian's rules are those of dpkg when it unpacks (dpkg(1); Debian policy 6.6): an existing folder, or a link to one,
//! stays as it is under a folder, and a folder stays under a link. Layers of OCI images replace what is there, and
//! whiteouts hide what came from below, never what the same layer brings (OCI image specification, "Layer Filesystem
//! Changeset"). In both, a parent that is a link is followed inside the root.

use std::collections::BTreeSet;
use std::ops::Bound;

use thiserror::Error;

use crate::entry::{Entry, Kind, Metadata, Origin};
use crate::escape::Escaped;
use crate::layer::{Body, Dialect, Layer, Member};
use crate::path::{RootPath, climbs_out};
use crate::resolve::{Stop, Walk};
use crate::tree::Tree;

/// Why a layer cannot be put on a tree, and because of which member.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("cannot stack the archive member {member}: {fault}")]
pub struct StackError {
    /// The path that the archive gives the member.
    pub member: RootPath,
    /// What is wrong.
    pub fault: StackFault,
}

/// What is wrong with a member, given what lies below.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StackFault {
    /// A file stands where a parent folder must be.
    #[error("{0} is a file, and would have to be a folder")]
    ParentNotFolder(RootPath),
    /// Links lead in a circle on the way to the folder.
    #[error("its folder is reached by more links than are followed")]
    TooManyLinks,
    /// A package has a file or hard link where a folder is.
    #[error("it would replace a folder")]
    ReplacesFolder,
    /// A package has a folder where a file is, or a link to one.
    #[error("it is a folder, and would replace the file {0}")]
    ReplacesFile(RootPath),
    /// Nothing that can be linked to is at the target of a hard link.
    #[error("it is a hard link to {0}, where no file is")]
    HardLinkTarget(RootPath),
    /// At its real place the symbolic link leads above the root.
    #[error("at its real place it links to {0}, which is outside the root")]
    LinkClimbsOut(Escaped),
    /// The real path is longer than Linux takes.
    #[error("its real path is longer than Linux takes")]
    TooLong,
    /// More folders than are accepted are named by no member.
    #[error("the archive leaves out more than the {0} folders that are accepted")]
    TooManyEntries(usize),
}

pub(crate) fn stack(tree: &mut Tree, layer: &Layer, origin: Origin) -> Result<(), StackError> {
    let hides = layer.members.iter().any(|member| matches!(member.body, Body::Whiteout | Body::Opaque));
    let mut stacker = Stacker { tree, layer, origin, folders_made: 0, placed: hides.then(BTreeSet::new) };
    for member in &layer.members {
        stacker.member(member).map_err(|fault| StackError { member: member.path.clone(), fault })?;
    }
    Ok(())
}

struct Stacker<'a> {
    tree: &'a mut Tree,
    layer: &'a Layer,
    origin: Origin,
    folders_made: usize,
    /// The real paths that came from this layer, kept where it hides something.
    placed: Option<BTreeSet<RootPath>>,
}

impl Stacker<'_> {
    fn member(&mut self, member: &Member) -> Result<(), StackFault> {
        match &member.body {
            Body::Whiteout => {
                if let Some(path) = self.real_path(&member.path) {
                    self.hide(&path);
                }
                Ok(())
            }
            Body::Opaque => {
                if let Some(folder) = self.arrive(&member.path) {
                    let children: Vec<_> =
                        self.tree.children(&folder).map(|(path, _)| path.clone()).collect();
                    for child in &children {
                        self.hide(child);
                    }
                }
                Ok(())
            }
            Body::Directory => self.place(&member.path, &member.metadata, Kind::Directory),
            Body::File(file) => self.place(&member.path, &member.metadata, Kind::File(file.clone())),
            Body::Symlink(target) => {
                self.place(&member.path, &member.metadata, Kind::Symlink(target.clone()))
            }
            Body::HardLink(target) => {
                let found = self.real_path(target).and_then(|real| self.tree.get(&real));
                match found {
                    Some(entry) if !entry.is_directory() => {
                        let Entry { metadata, kind, .. } = entry.clone();
                        self.place(&member.path, &metadata, kind)
                    }
                    _ => Err(StackFault::HardLinkTarget(target.clone())),
                }
            }
        }
    }

    fn place(&mut self, path: &RootPath, metadata: &Metadata, kind: Kind) -> Result<(), StackFault> {
        let path = self.make_way(path)?;
        if let Kind::Symlink(target) = &kind {
            let folder = path.parent().unwrap_or_else(RootPath::root);
            if climbs_out(&folder, target) {
                return Err(StackFault::LinkClimbsOut(Escaped::from(&**target)));
            }
        }
        let replace = match self.layer.dialect {
            Dialect::Debian => self.debian_replaces(&path, &kind)?,
            Dialect::Oci => {
                self.oci_clears(&path, &kind);
                true
            }
        };
        if replace {
            let entry = Entry { metadata: metadata.clone(), kind, origin: self.origin };
            self.tree.put(path.clone(), entry);
        }
        if let Some(placed) = &mut self.placed {
            placed.insert(path);
        }
        Ok(())
    }

    /// Whether what a package has takes the place of what is there, or leaves it.
    fn debian_replaces(&mut self, path: &RootPath, kind: &Kind) -> Result<bool, StackFault> {
        let Some(there) = self.tree.get(path) else { return Ok(true) };
        match (&there.kind, kind) {
            (Kind::Directory, Kind::Directory | Kind::Symlink(_)) => Ok(false),
            (Kind::Directory, Kind::File(_)) => Err(StackFault::ReplacesFolder),
            (Kind::File(_), Kind::Directory) => Err(StackFault::ReplacesFile(path.clone())),
            (Kind::Symlink(_), Kind::Directory) => match self.make_folder(path)? {
                Ok(_) => Ok(false),
                Err(file) => Err(StackFault::ReplacesFile(file)),
            },
            (Kind::File(_) | Kind::Symlink(_), _) => Ok(true),
        }
    }

    /// Makes room for what an image's layer has: only a folder on a folder keeps what is there.
    fn oci_clears(&mut self, path: &RootPath, kind: &Kind) {
        let there = self.tree.get(path).is_some_and(Entry::is_directory);
        if there && !matches!(kind, Kind::Directory) {
            self.tree.remove(path);
        }
    }

    /// Removes what is at a path and below it, but for what this layer brought and the folders that hold that.
    fn hide(&mut self, path: &RootPath) {
        let Some(placed) = &self.placed else { return };
        let below = [path.as_bytes(), b"/"].concat();
        let first_below = placed.range::<[u8], _>((Bound::Included(&*below), Bound::Unbounded)).next();
        if !placed.contains(path) && !first_below.is_some_and(|first| first.starts_with(path)) {
            self.tree.remove(path);
            return;
        }
        let children: Vec<_> = self.tree.children(path).map(|(path, _)| path.clone()).collect();
        for child in &children {
            self.hide(child);
        }
    }

    /// The path with its parents real; folders that are missing on the way are made.
    fn make_way(&mut self, path: &RootPath) -> Result<RootPath, StackFault> {
        let Some(parent) = path.parent() else { return Ok(path.clone()) };
        if self.tree.get(&parent).is_some_and(Entry::is_directory) {
            return Ok(path.clone());
        }
        let real = self.make_folder(&parent)?.map_err(StackFault::ParentNotFolder)?;
        real.join(path.name()).map_err(|_| StackFault::TooLong)
    }

    /// Walks to a folder, through links, and makes what is missing. The inner error is the file that is in the way.
    fn make_folder(&mut self, path: &RootPath) -> Result<Result<RootPath, RootPath>, StackFault> {
        let mut walk = Walk::new(path);
        loop {
            match walk.go(self.tree) {
                Stop::Arrived => {
                    let real = walk.real();
                    let is_folder = self.tree.get(&real).is_some_and(Entry::is_directory);
                    return Ok(if is_folder { Ok(real) } else { Err(real) });
                }
                Stop::NotFolder => return Ok(Err(walk.real())),
                Stop::TooManyLinks => return Err(StackFault::TooManyLinks),
                Stop::Missing => {
                    let limit = self.layer.limits.entries;
                    if self.folders_made == limit {
                        return Err(StackFault::TooManyEntries(limit));
                    }
                    self.folders_made += 1;
                    let missing = RootPath::parse(walk.real().as_bytes()).map_err(|_| StackFault::TooLong)?;
                    self.tree.put(missing, Entry::directory(Metadata::root(0o755), self.origin));
                }
            }
        }
    }

    /// The path with its parents real, where they are there.
    fn real_path(&self, path: &RootPath) -> Option<RootPath> {
        let Some(parent) = path.parent() else { return Some(path.clone()) };
        self.arrive(&parent)?.join(path.name()).ok()
    }

    /// The real path of a folder or file, where it is there.
    fn arrive(&self, path: &RootPath) -> Option<RootPath> {
        self.tree.resolve(path).ok().map(|resolved| resolved.path)
    }
}

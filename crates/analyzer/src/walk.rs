//! Walks through folders. On a disk, listing them takes most of the time, so all threads take part: each folder is one
//! piece of work, which begins as soon as the folder above has named it.

use std::sync::{Mutex, PoisonError};

use rayon::Scope;
use rootfs::{Entry, Filesystem, RootPath};

/// Everything below a folder, each folder before what it holds, and what one folder holds together, in order. Of the
/// folders, those are entered that `enters` takes.
pub(crate) fn below<'t>(
    tree: &'t dyn Filesystem,
    folder: &RootPath,
    enters: impl Fn(&RootPath) -> bool + Sync,
) -> Vec<(&'t RootPath, &'t Entry)> {
    let found = looking_below(tree, folder, enters, |_| None, |_, _, _| ());
    found.into_iter().map(|(path, entry, ())| (path, entry)).collect()
}

/// As [`below`], with what a look at each path gives. It is shown as many of the first bytes of a file as are wanted of the
/// path, and none where that is `None` ([`Filesystem::visit_children`]).
pub(crate) fn looking_below<'t, T: Send + Sync>(
    tree: &'t dyn Filesystem,
    folder: &RootPath,
    enters: impl Fn(&RootPath) -> bool + Sync,
    wanted: impl Fn(&RootPath) -> Option<usize> + Sync,
    look: impl Fn(&RootPath, &Entry, Option<&[u8]>) -> T + Sync,
) -> Vec<(&'t RootPath, &'t Entry, T)> {
    let Some((folder, _)) = tree.look_up(folder.as_bytes()) else { return Vec::new() };
    let walk = Walk { tree, enters, wanted, look, folders: Mutex::default() };
    rayon::scope(|scope| walk.enter(scope, folder));
    let mut folders = walk.folders.into_inner().unwrap_or_else(PoisonError::into_inner);
    folders.sort_unstable_by_key(|&(folder, _)| folder);
    folders.into_iter().flat_map(|(_, children)| children).collect()
}

/// A path, its entry, and what a look at it gave.
type Found<'t, T> = (&'t RootPath, &'t Entry, T);

/// A folder, and what it holds.
type Listed<'t, T> = (&'t RootPath, Vec<Found<'t, T>>);

struct Walk<'t, T, E, W, L> {
    tree: &'t dyn Filesystem,
    enters: E,
    wanted: W,
    look: L,
    /// The folders that were listed, with what they hold.
    folders: Mutex<Vec<Listed<'t, T>>>,
}

impl<'t, T, E, W, L> Walk<'t, T, E, W, L>
where
    T: Send + Sync,
    E: Fn(&RootPath) -> bool + Sync,
    W: Fn(&RootPath) -> Option<usize> + Sync,
    L: Fn(&RootPath, &Entry, Option<&[u8]>) -> T + Sync,
{
    /// Lists a folder. Those in it wait in the queue of the scope, not on a stack, however deep they nest.
    fn enter<'s>(&'s self, scope: &Scope<'s>, folder: &'t RootPath)
    where
        't: 's,
    {
        let mut children = Vec::new();
        self.tree.visit_children(folder, &self.wanted, &mut |path, entry, start| {
            if entry.is_directory() && (self.enters)(path) {
                scope.spawn(move |scope| self.enter(scope, path));
            }
            children.push((path, entry, (self.look)(path, entry, start)));
        });
        children.sort_unstable_by_key(|&(path, ..)| path);
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).push((folder, children));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{path, tree};

    #[test]
    fn folders_come_before_what_they_hold_unless_they_are_not_entered() {
        let tree = tree(&[("/f/a/x/y", ""), ("/f/a-b", ""), ("/f/c/", ""), ("/f/d", "-> a"), ("/g", "")]);
        let walk = |enters: &(dyn Fn(&RootPath) -> bool + Sync)| {
            let found = below(&tree, &path("/f"), enters);
            found.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(walk(&|_| true), ["/f/a", "/f/a-b", "/f/c", "/f/d", "/f/a/x", "/f/a/x/y"]);
        assert_eq!(walk(&|folder| folder.name() != b"x"), ["/f/a", "/f/a-b", "/f/c", "/f/d", "/f/a/x"]);
    }
}

//! Walks through folders. On a disk, listing them takes most of the time, so all threads take part.

use rayon::prelude::*;
use rootfs::{Entry, Filesystem, RootPath};

/// Children of one folder that one thread looks at in one go.
const BATCH: usize = 16;

/// Everything below a folder, each folder before what it holds. Of the folders, those are entered that `enters` takes.
pub(crate) fn below<'t>(
    tree: &'t dyn Filesystem,
    folder: &RootPath,
    enters: impl Fn(&RootPath) -> bool + Sync,
) -> Vec<(&'t RootPath, &'t Entry)> {
    let found = looking_below(tree, folder, enters, |_, _| ());
    found.into_iter().map(|(path, entry, ())| (path, entry)).collect()
}

/// As [`below`], with what a look at each path gives. On a disk, a file is best looked at when its folder was just listed.
pub(crate) fn looking_below<'t, T: Send + Sync>(
    tree: &'t dyn Filesystem,
    folder: &RootPath,
    enters: impl Fn(&RootPath) -> bool + Sync,
    look: impl Fn(&RootPath, &Entry) -> T + Sync,
) -> Vec<(&'t RootPath, &'t Entry, T)> {
    let children = |folder: &RootPath| {
        let children: Vec<_> = tree.children(folder).collect();
        let children = children.into_par_iter().with_min_len(BATCH);
        children.map(|(path, entry)| (path, entry, look(path, entry)))
    };
    let mut found: Vec<_> = children(folder).collect();
    let mut level = 0;
    // Level by level: however deep folders nest, no stack does.
    while level < found.len() {
        let folders = found[level..].par_iter();
        let folders = folders.filter(|(path, entry, _)| entry.is_directory() && enters(path));
        let next = folders.flat_map(|(path, ..)| children(path)).collect::<Vec<_>>();
        level = found.len();
        found.extend(next);
    }
    found
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

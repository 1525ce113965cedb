//! Walks through folders. On a disk, listing them takes most of the time, so all threads take part.

use rayon::prelude::*;
use rootfs::{Entry, Filesystem, RootPath};

/// Everything below a folder, each folder before what it holds. Of the folders, those are entered that `enters` takes.
pub(crate) fn below<'t>(
    tree: &'t dyn Filesystem,
    folder: &RootPath,
    enters: impl Fn(&RootPath) -> bool + Sync,
) -> Vec<(&'t RootPath, &'t Entry)> {
    let mut found: Vec<(&RootPath, &Entry)> = tree.children(folder).collect();
    let mut level = 0;
    // Level by level: however deep folders nest, no stack does.
    while level < found.len() {
        let folders = found[level..].par_iter().filter(|(path, entry)| entry.is_directory() && enters(path));
        let next = folders.flat_map_iter(|(path, _)| tree.children(path)).collect::<Vec<_>>();
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

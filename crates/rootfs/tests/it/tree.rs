//! A tree as a value: what can be put in, taken out, listed and chosen.

use rootfs::{Entry, InsertError, Metadata, Origin, Tree};

use crate::listing::{listing, path};

fn file(content: &str) -> Entry {
    Entry::file(Metadata::root(0o644), content.as_bytes().to_vec(), Origin(1))
}

fn folder(mode: u32) -> Entry {
    Entry::directory(Metadata::root(mode), Origin(1))
}

fn tree(paths: &[&str]) -> Tree {
    let mut tree = Tree::new();
    for name in paths {
        tree.insert(path(name), file("")).unwrap();
    }
    tree
}

fn names<'a>(entries: impl Iterator<Item = (&'a rootfs::RootPath, &'a Entry)>) -> Vec<String> {
    entries.map(|(path, _)| path.to_string()).collect()
}

#[test]
fn parents_are_made() {
    let mut tree = Tree::new();
    assert!(tree.is_empty());
    tree.insert(path("/etc/ssl/certs/ca.crt"), file("PEM")).unwrap();
    assert_eq!(
        listing(&tree),
        ["/etc/ 0755", "/etc/ssl/ 0755", "/etc/ssl/certs/ 0755", "/etc/ssl/certs/ca.crt 0644 PEM"]
    );
    assert_eq!(tree.get(&path("/etc")).unwrap().origin, Origin(1));
    assert_eq!(tree.len(), 4);
}

#[test]
fn entries_are_replaced_and_folders_keep_what_they_hold() {
    let mut tree = tree(&["/a", "/b/c"]);
    tree.insert(path("/a"), Entry::symlink("b", Origin(1))).unwrap();
    tree.insert(path("/b"), folder(0o1777)).unwrap();
    tree.insert(path("/"), folder(0o700)).unwrap();
    assert_eq!(listing(&tree), ["/a -> b", "/b/ 1777", "/b/c 0644 "]);
    assert_eq!(tree.get(&path("/")).unwrap().metadata.mode, 0o700);
}

#[test]
fn entries_that_fit_nowhere_are_refused_and_change_nothing() {
    let mut tree = tree(&["/folder/file"]);
    tree.insert(path("/link"), Entry::symlink("folder", Origin(1))).unwrap();
    let before = listing(&tree);
    let with_attribute = |name: &str| {
        let xattrs = vec![(name.as_bytes().to_vec(), Vec::new())];
        Entry::directory(Metadata { xattrs, ..Metadata::root(0o755) }, Origin(1))
    };
    let link = |target: &str| Entry::symlink(target, Origin(1));
    let no_target = |name: &str, target: &str| InsertError::LinkTarget {
        path: path(name),
        target: target.as_bytes().into(),
    };
    let no_name = |name: &str| InsertError::AttributeName { path: path("/x"), name: name.as_bytes().into() };
    for (at, entry, wanted) in [
        ("/", file(""), InsertError::RootNotFolder),
        ("/folder", file(""), InsertError::FolderNotEmpty { path: path("/folder") }),
        (
            "/folder/file/x/y",
            file(""),
            InsertError::ParentNotFolder { path: path("/folder/file/x/y"), parent: path("/folder/file") },
        ),
        ("/link/x", file(""), InsertError::ParentNotFolder { path: path("/link/x"), parent: path("/link") }),
        ("/new/x", link("../.."), no_target("/new/x", "../..")),
        ("/x", link(""), no_target("/x", "")),
        ("/x", link("a\0"), no_target("/x", "a\0")),
        ("/x", with_attribute(""), no_name("")),
        ("/x", with_attribute("user.a=b"), no_name("user.a=b")),
    ] {
        assert_eq!(tree.insert(path(at), entry), Err(wanted));
        assert_eq!(listing(&tree), before);
    }
}

#[test]
fn what_is_removed_takes_along_what_is_below() {
    let mut tree = tree(&["/a/b/c", "/a/b-c", "/d"]);
    assert!(!tree.remove(&path("/none")));
    assert!(tree.remove(&path("/a/b")));
    assert_eq!(listing(&tree), ["/a/ 0755", "/a/b-c 0644 ", "/d 0644 "]);
    assert!(tree.remove(&path("/")));
    assert!(tree.is_empty() && tree.get(&path("/")).is_some());
    assert!(!tree.remove(&path("/")));
}

#[test]
fn children_and_descendants() {
    let tree = tree(&["/a/b/c/d", "/a/b-c", "/a/b0", "/a/z/y", "/a-b", "/a0", "/b"]);
    assert_eq!(names(tree.children(&path("/"))), ["/a", "/a-b", "/a0", "/b"]);
    assert_eq!(names(tree.children(&path("/a"))), ["/a/b", "/a/b-c", "/a/b0", "/a/z"]);
    assert_eq!(names(tree.children(&path("/b"))), [""; 0]);
    assert_eq!(names(tree.children(&path("/none"))), [""; 0]);
    assert_eq!(names(tree.descendants(&path("/a/b"))), ["/a/b/c", "/a/b/c/d"]);
    assert_eq!(names(tree.descendants(&path("/a"))).len(), 7);
    assert_eq!(names(tree.descendants(&path("/"))), names(tree.iter()));
    assert_eq!(names(tree.iter()).len(), tree.len());
}

#[test]
fn a_selection_has_its_folders_with_their_own_rights() {
    let mut tree = tree(&["/a/b/c", "/a/b/d", "/a/e", "/f/g"]);
    tree.insert(path("/a/b"), folder(0o1777)).unwrap();
    tree.insert(path("/"), folder(0o711)).unwrap();
    let wanted = ["/a/b/c", "/f", "/none/x"];
    let selected = tree.select(wanted.iter().map(|name| path(name)));
    assert_eq!(listing(&selected), ["/a/ 0755", "/a/b/ 1777", "/a/b/c 0644 ", "/f/ 0755"]);
    assert_eq!(selected.get(&path("/")).unwrap().metadata.mode, 0o711);
    assert!(tree.select(std::iter::empty()).is_empty());
}

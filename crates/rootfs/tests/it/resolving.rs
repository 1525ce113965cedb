//! Links inside a root lead where a chroot would take them.

use rootfs::{Entry, Metadata, Origin, ResolveError, Resolved, Tree};

use crate::listing::path;

/// A tree with these files and, where there is a target, links.
fn tree(entries: &[(&str, Option<&str>)]) -> Tree {
    let mut tree = Tree::new();
    for (name, target) in entries {
        let entry = match target {
            Some(target) => Entry::symlink(target, Origin(0)),
            None => Entry::file(Metadata::root(0o644), Vec::new(), Origin(0)),
        };
        tree.insert(path(name), entry).unwrap();
    }
    tree
}

#[test]
fn paths_lead_where_a_chroot_would_take_them() {
    let tree = tree(&[
        ("/usr/lib/x/libc.so.6", None),
        ("/usr/lib/x/libc.so", Some("libc.so.6")),
        ("/usr/lib/x/up.so", Some("../x/./libc.so")),
        ("/lib", Some("usr/lib")),
        ("/lib64", Some("//usr/../lib/")),
        ("/deep/er/absolute", Some("/lib/x/libc.so")),
        ("/shallow", Some("deep/er")),
        // Where a link was passed, `..` is the real parent, not the one in the text; above the root is the root.
        ("/up", Some("lib/../bin")),
        ("/usr/bin/ruby", None),
        ("/top", Some("lib/..")),
    ]);
    for (from, to, links) in [
        ("/", "/", &[][..]),
        ("/usr/lib", "/usr/lib", &[]),
        ("/lib", "/usr/lib", &["/lib"]),
        ("/lib/x/libc.so.6", "/usr/lib/x/libc.so.6", &["/lib"]),
        ("/lib/x/libc.so", "/usr/lib/x/libc.so.6", &["/lib", "/usr/lib/x/libc.so"]),
        (
            "/lib64/x/up.so",
            "/usr/lib/x/libc.so.6",
            &["/lib64", "/lib", "/usr/lib/x/up.so", "/usr/lib/x/libc.so"],
        ),
        (
            "/shallow/absolute",
            "/usr/lib/x/libc.so.6",
            &["/shallow", "/deep/er/absolute", "/lib", "/usr/lib/x/libc.so"],
        ),
        ("/up/ruby", "/usr/bin/ruby", &["/up", "/lib"]),
        ("/top", "/usr", &["/top", "/lib"]),
    ] {
        let links = links.iter().map(|link| path(link)).collect();
        assert_eq!(tree.resolve(&path(from)), Ok(Resolved { path: path(to), links }), "{from}");
    }
}

#[test]
fn paths_that_lead_nowhere_say_where_they_end() {
    let tree = tree(&[
        ("/usr/file", None),
        ("/lib", Some("usr/lib")),
        ("/self", Some("self")),
        ("/one", Some("other")),
        ("/other", Some("/one")),
        ("/through", Some("usr/file/../file")),
    ]);
    let not_found = |from, missing| ResolveError::NotFound { path: path(from), missing: path(missing) };
    let not_folder = |from| ResolveError::NotFolder { path: path(from), file: path("/usr/file") };
    for (from, wanted) in [
        ("/none", not_found("/none", "/none")),
        ("/lib/x/y", not_found("/lib/x/y", "/usr/lib")),
        ("/usr/file/x", not_folder("/usr/file/x")),
        ("/through", not_folder("/through")),
        ("/self", ResolveError::TooManyLinks { path: path("/self") }),
        ("/one", ResolveError::TooManyLinks { path: path("/one") }),
    ] {
        assert_eq!(tree.resolve(&path(from)), Err(wanted), "{from}");
    }
}

#[test]
fn forty_links_are_followed_and_no_more() {
    let mut tree = tree(&[("/0", None)]);
    for number in 1..=41 {
        let target = (number - 1).to_string();
        tree.insert(path(&number.to_string()), Entry::symlink(target, Origin(0))).unwrap();
    }
    let resolved = tree.resolve(&path("/40")).unwrap();
    assert_eq!((resolved.path, resolved.links.len()), (path("/0"), 40));
    assert_eq!(tree.resolve(&path("/41")), Err(ResolveError::TooManyLinks { path: path("/41") }));
}

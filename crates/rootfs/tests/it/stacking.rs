//! What comes on top of what, by the rules of dpkg and by those of OCI layers.

use rootfs::{Dialect, Origin, StackFault, Tree};
use testkit::tar::{Member, Tar};

use crate::listing::{listing, parse, path, stacked};

/// A tree as base-files leaves it: a link to a folder that holds something.
fn merged_usr() -> Tar {
    Tar::new().folder("./usr").folder("./usr/lib").file("./usr/lib/old", "old").symlink("./lib", "usr/lib")
}

#[track_caller]
fn check(dialect: Dialect, tars: impl IntoIterator<Item = Tar>, wanted: &[&str]) {
    assert_eq!(listing(&stacked(dialect, tars).unwrap()), wanted);
}

#[test]
fn debian_files_below_a_link_to_a_folder_go_to_the_real_place() {
    check(
        Dialect::Debian,
        [
            merged_usr(),
            Tar::new()
                .folder("./lib")
                .folder("./lib/x")
                .file("./lib/x/libc.so.6", "ELF")
                .hard_link("./lib/x/libc.so", "./lib/x/libc.so.6"),
        ],
        &[
            "/lib -> usr/lib",
            "/usr/ 0755",
            "/usr/lib/ 0755",
            "/usr/lib/old 0644 old",
            "/usr/lib/x/ 0755",
            "/usr/lib/x/libc.so 0644 ELF",
            "/usr/lib/x/libc.so.6 = /usr/lib/x/libc.so",
        ],
    );
}

#[test]
fn debian_folders_stay_under_folders_and_under_links() {
    check(
        Dialect::Debian,
        [
            Tar::new().add(Member::folder("./tmp").mode(0o1777)).folder("./lib").file("./lib/a", ""),
            Tar::new().folder("./tmp").symlink("./lib", "usr/lib"),
        ],
        &["/lib/ 0755", "/lib/a 0644 ", "/tmp/ 1777"],
    );
}

#[test]
fn debian_a_link_to_a_folder_that_is_still_missing_makes_it() {
    check(
        Dialect::Debian,
        [Tar::new().symlink("./lib", "usr/lib").folder("./lib"), Tar::new().file("./lib/x/a", "")],
        &["/lib -> usr/lib", "/usr/ 0755", "/usr/lib/ 0755", "/usr/lib/x/ 0755", "/usr/lib/x/a 0644 "],
    );
}

#[test]
fn debian_files_and_links_replace_one_another() {
    check(
        Dialect::Debian,
        [
            Tar::new().file("./a", "1").symlink("./b", "a").symlink("./c", "a").symlink("./d", "."),
            Tar::new().symlink("./a", "x").file("./b", "2").symlink("./c", "y").file("./d", "3"),
        ],
        &["/a -> x", "/b 0644 2", "/c -> y", "/d 0644 3"],
    );
}

#[test]
fn debian_a_folder_is_never_replaced_and_replaces_nothing() {
    for (tar, fault) in [
        (Tar::new().folder("./a").file("./a", ""), StackFault::ReplacesFolder),
        (Tar::new().folder("./a").file("./b", "").hard_link("./a", "./b"), StackFault::ReplacesFolder),
        (Tar::new().file("./a", "").folder("./a"), StackFault::ReplacesFile(path("/a"))),
        (Tar::new().file("./b", "").symlink("./a", "b").folder("./a"), StackFault::ReplacesFile(path("/b"))),
    ] {
        let error = stacked(Dialect::Debian, [tar]).unwrap_err();
        assert_eq!((error.member, error.fault), (path("/a"), fault));
    }
}

#[test]
fn debian_whiteout_names_are_names() {
    check(Dialect::Debian, [Tar::new().file("./a", "").file("./.wh.a", "")], &["/.wh.a 0644 ", "/a 0644 "]);
}

#[test]
fn oci_what_is_on_top_replaces_what_is_below() {
    check(
        Dialect::Oci,
        [
            Tar::new()
                .file("file-file", "1")
                .file("file-folder", "1")
                .file("folder-file/below", "1")
                .add(Member::folder("folder-folder").mode(0o700))
                .file("folder-folder/below", "1")
                .file("folder-link/below", "1")
                .symlink("link-folder", "folder-folder"),
            Tar::new()
                .file("file-file", "2")
                .folder("file-folder")
                .file("folder-file", "2")
                .folder("folder-folder")
                .symlink("folder-link", "x")
                .folder("link-folder"),
        ],
        &[
            "/file-file 0644 2",
            "/file-folder/ 0755",
            "/folder-file 0644 2",
            "/folder-folder/ 0755",
            "/folder-folder/below 0644 1",
            "/folder-link -> x",
            "/link-folder/ 0755",
        ],
    );
}

#[test]
fn oci_parents_that_are_links_are_followed() {
    check(
        Dialect::Oci,
        [merged_usr(), Tar::new().file("lib/new", "").file("lib/.wh.old", "")],
        &["/lib -> usr/lib", "/usr/ 0755", "/usr/lib/ 0755", "/usr/lib/new 0644 "],
    );
}

#[test]
fn oci_whiteouts_hide_what_is_below() {
    check(
        Dialect::Oci,
        [
            Tar::new().file("a/x", "").file("a/y/z", "").file("a-b", "").symlink("link", "a").file("b", ""),
            Tar::new()
                .file("a/.wh.y", "")
                .file(".wh.link", "")
                .file(".wh.none", "")
                .file("none/.wh.x", "")
                .file("b/.wh.x", ""),
        ],
        &["/a/ 0755", "/a-b 0644 ", "/a/x 0644 ", "/b 0644 "],
    );
}

#[test]
fn oci_an_opaque_folder_hides_what_it_held() {
    check(
        Dialect::Oci,
        [
            Tar::new().file("a/x", "").file("a/y/z", "").file("b", ""),
            Tar::new().folder("a").file("a/.wh..wh..opq", "").file("none/.wh..wh..opq", ""),
        ],
        &["/a/ 0755", "/b 0644 "],
    );
    check(
        Dialect::Oci,
        [Tar::new().file("a/x", "").file("b", ""), Tar::new().file(".wh..wh..opq", "").file("c", "")],
        &["/c 0644 "],
    );
}

#[test]
fn oci_a_layer_never_hides_what_it_brings() {
    for marker_first in [true, false] {
        let markers = |tar: Tar| tar.file("a/.wh.y", "").file("b/.wh..wh..opq", "").file(".wh.c", "");
        let files = |tar: Tar| tar.file("a/y/new", "").file("b/d/e/new", "").file("c", "new");
        let top = if marker_first { files(markers(Tar::new())) } else { markers(files(Tar::new())) };
        check(
            Dialect::Oci,
            [
                Tar::new()
                    .file("a/y/old", "")
                    .file("a/y-old", "")
                    .file("b/d/old", "")
                    .file("b/d/e/old", "")
                    .file("c/old", ""),
                top,
            ],
            &[
                "/a/ 0755",
                "/a/y/ 0755",
                "/a/y-old 0644 ",
                "/a/y/new 0644 ",
                "/b/ 0755",
                "/b/d/ 0755",
                "/b/d/e/ 0755",
                "/b/d/e/new 0644 ",
                "/c 0644 new",
            ],
        );
    }
}

#[test]
fn oci_a_folder_in_place_of_a_link_hides_nothing_behind_the_link() {
    check(
        Dialect::Oci,
        [
            Tar::new().file("real/x", "").symlink("a", "real"),
            Tar::new().folder("a").file("a/.wh..wh..opq", "").file("a/.wh.x", ""),
        ],
        &["/a/ 0755", "/real/ 0755", "/real/x 0644 "],
    );
}

#[test]
fn oci_bookkeeping_of_aufs_is_passed_over() {
    check(
        Dialect::Oci,
        [Tar::new().file(".wh..wh.aufs", "").folder(".wh..wh.plnk").file(".wh..wh.plnk/1.2", "x")],
        &[],
    );
}

#[test]
fn a_hard_link_may_reach_into_the_layer_below_and_to_a_link() {
    for dialect in [Dialect::Debian, Dialect::Oci] {
        check(
            dialect,
            [
                Tar::new().file("./a", "content").symlink("./link", "a"),
                Tar::new().hard_link("./hard", "./a").hard_link("./link-too", "./link"),
            ],
            &["/a 0644 content", "/hard = /a", "/link -> a", "/link-too -> a"],
        );
    }
}

#[test]
fn a_file_written_again_is_no_hard_link_any_more() {
    check(
        Dialect::Oci,
        [Tar::new().file("a", "1").hard_link("b", "a"), Tar::new().file("b", "2")],
        &["/a 0644 1", "/b 0644 2"],
    );
}

#[test]
fn origins_tell_the_layer_of_each_entry() {
    let mut tree = Tree::new();
    let below = Tar::new().file("./usr/a", "").file("./usr/b", "");
    tree.stack(&parse(below, Dialect::Debian).unwrap(), Origin(7)).unwrap();
    let above = Tar::new().folder("./usr").file("./usr/b", "").hard_link("./usr/c", "./usr/a");
    tree.stack(&parse(above, Dialect::Debian).unwrap(), Origin(9)).unwrap();
    let origins: Vec<_> = tree.iter().map(|(path, entry)| (path.to_string(), entry.origin.0)).collect();
    let wanted = [("/usr", 7), ("/usr/a", 7), ("/usr/b", 9), ("/usr/c", 9)];
    assert_eq!(origins, wanted.map(|(path, origin)| (path.to_owned(), origin)));
}

#[test]
fn oci_the_root_has_the_rights_that_a_layer_gives_it() {
    let root = Tar::new().add(Member::folder("./").mode(0o700)).file("a", "");
    let tree = stacked(Dialect::Oci, [root]).unwrap();
    assert_eq!(tree.get(&path("/")).unwrap().metadata.mode, 0o700);
}

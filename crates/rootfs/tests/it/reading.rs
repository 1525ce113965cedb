//! What honest tars say, in each of their formats.

use rootfs::{Content, Dialect, Kind, Metadata, Tree};
use testkit::tar::{Member, Tar};

use crate::listing::{listing, path, stacked};

fn tree(tar: Tar) -> Tree {
    stacked(Dialect::Debian, [tar]).unwrap()
}

#[test]
fn a_debian_tar() {
    let tree = tree(
        Tar::new()
            .folder("./")
            .folder("./usr/")
            .folder("./usr/bin/")
            .add(Member::file("./usr/bin/ruby3.3", "ELF").mode(0o755))
            .symlink("./usr/bin/ruby", "ruby3.3")
            .symlink("./usr/bin/absolute", "/etc/alternatives/ruby")
            .hard_link("./usr/bin/same", "./usr/bin/ruby3.3")
            .add(Member::folder("./tmp/").mode(0o1777))
            .add(Member::file("./usr/bin/su", "").mode(0o4755)),
    );
    assert_eq!(
        listing(&tree),
        [
            "/tmp/ 1777",
            "/usr/ 0755",
            "/usr/bin/ 0755",
            "/usr/bin/absolute -> /etc/alternatives/ruby",
            "/usr/bin/ruby -> ruby3.3",
            "/usr/bin/ruby3.3 0755 ELF",
            "/usr/bin/same = /usr/bin/ruby3.3",
            "/usr/bin/su 4755 ",
        ]
    );
}

#[test]
fn long_names_of_gnu_and_pax() {
    let (name, target) = ("n".repeat(200), "t".repeat(200));
    for tar in [
        Tar::new().symlink(&name, &target),
        Tar::new().add(Member::symlink("short", "short").pax("path", &name).pax("linkpath", &target)),
    ] {
        assert_eq!(listing(&tree(tar)), [format!("/{name} -> {target}")]);
    }
}

#[test]
fn a_long_name_serves_the_next_member_only() {
    let tar = Tar::new().add(Member::file("a", "").pax("path", "other").pax("uid", "7")).file("b", "");
    let tree = tree(tar);
    assert_eq!(listing(&tree), ["/b 0644 ", "/other 0644 "]);
    assert_eq!(tree.get(&path("/b")).unwrap().metadata.uid, 0);
}

#[test]
fn a_size_in_a_pax_header_wins() {
    let tar = Tar::new().add(Member::file("a", "content").claim_size(0).pax("size", "7")).file("b", "");
    assert_eq!(listing(&tree(tar)), ["/a 0644 content", "/b 0644 "]);
}

#[test]
fn metadata_from_the_header_and_from_pax() {
    let plain = Member::file("plain", "").mode(0o100_640).owner(1000, 0o7_777_777).mtime(1_700_000_000);
    let large = Member::file("large", "").owner(3_000_000_000, 4_000_000_000).mtime(1 << 40);
    let pax = Member::file("pax", "")
        .owner(1, 1)
        .pax("uid", "70")
        .pax("gid", "71")
        .pax("mtime", "-1.5")
        .pax("SCHILY.xattr.user.b", "2")
        .pax("SCHILY.xattr.security.capability", "\u{1}\0\0\u{2}=\n")
        .pax("SCHILY.xattr.user.b", "3");
    let tree = tree(Tar::new().add(plain).add(large).add(pax));
    let metadata = |name: &str| &tree.get(&path(name)).unwrap().metadata;
    assert_eq!(
        *metadata("plain"),
        Metadata { uid: 1000, gid: 0o7_777_777, mtime: 1_700_000_000, ..Metadata::root(0o640) }
    );
    assert_eq!(
        *metadata("large"),
        Metadata { uid: 3_000_000_000, gid: 4_000_000_000, mtime: 1 << 40, ..Metadata::root(0o644) }
    );
    let xattrs = vec![
        (b"security.capability".to_vec(), b"\x01\0\0\x02=\n".to_vec()),
        (b"user.b".to_vec(), b"3".to_vec()),
    ];
    assert_eq!(*metadata("pax"), Metadata { uid: 70, gid: 71, mtime: -2, xattrs, ..Metadata::root(0o644) });
}

#[test]
fn comments_of_git_are_passed_over() {
    let tar = Tar::new().add(Member::new(b'g', "pax_global_header").content("13 comment=x\n")).file("a", "");
    assert_eq!(listing(&tree(tar)), ["/a 0644 "]);
}

#[test]
fn old_forms_of_files_and_folders() {
    let tar = Tar::new()
        .add(Member::new(b'\0', "old"))
        .add(Member::new(b'\0', "folder/").mode(0o755))
        .add(Member::new(b'7', "contiguous").content("x"));
    assert_eq!(listing(&tree(tar)), ["/contiguous 0644 x", "/folder/ 0755", "/old 0644 "]);
}

#[test]
fn names_that_are_no_text_stay_as_they_are() {
    let tree = tree(Tar::new().file(b"caf\xe9", "").symlink("link", b"caf\xe9"));
    assert_eq!(listing(&tree), ["/caf\\xe9 0644 ", "/link -> caf\\xe9"]);
}

#[test]
fn contents_are_slices_of_the_tar() {
    let tar = Content::from(Tar::new().file("a", "content").finish());
    let within = tar.as_ptr_range();
    let layer = rootfs::Layer::parse(tar, Dialect::Oci, rootfs::Limits::default()).unwrap();
    let mut tree = Tree::new();
    tree.stack(&layer, rootfs::Origin(0)).unwrap();
    let Kind::File(file) = &tree.get(&path("/a")).unwrap().kind else { panic!("a file was put there") };
    assert!(within.contains(&file.content.as_ptr()));
}

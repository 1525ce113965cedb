//! Roots on a disk.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use fs_err as fs;
use rootfs::{
    Attempt, Dialect, Filesystem, Kind, Layer, Limits, LiveRoot, Origin, Ownership, ResolveError, RootPath,
    SelectError, TarOptions, Times, Tree, write_directory, write_tar,
};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};
use rustix::io::Errno;
use tempfile::TempDir;
use testkit::tar::{Member, Tar};

use crate::listing::{listing, path, stacked};

/// A folder with these files; a content of `-> target` makes a link, a path with a slash at its end a folder.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        match content.strip_prefix("-> ") {
            Some(target) => symlink(target, file).unwrap(),
            None if name.ends_with('/') => fs::create_dir_all(file).unwrap(),
            None => fs::write(file, content).unwrap(),
        }
    }
    folder
}

fn open(folder: &TempDir) -> LiveRoot {
    LiveRoot::open(folder.path()).unwrap()
}

/// Every path, in the order in which it is found.
fn paths(root: &LiveRoot) -> Vec<String> {
    root.descendants(&RootPath::root()).map(|(path, _)| path.to_string()).collect()
}

fn whole(root: &LiveRoot) -> Result<Tree, SelectError> {
    root.select(root.descendants(&RootPath::root()).map(|(path, _)| path.clone()))
}

fn content(root: &LiveRoot, at: &str) -> Vec<u8> {
    match &root.get(&path(at)).unwrap().kind {
        Kind::File(file) => file.content.to_vec(),
        kind => panic!("{at} is {kind:?}"),
    }
}

fn faults(root: &LiveRoot) -> Vec<(String, Attempt)> {
    root.faults().into_iter().map(|fault| (fault.path.to_string(), fault.attempt)).collect()
}

/// Calls `test` as somebody whom the rights of files concern.
fn as_ordinary_user(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                let (uid, gid) = (rustix::fs::Uid::from_raw(65_534), rustix::fs::Gid::from_raw(65_534));
                rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
                rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
            }
            test();
        });
        thread.join().unwrap();
    });
}

fn set_mode(folder: &TempDir, at: &str, mode: u32) {
    fs::set_permissions(folder.path().join(at), PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn what_was_written_is_read_back() {
    let large = "x".repeat(200_000);
    let tar = Tar::new()
        .add(Member::folder("usr").mode(0o700))
        .add(Member::folder("usr/bin").mode(0o1777))
        .add(Member::file("usr/bin/ruby3.3", "ruby").mode(0o4755).mtime(1_700_000_000))
        .add(Member::hard_link("usr/ruby", "usr/bin/ruby3.3"))
        .add(Member::symlink("usr/bin/ruby", "ruby3.3"))
        .add(Member::symlink("bin", "usr/bin"))
        .add(Member::file("usr-x", ""))
        .add(Member::file("large", large));
    let tree = stacked(Dialect::Debian, [tar]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_directory(&tree, folder.path(), Ownership::Ignore).unwrap();

    let root = open(&folder);
    let again = whole(&root).unwrap();
    assert_eq!(listing(&again), listing(&tree));
    for (at, entry) in tree.iter() {
        assert_eq!(again.get(at).unwrap().metadata.mtime, entry.metadata.mtime, "{at}");
    }
    assert_eq!(root.faults(), []);
}

#[test]
fn folders_come_before_what_they_hold_in_the_order_of_names() {
    let folder = folder(&[("b/x", ""), ("a", ""), ("b-c", ""), ("b/y/z", ""), ("c/", "")]);
    assert_eq!(paths(&open(&folder)), ["/a", "/b", "/b/x", "/b/y", "/b/y/z", "/b-c", "/c"]);
    assert_eq!(open(&folder).children(&path("/b")).count(), 2);
    for no_folder in ["/a", "/none", "/b/none"] {
        assert_eq!(open(&folder).children(&path(no_folder)).count(), 0);
    }
}

#[test]
fn only_what_is_looked_at_is_there_and_it_stays_as_it_was_seen() {
    let folder = folder(&[("seen", "one"), ("dir/seen", "two")]);
    let root = open(&folder);
    assert_eq!(content(&root, "/seen"), b"one");
    assert!(root.get(&path("/later")).is_none());
    fs::write(folder.path().join("later"), "").unwrap();
    fs::remove_file(folder.path().join("seen")).unwrap();
    assert_eq!(content(&root, "/seen"), b"one");
    assert!(root.get(&path("/later")).is_none());
    assert_eq!(paths(&root), ["/dir", "/dir/seen"], "the folders were listed after that");
    fs::write(folder.path().join("dir/later"), "").unwrap();
    assert!(root.get(&path("/dir/later")).is_none());
}

#[test]
fn links_stay_inside() {
    let outside = folder(&[("secret", "outside")]);
    let folder = folder(&[
        ("passwd", "-> /etc/passwd"),
        ("etc/passwd", "inside"),
        ("dir/up", "-> ../../../../../etc/passwd"),
        ("dir/out", &format!("-> {}", outside.path().display())),
        ("round/a", "-> b"),
        ("round/b", "-> a"),
    ]);
    let root = open(&folder);
    for at in ["/passwd", "/dir/up"] {
        assert_eq!(root.resolve(&path(at)).unwrap().path, path("/etc/passwd"), "{at}");
    }
    assert!(root.get(&path("/dir/out/secret")).is_none(), "no parent may be a link");
    assert!(matches!(root.resolve(&path("/dir/out/secret")), Err(ResolveError::NotFound { .. })));
    assert!(matches!(root.resolve(&path("/round/a")), Err(ResolveError::TooManyLinks { .. })));
    let tree = whole(&root).unwrap();
    assert!(listing(&tree).contains(&"/dir/up -> ../etc/passwd".to_owned()));
    assert_eq!(root.faults(), []);
}

#[test]
fn what_turns_into_a_link_is_not_followed() {
    let outside = folder(&[("secret", "outside"), ("x/secret", "outside")]);
    let folder = folder(&[("dir/secret", "inside"), ("file", "inside"), ("replaced", "inside")]);
    let root = open(&folder);
    assert!(root.get(&path("/dir")).unwrap().is_directory());
    assert!(root.get(&path("/file")).is_some() && root.get(&path("/replaced")).is_some());
    fs::remove_dir_all(folder.path().join("dir")).unwrap();
    symlink(outside.path(), folder.path().join("dir")).unwrap();
    fs::remove_file(folder.path().join("file")).unwrap();
    symlink(outside.path().join("secret"), folder.path().join("file")).unwrap();
    // The old file must be there while the new one is made, or that gets its number.
    fs::write(folder.path().join("new"), "another").unwrap();
    fs::rename(folder.path().join("new"), folder.path().join("replaced")).unwrap();

    assert!(root.get(&path("/dir/secret")).is_none());
    assert_eq!(root.children(&path("/dir")).count(), 0);
    for at in ["/file", "/replaced"] {
        assert_eq!(content(&root, at), b"");
    }
    let wanted = [("/dir", Attempt::List), ("/file", Attempt::Read), ("/replaced", Attempt::Read)];
    assert_eq!(faults(&root), wanted.map(|(at, attempt)| (at.to_owned(), attempt)));
    let refused = root.select([path("/replaced")]).unwrap_err();
    assert_eq!(refused.to_string(), "/replaced cannot be read: Stale file handle (os error 116)");
}

#[test]
fn names_that_are_no_text_are_names() {
    let folder = folder(&[("dir/", "")]);
    let name = b"dir/\xff\n[*]";
    fs::write(folder.path().join(OsStr::from_bytes(name)), "bytes").unwrap();
    let root = open(&folder);
    assert_eq!(paths(&root), ["/dir", "/dir/\\xff\\x0a[*]"]);
    let other = open(&folder);
    assert!(other.get(&RootPath::parse(name).unwrap()).is_some());
}

#[test]
fn pipes_sockets_and_devices_are_not_there() {
    let folder = folder(&[("file", "")]);
    mknodat(CWD, folder.path().join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _listener = UnixListener::bind(folder.path().join("socket")).unwrap();
    let null = rustix::fs::makedev(1, 3);
    match mknodat(CWD, folder.path().join("null"), FileType::CharacterDevice, Mode::RUSR, null) {
        Err(Errno::PERM) => println!("no device: only root may make one"),
        made => made.unwrap(),
    }
    let root = open(&folder);
    for at in ["/pipe", "/socket", "/null"] {
        assert!(root.get(&path(at)).is_none(), "{at}");
    }
    assert_eq!(paths(&root), ["/file"]);
    assert_eq!(paths(&open(&folder)), ["/file"]);
}

#[test]
fn what_the_kernel_makes_up_is_not_there() {
    let root = LiveRoot::open("/").unwrap();
    for at in ["/proc", "/sys"] {
        if Path::new(at).join("kernel").exists() || Path::new(at).join("self").exists() {
            assert!(root.get(&path(at)).unwrap().is_directory(), "{at}");
            assert_eq!(root.children(&path(at)).count(), 0, "{at}");
        }
    }
    assert!(root.get(&path("/proc/self")).is_none());
    assert!(root.resolve(&path("/proc/self/root")).is_err());
}

#[test]
fn what_may_not_be_read_is_a_fault() {
    let folder = folder(&[("closed/x", "a"), ("blind/x", "b"), ("dir/closed", "c"), ("dir/open", "d")]);
    set_mode(&folder, "closed", 0o000);
    set_mode(&folder, "blind", 0o111);
    set_mode(&folder, "dir/closed", 0o000);
    set_mode(&folder, "", 0o755);
    as_ordinary_user(|| {
        let root = open(&folder);
        assert_eq!(content(&root, "/blind/x"), b"b", "a folder that cannot be listed can be entered");
        assert!(root.get(&path("/closed/x")).is_none());
        assert!(root.get(&path("/closed/y/z")).is_none());
        assert_eq!(root.children(&path("/blind")).count(), 0);
        assert_eq!(content(&root, "/dir/open"), b"d");
        assert_eq!(content(&root, "/dir/closed"), b"");
        assert_eq!(
            faults(&root),
            [("/blind", Attempt::List), ("/closed", Attempt::Enter), ("/dir/closed", Attempt::Read)]
                .map(|(at, attempt)| (at.to_owned(), attempt))
        );
        let selected = root.select([path("/blind/x"), path("/closed/x"), path("/dir/open")]).unwrap();
        assert_eq!(selected.len(), 4);
        let refused = root.select([path("/dir/closed")]).unwrap_err();
        assert_eq!(refused.to_string(), "/dir/closed cannot be read: Permission denied (os error 13)");
    });
    for closed in ["closed", "blind"] {
        set_mode(&folder, closed, 0o755);
    }
}

#[test]
fn a_glance_sees_as_much_as_was_asked_for_and_keeps_nothing() {
    let long = "0123456789".repeat(20_000);
    let folder = folder(&[("short", "short"), ("long", &long), ("empty", "")]);
    let root = open(&folder);
    let glance = |at: &str, most| match &root.get(&path(at)).unwrap().kind {
        Kind::File(file) => file.content.glance(most, |bytes| String::from_utf8(bytes.to_vec()).unwrap()),
        kind => panic!("{at} is {kind:?}"),
    };
    let size = |at: &str| match &root.get(&path(at)).unwrap().kind {
        Kind::File(file) => file.content.size(),
        kind => panic!("{at} is {kind:?}"),
    };
    for is_kept in [false, true] {
        assert_eq!(["/short", "/empty", "/long"].map(size), [5, 0, 200_000], "{is_kept}");
        for (at, most, wanted) in [
            ("/short", 0, ""),
            ("/short", 3, "sho"),
            ("/short", usize::MAX, "short"),
            ("/empty", usize::MAX, ""),
            ("/long", 12, "012345678901"),
            ("/long", 100_000, &long[..100_000]),
            ("/long", usize::MAX, &long),
        ] {
            assert!(glance(at, most) == wanted, "{at} {most} {is_kept}");
        }
        for at in ["/short", "/long", "/empty"] {
            content(&root, at);
        }
    }
    let other = open(&folder);
    let Kind::File(file) = &other.get(&path("/short")).unwrap().kind else { panic!("no file") };
    let within = file.content.glance(usize::MAX, |short| {
        let Kind::File(long) = &other.get(&path("/long")).unwrap().kind else { panic!("no file") };
        long.content.glance(2, |start| [short, start].concat())
    });
    assert_eq!(within, b"short01");
    fs::remove_file(folder.path().join("short")).unwrap();
    assert_eq!(file.content.glance(9, <[u8]>::to_vec), b"", "nothing was kept");
    assert_eq!(faults(&other), [("/short".to_owned(), Attempt::Read)]);
}

/// What a visitor of a folder is shown, in order; of each path as many bytes as its name starts with.
fn shown(root: &dyn Filesystem, at: &str) -> Vec<String> {
    let wanted = |path: &RootPath| match path.name() {
        [digit @ b'0'..=b'9', ..] => Some(usize::from(digit - b'0')),
        [b'a', ..] => Some(usize::MAX),
        _ => None,
    };
    let mut lines = Vec::new();
    root.visit_children(&path(at), &wanted, &mut |path, entry, start| {
        let kind = match &entry.kind {
            Kind::Directory => "/".to_owned(),
            Kind::Symlink(target) => format!(" -> {}", String::from_utf8_lossy(target)),
            Kind::File(file) => format!(" {}", file.content.size()),
        };
        let start =
            start.map(|start| format!(" {:?}", String::from_utf8_lossy(&start[..start.len().min(9)])));
        lines.push(format!("{path}{kind}{}", start.unwrap_or_default()));
    });
    lines.sort_unstable();
    lines
}

#[test]
fn who_visits_a_folder_is_shown_the_start_of_each_file() {
    let long = "0123456789".repeat(20_000);
    let folder = folder(&[
        ("f/2", "abcd"),
        ("f/9", "abcd"),
        ("f/0", "abcd"),
        ("f/other", "abcd"),
        ("f/all", "abcdefghijkl"),
        ("f/all-empty", ""),
        ("f/all-long", &long),
        ("f/all-link", "-> all"),
        ("f/4-folder/x", "1"),
        ("g", "no folder"),
    ]);
    fs::hard_link(folder.path().join("f/2"), folder.path().join("f/3")).unwrap();
    mknodat(CWD, folder.path().join("f/1-pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let wanted = [
        "/f/0 4 \"\"",
        "/f/2 4 \"ab\"",
        "/f/3 4 \"abc\"",
        "/f/4-folder/",
        "/f/9 4 \"abcd\"",
        "/f/all 12 \"abcdefghi\"",
        "/f/all-empty 0 \"\"",
        "/f/all-link -> all",
        "/f/all-long 200000 \"012345678\"",
        "/f/other 4",
    ];
    let root = open(&folder);
    assert_eq!(shown(&root, "/f"), wanted, "while it is listed");
    assert_eq!(shown(&root, "/f"), wanted, "where it is listed already");
    assert_eq!(root.children(&path("/f")).count(), wanted.len());
    let looked_at = open(&folder);
    for at in ["/f/2", "/f/all", "/f/1-pipe"] {
        looked_at.get(&path(at));
    }
    assert_eq!(shown(&looked_at, "/f"), wanted, "where some of it is known already");
    assert_eq!(shown(&whole(&root).unwrap(), "/f"), wanted, "in memory");
    assert!(root.get(&path("/f/2")) == root.get(&path("/f/3")), "names of one file are one file");
    for at in ["/g", "/none", "/f/all-link"] {
        assert_eq!(shown(&root, at), [""; 0], "{at}");
    }
    assert_eq!(faults(&root), []);
}

#[test]
fn a_file_that_may_not_be_read_is_shown_without_bytes_and_is_a_fault() {
    let folder = folder(&[("f/4-closed", "abcd"), ("f/4-open", "abcd"), ("f/other-closed", "abcd")]);
    for closed in ["f/4-closed", "f/other-closed"] {
        set_mode(&folder, closed, 0o000);
    }
    set_mode(&folder, "", 0o755);
    as_ordinary_user(|| {
        let root = open(&folder);
        let wanted = ["/f/4-closed 4 \"\"", "/f/4-open 4 \"abcd\"", "/f/other-closed 4"];
        assert_eq!(shown(&root, "/f"), wanted);
        assert_eq!(faults(&root), [("/f/4-closed".to_owned(), Attempt::Read)]);
    });
}

#[test]
fn names_of_one_file_are_one_file() {
    let folder = folder(&[("a/one", "same"), ("other", "same")]);
    fs::hard_link(folder.path().join("a/one"), folder.path().join("two")).unwrap();
    let tree = open(&folder).select(["/two", "/other", "/a/one"].map(path)).unwrap();
    let mode = |at: &str| tree.get(&path(at)).unwrap().metadata.mode;
    let lines = [
        format!("/a/ {:04o}", mode("/a")),
        format!("/a/one {:04o} same", mode("/two")),
        format!("/other {:04o} same", mode("/other")),
        "/two = /a/one".to_owned(),
    ];
    assert_eq!(listing(&tree), lines);
}

#[test]
fn attributes_come_with_what_is_selected() {
    let folder = folder(&[("dir/file", "")]);
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut wanted = Vec::new();
    for (at, name, value) in [
        ("dir", "user.of-folder", &b"one"[..]),
        ("dir/file", "security.capability", &capability),
        ("dir/file", "user.empty", b""),
        ("dir/file", "trusted.not-kept", b""),
    ] {
        match setxattr(folder.path().join(at), name, value, XattrFlags::empty()) {
            Err(Errno::PERM | Errno::OPNOTSUPP) => println!("no {name}: it cannot be set here"),
            set => {
                set.unwrap();
                wanted.push((path(at), name.as_bytes().to_vec(), value.to_vec()));
            }
        }
    }
    wanted.retain(|(_, name, _)| !name.starts_with(b"trusted"));
    let root = open(&folder);
    let tree = root.select([path("/dir/file")]).unwrap();
    let found = tree.iter().flat_map(|(at, entry)| {
        let attributes = entry.metadata.xattrs.iter();
        attributes.map(|(name, value)| (at.clone(), name.clone(), value.clone()))
    });
    assert_eq!(found.collect::<Vec<_>>(), wanted);
    assert_eq!(root.get(&path("/dir/file")).unwrap().metadata.xattrs, []);
}

/// Everything that an entry has but for its bytes and where it came from, with the first name of each file.
fn whole_listing(tree: &Tree) -> Vec<String> {
    let metadata = tree.iter().map(|(_, entry)| format!("{:?}", entry.metadata));
    listing(tree).into_iter().zip(metadata).map(|(line, metadata)| format!("{line} {metadata}")).collect()
}

#[test]
fn a_root_goes_through_a_folder_and_a_tar_without_a_change() {
    let root = rustix::process::geteuid().is_root();
    let owner = |number: u32| if root { number } else { rustix::process::geteuid().as_raw() };
    let group = |number: u32| if root { number } else { rustix::process::getegid().as_raw() };
    let tar = Tar::new()
        .add(Member::folder("usr").mode(0o755).mtime(11))
        .add(Member::folder("usr/bin").mode(0o2755).mtime(12).owner(owner(1).into(), group(2).into()))
        .add(Member::file("usr/bin/su", "su").mode(0o4755).mtime(13).owner(owner(3).into(), group(4).into()))
        .add(Member::hard_link("usr/bin/other", "usr/bin/su"))
        .add(Member::symlink("usr/bin/link", "../bin/su").mtime(14).owner(owner(5).into(), group(6).into()))
        .add(Member::symlink("bin", "usr/bin").mtime(15).owner(owner(0).into(), group(0).into()))
        .add(Member::folder("tmp").mode(0o1777).mtime(16).owner(owner(0).into(), group(0).into()));
    let mut tree = stacked(Dialect::Debian, [tar]).unwrap();
    let mut file = tree.get(&path("/tmp")).unwrap().clone();
    file.kind = Kind::File(rootfs::File::new(b"capable".to_vec()));
    file.metadata.mode = 0o755;
    if root {
        let capability = vec![1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        file.metadata.xattrs = vec![(b"security.capability".to_vec(), capability)];
    }
    tree.insert(path("/usr/bin/ping"), file).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let ownership = if root { Ownership::Preserve } else { Ownership::Ignore };
    write_directory(&tree, folder.path(), ownership).unwrap();
    let from_disk = whole(&open(&folder)).unwrap();
    if root {
        assert_eq!(whole_listing(&from_disk), whole_listing(&tree));
    }

    let mut bytes = Vec::new();
    write_tar(&from_disk, &mut bytes, &TarOptions { times: Times::Own }).unwrap();
    let layer = Layer::parse(bytes.into(), Dialect::Debian, Limits::default()).unwrap();
    let mut from_tar = Tree::new();
    from_tar.stack(&layer, Origin(0)).unwrap();
    assert_eq!(whole_listing(&from_tar), whole_listing(&from_disk));
}

#[test]
fn many_may_ask_at_once() {
    let names: Vec<String> = (0..300).map(|number| format!("d{}/{number}", number % 7)).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    let folder = folder(&files);
    let root = open(&folder);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (root, names) = (&root, &names);
            scope.spawn(move || {
                for name in names.iter().cycle().skip(thread * 37).take(names.len()) {
                    assert_eq!(content(root, name), name.as_bytes());
                }
                assert_eq!(root.descendants(&RootPath::root()).count(), 307);
            });
        }
    });
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let folder = folder(&[("file", "")]);
    for missing in ["none", "file"] {
        let place = folder.path().join(missing);
        let error = LiveRoot::open(&place).map(drop).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot read {} as a root filesystem", place.display()));
        assert_eq!(error.hint(), None);
    }
}

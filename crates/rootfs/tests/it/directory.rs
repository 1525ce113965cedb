//! Trees written to a disk.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use fs_err as fs;

use rootfs::{Dialect, DirectoryError, Entry, Metadata, Origin, Ownership, Tree, write_directory};
use testkit::tar::{Member, Tar};

use crate::listing::{listing, path, stacked};

/// What is in a folder, in the form of [`listing`].
pub(crate) fn on_disk(folder: &Path) -> Vec<String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap().path();
            let metadata = entry.symlink_metadata().unwrap();
            if metadata.is_dir() {
                folders.push(entry.clone());
            }
            found.insert(entry.into_os_string().into_vec(), metadata);
        }
    }
    let mut first = HashMap::new();
    found
        .into_iter()
        .map(|(bytes, metadata)| {
            let host = OsString::from_vec(bytes.clone());
            let path = path(std::str::from_utf8(&bytes[folder.as_os_str().len()..]).unwrap());
            let mode = metadata.mode() & 0o7777;
            if metadata.is_dir() {
                format!("{path}/ {mode:04o}")
            } else if metadata.is_symlink() {
                let target = fs::read_link(&host).unwrap();
                format!("{path} -> {}", target.as_os_str().as_bytes().escape_ascii())
            } else if let Some(first) = first.get(&metadata.ino()) {
                format!("{path} = {first}")
            } else {
                first.insert(metadata.ino(), path.clone());
                format!("{path} {mode:04o} {}", fs::read(&host).unwrap().escape_ascii())
            }
        })
        .collect()
}

fn sample() -> Tree {
    stacked(
        Dialect::Debian,
        [Tar::new()
            .add(Member::file("./usr/bin/ruby", "ELF").mode(0o755).mtime(1_700_000_000))
            .hard_link("./usr/bin/same-folder", "./usr/bin/ruby")
            .hard_link("./another-folder", "./usr/bin/ruby")
            .hard_link("./usr/z/another-folder", "./usr/bin/ruby")
            .symlink("./usr/bin/absolute", "/etc/passwd")
            .symlink("./usr/dangling", "none")
            .add(Member::folder("./usr/a").mode(0o555))
            .file("./usr/a/b", "in a folder that cannot be written")
            .file("./usr/a-b", "between a folder and what it holds")
            .add(Member::folder("./tmp").mode(0o1777))
            .add(Member::file("./usr/bin/su", "").mode(0o4755))
            .add(Member::folder("./usr/closed").mode(0o2500).mtime(5))
            .file("./usr/closed/x", "")],
    )
    .unwrap()
}

#[test]
fn what_is_on_the_disk_is_what_is_in_the_tree() {
    let tree = sample();
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("new");
    write_directory(&tree, &folder, Ownership::Ignore).unwrap();
    assert_eq!(on_disk(&folder), listing(&tree));
    let mtime = |name: &str| folder.join(name).symlink_metadata().unwrap().mtime();
    assert_eq!((mtime("usr/bin/ruby"), mtime("usr/closed"), mtime("usr/dangling")), (1_700_000_000, 5, 0));
    assert_eq!(folder.metadata().unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn a_folder_that_holds_something_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/", folder.path().join("usr")).unwrap();
    let error = write_directory(&sample(), folder.path(), Ownership::Ignore).unwrap_err();
    assert!(matches!(error, DirectoryError::NotEmpty { .. }), "{error}");
    assert!(error.hint().is_some());
    assert_eq!(on_disk(folder.path()), ["/usr -> /"]);
}

#[test]
fn a_place_that_is_no_folder_is_an_error() {
    let parent = tempfile::tempdir().unwrap();
    fs::write(parent.path().join("file"), "").unwrap();
    for name in ["file", "none/below"] {
        let error = write_directory(&sample(), &parent.path().join(name), Ownership::Ignore).unwrap_err();
        assert!(matches!(&error, DirectoryError::Refused { action: "open", .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn owners_and_attributes_are_kept_for_root() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root may give files away");
        return;
    }
    let mut tree = Tree::new();
    let xattrs = vec![(b"user.test".to_vec(), b"\0value".to_vec())];
    let metadata = Metadata { mode: 0o4755, uid: 12, gid: 34, mtime: 56, xattrs };
    let file = Entry::file(metadata.clone(), b"content".to_vec(), Origin(0));
    tree.insert(path("/folder"), Entry::directory(metadata.clone(), Origin(0))).unwrap();
    tree.insert(path("/folder/file"), file).unwrap();
    let mut link = Entry::symlink("file", Origin(0));
    link.metadata = Metadata { xattrs: Vec::new(), ..metadata };
    tree.insert(path("/folder/link"), link).unwrap();

    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("new");
    write_directory(&tree, &folder, Ownership::Preserve).unwrap();
    assert_eq!(on_disk(&folder), ["/folder/ 4755", "/folder/file 4755 content", "/folder/link -> file"]);
    for name in ["folder", "folder/file", "folder/link"] {
        let found = folder.join(name).symlink_metadata().unwrap();
        assert_eq!((found.uid(), found.gid(), found.mtime()), (12, 34, 56), "{name}");
    }
    for name in ["folder", "folder/file"] {
        let mut value = [0; 16];
        let length = rustix::fs::getxattr(folder.join(name), "user.test", &mut value).unwrap();
        assert_eq!(&value[..length], b"\0value", "{name}");
    }
}

#[test]
fn an_owner_that_cannot_be_is_an_error() {
    let mut tree = Tree::new();
    let metadata = Metadata { uid: u32::MAX, ..Metadata::root(0o644) };
    tree.insert(path("/file"), Entry::file(metadata, Vec::new(), Origin(0))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    // The root itself belongs to root, which others cannot do either: both are the same refusal.
    let error = write_directory(&tree, folder.path(), Ownership::Preserve).unwrap_err();
    assert!(error.to_string().starts_with("cannot set the owner of /file below"), "{error}");
}

/// Runs the next test in the folder of a file system of 256 kB, in a mount namespace of its own.
#[test]
fn a_full_disk_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size=256k none "$0" || exit 100
        cd "$0" && exec "$@""#;
    let status = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "directory::inside_a_full_disk"])
        .output();
    match status {
        Ok(output) if output.status.success() => {
            assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
        }
        Ok(output) if output.status.code() == Some(101) => {
            panic!("{}", String::from_utf8_lossy(&output.stdout));
        }
        refused => println!("skipped: no mount namespace here: {refused:?}"),
    }
}

#[test]
#[ignore = "run by the test before, on a small file system"]
fn inside_a_full_disk() {
    let mut tree = Tree::new();
    let content = vec![b'x'; 100 << 10];
    for name in ["/a/first", "/a/second", "/b/third", "/c"] {
        tree.insert(path(name), Entry::file(Metadata::root(0o644), content.clone(), Origin(0))).unwrap();
    }
    let error = write_directory(&tree, Path::new("."), Ownership::Ignore).unwrap_err();
    assert!(error.to_string().starts_with("cannot write the file /b/third below"), "{error}");
    assert!(error.hint().unwrap().contains("free some space"));
    let DirectoryError::Refused { source, .. } = error else { panic!("{error}") };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
}

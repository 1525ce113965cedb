//! Rights that hold for ordinary users alone. Run by root, these tests are run once more for one.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use fs_err as fs;

use crate::fixture::{Root, listing, program};

#[test]
fn run_for_an_ordinary_user() {
    if !rustix::process::geteuid().is_root() {
        // All others are run for one.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let tests = folder.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    fs::copy(program(), folder.path().join("rubypak")).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&tests)
        .args(["ordinary::", "interrupted::", "--skip", "run_for_an_ordinary_user"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !said.contains(" 0 passed"), "{said}");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn what_cannot_be_read_is_said() {
    if is_root() {
        return;
    }
    let root = Root::usual();
    root.file("/app/secret", "#!/bin/app\n", 0);
    root.run(&["/app", "out"]).is(1).says("unreadable:/app/secret");
    root.file("/closed/inside", "", 0o644);
    fs::set_permissions(root.path().join("closed"), PermissionsExt::from_mode(0o000)).unwrap();
    root.run(&["/closed", "out"]).is(1).says("unreadable:/closed");
    root.file("/usr/lib/libone.so.1.2", "", 0);
    root.run(&["app", "out"]).is(1).says("unreadable:/usr/lib/libone.so.1.2").says("--accept KEY");
    root.run(&["/app/secret", "out", "--accept", "unreadable:*"]).is(2).says("/app/secret");
    assert!(root.left().is_empty());
    fs::set_permissions(root.path().join("closed"), PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn folders_that_their_owner_may_not_write_to() {
    if is_root() {
        return;
    }
    let root = Root::usual();
    root.folder("/closed", 0o755);
    root.folder("/closed/inner", 0o755);
    root.file("/closed/inner/file", "", 0o444);
    for path in ["closed/inner", "closed", ""] {
        fs::set_permissions(root.path().join(path), PermissionsExt::from_mode(0o555)).unwrap();
    }
    let words = ["/closed", "app", "out"];
    root.run(&words).is(0);
    root.run(&[&words[..], &["--force"]].concat()).is(0);
    let made = listing(&root.beside("out"));
    assert!(made.contains(&"closed/inner/ 0555".to_owned()), "{made:#?}");
    // Into an empty folder, and one that fails half-way.
    fs::create_dir(root.beside("empty")).unwrap();
    root.run(&["/closed", "app", "empty"]).is(0);
    root.run(&["/closed", "app", "none/out"]).is(2);
    root.run(&["/closed", "app", "other", "--test=/none"]);
    assert_eq!(root.left(), ["empty", "out"]);
    for path in ["root", "out", "empty"] {
        rootfs::remove_directory(&root.beside(path)).unwrap();
    }
    fs::create_dir(root.path()).unwrap();
}

//! What the sandbox promises, each promise kept before the eyes of a command inside.
//!
//! Run by root, every test runs a second time for an ordinary user, see [`ordinary_user`].

#![expect(clippy::disallowed_methods, reason = "a test that fails tells its line, and fails")]

#[cfg(target_arch = "x86_64")]
mod assembled;
mod caller;
mod containment;
mod emulator;
mod fixture;
mod lifetime;
mod limits;
mod live;
mod network;
mod outcome;
mod terminal;
mod trace;
mod weak;
mod workplace;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// The same tests, run by user 65534 from copies that this user may read.
#[test]
fn ordinary_user() {
    if !fixture::is_root() {
        // All others have just run for one.
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("its permissions");
    let tests = folder.path().join("tests");
    std::fs::copy(std::env::current_exe().expect("this program"), &tests).expect("a copy of the tests");
    std::fs::copy(fixture::probe(), folder.path().join("sandbox-probe")).expect("a copy of the probe");
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&tests)
        .args(["--skip", "ordinary_user"])
        .output()
        .expect("setpriv, of util-linux");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

//! A signal ends a run at any moment, and nothing is left behind.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{Root, program};

const SIGNALS: [Signal; 3] = [Signal::INT, Signal::TERM, Signal::HUP];

/// The program as a terminal would start it: who runs the tests in the background may ignore signals, and what is
/// ignored stays so in all that is started.
fn command() -> Command {
    let mut command = Command::new("/usr/bin/env");
    command.arg("--default-signal").arg(program());
    command
}

/// Waits until something passing is in the folder, or the program has ended.
fn wait_for_passing(child: &mut Child, folder: &Path) {
    let is_there = || {
        let mut names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.any(|name| name.to_string_lossy().starts_with(".rubypak-"))
    };
    while !is_there() && child.try_wait().unwrap().is_none() {
        thread::yield_now();
    }
}

/// To a process that may have ended already.
fn send(child: &mut Child, signal: Signal) {
    if child.try_wait().unwrap().is_some() {
        return;
    }
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(id, signal).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    entries.map(|name| name.into_string().unwrap()).collect()
}

#[test]
fn while_a_test_runs() {
    for signal in SIGNALS {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command();
        command.args(["/bin/sleep", "out", "--test=sleep 100", "--time-limit=200"]);
        command.current_dir(folder.path()).env("TMPDIR", folder.path()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        wait_for_passing(&mut child, folder.path());
        send(&mut child, signal);
        assert_eq!(child.wait().unwrap().signal(), Some(signal.as_raw()));
        assert!(names(folder.path()).is_empty(), "{signal:?}: {:?}", names(folder.path()));
    }
}

#[test]
fn while_a_result_is_written() {
    let root = Root::usual();
    for number in 0..2000 {
        root.file(format!("/app/{}/{number}", number % 50), "text", 0o644);
    }
    let (mut ended, mut count) = (0, 0);
    for signal in SIGNALS {
        for output in ["out", "out.tar", "out.oci"] {
            let mut command = command();
            command.arg("--root").arg(root.path()).args(["/app", "-o", output]);
            command.current_dir(root.beside("")).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            wait_for_passing(&mut child, &root.beside(""));
            send(&mut child, signal);
            let status = child.wait().unwrap();
            count += 1;
            ended += usize::from(status.signal() == Some(signal.as_raw()));
            // It may have been done already; half a result there never is.
            let left = root.left();
            assert!(left.is_empty() || left == [output], "{signal:?}: {left:?}");
            if output == "out" && !left.is_empty() {
                assert_eq!(crate::fixture::listing(&root.beside("out")).len(), 2051);
            }
            for name in left {
                let left = root.beside(&name);
                if left.is_dir() { fs::remove_dir_all(left) } else { fs::remove_file(left) }.unwrap();
            }
        }
    }
    assert!(ended > 0, "none of {count} was ended in time");
}

#[test]
fn what_was_ignored_stays_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("/usr/bin/env");
    command.args(["--default-signal", "--ignore-signal=HUP"]).arg(program());
    command.args(["/bin/sleep", "out", "--test=sleep 100", "--time-limit=200"]);
    command.current_dir(folder.path()).env("TMPDIR", folder.path()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    wait_for_passing(&mut child, folder.path());
    send(&mut child, Signal::HUP);
    send(&mut child, Signal::TERM);
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
    assert!(names(folder.path()).is_empty());
}

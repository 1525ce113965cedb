//! A folder of the host to work in, and what a command writes as it comes.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use sandbox::{Output, Root, SandboxError, Status, Step, Workplace};

use crate::fixture::{Fixture, command, program, text};

fn at_work(fixture: &Fixture, place: &str) -> (PathBuf, Root) {
    let folder = fixture.folder.path().join("work");
    fs::create_dir_all(&folder).expect("a folder");
    let layers = fixture.layers.clone();
    (folder.clone(), Root::Workplace(Workplace { layers, folder, place: place.into() }))
}

#[test]
fn what_is_written_in_the_folder_stays_and_nothing_else() {
    let fixture = Fixture::new();
    for place in ["/work", "/usr/share/some/where"] {
        let (folder, root) = at_work(&fixture, place);
        fs::write(folder.join("given"), "by the caller").expect("a file");
        let run = |args: &[&str]| {
            let outcome = sandbox::run(&program(), &root, &command(args)).expect("a run");
            assert_eq!(outcome.status, Status::Exited(0));
            text(&outcome.stdout.bytes)
        };
        assert_eq!(run(&["read", &format!("{place}/given")]), "by the caller");
        assert_eq!(run(&["write", &format!("{place}/made"), "inside"]), "done");
        assert_eq!(run(&["write", "/etc/made", "inside"]), "done");
        assert_eq!(run(&["read", &format!("{place}/made")]), "inside");
        let made = folder.join("made");
        assert_eq!(fs::read_to_string(&made).expect("the file"), "inside");
        let owner = rustix::process::geteuid().as_raw();
        assert_eq!(made.metadata().expect("its metadata").uid(), owner, "user 0 inside is the caller");
        assert!(!fixture.layers[0].join("etc/made").exists());
        assert!(!fixture.layers[0].join("work").exists(), "the place is not made in a layer");
        let rights = run(&["mode", place]);
        assert!(rights.contains("755"), "{rights}");
        fs::remove_dir_all(&folder).expect("the folder can be removed");
    }
}

#[test]
fn the_folder_leads_nowhere_else() {
    let fixture = Fixture::new();
    let (folder, root) = at_work(&fixture, "/work");
    fs::write(fixture.folder.path().join("secret"), "secret").expect("a file");
    std::os::unix::fs::symlink("../secret", folder.join("link")).expect("a link");
    for path in ["/work/../secret", "/work/link"] {
        let outcome = sandbox::run(&program(), &root, &command(&["read", path])).expect("a run");
        assert_eq!(outcome.status, Status::Exited(1), "{path}");
    }
    let mounts = sandbox::run(&program(), &root, &command(&["read", "/proc/self/mountinfo"])).expect("a run");
    let mounts = text(&mounts.stdout.bytes);
    assert!(mounts.contains(" /work "), "{mounts}");
}

#[test]
fn a_folder_that_is_not_there_is_told_with_its_path() {
    let fixture = Fixture::new();
    let absent = fixture.folder.path().join("absent");
    let layers = fixture.layers.clone();
    let root = Root::Workplace(Workplace { layers, folder: absent.clone(), place: "/work".into() });
    match sandbox::run(&program(), &root, &command(&["exit", "0"])) {
        Err(SandboxError::Failed(failure)) => {
            assert_eq!((failure.step, failure.errno), (Step::OpenWorkplace, libc::ENOENT), "{failure}");
            assert_eq!(failure.subject, Some(absent.into()));
        }
        other => panic!("{other:?}"),
    }
    let (_, root) = at_work(&fixture, "/etc/passwd");
    match sandbox::run(&program(), &root, &command(&["exit", "0"])) {
        Err(SandboxError::Failed(failure)) => assert_eq!(failure.step, Step::MountWorkplace, "{failure}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn output_is_told_as_it_comes_and_beyond_what_is_kept() {
    let fixture = Fixture::new();
    fixture.add_shell();
    let mut shell = sandbox::Command::new("/bin/sh");
    let script = "echo one; echo two >&2; n=0; while [ $n -lt 5000 ]; do echo line $n; n=$((n+1)); done";
    shell.args = ["-c", script].map(Into::into).into();
    shell.streams = sandbox::Streams::Captured { stdin: Vec::new(), limit: 8 };
    let (mut output, mut errors, mut pieces) = (Vec::new(), Vec::new(), 0);
    let outcome = sandbox::watch(&program(), &fixture.root(), &shell, &mut |stream, bytes| {
        assert!(!bytes.is_empty());
        pieces += 1;
        match stream {
            Output::Standard => output.extend_from_slice(bytes),
            Output::Error => errors.extend_from_slice(bytes),
        }
        ControlFlow::Continue(())
    });
    let outcome = outcome.expect("a run");
    assert_eq!(outcome.stdout.bytes, b"one\nline");
    assert_eq!(text(&errors), "two");
    assert_eq!(text(&output).lines().count(), 5001);
    assert!(pieces > 2, "it came in {pieces} pieces");
}

#[test]
fn who_hears_a_command_may_end_it() {
    let fixture = Fixture::new();
    fixture.add_shell();
    let mut shell = sandbox::Command::new("/bin/sh");
    shell.args = ["-c", "while :; do echo again; done"].map(Into::into).into();
    let mut pieces = 0;
    let outcome = sandbox::watch(&program(), &fixture.root(), &shell, &mut |_, _| {
        pieces += 1;
        if pieces == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(outcome, Err(SandboxError::Stopped)), "{outcome:?}");
    assert_eq!(pieces, 3);
}

//! Input, output and status of a command, and the errors that come in place of an outcome.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use sandbox::{Command, Root, SandboxError, Status, Step, Streams};

use crate::fixture::{Fixture, command, program};

#[test]
fn the_status_is_that_of_the_command() {
    let fixture = Fixture::new();
    for (args, expected) in [
        (["exit", "0"], Status::Exited(0)),
        (["exit", "3"], Status::Exited(3)),
        (["exit", "255"], Status::Exited(255)),
        (["kill-self", "TERM"], Status::Signaled(15)),
        (["kill-self", "KILL"], Status::Signaled(9)),
    ] {
        assert_eq!(fixture.run(&command(&args)).status, expected, "{args:?}");
    }
}

#[test]
fn arguments_and_environment_arrive_as_given_and_alone() {
    let fixture = Fixture::new();
    let mut echo = command(&["echo-args", "", "a b", "$HOME"]);
    assert_eq!(fixture.output_of(&echo), r#"["", "a b", "$HOME"]"#);
    echo.args = vec!["environment".into()];
    assert_eq!(fixture.output_of(&echo), "");
    echo.env = [("PATH", "/nowhere:/bin"), ("LANG", "C.UTF-8")].map(|(k, v)| (k.into(), v.into())).into();
    echo.program = "probe".into();
    assert_eq!(fixture.output_of(&echo), "LANG=C.UTF-8\nPATH=/nowhere:/bin");
    let odd = OsString::from_vec(vec![b'/', 0xff]);
    let mut odd = Command::new(odd);
    odd.args = vec![OsString::from_vec(vec![0xfe])];
    assert!(
        matches!(fixture.try_run(&odd), Err(SandboxError::Failed(failure)) if failure.step == Step::Execute)
    );
}

#[test]
fn input_is_what_the_caller_gives() {
    let fixture = Fixture::new();
    let given = |stdin| Streams::Captured { stdin, limit: 1 << 20 };
    let mut read = command(&["stdin"]);
    assert_eq!(fixture.output_of(&read), "");
    read.streams = given(b"a line\nanother".to_vec());
    assert_eq!(fixture.output_of(&read), "a line\nanother");
    read.args = vec!["read".into(), "/dev/stdin".into()];
    read.uid = 65532;
    assert_eq!(fixture.output_of(&read), "a line\nanother");
    // More than a pipe holds, and nobody reads it.
    read.streams = given(vec![b'x'; 1 << 20]);
    read.args = vec!["exit".into(), "0".into()];
    assert_eq!(fixture.output_of(&read), "");
}

#[test]
fn what_cannot_be_started_is_told_with_its_path() {
    let fixture = Fixture::new();
    fixture.write("base", "bin/script", "#!/bin/absent\n");
    fixture.write("base", "usr/data", "no program");
    let mut elsewhere = command(&["exit", "0"]);
    elsewhere.cwd = "/absent".into();
    let cases = [
        (Command::new("/bin/absent"), Step::Execute, libc::ENOENT, "/bin/absent"),
        (Command::new("absent"), Step::Execute, libc::ENOENT, "absent"),
        (Command::new("/usr/data"), Step::Execute, libc::EACCES, "/usr/data"),
        (Command::new("/bin"), Step::Execute, libc::EACCES, "/bin"),
        (Command::new("/bin/probe\0"), Step::Execute, libc::EINVAL, "/bin/probe\0"),
        (elsewhere, Step::ChangeDirectory, libc::ENOENT, "/absent"),
    ];
    for (command, step, errno, subject) in cases {
        match fixture.try_run(&command) {
            Err(SandboxError::Failed(failure)) => {
                assert_eq!((failure.step, failure.errno), (step, errno), "{failure}");
                assert_eq!(failure.subject, Some(subject.into()));
            }
            other => panic!("{subject}: {other:?}"),
        }
    }
    let error = fixture.try_run(&Command::new("/bin/absent")).expect_err("no such program");
    let text = "cannot execute `/bin/absent` for the sandbox: No such file or directory (os error 2)";
    assert_eq!(error.to_string(), text);
    assert!(error.hint().is_some_and(|hint| hint.contains("dynamic loader")));
}

#[test]
fn a_root_that_cannot_be_made_is_told_with_its_path() {
    let fixture = Fixture::new();
    let absent = fixture.folder.path().join("absent");
    let file = fixture.layers[0].join("etc/passwd");
    let run = |layers| sandbox::run(&program(), &Root::Layers(layers), &command(&["exit", "0"]));
    assert!(matches!(run(vec![]), Err(SandboxError::NoLayers)));
    match run(vec![fixture.layers[0].clone(), absent.clone()]) {
        Err(SandboxError::Failed(failure)) => {
            assert_eq!((failure.step, failure.errno), (Step::OpenLayer, libc::ENOENT));
            assert_eq!(failure.subject, Some(absent.into_os_string()));
        }
        other => panic!("{other:?}"),
    }
    match run(vec![file]) {
        Err(SandboxError::Failed(failure)) => {
            assert_eq!((failure.step, failure.errno), (Step::OpenLayer, libc::ENOTDIR));
        }
        other => panic!("{other:?}"),
    }
}

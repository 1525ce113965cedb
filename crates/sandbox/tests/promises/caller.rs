//! What the process around a sandbox may be: many-threaded, careless with open files and signals, denied namespaces.

use std::io::Write;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use rustix::io::FdFlags;
use sandbox::{Program, SandboxError};

use crate::fixture::{Fixture, command, probe, text};

#[test]
fn no_open_file_of_the_caller_leads_in() {
    let fixture = Fixture::new();
    let file = std::fs::File::open("/proc/self/exe").expect("a file");
    rustix::io::fcntl_setfd(file.as_fd(), FdFlags::empty()).expect("an inheritable file");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..4 {
                    // The last one is the listed folder itself.
                    assert_eq!(fixture.output(&["list", "/proc/self/fd"]), "0 1 2 3");
                }
            });
        }
    });
}

#[test]
fn signals_that_the_caller_ignores_do_reach_the_command() {
    let fixture = Fixture::new();
    let script = r#"trap "" HUP INT TERM; exec "$0" call "$1" /bin/probe status SigIgn"#;
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(probe())
        .arg(&fixture.layers[0])
        .output()
        .expect("a shell");
    let output = text(&output.stdout);
    let ignored = output.lines().next().and_then(|line| line.strip_prefix("SigIgn:\t")).expect("the signals");
    let ignored = u64::from_str_radix(ignored, 16).expect("a set of bits");
    // HUP, INT, TERM: numbers 1, 2, 15. (PIPE is ignored by every Rust program from its start.)
    assert_eq!(ignored & (1 << 0 | 1 << 1 | 1 << 14), 0, "{output}");
}

#[test]
fn inherited_streams_are_those_of_the_caller() {
    let fixture = Fixture::new();
    let mut caller = Command::new(probe())
        .arg("call")
        .arg(&fixture.layers[0])
        .args(["/bin/probe", "stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the probe");
    let mut input = caller.stdin.take().expect("a pipe");
    input.write_all(b"typed by the caller").expect("an open pipe");
    drop(input);
    let output = caller.wait_with_output().expect("its end");
    assert_eq!(text(&output.stdout), "typed by the caller\nExited(0)");
}

#[test]
fn denied_namespaces_are_told_with_the_other_engines() {
    let fixture = Fixture::new();
    let script = r#"echo 0 >/proc/sys/user/max_user_namespaces && exec "$0" call "$1" /bin/probe exit 0"#;
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", script])
        .arg(probe())
        .arg(&fixture.layers[0])
        .output()
        .expect("unshare, of util-linux");
    let expected = "error: cannot make a sandbox here: the kernel allows no further user namespace \
                    (user.max_user_namespaces)\nhint: raise `sysctl user.max_user_namespaces`; or use another \
                    engine: docker or podman";
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn a_program_that_is_no_init_is_an_error() {
    let fixture = Fixture::new();
    let run = |program: &Program| {
        sandbox::run(program, &fixture.root(), &command(&["exit", "0"])).expect_err("no init")
    };
    let absent = run(&Program::at("/absent/program", []));
    assert!(matches!(absent, SandboxError::Start { .. }), "{absent}");
    assert_eq!(absent.to_string(), "cannot start the sandbox's init `/absent/program`");
    let other = run(&Program::at(probe(), ["exit".into(), "7".into()]));
    assert_eq!(other.to_string(), "the sandbox's init ended without a report (exit status: 7)");
}

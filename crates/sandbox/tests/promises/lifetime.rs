//! Nothing stays: whatever ends, and however, everything inside ends with it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal};

use crate::fixture::{Fixture, is_running, probe, text, token};

#[test]
fn what_a_command_leaves_behind_ends_with_it() {
    let fixture = Fixture::new();
    let token = &token("left-behind-by-a-command");
    // It holds the output open, so this would never return if it lived on.
    assert!(fixture.output(&["leave", "sleep", token]).contains("left behind"));
    assert!(!is_running(token));
}

#[test]
fn orphans_are_reaped() {
    let fixture = Fixture::new();
    assert_eq!(fixture.output(&["orphans", "5"]), "all reaped");
}

/// How a command is called: in namespaces or in place, traced or not.
fn calls(fixture: &Fixture) -> Vec<[String; 3]> {
    let inside = (fixture.layers[0].display().to_string(), "/bin/probe".to_owned());
    let confinements = [inside, (String::new(), probe().display().to_string())];
    let call = |(root, program): &(String, String)| {
        ["call", "call-traced"].map(|verb| [verb.to_owned(), root.clone(), program.clone()])
    };
    confinements.iter().flat_map(call).collect()
}

/// A caller in a process of its own, whose command sleeps; it shares its output with everything it started.
fn caller(call: &[String; 3], token: &str) -> (Child, BufReader<ChildStdout>) {
    let mut caller = Command::new(probe())
        .args(call)
        .args(["leave-and-sleep", token])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the probe");
    let mut output = BufReader::new(caller.stdout.take().expect("a pipe"));
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    assert!(is_running(token), "{line}");
    (caller, output)
}

#[test]
fn a_killed_caller_takes_everything_along() {
    let fixture = Fixture::new();
    let token = &token("the-caller-is-killed");
    for call in &calls(&fixture) {
        let (mut caller, mut output) = caller(call, token);
        caller.kill().expect("a signal");
        caller.wait().expect("its end");
        // The end of the output is the end of the last process that holds it.
        let mut rest = Vec::new();
        output.read_to_end(&mut rest).expect("the rest");
        assert!(!is_running(token), "{call:?}");
    }
}

/// The only child of a process.
fn child(process: &str) -> Pid {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let children = children.expect("the children of a process");
    children.trim().parse().ok().and_then(Pid::from_raw).expect("one child")
}

#[test]
fn a_killed_monitor_takes_everything_along() {
    let fixture = Fixture::new();
    let token = &token("the-monitor-is-killed");
    for call in &calls(&fixture) {
        let (mut caller, mut output) = caller(call, token);
        let monitor = child(&caller.id().to_string());
        rustix::process::kill_process(monitor, Signal::KILL).expect("a signal");
        let mut rest = Vec::new();
        output.read_to_end(&mut rest).expect("the rest");
        assert!(!is_running(token), "{call:?}");
        assert!(!caller.wait().expect("its end").success());
        let expected = "error: the sandbox's init ended without a report (signal: 9 (SIGKILL))";
        assert!(text(&rest).lines().any(|line| line == expected), "{}", text(&rest));
    }
}

#[test]
fn a_killed_init_takes_everything_along() {
    let fixture = Fixture::new();
    let token = &token("the-init-is-killed");
    for call in &calls(&fixture) {
        let (mut caller, mut output) = caller(call, token);
        let init = child(&child(&caller.id().to_string()).to_string());
        rustix::process::kill_process(init, Signal::KILL).expect("a signal");
        let mut rest = Vec::new();
        output.read_to_end(&mut rest).expect("the rest");
        assert!(!is_running(token), "{call:?}");
        assert!(!caller.wait().expect("its end").success());
        let expected = "error: the sandbox's init ended without a report (exit status: 0)";
        assert!(text(&rest).lines().any(|line| line == expected), "{}", text(&rest));
    }
}

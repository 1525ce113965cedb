//! Bounds of the process tree.

use std::time::Duration;

use sandbox::Status;

use crate::fixture::{Fixture, NONROOT, command, errno, is_root, is_running, text, token};

#[test]
fn the_tree_ends_when_its_time_is_over() {
    let fixture = Fixture::new();
    let token = &token("the-time-is-over");
    let mut sleep = command(&["leave-and-sleep", token]);
    sleep.limits.time = Duration::from_millis(100);
    assert_eq!(fixture.run(&sleep).status, Status::TimedOut);
    assert!(!is_running(token));
}

#[test]
fn a_process_gets_no_more_memory_than_the_limit() {
    let fixture = Fixture::new();
    let mut allocate = command(&["allocate", "200000000"]);
    assert_eq!(fixture.output_of(&allocate), "true");
    allocate.limits.memory = 64 << 20;
    assert_eq!(fixture.output_of(&allocate), "false");
}

#[test]
fn the_tree_gets_no_more_memory_than_the_limit() {
    let fixture = Fixture::new();
    let mut allocate = command(&["allocate-in-children", "4", "24000000"]);
    allocate.limits.memory = 64 << 20;
    assert_eq!(fixture.run(&allocate).status, Status::OutOfMemory);
}

#[test]
fn a_user_gets_no_more_processes_than_the_limit() {
    let fixture = Fixture::new();
    let mut bomb = command(&["bomb", "100"]);
    bomb.limits.processes = 16;
    bomb.uid = NONROOT;
    // The command itself is one of the sixteen.
    assert_eq!(fixture.output_of(&bomb), "15");
    bomb.uid = 0;
    if is_root() {
        assert_eq!(fixture.run(&bomb).status, Status::TooManyProcesses);
    } else {
        assert_eq!(fixture.output_of(&bomb), "15");
    }
}

#[test]
fn one_size_bounds_all_files() {
    let fixture = Fixture::new();
    let mut fill = command(&["fill", "/tmp/a", "3000000", "/dev/shm/b", "3000000"]);
    assert_eq!(fixture.output_of(&fill), "done\ndone");
    fill.limits.storage = 4 << 20;
    assert_eq!(fixture.output_of(&fill), format!("done\n{}", errno(libc::ENOSPC)));
    fill.args = ["fill", "/tmp/a", "3000000", "/usr/b", "3000000"].map(Into::into).to_vec();
    assert_eq!(fixture.output_of(&fill), format!("done\n{}", errno(libc::ENOSPC)));
}

#[test]
fn the_kernel_holds_limits_for_each_process() {
    let fixture = Fixture::new();
    let mut read = command(&["read", "/proc/self/limits"]);
    read.limits.storage = 5 << 20;
    read.limits.memory = 77 << 20;
    let limits = fixture.output_of(&read);
    for (name, value) in
        [("Max core file size", "0"), ("Max file size", "5242880"), ("Max data size", "80740352")]
    {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        let values: Vec<&str> = line[name.len()..].split_whitespace().take(2).collect();
        assert_eq!(values, [value, value], "{line}");
    }
}

#[test]
fn captured_output_is_bounded() {
    let fixture = Fixture::new();
    let mut flood = command(&["flood", "1000000"]);
    let outcome = fixture.run(&flood);
    assert_eq!((outcome.stdout.bytes.len(), outcome.stdout.cut), (1_000_000, false));
    assert_eq!((outcome.stderr.bytes.len(), outcome.stderr.cut), (1_000_000, false));
    flood.streams = sandbox::Streams::Captured { stdin: Vec::new(), limit: 1234 };
    let outcome = fixture.run(&flood);
    assert_eq!(outcome.status, Status::Exited(0));
    assert_eq!((outcome.stdout.bytes.len(), outcome.stdout.cut), (1234, true));
    assert_eq!((outcome.stderr.bytes.len(), outcome.stderr.cut), (1234, true));
    assert!(text(&outcome.stdout.bytes).starts_with("xxxx"));
}

//! Which files a command used.

use sandbox::{Access, Trace, Use};

use crate::fixture::{Fixture, command};

/// What was recorded of a path.
fn access(trace: &Trace, path: &str) -> Option<(Use, bool)> {
    trace.files.get(path.as_bytes()).map(|Access { used, found }| (*used, *found))
}

#[test]
fn a_program_its_libraries_and_what_it_reads_are_told() {
    let fixture = Fixture::new();
    let trace = fixture.trace(&command(&["read", "/usr/share/lower/file"]));
    assert_eq!(access(&trace, "/bin/probe"), Some((Use::Executed, true)));
    assert_eq!(access(&trace, "/usr/share/lower/file"), Some((Use::Opened, true)));
    let library = trace.files.keys().find(|path| path.windows(9).any(|part| part == b"libc.so.6"));
    assert!(library.is_some(), "{trace:?}");
}

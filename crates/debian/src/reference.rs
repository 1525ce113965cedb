//! Programs that tests compare with. Not every machine has them; a comparison that is left out is said.

use std::io::ErrorKind;
use std::process::{Command, Output};

/// Runs a program of that name, or says that it is not there and gives nothing.
#[expect(clippy::print_stderr, reason = "a test has no other way to say so")]
pub(crate) fn run_if_there(command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("SKIPPED comparison with {}: it is not installed", command.get_program().display());
            None
        }
        Err(error) => panic!("cannot run {}: {error}", command.get_program().display()),
    }
}

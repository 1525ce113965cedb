//! The program under test: `xtask` as `cargo xtask` builds it, run with an environment of its own, and what came of a
//! run as text for a snapshot.

use std::fmt;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use cargo_metadata::Message;

/// The built program. The first caller builds it; when nothing changed, that takes a moment.
pub(crate) fn xtask() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(build)
}

/// The folder of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in the workspace")
}

/// Keeps from a command that calls Cargo what `cargo test` tells this test of its own package: some build scripts would
/// take it for news, and run again.
pub(crate) fn without_package(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let name_of_package = |prefix: &str| name.to_string_lossy().starts_with(prefix);
        if name_of_package("CARGO_PKG_") || name_of_package("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Cargo itself says where the program is, whatever folder it was told to build in.
fn build() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    let mut cargo = without_package(&mut cargo)
        .args(["build", "--quiet", "--package", "xtask", "--bin", "xtask", "--message-format", "json"])
        .current_dir(workspace())
        .stdout(Stdio::piped())
        .spawn()
        .expect("cargo starts");
    let messages = BufReader::new(cargo.stdout.take().expect("a pipe"));
    let program = Message::parse_stream(messages)
        .filter_map(|message| match message.expect("a message of cargo") {
            Message::CompilerArtifact(artifact) => artifact.executable,
            _ => None,
        })
        .last();
    assert!(cargo.wait().expect("cargo ends").success(), "cargo builds xtask");
    program.expect("cargo names the program").into()
}

/// What came of a run.
pub(crate) struct Outcome {
    /// The exit status; none when it was killed.
    pub(crate) status: Option<i32>,
    /// Standard output, masked.
    pub(crate) output: String,
    /// Standard error, masked.
    pub(crate) errors: String,
}

impl Outcome {
    /// Of a run that ended, with each text of `masks` replaced by its name, and digests and durations too.
    pub(crate) fn new(output: &Output, masks: &[(String, &str)]) -> Self {
        let masked = |bytes: &[u8]| {
            let mut text = String::from_utf8_lossy(bytes).into_owned();
            for (found, name) in masks {
                text = text.replace(found, name);
            }
            without_durations(&without_digests(&text))
        };
        Self { status: output.status.code(), output: masked(&output.stdout), errors: masked(&output.stderr) }
    }

    /// The outcome, when all went well.
    #[track_caller]
    pub(crate) fn good(self) -> Self {
        assert_eq!(self.status, Some(0), "{self}");
        self
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(formatter, "status {status}")?,
            None => write!(formatter, "killed")?,
        }
        for (name, text) in [("output", &self.output), ("errors", &self.errors)] {
            if !text.is_empty() {
                write!(formatter, "\n-- {name}")?;
                for line in text.lines() {
                    write!(formatter, "\n{}", line.trim_end())?;
                }
            }
        }
        Ok(())
    }
}

/// `text` with `[digest]` for every 64 hexadecimal digits in a row.
fn without_digests(text: &str) -> String {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let mut masked = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let run = rest.bytes().take_while(|byte| is_digit(*byte)).count();
        if run == 64 {
            masked.push_str("[digest]");
        } else {
            masked.push_str(&rest[..run.max(next.len_utf8())]);
        }
        rest = &rest[run.max(next.len_utf8())..];
    }
    masked
}

/// `text` with `(… ms)` for every `(12 ms)`.
fn without_durations(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(" ms)") {
        masked.push_str(before.trim_end_matches(|last: char| last.is_ascii_digit()));
        masked.push_str("… ms)");
        rest = after;
    }
    masked + rest
}

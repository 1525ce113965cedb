//! The sandbox as an engine: the image's own unpacked layers, with the circumstances that a container engine would give.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oci::document::Execution;
use sandbox::{Captured, Command, Limits, Obstacle, Program, Root, SandboxError, Status, Step, Streams};

use crate::engine::{Ending, Engine, Outcome, Run};
use crate::error::EngineError;
use crate::means::{Means, NoMeans};

/// What is kept of each output: far more than a check says, and than a gem source takes.
const OUTPUT_LIMIT: usize = 64 << 20;

/// How many times as long as a processor of its own an emulator may take.
const EMULATED: u32 = 20;

/// How long a person's command may go on.
const DAY: Duration = Duration::from_hours(24);

/// An image in the sandbox.
#[derive(Debug)]
pub struct Sandbox {
    program: Program,
    means: Means,
    root: Root,
    entry_point: Vec<OsString>,
    default_command: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    folder: PathBuf,
    user: u32,
    group: u32,
}

impl Sandbox {
    /// An image from its unpacked layers, lowest first, its configuration, and what runs its programs. As engines do, a user whom the image
    /// knows gets its home as `HOME`, unless the configuration says otherwise.
    ///
    /// # Errors
    /// A user that is not two numbers; an `/etc/passwd` that cannot be read.
    pub fn new(
        program: Program,
        layers: Vec<PathBuf>,
        execution: &Execution,
        means: Means,
    ) -> Result<Self, EngineError> {
        let (user, group) =
            user_and_group(&execution.user).ok_or_else(|| EngineError::User(execution.user.clone()))?;
        let mut environment = BTreeMap::new();
        environment.extend(means.environment().map(|(name, value)| (name.into(), value.into())));
        if let Some(home) = home(&layers, user).map_err(EngineError::Files)? {
            environment.insert("HOME".into(), home.into());
        }
        environment.extend(
            execution.env.iter().filter_map(|pair| pair.split_once('=')).map(|(n, v)| (n.into(), v.into())),
        );
        let folder = if execution.working_dir.is_empty() { "/" } else { &execution.working_dir };
        let words = |words: &[String]| words.iter().map(OsString::from).collect();
        Ok(Self {
            program,
            means,
            root: Root::Layers(layers),
            entry_point: words(&execution.entrypoint),
            default_command: words(&execution.cmd),
            environment,
            folder: folder.into(),
            user,
            group,
        })
    }

    /// Runs one command for a person, the image's own where `words` is empty. It has the caller's standard streams, gets
    /// the signals that would end the caller, and may take a day. Where a `terminal` is named (`TERM`, environ(7)), the
    /// standard streams are one, and the command gets its own in place of it.
    ///
    /// # Errors
    /// The sandbox could not start, or the image has no such program, or none of its own.
    pub fn attach(&self, words: &[OsString], terminal: Option<&OsStr>) -> Result<Ending, EngineError> {
        let words = if words.is_empty() { &self.default_command } else { words };
        let mut command = Command {
            streams: if terminal.is_some() { Streams::Terminal } else { Streams::Attached },
            limits: Limits { time: DAY, ..Limits::default() },
            ..self.command(words.iter().cloned())?
        };
        if let Some(terminal) = terminal {
            command.env.entry("TERM".into()).or_insert_with(|| terminal.to_owned());
        }
        let outcome = sandbox::run(&self.program, &self.root, &command).map_err(failed)?;
        Ok(ending(outcome.status, &outcome.stdout))
    }

    /// A command in the circumstances of the image, behind its entry point (OCI image specification,
    /// `config.Entrypoint`).
    fn command(&self, words: impl IntoIterator<Item = OsString>) -> Result<Command, EngineError> {
        let mut words = self.entry_point.iter().cloned().chain(words);
        let program = words.next().ok_or(EngineError::NoCommand)?;
        Ok(Command {
            args: words.collect(),
            env: self.environment.clone(),
            cwd: self.folder.clone(),
            uid: self.user,
            gid: self.group,
            emulator: self.means.emulator().cloned(),
            ..Command::new(program)
        })
    }
}

impl Engine for Sandbox {
    fn run(&self, run: &Run<'_>) -> Result<Outcome, EngineError> {
        let slowness = if self.means.is_emulated() { EMULATED } else { 1 };
        let mut command = Command {
            hostname: "check".to_owned(),
            streams: Streams::Captured { stdin: run.stdin.clone(), limit: OUTPUT_LIMIT },
            limits: Limits { time: run.time_limit * slowness, ..Limits::default() },
            ..self.command(run.command.iter().map(OsString::from))?
        };
        command.env.extend(run.environment.iter().map(|(name, value)| (name.into(), value.into())));
        match sandbox::run(&self.program, &self.root, &command) {
            Ok(outcome) => Ok(Outcome {
                ending: ending(outcome.status, &outcome.stdout),
                stdout: outcome.stdout.bytes,
                stderr: outcome.stderr.bytes,
                duration: outcome.duration,
            }),
            Err(SandboxError::Failed(failure)) if failure.step == Step::Execute => Ok(Outcome {
                ending: Ending::NotStarted(failure.to_string()),
                stdout: Vec::new(),
                stderr: Vec::new(),
                duration: Duration::ZERO,
            }),
            Err(error) => Err(failed(error)),
        }
    }
}

/// A kernel that lets no sandbox use an emulator is as good as none.
fn failed(error: SandboxError) -> EngineError {
    match error {
        SandboxError::Unsupported { obstacle: Obstacle::Formats, .. } => NoMeans::OldKernel.into(),
        error => error.into(),
    }
}

fn ending(status: Status, stdout: &Captured) -> Ending {
    match status {
        Status::TimedOut => Ending::TimedOut,
        Status::OutOfMemory => Ending::PastLimit("memory"),
        Status::TooManyProcesses => Ending::PastLimit("processes"),
        _ if stdout.cut => Ending::PastLimit("output"),
        Status::Exited(status) => Ending::Exited(status),
        Status::Signaled(signal) => Ending::Signaled(signal),
    }
}

/// User and group of an image's configuration, as numbers; root for none (OCI image specification, `config.User`).
fn user_and_group(text: &str) -> Option<(u32, u32)> {
    if text.is_empty() {
        return Some((0, 0));
    }
    let (user, group) = text.split_once(':')?;
    Some((user.parse().ok()?, group.parse().ok()?))
}

/// The home of a user, by the topmost layer that has users (passwd(5)).
fn home(layers: &[PathBuf], user: u32) -> io::Result<Option<String>> {
    for layer in layers.iter().rev() {
        match fs_err::read_to_string(passwd(layer)) {
            Ok(text) => return Ok(home_in(&text, user)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn passwd(layer: &Path) -> PathBuf {
    layer.join("etc/passwd")
}

fn home_in(passwd: &str, user: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let mine = fields.get(2)?.parse() == Ok(user);
        mine.then(|| fields.get(5).map(|&home| home.to_owned()))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_point_stands_in_front_of_every_command() {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        for (entry_point, given, wanted) in [
            (&[][..], &["ruby", "-v"][..], Some(&["ruby", "-v"][..])),
            (&["env", "-i"], &["ruby"], Some(&["env", "-i", "ruby"])),
            (&["env"], &[], Some(&["env"])),
            (&[], &[], None),
        ] {
            let execution = Execution { entrypoint: words(entry_point), ..Execution::default() };
            let program = Program::at("/absent", []);
            let sandbox = Sandbox::new(program, Vec::new(), &execution, Means::Processor).unwrap();
            let command = sandbox.command(given.iter().map(OsString::from)).ok();
            let all = command.map(|command| [vec![command.program], command.args].concat());
            assert_eq!(all, wanted.map(|words| words.iter().map(OsString::from).collect()));
        }
    }

    #[test]
    fn users_are_numbers() {
        for (text, wanted) in [
            ("65532:65532", Some((65532, 65532))),
            ("0:5", Some((0, 5))),
            ("", Some((0, 0))),
            ("nonroot", None),
            ("65532", None),
            ("1:-1", None),
            ("1:2:3", None),
        ] {
            assert_eq!(user_and_group(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn the_topmost_users_count() {
        let folder = tempfile::tempdir().unwrap();
        let layers: Vec<PathBuf> =
            ["low", "high", "top"].iter().map(|name| folder.path().join(name)).collect();
        for (layer, text) in
            layers.iter().zip(["a:x:7:7::/low:\n", "broken\nb:x:7:7:b:/high:/sbin/nologin\n"])
        {
            fs_err::create_dir_all(layer.join("etc")).unwrap();
            fs_err::write(passwd(layer), text).unwrap();
        }
        assert_eq!(home(&layers, 7).unwrap().as_deref(), Some("/high"));
        assert_eq!(home(&layers, 8).unwrap(), None);
        assert_eq!(home(&layers[2..], 7).unwrap(), None);
    }
}

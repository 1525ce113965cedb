//! Docker and Podman as engines, through their command lines.
//!
//! What a run makes in an engine, an image's tag and containers, it removes. A run that is killed can't; what it left is
//! removed by the next one ([`Owner`]).

use std::ffi::OsString;
use std::fmt;
use std::io::{Seek, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use oci::Reference;
use oci::export::{ExportError, stream_docker_archive};
use xshell::{Shell, cmd};

use crate::engine::{Ending, Engine, Outcome, Run};
use crate::error::EngineError;
use crate::owner::Owner;

/// In front of the owner in the names of containers.
const NAME: &str = "distroless-ruby-check";
/// The repository of tags; an owner is behind the colon.
const REPOSITORY: &str = "localhost/distroless-ruby-check";
/// What every container is labelled with.
const LABEL: &str = "distroless-ruby.check";

/// What `run` of Docker and Podman exits with when the fault is theirs (docker-run(1), "Exit Status").
const ENGINE_FAILED: i32 = 125;
/// What it exits with when the command can't be invoked, or is not found.
const NOT_STARTED: [i32; 2] = [126, 127];
/// Added to the number of the signal that ended the command (bash(1), "EXIT STATUS").
const SIGNALED: i32 = 128;
/// How long after a container was killed it is killed again: it may not have begun to run the first time.
const KILLED_AGAIN: Duration = Duration::from_secs(1);

/// A container engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Docker, with its daemon.
    Docker,
    /// Podman.
    Podman,
}

impl Tool {
    const fn program(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }

    /// Whether it is there and answers.
    fn probe(self) -> Result<(), EngineError> {
        let unavailable = |message| EngineError::Unavailable { tool: self, message };
        self.output(&["version"]).map(drop).map_err(unavailable)
    }

    fn call(self, doing: &'static str, arguments: &[&str]) -> Result<String, EngineError> {
        self.output(arguments).map_err(|message| EngineError::Refused { tool: self, doing, message })
    }

    /// What it says, or why it fails.
    fn output(self, arguments: &[&str]) -> Result<String, String> {
        let shell = Shell::new().map_err(|error| error.to_string())?;
        let program = self.program();
        let output = cmd!(shell, "{program} {arguments...}")
            .ignore_status()
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Hands an image over under these names. It has none of them before the engine has all of it: whoever is killed on the
    /// way leaves nothing to see.
    ///
    /// # Errors
    /// The engine is not there or refuses the image; an image that is damaged.
    pub fn load(self, image: &oci::Image, references: &[Reference]) -> Result<(), EngineError> {
        self.probe()?;
        self.take(image, references)
    }

    fn take(self, image: &oci::Image, references: &[Reference]) -> Result<(), EngineError> {
        let refused = |message| EngineError::Refused { tool: self, doing: "load the image", message };
        let mut command = Command::new(self.program());
        command.args(["load", "--quiet"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| refused(error.to_string()))?;
        let written = stream(&mut child, image, references);
        let output = child.wait_with_output().map_err(|error| refused(error.to_string()))?;
        match written {
            // It says more about it than the pipe that it closed.
            _ if !output.status.success() => Err(refused(text(&output.stderr))),
            written => written.map_err(|source| EngineError::HandOver { tool: self, source }),
        }
    }

    /// Removes containers and tags whose owners have ended. What somebody else removes meanwhile, or cannot be removed
    /// now, is no fault of this run.
    fn remove_left_behind(self, here: &Owner) -> Result<(), EngineError> {
        let doing = "look for what earlier runs left behind";
        let label = format!("label={LABEL}");
        let containers =
            self.call(doing, &["container", "ls", "--all", "--filter", &label, "--format", "{{.Names}}"])?;
        for name in here.left_behind(&containers) {
            let _ = self.output(&["container", "rm", "--force", name]);
        }
        let tags = self.call(doing, &["image", "ls", "--format", "{{.Tag}}", REPOSITORY])?;
        for tag in here.left_behind(&tags) {
            let _ = self.output(&["image", "rm", &format!("{REPOSITORY}:{tag}")]);
        }
        Ok(())
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Docker => "Docker",
            Self::Podman => "Podman",
        })
    }
}

/// An image in a container engine, under a tag of its own, which goes when this is dropped.
#[derive(Debug)]
pub struct Container {
    tool: Tool,
    owner: Owner,
    tag: String,
    /// The machine that it is for, as engines name it: without being told, they warn of another one than theirs.
    platform: String,
}

impl Container {
    /// Hands an image to a container engine.
    ///
    /// # Errors
    /// The engine is not there or refuses the image; an image that is damaged.
    pub fn load(tool: Tool, image: &oci::Image) -> Result<Self, EngineError> {
        tool.probe()?;
        let owner = Owner::this().map_err(EngineError::Process)?;
        tool.remove_left_behind(&owner)?;
        let tag = format!("{REPOSITORY}:{}", unique(&owner));
        let reference = tag.parse().expect("a name, a colon, letters, numbers and dashes");
        tool.take(image, &[reference])?;
        let platform = format!("{}/{}", image.config.os, image.config.architecture);
        Ok(Self { tool, owner, tag, platform })
    }

    /// Runs a command, or the image's own, with the caller's standard streams, on a terminal where these are one.
    ///
    /// # Errors
    /// The engine could not run anything.
    pub fn attach(&self, command: &[OsString], on_terminal: bool) -> Result<Ending, EngineError> {
        let mut call = self.shut_in(&format!("{NAME}-{}", unique(&self.owner)));
        if on_terminal {
            call.arg("--tty");
        }
        let refused = |message| EngineError::Refused { tool: self.tool, doing: "run the image", message };
        let status =
            call.arg(&self.tag).args(command).status().map_err(|error| refused(error.to_string()))?;
        match status.code() {
            None => Err(refused(status.to_string())),
            Some(ENGINE_FAILED) => Err(refused("what it said is above".to_owned())),
            Some(status) if status > SIGNALED => Ok(Ending::Signaled(status - SIGNALED)),
            Some(status) => Ok(Ending::Exited(status)),
        }
    }

    fn command(&self, name: &str, run: &Run<'_>) -> Command {
        let mut command = self.shut_in(name);
        for (name, value) in run.environment {
            command.arg("--env").arg(format!("{name}={value}"));
        }
        command.arg(&self.tag).args(&run.command);
        command
    }

    /// A container of this name, without a network.
    fn shut_in(&self, name: &str) -> Command {
        let mut command = Command::new(self.tool.program());
        command.args(["run", "--rm", "--interactive", "--pull", "never", "--network", "none"]);
        command.args(["--platform", &self.platform]);
        command.args(["--label", LABEL, "--name", name]);
        command
    }
}

/// Writes an image to what a program reads, and says that it was all.
fn stream(child: &mut Child, image: &oci::Image, references: &[Reference]) -> Result<(), ExportError> {
    let mut input = child.stdin.take().expect("a pipe");
    stream_docker_archive(image, references, &mut input)
}

impl Engine for Container {
    fn run(&self, run: &Run<'_>) -> Result<Outcome, EngineError> {
        let name = format!("{NAME}-{}", unique(&self.owner));
        let refused = |message| EngineError::Refused { tool: self.tool, doing: "run the image", message };
        // A file, so that a command may end without having read it all.
        let mut stdin = tempfile::tempfile().map_err(EngineError::Temporary)?;
        stdin.write_all(&run.stdin).and_then(|()| stdin.rewind()).map_err(EngineError::Temporary)?;
        let mut command = self.command(&name, run);
        command.stdin(Stdio::from(stdin));

        let started = Instant::now();
        let (output, timed_out) = within(
            run.time_limit,
            || command.output(),
            || {
                // A container that is gone already cannot be killed, and need not be.
                let _ = self.tool.call("end the container", &["kill", &name]);
            },
        );
        let output = output.map_err(|error| refused(error.to_string()))?;
        let ending = match output.status.code() {
            _ if timed_out => Ending::TimedOut,
            None => return Err(refused(output.status.to_string())),
            Some(ENGINE_FAILED) => return Err(refused(text(&output.stderr))),
            Some(status) if NOT_STARTED.contains(&status) => Ending::NotStarted(text(&output.stderr)),
            Some(status) if status > SIGNALED => Ending::Signaled(status - SIGNALED),
            Some(status) => Ending::Exited(status),
        };
        Ok(Outcome { ending, stdout: output.stdout, stderr: output.stderr, duration: started.elapsed() })
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // What is left over is a tag, which nobody can be told of here.
        let _ = self.tool.call("remove the image", &["image", "rm", &self.tag]);
    }
}

/// Calls `work`; when it takes longer than `limit`, calls `end` until it is over. Tells whether that was so.
fn within<T>(limit: Duration, work: impl FnOnce() -> T, end: impl Fn() + Send) -> (T, bool) {
    let (over, hears) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let watcher = scope.spawn(move || {
            let (mut wait, mut late) = (limit, false);
            while hears.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                end();
                (wait, late) = (KILLED_AGAIN, true);
            }
            late
        });
        let result = work();
        drop(over);
        (result, watcher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// The end of a name that nothing else of any run has.
fn unique(owner: &Owner) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{owner}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_ended() {
        let (ended, waits) = mpsc::channel();
        let result = within(Duration::ZERO, || waits.recv().is_ok(), || ended.send(()).unwrap_or_default());
        assert_eq!(result, (true, true));
    }

    #[test]
    fn what_is_in_time_is_left_alone() {
        let end = || panic!("nothing is to be ended");
        assert_eq!(within(Duration::MAX, || 7, end), (7, false));
    }

    #[test]
    fn a_run_is_shut_in() {
        let (owner, tag) = (Owner::this().unwrap(), "x:1".to_owned());
        let container = std::mem::ManuallyDrop::new(Container {
            tool: Tool::Podman,
            owner,
            tag,
            platform: "linux/arm64".to_owned(),
        });
        let environment = [("TZ".to_owned(), "UTC".to_owned())].into();
        let run = Run {
            command: vec!["ruby", "-"],
            environment: &environment,
            stdin: Vec::new(),
            time_limit: Duration::ZERO,
        };
        let command = container.command("check-1", &run);
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        assert_eq!(
            words.join(" "),
            "run --rm --interactive --pull never --network none --platform linux/arm64 --label \
             distroless-ruby.check --name check-1 --env TZ=UTC x:1 ruby -"
        );
    }

    #[test]
    fn what_a_killed_run_left_behind_is_removed() {
        let tool = Tool::Docker;
        if let Err(why) = tool.probe() {
            return writeln!(std::io::stderr(), "SKIPPED what a killed run left in Docker: {why}").unwrap();
        }
        let docker = |arguments: &[&str]| tool.output(arguments).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("nothing.tar");
        fs_err::write(&archive, [0; 1024]).unwrap();
        let (this, dead) = (Owner::this().unwrap(), crate::owner::tests::dead());
        let make = |owner: &Owner| {
            let (tag, name) =
                (format!("{REPOSITORY}:{}", unique(owner)), format!("{NAME}-{}", unique(owner)));
            docker(&["import", &archive.to_string_lossy(), &tag]);
            docker(&["container", "create", "--label", LABEL, "--name", &name, &tag, "x"]);
            (tag, name)
        };
        let (tag, name) = make(&this);
        let (dead_tag, dead_name) = make(&dead);

        tool.remove_left_behind(&this).unwrap();
        let gone = |arguments: &[&str]| tool.output(arguments).is_err();
        assert!(gone(&["container", "inspect", &dead_name]) && gone(&["image", "inspect", &dead_tag]));
        docker(&["container", "rm", &name]);
        docker(&["image", "rm", &tag]);
    }
}

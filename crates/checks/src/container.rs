//! Docker and Podman as engines, through their command lines.

use std::fmt;
use std::io::{Seek, Write};
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use oci::export::{Existing, docker_archive};
use xshell::{Shell, cmd};

use crate::engine::{Ending, Engine, Outcome, Run};
use crate::error::EngineError;

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
        let shell = Shell::new().map_err(|error| unavailable(error.to_string()))?;
        let program = self.program();
        let output = cmd!(shell, "{program} version")
            .ignore_status()
            .output()
            .map_err(|error| unavailable(error.to_string()))?;
        if output.status.success() { Ok(()) } else { Err(unavailable(text(&output.stderr))) }
    }

    fn call(self, doing: &'static str, arguments: &[&str]) -> Result<(), EngineError> {
        let refused = |message| EngineError::Refused { tool: self, doing, message };
        let shell = Shell::new().map_err(|error| refused(error.to_string()))?;
        let program = self.program();
        let output = cmd!(shell, "{program} {arguments...}")
            .ignore_status()
            .output()
            .map_err(|error| refused(error.to_string()))?;
        if output.status.success() { Ok(()) } else { Err(refused(text(&output.stderr))) }
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
    tag: String,
}

impl Container {
    /// Hands an image to a container engine.
    ///
    /// # Errors
    /// The engine is not there or refuses the image; an image that is damaged.
    pub fn load(tool: Tool, image: &oci::Image) -> Result<Self, EngineError> {
        tool.probe()?;
        let tag = format!("localhost/distroless-ruby-check:{}", unique());
        let reference = tag.parse().expect("a name, a colon and two numbers");
        let folder = tempfile::tempdir().map_err(EngineError::Temporary)?;
        let archive = folder.path().join("image.tar");
        docker_archive(image, &[reference], &archive, Existing::Refuse)
            .map_err(|source| EngineError::HandOver { tool, source })?;
        tool.call("load the image", &["load", "--quiet", "--input", &archive.to_string_lossy()])?;
        Ok(Self { tool, tag })
    }

    fn command(&self, name: &str, run: &Run<'_>) -> Command {
        let mut command = Command::new(self.tool.program());
        command.args(["run", "--rm", "--interactive", "--pull", "never", "--network", "none"]);
        command.args(["--name", name]);
        for (name, value) in run.environment {
            command.arg("--env").arg(format!("{name}={value}"));
        }
        command.arg(&self.tag).args(&run.command);
        command
    }
}

impl Engine for Container {
    fn run(&self, run: &Run<'_>) -> Result<Outcome, EngineError> {
        let name = format!("distroless-ruby-check-{}", unique());
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

/// A name that no other container and no other run has.
fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
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
        let container = std::mem::ManuallyDrop::new(Container { tool: Tool::Podman, tag: "x:1".to_owned() });
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
            "run --rm --interactive --pull never --network none --name check-1 --env TZ=UTC x:1 ruby -"
        );
    }
}

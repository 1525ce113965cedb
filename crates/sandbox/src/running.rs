//! The caller's side: start a sandbox, read what it writes, collect what came of it.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use serde::{Deserialize, Serialize};

use crate::command::{Command, Program, Root, Streams, Workplace};
use crate::error::SandboxError;
use crate::obstacle::{Host, Obstacle};
use crate::signals::Signals;
use crate::terminal::{self, Relay};
use crate::trace::Trace;
use crate::wire::{self, Execution, Location, Report, Setup};

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// What it wrote to standard output, if that was captured.
    pub stdout: Captured,
    /// What it wrote to standard error, if that was captured.
    pub stderr: Captured,
    /// From its start to its end.
    pub duration: Duration,
}

/// How a command ended. Whatever else it had started ended with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
    /// It took longer than [`crate::Limits::time`].
    TimedOut,
    /// The tree took more than [`crate::Limits::memory`].
    OutOfMemory,
    /// The tree grew past [`crate::Limits::processes`] where the kernel does not hold it back.
    TooManyProcesses,
}

/// The captured part of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    /// The first bytes, up to the limit.
    pub bytes: Vec<u8>,
    /// More came, and was thrown away.
    pub cut: bool,
}

/// Runs a command to its end. Whatever it started has ended too when this returns.
pub fn run(program: &Program, root: &Root, command: &Command) -> Result<Outcome, SandboxError> {
    Ok(start(program, root, command, Traced::No, &mut |_, _| ControlFlow::Continue(()))?.0)
}

/// The same, and tells what the command writes to captured streams as it comes, beyond what is kept of it too. Whoever
/// hears it may end the command, which then is [`SandboxError::Stopped`].
pub fn watch(
    program: &Program,
    root: &Root,
    command: &Command,
    heard: &mut dyn FnMut(Output, &[u8]) -> ControlFlow<()>,
) -> Result<Outcome, SandboxError> {
    Ok(start(program, root, command, Traced::No, heard)?.0)
}

/// The same, and tells every file that the command and all its threads and children used: opened, executed, linked to or
/// looked up. Whatever keeps a use from being told is an error, and ends the command.
///
/// It tells what honest programs do: one that changes a path in its memory while the kernel reads it is told wrongly.
/// Traced programs find no `io_uring` (`ENOSYS`), as what it opens is never told; and no x32 calls.
pub fn trace(program: &Program, root: &Root, command: &Command) -> Result<(Outcome, Trace), SandboxError> {
    start(program, root, command, Traced::Yes, &mut |_, _| ControlFlow::Continue(()))
}

/// One of the two streams that a command writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Standard,
    /// Standard error.
    Error,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Traced {
    Yes,
    No,
}

fn start(
    program: &Program,
    root: &Root,
    command: &Command,
    traced: Traced,
    heard: &mut dyn FnMut(Output, &[u8]) -> ControlFlow<()>,
) -> Result<(Outcome, Trace), SandboxError> {
    if matches!(root, Root::Layers(layers) | Root::Workplace(Workplace { layers, .. }) if layers.is_empty()) {
        return Err(SandboxError::NoLayers);
    }
    // Before the command starts, so that no signal is lost.
    let signals = match command.streams {
        Streams::Captured { .. } => None,
        Streams::Attached | Streams::Terminal => Some(Signals::take()?),
    };
    let terminal = match command.streams {
        Streams::Terminal => Some(terminal::description()?),
        Streams::Captured { .. } | Streams::Attached => None,
    };
    let setup = serde_json::to_vec(&setup(root, command, traced, terminal)).map_err(io::Error::from)?;
    let setup = wire::memory_file("setup", &setup)?;
    let (stdin, limit) = match &command.streams {
        Streams::Captured { stdin, limit } => (wire::memory_file("stdin", stdin)?, *limit),
        Streams::Attached | Streams::Terminal => (io::stdin().as_fd().try_clone_to_owned()?, 0),
    };
    let mut monitor = Monitor::start(program, &command.streams)?;
    monitor.tell(&(), &[setup.as_fd(), stdin.as_fd()])?;
    drop((setup, stdin));
    let mut stdout = Stream::new(monitor.child.stdout.take().map(OwnedFd::from), limit);
    let mut stderr = Stream::new(monitor.child.stderr.take().map(OwnedFd::from), limit);
    let (report, traced_file) = monitor.follow(&mut stdout, &mut stderr, signals.as_ref(), heard)?;
    let (status, duration) = match report {
        Some(Report::Ended(status, duration)) => (status, duration),
        Some(Report::Failed(failure)) => {
            return Err(match Obstacle::behind(&failure, Host::read()) {
                Some(obstacle) => SandboxError::Unsupported { obstacle, source: failure },
                None => SandboxError::Failed(failure),
            });
        }
        Some(Report::Traced | Report::Terminal) | None => return Err(monitor.lost()),
    };
    let trace = match (traced, traced_file) {
        (Traced::No, _) => Trace::default(),
        (Traced::Yes, Some(file)) => read_trace(file)?,
        (Traced::Yes, None) => return Err(monitor.lost()),
    };
    Ok((Outcome { status, stdout: stdout.captured, stderr: stderr.captured, duration }, trace))
}

fn read_trace(file: OwnedFd) -> io::Result<Trace> {
    let mut bytes = Vec::new();
    File::from(file).read_to_end(&mut bytes)?;
    Trace::decode(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn setup(root: &Root, command: &Command, traced: Traced, terminal: Option<wire::Terminal>) -> Setup {
    let name = |path: &std::path::PathBuf| path.clone().into_os_string();
    Setup {
        root: match root {
            Root::Layers(layers) => {
                Location::Layers { folders: layers.iter().map(name).collect(), workplace: None }
            }
            Root::Workplace(Workplace { layers, folder, place }) => Location::Layers {
                folders: layers.iter().map(name).collect(),
                workplace: Some(wire::Workplace { folder: name(folder), place: name(place) }),
            },
            Root::Chroot(folder) => Location::Chroot(name(folder)),
            Root::InPlace => Location::InPlace,
        },
        traced: traced == Traced::Yes,
        hostname: command.hostname.clone(),
        limits: command.limits,
        emulator: command.emulator.clone(),
        uid: command.uid,
        gid: command.gid,
        terminal,
        own_output: matches!(command.streams, Streams::Captured { .. }),
        command: Execution {
            program: command.program.clone(),
            args: command.args.clone(),
            env: command.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            cwd: command.cwd.clone().into_os_string(),
        },
    }
}

/// The monitor's process, and the socket whose end means the end of the sandbox: in both directions.
#[derive(Debug)]
struct Monitor {
    child: Child,
    control: OwnedFd,
}

impl Monitor {
    fn start(program: &Program, streams: &Streams) -> Result<Self, SandboxError> {
        let (control, theirs) = wire::pair()?;
        let stream = || match streams {
            Streams::Captured { .. } => Stdio::piped(),
            Streams::Attached | Streams::Terminal => Stdio::inherit(),
        };
        // The socket goes in as standard input: thus no file of this process has to be inheritable, not even for the
        // moment in which another thread starts a program. The first argument shows in the sandbox's /proc.
        let child = std::process::Command::new(&program.path)
            .arg0("sandbox-init")
            .args(&program.args)
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(stream())
            .stderr(stream())
            .spawn()
            .map_err(|source| SandboxError::Start { path: program.path.clone(), source })?;
        Ok(Self { child, control })
    }

    /// Sends a message. A monitor that is gone already is noticed as the end of what it says.
    fn tell(&self, message: &impl Serialize, files: &[BorrowedFd<'_>]) -> io::Result<()> {
        match wire::send(&self.control, message, files) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            sent => sent,
        }
    }

    /// Reads what the command writes, and passes signals on, until all of the sandbox is gone. The last thing that came
    /// of it, and the trace.
    fn follow(
        &self,
        stdout: &mut Stream,
        stderr: &mut Stream,
        signals: Option<&Signals>,
        heard: &mut dyn FnMut(Output, &[u8]) -> ControlFlow<()>,
    ) -> Result<(Option<Report>, Option<OwnedFd>), SandboxError> {
        let mut report = None;
        let mut trace = None;
        let mut ended = false;
        let mut relay: Option<Relay> = None;
        while !ended || stdout.is_open() || stderr.is_open() || relay.as_ref().is_some_and(Relay::is_open) {
            let read = |file| (file, PollFlags::IN);
            let control = (!ended).then(|| self.control.as_fd());
            let files = [control, stdout.as_fd(), stderr.as_fd(), signals.map(AsFd::as_fd)];
            let [control, from_stdout, from_stderr, signals_come] = files.map(|file| file.map(read));
            let (keys, screen) = relay.as_ref().map_or((None, None), |relay| (relay.keys(), relay.screen()));
            let [control, from_stdout, from_stderr, signaled, typed, shown] =
                wait_for_any([control, from_stdout, from_stderr, signals_come, keys, screen])?;
            if let Some(relay) = &mut relay {
                if typed {
                    relay.read_keys()?;
                }
                if shown {
                    relay.serve_screen()?;
                }
            }
            if from_stdout && stdout.read(|bytes| heard(Output::Standard, bytes))?.is_break()
                || from_stderr && stderr.read(|bytes| heard(Output::Error, bytes))?.is_break()
            {
                return Err(SandboxError::Stopped);
            }
            if control {
                match wire::receive(&self.control)? {
                    Some((Report::Traced, mut files)) => trace = files.pop(),
                    Some((Report::Terminal, mut files)) => {
                        relay = files.pop().map(Relay::begin).transpose()?;
                    }
                    Some((received, _)) => report = Some(received),
                    None => ended = true,
                }
            }
            if signaled {
                for signal in signals.map(Signals::received).transpose()?.unwrap_or_default() {
                    match &relay {
                        // The command's terminal tells its own.
                        Some(relay) if i32::from(signal) == libc::SIGWINCH => relay.resize()?,
                        _ => self.tell(&signal, &[])?,
                    }
                }
            }
        }
        Ok((report, trace))
    }

    fn lost(&mut self) -> SandboxError {
        match self.child.wait() {
            Ok(status) => SandboxError::Lost { status },
            Err(error) => SandboxError::Channel(error),
        }
    }
}

impl Drop for Monitor {
    /// The monitor ends the tree when the socket is shut, and itself after that. Nobody is there to hear of errors.
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&self.control, rustix::net::Shutdown::Both);
        let _ = self.child.wait();
    }
}

/// One output of the command and what was kept of it.
#[derive(Debug)]
struct Stream {
    pipe: Option<File>,
    captured: Captured,
    limit: usize,
}

impl Stream {
    fn new(pipe: Option<OwnedFd>, limit: usize) -> Self {
        Self { pipe: pipe.map(File::from), captured: Captured::default(), limit }
    }

    fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(File::as_fd)
    }

    /// Reads once what is there, and closes the pipe at its end.
    fn read(&mut self, heard: impl FnOnce(&[u8]) -> ControlFlow<()>) -> io::Result<ControlFlow<()>> {
        let Some(pipe) = &self.pipe else { return Ok(ControlFlow::Continue(())) };
        let mut buffer = [0; 16 << 10];
        let length = rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut buffer))?;
        if length == 0 {
            self.pipe = None;
        }
        let kept = length.min(self.limit.saturating_sub(self.captured.bytes.len()));
        self.captured.cut |= kept < length;
        self.captured.bytes.extend(buffer.iter().take(kept));
        Ok(match length {
            0 => ControlFlow::Continue(()),
            _ => heard(buffer.get(..length).unwrap_or_default()),
        })
    }
}

/// Waits until one of the files can be read or written, whichever is waited for; tells which.
fn wait_for_any<const N: usize>(files: [Option<(BorrowedFd<'_>, PollFlags)>; N]) -> io::Result<[bool; N]> {
    let mut polled: Vec<_> =
        files.iter().flatten().map(|(file, wanted)| PollFd::from_borrowed_fd(*file, *wanted)).collect();
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, None))?;
    let mut results = polled.iter().map(|file| !file.revents().is_empty());
    Ok(files.map(|file| file.is_some() && results.next().unwrap_or(false)))
}

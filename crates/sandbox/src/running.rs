//! The caller's side: start a sandbox, read what it writes, collect what came of it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};

use crate::command::{Command, Output, Program, Root, Stdin};
use crate::error::{Doing, SandboxError, Step};
use crate::obstacle::{Host, Obstacle};
use crate::wire::{self, Execution, Report, Setup};

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
    if root.layers.is_empty() {
        return Err(SandboxError::NoLayers);
    }
    let setup =
        wire::memory_file("setup", &serde_json::to_vec(&setup(root, command)).map_err(io::Error::from)?)?;
    let stdin = match &command.stdin {
        Stdin::Null => File::open("/dev/null").doing_to(Step::OpenDevice, "/dev/null")?.into(),
        Stdin::Bytes(bytes) => wire::memory_file("stdin", bytes)?,
        Stdin::Inherit => io::stdin().as_fd().try_clone_to_owned()?,
    };
    let mut monitor = Monitor::start(program, command.output)?;
    // A monitor that is gone already is noticed below, as the end of what it says.
    match wire::send(&monitor.control, &(), &[setup.as_fd(), stdin.as_fd()]) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        sent => sent?,
    }
    drop((setup, stdin));
    let limit = match command.output {
        Output::Capture { limit } => limit,
        Output::Inherit => 0,
    };
    let mut stdout = Stream::new(monitor.child.stdout.take().map(OwnedFd::from), limit);
    let mut stderr = Stream::new(monitor.child.stderr.take().map(OwnedFd::from), limit);
    match monitor.follow(&mut stdout, &mut stderr)? {
        Some(Report::Ended(status, duration)) => {
            Ok(Outcome { status, stdout: stdout.captured, stderr: stderr.captured, duration })
        }
        Some(Report::Failed(failure)) => Err(match Obstacle::behind(&failure, Host::read()) {
            Some(obstacle) => SandboxError::Unsupported { obstacle, source: failure },
            None => SandboxError::Failed(failure),
        }),
        None => Err(monitor.lost()),
    }
}

fn setup(root: &Root, command: &Command) -> Setup {
    Setup {
        layers: root.layers.iter().map(|layer| layer.clone().into_os_string()).collect(),
        hostname: command.hostname.clone(),
        limits: command.limits,
        uid: command.uid,
        gid: command.gid,
        own_output: matches!(command.output, Output::Capture { .. }),
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
    fn start(program: &Program, output: Output) -> Result<Self, SandboxError> {
        let (control, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(io::Error::from)?;
        let stream = || match output {
            Output::Capture { .. } => Stdio::piped(),
            Output::Inherit => Stdio::inherit(),
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

    /// Reads what the command writes until all of the sandbox is gone; the last thing that came of it.
    fn follow(&self, stdout: &mut Stream, stderr: &mut Stream) -> Result<Option<Report>, SandboxError> {
        let mut report = None;
        let mut ended = false;
        while !ended || stdout.is_open() || stderr.is_open() {
            let ready = poll(self, ended, [stdout, stderr])?;
            if ready.stdout {
                stdout.read()?;
            }
            if ready.stderr {
                stderr.read()?;
            }
            if ready.control {
                match wire::receive(&self.control)? {
                    Some((received, _)) => report = Some(received),
                    None => ended = true,
                }
            }
        }
        Ok(report)
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

    /// Reads once what is there, and closes the pipe at its end.
    fn read(&mut self) -> io::Result<()> {
        let Some(pipe) = &self.pipe else { return Ok(()) };
        let mut buffer = [0; 16 << 10];
        let length = rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut buffer))?;
        if length == 0 {
            self.pipe = None;
        }
        let kept = length.min(self.limit.saturating_sub(self.captured.bytes.len()));
        self.captured.cut |= kept < length;
        self.captured.bytes.extend(buffer.iter().take(kept));
        Ok(())
    }
}

/// What can be read without waiting.
struct Ready {
    control: bool,
    stdout: bool,
    stderr: bool,
}

fn poll(monitor: &Monitor, ended: bool, [stdout, stderr]: [&Stream; 2]) -> io::Result<Ready> {
    let control = (!ended).then(|| monitor.control.as_fd());
    let files = [control, stdout.pipe.as_ref().map(File::as_fd), stderr.pipe.as_ref().map(File::as_fd)];
    let mut polled: Vec<_> =
        files.iter().flatten().map(|file| PollFd::from_borrowed_fd(*file, PollFlags::IN)).collect();
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, None))?;
    let mut results = polled.iter().map(|file| !file.revents().is_empty());
    let [control, stdout, stderr] = files.map(|file| file.is_some() && results.next().unwrap_or(false));
    Ok(Ready { control, stdout, stderr })
}

//! What may go wrong, as values that cross from the init to the caller.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use serde::{Deserialize, Serialize};

use crate::obstacle::Obstacle;

/// Why no [`crate::Outcome`] came back.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A [`crate::Root`] without layers.
    #[error("cannot make a root out of no layers")]
    NoLayers,
    /// The monitor's executable did not start.
    #[error("cannot start the sandbox's init `{}`", path.display())]
    Start {
        /// The executable of the [`crate::Program`].
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// This machine, or the container around the caller, does not allow it.
    #[error("cannot make a sandbox here: {obstacle}")]
    Unsupported {
        /// What is missing.
        obstacle: Obstacle,
        /// The step that ran into it.
        source: Failure,
    },
    /// A step failed; nothing of the command is running.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The init went away without a word: killed from outside, or a program that does not call
    /// [`crate::init_main`].
    #[error("the sandbox's init ended without a report ({status})")]
    Lost {
        /// How the monitor ended.
        status: ExitStatus,
    },
    /// Who heard what the command wrote has ended it.
    #[error("the command was ended from outside")]
    Stopped,
    /// A pipe or socket between the caller and the sandbox failed.
    #[error("cannot talk to the sandbox")]
    Channel(#[from] io::Error),
}

impl SandboxError {
    /// The next step, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unsupported { obstacle, .. } => Some(obstacle.hint()),
            Self::Failed(failure) => failure.hint(),
            Self::NoLayers | Self::Start { .. } | Self::Lost { .. } | Self::Stopped | Self::Channel(_) => {
                None
            }
        }
    }
}

/// A step that failed, with the number of the system's error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What was being done.
    pub step: Step,
    /// To which path or resource.
    pub subject: Option<OsString>,
    /// `errno`.
    pub errno: i32,
}

impl Failure {
    fn hint(&self) -> Option<String> {
        let hint = match (self.step, self.errno) {
            (Step::Execute, libc::ENOENT) => {
                "the program, the interpreter of its #! line or its dynamic loader is not in the root"
            }
            (Step::ChangeRoot, libc::EPERM) => "run as root, with CAP_SYS_CHROOT",
            (Step::DropPrivileges, libc::EPERM) => {
                "run as root, or as the user that the command is to run as"
            }
            (Step::ReadCall, _) => {
                "its executable cannot be read by the caller, or it hides its memory (PR_SET_DUMPABLE): run as root"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot {}", self.step)?;
        if let Some(subject) = &self.subject {
            write!(formatter, " `{}`", subject.display())?;
        }
        write!(formatter, " for the sandbox: {}", io::Error::from_raw_os_error(self.errno))
    }
}

impl std::error::Error for Failure {}

/// The steps of making a sandbox, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the text of each is below")]
pub enum Step {
    Configure,
    CreateNamespaces,
    MapIds,
    SetHostname,
    RaiseLoopback,
    RegisterEmulator,
    OpenLayer,
    OpenWorkplace,
    OpenDevice,
    MountStorage,
    StackLayers,
    EnterRoot,
    MountProc,
    DenyNamespaces,
    MakeDevices,
    MountTemporary,
    MountWorkplace,
    WriteHosts,
    ChangeRoot,
    MakeTerminal,
    SetLimit,
    GiveOutput,
    DropPrivileges,
    ChangeDirectory,
    FilterCalls,
    Execute,
    FollowCalls,
    ReadCall,
    RecordPaths,
    Supervise,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Configure => "read the configuration",
            Self::CreateNamespaces => "create namespaces",
            Self::MapIds => "map user and group ids",
            Self::SetHostname => "set the host name",
            Self::RaiseLoopback => "bring up the loopback network",
            Self::RegisterEmulator => "have programs of another machine run by",
            Self::OpenLayer => "open layer",
            Self::OpenWorkplace => "open the folder to work in",
            Self::OpenDevice => "open device",
            Self::MountStorage => "mount a tmpfs for writes over",
            Self::StackLayers => "stack the layers with an overlay",
            Self::EnterRoot => "enter the root",
            Self::MountProc => "mount",
            Self::DenyNamespaces => "deny further user namespaces",
            Self::MakeDevices => "provide",
            Self::MountTemporary => "mount a tmpfs on",
            Self::MountWorkplace => "mount the folder to work in on",
            Self::WriteHosts => "write",
            Self::ChangeRoot => "change the root to",
            Self::MakeTerminal => "give the command a terminal",
            Self::SetLimit => "set the limit",
            Self::GiveOutput => "hand the output pipes to the user",
            Self::DropPrivileges => "become the user and drop privileges",
            Self::ChangeDirectory => "change to the working directory",
            Self::FilterCalls => "have the system calls told",
            Self::Execute => "execute",
            Self::FollowCalls => "follow the system calls",
            Self::ReadCall => "read what a system call names in the memory of",
            Self::RecordPaths => "record more paths",
            Self::Supervise => "watch the command",
        })
    }
}

/// Names the step, and what it was about, in front of an error.
pub(crate) trait Doing<T> {
    fn doing(self, step: Step) -> Result<T, Failure>;
    fn doing_to(self, step: Step, subject: impl Into<OsString>) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, step: Step) -> Result<T, Failure> {
        self.map_err(|error| Failure { step, subject: None, errno: errno(&error.into()) })
    }

    fn doing_to(self, step: Step, subject: impl Into<OsString>) -> Result<T, Failure> {
        self.map_err(|error| Failure { step, subject: Some(subject.into()), errno: errno(&error.into()) })
    }
}

/// An error that the standard library itself made up (a NUL byte in an argument) has no number of its own.
fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EINVAL)
}

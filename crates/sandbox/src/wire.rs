//! The messages between caller, monitor and init, over one `SOCK_SEQPACKET` socket: a message is whole or absent, an
//! open file may travel with it, and its end is the end of the other side.
//!
//! The caller sends one message: two open files, the [`Setup`] (as JSON, of any size) and the command's standard input.
//! After it come, each in a message, the numbers of signals for the command. [`Report`]s come back, of which the last one
//! counts, and a trace.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::fs::MemfdFlags;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::command::{Emulator, Limits};
use crate::error::Failure;
use crate::running::Status;

/// Everything that the monitor and the init need to know.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) root: Location,
    /// The command's calls are to be told to the monitor.
    pub(crate) traced: bool,
    pub(crate) hostname: String,
    pub(crate) limits: Limits,
    pub(crate) emulator: Option<Emulator>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The command gets a terminal of its own.
    pub(crate) terminal: Option<Terminal>,
    /// Output pipes made for this command alone: the user it runs as may own them.
    pub(crate) own_output: bool,
    pub(crate) command: Execution,
}

/// A terminal to be made.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Terminal {
    pub(crate) rows: u16,
    pub(crate) columns: u16,
    /// It is for standard error as well.
    pub(crate) takes_errors: bool,
}

/// A [`crate::Root`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Location {
    Layers { folders: Vec<OsString>, workplace: Option<Workplace> },
    Chroot(OsString),
    InPlace,
}

/// A folder of the host that the command may write to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Workplace {
    pub(crate) folder: OsString,
    pub(crate) place: OsString,
}

/// The part of a command that `execve` is about.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Execution {
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) cwd: OsString,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// A file goes along: the person's side of the command's terminal.
    Terminal,
    /// The command ended, this long after it had started.
    Ended(Status, Duration),
    /// A file goes along: the trace of the command that has ended.
    Traced,
    Failed(Failure),
}

impl Location {
    /// Does the command get namespaces of its own?
    pub(crate) fn is_namespaced(&self) -> bool {
        matches!(self, Self::Layers { .. })
    }
}

/// Two ends of a socket for messages.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// The longest message; the longest path in a failure, escaped as JSON, is far below.
const MESSAGE_LIMIT: usize = 128 << 10;

/// The most open files that travel with a message.
const FILES_LIMIT: usize = 2;

/// Sends one message, with open files along.
pub(crate) fn send(socket: impl AsFd, message: &impl Serialize, files: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(files.len()))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(&socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)
    })?;
    Ok(())
}

/// Waits for one message; `None` when the other side is gone.
pub(crate) fn receive<T: DeserializeOwned>(socket: impl AsFd) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut bytes = vec![0; MESSAGE_LIMIT];
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_LIMIT))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        let buffer = &mut [IoSliceMut::new(&mut bytes)];
        rustix::net::recvmsg(&socket, buffer, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
    });
    let length = match received {
        Ok(message) => message.bytes,
        // The other side went away before it had read what was sent to it.
        Err(rustix::io::Errno::CONNRESET) => 0,
        Err(error) => return Err(error.into()),
    };
    if length == 0 {
        return Ok(None);
    }
    let mut files = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            files.extend(passed);
        }
    }
    let message = serde_json::from_slice(bytes.get(..length).unwrap_or_default())?;
    Ok(Some((message, files)))
}

/// An open file in memory alone that holds `bytes` and stands at its beginning.
pub(crate) fn memory_file(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

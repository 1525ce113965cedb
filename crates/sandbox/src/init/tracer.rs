//! The side that is told of the command's calls: a thread of the monitor. It reads the paths that a call names in the
//! memory of who makes it, records them, and lets the call proceed.
//!
//! It stands outside of all that is traced, so nothing that is traced can wait for itself; should it be held up (by
//! memory that some process serves and does not), the init still ends everything in time, and that frees it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Gid, Uid};

use super::calls::{self, Argument, Call};
use super::memory::Memory;
use super::places::{Base, Places, RESOLVE_IN_ROOT};
use crate::error::{Doing, Failure, Step};
use crate::sys::seccomp::{Listener, Notification};
use crate::trace::{Recording, Trace};
use crate::wire;

/// A tracer at work.
pub(super) struct Tracer {
    thread: JoinHandle<Result<Trace, Failure>>,
    /// Closing it tells the thread that nothing is left to be traced.
    stop: OwnedFd,
    /// Can be read when the thread has failed.
    fault: OwnedFd,
    /// Kept open, so that the other end says nothing when the thread ends well.
    _keep: File,
}

impl Tracer {
    /// Starts it; the command will send its [`Listener`] and its root over the socket. It needs the right to look into
    /// the command's memory: of a process with other ids it takes on these, unless it owns the namespace.
    pub(super) fn start(socket: OwnedFd, ids: Option<(Uid, Gid)>) -> io::Result<Self> {
        let (stopped, stop) = super::monitor::pipe()?;
        let (fault, mut failed) = super::monitor::pipe()?;
        let keep = failed.try_clone()?;
        let thread = std::thread::Builder::new().name("tracer".to_owned()).spawn(move || {
            let stopped = stopped.into();
            let files = receive(&socket, ids)?;
            // It failed before, and says so itself.
            let Some((listener, root)) = files else { return Ok(Trace::default()) };
            let trace = trace(&listener, root, &stopped);
            if trace.is_err() {
                // With the monitor gone nobody has to know.
                let _ = failed.write_all(&[1]);
                // Until then calls wait: without a listener they would be as if the kernel had none of them.
                wait(&[stopped.as_fd()]).doing(Step::FollowCalls)?;
            }
            trace
        })?;
        Ok(Self { thread, stop: stop.into(), fault: fault.into(), _keep: keep })
    }

    pub(super) fn fault(&self) -> &OwnedFd {
        &self.fault
    }

    /// What was traced. Call it when nothing of the command is left.
    pub(super) fn finish(self) -> Result<Trace, Failure> {
        drop(self.stop);
        let lost = || Failure { step: Step::FollowCalls, subject: None, errno: libc::EIO };
        self.thread.join().unwrap_or_else(|_| Err(lost()))
    }
}

/// What the command sends: who is told of its calls, and its root.
fn receive(socket: &OwnedFd, ids: Option<(Uid, Gid)>) -> Result<Option<(OwnedFd, OwnedFd)>, Failure> {
    if let Some((uid, gid)) = ids {
        rustix::thread::set_thread_res_gid(gid, gid, gid).doing(Step::FollowCalls)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid).doing(Step::FollowCalls)?;
    }
    let Some(((), files)) = wire::receive(socket).doing(Step::FollowCalls)? else { return Ok(None) };
    match <[OwnedFd; 2]>::try_from(files) {
        Ok([listener, root]) => Ok(Some((listener, root))),
        Err(_) => Err(Failure { step: Step::FollowCalls, subject: None, errno: libc::EBADMSG }),
    }
}

fn trace(listener: &OwnedFd, root: OwnedFd, stopped: &OwnedFd) -> Result<Trace, Failure> {
    let mut listener = listener.try_clone().and_then(Listener::new).doing(Step::FollowCalls)?;
    let mut witness = Witness {
        memory: Memory::ByCall,
        places: Places::new(root).doing(Step::FollowCalls)?,
        recording: Recording::default(),
    };
    // No call, but the other or the end of both: none will come.
    while wait(&[listener.as_fd(), stopped.as_fd()]).doing(Step::FollowCalls)? {
        let Some(notification) = listener.receive().doing(Step::FollowCalls)? else { continue };
        witness.note(&listener, &notification)?;
        listener.proceed(&notification).doing(Step::FollowCalls)?;
    }
    Ok(witness.recording.finish())
}

/// Waits for any of the files; is there something to read from the first?
fn wait(files: &[BorrowedFd<'_>]) -> io::Result<bool> {
    let mut polled: Vec<_> =
        files.iter().map(|file| PollFd::from_borrowed_fd(*file, PollFlags::IN)).collect();
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, None))?;
    Ok(polled.first().is_some_and(|first| first.revents().contains(PollFlags::IN)))
}

/// Sees calls, and remembers.
struct Witness {
    memory: Memory,
    places: Places,
    recording: Recording,
}

/// A path as a call gave it, and where it starts unless it is absolute.
struct Said {
    base: Base,
    path: Vec<u8>,
    in_root: bool,
}

impl Witness {
    fn note(&mut self, listener: &Listener, notification: &Notification) -> Result<(), Failure> {
        let Some(call) = calls::find(notification.convention, notification.number) else { return Ok(()) };
        let mut said = Vec::new();
        for argument in call.arguments {
            said.extend(self.read(listener, notification, call, *argument)?);
        }
        // Only now is it sure that all that was read was the thread's, and not of one that got its number.
        if !listener.is_waiting(notification) {
            return Ok(());
        }
        for Said { base, path, in_root } in said {
            let recording = &mut self.recording;
            let mut record =
                |places: &Places, path: &[u8], used| recording.add(path, used, || places.is_there(path));
            self.places.settle(base, &path, in_root, call.used, &mut record)?;
        }
        Ok(())
    }

    /// `None` where the kernel itself will find nothing to do, or nobody waits any more.
    fn read(
        &mut self,
        listener: &Listener,
        notification: &Notification,
        call: Call,
        argument: Argument,
    ) -> Result<Option<Said>, Failure> {
        let value = |index: usize| notification.arguments.get(index).copied().unwrap_or_default();
        let thread = notification.thread;
        // A thread that is gone, and what the kernel itself will not find: all else would be a gap.
        let denied = |error: &io::Error| {
            !matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENOENT | libc::EFAULT))
                && listener.is_waiting(notification)
        };
        let told = |error: io::Error| {
            let name = std::fs::read_to_string(format!("/proc/{}/comm", thread.as_raw_nonzero()));
            Err(error).doing_to(Step::ReadCall, name.unwrap_or_default().trim_end())
        };
        let path = match self.memory.path(thread, value(argument.path)) {
            Ok(Some(path)) => path,
            Err(error) if denied(&error) => return told(error),
            Ok(None) | Err(_) => return Ok(None),
        };
        // The third field of `struct open_how`; where it can't be read, the kernel can't read it either.
        let how = |memory: &mut Memory| memory.number(thread, value(2).wrapping_add(16)).ok().flatten();
        let in_root = call.has_how && how(&mut self.memory).unwrap_or_default() & RESOLVE_IN_ROOT != 0;
        if path.is_empty() && (call.used < crate::trace::Use::Executed || argument.folder.is_none()) {
            // The file that is open already was seen when it was opened.
            return Ok(None);
        }
        if path.starts_with(b"/") && !in_root {
            return match self.places.of_process(thread, &path) {
                Ok((base, path)) => Ok(Some(Said { base, path: path.to_vec(), in_root })),
                Err(error) if denied(&error) => told(error),
                Err(_) => Ok(None),
            };
        }
        // Descriptors are int; the rest of the register is anything.
        let folder = argument.folder.map(|index| descriptor(value(index)));
        match self.places.base(thread, folder) {
            // A program in memory alone, or a file without a name any more.
            Ok(Some(base)) if path.is_empty() && !self.places.is_there(base.as_bytes()) => Ok(None),
            Ok(Some(base)) => Ok(Some(Said { base, path, in_root })),
            Err(error) if denied(&error) => told(error),
            Ok(None) | Err(_) => Ok(None),
        }
    }
}

/// The low half of a register, with its sign.
fn descriptor(value: u64) -> i32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

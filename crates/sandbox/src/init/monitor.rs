//! The monitor: outside of the sandbox, between the caller and process 1. It maps the ids, which only a process
//! outside may do in full, passes on the signals that the caller has for the command, and kills process 1, and with it
//! everything inside, when the caller is gone. Should the monitor itself be killed, the kernel kills process 1.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

use super::identity::Mapping;
use crate::error::{Doing, Failure, Step};
use crate::sys::{self, Side};
use crate::wire::{self, Report, Setup};

/// Runs until nothing of the sandbox is left. An error means that there was no caller to report to.
pub(super) fn monitor() -> io::Result<()> {
    sys::close_inherited_files()?;
    sys::restore_default_signals();
    let control = io::stdin().as_fd().try_clone_to_owned()?;
    if let Err(failure) = contain(&control) {
        wire::send(&control, &Report::Failed(failure), &[])?;
    }
    Ok(())
}

fn contain(control: &OwnedFd) -> Result<(), Failure> {
    // Away from the caller's terminal: its signals go to the caller, who passes them on where a person is at the command.
    rustix::process::setsid().doing(Step::Configure)?;
    let (setup, stdin) = receive_setup(control).doing(Step::Configure)?;
    let mapping = Mapping::choose(&setup).doing(Step::MapIds)?;
    let (lifeline, mut hold) = pipe().doing(Step::Configure)?;
    match sys::clone_into_namespaces().doing(Step::CreateNamespaces)? {
        Side::Inside => {
            drop(hold);
            // One byte says that the ids are mapped; the end says that they never will be. Later ones are signals.
            let mut byte = [0];
            if matches!((&lifeline).read(&mut byte), Ok(1)) {
                super::init(&setup, &mapping, control, stdin, &lifeline.into());
            }
            Ok(())
        }
        Side::Outside(init) => {
            drop((lifeline, stdin));
            let mapped = mapping
                .write(init)
                .doing(Step::MapIds)
                .and_then(|()| hold.write_all(&[1]).doing(Step::Configure))
                .and_then(|()| guard(init, control, &mut hold).doing(Step::Supervise));
            // The init ends when the other end of its lifeline does.
            drop(hold);
            reap(init);
            mapped
        }
    }
}

fn receive_setup(control: &OwnedFd) -> io::Result<(Setup, OwnedFd)> {
    let files = wire::receive::<()>(control)?.map(|((), files)| files).unwrap_or_default();
    let Ok([setup, stdin]) = <[OwnedFd; 2]>::try_from(files) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let mut bytes = Vec::new();
    File::from(setup).read_to_end(&mut bytes)?;
    Ok((serde_json::from_slice(&bytes)?, stdin))
}

fn pipe() -> io::Result<(File, File)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    Ok((read.into(), write.into()))
}

/// Waits until the init has ended or the caller is gone, passing signals on; then kills the init.
fn guard(init: Pid, control: &OwnedFd, hold: &mut File) -> io::Result<()> {
    let process = rustix::process::pidfd_open(init, PidfdFlags::empty())?;
    loop {
        let mut polled =
            [PollFd::new(control, PollFlags::IN | PollFlags::RDHUP), PollFd::new(&process, PollFlags::IN)];
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, None))?;
        let [_, process] = polled;
        if !process.revents().is_empty() {
            break;
        }
        match wire::receive::<u8>(control)? {
            // An init that has ended meanwhile is noticed in the next round.
            Some((signal, _)) => _ = hold.write_all(&[signal]),
            None => break,
        }
    }
    match rustix::process::pidfd_send_signal(&process, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waits for the init; the kernel lets it end only after everything else in its process namespace.
fn reap(init: Pid) {
    let _ = rustix::io::retry_on_intr(|| rustix::process::waitpid(Some(init), WaitOptions::empty()));
}

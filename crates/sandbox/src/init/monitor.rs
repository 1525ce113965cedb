//! The monitor: outside of the sandbox, between the caller and the init. It maps the ids, which only a process outside
//! may do in full, passes on the signals that the caller has for the command, has the command's calls told where these
//! are traced, and kills the init, and with it everything inside, when the caller is gone. Should the monitor itself be
//! killed, the kernel kills process 1; an init without namespaces ends what there is by itself.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::MemfdFlags;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

use super::identity::Mapping;
use super::tracer::Tracer;
use super::{Inherited, descendants, mounts};
use crate::error::{Doing, Failure, Step};
use crate::sys::{self, Namespaces, Side};
use crate::trace::Trace;
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
    let (lifeline, hold) = pipe().doing(Step::Configure)?;
    let calls = setup.traced.then(wire::pair).transpose().doing(Step::Configure)?;
    let (told, tells) = calls.unzip();
    let namespaces = if setup.root.is_namespaced() { Namespaces::New } else { Namespaces::Same };
    // Who may mount opens layers here, where what is mounted in them is no hindrance.
    let layers = mounts::open_layers(&setup.root).ok();
    if let Namespaces::Same = namespaces {
        descendants::adopt().doing(Step::Supervise)?;
    }
    match sys::fork(namespaces).doing(Step::CreateNamespaces)? {
        Side::Inside => {
            drop((hold, told));
            // One byte says that the ids are mapped; the end says that they never will be. Later ones are signals.
            let mut byte = [0];
            if matches!((&lifeline).read(&mut byte), Ok(1)) {
                let inherited = Inherited { stdin, tells, layers };
                super::init(&setup, &mapping, control, inherited, &lifeline.into());
            }
            Ok(())
        }
        Side::Outside(init) => {
            drop((lifeline, stdin, tells, layers));
            let Some(socket) = told else {
                return follow(&setup, &mapping, init, control, hold, None);
            };
            // Not before the fork, which wants a single thread.
            let tracer = Tracer::start(socket, Mapping::ids_to_look_in(&setup)).doing(Step::FollowCalls);
            let fault = tracer.as_ref().ok().map(Tracer::fault);
            let followed = match &tracer {
                Ok(_) => follow(&setup, &mapping, init, control, hold, fault),
                Err(_) => {
                    drop(hold);
                    reap(init);
                    Ok(())
                }
            };
            let trace = tracer.and_then(Tracer::finish);
            followed?;
            send_trace(control, &trace?).doing(Step::FollowCalls)
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

fn send_trace(control: &OwnedFd, trace: &Trace) -> io::Result<()> {
    let mut file = File::from(rustix::fs::memfd_create("trace", MemfdFlags::CLOEXEC)?);
    trace.encode(BufWriter::new(&file))?;
    file.rewind()?;
    match wire::send(control, &Report::Traced, &[file.as_fd()]) {
        // A caller that is gone wants no trace.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        sent => sent,
    }
}

pub(super) fn pipe() -> io::Result<(File, File)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    Ok((read.into(), write.into()))
}

/// Maps the ids, lets the init go on, and waits until nothing is left.
fn follow(
    setup: &Setup,
    mapping: &Mapping,
    init: Pid,
    control: &OwnedFd,
    mut hold: File,
    fault: Option<&OwnedFd>,
) -> Result<(), Failure> {
    let namespaced = setup.root.is_namespaced();
    let mapped = if namespaced { mapping.write(init).doing(Step::MapIds) } else { Ok(()) };
    let guarded = mapped
        .and_then(|()| hold.write_all(&[1]).doing(Step::Configure))
        .and_then(|()| guard(init, control, &mut hold, fault).doing(Step::Supervise));
    // The init ends when the other end of its lifeline does.
    drop(hold);
    reap(init);
    if !namespaced {
        descendants::end().doing(Step::Supervise)?;
    }
    guarded
}

/// Waits until the init has ended, the caller is gone, or calls can't be followed any more, passing signals on; then
/// kills the init.
fn guard(init: Pid, control: &OwnedFd, hold: &mut File, fault: Option<&OwnedFd>) -> io::Result<()> {
    let process = rustix::process::pidfd_open(init, PidfdFlags::empty())?;
    loop {
        let mut polled = vec![
            PollFd::new(control, PollFlags::IN | PollFlags::RDHUP),
            PollFd::new(&process, PollFlags::IN),
        ];
        polled.extend(fault.map(|fault| PollFd::new(fault, PollFlags::IN)));
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, None))?;
        if polled.iter().skip(1).any(|file| !file.revents().is_empty()) {
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

/// Waits for the init; in namespaces the kernel lets it end only after everything else in them.
fn reap(init: Pid) {
    let _ = rustix::io::retry_on_intr(|| rustix::process::waitpid(Some(init), WaitOptions::empty()));
}

//! The last steps, in the process that becomes the command.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions};

use super::identity::Mapping;
use super::{filter, terminal};
use crate::error::{Doing, Failure, Step};
use crate::sys::seccomp;
use crate::sys::{self, Namespaces, Side};
use crate::wire::{self, Location, Setup};

/// What the command reads and writes, where it is not what the init has.
pub(super) struct Streams {
    pub(super) stdin: OwnedFd,
    /// The terminal that it controls.
    pub(super) terminal: Option<OwnedFd>,
}

/// Starts the command, as process 2 of the namespaces, if it has any; leader of a group of its own. It inherits all that
/// the init has become, but no open file: all but the standard three are marked to be closed.
pub(super) fn start(
    setup: &Setup,
    mapping: &Mapping,
    streams: Streams,
    tells: Option<OwnedFd>,
) -> Result<Pid, Failure> {
    // What it says is its failure; without one, this end of it is closed by `execve`.
    let (heard, says) = wire::pair().doing(Step::Execute)?;
    match sys::fork(Namespaces::Same).doing(Step::Execute)? {
        Side::Inside => {
            drop(heard);
            let Err(failure) = become_command(setup, mapping, streams, tells);
            // An init that is gone has taken this process along.
            let _ = wire::send(&says, &failure, &[]);
            super::quit()
        }
        Side::Outside(command) => {
            drop((says, streams, tells));
            match wire::receive::<Failure>(&heard).doing(Step::Execute)? {
                None => Ok(command),
                Some((failure, _)) => {
                    let _ = rustix::io::retry_on_intr(|| {
                        rustix::process::waitpid(Some(command), WaitOptions::empty())
                    });
                    Err(failure)
                }
            }
        }
    }
}

fn become_command(
    setup: &Setup,
    mapping: &Mapping,
    streams: Streams,
    tells: Option<OwnedFd>,
) -> Result<std::convert::Infallible, Failure> {
    if let Location::Chroot(folder) = &setup.root {
        rustix::process::chroot(folder.as_os_str()).doing_to(Step::ChangeRoot, folder)?;
    }
    if !setup.root.is_namespaced() {
        mapping.drop_privileges(setup).doing(Step::DropPrivileges)?;
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).doing(Step::DropPrivileges)?;
    }
    if !setup.root.is_namespaced() {
        let filter = filter::denying_namespaces().ok_or(Errno::NOSYS).doing(Step::FilterCalls)?;
        seccomp::install(&filter).doing(Step::FilterCalls)?;
    }
    let execution = &setup.command;
    std::env::set_current_dir(&execution.cwd).doing_to(Step::ChangeDirectory, &execution.cwd)?;
    let mut command = std::process::Command::new(&execution.program);
    command.args(&execution.args).env_clear().envs(execution.env.iter().map(|(name, value)| (name, value)));
    match &streams.terminal {
        // The leader of a session leads a group as well.
        Some(terminal) => {
            terminal::control(terminal).doing(Step::MakeTerminal)?;
            let stream = || terminal.try_clone().map(Stdio::from).doing(Step::MakeTerminal);
            command.stdin(stream()?).stdout(stream()?);
            if setup.terminal.as_ref().is_some_and(|terminal| terminal.takes_errors) {
                command.stderr(stream()?);
            }
        }
        None => _ = command.stdin(Stdio::from(streams.stdin)).process_group(0),
    }
    if let Some(socket) = tells {
        tell_calls(&socket)?;
    }
    Err(command.exec()).doing_to(Step::Execute, &execution.program)
}

/// From here on the calls of this process are told to who is at the other end of the socket.
fn tell_calls(socket: &OwnedFd) -> Result<(), Failure> {
    // The tracer reads what calls name in this very process too, when it executes the program.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable).doing(Step::FilterCalls)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, "/", flags, Mode::empty()).doing(Step::FilterCalls)?;
    let filter = filter::telling().ok_or(Errno::NOSYS).doing(Step::FilterCalls)?;
    let listener = seccomp::install_telling(&filter).doing(Step::FilterCalls)?;
    wire::send(socket, &(), &[listener.as_fd(), root.as_fd()]).doing(Step::FollowCalls)
}

//! What runs in the started executable: the monitor outside, then the init inside. One thread, no output of its own.

mod identity;
mod monitor;
mod mounts;
mod supervise;

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Signal};

use crate::error::{Doing, Failure, Step};
use crate::sys;
use crate::wire::{self, Execution, Report, Setup};
use identity::Mapping;

/// What the hidden subcommand of a [`crate::Program`] calls, before anything else: the process must still have a
/// single thread. It is of no use to people: it wants a socket as its standard input.
#[expect(clippy::exit, reason = "it is the whole of a process's life")]
pub fn init_main() -> ! {
    std::process::exit(i32::from(monitor::monitor().is_err()))
}

/// The life of process 1, once its ids are mapped. `lifeline` ends when the monitor does.
fn init(setup: &Setup, mapping: &Mapping, control: &OwnedFd, stdin: OwnedFd, lifeline: &OwnedFd) {
    let started = contain_and_start(setup, mapping, stdin);
    let report = match started.and_then(|command| supervise::supervise(command, setup.limits, lifeline)) {
        Ok(Some((status, duration))) => Report::Ended(status, duration),
        // With the monitor goes everything.
        Ok(None) => return,
        Err(failure) => Report::Failed(failure),
    };
    // With the caller gone there is nobody to tell.
    let _ = wire::send(control, &report, &[]);
}

fn contain_and_start(setup: &Setup, mapping: &Mapping, stdin: OwnedFd) -> Result<Pid, Failure> {
    rustix::process::setsid().doing(Step::Configure)?;
    rustix::system::sethostname(setup.hostname.as_bytes()).doing(Step::SetHostname)?;
    raise_loopback().doing(Step::RaiseLoopback)?;
    rustix::process::umask(Mode::empty());
    mounts::enter_root(setup)?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    identity::set_limits(setup.limits)?;
    if setup.own_output {
        mapping.give_output(setup).doing(Step::GiveOutput)?;
    }
    mapping.drop_privileges(setup).doing(Step::DropPrivileges)?;
    // Changing ids clears this one, so it comes last.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).doing(Step::DropPrivileges)?;
    start(&setup.command, stdin)
}

fn raise_loopback() -> std::io::Result<()> {
    let socket =
        rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    sys::raise_loopback(&socket)
}

/// Starts the command as process 2, leader of a group of its own. It inherits all that the init has become, but no
/// open file: all but the standard three are marked to be closed.
fn start(execution: &Execution, stdin: OwnedFd) -> Result<Pid, Failure> {
    std::env::set_current_dir(&execution.cwd).doing_to(Step::ChangeDirectory, &execution.cwd)?;
    let child = std::process::Command::new(&execution.program)
        .args(&execution.args)
        .env_clear()
        .envs(execution.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::from(stdin))
        .process_group(0)
        .spawn()
        .doing_to(Step::Execute, &execution.program)?;
    Ok(Pid::from_child(&child))
}

//! What runs in the started executable: the monitor outside, then the init inside. No output of its own.

mod calls;
mod descendants;
mod filter;
mod formats;
mod identity;
mod memory;
mod monitor;
mod mounts;
mod pieces;
mod places;
mod start;
mod supervise;
mod terminal;
mod tracer;

use std::os::fd::OwnedFd;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Signal};

use crate::error::{Doing, Failure, Step};
use crate::sys;
use crate::wire::{self, Report, Setup};
use identity::Mapping;

/// What the hidden subcommand of a [`crate::Program`] calls, before anything else: the process must still have a
/// single thread. It is of no use to people: it wants a socket as its standard input.
#[expect(clippy::exit, reason = "it is the whole of a process's life")]
pub fn init_main() -> ! {
    std::process::exit(i32::from(monitor::monitor().is_err()))
}

/// Ends a process that did not become the command.
#[expect(clippy::exit, reason = "what it has to say is said")]
fn quit() -> ! {
    std::process::exit(1)
}

/// The open files that the init has from the monitor.
struct Inherited {
    /// For the command.
    stdin: OwnedFd,
    /// Where the command's calls are to be told, if they are traced.
    tells: Option<OwnedFd>,
    /// The layers of the root, where the monitor could open them.
    layers: Option<mounts::Layers>,
}

/// The life of the init: of process 1, once its ids are mapped, or without namespaces of a process as any other.
/// `lifeline` ends when the monitor does.
fn init(setup: &Setup, mapping: &Mapping, control: &OwnedFd, inherited: Inherited, lifeline: &OwnedFd) {
    let tree =
        if setup.root.is_namespaced() { supervise::Tree::Namespace } else { supervise::Tree::Descendants };
    let mut result = register_emulator(setup).and_then(|_formats| {
        let command = contain_and_start(setup, mapping, control, inherited)?;
        supervise::supervise(command, tree, setup.limits, lifeline)
    });
    if let supervise::Tree::Descendants = tree {
        // In namespaces the kernel does so when process 1 ends.
        if let Err(failure) = descendants::end().doing(Step::Supervise) {
            result = result.and(Err(failure));
        }
    }
    let report = match result {
        Ok(Some((status, duration))) => Report::Ended(status, duration),
        // With the monitor goes everything.
        Ok(None) => return,
        Err(failure) => Report::Failed(failure),
    };
    // With the caller gone there is nobody to tell.
    let _ = wire::send(control, &report, &[]);
}

/// Before the host's root is left, where the emulator is. It serves until what comes back is closed.
fn register_emulator(setup: &Setup) -> Result<Option<OwnedFd>, Failure> {
    let Some(emulator) = &setup.emulator else { return Ok(None) };
    if setup.root.is_namespaced() {
        return formats::register(emulator).map(Some);
    }
    // Without a namespace it would be registered for all of the machine.
    Err(Errno::OPNOTSUPP).doing_to(Step::RegisterEmulator, &emulator.program)
}

fn contain_and_start(
    setup: &Setup,
    mapping: &Mapping,
    control: &OwnedFd,
    inherited: Inherited,
) -> Result<Pid, Failure> {
    rustix::process::setsid().doing(Step::Configure)?;
    if setup.root.is_namespaced() {
        rustix::system::sethostname(setup.hostname.as_bytes()).doing(Step::SetHostname)?;
        raise_loopback().doing(Step::RaiseLoopback)?;
        rustix::process::umask(Mode::empty());
        mounts::enter_root(setup, inherited.layers)?;
    } else {
        descendants::adopt().doing(Step::Supervise)?;
    }
    rustix::process::umask(Mode::from_raw_mode(0o022));
    identity::set_limits(setup)?;
    if setup.own_output {
        mapping.give_output(setup).doing(Step::GiveOutput)?;
    }
    if setup.root.is_namespaced() {
        mapping.drop_privileges(setup).doing(Step::DropPrivileges)?;
        // Changing ids clears this one, so it comes last.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).doing(Step::DropPrivileges)?;
    }
    let terminal = setup.terminal.as_ref().map(|wanted| terminal::make(wanted, control));
    let streams =
        start::Streams { stdin: inherited.stdin, terminal: terminal.transpose().doing(Step::MakeTerminal)? };
    start::start(setup, mapping, streams, inherited.tells)
}

fn raise_loopback() -> std::io::Result<()> {
    let socket =
        rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    sys::raise_loopback(&socket)
}

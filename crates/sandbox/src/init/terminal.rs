//! A terminal of the command's own: made here, in the devices of its root; the person's side of it goes to the caller.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use crate::wire::{self, Report, Terminal};

/// Makes the terminal, hands one side to the caller, and gives the programs' side.
pub(super) fn make(terminal: &Terminal, control: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let person = rustix::pty::openpt(flags)?;
    rustix::pty::unlockpt(&person)?;
    let size = Winsize { ws_row: terminal.rows, ws_col: terminal.columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&person, size)?;
    let programs = rustix::pty::ioctl_tiocgptpeer(&person, flags)?;
    wire::send(control, &Report::Terminal, &[person.as_fd()])?;
    Ok(programs)
}

/// Makes it the one that this process, from now on leader of a session, controls.
pub(super) fn control(programs: &OwnedFd) -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(rustix::process::ioctl_tiocsctty(programs)?)
}

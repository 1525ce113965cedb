//! The caller's terminal while a command has one of its own: what is typed goes to that, what it shows comes here.
//!
//! The caller's hands on every key as it is, and changes nothing of what it shows: all of that is done by the command's.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios};

use crate::wire;

/// What the command's terminal is to be like.
pub(crate) fn description() -> io::Result<wire::Terminal> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdin())?;
    let takes_errors = rustix::termios::isatty(rustix::stdio::stderr());
    Ok(wire::Terminal { rows: size.ws_row, columns: size.ws_col, takes_errors })
}

/// The way between the two terminals, as long as it lives.
#[derive(Debug)]
pub(crate) struct Relay {
    /// The person's side of the command's terminal, until nobody has the other side any more.
    terminal: Option<File>,
    /// Typed, and not yet taken by it.
    typed: Vec<u8>,
    /// More may be typed.
    is_typing: bool,
    _raw: Raw,
}

/// The caller's terminal, handing everything on; as before when this is dropped.
#[derive(Debug)]
struct Raw {
    before: Termios,
}

impl Raw {
    fn set() -> io::Result<Self> {
        let before = rustix::termios::tcgetattr(rustix::stdio::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &self.before);
    }
}

impl Relay {
    /// Begins, with the person's side of the command's terminal.
    pub(crate) fn begin(terminal: OwnedFd) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&terminal)?;
        rustix::fs::fcntl_setfl(&terminal, flags | OFlags::NONBLOCK)?;
        let relay =
            Self { terminal: Some(terminal.into()), typed: Vec::new(), is_typing: true, _raw: Raw::set()? };
        // It may have changed since it was described.
        relay.resize()?;
        Ok(relay)
    }

    /// Gives the command's terminal the size of the caller's.
    pub(crate) fn resize(&self) -> io::Result<()> {
        let Some(terminal) = &self.terminal else { return Ok(()) };
        let size = rustix::termios::tcgetwinsize(rustix::stdio::stdin())?;
        Ok(rustix::termios::tcsetwinsize(terminal, size)?)
    }

    /// Whether somebody may still write to the command's terminal.
    pub(crate) fn is_open(&self) -> bool {
        self.terminal.is_some()
    }

    /// What has to be waited for at the caller's side: nothing, while the other one has not taken all.
    pub(crate) fn keys(&self) -> Option<(BorrowedFd<'static>, PollFlags)> {
        let waits = self.is_open() && self.is_typing && self.typed.is_empty();
        waits.then(|| (rustix::stdio::stdin(), PollFlags::IN))
    }

    /// What has to be waited for at the command's side.
    pub(crate) fn screen(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let takes = if self.typed.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        self.terminal.as_ref().map(|terminal| (terminal.as_fd(), PollFlags::IN | takes))
    }

    /// Reads what was typed, and hands it on as far as it is taken.
    pub(crate) fn read_keys(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let length = match rustix::io::retry_on_intr(|| rustix::io::read(rustix::stdio::stdin(), &mut buffer))
        {
            // The caller's terminal is gone.
            Ok(0) | Err(Errno::IO) => {
                self.is_typing = false;
                return Ok(());
            }
            length => length?,
        };
        self.typed.extend(buffer.iter().take(length));
        self.hand_on()
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let Some(terminal) = &self.terminal else { return Ok(()) };
        match rustix::io::retry_on_intr(|| rustix::io::write(terminal, &self.typed)) {
            Ok(length) => _ = self.typed.drain(..length),
            Err(Errno::AGAIN) => {}
            // Nobody is there to read it.
            Err(Errno::IO) => self.typed.clear(),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Shows what the command's terminal shows, and hands on what waits for it.
    pub(crate) fn serve_screen(&mut self) -> io::Result<()> {
        if !self.typed.is_empty() {
            self.hand_on()?;
        }
        let Some(terminal) = &self.terminal else { return Ok(()) };
        let mut buffer = [0; 16 << 10];
        match rustix::io::retry_on_intr(|| rustix::io::read(terminal, &mut buffer)) {
            // Thus a terminal says that nobody has its other side any more.
            Ok(0) | Err(Errno::IO) => self.terminal = None,
            Err(Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
            Ok(length) => {
                let mut screen = io::stdout().lock();
                screen.write_all(buffer.get(..length).unwrap_or_default())?;
                screen.flush()?;
            }
        }
        Ok(())
    }
}

//! Signals to the caller while a person is at a command: collected here, to be passed on.
//!
//! A terminal sends its signals to the processes in its foreground. The caller is one of them and the command is not: it
//! has a session of its own. So for this time the caller takes what would end it as a message for the command.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use crate::sys::{self, Handled};

/// What the caller takes: requests to end, and the terminal's.
const TAKEN: [i32; 6] =
    [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGTSTP, libc::SIGWINCH];

/// Held by who takes signals: there is one set of them in a process.
static TURN: Mutex<()> = Mutex::new(());

/// From the handler to who takes signals. Never closed: a handler may still be running when it is not wanted any more.
static PIPE: OnceLock<Pipe> = OnceLock::new();

#[derive(Debug)]
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

/// The signals of this process, as long as this lives. Those that were ignored before are left alone.
#[derive(Debug)]
pub(crate) struct Signals {
    pipe: &'static Pipe,
    /// In this order: first they are as before, then it is somebody else's turn.
    _handled: Vec<Handled>,
    _turn: MutexGuard<'static, ()>,
}

impl Signals {
    /// Takes them, once nobody else has them.
    pub(crate) fn take() -> io::Result<Self> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let pipe = match PIPE.get() {
            Some(pipe) => pipe,
            None => {
                let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
                PIPE.get_or_init(|| Pipe { read, write })
            }
        };
        let mut handled = Vec::new();
        for signal in TAKEN {
            handled.extend(sys::handle_unless_ignored(signal, note)?);
        }
        let signals = Self { pipe, _handled: handled, _turn: turn };
        // What came too late for the one before.
        signals.received()?;
        Ok(signals)
    }

    /// The signals that have come and are for the command. A request to suspend is none: nobody could continue it.
    pub(crate) fn received(&self) -> io::Result<Vec<u8>> {
        let mut signals = vec![0; 64];
        let length = match rustix::io::retry_on_intr(|| rustix::io::read(&self.pipe.read, &mut signals)) {
            Ok(length) => length,
            Err(Errno::AGAIN) => 0,
            Err(error) => return Err(error.into()),
        };
        signals.truncate(length);
        signals.retain(|signal| i32::from(*signal) != libc::SIGTSTP);
        Ok(signals)
    }
}

impl AsFd for Signals {
    /// Can be read when there are signals.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.read.as_fd()
    }
}

/// Runs in the middle of anything, so it does one system call and nothing else. When the pipe is full, so many signals
/// are on their way that one more makes no difference.
extern "C" fn note(signal: i32) {
    if let (Some(pipe), Ok(byte)) = (PIPE.get(), u8::try_from(signal)) {
        let _ = rustix::io::write(&pipe.write, &[byte]);
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::Signal;

    use super::Signals;

    /// Bits of the signals that have a handler.
    fn caught() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("the status of this process");
        let set = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).expect("its signals");
        u64::from_str_radix(set, 16).expect("a set of bits")
    }

    #[test]
    fn signals_are_taken_in_turn_and_given_back() {
        let before = caught();
        let this = rustix::process::getpid();
        let send = |signal| rustix::process::kill_process(this, signal).expect("a signal to oneself");
        for _ in 0..2 {
            let signals = Signals::take().expect("the signals");
            for signal in [Signal::TERM, Signal::TSTP, Signal::WINCH] {
                send(signal);
            }
            let mut received = Vec::new();
            while received.len() < 2 {
                received.extend(signals.received().expect("signals"));
            }
            received.sort_unstable();
            assert_eq!(received, [15, 28], "TERM and WINCH");
        }
        assert_eq!(caught(), before);
    }
}

//! Process 1 at work: it reaps whatever ends, hands signals to the command, and looks at the tree from time to time. It
//! ends with the command, on a limit, or with the monitor; the kernel then kills all that is left.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus};

use super::descendants;
use crate::command::Limits;
use crate::error::{Doing, Failure, Step};
use crate::running::Status;

/// Between two looks at the tree.
const PERIOD: Duration = Duration::from_millis(50);

/// Which processes are the command's.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tree {
    /// All that there are but the first.
    Namespace,
    /// All below this one.
    Descendants,
}

/// Waits for the end of `command`, which has just started, or for what ends it; `None` when the monitor is gone.
pub(super) fn supervise(
    command: Pid,
    tree: Tree,
    limits: Limits,
    lifeline: &OwnedFd,
) -> Result<Option<(Status, Duration)>, Failure> {
    let started = Instant::now();
    let ended = |status| Ok(Some((status, started.elapsed())));
    let process = rustix::process::pidfd_open(command, PidfdFlags::empty()).doing(Step::Supervise)?;
    loop {
        let left = limits.time.saturating_sub(started.elapsed());
        if wait(&process, lifeline, left.min(PERIOD)).doing(Step::Supervise)? {
            let Some(signals) = read(lifeline).doing(Step::Supervise)? else { return Ok(None) };
            send(&signals, command);
        }
        if let Some(status) = reap(command).doing(Step::Supervise)? {
            return ended(status);
        }
        if started.elapsed() >= limits.time {
            return ended(Status::TimedOut);
        }
        let usage = Usage::of(tree).doing(Step::Supervise)?;
        if usage.memory > limits.memory {
            return ended(Status::OutOfMemory);
        }
        if usage.threads > limits.processes {
            return ended(Status::TooManyProcesses);
        }
    }
}

/// Waits for the command's end, but not longer than `time`; tells whether there is something from the monitor.
fn wait(process: &OwnedFd, lifeline: &OwnedFd, time: Duration) -> io::Result<bool> {
    let mut polled = [PollFd::new(process, PollFlags::IN), PollFd::new(lifeline, PollFlags::IN)];
    let time = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
    match rustix::event::poll(&mut polled, Some(&time)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let [_, lifeline] = polled;
    Ok(!lifeline.revents().is_empty())
}

/// What the monitor says: numbers of signals for the command. `None` when it is gone.
fn read(lifeline: &OwnedFd) -> io::Result<Option<Vec<u8>>> {
    let mut signals = vec![0; 64];
    let length = rustix::io::retry_on_intr(|| rustix::io::read(lifeline, &mut signals))?;
    signals.truncate(length);
    Ok((length > 0).then_some(signals))
}

/// Signals all of the command's group, as a terminal does.
fn send(signals: &[u8], command: Pid) {
    for signal in signals.iter().filter_map(|number| Signal::from_named_raw(i32::from(*number))) {
        // A group that is gone needs none.
        let _ = rustix::process::kill_process_group(command, signal);
    }
}

/// Takes note of every process that has ended, orphans included; gives the status of `command` if it is among them.
fn reap(command: Pid) -> io::Result<Option<Status>> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((ended, status))) if ended == command => return Ok(Some(status.into())),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

impl From<WaitStatus> for Status {
    fn from(status: WaitStatus) -> Self {
        match status.terminating_signal() {
            Some(signal) => Self::Signaled(signal),
            None => Self::Exited(status.exit_status().unwrap_or_default()),
        }
    }
}

/// What all processes of the sandbox hold together, the init itself left out.
#[derive(Debug, Default, PartialEq, Eq)]
struct Usage {
    /// Bytes of private and shared memory; not the files that are mapped.
    memory: u64,
    threads: u64,
}

impl Usage {
    fn of(tree: Tree) -> io::Result<Self> {
        let processes = match tree {
            Tree::Namespace => all_but_the_first()?,
            Tree::Descendants => descendants::all()?,
        };
        let mut usage = Self::default();
        for process in processes {
            let status = format!("/proc/{}/status", process.as_raw_nonzero());
            // One that ends meanwhile holds nothing any more.
            usage.add(&std::fs::read(status).unwrap_or_default());
        }
        Ok(usage)
    }

    /// Adds a process, given its `/proc/PID/status` (`proc_pid_status(5)`).
    fn add(&mut self, status: &[u8]) {
        for line in status.split(|byte| *byte == b'\n') {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = line.split_at(colon);
            let value = std::str::from_utf8(value).unwrap_or_default();
            let number = value.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().unwrap_or_default();
            match name {
                b"RssAnon" | b"RssShmem" => {
                    self.memory = self.memory.saturating_add(number.saturating_mul(1024));
                }
                b"Threads" => self.threads = self.threads.saturating_add(number),
                _ => {}
            }
        }
    }
}

fn all_but_the_first() -> io::Result<Vec<Pid>> {
    let mut processes = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        processes.extend(number.and_then(Pid::from_raw).filter(|process| !process.is_init()));
    }
    Ok(processes)
}

#[cfg(test)]
mod tests {
    use super::Usage;

    #[test]
    fn usage_counts_what_a_process_holds_for_itself() {
        let status = "Name:\tThreads: 9\nVmRSS:\t 900 kB\nRssAnon:\t     100 kB\nRssFile:\t     700 kB\n\
                      RssShmem:\t       4 kB\nThreads:\t3\nSigQ:\t1/2\n";
        let mut usage = Usage::default();
        usage.add(status.as_bytes());
        usage.add(b"RssAnon:\t1 kB\nThreads:\t1\n");
        assert_eq!(usage, Usage { memory: 105 * 1024, threads: 4 });
    }

    #[test]
    fn usage_survives_any_text() {
        for status in
            ["", ":", "RssAnon:", "RssAnon:\t99999999999999999999999 kB", "Threads:\t-1\n\n:\n\u{ff}"]
        {
            let mut usage = Usage { memory: u64::MAX, threads: u64::MAX };
            usage.add(status.as_bytes());
            assert_eq!(usage, Usage { memory: u64::MAX, threads: u64::MAX }, "{status:?}");
        }
    }
}

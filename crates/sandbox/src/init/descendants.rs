//! The processes below this one, where no namespace keeps them together. The kernel hands every orphan among them to
//! this process ([`adopt`]), so none gets away from it; `/proc` tells their numbers.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};

/// Between two rounds of ending what is left.
const PAUSE: Duration = Duration::from_millis(1);

/// From now on orphans among the descendants become children of this process (`PR_SET_CHILD_SUBREAPER`).
pub(super) fn adopt() -> io::Result<()> {
    // Which process is named does not matter to the kernel, but that one is.
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Kills and reaps every descendant, those included that are made meanwhile.
pub(super) fn end() -> io::Result<()> {
    loop {
        for process in all()? {
            match rustix::process::kill_process(process, Signal::KILL) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break,
                Err(Errno::CHILD) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        std::thread::sleep(PAUSE);
    }
}

/// Every descendant, in no order. One that is made at this moment may be missing.
pub(super) fn all() -> io::Result<Vec<Pid>> {
    let this = rustix::process::getpid();
    // Whether the kernel tells at all (CONFIG_PROC_CHILDREN) shows with this process's own.
    fs::read(format!("/proc/{0}/task/{0}/children", this.as_raw_nonzero()))?;
    let mut found = Vec::new();
    let mut next = vec![this];
    while let Some(process) = next.pop() {
        let children = children(process);
        found.extend(&children);
        next.extend(children);
    }
    Ok(found)
}

/// The children of all threads of a process; none where it is gone.
fn children(process: Pid) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{}/task", process.as_raw_nonzero()));
    let lists = threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let mut children = Vec::new();
    for list in lists {
        let numbers = list.split_ascii_whitespace().filter_map(|number| number.parse().ok());
        children.extend(numbers.filter_map(Pid::from_raw));
    }
    children
}

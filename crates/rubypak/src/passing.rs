//! Folders that are there for a moment: where a result is made, and where it is tested. They are gone at the end of a
//! run, and where a signal ends it.
//!
//! Invariants: between the first of them and the end of the process, every request to end (`SIGINT`, `SIGTERM`, `SIGHUP`)
//! that was not ignored before removes them all, then ends the process as it would have ended without. Whoever moves
//! something out of one does so in [`undisturbed`], so that it is never lost half on its way.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;

use fs_err as fs;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How often a folder is removed that somebody still writes to.
const ATTEMPTS: usize = 1000;

/// The folders that are there.
static THERE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
/// Whether a signal is ending the process.
static IS_ENDING: AtomicBool = AtomicBool::new(false);

/// A new and empty folder, which goes with this value.
#[derive(Debug)]
pub(crate) struct Passing {
    path: PathBuf,
}

impl Passing {
    /// Makes one in this folder.
    pub(crate) fn new_in(folder: &Path) -> io::Result<Self> {
        watch()?;
        let mut there = there();
        let folder = tempfile::Builder::new().prefix(".rubypak-").tempdir_in(folder)?;
        let path = folder.keep();
        there.insert(path.clone());
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it, with what it holds.
    pub(crate) fn remove(self) -> io::Result<()> {
        self.clear()
    }

    fn clear(&self) -> io::Result<()> {
        let mut there = there();
        if there.contains(&self.path) {
            rootfs::remove_directory(&self.path)?;
            there.remove(&self.path);
        }
        Ok(())
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        // After an error, which is the one to tell.
        let _ = self.clear();
    }
}

/// Does something that no signal comes between.
pub(crate) fn undisturbed<T>(work: impl FnOnce() -> T) -> T {
    let _there = there();
    work()
}

/// Waits for the end, where a signal is ending the process: what failed meanwhile failed because of it.
pub(crate) fn yield_to_signal() {
    while IS_ENDING.load(Ordering::SeqCst) {
        thread::park();
    }
}

fn there() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    THERE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts to listen for signals, once.
fn watch() -> io::Result<()> {
    static WATCHED: Once = Once::new();
    let mut failure = None;
    WATCHED.call_once(|| {
        let ignored = ignored();
        let wanted =
            [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
        match Signals::new(wanted) {
            Ok(mut signals) => {
                thread::spawn(move || {
                    if let Some(signal) = signals.forever().next() {
                        end(signal);
                    }
                });
            }
            Err(error) => failure = Some(error),
        }
    });
    failure.map_or(Ok(()), Err)
}

/// Bits of the signals that this process ignores, as `nohup` has it do (`proc_pid_status(5)`).
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}

/// Removes what is there, and ends the process.
fn end(signal: i32) {
    IS_ENDING.store(true, Ordering::SeqCst);
    // Held to the end: nothing new is made any more.
    let there = there();
    for path in there.iter() {
        // A thread that writes to it fails as soon as the folder itself is gone.
        let is_there = |_: &usize| path.symlink_metadata().is_ok();
        let failed = (0..ATTEMPTS).take_while(is_there).map(|_| rootfs::remove_directory(path)).last();
        if failed.is_some_and(|last| last.is_err()) {
            let _ = writeln!(io::stderr(), "{} is left behind", path.display());
        }
    }
    // Only a signal that may not be sent fails here.
    let _ = signal_hook::low_level::emulate_default_handler(signal);
}

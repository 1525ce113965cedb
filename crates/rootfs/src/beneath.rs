//! The way to names below an open folder that nothing leads out of: openat2(2) with `RESOLVE_BENEATH` and without links.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

/// Opens a path below a folder. No link is followed, not the last one either.
pub(crate) fn open(folder: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let mode = if flags.contains(OFlags::CREATE) { Mode::RUSR | Mode::WUSR } else { Mode::empty() };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::io::retry_on_intr(|| openat2(folder, path, flags, mode, resolve))
}

/// What to do about an error of [`open`] that has to do with the system.
pub(crate) fn hint(error: &io::Error) -> Option<&'static str> {
    match Errno::from_io_error(error)? {
        Errno::NOSYS => {
            Some("openat2 is needed, which Linux has since 5.6; an old container engine may hide it")
        }
        Errno::MFILE => Some("raise the limit of open files (ulimit -n)"),
        _ => None,
    }
}

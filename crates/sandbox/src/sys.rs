//! The few system calls that no safe wrapper offers. The only module of this crate with `unsafe`.
#![allow(unsafe_code)]

pub(crate) mod seccomp;

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::process::Pid;

/// Which of the two processes that return from [`fork`] this one is.
pub(crate) enum Side {
    /// The caller, with the new process as its own namespace sees it.
    Outside(Pid),
    /// The new process.
    Inside,
}

/// The namespaces of a new process.
#[derive(Clone, Copy)]
pub(crate) enum Namespaces {
    /// Every one is new, and the process number 1 in its own. Its ids are not mapped yet.
    New,
    /// Those of its parent.
    Same,
}

/// `fork(2)`. Call it with a single thread only: the child has no other, and locks that others hold stay locked.
pub(crate) fn fork(namespaces: Namespaces) -> io::Result<Side> {
    let new = match namespaces {
        Namespaces::New => {
            libc::CLONE_NEWUSER
                | libc::CLONE_NEWNS
                | libc::CLONE_NEWPID
                | libc::CLONE_NEWIPC
                | libc::CLONE_NEWUTS
                | libc::CLONE_NEWNET
                | libc::CLONE_NEWCGROUP
        }
        Namespaces::Same => 0,
    };
    let flags = libc::c_long::from(new | libc::SIGCHLD);
    let null = std::ptr::null::<libc::c_void>();
    // SAFETY: without CLONE_VM and with a null stack, clone(2) copies the caller as fork(2) does. No flag makes it
    // write through the remaining pointers, which are null in the argument order of every architecture.
    let result = unsafe { libc::syscall(libc::SYS_clone, flags, null, null, null, null) };
    match i32::try_from(result) {
        Ok(0) => Ok(Side::Inside),
        Ok(number @ 1..) => Pid::from_raw(number).map(Side::Outside).ok_or_else(io::Error::last_os_error),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Closes every open file but the standard three. What runs later inherits none that somebody forgot to mark.
///
/// Call it first: it also closes what the process itself opened.
pub(crate) fn close_inherited_files() -> io::Result<()> {
    // SAFETY: close_range(2) takes three integers. At the start of the process no value owns a descriptor past 2.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3 as libc::c_uint, libc::c_uint::MAX, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets the handling of every signal to its default: what was ignored stays ignored through `execve` otherwise.
pub(crate) fn restore_default_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL installs no handler. Signals that can't be set (KILL, STOP, the C library's own) are
        // refused with an error, which changes nothing.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// A signal that has a handler until this is dropped; then it is as before.
pub(crate) struct Handled {
    signal: libc::c_int,
    before: libc::sigaction,
}

/// Has `handler` called whenever `signal` comes, unless the process ignores it. System calls go on afterwards.
///
/// The handler may run at any moment in any thread: it must not do more than `signal-safety(7)` allows.
pub(crate) fn handle_unless_ignored(
    signal: libc::c_int,
    handler: extern "C" fn(libc::c_int),
) -> io::Result<Option<Handled>> {
    // SAFETY: sigaction is plain data, for which all zeros is a valid value: no flag, an empty mask.
    let (mut action, mut before): (libc::sigaction, libc::sigaction) = unsafe { std::mem::zeroed() };
    // SAFETY: without a new action, sigaction(2) only writes the present one through the pointer.
    if unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut before) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if before.sa_sigaction == libc::SIG_IGN {
        return Ok(None);
    }
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the action is a function of the type that is called without SA_SIGINFO, and it lives forever.
    if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Some(Handled { signal, before }))
}

impl Drop for Handled {
    fn drop(&mut self) {
        // SAFETY: this action was the valid one for this signal.
        unsafe { libc::sigaction(self.signal, &raw const self.before, std::ptr::null_mut()) };
    }
}

impl std::fmt::Debug for Handled {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Handled").field(&self.signal).finish()
    }
}

/// Makes a mount that hangs nowhere yet one that is only read.
pub(crate) fn make_read_only(tree: impl AsFd) -> io::Result<()> {
    let attributes =
        libc::mount_attr { attr_set: libc::MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let (tree, size) = (tree.as_fd().as_raw_fd(), size_of_val(&attributes));
    let flags = libc::AT_EMPTY_PATH;
    // SAFETY: the descriptor is open for the time of the call, the path is an empty string, and mount_setattr(2) reads
    // `size` bytes of the attributes.
    let result = unsafe {
        libc::syscall(libc::SYS_mount_setattr, tree, c"".as_ptr(), flags, &raw const attributes, size)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Brings up `lo` in the network namespace of the process; the kernel then gives it 127.0.0.1/8 and `::1`.
pub(crate) fn raise_loopback(socket: impl AsFd) -> io::Result<()> {
    // The type of requests is another in each C library; this one fits in all.
    const SIOCSIFFLAGS: u16 = 0x8914;
    // SAFETY: ifreq is plain data, for which all zeros is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    // IFF_UP; the field is a short, the constant an int.
    request.ifr_ifru.ifru_flags = 1;
    // SAFETY: the descriptor is open for the time of the call, and SIOCSIFFLAGS reads one ifreq at the pointer.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), SIOCSIFFLAGS.into(), &raw const request) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

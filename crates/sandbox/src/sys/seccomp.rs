//! Notifications of system calls (`seccomp_unotify(2)`), and reading the memory of who makes them.

use std::io;
use std::mem::{size_of, size_of_val};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use rustix::process::Pid;

/// One instruction of a filter (`bpf(4)`, the classic kind).
pub(crate) type Instruction = libc::sock_filter;

/// Has every later system call of this process and of those it makes pass the filter, for good. The process must have
/// `no_new_privs`.
pub(crate) fn install(filter: &[Instruction]) -> io::Result<()> {
    set_filter(filter, 0).map(|_| ())
}

/// The same; gives the file on which calls that the filter returns `SECCOMP_RET_USER_NOTIF` for are told.
pub(crate) fn install_telling(filter: &[Instruction]) -> io::Result<OwnedFd> {
    // With it a signal does not make a call begin anew that is being looked at. Linux before 5.19 does not know it.
    let steady = libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let result = match set_filter(filter, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | steady) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            set_filter(filter, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)?
        }
        result => result?,
    };
    let number = RawFd::try_from(result).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: with that flag, a call that succeeds gives a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn set_filter(filter: &[Instruction], flags: libc::c_ulong) -> io::Result<libc::c_long> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        filter: filter.as_ptr().cast_mut(),
    };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the program points to `len` instructions that outlive the call, which only reads them.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A system call that waits for an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Notification {
    /// The kernel's name for this one wait.
    pub(crate) id: u64,
    /// The thread, as the namespace of this process numbers it.
    pub(crate) thread: Pid,
    /// `AUDIT_ARCH_*`: whose numbers and argument widths it goes by.
    pub(crate) convention: u32,
    /// The number of the call.
    pub(crate) number: u32,
    pub(crate) arguments: [u64; 6],
}

/// The side that is told of system calls.
#[derive(Debug)]
pub(crate) struct Listener {
    file: OwnedFd,
    /// As long as the kernel's structure, which grows with its versions; of u64 for the alignment.
    buffer: Vec<u64>,
    answer: Vec<u64>,
}

impl Listener {
    pub(crate) fn new(file: OwnedFd) -> io::Result<Self> {
        let mut sizes =
            libc::seccomp_notif_sizes { seccomp_notif: 0, seccomp_notif_resp: 0, seccomp_data: 0 };
        let get = libc::SECCOMP_GET_NOTIF_SIZES;
        // SAFETY: the call writes one structure of this type through the pointer.
        if unsafe { libc::syscall(libc::SYS_seccomp, get, 0, &raw mut sizes) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let words =
            |kernel: u16, ours: usize| vec![0; usize::from(kernel).max(ours).div_ceil(size_of::<u64>())];
        // On Linux 6.6 and later: a call is answered on the processor it was made on, which halves what it costs.
        // SAFETY: takes an integer; where it is not known, it is refused.
        let _ = unsafe { libc::ioctl(file.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, 1) };
        Ok(Self {
            file,
            buffer: words(sizes.seccomp_notif, size_of::<libc::seccomp_notif>()),
            answer: words(sizes.seccomp_notif_resp, size_of::<libc::seccomp_notif_resp>()),
        })
    }

    /// The next call; `None` when the one that was to be told is gone. Blocks where nothing was to be told.
    pub(crate) fn receive(&mut self) -> io::Result<Option<Notification>> {
        // The kernel wants zeros, for what it may add one day.
        self.buffer.fill(0);
        let to = self.buffer.as_mut_ptr();
        // SAFETY: the buffer is as long as the kernel says that its structure is, and aligned for it.
        if unsafe { libc::ioctl(self.file.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, to) } != 0 {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(libc::ENOENT | libc::EINTR) => Ok(None),
                _ => Err(error),
            };
        }
        // SAFETY: the buffer is aligned for it and at least as long as this structure of integers, for which every
        // value is valid.
        let told = unsafe { self.buffer.as_ptr().cast::<libc::seccomp_notif>().read() };
        // 0 is a thread that this process's namespace has no number for.
        let thread =
            i32::try_from(told.pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Some(Notification {
            id: told.id,
            thread,
            convention: told.data.arch,
            number: told.data.nr.cast_unsigned(),
            arguments: told.data.args,
        }))
    }

    /// Is the thread still in that call? If so, what was read by its number before was its own.
    pub(crate) fn is_waiting(&self, call: &Notification) -> bool {
        // SAFETY: reads one u64 through the pointer.
        let result = unsafe {
            libc::ioctl(self.file.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const call.id)
        };
        result == 0
    }

    /// Lets the kernel do what was asked for, as if nobody had been told.
    pub(crate) fn proceed(&mut self, call: &Notification) -> io::Result<()> {
        let flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(1);
        let answer = libc::seccomp_notif_resp { id: call.id, val: 0, error: 0, flags };
        self.answer.fill(0);
        let to = self.answer.as_mut_ptr();
        // SAFETY: the buffer is aligned for this structure and at least as long.
        unsafe { to.cast::<libc::seccomp_notif_resp>().write(answer) };
        // SAFETY: the buffer is as long as the kernel says that its structure is.
        if unsafe { libc::ioctl(self.file.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, to) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            // Killed, or (before Linux 5.19) interrupted by a signal meanwhile.
            Some(libc::ENOENT) => Ok(()),
            _ => Err(error),
        }
    }
}

impl AsFd for Listener {
    /// Can be read when a call waits; hung up when nobody is left who could make one.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Reads memory of another process at an address; how many bytes were read. It must not cross a page.
pub(crate) fn read_memory(thread: Pid, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let Ok(address) = usize::try_from(address) else {
        return Err(io::Error::from_raw_os_error(libc::EFAULT));
    };
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: size_of_val(buffer) };
    let remote = libc::iovec { iov_base: std::ptr::without_provenance_mut(address), iov_len: local.iov_len };
    let thread = thread.as_raw_nonzero().get();
    // SAFETY: writes to the local buffer, at most its length; the remote address is looked up by the kernel in the
    // other process, never here.
    let result = unsafe { libc::process_vm_readv(thread, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

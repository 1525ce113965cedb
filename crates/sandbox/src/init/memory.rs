//! The memory of another process, and the texts in it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::process::Pid;

use crate::sys::seccomp;

/// The longest path that the kernel takes, its NUL byte included (`PATH_MAX`).
const PATH_MAX: usize = 4096;

/// No page of any machine is smaller.
const PAGE: u64 = 4096;

/// The kernel takes pointers with a tag in the highest byte on 64-bit ARM (Top Byte Ignore).
const ADDRESS: u64 = if cfg!(target_arch = "aarch64") { u64::MAX >> 8 } else { u64::MAX };

/// The way that memory is read. Both ask for the same right (`ptrace(2)`, `PTRACE_MODE_ATTACH`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    /// With one call, which the filters of older container engines forbid.
    ByCall,
    /// Through `/proc/PID/mem`.
    ByFile,
}

impl Memory {
    /// The path at an address; `None` where the kernel will refuse it: no end, or no memory.
    pub(super) fn path(&mut self, thread: Pid, address: u64) -> io::Result<Option<Vec<u8>>> {
        let mut path = Vec::new();
        if address == 0 {
            return Ok(None);
        }
        let mut buffer = [0; PATH_MAX];
        while path.len() < PATH_MAX {
            let address = address.wrapping_add(path.len() as u64);
            let length = left_in_page(address).min(PATH_MAX - path.len());
            let read = self.read(thread, address, buffer.get_mut(..length).unwrap_or_default())?;
            let part = buffer.get(..read).unwrap_or_default();
            if let Some(end) = part.iter().position(|byte| *byte == 0) {
                path.extend(part.iter().take(end));
                return Ok(Some(path));
            }
            if read < length {
                break;
            }
            path.extend(part);
        }
        Ok(None)
    }

    /// The number at an address; `None` where there is none.
    pub(super) fn number(&mut self, thread: Pid, address: u64) -> io::Result<Option<u64>> {
        let mut bytes = [0; 8];
        let (first, second) = bytes.split_at_mut(left_in_page(address).min(8));
        let after = address.wrapping_add(first.len() as u64);
        let whole = self.read(thread, address, first)? == first.len()
            && (second.is_empty() || self.read(thread, after, second)? == second.len());
        Ok(whole.then(|| u64::from_ne_bytes(bytes)))
    }

    /// Reads within one page; how much was read, 0 where there is no memory.
    fn read(&mut self, thread: Pid, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let address = address & ADDRESS;
        if *self == Self::ByCall {
            match seccomp::read_memory(thread, address, buffer) {
                Err(error) if error.raw_os_error() == Some(libc::EFAULT) => return Ok(0),
                Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)) => {}
                read => return read,
            }
        }
        let file = File::open(format!("/proc/{}/mem", thread.as_raw_nonzero()))?;
        // That it opens means that it was not this process's memory which the call was denied.
        *self = Self::ByFile;
        match file.read_at(buffer, address) {
            // Past what a file offset may be, and no memory.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EIO)) => Ok(0),
            read => read,
        }
    }
}

fn left_in_page(address: u64) -> usize {
    usize::try_from(PAGE - address % PAGE).unwrap_or(PATH_MAX)
}

#[cfg(test)]
mod tests {
    use super::{Memory, PATH_MAX};

    fn address(bytes: &[u8]) -> u64 {
        bytes.as_ptr().expose_provenance() as u64
    }

    #[test]
    fn both_ways_read_the_same() {
        let this = rustix::process::getpid();
        let longest = [vec![b'x'; PATH_MAX - 1], vec![0]].concat();
        let too_long = vec![b'x'; 2 * PATH_MAX];
        let number = 0x0123_4567_89AB_CDEF_u64.to_ne_bytes();
        for way in [Memory::ByCall, Memory::ByFile] {
            let mut memory = way;
            let mut path = |address| memory.path(this, address).expect("memory of this process");
            assert_eq!(path(address(b"/a\xFF\0b\0")).as_deref(), Some(&b"/a\xFF"[..]));
            assert_eq!(path(address(b"\0")).as_deref(), Some(&b""[..]));
            assert_eq!(path(address(&longest)).map(|path| path.len()), Some(PATH_MAX - 1));
            for address in [address(&too_long), 0, 1, 4095, u64::MAX, u64::MAX - 4095, 1 << 63] {
                assert_eq!(path(address), None, "{address:#x}");
            }
            assert_eq!(memory.number(this, address(&number)).expect("memory"), Some(0x0123_4567_89AB_CDEF));
            assert_eq!(memory.number(this, 8).expect("no memory"), None);
            assert_eq!(memory, way);
        }
    }
}

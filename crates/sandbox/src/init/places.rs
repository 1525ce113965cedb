//! Where a path of the command leads, seen from outside: its root as an open folder, working directories and open
//! folders by the links in `/proc`.

use std::ffi::OsStr;
use std::fmt::Write;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::process::Pid;

use crate::error::Failure;
use crate::trace::Use;

/// `openat2(2)`: paths never lead out of the folder.
pub(super) const RESOLVE_IN_ROOT: u64 = ResolveFlags::IN_ROOT.bits();

/// A folder in the command's root, in which no part is a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base(Vec<u8>);

impl Base {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// How paths are recorded.
pub(super) type Record<'a> = &'a mut dyn FnMut(&Places, &[u8], Use) -> Result<(), Failure>;

/// The root of the command.
pub(super) struct Places {
    root: OwnedFd,
    /// As `/proc` names it to this process; what it names inside begins with it.
    name: Vec<u8>,
}

impl Places {
    pub(super) fn new(root: OwnedFd) -> io::Result<Self> {
        let mut name = read_link(&format!("/proc/self/fd/{}", root.as_raw_fd()))?;
        if name == b"/" {
            name.clear();
        }
        let places = Self { root, name };
        // Where a filter denies it, everything would look absent.
        places.open(b"/", OFlags::DIRECTORY)?;
        Ok(places)
    }

    /// Where a relative path starts: at an open folder, or without one at the working directory. `None` where the
    /// thread has nothing open there, or something without a path.
    pub(super) fn base(&self, thread: Pid, folder: Option<i32>) -> io::Result<Option<Base>> {
        match folder {
            None | Some(libc::AT_FDCWD) => self.link(thread, "cwd"),
            Some(number @ 0..) => self.link(thread, &format!("fd/{number}")),
            Some(_) => Ok(None),
        }
    }

    fn link(&self, thread: Pid, name: &str) -> io::Result<Option<Base>> {
        let mut path = String::with_capacity(32);
        // Writing to a string does not fail.
        let _ = write!(path, "/proc/{}/{name}", thread.as_raw_nonzero());
        match read_link(&path) {
            Ok(target) => Ok(self.inside(&target)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What `/proc` names, as the command knows it. Pipes and the like have no path.
    fn inside(&self, name: &[u8]) -> Option<Base> {
        let inside = name.strip_prefix(self.name.as_slice())?;
        match inside.first() {
            Some(b'/') => Some(Base(if inside == b"/" { Vec::new() } else { inside.to_vec() })),
            None if !name.is_empty() => Some(Base(Vec::new())),
            _ => None,
        }
    }

    /// An absolute path. One that leads through a link of `/proc` which means something else to each process starts
    /// where that link leads.
    pub(super) fn of_process<'p>(&self, thread: Pid, path: &'p [u8]) -> io::Result<(Base, &'p [u8])> {
        let own = [&b"/proc/self/"[..], b"/proc/thread-self/"];
        let (link, rest) = if let Some(rest) = path.strip_prefix(b"/dev/fd/") {
            descriptor_link(rest)
        } else if let Some(rest) = own.iter().find_map(|own| path.strip_prefix(*own)) {
            let (name, after) = split(rest);
            match name {
                b"cwd" => (Some("cwd".to_owned()), after),
                b"root" => return Ok((Base(Vec::new()), after)),
                b"exe" => (Some("exe".to_owned()), after),
                b"fd" => descriptor_link(after),
                _ => (None, path),
            }
        } else {
            (None, path)
        };
        let base = link.map(|link| self.link(thread, &link)).transpose()?.flatten();
        Ok(base.map_or((Base(Vec::new()), path), |base| (base, rest)))
    }

    /// Records a path, and what is passed before a `..` in it.
    pub(super) fn settle(
        &self,
        base: Base,
        path: &[u8],
        in_root: bool,
        used: Use,
        record: Record<'_>,
    ) -> Result<(), Failure> {
        let Base(mut settled) = base;
        let floor = if in_root { settled.len() } else { 0 };
        // Up to here no part is a link.
        let mut plain = settled.len();
        for part in path.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    if settled.len() > plain {
                        record(self, &settled, Use::LookedUp)?;
                        // Where there is no such folder, the kernel finds nothing either.
                        let Some(Base(real)) = self.resolve(&settled) else { return Ok(()) };
                        settled = real;
                    }
                    let parent = settled.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                    settled.truncate(parent.max(floor.min(settled.len())));
                    plain = settled.len();
                }
                part => {
                    settled.push(b'/');
                    settled.extend(part);
                }
            }
        }
        if settled.is_empty() {
            settled.push(b'/');
        }
        record(self, &settled, used)
    }

    /// The folder that a path leads to, by links too.
    fn resolve(&self, path: &[u8]) -> Option<Base> {
        let folder = self.open(path, OFlags::DIRECTORY).ok()?;
        let name = read_link(&format!("/proc/self/fd/{}", folder.as_raw_fd())).ok()?;
        self.inside(&name)
    }

    /// Is there something of this name, be it a link that leads nowhere?
    pub(super) fn is_there(&self, path: &[u8]) -> bool {
        self.open(path, OFlags::NOFOLLOW).is_ok()
    }

    fn open(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::PATH | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        // The kernel gives up when something is renamed or mounted meanwhile, anywhere (`openat2(2)`, EAGAIN).
        let mut tries = 0;
        loop {
            match rustix::fs::openat2(&self.root, OsStr::from_bytes(path), flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN) if tries < 100 => tries += 1,
                other => return other,
            }
        }
    }
}

/// The link of a descriptor whose number a path begins with, and the rest.
fn descriptor_link(path: &[u8]) -> (Option<String>, &[u8]) {
    let (name, rest) = split(path);
    let number = std::str::from_utf8(name).ok().and_then(|name| name.parse::<u32>().ok());
    (number.map(|number| format!("fd/{number}")), rest)
}

/// The first part of a relative path, and the rest.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let end = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
    path.split_at(end)
}

fn read_link(path: &str) -> io::Result<Vec<u8>> {
    Ok(rustix::fs::readlink(path, Vec::new())?.into_bytes())
}

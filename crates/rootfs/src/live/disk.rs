//! The system calls of a root on a disk, and what they could not read.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::CStr;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::buffer::spare_capacity;
use rustix::fs::{FileType, FsWord, OFlags, RawDir, Stat, fgetxattr, flistxattr, fstat, fstatfs};
use rustix::io::{Errno, read};

use crate::beneath::open;
use crate::content::Content;
use crate::filesystem::{Attempt, Fault};
use crate::path::RootPath;

/// Files up to this size are read, larger ones are mapped: a map costs about as much as it does to copy this much.
const SMALL: usize = 64 << 10;
/// How many bytes of a folder are listed at a time.
const LISTED_AT_A_TIME: usize = 16 << 10;
/// How long the names of all attributes of a file, or the value of one, may be (xattr(7)).
const LONGEST_ATTRIBUTE: usize = 64 << 10;

/// How files are opened: should a device or a pipe be there, opening must not wait for it.
pub(super) const READING: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// The numbers of file systems that hold no files, but what the kernel tells (statfs(2), linux/magic.h).
const MADE_UP: [FsWord; 20] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x1cd1,      // devpts
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0x6265_6570, // configfs
    0x6165_676c, // pstore
    0xde5e_81e4, // efivarfs
    0xcafe_4a11, // bpf
    0x1980_0202, // mqueue
    0x4249_4e4d, // binfmt_misc
    0x6573_5543, // fusectl
    0xf97c_ff8c, // selinuxfs
    0x9584_58f6, // hugetlbfs
    0x6e73_6673, // nsfs
    0x6759_6969, // rpc_pipefs
    0x0187,      // autofs
];

/// What a folder of devices is mounted as: `devtmpfs` calls itself one of these (tmpfs, ramfs).
const IN_MEMORY: [FsWord; 2] = [0x0102_1994, 0x8584_58f6];

/// The open top of a root, and what could not be read below it.
pub(super) struct Disk {
    top: OwnedFd,
    faults: Mutex<BTreeSet<Fault>>,
}

/// Which file of the machine it is: its device, and its number there.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity(u64, u64);

/// Names and values of extended attributes, sorted.
type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

impl Identity {
    pub(super) fn of(stat: &Stat) -> Self {
        Self(stat.st_dev, stat.st_ino)
    }
}

/// A file that is open for reading, and its status.
pub(crate) struct OpenFile {
    fd: OwnedFd,
    pub(super) stat: Stat,
}

/// A file that is read when somebody wants its bytes.
pub(crate) struct OnDisk {
    disk: Arc<Disk>,
    path: RootPath,
    identity: Identity,
    /// How many bytes it had when it was seen.
    size: u64,
    /// In a box: few files of a large root are read as a whole.
    content: OnceLock<Box<Result<Content, Fault>>>,
}

impl OnDisk {
    pub(super) fn new(disk: &Arc<Disk>, path: &RootPath, identity: Identity, size: u64) -> Self {
        Self { disk: Arc::clone(disk), path: path.clone(), identity, size, content: OnceLock::new() }
    }

    /// How many bytes it has: those that were read, or as many as there were when it was seen.
    pub(crate) fn size(&self) -> u64 {
        match self.content.get().map(|read| &**read) {
            Some(Ok(content)) => content.size(),
            Some(Err(_)) | None => self.size,
        }
    }

    pub(crate) fn content(&self) -> Result<&Content, Fault> {
        let read = || {
            Box::new(self.disk.open_file(&self.path, self.identity).and_then(OpenFile::read).map_err(
                |error| {
                    let fault = fault(&self.path, Attempt::Read, error);
                    self.disk.record(fault.clone());
                    fault
                },
            ))
        };
        (**self.content.get_or_init(read)).as_ref().map_err(Clone::clone)
    }

    /// Lends the bytes, at most the first `most`, and keeps them only where they were kept before, or are so many that they
    /// are mapped.
    pub(crate) fn glance<T>(&self, most: usize, look: impl FnOnce(&[u8]) -> T) -> T {
        self.lend(|| self.disk.open_file(&self.path, self.identity), most, look)
    }

    /// As [`glance`](Self::glance), from an open file. Should that be another one, it is not read.
    pub(crate) fn glance_at<T>(&self, open: OpenFile, most: usize, look: impl FnOnce(&[u8]) -> T) -> T {
        if Identity::of(&open.stat) == self.identity {
            self.lend(|| Ok(open), most, look)
        } else {
            self.glance(most, look)
        }
    }

    fn lend<T>(
        &self,
        open: impl FnOnce() -> rustix::io::Result<OpenFile>,
        most: usize,
        look: impl FnOnce(&[u8]) -> T,
    ) -> T {
        thread_local! {
            static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
        }
        if self.content.get().is_none() {
            // Whoever looks may glance at another file meanwhile, which takes a buffer of its own then.
            let mut buffer = BUFFER.take();
            let read = open().and_then(|file| file.read_start(most, &mut buffer));
            if let Ok(Some(length)) = read {
                let answer = look(&buffer[..length]);
                BUFFER.set(buffer);
                return answer;
            }
            BUFFER.set(buffer);
        }
        // Too many bytes for a buffer are mapped; why they cannot be read is noted.
        let bytes = self.content().map(|content| &**content).unwrap_or_default();
        look(&bytes[..bytes.len().min(most)])
    }
}

impl OpenFile {
    /// Opens the file of a name in a folder; `None` where it is none, or cannot be opened.
    pub(super) fn open(folder: BorrowedFd<'_>, name: &[u8]) -> Option<Self> {
        Self::of(open(folder, name, READING).ok()?).ok().flatten()
    }

    /// `None` where something else than a file is open.
    fn of(fd: OwnedFd) -> rustix::io::Result<Option<Self>> {
        let stat = fstat(&fd)?;
        Ok((FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then_some(Self { fd, stat }))
    }

    fn size(&self) -> rustix::io::Result<usize> {
        usize::try_from(self.stat.st_size).map_err(|_| Errno::FBIG)
    }

    /// Its bytes: read, or mapped.
    fn read(self) -> rustix::io::Result<Content> {
        let size = self.size()?;
        if size > SMALL {
            let file = File::from(self.fd);
            return Content::map_open(&file)
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO));
        }
        let mut bytes = Vec::with_capacity(size);
        while bytes.len() < size {
            if rustix::io::retry_on_intr(|| read(&self.fd, spare_capacity(&mut bytes)))? == 0 {
                break;
            }
        }
        Ok(bytes.into())
    }

    /// Puts its bytes, at most the first `most`, at the start of a buffer that grows to hold them; gives their number. `None`
    /// where they are more than should be read.
    fn read_start(&self, most: usize, buffer: &mut Vec<u8>) -> rustix::io::Result<Option<usize>> {
        let wanted = self.size()?.min(most);
        if wanted > SMALL {
            return Ok(None);
        }
        buffer.resize(buffer.len().max(wanted), 0);
        let mut length = 0;
        while length < wanted {
            match rustix::io::retry_on_intr(|| read(&self.fd, &mut buffer[length..wanted]))? {
                0 => break,
                more => length += more,
            }
        }
        Ok(Some(length))
    }
}

impl Disk {
    pub(super) fn new(top: OwnedFd) -> Self {
        Self { top, faults: Mutex::default() }
    }

    pub(super) fn open(&self, path: &RootPath, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let below_top = if path.is_root() { b"." } else { path.relative() };
        open(self.top.as_fd(), below_top, flags)
    }

    /// Calls `visit` with each name in a folder, what the folder says that it is, and the open folder.
    pub(super) fn list(
        &self,
        folder: &RootPath,
        mut visit: impl FnMut(BorrowedFd<'_>, &CStr, FileType),
    ) -> rustix::io::Result<()> {
        let fd = self.open(folder, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut buffer = [MaybeUninit::uninit(); LISTED_AT_A_TIME];
        let mut names = RawDir::new(&fd, &mut buffer);
        while let Some(entry) = names.next() {
            let entry = entry?;
            let name = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") {
                visit(fd.as_fd(), name, entry.file_type());
            }
        }
        Ok(())
    }

    /// Opens the file that was seen at a path.
    fn open_file(&self, path: &RootPath, identity: Identity) -> rustix::io::Result<OpenFile> {
        let file = OpenFile::of(self.open(path, READING)?)?;
        file.filter(|file| Identity::of(&file.stat) == identity).ok_or(Errno::STALE)
    }

    /// The attributes of a file or folder that an image keeps.
    pub(super) fn attributes(&self, path: &RootPath) -> Result<Attributes, Fault> {
        let read = || {
            let fd = match self.open(path, READING) {
                // A file was read before; a folder that may not be listed shows its users' attributes to nobody either.
                Err(Errno::ACCESS) => return Ok(Vec::new()),
                fd => fd?,
            };
            let mut names = Vec::with_capacity(LONGEST_ATTRIBUTE);
            match flistxattr(&fd, spare_capacity(&mut names)) {
                Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
                length => length?,
            };
            let mut attributes = Vec::new();
            for name in names.split(|&byte| byte == 0).filter(|name| is_kept(name)) {
                let mut value = Vec::with_capacity(LONGEST_ATTRIBUTE);
                match fgetxattr(&fd, name, spare_capacity(&mut value)) {
                    Err(Errno::NODATA) => continue,
                    length => length?,
                };
                attributes.push((name.to_vec(), value));
            }
            attributes.sort_unstable();
            Ok(attributes)
        };
        read().map_err(|error| fault(path, Attempt::Read, error))
    }

    pub(super) fn note(&self, path: &RootPath, attempt: Attempt, error: Errno) {
        self.record(fault(path, attempt, error));
    }

    pub(super) fn faults(&self) -> Vec<Fault> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn record(&self, fault: Fault) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).insert(fault);
    }
}

/// Whether the kernel makes up what is in a folder where something is mounted.
pub(super) fn is_made_up(path: &RootPath, folder: &OwnedFd) -> rustix::io::Result<bool> {
    let number = fstatfs(folder)?.f_type;
    Ok(MADE_UP.contains(&number) || (path.as_bytes() == b"/dev" && IN_MEMORY.contains(&number)))
}

fn is_kept(attribute: &[u8]) -> bool {
    attribute == b"security.capability" || attribute.starts_with(b"user.")
}

fn fault(path: &RootPath, attempt: Attempt, error: Errno) -> Fault {
    Fault { path: path.clone(), attempt, errno: error.raw_os_error() }
}

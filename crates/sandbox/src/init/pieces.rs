//! A root in pieces, for a caller who may not see what mounts of the host cover.
//!
//! Whoever has no right to mount gets the host's tree with its mounts locked together (`mount_namespaces(7)`): none may
//! be taken away from the folder below it, and a folder with such mounts is no layer of an overlay. The folders without
//! any are. So a root that has mounts in it, `/` most of all, is made of an overlay for each folder that has none, of
//! plain folders for those on the way, and of empty ones for the mounts. A file beside them is there to be read only.
//! `/tmp` comes along where it is a mount, too.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::ops::Bound;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::mount::MountFlags;

use super::mounts;
use crate::error::{Doing, Failure, Step};
use crate::sys;

/// Made anew in every root, so nothing of them is taken from the host.
const OWN: [&str; 2] = ["dev", "proc"];

/// Where programs write for a moment.
const TEMPORARY: &str = "tmp";

/// Written anew, which the place of a mounted file could not be.
const WRITTEN: [&str; 2] = ["etc/hostname", "etc/hosts"];

/// Puts a folder of the host together, at `root` of the working directory: a tmpfs, which has the upper layers too.
pub(super) fn assemble(folder: &Path) -> Result<(), Failure> {
    let folder = folder.canonicalize().doing_to(Step::OpenLayer, folder)?;
    let mounts = fs::read("/proc/self/mountinfo").doing_to(Step::OpenLayer, &folder)?;
    for name in ["lower", "upper", "work", "root"] {
        make_directory(Path::new(name), 0o755).doing(Step::StackLayers)?;
    }
    // Only a mount can become the root.
    mounts::open_tree("root").and_then(|root| mounts::move_mount(&root, "root")).doing(Step::StackLayers)?;
    let mut assembly = Assembly { mounts: mount_points(&mounts), overlays: 0, base: folder.clone() };
    let root = Path::new("root");
    assembly.fill(&folder, root)?;
    match make_directory(&root.join(TEMPORARY), 0o1777) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).doing_to(Step::MountTemporary, "/tmp")
        }
        _ => Ok(()),
    }
}

struct Assembly {
    /// Where the host has mounts.
    mounts: BTreeSet<PathBuf>,
    overlays: usize,
    base: PathBuf,
}

impl Assembly {
    fn fill(&mut self, from: &Path, to: &Path) -> Result<(), Failure> {
        let entries = match fs::read_dir(from) {
            // What the caller may not read, the command may not either.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
            entries => entries.doing_to(Step::OpenLayer, from)?,
        };
        for entry in entries {
            let entry = entry.doing_to(Step::OpenLayer, from)?;
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            match self.add(&entry, &from, &to) {
                // It went away meanwhile, as what is in `/tmp` does.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !is_there(&from) => continue,
                added => added.doing_to(Step::StackLayers, &from)?,
            }
            if self.is_on_the_way(&from) {
                self.fill(&from, &to)?;
            }
        }
        Ok(())
    }

    /// One entry; of a folder with mounts in it, that folder alone.
    fn add(&mut self, entry: &fs::DirEntry, from: &Path, to: &Path) -> io::Result<()> {
        let metadata = entry.metadata()?;
        let kind = metadata.file_type();
        let replaced = self.is_replaced(from);
        if kind.is_symlink() {
            symlink(fs::read_link(from)?, to)
        } else if kind.is_dir() {
            make_directory(to, metadata.mode())?;
            if replaced || self.is_left_empty(from) || self.is_on_the_way(from) {
                return Ok(());
            }
            self.overlay(from, to, metadata.mode())
        } else if kind.is_file() && !replaced {
            fs::File::create_new(to)?;
            if self.mounts.contains(from) {
                return Ok(());
            }
            let file = mounts::open_tree(from)?;
            sys::make_read_only(file.as_fd())?;
            mounts::move_mount(&file, to)
        } else {
            Ok(())
        }
    }

    fn overlay(&mut self, from: &Path, to: &Path, mode: u32) -> io::Result<()> {
        let number = self.overlays;
        self.overlays = number.saturating_add(1);
        let [lower, upper, work] = ["lower", "upper", "work"].map(|name| format!("{name}/{number}"));
        // The folder's own mode is that of the upper one.
        for (path, mode) in [(&lower, 0o755), (&upper, mode), (&work, 0o755)] {
            make_directory(Path::new(path), mode)?;
        }
        mounts::move_mount(&mounts::open_tree(from)?, lower.as_str())?;
        let options = format!("userxattr,lowerdir={lower},upperdir={upper},workdir={work}");
        mounts::mount("overlay", to, "overlay", MountFlags::empty(), &options)
    }

    /// Is it a folder to be made of what it holds?
    fn is_on_the_way(&self, path: &Path) -> bool {
        self.has_mounts_below(path) && !self.is_left_empty(path) && !self.is_replaced(path)
    }

    /// Is there a mount whose content does not come along?
    fn is_left_empty(&self, path: &Path) -> bool {
        self.mounts.contains(path) && path.strip_prefix(&self.base) != Ok(Path::new(TEMPORARY))
    }

    fn has_mounts_below(&self, path: &Path) -> bool {
        let mut after = self.mounts.range::<Path, _>((Bound::Excluded(path), Bound::Unbounded));
        after.next().is_some_and(|mount| mount.starts_with(path))
    }

    fn is_replaced(&self, path: &Path) -> bool {
        let inside = path.strip_prefix(&self.base).unwrap_or(path);
        OWN.iter().chain(&WRITTEN).any(|name| inside == Path::new(name))
    }
}

/// The fifth field of each line (`proc_pid_mountinfo(5)`).
fn mount_points(text: &[u8]) -> BTreeSet<PathBuf> {
    let lines = text.split(|byte| *byte == b'\n');
    let fields = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    fields.map(|field| PathBuf::from(OsString::from_vec(unescape(field)))).collect()
}

/// Space, tab, newline and backslash are there as `\` and three octal digits.
fn unescape(mut field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    while let Some((first, rest)) = field.split_first() {
        field = rest;
        let digits =
            rest.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                field = rest.get(3..).unwrap_or_default();
            }
            None => bytes.push(*first),
        }
    }
    bytes
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::mkdir(path, Mode::from_raw_mode(mode & 0o7777))?)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Assembly, mount_points};

    #[test]
    fn mounts_are_read_whatever_their_names() {
        let text = b"22 27 0:21 / /proc rw - proc proc rw\n23 27 0:22 / /a\\040b\\134\\011 rw - x x rw\nshort line\n\n\
                     24 1 0:1 / /\\9\\04 rw - x x rw\n25 1 0:1 / /\xff rw - x x rw\n26 1 0:1 / \\";
        let expected: [&[u8]; 5] = [b"/\\9\\04", b"/a b\\\t", b"/proc", b"/\xff", b"\\"];
        let found: Vec<Vec<u8>> =
            mount_points(text).into_iter().map(|path| path.into_os_string().into_encoded_bytes()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_mount_is_below_its_parents_alone() {
        let mounts = ["/a/b", "/a/b/c", "/a-x/y", "/z"].map(PathBuf::from).into();
        let assembly = Assembly { mounts, overlays: 0, base: PathBuf::from("/") };
        for (path, expected) in [
            ("/a", true),
            ("/a/b", true),
            ("/a/b/c", false),
            ("/a-", false),
            ("/a-x", true),
            ("/z", false),
            ("/", true),
        ] {
            assert_eq!(assembly.has_mounts_below(Path::new(path)), expected, "{path}");
        }
    }
}

//! The root of the sandbox. What comes from the host (layers, device nodes) is opened first, as mounts that hang
//! nowhere; a tmpfs over the lowest layer's folder is the place to work in, so no folder of the host has to exist
//! for it; from `pivot_root` on every path leads inside the new root, links of an image included.
//!
//! One tmpfs serves everything writable, so one size bounds it: the overlays' upper folders, `/dev`, `/dev/shm`.
//! Its relative names are also all that the mount table shows of the layers.
//!
//! `/tmp` is an overlay of its own: on many machines it is a mount, which a copy of the root comes without, and its new
//! upper folder is open to every user whoever owns the one below.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags,
};

use super::pieces;
use crate::error::{Doing, Failure, Step};
use crate::wire::{Location, Setup, Workplace};

/// Nodes taken from the host: a user namespace can't make any.
const NODES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];

/// Names in `/dev` that lead elsewhere.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("ptmx", "pts/ptmx"),
    ("stderr", "/proc/self/fd/2"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
];

/// Leaves the host's file system for a root of the given layers, with all that belongs in it.
pub(super) fn enter_root(setup: &Setup, layers: Option<Layers>) -> Result<(), Failure> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .doing(Step::EnterRoot)?;
    let nodes = open_nodes()?;
    let workplace = open_workplace(&setup.root)?;
    let temporary = match layers.map_or_else(|| open_layers(&setup.root), Ok) {
        Ok(layers) => Some(stack(setup, &layers)?),
        Err(failure) => {
            stack_pieces(setup, failure)?;
            None
        }
    };
    let devices = open_tree("dev").doing_to(Step::MakeDevices, "/dev")?;
    pivot().doing(Step::EnterRoot)?;
    // Before the host's own goes: the kernel gives a new one only to who sees one already.
    mount_proc()?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).doing(Step::EnterRoot)?;
    std::env::set_current_dir("/").doing(Step::EnterRoot)?;
    if let Some(temporary) = &temporary {
        attach(temporary, "/tmp").doing_to(Step::MountTemporary, "/tmp")?;
    }
    make_devices(&devices, &nodes)?;
    if let Some((place, folder)) = &workplace {
        attach_below(folder, place).doing_to(Step::MountWorkplace, place)?;
    }
    write_hosts(&setup.hostname)
}

/// Copies of the layers as mounts that hang nowhere, lowest first.
pub(super) struct Layers {
    /// Each without what is mounted in it.
    roots: Vec<OwnedFd>,
    /// The `/tmp` of those that have one, be it a mount.
    temporaries: Vec<OwnedFd>,
}

/// Opens the layers.
pub(super) fn open_layers(root: &Location) -> Result<Layers, Failure> {
    let open = |layer: &OsString| open_tree(inside(layer)).doing_to(Step::OpenLayer, layer);
    let roots = folders(root).iter().map(open).collect::<Result<_, _>>()?;
    Ok(Layers { roots, temporaries: open_temporaries(root)? })
}

/// Nothing can be mounted on a `/tmp` that is a link.
fn open_temporaries(root: &Location) -> Result<Vec<OwnedFd>, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut trees = Vec::new();
    for layer in folders(root) {
        let path = Path::new(layer).join("tmp");
        match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(folder) => trees.push(open_tree_of(&folder).doing_to(Step::MountTemporary, path)?),
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(error) => return Err(error).doing_to(Step::MountTemporary, path),
        }
    }
    Ok(trees)
}

/// The folder to work in, as a mount that hangs nowhere, and where it goes.
fn open_workplace(root: &Location) -> Result<Option<(&OsStr, OwnedFd)>, Failure> {
    let Location::Layers { workplace: Some(Workplace { folder, place }), .. } = root else { return Ok(None) };
    let tree = open_tree(inside(folder)).doing_to(Step::OpenWorkplace, folder)?;
    Ok(Some((place, tree)))
}

fn folders(root: &Location) -> &[OsString] {
    match root {
        Location::Layers { folders, .. } => folders,
        Location::Chroot(_) | Location::InPlace => &[],
    }
}

fn open_nodes() -> Result<Vec<(&'static str, OwnedFd)>, Failure> {
    let open = |name: &'static str| {
        let path = format!("/dev/{name}");
        open_tree(&path).map(|tree| (name, tree)).doing_to(Step::OpenDevice, path)
    };
    NODES.into_iter().map(open).collect()
}

/// Mounts the overlay on the folder `root` of a new tmpfs, and leaves that tmpfs as the working directory. Gives what
/// becomes `/tmp`.
fn stack(setup: &Setup, layers: &Layers) -> Result<OwnedFd, Failure> {
    let place = folders(&setup.root).first().ok_or(Errno::INVAL).doing(Step::OpenLayer)?;
    mount_storage(place, setup.limits.storage).doing_to(Step::MountStorage, place)?;
    overlay("root", 0o755, &layers.roots).and_then(|()| make_devices_folder()).doing(Step::StackLayers)?;
    match layers.temporaries.as_slice() {
        [] => new_folder("tmp", 0o1777),
        temporaries => overlay("tmp", 0o1777, temporaries),
    }
    .and_then(|()| open_tree("tmp"))
    .doing_to(Step::MountTemporary, "/tmp")
}

/// The same for one layer that could not be opened, if it was for the mounts in it. The tmpfs must not cover the layer
/// here: it goes over `/dev`, which is there and of which all that is needed is open.
fn stack_pieces(setup: &Setup, failure: Failure) -> Result<(), Failure> {
    let [folder] = folders(&setup.root) else { return Err(failure) };
    if failure.errno != libc::EINVAL {
        return Err(failure);
    }
    mount_storage(OsStr::new("/dev"), setup.limits.storage).doing_to(Step::MountStorage, "/dev")?;
    pieces::assemble(Path::new(folder))?;
    make_devices_folder().doing(Step::StackLayers)
}

/// Mounts a tmpfs of `size` bytes and makes it the working directory: by its handle, never by the path of the place,
/// which might lead under the mount and so into the host's files.
fn mount_storage(place: &OsStr, size: u64) -> io::Result<()> {
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    // A file without content takes memory as well, so their number is bounded too. And no size is no bound.
    let files = (size >> 12).saturating_add(1024);
    for (name, value) in
        [("mode", "0755"), ("size", &size.max(1).to_string()), ("nr_inodes", &files.to_string())]
    {
        rustix::mount::fsconfig_set_string(&context, name, value)?;
    }
    rustix::mount::fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let tree = rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    move_mount(&tree, inside(place))?;
    Ok(rustix::process::fchdir(tree)?)
}

/// The folder that a path leads to, by a link as well; for anything but a folder it does not resolve.
fn inside(layer: &OsStr) -> PathBuf {
    Path::new(layer).join(".")
}

/// Mounts an overlay of the layers, lowest first, on a new folder of the working directory: with this mode, whatever the
/// layers' own is.
fn overlay(place: &str, mode: u32, layers: &[OwnedFd]) -> io::Result<()> {
    let [upper, work] = ["upper", "work"].map(|name| format!("{place}-{name}"));
    for (name, mode) in [(upper.as_str(), mode), (&work, 0o755), (place, 0o755)] {
        new_folder(name, mode)?;
    }
    // Highest first, as overlayfs wants it.
    let mut options = format!("userxattr,upperdir={upper},workdir={work},lowerdir=");
    for (number, layer) in layers.iter().enumerate().rev() {
        let name = format!("{place}-{number}");
        attach(layer, &name)?;
        let separator = if number == 0 { "" } else { ":" };
        // Writing to a string does not fail.
        let _ = write!(options, "{name}{separator}");
    }
    mount("overlay", place, "overlay", MountFlags::empty(), &options)
}

/// What becomes `/dev`.
fn make_devices_folder() -> io::Result<()> {
    new_folder("dev", 0o755)
}

fn new_folder(name: &str, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::mkdir(name, Mode::from_raw_mode(mode))?)
}

/// Makes the overlay the root. The old root is then mounted over it, and the working directory (`pivot_root(2)`).
fn pivot() -> io::Result<()> {
    std::env::set_current_dir("root")?;
    Ok(rustix::process::pivot_root(".", ".")?)
}

/// `/proc`, read-only: where root outside is root inside, file permissions alone would let it write host settings.
fn mount_proc() -> Result<(), Failure> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    make_directory("/proc")
        .and_then(|()| mount("proc", "/proc", "proc", flags, ""))
        .doing_to(Step::MountProc, "/proc")?;
    // A user namespace of its own would give the command capabilities in it, and more of the kernel to attack.
    fs::write("/proc/sys/user/max_user_namespaces", "0").doing(Step::DenyNamespaces)?;
    rustix::mount::mount_remount("/proc", flags | MountFlags::BIND | MountFlags::RDONLY, "")
        .doing_to(Step::MountProc, "/proc")
}

fn make_devices(devices: &OwnedFd, nodes: &[(&str, OwnedFd)]) -> Result<(), Failure> {
    attach(devices, "/dev").doing_to(Step::MakeDevices, "/dev")?;
    for (name, node) in nodes {
        let path = format!("/dev/{name}");
        fs::File::create_new(&path)
            .and_then(|_| move_mount(node, &path))
            .doing_to(Step::MakeDevices, path)?;
    }
    for (name, target) in LINKS {
        let path = format!("/dev/{name}");
        symlink(target, &path).doing_to(Step::MakeDevices, path)?;
    }
    rustix::fs::mkdir("/dev/shm", Mode::from_raw_mode(0o1777)).doing_to(Step::MakeDevices, "/dev/shm")?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    fs::create_dir("/dev/pts")
        .and_then(|()| mount("devpts", "/dev/pts", "devpts", flags, "newinstance,mode=0620,ptmxmode=0666"))
        .doing_to(Step::MakeDevices, "/dev/pts")
}

/// The two files that container engines put into every container; images come without them.
fn write_hosts(hostname: &str) -> Result<(), Failure> {
    make_directory("/etc").doing_to(Step::WriteHosts, "/etc")?;
    replace("/etc/hosts", &format!("127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost\n"))?;
    replace("/etc/hostname", &format!("{hostname}\n"))
}

/// Writes a new file in the place of one that may be a link.
fn replace(path: &str, text: &str) -> Result<(), Failure> {
    let removed = match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    let mode = fs::Permissions::from_mode(0o644);
    removed
        .and_then(|()| fs::write(path, text))
        .and_then(|()| fs::set_permissions(path, mode))
        .doing_to(Step::WriteHosts, path)
}

/// A copy of what is mounted at a path, as a mount that hangs nowhere yet.
pub(super) fn open_tree(path: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    Ok(rustix::mount::open_tree(CWD, path, flags)?)
}

/// The same of an open folder.
fn open_tree_of(folder: &OwnedFd) -> io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    Ok(rustix::mount::open_tree(folder, "", flags)?)
}

/// Hangs a mount at a folder, which is made if it is absent.
fn attach(tree: &OwnedFd, path: &str) -> io::Result<()> {
    make_directory(path)?;
    move_mount(tree, path)
}

/// The same at any depth.
fn attach_below(tree: &OwnedFd, path: &OsStr) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)?;
    move_mount(tree, path)
}

pub(super) fn move_mount(tree: &OwnedFd, path: impl rustix::path::Arg) -> io::Result<()> {
    Ok(rustix::mount::move_mount(tree, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

pub(super) fn mount(
    source: &str,
    target: impl rustix::path::Arg,
    kind: &str,
    flags: MountFlags,
    options: &str,
) -> io::Result<()> {
    let options = std::ffi::CString::new(options)?;
    Ok(rustix::mount::mount(source, target, kind, flags, options.as_c_str())?)
}

fn make_directory(path: &str) -> io::Result<()> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

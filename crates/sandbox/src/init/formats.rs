//! Programs of another machine: the kernel starts an emulator for them (kernel documentation, "Kernel Support for
//! miscellaneous Binary Formats").
//!
//! From Linux 6.7 on a user namespace has a table of formats of its own, which holds as long as it is mounted anywhere.
//! This mount hangs nowhere, so the command does not see it: the init keeps it open.

use std::fmt::Write;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::command::Emulator;
use crate::error::{Doing, Failure, Step};

/// Between the fields of an entry; no path has it that anybody would use.
const SEPARATOR: u8 = 0x1f;

/// How the emulator is started: it is opened now, in the host's root, so that it need not be in the command's (`F`), and
/// is told the program's first argument as it was given (`P`) and the open program, which its user may execute without
/// reading it (`O`).
const FLAGS: &[u8] = b"FPO";

/// The bits of `e_ident` that count: not the operating system's, which some programs leave open.
const IDENT_MASK: [u8; 16] =
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
/// An ELF object of 64 bits, lowest byte first, of the format's first version.
const IDENT: [u8; 16] = [0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// `ET_EXEC` and `ET_DYN` differ in the lowest bit alone.
const TYPE: [u8; 2] = [2, 0];
const TYPE_MASK: [u8; 2] = [0xfe, 0xff];

/// Registers an emulator in this user namespace. It serves until the mount that comes back is closed.
pub(super) fn register(emulator: &Emulator) -> Result<OwnedFd, Failure> {
    table(emulator).doing_to(Step::RegisterEmulator, &emulator.program)
}

fn table(emulator: &Emulator) -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("binfmt_misc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let table = rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    // It belongs to user 0. Where that one has no id outside, nobody may write to it: the emulator is not at fault.
    let register = rustix::fs::openat(&table, "register", flags, Mode::empty())
        .map_err(|error| if error == Errno::ACCESS { Errno::PERM } else { error })?;
    rustix::io::write(register, &entry(emulator))?;
    Ok(table)
}

/// The line that registers an emulator.
fn entry(emulator: &Emulator) -> Vec<u8> {
    let machine = emulator.machine.to_le_bytes();
    let magic = escaped([&IDENT[..], &TYPE, &machine].concat());
    let mask = escaped([&IDENT_MASK[..], &TYPE_MASK, &[0xff, 0xff]].concat());
    let fields: [&[u8]; 8] = [
        b"",
        b"emulator",
        b"M",
        b"",
        magic.as_bytes(),
        mask.as_bytes(),
        emulator.program.as_os_str().as_bytes(),
        FLAGS,
    ];
    fields.join(&SEPARATOR)
}

fn escaped(bytes: Vec<u8>) -> String {
    bytes.into_iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "\\x{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{Emulator, entry};

    #[test]
    fn an_entry_is_the_line_that_the_kernel_reads() {
        let emulator = Emulator { program: "/usr/bin/qemu-aarch64-static".into(), machine: 183 };
        let entry = String::from_utf8(entry(&emulator)).expect("a text").replace('\u{1f}', ":");
        assert_eq!(
            entry,
            ":emulator:M::\\x7f\\x45\\x4c\\x46\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00:\
             \\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff:\
             /usr/bin/qemu-aarch64-static:FPO"
        );
    }
}

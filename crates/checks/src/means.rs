//! Which of this machine's means runs the programs of an architecture: its own processor, or an emulator.
//!
//! An emulator is QEMU's user mode. Where the machine's kernel has one registered that needs nothing of the root that a
//! program is started in (flag `F`), every sandbox and container has it. Otherwise one that is installed is registered in
//! the sandbox alone ([`sandbox::Emulator`]); container engines do without.

use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use goblin::container::Ctx;
use goblin::elf::program_header::PT_INTERP;
use goblin::elf::{Elf, ProgramHeader};
use sandbox::Emulator;
use schema::Architecture;

use crate::container::Tool;

/// Where the machine's kernel tells what is registered (kernel documentation, "Kernel Support for miscellaneous Binary
/// Formats").
const REGISTERED: &str = "/proc/sys/fs/binfmt_misc";

/// The processor that QEMU is to be (its manual, "User space emulator": `QEMU_CPU`): one of the oldest that Debian's arm64
/// runs on, so a program that wants a newer one is found out. What QEMU is by itself has pointer authentication: programs
/// use it at each call, and to compute it takes nine tenths of the time of a Ruby.
const OLD_ARM64: (&str, &str) = ("QEMU_CPU", "cortex-a72");

/// What runs the programs of an architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Means {
    /// The machine itself.
    Processor,
    /// An emulator for this architecture that its kernel starts by itself.
    Registered(Architecture),
    /// An emulator that a sandbox has registered for itself.
    Emulator(Emulator),
}

impl Means {
    /// Looks for what runs the programs of `wanted` on a machine of architecture `host`; emulators are looked for in
    /// `folders`, in their order.
    ///
    /// # Errors
    /// There is nothing: it says what is missing.
    pub fn find(wanted: Architecture, host: Architecture, folders: &[PathBuf]) -> Result<Self, NoMeans> {
        if wanted == host {
            return Ok(Self::Processor);
        }
        if is_registered(Path::new(REGISTERED), wanted) {
            return Ok(Self::Registered(wanted));
        }
        installed(wanted, folders).map(Self::Emulator).ok_or(NoMeans::NoEmulator { wanted, host })
    }

    /// What a sandbox has to register.
    pub(crate) const fn emulator(&self) -> Option<&Emulator> {
        match self {
            Self::Processor | Self::Registered(_) => None,
            Self::Emulator(emulator) => Some(emulator),
        }
    }

    /// What an emulator has to find in the environment of the programs that it runs.
    pub(crate) fn environment(&self) -> Option<(&'static str, &'static str)> {
        let is_arm64 = match self {
            Self::Processor => false,
            Self::Registered(architecture) => *architecture == Architecture::Arm64,
            Self::Emulator(emulator) => emulator.machine == Architecture::Arm64.elf_machine(),
        };
        is_arm64.then_some(OLD_ARM64)
    }

    /// Whether programs are much slower than on a machine of their own.
    pub fn is_emulated(&self) -> bool {
        *self != Self::Processor
    }
}

/// A machine that cannot run the programs of an architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoMeans {
    /// It is of another, and has no emulator.
    #[error("this machine is of {host}, and has no static {}", emulator_name(*.wanted))]
    NoEmulator {
        /// The architecture.
        wanted: Architecture,
        /// The machine's own.
        host: Architecture,
    },
    /// It has an emulator, which its kernel does not start for a container engine.
    #[error(
        "{tool} runs programs of {wanted} where an emulator is registered in the kernel (binfmt_misc), and none is"
    )]
    NotRegistered {
        /// The architecture.
        wanted: Architecture,
        /// The engine.
        tool: Tool,
    },
    /// It has an emulator, which takes its time, and nobody asked for this very image.
    #[error("through an emulator, one variant of a row is tried; `cargo xtask check` tries the others")]
    NotAsked,
    /// It has an emulator, and the kernel does not let a sandbox use it.
    #[error(
        "a sandbox can use an emulator on Linux 6.7 or later as root, or where one is registered in the kernel (binfmt_misc)"
    )]
    OldKernel,
}

impl NoMeans {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NoEmulator { .. } => {
                "install QEMU's user mode: Debian's package is qemu-user-static".to_owned()
            }
            Self::NotAsked => "ask for it: `cargo xtask check IMAGE --arch ARCHITECTURE`".to_owned(),
            Self::NotRegistered { .. } | Self::OldKernel => {
                "register one: Debian's packages qemu-user-static and binfmt-support do".to_owned()
            }
        }
    }
}

fn emulator_name(wanted: Architecture) -> String {
    format!("qemu-{}", wanted.machine_name())
}

/// The emulator for an architecture that is in one of the folders.
fn installed(wanted: Architecture, folders: &[PathBuf]) -> Option<Emulator> {
    let name = emulator_name(wanted);
    let names = [format!("{name}-static"), name];
    let mut programs = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let program = programs.find(|program| is_static_program(program).unwrap_or(false))?;
    Some(Emulator { program, machine: wanted.elf_machine() })
}

/// Whether an emulator is registered that works in any root. What cannot be read is not there.
fn is_registered(folder: &Path, wanted: Architecture) -> bool {
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    let mut texts = entries.filter_map(|entry| fs_err::read_to_string(entry.path()).ok());
    texts.any(|text| runs(&text, wanted))
}

/// Whether the description of a registered format is of programs of an architecture.
fn runs(description: &str, wanted: Architecture) -> bool {
    let value = |name: &str| description.lines().find_map(|line| line.strip_prefix(name));
    let magic = value("magic ").unwrap_or_default();
    // `e_ident` begins as that of every ELF object of 64 bits, lowest byte first; `e_machine` is at offset 18.
    let [low, high] = wanted.elf_machine().to_le_bytes();
    let machine = format!("{low:02x}{high:02x}");
    description.lines().next() == Some("enabled")
        && value("offset ") == Some("0")
        && value("flags: ").is_some_and(|flags| flags.contains('F'))
        && magic.starts_with("7f454c460201")
        && magic.get(36..40) == Some(&*machine)
}

/// Whether a program needs nothing of the root that it is started in: no dynamic loader.
fn is_static_program(path: &Path) -> io::Result<bool> {
    let file = fs_err::File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return Ok(false);
    }
    let mut bytes = Vec::new();
    file.take(4096).read_to_end(&mut bytes)?;
    let headers = || {
        let header = Elf::parse_header(&bytes).ok()?;
        let context = Ctx::new(header.container().ok()?, header.endianness().ok()?);
        ProgramHeader::parse(&bytes, usize::try_from(header.e_phoff).ok()?, header.e_phnum.into(), context)
            .ok()
    };
    Ok(headers().is_some_and(|headers| headers.iter().all(|header| header.p_type != PT_INTERP)))
}

#[cfg(test)]
mod tests {
    use testkit::elf;

    use super::*;

    const QEMU: &str = "enabled\ninterpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P\nflags: POCF\noffset 0\n\
                        magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";

    #[test]
    fn a_registered_emulator_is_for_one_machine_and_any_root() {
        for (from, to, runs_arm64) in [
            ("", "", true),
            ("enabled", "disabled", false),
            ("flags: POCF", "flags: POC", false),
            ("flags: POCF", "flags: F", true),
            ("offset 0", "offset 4", false),
            ("0200b700", "02003e00", false),
            ("7f454c460201", "7f454c460101", false),
            ("magic 7f454c46", "magic 7f", false),
            ("magic", "extension", false),
        ] {
            let text = QEMU.replacen(from, to, 1);
            assert_eq!(runs(&text, Architecture::Arm64), runs_arm64, "{text}");
        }
        assert!(!runs(QEMU, Architecture::Amd64));
        assert!(!runs("enabled\n", Architecture::Amd64));
    }

    #[test]
    fn an_emulated_arm64_is_an_old_one() {
        let emulator = |machine| Means::Emulator(Emulator { program: PathBuf::new(), machine });
        for (means, is_old) in [
            (Means::Processor, false),
            (Means::Registered(Architecture::Arm64), true),
            (Means::Registered(Architecture::Amd64), false),
            (emulator(Architecture::Arm64.elf_machine()), true),
            (emulator(Architecture::Amd64.elf_machine()), false),
        ] {
            assert_eq!(means.environment().is_some(), is_old, "{means:?}");
        }
    }

    #[test]
    fn an_emulator_is_a_static_program_on_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().join("first"), folder.path().join("second")];
        let put = |path: PathBuf, bytes: &[u8], mode: u32| {
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(&path, bytes).unwrap();
            fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let here = |folders: &[PathBuf]| installed(Architecture::Arm64, folders);
        let program = elf::Elf::static_program().build();
        let dynamic = elf::Elf::program().interpreter("/lib64/ld-linux-x86-64.so.2").build();
        assert_eq!(here(&folders), None);
        put(folders[0].join("qemu-aarch64-static"), b"#!/bin/sh\n", 0o755);
        put(folders[0].join("qemu-aarch64"), &dynamic, 0o755);
        put(folders[1].join("qemu-aarch64-static"), &program, 0o644);
        assert_eq!(here(&folders), None, "a script, one that wants a loader, one that is no program");
        put(folders[1].join("qemu-aarch64"), &program, 0o755);
        let emulator = |program: PathBuf| Some(Emulator { program, machine: 183 });
        assert_eq!(here(&folders), emulator(folders[1].join("qemu-aarch64")));
        put(folders[0].join("qemu-aarch64-static"), &program, 0o755);
        assert_eq!(here(&folders), emulator(folders[0].join("qemu-aarch64-static")));
        assert_eq!(Means::find(Architecture::Arm64, Architecture::Arm64, &folders), Ok(Means::Processor));
    }
}

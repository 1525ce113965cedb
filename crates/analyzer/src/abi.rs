//! Machines as far as loaders tell them apart, and the customs of each: where its loaders are, what its folders are called,
//! and which kinds of its processors have libraries of their own (the processor supplements of the System V ABI; glibc's
//! and musl's documentation; Debian's multiarch tuples). Everything follows from an object's header. Nothing of the machine
//! that the analysis runs on enters.

use goblin::elf::header::{ELFDATA2LSB, ELFDATA2MSB};
use schema::Architecture;

const EM_386: u16 = 3;
const EM_PPC64: u16 = 21;
const EM_S390: u16 = 22;
const EM_ARM: u16 = 40;
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;
const EM_RISCV: u16 = 243;
const EM_LOONGARCH: u16 = 258;

const EF_ARM_ABI_FLOAT_SOFT: u32 = 0x200;
const EF_ARM_ABI_FLOAT_HARD: u32 = 0x400;
const EF_RISCV_FLOAT_ABI: u32 = 0x6;
const EF_LOONGARCH_FLOAT_ABI: u32 = 0x7;

/// What objects must have in common to be loaded together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Abi {
    pub(crate) bits: u8,
    /// As `EI_DATA` says it.
    pub(crate) order: u8,
    pub(crate) machine: u16,
    /// How floating-point arguments are passed, on machines where that differs.
    pub(crate) floats: Floats,
}

/// How floating-point arguments are passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Floats {
    /// The one way that the machine has, or an object that passes none.
    Unsaid,
    /// In general registers.
    Soft,
    /// Single-precision ones in registers of their own.
    Single,
    /// All in registers of their own.
    Hard,
}

/// The customs of one machine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Customs {
    abi: Abi,
    /// Where glibc's loader is.
    pub(crate) glibc: &'static str,
    /// What musl calls the machine, as in `ld-musl-x86_64.so.1`.
    pub(crate) musl: &'static str,
    /// The name of Debian's folders for it.
    pub(crate) multiarch: &'static str,
    /// The folder in `/` and `/usr` where it has one of its own.
    pub(crate) lib: &'static str,
    /// Kinds of processors with folders below `glibc-hwcaps`, the best first (ld.so(8)).
    pub(crate) hwcaps: &'static [&'static str],
    /// What the kernel calls the processors, or glibc in its place, the oldest that the distributions run on first
    /// (`AT_PLATFORM`, getauxval(3)). Empty where it calls them nothing.
    pub(crate) platforms: &'static [&'static str],
    /// Names of folders below each library folder that glibc searched up to 2.36, in its order, and whether every
    /// processor has what the name stands for (ld.so(8), hardware capabilities).
    pub(crate) legacy_hwcaps: &'static [(&'static str, bool)],
}

const X86_64: Customs = Customs {
    abi: Abi { bits: 64, order: ELFDATA2LSB, machine: EM_X86_64, floats: Floats::Unsaid },
    glibc: "/lib64/ld-linux-x86-64.so.2",
    musl: "x86_64",
    multiarch: "x86_64-linux-gnu",
    lib: "lib64",
    hwcaps: &["x86-64-v4", "x86-64-v3", "x86-64-v2"],
    // glibc itself says `haswell` and `xeon_phi` on Intel's processors, up to 2.41.
    platforms: &["x86_64", "haswell", "xeon_phi"],
    legacy_hwcaps: &[
        ("tls", true),
        ("haswell", false),
        ("xeon_phi", false),
        ("avx512_1", false),
        ("x86_64", true),
    ],
};

const ARM: Customs = Customs {
    abi: Abi { bits: 32, order: ELFDATA2LSB, machine: EM_ARM, floats: Floats::Hard },
    glibc: "/lib/ld-linux-armhf.so.3",
    musl: "armhf",
    multiarch: "arm-linux-gnueabihf",
    lib: "lib",
    hwcaps: &[],
    platforms: &["v7l", "v8l"],
    legacy_hwcaps: &[("tls", true), ("v7l", true), ("v8l", false), ("neon", false), ("vfp", true)],
};

const RISCV: Customs = Customs {
    abi: Abi { bits: 64, order: ELFDATA2LSB, machine: EM_RISCV, floats: Floats::Hard },
    glibc: "/lib/ld-linux-riscv64-lp64d.so.1",
    musl: "riscv64",
    multiarch: "riscv64-linux-gnu",
    lib: "lib64/lp64d",
    hwcaps: &[],
    platforms: &[],
    legacy_hwcaps: &[("tls", true)],
};

const CUSTOMS: &[Customs] = &[
    X86_64,
    Customs {
        abi: Abi { bits: 32, ..X86_64.abi },
        glibc: "/libx32/ld-linux-x32.so.2",
        musl: "x32",
        multiarch: "x86_64-linux-gnux32",
        lib: "libx32",
        ..X86_64
    },
    Customs {
        abi: Abi { bits: 32, order: ELFDATA2LSB, machine: EM_386, floats: Floats::Unsaid },
        glibc: "/lib/ld-linux.so.2",
        musl: "i386",
        multiarch: "i386-linux-gnu",
        lib: "lib32",
        hwcaps: &[],
        platforms: &["i686", "haswell", "xeon_phi"],
        legacy_hwcaps: &[("tls", true), ("i686", true), ("sse2", false), ("haswell", false)],
    },
    Customs {
        abi: Abi { bits: 64, order: ELFDATA2LSB, machine: EM_AARCH64, floats: Floats::Unsaid },
        glibc: "/lib/ld-linux-aarch64.so.1",
        musl: "aarch64",
        multiarch: "aarch64-linux-gnu",
        lib: "lib64",
        hwcaps: &[],
        platforms: &["aarch64"],
        legacy_hwcaps: &[("tls", true), ("aarch64", true), ("atomics", false)],
    },
    ARM,
    Customs {
        abi: Abi { floats: Floats::Soft, ..ARM.abi },
        glibc: "/lib/ld-linux.so.3",
        musl: "arm",
        multiarch: "arm-linux-gnueabi",
        platforms: &["v5l", "v6l", "v7l", "v8l"],
        legacy_hwcaps: &[("tls", true), ("v5l", true), ("v6l", false), ("v7l", false), ("vfp", false)],
        ..ARM
    },
    RISCV,
    Customs {
        abi: Abi { floats: Floats::Soft, ..RISCV.abi },
        glibc: "/lib/ld-linux-riscv64-lp64.so.1",
        musl: "riscv64-sf",
        lib: "lib64/lp64",
        ..RISCV
    },
    Customs {
        abi: Abi { bits: 64, order: ELFDATA2LSB, machine: EM_PPC64, floats: Floats::Unsaid },
        glibc: "/lib64/ld64.so.2",
        musl: "powerpc64le",
        multiarch: "powerpc64le-linux-gnu",
        lib: "lib64",
        hwcaps: &["power10", "power9"],
        platforms: &["power8", "power9", "power10", "power11"],
        legacy_hwcaps: &[("tls", true), ("power8", true), ("power9", false)],
    },
    Customs {
        abi: Abi { bits: 64, order: ELFDATA2MSB, machine: EM_S390, floats: Floats::Unsaid },
        glibc: "/lib/ld64.so.1",
        musl: "s390x",
        multiarch: "s390x-linux-gnu",
        lib: "lib64",
        hwcaps: &["z17", "z16", "z15", "z14", "z13"],
        platforms: &["z10", "z196", "zEC12", "z13", "z14", "z15", "z16", "z17"],
        legacy_hwcaps: &[("tls", true), ("z10", true), ("z13", false), ("z14", false)],
    },
    Customs {
        abi: Abi { bits: 64, order: ELFDATA2LSB, machine: EM_LOONGARCH, floats: Floats::Hard },
        glibc: "/lib64/ld-linux-loongarch-lp64d.so.1",
        musl: "loongarch64",
        multiarch: "loongarch64-linux-gnu",
        lib: "lib64",
        hwcaps: &[],
        platforms: &[],
        legacy_hwcaps: &[],
    },
];

impl Abi {
    /// The ABI of an architecture that images are made for.
    pub(crate) fn of(architecture: Architecture) -> Self {
        let machine = match architecture {
            Architecture::Amd64 => EM_X86_64,
            Architecture::Arm64 => EM_AARCH64,
        };
        Self { bits: 64, order: ELFDATA2LSB, machine, floats: Floats::Unsaid }
    }

    /// The customs of the machine, where it is a known one.
    pub(crate) fn customs(self) -> Option<&'static Customs> {
        let is_machine = |known: &&Customs| Abi { floats: self.floats, ..known.abi } == self;
        let mut known = CUSTOMS.iter().filter(is_machine).peekable();
        let first = known.peek().copied();
        known.find(|known| known.abi.floats == self.floats).or(first)
    }

    /// Whether a loader maps such an object beside one of this machine. Only RISC-V's looks at how floats are passed.
    pub(crate) fn is_same_machine(self, other: Self) -> bool {
        self.machine == other.machine && (self.machine != EM_RISCV || self.floats == other.floats)
    }
}

impl Floats {
    /// What the flags of a header say.
    pub(crate) fn of(machine: u16, flags: u32) -> Self {
        match machine {
            EM_ARM if flags & EF_ARM_ABI_FLOAT_HARD != 0 => Self::Hard,
            EM_ARM if flags & EF_ARM_ABI_FLOAT_SOFT != 0 => Self::Soft,
            EM_RISCV => match flags & EF_RISCV_FLOAT_ABI {
                0 => Self::Soft,
                2 => Self::Single,
                _ => Self::Hard,
            },
            EM_LOONGARCH => match flags & EF_LOONGARCH_FLOAT_ABI {
                1 => Self::Soft,
                2 => Self::Single,
                _ => Self::Hard,
            },
            _ => Self::Unsaid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_architecture_of_images_has_customs() {
        for architecture in Architecture::ALL {
            let customs = Abi::of(architecture).customs().unwrap();
            assert_eq!(customs.multiarch, architecture.triplet());
        }
    }

    #[test]
    fn no_two_machines_share_a_name() {
        let mut names: Vec<_> = CUSTOMS.iter().map(|customs| customs.musl).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CUSTOMS.len());
    }

    #[test]
    fn the_flags_of_the_processor_decide_between_the_ways_to_pass_floats() {
        let loader = |machine, bits, flags| {
            let floats = Floats::of(machine, flags);
            Abi { bits, order: ELFDATA2LSB, machine, floats }.customs().map(|customs| customs.glibc)
        };
        assert_eq!(loader(EM_ARM, 32, 0x0500_0400), Some("/lib/ld-linux-armhf.so.3"));
        assert_eq!(loader(EM_ARM, 32, 0x0500_0200), Some("/lib/ld-linux.so.3"));
        assert_eq!(loader(EM_ARM, 32, 0x0500_0000), Some("/lib/ld-linux-armhf.so.3"));
        assert_eq!(loader(EM_RISCV, 64, 5), Some("/lib/ld-linux-riscv64-lp64d.so.1"));
        assert_eq!(loader(EM_RISCV, 64, 1), Some("/lib/ld-linux-riscv64-lp64.so.1"));
        assert_eq!(loader(EM_X86_64, 64, 0x400), Some("/lib64/ld-linux-x86-64.so.2"));
        assert_eq!(loader(9999, 64, 0), None);
    }

    #[test]
    fn only_risc_v_tells_objects_apart_by_how_they_pass_floats() {
        let abi = |machine, floats| Abi { bits: 32, order: ELFDATA2LSB, machine, floats };
        assert!(abi(EM_ARM, Floats::Hard).is_same_machine(abi(EM_ARM, Floats::Unsaid)));
        assert!(!abi(EM_RISCV, Floats::Hard).is_same_machine(abi(EM_RISCV, Floats::Soft)));
        assert!(!abi(EM_ARM, Floats::Hard).is_same_machine(abi(EM_386, Floats::Hard)));
    }
}

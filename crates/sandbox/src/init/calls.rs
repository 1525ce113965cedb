//! The system calls that take paths, as data: their numbers by convention, which arguments are paths, and what a call
//! means for the file.
//!
//! Left out is what needs a capability, which the command has none of (mounting, swapping, handles of files), and
//! sockets: a name of one is no file to bring along.

use crate::trace::Use::{self, Executed, LookedUp, Opened};

/// A path among the arguments of a call, and the open folder that it starts at unless it is absolute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Argument {
    /// The working directory where there is none.
    pub(super) folder: Option<usize>,
    pub(super) path: usize,
}

/// A call as one convention knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) used: Use,
    pub(super) arguments: &'static [Argument],
    /// It may say that absolute paths start at the folder too (`openat2(2)`, `RESOLVE_IN_ROOT`).
    pub(super) has_how: bool,
}

/// A way to make system calls: numbers mean something else in each. One kernel offers several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Convention {
    /// `AUDIT_ARCH_*` of the kernel's `audit.h`.
    pub(super) audit: u32,
    /// Its place in the numbers of a row.
    pub(super) column: usize,
    /// Numbers from here on are another convention's.
    pub(super) end: Option<u32>,
}

impl Convention {
    /// Of every call that takes a path.
    pub(super) fn numbers(self) -> impl Iterator<Item = u32> {
        ROWS.iter()
            .filter_map(move |row| row.numbers.get(self.column).copied())
            .filter(|number| *number != NONE)
    }
}

/// Those of this machine's kernel: programs of 32 bits run on it as well.
#[cfg(target_arch = "x86_64")]
pub(super) const CONVENTIONS: &[Convention] = &[
    // From bit 30 on it is x32, which few kernels have been built with.
    Convention { audit: 0xC000_003E, column: 0, end: Some(0x4000_0000) },
    Convention { audit: 0x4000_0003, column: 2, end: None },
];
#[cfg(target_arch = "aarch64")]
pub(super) const CONVENTIONS: &[Convention] = &[
    Convention { audit: 0xC000_00B7, column: 1, end: None },
    Convention { audit: 0x4000_0028, column: 3, end: None },
];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) const CONVENTIONS: &[Convention] = &[];

struct Row {
    name: &'static str,
    used: Use,
    arguments: &'static [Argument],
    /// For x86-64, 64-bit ARM, 32-bit x86, and 32-bit ARM.
    numbers: [u32; 4],
}

const fn row(name: &'static str, used: Use, arguments: &'static [Argument], numbers: [u32; 4]) -> Row {
    Row { name, used, arguments, numbers }
}

const fn path(path: usize) -> Argument {
    Argument { folder: None, path }
}

const fn at(folder: usize, path: usize) -> Argument {
    Argument { folder: Some(folder), path }
}

/// Not there in this convention.
const NONE: u32 = u32::MAX;

const PATH_0: &[Argument] = &[path(0)];
const PATH_1: &[Argument] = &[path(1)];
const PATHS_0_1: &[Argument] = &[path(0), path(1)];
const AT_0_1: &[Argument] = &[at(0, 1)];
const AT_1_2: &[Argument] = &[at(1, 2)];
const AT_3_4: &[Argument] = &[at(3, 4)];
const AT_4_5: &[Argument] = &[at(4, 5)];
const ATS_0_1_2_3: &[Argument] = &[at(0, 1), at(2, 3)];

const ROWS: &[Row] = &[
    row("open", Opened, PATH_0, [2, NONE, 5, 5]),
    row("creat", Opened, PATH_0, [85, NONE, 8, 8]),
    row("uselib", Opened, PATH_0, [134, NONE, 86, 86]),
    row("openat", Opened, AT_0_1, [257, 56, 295, 322]),
    row("openat2", Opened, AT_0_1, [437, 437, 437, 437]),
    row("open_tree", Opened, AT_0_1, [428, 428, 428, 428]),
    row("open_tree_attr", Opened, AT_0_1, [467, 467, 467, 467]),
    row("execve", Executed, PATH_0, [59, 221, 11, 11]),
    row("execveat", Executed, AT_0_1, [322, 281, 358, 387]),
    row("oldstat", LookedUp, PATH_0, [NONE, NONE, 18, NONE]),
    row("oldlstat", LookedUp, PATH_0, [NONE, NONE, 84, NONE]),
    row("stat", LookedUp, PATH_0, [4, NONE, 106, 106]),
    row("lstat", LookedUp, PATH_0, [6, NONE, 107, 107]),
    row("stat64", LookedUp, PATH_0, [NONE, NONE, 195, 195]),
    row("lstat64", LookedUp, PATH_0, [NONE, NONE, 196, 196]),
    row("statfs", LookedUp, PATH_0, [137, 43, 99, 99]),
    row("statfs64", LookedUp, PATH_0, [NONE, NONE, 268, 266]),
    row("access", LookedUp, PATH_0, [21, NONE, 33, 33]),
    row("readlink", LookedUp, PATH_0, [89, NONE, 85, 85]),
    row("chdir", LookedUp, PATH_0, [80, 49, 12, 12]),
    row("chroot", LookedUp, PATH_0, [161, 51, 61, 61]),
    row("newfstatat", LookedUp, AT_0_1, [262, 79, NONE, NONE]),
    row("fstatat64", LookedUp, AT_0_1, [NONE, NONE, 300, 327]),
    row("statx", LookedUp, AT_0_1, [332, 291, 383, 397]),
    row("faccessat", LookedUp, AT_0_1, [269, 48, 307, 334]),
    row("faccessat2", LookedUp, AT_0_1, [439, 439, 439, 439]),
    row("readlinkat", LookedUp, AT_0_1, [267, 78, 305, 332]),
    row("name_to_handle_at", LookedUp, AT_0_1, [303, 264, 341, 370]),
    row("file_getattr", LookedUp, AT_0_1, [468, 468, 468, 468]),
    row("file_setattr", LookedUp, AT_0_1, [469, 469, 469, 469]),
    row("inotify_add_watch", LookedUp, PATH_1, [254, 27, 292, 317]),
    row("fanotify_mark", LookedUp, AT_3_4, [301, 263, NONE, NONE]),
    // The mask of 64 bits takes two arguments there.
    row("fanotify_mark", LookedUp, AT_4_5, [NONE, NONE, 339, 368]),
    row("link", LookedUp, PATHS_0_1, [86, NONE, 9, 9]),
    row("rename", LookedUp, PATHS_0_1, [82, NONE, 38, 38]),
    row("linkat", LookedUp, ATS_0_1_2_3, [265, 37, 303, 330]),
    row("renameat", LookedUp, ATS_0_1_2_3, [264, NONE, 302, 329]),
    row("renameat2", LookedUp, ATS_0_1_2_3, [316, 276, 353, 382]),
    row("symlink", LookedUp, PATH_1, [88, NONE, 83, 83]),
    row("symlinkat", LookedUp, AT_1_2, [266, 36, 304, 331]),
    row("unlink", LookedUp, PATH_0, [87, NONE, 10, 10]),
    row("mkdir", LookedUp, PATH_0, [83, NONE, 39, 39]),
    row("rmdir", LookedUp, PATH_0, [84, NONE, 40, 40]),
    row("mknod", LookedUp, PATH_0, [133, NONE, 14, 14]),
    row("chmod", LookedUp, PATH_0, [90, NONE, 15, 15]),
    row("chown", LookedUp, PATH_0, [92, NONE, 182, 182]),
    row("lchown", LookedUp, PATH_0, [94, NONE, 16, 16]),
    row("chown32", LookedUp, PATH_0, [NONE, NONE, 212, 212]),
    row("lchown32", LookedUp, PATH_0, [NONE, NONE, 198, 198]),
    row("truncate", LookedUp, PATH_0, [76, 45, 92, 92]),
    row("truncate64", LookedUp, PATH_0, [NONE, NONE, 193, 193]),
    row("utime", LookedUp, PATH_0, [132, NONE, 30, NONE]),
    row("utimes", LookedUp, PATH_0, [235, NONE, 271, 269]),
    row("unlinkat", LookedUp, AT_0_1, [263, 35, 301, 328]),
    row("mkdirat", LookedUp, AT_0_1, [258, 34, 296, 323]),
    row("mknodat", LookedUp, AT_0_1, [259, 33, 297, 324]),
    row("fchmodat", LookedUp, AT_0_1, [268, 53, 306, 333]),
    row("fchmodat2", LookedUp, AT_0_1, [452, 452, 452, 452]),
    row("fchownat", LookedUp, AT_0_1, [260, 54, 298, 325]),
    row("futimesat", LookedUp, AT_0_1, [261, NONE, 299, 326]),
    row("utimensat", LookedUp, AT_0_1, [280, 88, 320, 348]),
    row("utimensat_time64", LookedUp, AT_0_1, [NONE, NONE, 412, 412]),
    row("getxattr", LookedUp, PATH_0, [191, 8, 229, 229]),
    row("lgetxattr", LookedUp, PATH_0, [192, 9, 230, 230]),
    row("setxattr", LookedUp, PATH_0, [188, 5, 226, 226]),
    row("lsetxattr", LookedUp, PATH_0, [189, 6, 227, 227]),
    row("listxattr", LookedUp, PATH_0, [194, 11, 232, 232]),
    row("llistxattr", LookedUp, PATH_0, [195, 12, 233, 233]),
    row("removexattr", LookedUp, PATH_0, [197, 14, 235, 235]),
    row("lremovexattr", LookedUp, PATH_0, [198, 15, 236, 236]),
    row("getxattrat", LookedUp, AT_0_1, [464, 464, 464, 464]),
    row("setxattrat", LookedUp, AT_0_1, [463, 463, 463, 463]),
    row("listxattrat", LookedUp, AT_0_1, [465, 465, 465, 465]),
    row("removexattrat", LookedUp, AT_0_1, [466, 466, 466, 466]),
];

/// The call of this number in the convention; `None` where it is not one that takes paths.
pub(super) fn find(audit: u32, number: u32) -> Option<Call> {
    let convention = CONVENTIONS.iter().find(|convention| convention.audit == audit)?;
    let row = ROWS.iter().find(|row| row.numbers.get(convention.column) == Some(&number))?;
    Some(Call { used: row.used, arguments: row.arguments, has_how: row.name == "openat2" })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Argument, CONVENTIONS, NONE, ROWS, find};
    use crate::trace::Use;

    #[test]
    fn no_number_means_two_calls() {
        for column in 0..4 {
            let mut seen = BTreeSet::new();
            for row in ROWS.iter().filter(|row| row.numbers[column] != NONE) {
                assert!(seen.insert(row.numbers[column]), "{} in column {column}", row.name);
            }
        }
    }

    #[test]
    fn numbers_are_those_of_this_machine() {
        for (number, used, path) in [
            (libc::SYS_openat, Use::Opened, 1),
            (libc::SYS_openat2, Use::Opened, 1),
            (libc::SYS_execve, Use::Executed, 0),
            (libc::SYS_execveat, Use::Executed, 1),
            (libc::SYS_statx, Use::LookedUp, 1),
            (libc::SYS_faccessat2, Use::LookedUp, 1),
            (libc::SYS_readlinkat, Use::LookedUp, 1),
            (libc::SYS_linkat, Use::LookedUp, 1),
            (libc::SYS_symlinkat, Use::LookedUp, 2),
            (libc::SYS_chdir, Use::LookedUp, 0),
        ] {
            let number = u32::try_from(number).expect("a number");
            let call = find(CONVENTIONS[0].audit, number).expect("a call of the table");
            let Argument { path: found, .. } = call.arguments[0];
            assert_eq!((call.used, found), (used, path), "{number}");
        }
    }
}

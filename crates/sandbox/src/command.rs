//! What to run and in what: plain values that the caller fills in.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How to start the monitor: an executable that, with these arguments, calls [`crate::init_main`] before it
/// starts any thread.
#[derive(Debug, Clone)]
pub struct Program {
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<OsString>,
}

impl Program {
    /// The running executable itself, with a hidden subcommand. Right also when its file was replaced meanwhile.
    pub fn current_executable(subcommand: impl Into<OsString>) -> Self {
        Self::at("/proc/self/exe", [subcommand.into()])
    }

    /// The executable at `path` with `args`.
    pub fn at(path: impl Into<PathBuf>, args: impl IntoIterator<Item = OsString>) -> Self {
        Self { path: path.into(), args: args.into_iter().collect() }
    }
}

/// The root file system of a command, and with it how much stands between the command and the host. A weaker
/// confinement is never chosen in place of a stronger one: who wants it names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// Folders on the host, lowest first, at least one, under a writable layer that is thrown away; in namespaces of
    /// its own. The folders are only read. One may be a root that lives, `/` itself too: what other file systems are
    /// mounted in it does not come along, but for one at its `/tmp`.
    ///
    /// A caller who may mount sees what those mounts cover. Any other sees nothing in their place, may have such mounts
    /// only in a single layer, and can't change the files that are beside them in the same folder. What belongs to
    /// nobody whom the caller has an id for, such a command can't change either.
    Layers(Vec<PathBuf>),
    /// The same, with a folder of the host that the command may write to.
    Workplace(Workplace),
    /// A folder on the host, entered with `chroot(2)`, for where no namespace can be made. What the command writes
    /// stays in it. Wants `CAP_SYS_CHROOT`.
    Chroot(PathBuf),
    /// The caller's own root, as it is, for where no namespace can be made. What the command writes stays.
    InPlace,
}

/// Layers, and a folder of the host to work in.
///
/// What the command writes into the folder stays there; it belongs to whoever the command's user is outside. The limit on
/// storage holds for each file in it, and not for their sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workplace {
    /// As in [`Root::Layers`].
    pub layers: Vec<PathBuf>,
    /// The folder on the host. What other file systems are mounted in it does not come along.
    pub folder: PathBuf,
    /// Where the command finds it, an absolute path; made where the layers do not have it.
    pub place: PathBuf,
}

/// A command and the circumstances it runs in.
#[derive(Debug, Clone)]
pub struct Command {
    /// A path in the root, or a name to look for along the `PATH` of `env`.
    pub program: OsString,
    /// Arguments, without the program's own name.
    pub args: Vec<OsString>,
    /// The whole environment; nothing is inherited.
    pub env: BTreeMap<OsString, OsString>,
    /// Working directory, a path in the root.
    pub cwd: PathBuf,
    /// User inside.
    pub uid: u32,
    /// Group inside; there are no supplementary ones (a caller that may not set ids keeps its own, unmapped).
    pub gid: u32,
    /// Host name inside.
    pub hostname: String,
    /// What it reads, and where its output goes.
    pub streams: Streams,
    /// Bounds of the whole process tree.
    pub limits: Limits,
    /// What runs the programs of another machine, if any of the command's are. It wants namespaces.
    pub emulator: Option<Emulator>,
}

/// A program that runs those of another machine, as QEMU's user mode does. The kernel starts it for every such program
/// that the command executes (`binfmt_misc`), which it does in a user namespace from Linux 6.7 on. User 0 of the namespace sets it up: there is one
/// where the caller is root, or runs the command as user 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emulator {
    /// Its executable, on the host. A static one: in the command's root it finds none of the host's libraries.
    pub program: PathBuf,
    /// The machine whose programs it runs, by the number that their ELF headers have for it (`e_machine`, elf(5)); of 64
    /// bits, lowest byte first.
    pub machine: u16,
}

impl Command {
    /// `program` without arguments or environment, as user 0 in `/`, with no input, output captured up to
    /// 1 MiB each, and the default limits.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            cwd: PathBuf::from("/"),
            uid: 0,
            gid: 0,
            hostname: "sandbox".to_owned(),
            streams: Streams::Captured { stdin: Vec::new(), limit: 1 << 20 },
            limits: Limits::default(),
            emulator: None,
        }
    }
}

/// Standard input, standard output and standard error of a command.
#[derive(Debug, Clone)]
pub enum Streams {
    /// The caller gives the input, and gets the output.
    Captured {
        /// What is to be read, before the end.
        stdin: Vec<u8>,
        /// Bytes kept of each output; what comes after is read and thrown away.
        limit: usize,
    },
    /// The caller's own: a person is at the command. It also gets the signals that are meant to end the caller, and
    /// learns that the terminal's size has changed; the caller lives on until the command has ended. Suspending
    /// (`TSTP`) does nothing. What the caller ignores (`nohup`) is not for the command either.
    ///
    /// One command of a process at a time: a second one waits.
    Attached,
    /// A terminal of its own that stands in for the caller's, which standard input and output have to be: what is typed
    /// goes to the one, what is shown on it to the other, and both have one size. So the command controls a terminal:
    /// keys interrupt and suspend what is in its foreground, a shell has jobs. A standard error that is no terminal stays
    /// the caller's. Signals to the caller are passed on as above.
    Terminal,
}

/// Bounds of a process tree; the crate's first page says how each of them holds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Limits {
    /// From the start of the command to the end of the tree.
    pub time: Duration,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes in files: what is written over the layers, to `/tmp` and to `/dev/shm` together.
    pub storage: u64,
    /// Processes and threads at one time.
    pub processes: u64,
}

impl Default for Limits {
    /// A minute, 1 GiB of memory, 1 GiB of files, 512 processes.
    fn default() -> Self {
        Self { time: Duration::from_mins(1), memory: 1 << 30, storage: 1 << 30, processes: 512 }
    }
}

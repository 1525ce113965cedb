//! Where a Ruby is compiled: a root of packages on the disk, and a folder to work in, for one command in the sandbox. What
//! comes out is a tar, of which nothing is believed.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fs_err as fs;
use rootfs::{Content, Dialect, Layer, Limits, Origin, Ownership, Tree};
use sandbox::{Command, Program, Root, SandboxError, Status, Streams, Workplace};

use crate::check::TreeFault;
use crate::observer::{Event, Observer};

/// Where the folder is in the sandbox: the same on every machine.
const PLACE: &str = "/build";
/// The names of what is in it.
const TARBALL: &str = "ruby.tar";
const SCRIPT: &str = "compile.sh";
const WORK: &str = "work";
const OUTPUT: &str = "installed.tar";
const LOG: &str = "compile.log";

/// The last lines of what the script said that an error shows.
const TAIL: usize = 30;
/// The longest line that is kept of it.
const LINE: usize = 1000;

/// More than any machine needs for it that can be waited for; each of these is there for a script that does not end.
const LIMITS: sandbox::Limits =
    sandbox::Limits { time: Duration::from_hours(6), memory: 16 << 30, storage: 8 << 30, processes: 4096 };

/// Why there is no Ruby at the end.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The packages of its root make no tree.
    #[error("cannot make the root that it is compiled in")]
    Root(#[from] crate::stack::TreeError),
    /// That root cannot be written.
    #[error("cannot write the root that it is compiled in")]
    Write(#[from] rootfs::DirectoryError),
    /// The folder to work in cannot be used.
    #[error("cannot use the folder that it is compiled in")]
    Folder(#[from] std::io::Error),
    /// The sandbox cannot start.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The script failed.
    #[error("{script} {ending}{}", said(.tail))]
    Script {
        /// The script's name.
        script: String,
        /// How it ended.
        ending: String,
        /// The last lines of what it said.
        tail: Vec<String>,
        /// The folder that it worked in, where that was kept.
        kept: Option<PathBuf>,
    },
    /// It made no tar that can be read.
    #[error("{script} made no tar that can be used")]
    Output {
        /// The script's name.
        script: String,
        /// Why not.
        source: OutputFault,
    },
}

/// What is wrong with what a script made.
#[derive(Debug, thiserror::Error)]
pub enum OutputFault {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] std::io::Error),
    /// It is no tree.
    #[error(transparent)]
    Tree(#[from] TreeFault),
}

impl CompileError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Script { kept: Some(folder), .. } => {
                Some(format!("what it worked on is in {}, with all that it said in {LOG}", folder.display()))
            }
            Self::Script { kept: None, .. } => {
                Some("`--keep-failed` keeps the folder that it works in, to look at".to_owned())
            }
            Self::Sandbox(error) => error.hint(),
            Self::Write(error) => error.hint(),
            Self::Root(_) | Self::Folder(_) | Self::Output { .. } => None,
        }
    }
}

fn said(tail: &[String]) -> String {
    if tail.is_empty() { String::new() } else { format!("; it said last:\n{}", tail.join("\n")) }
}

/// What is compiled, and how.
pub(crate) struct Work<'a> {
    /// What it is called where its progress is told.
    pub name: &'a str,
    /// The root that the script runs in.
    pub root: Tree,
    /// The tarball.
    pub tarball: &'a Path,
    /// The name of the script in the project, for errors.
    pub script_name: &'a str,
    /// Its text.
    pub script: &'a [u8],
    /// What it is told beside the names of files.
    pub environment: BTreeMap<&'a str, String>,
}

/// Runs the script of a compile in two empty folders, and gives the tar that it made, which was read once as a tree. Once
/// `stop` is set, it ends with the next thing that the script says.
///
/// # Errors
/// A script that fails, or makes no acceptable tar; folders that cannot be used.
pub(crate) fn compile(
    program: &Program,
    work: &Work<'_>,
    (root, folder): (&Path, &Path),
    stop: &AtomicBool,
    observer: &dyn Observer,
) -> Result<Content, CompileError> {
    // Owners say nothing here: everything belongs to the one user that there is.
    rootfs::write_directory(&work.root, root, Ownership::Ignore)?;
    fs::create_dir(folder.join(WORK))?;
    fs::copy(work.tarball, folder.join(TARBALL))?;
    fs::write(folder.join(SCRIPT), work.script)?;
    let mut log = Log { file: fs::File::create(folder.join(LOG))?, open: Vec::new(), tail: VecDeque::new() };
    let at_work = Root::Workplace(Workplace {
        layers: vec![root.to_owned()],
        folder: folder.to_owned(),
        place: PLACE.into(),
    });
    let told = |line: &str| observer.observe(&Event::Compiles { ruby: work.name, line });
    let outcome = sandbox::watch(program, &at_work, &command(work), &mut |_, bytes| {
        log.hear(bytes, &told);
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let ending = match outcome.status {
        Status::Exited(0) => None,
        Status::Exited(status) => Some(format!("ended with status {status}")),
        Status::Signaled(signal) => Some(format!("was ended by signal {signal}")),
        Status::TimedOut => Some(format!("took longer than {} hours", LIMITS.time.as_secs() / 3600)),
        Status::OutOfMemory => Some(format!("took more than {} GiB of memory", LIMITS.memory >> 30)),
        Status::TooManyProcesses => Some(format!("started more than {} processes", LIMITS.processes)),
    };
    if let Some(ending) = ending {
        let tail = log.end(&told);
        return Err(CompileError::Script { script: work.script_name.to_owned(), ending, tail, kept: None });
    }
    let output = |source| CompileError::Output { script: work.script_name.to_owned(), source };
    let tar: Content = fs::read(folder.join(OUTPUT)).map_err(|error| output(error.into()))?.into();
    tree(&tar).map_err(|fault| output(fault.into()))?;
    Ok(tar)
}

/// What a tar of an installed Ruby holds.
///
/// # Errors
/// A tar that is no acceptable one.
pub(crate) fn tree(tar: &Content) -> Result<Tree, TreeFault> {
    let layer = Layer::parse(tar.clone(), Dialect::Debian, Limits::default())?;
    let mut tree = Tree::new();
    tree.stack(&layer, Origin::default())?;
    Ok(tree)
}

fn command(work: &Work<'_>) -> Command {
    let place = |name: &str| format!("{PLACE}/{name}");
    let mut command = Command::new("/bin/sh");
    command.args = vec![place(SCRIPT).into()];
    let fixed = [
        ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("HOME", place(WORK)),
        ("TARBALL", place(TARBALL)),
        ("OUTPUT", place(OUTPUT)),
    ];
    let given = work.environment.iter().map(|(name, value)| (*name, value.clone()));
    command.env = fixed.into_iter().chain(given).map(|(name, value)| (name.into(), value.into())).collect();
    command.cwd = place(WORK).into();
    // The script looks for its name in what it made.
    "compile-sandbox".clone_into(&mut command.hostname);
    command.streams = Streams::Captured { stdin: Vec::new(), limit: 0 };
    command.limits = LIMITS;
    command
}

/// What a script says: all of it goes to a file, and the last lines are at hand.
struct Log {
    file: fs::File,
    /// The beginning of a line that is not whole.
    open: Vec<u8>,
    tail: VecDeque<String>,
}

impl Log {
    fn hear(&mut self, bytes: &[u8], told: &dyn Fn(&str)) {
        // A disk that is full makes the script itself fail.
        let _ = std::io::Write::write_all(&mut self.file, bytes);
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE.saturating_sub(self.open.len());
            self.open.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.close(told);
            }
        }
    }

    fn close(&mut self, told: &dyn Fn(&str)) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.open)).trim_end().to_owned();
        // Nothing of a program's goes to a terminal but text.
        let line: String =
            line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        if line.is_empty() {
            return;
        }
        told(&line);
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    /// The last lines.
    fn end(mut self, told: &dyn Fn(&str)) -> Vec<String> {
        self.close(told);
        self.tail.into()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn the_last_lines_are_kept_whole_and_as_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = Log { file: fs::File::create(&path).unwrap(), open: Vec::new(), tail: VecDeque::new() };
        let heard = RefCell::new(Vec::new());
        let told = |line: &str| heard.borrow_mut().push(line.to_owned());
        for number in 0..TAIL {
            log.hear(format!("line {number}\n").as_bytes(), &told);
        }
        let endless = "x".repeat(2 * LINE);
        for part in ["com", "piling\r\n\n", "\x1b[31mred", "\n", &endless, "\n", "no end"] {
            log.hear(part.as_bytes(), &told);
        }
        let tail = log.end(&told);
        assert_eq!(tail.len(), TAIL);
        assert_eq!(tail[..2], ["line 4", "line 5"]);
        assert_eq!(tail[TAIL - 4..], ["compiling", " [31mred", &"x".repeat(LINE), "no end"]);
        assert!(heard.borrow().ends_with(&tail));
        let all = fs::read_to_string(path).unwrap();
        assert!(all.starts_with("line 0\n") && all.ends_with(&format!("{endless}\nno end")));
    }

    #[test]
    fn an_error_shows_what_was_said_last_and_what_to_do() {
        let mut error = CompileError::Script {
            script: "compile.sh".to_owned(),
            ending: "ended with status 2".to_owned(),
            tail: vec!["checking for gcc... no".to_owned(), "configure: error: no compiler".to_owned()],
            kept: None,
        };
        assert_eq!(
            error.to_string(),
            "compile.sh ended with status 2; it said last:\nchecking for gcc... no\nconfigure: error: no compiler"
        );
        assert!(error.hint().unwrap().contains("--keep-failed"));
        if let CompileError::Script { kept, .. } = &mut error {
            *kept = Some("/dist/failed".into());
        }
        assert_eq!(
            error.hint().unwrap(),
            "what it worked on is in /dist/failed, with all that it said in compile.log"
        );
    }
}

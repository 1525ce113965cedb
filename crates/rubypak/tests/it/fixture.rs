//! Roots in temporary folders, and the program run on them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fs_err as fs;
use tempfile::TempDir;
use testkit::elf::{Class, Elf, I386};

/// A root filesystem, beside which there is room for outputs.
pub(crate) struct Root {
    folder: TempDir,
}

/// What a run said, and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Root {
    /// An empty root.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        Self { folder }
    }

    /// A root with a merged `/usr`, a program and its libraries, for two word sizes, and a script.
    pub(crate) fn usual() -> Self {
        let root = Self::empty();
        root.link("/lib", "usr/lib");
        root.link("/lib64", "usr/lib64");
        root.link("/bin", "usr/bin");
        root.program("/usr/lib64/ld-linux-x86-64.so.2", &Elf::library("ld-linux-x86-64.so.2"));
        root.program("/usr/lib/libc.so.6", &Elf::library("libc.so.6").needs("ld-linux-x86-64.so.2"));
        root.program("/usr/lib/libone.so.1.2", &Elf::library("libone.so.1").needs("libc.so.6"));
        root.link("/usr/lib/libone.so.1", "libone.so.1.2");
        root.program("/usr/lib/ld-linux.so.2", &narrow(Elf::library("ld-linux.so.2")));
        root.program("/usr/bin/app", &Elf::program().needs("libone.so.1").needs("libc.so.6"));
        root.program("/usr/bin/env", &Elf::program().needs("libc.so.6"));
        root.file("/usr/bin/script", "#!/usr/bin/env app\n", 0o755);
        root.file("/etc/app.conf", "setting\n", 0o600);
        root.file("/usr/share/doc/app/readme", "text\n", 0o644);
        root
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// A place beside the root.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What is beside the root.
    pub(crate) fn left(&self) -> Vec<String> {
        let names = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "root");
        names.sort();
        names
    }

    pub(crate) fn file(&self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>, mode: u32) {
        let file = self.place(path.as_ref());
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
    }

    pub(crate) fn program(&self, path: &str, object: &Elf) {
        self.file(path, object.build(), 0o755);
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        symlink(target, self.place(path.as_bytes())).unwrap();
    }

    pub(crate) fn folder(&self, path: &str, mode: u32) {
        let folder = self.place(path.as_bytes());
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, PermissionsExt::from_mode(mode)).unwrap();
    }

    fn place(&self, path: &[u8]) -> PathBuf {
        let place = self.path().join(OsStr::from_bytes(&path[1..]));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        place
    }

    /// The program on this root.
    pub(crate) fn run<W: AsRef<OsStr>>(&self, words: &[W]) -> Run {
        let root = self.path();
        let mut all: Vec<OsString> = vec!["--root".into(), root.into()];
        all.extend(words.iter().map(|word| word.as_ref().to_owned()));
        run_in(self.folder.path(), &all)
    }
}

/// The same object for a machine of 32 bits.
pub(crate) fn narrow(object: Elf) -> Elf {
    object.class(Class::Bits32).machine(I386)
}

/// The program: a copy beside the tests, or the one that was built with them.
pub(crate) fn program() -> PathBuf {
    let beside = std::env::current_exe().unwrap().with_file_name("rubypak");
    if beside.exists() { beside } else { env!("CARGO_BIN_EXE_rubypak").into() }
}

/// The program with these words, in this folder.
pub(crate) fn run_in<W: AsRef<OsStr>>(folder: &Path, words: &[W]) -> Run {
    let mut command = Command::new(program());
    Run::from(command.args(words).current_dir(folder).output().unwrap())
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Run {
    #[track_caller]
    pub(crate) fn is(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "`{text}` is not in {self:#?}");
        self
    }
}

/// Every path below a folder, with what there is to say of it, sorted.
pub(crate) fn listing(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().as_os_str().as_bytes().escape_ascii().to_string();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let mode = metadata.permissions().mode() & 0o7777;
            if metadata.is_symlink() {
                lines.push(format!("{name} -> {}", fs::read_link(&path).unwrap().display()));
            } else if metadata.is_dir() {
                lines.push(format!("{name}/ {mode:04o}"));
                open.push(path);
            } else {
                lines.push(format!("{name} {mode:04o} {}", metadata.len()));
            }
        }
    }
    lines.sort();
    lines
}

/// The names in a listing.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    listing(folder).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

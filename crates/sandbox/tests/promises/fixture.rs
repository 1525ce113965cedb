//! A root made of the probe and the libraries that it is linked to, taken from the host.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sandbox::{Command, Outcome, Program, Root, SandboxError, Status, Trace};
use tempfile::TempDir;

/// An unprivileged user inside.
pub(crate) const NONROOT: u32 = 65532;

/// The layers of a sandbox: one that works, and what a test puts on top.
pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) layers: Vec<PathBuf>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let base = folder.path().join("base");
        install(&probe(), &base, Path::new("bin/probe"), 0o755);
        for library in libraries() {
            let inside = library.strip_prefix("/").expect("an absolute path");
            install(&library, &base, inside, 0o755);
            // The loader, under the name that programs ask for.
            let name = library.file_name().expect("a file").to_owned();
            if name.display().to_string().starts_with("ld-linux") {
                install(&library, &base, &Path::new(LOADER_FOLDER).join(name), 0o755);
            }
        }
        let fixture = Self { folder, layers: vec![base] };
        fixture.write("base", "etc/passwd", "root:x:0:0::/root:/sbin/nologin\n");
        fixture.write("base", "usr/share/lower/file", "lower");
        fixture
    }

    /// A further layer on top of those there are.
    pub(crate) fn add_layer(&mut self, name: &str) -> PathBuf {
        let layer = self.folder.path().join(name);
        fs::create_dir(&layer).expect("a layer");
        self.layers.push(layer.clone());
        layer
    }

    /// Lets every user in, and to a folder `open` of the lowest layer.
    pub(crate) fn open_to_all(&self) {
        let open = self.layers[0].join("open");
        fs::create_dir(&open).expect("a folder");
        for (folder, mode) in [(self.folder.path(), 0o755), (&open, 0o777)] {
            fs::set_permissions(folder, PermissionsExt::from_mode(mode)).expect("its permissions");
        }
    }

    /// A shell inside, the host's own.
    pub(crate) fn add_shell(&self) {
        self.install(Path::new("/bin/sh"), "bin/sh");
    }

    /// A program of the machine, in the lowest layer.
    pub(crate) fn install(&self, program: &Path, inside: &str) {
        install(program, &self.layers[0], Path::new(inside), 0o755);
    }

    pub(crate) fn write(&self, layer: &str, path: &str, text: &str) {
        let path = self.folder.path().join(layer).join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("its permissions");
    }

    pub(crate) fn try_run(&self, command: &Command) -> Result<Outcome, SandboxError> {
        sandbox::run(&program(), &self.root(), command)
    }

    /// What a command used that ends well.
    pub(crate) fn trace(&self, command: &Command) -> Trace {
        trace_in(&self.root(), command)
    }

    pub(crate) fn root(&self) -> Root {
        Root::Layers(self.layers.clone())
    }

    pub(crate) fn run(&self, command: &Command) -> Outcome {
        self.try_run(command).unwrap_or_else(|error| panic!("{error}: {:?}", error.hint()))
    }

    /// What a command that ends well writes to standard output.
    pub(crate) fn output_of(&self, command: &Command) -> String {
        let outcome = self.run(command);
        let output = text(&outcome.stdout.bytes);
        assert_eq!(outcome.status, Status::Exited(0), "{:?} wrote {output}", command.args);
        output
    }

    /// The same for a probe as user 0 inside.
    pub(crate) fn output(&self, args: &[&str]) -> String {
        self.output_of(&command(args))
    }
}

/// What a command used that ends well.
pub(crate) fn trace_in(root: &Root, command: &Command) -> Trace {
    let (outcome, trace) = sandbox::trace(&program(), root, command)
        .unwrap_or_else(|error| panic!("{error}: {:?}", error.hint()));
    assert_eq!(outcome.status, Status::Exited(0), "{:?} {outcome:?}", command.args);
    trace
}

/// A probe inside, with time enough for a busy machine.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new("/bin/probe");
    command.args = args.iter().map(OsString::from).collect();
    command
}

pub(crate) fn program() -> Program {
    Program::at(probe(), [OsString::from("sandbox-init")])
}

/// The probe outside: beside these tests, where they were copied together, or where Cargo put it.
pub(crate) fn probe() -> PathBuf {
    let beside = std::env::current_exe().expect("this program").with_file_name("sandbox-probe");
    if beside.exists() { beside } else { PathBuf::from(env!("CARGO_BIN_EXE_sandbox-probe")) }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says, past what the test harness captures, that something was not tried.
pub(crate) fn skip(what: &str, why: &str) {
    writeln!(std::io::stderr(), "SKIPPED {what}: {why}").expect("standard error is open");
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

/// What the probe prints for an error.
pub(crate) fn errno(number: i32) -> String {
    format!("errno {number}")
}

/// An argument that only this run's processes have: the same tests may run for another user at the same time.
pub(crate) fn token(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// Is there a process on this machine that has `token` among its arguments?
pub(crate) fn is_running(token: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    processes
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .any(|line| line.split(|byte| *byte == 0).any(|argument| argument == token.as_bytes()))
}

#[cfg(target_arch = "x86_64")]
const LOADER_FOLDER: &str = "lib64";
#[cfg(target_arch = "aarch64")]
const LOADER_FOLDER: &str = "lib";

/// The libraries that this very program has loaded; the probe needs the same.
fn libraries() -> Vec<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").expect("the memory map");
    let mut libraries: Vec<PathBuf> = maps
        .lines()
        .filter_map(|line| line.find('/').map(|start| PathBuf::from(&line[start..])))
        .filter(|path| path.display().to_string().contains(".so"))
        .collect();
    libraries.dedup();
    libraries
}

fn install(from: &Path, layer: &Path, inside: &Path, mode: u32) {
    let to = layer.join(inside);
    fs::create_dir_all(to.parent().expect("a parent")).expect("a folder");
    fs::copy(from, &to).expect("a copy");
    fs::set_permissions(&to, PermissionsExt::from_mode(mode)).expect("its permissions");
}

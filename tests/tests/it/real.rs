//! The real images, built in a folder of their own from the packages that the machine's cache has, as `cargo xtask build-all`
//! leaves them there. The network is not used.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use fs_err as fs;
use schema::Architecture;
use tempfile::TempDir;

use crate::program::{workspace, xtask};

/// Where a project has a cache of its own.
const OWN_CACHE: &str = "cache";

/// What the real project is made of, in a folder where nothing disturbs it, with another name for its images.
pub(crate) fn project(name: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for file in ["matrix.toml", "matrix.lock"] {
        fs::copy(workspace().join(file), folder.path().join(file)).expect("a copy");
    }
    let copy = |from: &Path, to: &Path| {
        fs::copy(from, to).expect("a copy");
    };
    replicate(&workspace().join("images"), &folder.path().join("images"), &copy);
    let image = folder.path().join("images/ruby/image.toml");
    let text = fs::read_to_string(&image).expect("its description");
    let renamed = text.replacen("name = \"ruby\"", &format!("name = \"{name}\""), 1);
    fs::write(&image, renamed).expect("its description under another name");
    folder
}

/// A project whose images are like the official one: everything as the compile installed it, with documentation, symbols and
/// what the pulled image has for building, on packages that dpkg knows. Those for building are at `NAME:RUBY-DISTRO-dev`.
pub(crate) fn official(name: &str) -> TempDir {
    let project = project(name);
    let image = project.path().join("images/ruby/image.toml");
    let text = fs::read_to_string(&image).expect("its description");
    let rules = ["[[drop]]", "[[shrink]]", "[[variants.drop]]"];
    let is_kept = |table: &&str| !rules.iter().any(|rule| table.starts_with(rule));
    let tables = text.split("\n\n").filter(is_kept).collect::<Vec<_>>().join("\n\n");
    let all =
        "{ path = \"{prefix}/**\", why = \"as it was installed\" },\n    { path = \"{prefix}/bin/ruby\", why";
    let accept = "\n\n[[accept]]\nfinding = \"*not-found:**\"\nwhy = \"of tests, templates and adapters\"\n";
    let tables = tables.replacen("{ path = \"{prefix}/bin/ruby\", why", all, 1) + accept;
    assert!(
        tables.contains(all) && !tables.contains("\n[[shrink]]"),
        "the description is as it is edited here"
    );
    fs::write(&image, tables).expect("its description");
    // One compression is enough for what is unpacked once.
    let matrix = project.path().join("matrix.toml");
    let text = fs::read_to_string(&matrix).expect("the matrix");
    fs::write(&matrix, text.replacen("\"both\"", "\"gzip\"", 1)).expect("the matrix");
    project
}

/// Gives a project a cache of its own, which begins with what the machine's has: what is added is gone with the project. For
/// what nobody asks for again, as the unpacked layers of an image for building, of half a gigabyte.
pub(crate) fn with_own_cache(project: &TempDir) {
    for part in ["blobs", "derived"] {
        let from = cache().join(part);
        if from.is_dir() {
            // Nothing in a cache is ever written to: what is new takes the place of a link.
            let link = |from: &Path, to: &Path| symlink(from, to).expect("a link");
            replicate(&from, &project.path().join(OWN_CACHE).join(part), &link);
        }
    }
}

/// Waits until no other test has an image for building, in an engine or unpacked: each takes a gigabyte.
pub(crate) fn one_for_building() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // That another test failed with it is no matter.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes what was built in a project, once an engine has it.
pub(crate) fn forget(project: &Path) {
    fs::remove_dir_all(project.join("dist")).expect("what was built goes");
}

/// Runs a verb in a project. Gives standard output, or what was said when it failed.
pub(crate) fn run(project: &Path, arguments: &[&str]) -> Result<String, String> {
    outcome(command(project, arguments).output().expect("the program starts"))
}

/// A verb in a project, to be run.
pub(crate) fn command(project: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(xtask());
    command.args(arguments).current_dir(project);
    let own = project.join(OWN_CACHE);
    if own.is_dir() {
        command.env("DISTROLESS_RUBY_CACHE", own);
    }
    command
}

/// Runs a command to its end, then kills it at several moments of the time that it took. Before each the engine is made to
/// forget what it has; after each, and at the end, somebody looks at what it has.
pub(crate) fn kill_at_moments(command: impl Fn() -> Command, forget: impl Fn(), look: impl Fn()) {
    let start = || {
        let mut command = command();
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
    };
    let begun = Instant::now();
    assert!(start().wait().expect("it ends").success());
    let whole = begun.elapsed();
    look();
    for sixteenths in [1, 4, 8, 12, 15] {
        forget();
        let mut run = start();
        thread::sleep(whole * sixteenths / 16);
        run.kill().expect("it can be killed");
        run.wait().expect("it ends");
        look();
    }
}

/// The architecture of this machine.
pub(crate) fn host() -> String {
    Architecture::host().expect("an architecture that images are built for").to_string()
}

/// Builds an image for this machine, or says why that is not tried here.
pub(crate) fn build(project: &Path, image: &str) -> Result<(), String> {
    run(project, &["build", image, "--arch", &host(), "--no-check", "--offline", "--locked"])
        .map(drop)
        .map_err(|why| format!("it was not built on this machine: run `cargo xtask build-all`\n{why}"))
}

/// The machine's own cache, where the program has it.
#[expect(clippy::disallowed_methods, reason = "the program that is tested looks there")]
pub(crate) fn cache() -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("DISTROLESS_RUBY_CACHE").unwrap_or_else(|| {
        let caches = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
        caches.expect("a home").join("distroless-ruby")
    })
}

/// Standard output, or what was said when it failed.
pub(crate) fn outcome(output: Output) -> Result<String, String> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// Makes a folder with the same folders, and has `put` make each file there.
fn replicate(from: &Path, to: &Path, put: &dyn Fn(&Path, &Path)) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder that is there") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("its type").is_dir() {
            replicate(&entry.path(), &to, put);
        } else {
            put(&entry.path(), &to);
        }
    }
}

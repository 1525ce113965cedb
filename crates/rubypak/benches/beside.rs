//! rubypak beside lddtree (of pax-utils) and magicpak, on the same files in one run: `cargo bench -p rubypak`.
//!
//! `BESIDE_ROOT` names the root with a `ruby` in it, `/` where it is not set; `RUBYPAK` another rubypak, as the static one.
//! Each command runs until ten runs or ten seconds are over; the shortest counts, since other work on the machine makes a
//! run longer, never shorter. What is not installed says so in its line.

#![allow(clippy::disallowed_methods, reason = "a benchmark is told by its environment what to measure")]
#![allow(clippy::print_stdout, reason = "a benchmark is there to print")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use serde_json::Value;

const MOST_RUNS: usize = 10;
const LONGEST: Duration = Duration::from_secs(10);

fn main() {
    let root = PathBuf::from(std::env::var_os("BESIDE_ROOT").unwrap_or_else(|| "/".into()));
    let Some(contents) = Contents::of(&root) else {
        println!("there is no ruby in {}: BESIDE_ROOT names a root that has one", root.display());
        return;
    };
    let Contents { ruby, objects, paths } = contents;
    println!("{}: the shortest time of up to {MOST_RUNS} runs", root.display());

    let loaded = ["--json", "--loaded", "--accept", "*"];
    let program = format!("{ruby} and what it loads");
    line(&program, "rubypak --json --loaded", |_| rubypak(&root, &loaded, [&ruby]));
    line(&program, "lddtree", |_| lddtree(&root, [&ruby]));
    if root == Path::new("/") {
        line(&program, "magicpak, which copies it too", |folder| magicpak(&ruby, folder));
    } else {
        println!("| {program} | magicpak | knows no root but / |");
    }

    let all = format!("{} ELF objects and what they load", objects.len());
    line(&all, "rubypak --json --loaded", |_| rubypak(&root, &loaded, &objects));
    line(&all, "lddtree", |_| lddtree(&root, &objects));

    let everything = format!("everything that {ruby} needs: {paths} paths");
    line(&everything, "rubypak --json", |_| rubypak(&root, &["--json", "--accept", "*"], [&ruby]));
}

/// What the root has for a Ruby.
struct Contents {
    /// The program.
    ruby: String,
    /// Every ELF object of its closure.
    objects: Vec<String>,
    /// How many paths the closure has.
    paths: usize,
}

impl Contents {
    fn of(root: &Path) -> Option<Self> {
        let answer = rubypak(root, &["--json"], ["ruby"]).output().unwrap();
        let report: Value = serde_json::from_slice(&answer.stdout).ok()?;
        let files = report["files"].as_array()?;
        let paths =
            files.iter().filter(|file| file["kind"] == "file").filter_map(|file| file["path"].as_str());
        let objects: Vec<String> = paths.filter(|path| is_elf(root, path)).map(str::to_owned).collect();
        let is_ruby = |path: &&String| {
            path.rsplit('/').next().is_some_and(|name| name.starts_with("ruby")) && path.contains("/bin/")
        };
        Some(Self { ruby: objects.iter().find(is_ruby)?.clone(), objects, paths: files.len() })
    }
}

fn is_elf(root: &Path, path: &str) -> bool {
    let mut magic = [0; 4];
    let read = fs::File::open(on_host(root, path)).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && magic == *b"\x7fELF"
}

fn on_host(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn rubypak(root: &Path, flags: &[&str], roots: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let own = || env!("CARGO_BIN_EXE_rubypak").into();
    let mut command = Command::new(std::env::var_os("RUBYPAK").unwrap_or_else(own));
    command.arg("--root").arg(root).args(flags).args(roots);
    command
}

fn lddtree(root: &Path, objects: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new("lddtree");
    // It is a Python program of the system, and takes modules of the system's Python.
    let path: OsString =
        ["/usr/bin:/bin:".into(), std::env::var_os("PATH").unwrap_or_default()].into_iter().collect();
    command.env("PATH", path).arg("-R").arg(root).args(objects);
    command
}

/// It refuses an output that is there.
fn magicpak(program: &str, folder: &Path) -> Command {
    let mut command = Command::new("magicpak");
    command.arg(program).arg(folder.join("bundle"));
    command
}

/// Prints a line of the table. The command gets an empty folder for each run.
fn line(what: &str, tool: &str, command: impl Fn(&Path) -> Command) {
    let time = match measure(command) {
        Ok(time) => format!("{:.1} ms", time.as_secs_f64() * 1000.0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => "not installed".to_owned(),
        Err(error) => format!("failed: {error}"),
    };
    println!("| {what} | {tool} | {time} |");
}

fn measure(command: impl Fn(&Path) -> Command) -> io::Result<Duration> {
    let (first, mut shortest) = (Instant::now(), Duration::MAX);
    for _ in 0..MOST_RUNS {
        let folder = tempfile::tempdir()?;
        let mut command = command(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let start = Instant::now();
        let status = command.status()?;
        shortest = shortest.min(start.elapsed());
        if !status.success() {
            return Err(io::Error::other(status.to_string()));
        }
        if first.elapsed() > LONGEST {
            break;
        }
    }
    Ok(shortest)
}

//! How long a closure takes: `cargo bench -p analyzer`. `CLOSURE_ROOTS`, folders with colons between them, names roots on
//! a disk that hold a `ruby`; without it, one is made. Each is read anew for each round, from the system's cache of files,
//! and is measured in memory too. Then come made roots of growing size, each of which is kept as a whole: what a file costs
//! must not grow with them. `CLOSURE_SIZES`, numbers with commas between them, says how large they get.

#![allow(clippy::disallowed_methods, reason = "a benchmark is told by its environment what to measure")]
#![allow(clippy::print_stdout, reason = "a benchmark is there to print")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Display;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use analyzer::{Closure, Drop, Request, Root, analyze};
use fs_err as fs;
use rayon::prelude::*;
use rootfs::{Filesystem, LiveRoot, RootPath, Tree};
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, fstat, openat, statat};
use rustix::time::{ClockId, clock_gettime};
use testkit::elf::Elf;

const ROUNDS: usize = 100;
const SIZES: &str = "2000,20000,200000";

fn main() {
    match std::env::var_os("CLOSURE_ROOTS") {
        Some(roots) => std::env::split_paths(&roots).for_each(|root| ruby(&root)),
        None => {
            let folder = tempfile::tempdir().unwrap();
            write_ruby(folder.path());
            ruby(folder.path());
        }
    }
    let sizes = std::env::var("CLOSURE_SIZES").unwrap_or_else(|_| SIZES.to_owned());
    for size in sizes.split(',') {
        growing(size.trim().parse().unwrap());
    }
}

/// A root that holds a Ruby: its whole closure, and that of the program and its libraries alone.
fn ruby(root: &Path) {
    let name = root.display();
    let whole = Request { roots: vec![Root::pattern("ruby", "measured")], ..Request::default() };
    let drop = Drop { name: "rest".into(), globs: vec!["/**/rbconfig.rb".into()], reason: String::new() };
    let program = Request { drop: vec![drop], ..whole.clone() };

    report(&format!("{name}: Ruby, on disk"), || from_disk(root, &whole));
    report(&format!("{name}: program and libraries, on disk"), || from_disk(root, &program));
    report_system_alone(&name, root, &from_disk(root, &whole).0);
    let tree = in_memory(root);
    report(&format!("{name}: Ruby, in memory"), || (analyze(&tree, &whole), ()));
    report(&format!("{name}: program and libraries, in memory"), || (analyze(&tree, &program), ()));
}

fn growing(size: usize) {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..size {
        let path =
            folder.path().join(format!("app/{}/{}/file{number}.txt", number / 10_000, number / 100 % 100));
        if number % 100 == 0 {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        fs::write(path, format!("# file {number}\n").repeat(20)).unwrap();
    }
    let request = Request { roots: vec![Root::pattern("/app", "measured")], ..Request::default() };
    report(&format!("{size} files, on disk"), || from_disk(folder.path(), &request));
    let tree = in_memory(folder.path());
    report(&format!("{size} files, in memory"), || (analyze(&tree, &request), ()));
}

fn from_disk(root: &Path, request: &Request) -> (Closure, LiveRoot) {
    let live = LiveRoot::open(root).unwrap();
    (analyze(&live, request), live)
}

/// Prints the shortest time until there is a closure and the least processor time, after one round that is not measured:
/// others on the machine make rounds longer, never shorter. The root that was read, where one was, goes after that.
fn report<R>(what: &str, find: impl Fn() -> (Closure, R)) {
    let (closure, _) = find();
    let kept = closure.entries.len();
    let rounds = ROUNDS.min(1 + 1_000_000 / kept.max(1));
    let (mut time, mut processor) = (Duration::MAX, Duration::MAX);
    for _ in 0..rounds {
        let (start, processor_start) = (Instant::now(), processor_time());
        let (again, _root) = find();
        time = time.min(start.elapsed());
        processor = processor.min(processor_time().saturating_sub(processor_start));
        assert_eq!(again, closure);
    }
    let each = time / u32::try_from(kept.max(1)).unwrap();
    println!(
        "{what}: {kept} paths kept, {time:.2?}, {each:.1?} each, {processor:.2?} of processor time, {} findings",
        closure.findings.len()
    );
}

/// Prints the shortest time in which the system alone does what the closure asks of it, on all threads: lists the folders,
/// tells the status of each path, opens each Ruby program and reads it. Below this no analyzer of files gets.
fn report_system_alone(name: &impl Display, root: &Path, closure: &Closure) {
    let mut folders: BTreeMap<PathBuf, Vec<&RootPath>> = BTreeMap::new();
    for path in closure.entries.keys() {
        let folder = root.join(Path::new(OsStr::from_bytes(path.parent().unwrap().relative())));
        folders.entry(folder).or_default().push(path);
    }
    let (mut time, mut processor) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let (start, processor_start) = (Instant::now(), processor_time());
        folders.par_iter().for_each(|(folder, paths)| ask_system(folder, paths));
        time = time.min(start.elapsed());
        processor = processor.min(processor_time().saturating_sub(processor_start));
    }
    println!("{name}: the system alone: {time:.2?}, {processor:.2?} of processor time");
}

fn ask_system(folder: &Path, paths: &[&RootPath]) {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let fd = openat(CWD, folder, flags | OFlags::DIRECTORY, Mode::empty()).unwrap();
    for entry in Dir::read_from(&fd).unwrap() {
        drop(entry.unwrap());
    }
    let mut bytes = vec![0; 64 << 10];
    for path in paths {
        if path.name().ends_with(b".rb") {
            let file = openat(&fd, path.name(), flags, Mode::empty()).unwrap();
            fstat(&file).unwrap();
            rustix::io::read(&file, &mut bytes[..]).unwrap();
        } else {
            statat(&fd, path.name(), AtFlags::SYMLINK_NOFOLLOW).unwrap();
        }
    }
}

/// What all threads have taken so far.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap()
}

fn in_memory(root: &Path) -> Tree {
    let live = LiveRoot::open(root).unwrap();
    let paths: Vec<RootPath> = live.descendants(&RootPath::root()).map(|(path, _)| path.clone()).collect();
    live.select(paths).unwrap()
}

/// A Ruby like Debian's: 2,500 files in Ruby, 120 native extensions that need 5 libraries of a hundred each.
fn write_ruby(root: &Path) {
    let file = |path: &str, content: &[u8]| {
        let path = PathBuf::from(format!("{}{path}", root.display()));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    let config = "CONFIG[\"ruby_version\"] = \"3.3.0\"\nCONFIG[\"bindir\"] = \"/usr/bin\"\n\
        CONFIG[\"ruby_install_name\"] = \"ruby\"\nCONFIG[\"rubyarchdir\"] = \"/usr/lib/ruby/3.3.0/x86_64-linux\"\n\
        CONFIG[\"rubylibdir\"] = \"/usr/lib/ruby/3.3.0\"\n";
    file("/usr/lib/ruby/3.3.0/x86_64-linux/rbconfig.rb", config.as_bytes());
    file("/usr/bin/ruby", &Elf::program().needs("lib0.so.1").build());
    file("/lib64/ld-linux-x86-64.so.2", &Elf::dynamic().build());
    for number in 0..100 {
        let soname = format!("lib{number}.so.1");
        let next = format!("lib{}.so.1", (number + 1) % 100);
        let library = Elf::library(&soname).needs(&next).payload(vec![0; 50_000]).build();
        file(&format!("/usr/lib/x86_64-linux-gnu/{soname}"), &library);
    }
    for number in 0..120 {
        let extension =
            (0..5).fold(Elf::dynamic(), |elf, need| elf.needs(&format!("lib{}.so.1", (number + need) % 100)));
        file(&format!("/usr/lib/ruby/3.3.0/x86_64-linux/extension{number}.so"), &extension.build());
    }
    for number in 0..2500 {
        let path = format!("/usr/lib/ruby/3.3.0/part{}/file{number}.rb", number % 50);
        file(&path, "# a file\n".repeat(500).as_bytes());
    }
}

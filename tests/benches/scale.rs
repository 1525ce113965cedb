//! What variants and rows cost besides the checks: `cargo bench --profile dev --package integration-tests`.
//!
//! - A generated matrix of many rows, each a Ruby of its own, is planned and found unchanged. `SCALE_ROWS` says how many:
//!   1,000 where it is not set.
//! - A variant is added to the real matrix, for this machine's architecture, in a folder of its own and from the packages that
//!   the machine's cache has, as `cargo xtask build-all` leaves them there: one of another configuration, and one with a
//!   layer that was never packed before. What a run that changes nothing takes is told beside it.
//!
//! The shortest of several runs counts, since other work on the machine makes a run longer, never shorter.

#![allow(clippy::disallowed_methods, reason = "a benchmark is told by its environment what to measure")]
#![allow(clippy::print_stdout, reason = "a benchmark is there to print")]
#![allow(dead_code, reason = "of the tests' own tools, a few are needed")]

#[path = "../tests/it/mirror.rs"]
mod mirror;
#[path = "../tests/it/program.rs"]
mod program;
#[path = "../tests/it/project.rs"]
mod project;
#[path = "../tests/it/real.rs"]
mod real;
#[path = "../tests/it/scale.rs"]
mod scale;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;

/// How often each run is repeated.
const RUNS: usize = 7;

fn main() {
    let rows = std::env::var("SCALE_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(1_000);
    many_rows(rows);
    one_more_variant();
}

fn many_rows(rows: u32) {
    let (_mirror, project) = scale::project(rows);
    let build = ["build-all", "--no-check"];
    let first = Cost::of(&mut project.command(&build));
    println!("{rows} rows are built: {first}");
    let unchanged = (0..RUNS).map(|_| Cost::of(&mut project.command(&build)));
    let unchanged = unchanged.min_by_key(|cost| cost.time).expect("several runs");
    println!("{rows} rows are found unchanged: {unchanged}");
}

fn one_more_variant() {
    let project = real::project("scale");
    // For this machine alone, and yet the whole matrix: a run over that removes the variant that the one before added.
    let matrix = project.path().join("matrix.toml");
    let text = fs::read_to_string(&matrix).expect("the matrix");
    let both = "architectures = [\"amd64\", \"arm64\"]\n";
    assert!(text.contains(both), "the matrix is as it is edited here");
    fs::write(&matrix, text.replacen(both, "architectures = [\"host\"]\n", 1)).expect("the matrix");
    let build = || real::command(project.path(), &["build-all", "--no-check", "--offline", "--locked"]);
    let description = project.path().join("images/ruby/image.toml");
    if let Err(why) = real::outcome(build().output().expect("the program starts")) {
        return println!("a variant of the real matrix: not measured, for it is not built here\n{why}");
    }
    let text = fs::read_to_string(&description).expect("the description");
    let settings = |run: usize| {
        format!(
            "\n[[variants]]\nname = \"new\"\nwhy = \"\"\nenvironment = {{ RUN = \"{run} of {}\" }}\n",
            std::process::id()
        )
    };
    // In the layer is the shell of `debug`, and a file that no layer had before.
    let layer = |run: usize| {
        let root = "roots = [{ path = \"/usr/bin/busybox\", why = \"its size\" }]\n";
        let file = format!(
            "files = [{{ path = \"/{}-{run}\", folder = true, why = \"new\" }}]\n",
            std::process::id()
        );
        format!(
            "{}packages = [\"busybox-static\"]\n[[variants.layers]]\nname = \"new\"\n{root}{file}",
            settings(run)
        )
    };
    let measure = |part: &dyn Fn(usize) -> String| {
        let runs = (0..RUNS).map(|run| {
            // Back to what is built, so that every run adds the same.
            fs::write(&description, &text).expect("the description");
            let unchanged = Cost::of(&mut build());
            fs::write(&description, text.clone() + &part(run)).expect("one with a variant more");
            (unchanged, Cost::of(&mut build()))
        });
        let (unchanged, more): (Vec<Cost>, Vec<Cost>) = runs.unzip();
        let least = |costs: Vec<Cost>| costs.into_iter().min_by_key(|cost| cost.time).expect("several runs");
        (least(unchanged), least(more))
    };
    for (what, part) in [
        ("another configuration", &settings as &dyn Fn(usize) -> String),
        ("a layer of 2 MB, packed", &layer),
    ] {
        let (unchanged, more) = measure(part);
        println!("the real matrix, unchanged: {unchanged}");
        println!("a variant more of each row, with {what}: {more}");
    }
}

/// What a run took.
struct Cost {
    time: Duration,
    /// Of the processors, over all threads.
    processor: Duration,
    /// At most, in bytes.
    memory: u64,
}

impl Cost {
    /// Of a command that ends well.
    fn of(command: &mut Command) -> Self {
        let begun = Instant::now();
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
        let folder = format!("/proc/{}", child.id());
        let (mut processor, mut memory) = (Duration::ZERO, 0);
        // Both only grow, and what is read last is within a millisecond of the end.
        let status = loop {
            (processor, memory) = (processor.max(processor_time(&folder)), memory.max(peak(&folder)));
            match child.try_wait().expect("a child of this process") {
                Some(status) => break status,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        assert!(status.success(), "{status}");
        Self { time: begun.elapsed(), processor, memory }
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { time, processor, memory } = self;
        let (time, processor) = (time.as_millis(), processor.as_millis());
        write!(formatter, "{time} ms, {processor} ms of processor time, {} MB of memory", memory / 1_000_000)
    }
}

/// The most memory that a process has had (proc(5), `VmHWM`); 0 once it is over.
fn peak(folder: &str) -> u64 {
    let status = fs::read_to_string(Path::new(folder).join("status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or_default() * 1024
}

/// The time of processors that a process has had (proc(5), `stat`), which Linux tells in hundredths of a second.
fn processor_time(folder: &str) -> Duration {
    let stat = fs::read_to_string(Path::new(folder).join("stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

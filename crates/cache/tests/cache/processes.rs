//! Several processes with one store, some of which do not live long.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Barrier;
use std::thread;

use cache::{Client, Download, Options, Progress, Store};
use testkit::web::Reply::{Good, Held, Stalled};

use crate::{Counter, Workplace, client, package};

/// Not a test by itself: the other process, which fetches what its input says and tells how it goes.
#[test]
#[ignore = "the tests of this module start it"]
fn another_process() {
    let mut input = String::new();
    io::stdin().read_to_string(&mut input).unwrap();
    let Some((folder, url, size, digest)) = fields(&input) else { return };
    let store = Store::open(Path::new(folder)).unwrap();
    say("open");
    let download =
        Download { urls: vec![url.into()], size: size.parse().unwrap(), digest: digest.parse().unwrap() };
    let client = Client::new(Options::default()).unwrap();
    match client.fetch(&store, &download, &Telling) {
        Ok(blob) => say(&format!("fetched {}", blob.content().len())),
        Err(error) => say(&format!("error: {error}: {}", std::error::Error::source(&error).unwrap())),
    }
}

fn fields(input: &str) -> Option<(&str, &str, &str, &str)> {
    let mut lines = input.lines();
    Some((lines.next()?, lines.next()?, lines.next()?, lines.next()?))
}

#[expect(clippy::print_stdout, reason = "its parent reads it")]
fn say(line: &str) {
    // The test harness writes to the same stream, without an end of line.
    println!("\n> {line}");
}

struct Telling;

impl Progress for Telling {
    fn bytes(&self, count: u64) {
        say(&format!("bytes {count}"));
    }
}

/// Starts that process. `wrapper` is a shell command to start it with, where `"$@"` is the process.
fn start(place: &Workplace, wrapper: &str) -> (Child, impl Iterator<Item = String> + use<>) {
    let program = std::env::current_exe().unwrap();
    let mut child = Command::new("/bin/sh")
        .args(["-c", wrapper, "sh"])
        .arg(program)
        .args(["--exact", "processes::another_process", "--ignored", "--nocapture", "--test-threads=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let wanted = place.wanted();
    let mut input: ChildStdin = child.stdin.take().unwrap();
    writeln!(input, "{}\n{}\n{}\n{}", place.path().display(), wanted.urls[0], wanted.size, wanted.digest)
        .unwrap();
    drop(input);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    (child, lines.filter_map(|line| line.strip_prefix("> ").map(str::to_owned)))
}

#[test]
fn what_a_killed_process_began_is_continued() {
    let half = package().len() / 2;
    let place = Workplace::new();
    place.server.script("/package", [Stalled(half), Good]);
    let (mut child, mut lines) = start(&place, "exec \"$@\"");
    let mut received = 0;
    while received < half {
        let line = lines.next().expect("the process goes on");
        received += line.strip_prefix("bytes ").map_or(0, |count| count.parse::<usize>().unwrap());
    }
    child.kill().unwrap();
    child.wait().unwrap();

    let progress = Counter::default();
    let blob = client().fetch(&place.store, &place.wanted(), &progress).unwrap();
    assert_eq!(**blob.content(), package());
    assert_eq!(place.offsets(), [0, half]);
    assert_eq!(progress.0.into_inner(), package().len() as u64);
}

#[test]
fn two_processes_fetch_once() {
    let place = Workplace::new();
    place.server.script("/package", [Held]);
    let (mut first, first_lines) = start(&place, "exec \"$@\"");
    place.server.wait_for_requests(1);
    let (mut second, mut second_lines) = start(&place, "exec \"$@\"");
    assert_eq!(second_lines.next().as_deref(), Some("open"));
    place.server.release();
    let fetched = format!("fetched {}", package().len());
    assert_eq!(first_lines.last(), Some(fetched.clone()));
    assert_eq!(second_lines.last(), Some(fetched));
    assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
    assert_eq!(place.offsets(), [0], "one request");
}

#[test]
fn many_threads_fetch_once() {
    let place = Workplace::new();
    place.server.script("/package", [Held]);
    let (client, download, barrier) = (client(), place.wanted(), Barrier::new(9));
    thread::scope(|scope| {
        let fetch = || {
            barrier.wait();
            client.fetch(&place.store, &download, &()).map(|blob| blob.digest())
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(fetch)).collect();
        barrier.wait();
        place.server.wait_for_requests(1);
        place.server.release();
        for thread in threads {
            assert_eq!(thread.join().unwrap().unwrap(), download.digest);
        }
    });
    assert_eq!(place.offsets(), [0], "one request");
}

/// A limit on the size of files stands in for a disk that is full in the middle of a download: neither goes away by
/// trying again.
#[test]
fn a_file_that_cannot_grow_ends_the_download() {
    let place = Workplace::new();
    let (mut child, lines) = start(&place, "trap '' XFSZ; ulimit -f 100; exec \"$@\"");
    let last = lines.last().unwrap();
    let expected = format!("error: cannot write {}: File too large", place.partial().display());
    assert!(last.starts_with(&expected), "{last}");
    child.wait().unwrap();
    assert_eq!(place.offsets(), [0], "no second attempt");
    assert!(!place.store.contains(&place.wanted().digest));
    // Once there is room, it goes on from there.
    let left = std::fs::metadata(place.partial()).unwrap().len();
    assert!(left > 0);
    client().fetch(&place.store, &place.wanted(), &()).unwrap();
    assert_eq!(place.offsets()[1] as u64, left);
}

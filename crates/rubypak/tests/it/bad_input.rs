//! What is wrong with a root or a command line: a finding or an error, never a panic, never a silent gap.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use testkit::elf::Elf;

use crate::fixture::{Root, names, narrow};

#[test]
fn words_that_do_not_fit_together() {
    let root = Root::usual();
    root.run(&["app"]).is(2).says("name an output behind the roots");
    root.run::<&str>(&[]).is(2);
    root.run(&["--json", "--tree", "app"]).is(2);
    root.run(&["app", "out", "--root", "/none"]).is(2);
    root.run(&["app", "out", "--root", "list"]).is(2);
    // As what `"$(which none)"` leaves.
    root.run(&["-n", ""]).is(2).says("is empty");
    root.run(&["", "out"]).is(2).says("is empty");
    let nowhere = crate::fixture::run_in(&root.beside(""), &["--root", "none", "-n", "app"]);
    nowhere.is(2).says("none");
    assert!(root.left().is_empty());
}

#[test]
fn names_that_are_not_text() {
    let root = Root::usual();
    root.file(b"/app/\xff\\\n", "", 0o644);
    let run = root.run(&["--json", "/app"]).is(0);
    assert!(run.stdout.contains(r#""path": "/app/\\xff\\x5c\\x0a""#), "{}", run.stdout);
    root.run(&[OsStr::from_bytes(b"/app/\xff\\\n"), OsStr::new("out")]).is(0);
    assert_eq!(names(&root.beside("out")), ["app/", r"app/\xff\\\n"]);
    root.run(&[OsStr::from_bytes(b"/app/\xff*"), OsStr::new("other")]).is(2).says("not UTF-8");
}

#[test]
fn two_word_sizes_side_by_side() {
    let root = Root::usual();
    root.program("/usr/lib/libnarrow.so.1", &narrow(Elf::library("libnarrow.so.1")));
    root.program(
        "/usr/bin/narrow",
        &narrow(Elf::program().interpreter("/lib/ld-linux.so.2").needs("libnarrow.so.1")),
    );
    root.program("/usr/bin/wide", &Elf::program().needs("libnarrow.so.1"));
    root.run(&["narrow", "app", "out"]).is(0);
    root.run(&["wide", "other"]).is(1).says("/usr/lib/libnarrow.so.1 is for another architecture");
}

/// What is wrong with a file, and the key of the finding that tells so; none where it is a file like any other.
#[test]
fn every_fault_is_a_finding_with_a_key_to_go_on() {
    let root = Root::usual();
    let whole = Elf::program().needs("libone.so.1").build();
    root.link("/loop/one", "two");
    root.link("/loop/two", "one");
    root.link("/usr/lib/libloop.so.1", "libloop.so.1");
    root.file("/usr/lib/libtext.so.1", "no object\n", 0o755);
    root.file("/usr/lib/libcut.so.1", &Elf::library("libcut.so.1").build()[..80], 0o755);
    root.file("/etc/ld.so.conf", "include /etc/ld.so.conf\ninclude /etc/*.conf\n", 0o644);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.path().join("usr/bin/pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o755),
        0,
    )
    .unwrap();
    for (name, content) in [
        ("cut", &whole[..whole.len() - 5]),
        ("header", &whole[..64]),
        ("magic", b"\x7fELF"),
        ("lost", b"#!/none/interpreter -x\n"),
        ("unnamed", b"#!/usr/bin/env none\n"),
        ("itself", b"#!/usr/bin/itself\n"),
        ("empty", b""),
        ("text", b"\0\0no object"),
    ] {
        root.file(format!("/usr/bin/{name}"), content, 0o755);
    }
    root.program("/usr/bin/foreign", &Elf::program().interpreter("/lib/ld-none.so.9"));
    for name in ["loop", "text", "cut", "none"] {
        root.program(&format!("/usr/bin/needs-{name}"), &Elf::program().needs(&format!("lib{name}.so.1")));
    }
    for (program, key) in [
        ("cut", Some("damaged:/usr/bin/cut")),
        ("header", Some("damaged:/usr/bin/header")),
        ("magic", Some("damaged:/usr/bin/magic")),
        ("lost", Some("not-found:/usr/bin/lost:/none/interpreter")),
        ("unnamed", Some("program-not-found:/usr/bin/unnamed:none")),
        ("itself", None),
        ("empty", None),
        ("text", None),
        ("foreign", Some("not-found:/usr/bin/foreign:/lib/ld-none.so.9")),
        ("needs-loop", Some("library-not-found:/usr/bin/needs-loop:libloop.so.1")),
        ("needs-text", Some("library-unusable:/usr/bin/needs-text:libtext.so.1")),
        ("needs-cut", Some("damaged:/usr/lib/libcut.so.1")),
        ("needs-none", Some("library-not-found:/usr/bin/needs-none:libnone.so.1")),
        ("/loop/one", Some("not-found:/loop/one:two")),
        ("/usr/bin/pipe", Some("root-not-found:/usr/bin/pipe")),
        ("/none", Some("root-not-found:/none")),
        ("/none/*.so", Some("root-not-found:/none/*.so")),
        ("none", Some("root-not-found:/none")),
        ("/usr/bin/[", Some("bad-pattern:/usr/bin/[")),
    ] {
        let Some(key) = key else {
            root.run(&[program, "out", "--force"]).is(0);
            continue;
        };
        let run = root.run(&[program, "none"]).is(1);
        assert!(run.stderr.contains(&format!("key: {key}\n")), "{program}: {run:#?}");
        run.says("nothing was written; --accept KEY goes on without one");
        let run = root.run(&[program, "--accept", key, "--dry-run"]).is(0);
        run.says("accepted (--accept): ");
    }
    assert_eq!(root.left(), ["out"]);
}

/// Wherever an object is cut, that is a finding, or so little is left of it that it is a file like any other.
#[test]
fn objects_cut_anywhere() {
    let root = Root::usual();
    let whole = Elf::program().needs("libone.so.1").build();
    let lengths: Vec<usize> = (0..whole.len()).step_by(37).collect();
    for length in &lengths {
        root.file(format!("/cut/{length:05}"), &whole[..*length], 0o755);
    }
    let run = root.run(&["--json", "/cut"]).is(1);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let damaged =
        report["findings"].as_array().unwrap().iter().map(|finding| finding["key"].as_str().unwrap());
    let wanted =
        lengths.iter().filter(|length| **length >= 4).map(|length| format!("damaged:/cut/{length:05}"));
    assert_eq!(damaged.map(str::to_owned).collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
}

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

#[test]
fn loops_cuts_and_missing_interpreters() {
    let root = Root::usual();
    root.link("/loop/one", "two");
    root.link("/loop/two", "one");
    let whole = Elf::program().build();
    root.file("/usr/bin/cut", &whole[..whole.len() - 5], 0o755);
    root.file("/usr/bin/lost", "#!/none/interpreter -x\n", 0o755);
    root.program("/usr/bin/foreign", &Elf::program().interpreter("/lib/ld-none.so.9"));
    for (program, key) in [
        ("/loop/one", "not-found:/loop/one"),
        ("cut", "damaged:/usr/bin/cut"),
        ("lost", "not-found:/usr/bin/lost:/none/interpreter"),
        ("foreign", "not-found:/usr/bin/foreign:/lib/ld-none.so.9"),
    ] {
        root.run(&[program, "out"]).is(1).says(key);
    }
    assert!(root.left().is_empty());
}

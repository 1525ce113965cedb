//! What is printed: JSON, trees, reasons, and plain lists.

use serde_json::Value;
use testkit::elf::Elf;

use crate::fixture::Root;

/// The report as pretty JSON, without what depends on who runs the test.
fn json(root: &Root, words: &[&str]) -> String {
    let run = root.run(words);
    let mut report: Value =
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:#?}"));
    for file in report["files"].as_array_mut().unwrap() {
        let file = file.as_object_mut().unwrap();
        assert!(file.remove("uid").is_some() && file.remove("gid").is_some());
    }
    let value = |value: &Value| serde_json::to_string(value).unwrap();
    let lines = |name: &str| {
        let lines = report[name].as_array().unwrap().iter().map(|one| format!("\n  {}", value(one)));
        format!("{name}:{}\n", lines.collect::<String>())
    };
    let head = format!("version: {}\n", report["version"]);
    head + &lines("files")
        + &lines("findings")
        + &lines("traced")
        + &lines("packages")
        + &format!("totals: {}\n", value(&report["totals"]))
}

#[test]
fn json_has_everything() {
    let root = Root::empty();
    root.link("/lib", "usr/lib");
    root.program("/usr/lib/libone.so.1", &Elf::library("libone.so.1"));
    root.program("/usr/bin/app", &Elf::dynamic().needs("libone.so.1").needs("libtwo.so.2"));
    root.file("/var/lib/dpkg/info/libone1.list", "/.\n/lib/libone.so.1\n", 0o644);
    root.file("/var/lib/dpkg/status", "Package: libone1\nVersion: 1.0-2\n", 0o644);
    let report = json(&root, &["--json", "app", "--accept", "library-not-found:*:libtwo.so.2"]);
    insta::assert_snapshot!(report);
    root.run(&["--json", "app"]).is(1).says("1 need is not met");
}

#[test]
fn trees_show_each_object_once_and_what_is_missing() {
    let root = Root::usual();
    root.program("/usr/bin/broken", &Elf::program().needs("libone.so.1").needs("libnone.so.3"));
    let run = root.run(&["--tree", "script", "broken"]).is(1);
    insta::assert_snapshot!(run.stdout);
}

#[test]
fn why_leads_back_to_a_root() {
    let root = Root::usual();
    let why = |path: &str, words: &[&str], status| {
        root.run(&[&["--why", path, "script"], words].concat()).is(status).stdout
    };
    assert_eq!(
        why("/lib/libone.so.1.2", &[], 0),
        "/lib/libone.so.1.2 leads to /usr/lib/libone.so.1.2\n\
         /usr/lib/libone.so.1.2 is needed\n  \
           NEEDED libone.so.1 of /usr/bin/app\n    \
             shebang program app of /usr/bin/script\n      \
               root: named on the command line\n"
    );
    assert_eq!(why("/usr/share", &[], 1), "/usr/share is not needed: nothing leads to it from a root\n");
    assert_eq!(why("/none", &[], 1), "/none is not there\n");
    assert_eq!(
        why("/usr/lib/libone.so.1", &["--exclude", "libone*"], 1),
        "/usr/lib/libone.so.1 is needed, and left out by `--exclude libone*`\n"
    );
}

#[test]
fn a_dry_run_lists_paths_and_writes_nothing() {
    let root = Root::usual();
    let out = root.beside("out");
    let run = root.run(&["--dry-run".as_ref(), "app".as_ref(), "-o".as_ref(), out.as_os_str()]).is(0);
    assert_eq!(
        run.stdout,
        "/lib\n/lib64\n/usr\n/usr/bin\n/usr/bin/app\n/usr/lib\n/usr/lib/libc.so.6\n/usr/lib/libone.so.1\n\
         /usr/lib/libone.so.1.2\n/usr/lib64\n/usr/lib64/ld-linux-x86-64.so.2\n"
    );
    assert!(root.left().is_empty());
}

#[test]
fn findings_have_keys_and_nothing_is_written_with_them() {
    let root = Root::usual();
    root.program("/usr/bin/broken", &Elf::program().needs("libnone.so.3"));
    let key = "library-not-found:/usr/bin/broken:libnone.so.3";
    root.run(&["broken", "out"]).is(1).says(key).says("nothing was written");
    assert!(root.left().is_empty());
    let run = root.run(&["broken", "out", "--accept", key, "--accept", "other"]).is(0);
    run.says("accepted (--accept)").says("nothing is accepted by the key `other`");
    assert_eq!(root.left(), ["out"]);
}

#[test]
fn quiet_and_verbose() {
    let root = Root::usual();
    assert_eq!(root.run(&["-q", "app", "one"]).is(0).stderr, "");
    root.run(&["-v", "app", "two"]).is(0).says("/usr/lib/libone.so.1.2: NEEDED libone.so.1 of /usr/bin/app");
}

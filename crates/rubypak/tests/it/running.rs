//! Traces, on this machine's own root.

use serde_json::Value;

use crate::fixture::{Run, names};

fn run(words: &[&str]) -> Run {
    crate::fixture::run_in("/".as_ref(), words)
}

#[test]
fn what_a_command_opens_comes_along() {
    let folder = tempfile::tempdir().unwrap();
    let script = "cat /etc/hostname >/dev/null & (test -e /etc/passwd); wait";
    let out = folder.path().join("out");
    let words = ["/bin/sh", "-o", out.to_str().unwrap(), "--trace", "--", "/bin/sh", "-c", script];
    run(&words).is(0).says("leads to /etc/hostname");
    let out = names(&out);
    for name in ["etc/hostname", "etc/passwd", "usr/bin/cat"] {
        assert!(out.contains(&name.to_owned()), "{name}: {out:#?}");
    }
}

/// Where temporary folders are, a sandbox has the machine's files too.
#[test]
fn a_command_below_tmp_runs_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    fs_err::write(&script, "#!/bin/sh\nread -r line <./data; echo >made\n").unwrap();
    fs_err::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs_err::write(folder.path().join("data"), "").unwrap();
    let words = ["./script", "out", "--trace", "--", "./script"];
    let data = folder.path().join("data").display().to_string();
    crate::fixture::run_in(folder.path(), &words).is(0).says(&format!("leads to {data}"));
    assert!(names(&folder.path().join("out")).contains(&data[1..].to_owned()));
    assert!(!folder.path().join("made").exists());
}

#[test]
fn several_commands_add_up_and_are_reported() {
    let words = [
        "--json",
        "/bin/sh",
        "--trace-command",
        "cat /etc/hostname",
        "--trace-command",
        "cat /etc/fstab /etc/passwd || true",
    ];
    let run = run(&words).is(0);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let traced: Vec<_> =
        report["traced"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap()).collect();
    assert!(traced.contains(&"/etc/hostname"), "{traced:?}");
    assert!(traced.iter().all(|path| *path != "/etc/ld.so.cache"), "{traced:?}");
    let files = report["files"].as_array().unwrap();
    let hostname = files.iter().find(|file| file["path"] == "/etc/hostname").unwrap();
    assert_eq!(hostname["reasons"][0]["because"], "opened by `cat /etc/hostname`");
}

#[test]
fn a_command_that_fails_stops_everything() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let run = |words: &[&str]| run(&[&["/bin/sh", "-o", out.to_str().unwrap()], words].concat());
    run(&["--", "ls"]).is(2).says("--trace is missing");
    run(&["--trace-command", "sh -c 'exit 3'"]).is(1).says("ended with status 3");
    run(&["--trace-command", "sh -c 'kill -9 $$'"]).is(1).says("was ended by signal 9");
    run(&["--trace-command", "/none"]).is(2).says("cannot trace `/none`");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
    // A server is stopped in the end.
    run(&["--trace-command", "sleep 60", "--time-limit", "1"]).is(0).says("was ended after 1 s");
}

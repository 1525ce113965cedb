//! A root that lives, `/` itself, as a layer; and what is mounted in it.

use std::path::Path;
use std::process::Command;

use sandbox::{Root, Status, Use};

use crate::fixture::{Fixture, probe, program, text, trace_in};

fn shell(script: &str) -> sandbox::Command {
    let mut command = sandbox::Command::new("/bin/sh");
    command.args = vec!["-c".into(), script.into()];
    command
}

fn machine() -> Root {
    Root::Layers(vec!["/".into()])
}

#[test]
fn the_machine_is_there_and_what_is_made_in_it_is_thrown_away() {
    let made = "/etc/made-in-a-sandbox";
    let script =
        format!("[ -f /etc/passwd ] && [ -d /usr/bin ] && cat /etc/hostname; echo : >{made}; . {made}");
    let outcome = sandbox::run(&program(), &machine(), &shell(&script)).expect("an outcome");
    assert_eq!(text(&outcome.stdout.bytes), "sandbox");
    assert_eq!(outcome.status, Status::Exited(0), "{outcome:?}");
    assert!(!Path::new(made).exists());
}

#[test]
fn what_is_used_of_the_machine_is_told() {
    let trace = trace_in(&machine(), &shell(". /etc/os-release"));
    let access = |path: &str| trace.files.get(path.as_bytes()).map(|access| (access.used, access.found));
    assert_eq!(access("/bin/sh"), Some((Use::Executed, true)));
    assert_eq!(access("/etc/os-release"), Some((Use::Opened, true)));
}

#[test]
fn what_lies_below_tmp_is_there_too_and_stays_as_it_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [below, made] = ["below", "made"].map(|name| folder.path().join(name));
    std::fs::write(&below, "echo it is there\n").expect("a script");
    let mut command = shell(". ./below; echo : >below; echo : >made; echo : >/tmp/other; . /tmp/other");
    command.cwd = folder.path().to_owned();
    let outcome = sandbox::run(&program(), &machine(), &command).expect("an outcome");
    assert_eq!(text(&outcome.stdout.bytes), "it is there", "{outcome:?}");
    assert_eq!(outcome.status, Status::Exited(0), "{outcome:?}");
    assert_eq!(std::fs::read_to_string(&below).expect("the script"), "echo it is there\n");
    assert!(!made.exists());
    let trace = trace_in(&machine(), &shell(&format!(". {}", below.display())));
    assert_eq!(trace.files[below.as_os_str().as_encoded_bytes()].used, Use::Opened);
}

/// What a command in the fixture writes, with something mounted on a folder and a file of it. The caller may mount, or
/// not.
fn beside_mounts(fixture: &Fixture, may_mount: bool, args: &[&str]) -> String {
    let script = r#"mount -t tmpfs none "$1/tmp/mount" && mount -t tmpfs none "$1/usr/share/lower" && echo mounted >"$1/usr/share/lower/mounted" &&
                    mount --bind "$1/etc/passwd" "$1/usr/share/covered" && shift && exec "$@""#;
    let below = if may_mount { &[][..] } else { &["unshare", "--user", "--map-root-user"] };
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(&fixture.layers[0])
        .args(below)
        .arg(probe())
        .arg("call")
        .arg(&fixture.layers[0])
        .arg("/bin/probe")
        .args(args)
        .output()
        .expect("unshare, of util-linux");
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn what_is_mounted_in_a_folder_does_not_come_along() {
    let fixture = Fixture::new();
    fixture.write("base", "usr/share/covered", "covered");
    fixture.write("base", "usr/share/beside", "beside");
    fixture.write("base", "usr/share/other/file", "other");
    fixture.write("base", "tmp/mount/file", "below a mount");
    fixture.write("base", "tmp/file", "beside one");
    for (may_mount, args, expected) in [
        (true, &["list", "/usr/share/lower"][..], "file\nExited(0)"),
        (true, &["read", "/usr/share/covered"], "coveredExited(0)"),
        (true, &["write", "/usr/share/beside", "x"], "done\nExited(0)"),
        (true, &["read", "/tmp/file"], "beside oneExited(0)"),
        (true, &["list", "/tmp/mount"], "file\nExited(0)"),
        (true, &["write", "/tmp/new", "x"], "done\nExited(0)"),
        (false, &["read", "/tmp/file"], "beside oneExited(0)"),
        (false, &["list", "/tmp/mount"], "\nExited(0)"),
        (false, &["write", "/tmp/new", "x"], "done\nExited(0)"),
        (false, &["list", "/usr/share/lower"], "\nExited(0)"),
        (false, &["read", "/usr/share/covered"], "Exited(0)"),
        (false, &["read", "/usr/share/beside"], "besideExited(0)"),
        (false, &["read", "/usr/share/other/file"], "otherExited(0)"),
        (false, &["write", "/usr/share/beside", "x"], "errno 30\nExited(0)"),
        (false, &["write", "/usr/share/other/file", "x"], "done\nExited(0)"),
        (false, &["write", "/usr/share/new", "x"], "done\nExited(0)"),
        (false, &["list", "/usr/share"], "beside covered lower other\nExited(0)"),
        (false, &["read", "/etc/hostname"], "sandbox\nExited(0)"),
        (false, &["mount"], "errno 1\nExited(0)"),
    ] {
        assert_eq!(beside_mounts(&fixture, may_mount, args), expected, "{args:?}, may mount: {may_mount}");
    }
    for path in ["usr/share/beside", "usr/share/other/file"] {
        let text = std::fs::read_to_string(fixture.layers[0].join(path)).expect("the file");
        assert_ne!(text, "x", "{path}");
    }
}

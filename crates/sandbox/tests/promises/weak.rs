//! The two confinements without namespaces: less is promised, and that is kept. It also holds as in a container that
//! builds an image: as root, without the capabilities that making namespaces and looking into processes want.

use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use sandbox::{Access, Command, Outcome, Root, SandboxError, Status, Step, Trace, Use};

use crate::fixture::{
    Fixture, NONROOT, command, errno, is_root, is_running, probe, program, skip, text, token, trace_in,
};

/// The probe outside, as the user who runs the tests.
fn own(args: &[&str]) -> Command {
    let mut command = Command { program: probe().into(), ..command(args) };
    command.uid = rustix::process::getuid().as_raw();
    command.gid = rustix::process::getgid().as_raw();
    command
}

/// The probe inside of the fixture's folder.
fn inside(args: &[&str]) -> Command {
    Command { program: "/bin/probe".into(), ..own(args) }
}

fn chroot(fixture: &Fixture) -> Root {
    Root::Chroot(fixture.layers[0].clone())
}

fn run(root: &Root, command: &Command) -> Outcome {
    sandbox::run(&program(), root, command).unwrap_or_else(|error| panic!("{error}: {:?}", error.hint()))
}

fn output(root: &Root, command: &Command) -> String {
    let outcome = run(root, command);
    let output = text(&outcome.stdout.bytes);
    assert_eq!(outcome.status, Status::Exited(0), "{:?} wrote {output}", command.args);
    output
}

fn failure<T: std::fmt::Debug>(result: Result<T, SandboxError>) -> (Step, i32) {
    match result {
        Err(SandboxError::Failed(failure)) => (failure.step, failure.errno),
        other => panic!("{other:?}"),
    }
}

fn access(trace: &Trace, path: impl AsRef<std::path::Path>) -> Option<Access> {
    trace.files.get(path.as_ref().as_os_str().as_encoded_bytes()).copied()
}

fn found(used: Use) -> Access {
    Access { used, found: true }
}

/// The same tests, as in a container that builds an image: these are the capabilities that engines leave there.
#[test]
fn in_a_build() {
    const ENGINE: &str = "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,\
                          +net_raw,+sys_chroot,+mknod,+audit_write,+setfcap";
    let bounding = fs::read_to_string("/proc/self/status").expect("the status of this process");
    if !is_root() || bounding.contains("CapBnd:\t00000000a80425fb") {
        // All others have just run there, or for an ordinary user, for whom it makes no difference.
        return;
    }
    let output = std::process::Command::new("setpriv")
        .args(["--bounding-set", ENGINE])
        .arg(std::env::current_exe().expect("this program"))
        .args(["weak::", "network", "outcome"])
        .output()
        .expect("setpriv, of util-linux");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("weak::in_a_build"), "{said}");
}

/// The same tests in a container that builds an image, with all that an engine forbids there.
#[test]
fn in_a_docker_build() {
    const WHAT: &str = "weak::in_a_docker_build";
    let docker = |args: &[&str]| std::process::Command::new("docker").args(args).output();
    match docker(&["version"]) {
        Ok(version) if version.status.success() => {}
        _ => return skip(WHAT, "no Docker daemon answers"),
    }
    let fixture = Fixture::new();
    fixture.install(&std::env::current_exe().expect("this program"), "tests/tests");
    fixture.install(&probe(), "tests/sandbox-probe");
    fs::create_dir(fixture.layers[0].join("tmp")).expect("a folder");
    fs::write(
        fixture.folder.path().join("Dockerfile"),
        "FROM scratch\nCOPY base/ /\nRUN [\"/tests/tests\", \"weak::\"]\n",
    )
    .expect("a file");
    let folder = fixture.folder.path().display().to_string();
    let built = docker(&["build", "--quiet", "--no-cache", "--network", "none", &folder]).expect("docker");
    assert!(built.status.success(), "{}\n{}", text(&built.stdout), text(&built.stderr));
    docker(&["image", "rm", "--force", &text(&built.stdout)]).expect("docker");
}

#[test]
fn the_command_gets_what_is_given_and_no_privilege() {
    let mut echo = own(&["environment"]);
    echo.env = [("LANG".into(), "C.UTF-8".into())].into();
    assert_eq!(output(&Root::InPlace, &echo), "LANG=C.UTF-8");
    let run = |args: &[&str]| output(&Root::InPlace, &own(args));
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(run(&["status", set]), format!("{set}:\t0000000000000000"));
    }
    assert_eq!(run(&["status", "NoNewPrivs"]), "NoNewPrivs:\t1");
    assert_eq!(run(&["list", "/proc/self/fd"]), "0 1 2 3");
    assert_eq!(run(&["mount"]), errno(libc::EPERM));
    let nested =
        sandbox::run(&program(), &Root::InPlace, &own(&["call", "/", "/bin/sh"])).expect("an outcome");
    let said = text(&nested.stdout.bytes);
    assert!(said.starts_with("error: cannot make a sandbox here: a system call filter forbids it"), "{said}");
    let identity = run(&["identity"]);
    assert!(identity.ends_with("umask 22"), "{identity}");
    for (args, status) in [(["exit", "3"], Status::Exited(3)), (["kill-self", "KILL"], Status::Signaled(9))] {
        assert_eq!(self::run(&Root::InPlace, &own(&args)).status, status);
    }
}

#[test]
fn in_place_writes_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file").display().to_string();
    assert_eq!(output(&Root::InPlace, &own(&["write", &file, "text"])), "done");
    assert_eq!(fs::read_to_string(&file).expect("the file"), "text");
}

#[test]
fn a_folder_becomes_the_root() {
    let fixture = Fixture::new();
    let root = chroot(&fixture);
    if !is_root() {
        let error = sandbox::run(&program(), &root, &inside(&["exit", "0"])).expect_err("no right");
        assert!(error.hint().is_some_and(|hint| hint.contains("CAP_SYS_CHROOT")), "{error}");
        assert_eq!(failure::<()>(Err(error)), (Step::ChangeRoot, libc::EPERM));
        return;
    }
    assert!(!output(&root, &inside(&["list", "/"])).contains("proc"));
    assert_eq!(output(&root, &inside(&["read", "/etc/passwd"])), "root:x:0:0::/root:/sbin/nologin");
    assert_eq!(output(&root, &inside(&["read", "/../../etc/passwd"])), "root:x:0:0::/root:/sbin/nologin");
    assert_eq!(output(&root, &inside(&["write", "/new", "text"])), "done");
    assert_eq!(fs::read_to_string(fixture.layers[0].join("new")).expect("the file"), "text");
    let mut there = inside(&["list", "."]);
    there.cwd = "/usr/share/lower".into();
    assert_eq!(output(&root, &there), "file");
    let absent = Root::Chroot(fixture.folder.path().join("absent"));
    let result = sandbox::run(&program(), &absent, &inside(&["exit", "0"]));
    assert_eq!(failure(result), (Step::ChangeRoot, libc::ENOENT));
}

#[test]
fn the_command_is_the_user_asked_for_or_nobody() {
    let fixture = Fixture::new();
    fixture.open_to_all();
    let mut other = inside(&["write", "/etc/passwd", "mine"]);
    (other.uid, other.gid) = (NONROOT, NONROOT);
    if is_root() {
        assert_eq!(output(&chroot(&fixture), &other), errno(libc::EACCES));
        other.args = ["write", "/open/mine", "mine"].map(OsString::from).to_vec();
        assert_eq!(output(&chroot(&fixture), &other), "done");
    } else {
        let result = sandbox::run(&program(), &Root::InPlace, &other);
        assert_eq!(failure(result), (Step::DropPrivileges, libc::EPERM));
    }
}

#[test]
fn what_a_command_leaves_behind_ends_with_it() {
    let token = &token("left-behind-in-place");
    assert!(output(&Root::InPlace, &own(&["leave", "sleep", token])).contains("left behind"));
    assert!(!is_running(token));
    let mut sleep = own(&["leave-and-sleep", token]);
    sleep.limits.time = Duration::from_millis(100);
    assert_eq!(run(&Root::InPlace, &sleep).status, Status::TimedOut);
    assert!(!is_running(token));
}

#[test]
fn the_limits_of_the_tree_hold() {
    let mut allocate = own(&["allocate-in-children", "4", "24000000"]);
    allocate.limits.memory = 64 << 20;
    assert_eq!(run(&Root::InPlace, &allocate).status, Status::OutOfMemory);
    let mut bomb = own(&["bomb", "100"]);
    bomb.limits.processes = 16;
    assert_eq!(run(&Root::InPlace, &bomb).status, Status::TooManyProcesses);
    let mut read = own(&["read", "/proc/self/limits"]);
    read.limits.storage = 5 << 20;
    assert!(output(&Root::InPlace, &read).contains("Max file size             5242880"));
}

#[test]
fn what_is_used_in_place_is_told() {
    let trace = trace_in(&Root::InPlace, &own(&["children", "30"]));
    assert_eq!(access(&trace, probe()), Some(found(Use::Executed)));
    assert_eq!(trace.files.keys().filter(|path| path.starts_with(b"/absent/")).count(), 30);
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("file"), "text").expect("a file");
    let mut read = own(&["read", "file"]);
    read.cwd = folder.path().to_owned();
    let trace = trace_in(&Root::InPlace, &read);
    let canonical = folder.path().canonicalize().expect("its name");
    assert_eq!(access(&trace, canonical.join("file")), Some(found(Use::Opened)));
}

#[test]
fn what_is_used_in_a_folder_is_told_by_its_name_inside() {
    let fixture = Fixture::new();
    fixture.open_to_all();
    for uid in [0, NONROOT] {
        if !is_root() {
            continue;
        }
        let mut read = inside(&["read", "../share/./lower/file"]);
        read.cwd = "/usr/share".into();
        (read.uid, read.gid) = (uid, uid);
        let trace = trace_in(&chroot(&fixture), &read);
        assert_eq!(access(&trace, "/bin/probe"), Some(found(Use::Executed)));
        assert_eq!(access(&trace, "/usr/share/lower/file"), Some(found(Use::Opened)));
        let outside = fixture.folder.path().as_os_str().as_encoded_bytes();
        assert!(!trace.files.keys().any(|path| path.starts_with(outside)), "{trace:?}");
    }
}

#[test]
fn memory_that_is_hidden_is_an_error_and_no_gap() {
    let fixture = Fixture::new();
    fixture.open_to_all();
    let mut hide = own(&["hide-and-look", "/absent"]);
    let root = if is_root() {
        // What takes on the ids of another user has no right but theirs.
        (hide.uid, hide.gid) = (NONROOT, NONROOT);
        hide.program = "/bin/probe".into();
        chroot(&fixture)
    } else {
        Root::InPlace
    };
    let error = sandbox::trace(&program(), &root, &hide).expect_err("nobody may look");
    assert!(error.hint().is_some_and(|hint| hint.contains("hides its memory")), "{error}");
    assert_eq!(failure::<()>(Err(error)), (Step::ReadCall, libc::EACCES));
}

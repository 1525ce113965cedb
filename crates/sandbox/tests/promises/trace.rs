//! Which files a command used: every call that names one, by whichever process and thread, under any stress.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(target_arch = "x86_64")]
use sandbox::Outcome;
use sandbox::{Access, Command, Root, SandboxError, Status, Step, Trace, Use};

#[cfg(target_arch = "x86_64")]
use crate::assembled::{self, Argument, Call, HERE, Kind, bytes};
use crate::fixture::{Fixture, NONROOT, command, program, text};

/// What was recorded of a path.
fn access(trace: &Trace, path: impl AsRef<[u8]>) -> Option<(Use, bool)> {
    trace.files.get(path.as_ref()).map(|Access { used, found }| (*used, *found))
}

fn assert_recorded(trace: &Trace, expected: &[(&str, Use, bool)]) {
    for (path, used, found) in expected {
        assert_eq!(access(trace, path), Some((*used, *found)), "{path} in {}", names(trace).join(" "));
    }
}

/// Paths of a trace, without the libraries that the probe has from the machine.
fn names(trace: &Trace) -> Vec<String> {
    let names = trace.files.keys().map(|path| path.escape_ascii().to_string());
    names.filter(|name| !name.contains(".so")).collect()
}

fn shell(fixture: &Fixture, script: &str) -> Command {
    fixture.add_shell();
    let mut command = Command::new("/bin/sh");
    command.args = vec!["-c".into(), script.into()];
    command
}

#[cfg(target_arch = "x86_64")]
/// A program of these calls in the fixture, traced to its end.
fn assemble(fixture: &Fixture, kind: Kind, calls: &[Call]) -> (Outcome, Trace) {
    assembled::write(&fixture.layers[0].join("bin/calls"), kind, calls);
    sandbox::trace(&program(), &fixture.root(), &Command::new("/bin/calls")).expect("a trace")
}

#[test]
fn a_program_its_libraries_and_what_it_reads_are_told() {
    let fixture = Fixture::new();
    let trace = fixture.trace(&command(&["read", "/usr/share/lower/file"]));
    assert_recorded(
        &trace,
        &[("/bin/probe", Use::Executed, true), ("/usr/share/lower/file", Use::Opened, true)],
    );
    let library = trace.files.iter().find(|(path, _)| path.ends_with(b"/libc.so.6"));
    assert_eq!(library.map(|(_, access)| access.used), Some(Use::Opened), "{trace:?}");
}

#[test]
fn paths_are_made_absolute_and_links_stay() {
    let fixture = Fixture::new();
    fixture.write("base", "srv/a/b/file", "x");
    symlink("a/b", fixture.layers[0].join("srv/link")).expect("a link");
    symlink("/nowhere", fixture.layers[0].join("srv/dangling")).expect("a link");
    let mut script = shell(
        &fixture,
        "cd /srv; . ./a//b/./file; . link/file; . link/../b/file; cd link; . ../../a/b/file; . /srv/../srv/a/b/file
         [ -e /srv/absent/../a/b/none ]; [ -L /srv/dangling ]; [ -e /srv/dangling ]; [ -e /proc/self/cwd/here ]
         . /dev/fd/3 3</srv/a/b/file; [ -e ../../../../../../etc/passwd ]; cd /; [ -e etc ]; [ -e .. ]; exit 0",
    );
    script.cwd = "/usr".into();
    fixture.write("base", "srv/a/b/file", ":\n");
    let trace = fixture.trace(&script);
    assert_recorded(
        &trace,
        &[
            ("/bin/sh", Use::Executed, true),
            ("/srv", Use::LookedUp, true),
            ("/srv/a/b/file", Use::Opened, true),
            ("/srv/link", Use::LookedUp, true),
            ("/srv/link/file", Use::Opened, true),
            ("/srv/absent", Use::LookedUp, false),
            ("/srv/dangling", Use::LookedUp, true),
            ("/srv/a/b/here", Use::LookedUp, false),
            ("/etc/passwd", Use::LookedUp, true),
            ("/etc", Use::LookedUp, true),
            ("/", Use::LookedUp, true),
        ],
    );
    let unresolved: Vec<_> = names(&trace).into_iter().filter(|name| name.contains("/.")).collect();
    assert!(unresolved.is_empty(), "{unresolved:?}");
    assert_eq!(access(&trace, "/srv/a/b/none"), None, "the kernel did not get there");
}

#[test]
fn what_the_command_makes_was_not_there() {
    let fixture = Fixture::new();
    let script =
        shell(&fixture, "echo :>/tmp/made; . /tmp/made; echo :>/usr/share/lower/file; :>>/tmp/other");
    assert_recorded(
        &fixture.trace(&script),
        &[
            ("/tmp/made", Use::Opened, false),
            ("/tmp/other", Use::Opened, false),
            ("/usr/share/lower/file", Use::Opened, true),
        ],
    );
}

#[cfg(target_arch = "x86_64")]
const NONE: i64 = -1;

/// Every call that takes a path: what it means, where its arguments are folders and paths, and its number for programs
/// of 64 and of 32 bits.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const CALLS: &[(&str, Use, &str, i64, i64)] = &[
    ("open", Use::Opened, "p", libc::SYS_open, 5),
    ("creat", Use::Opened, "p", libc::SYS_creat, 8),
    ("uselib", Use::Opened, "p", libc::SYS_uselib, 86),
    ("openat", Use::Opened, "dp", libc::SYS_openat, 295),
    ("openat2", Use::Opened, "dp", libc::SYS_openat2, 437),
    ("open_tree", Use::Opened, "dp", libc::SYS_open_tree, 428),
    ("open_tree_attr", Use::Opened, "dp", 467, 467),
    ("execve", Use::Executed, "p", libc::SYS_execve, 11),
    ("execveat", Use::Executed, "dp", libc::SYS_execveat, 358),
    ("oldstat", Use::LookedUp, "p", NONE, 18),
    ("oldlstat", Use::LookedUp, "p", NONE, 84),
    ("stat", Use::LookedUp, "p", libc::SYS_stat, 106),
    ("lstat", Use::LookedUp, "p", libc::SYS_lstat, 107),
    ("stat64", Use::LookedUp, "p", NONE, 195),
    ("lstat64", Use::LookedUp, "p", NONE, 196),
    ("statfs", Use::LookedUp, "p", libc::SYS_statfs, 99),
    ("statfs64", Use::LookedUp, "p", NONE, 268),
    ("access", Use::LookedUp, "p", libc::SYS_access, 33),
    ("readlink", Use::LookedUp, "p", libc::SYS_readlink, 85),
    ("chdir", Use::LookedUp, "p", libc::SYS_chdir, 12),
    ("chroot", Use::LookedUp, "p", libc::SYS_chroot, 61),
    ("newfstatat", Use::LookedUp, "dp", libc::SYS_newfstatat, NONE),
    ("fstatat64", Use::LookedUp, "dp", NONE, 300),
    ("statx", Use::LookedUp, "dp", libc::SYS_statx, 383),
    ("faccessat", Use::LookedUp, "dp", libc::SYS_faccessat, 307),
    ("faccessat2", Use::LookedUp, "dp", libc::SYS_faccessat2, 439),
    ("readlinkat", Use::LookedUp, "dp", libc::SYS_readlinkat, 305),
    ("name_to_handle_at", Use::LookedUp, "dp", libc::SYS_name_to_handle_at, 341),
    ("file_getattr", Use::LookedUp, "dp", 468, 468),
    ("file_setattr", Use::LookedUp, "dp", 469, 469),
    ("inotify_add_watch", Use::LookedUp, "-p", libc::SYS_inotify_add_watch, 292),
    ("fanotify_mark", Use::LookedUp, "---dp", libc::SYS_fanotify_mark, NONE),
    ("fanotify_mark-32", Use::LookedUp, "----dp", NONE, 339),
    ("link", Use::LookedUp, "pp", libc::SYS_link, 9),
    ("rename", Use::LookedUp, "pp", libc::SYS_rename, 38),
    ("linkat", Use::LookedUp, "dpdp", libc::SYS_linkat, 303),
    ("renameat", Use::LookedUp, "dpdp", libc::SYS_renameat, 302),
    ("renameat2", Use::LookedUp, "dpdp", libc::SYS_renameat2, 353),
    ("symlink", Use::LookedUp, "-p", libc::SYS_symlink, 83),
    ("symlinkat", Use::LookedUp, "-dp", libc::SYS_symlinkat, 304),
    ("unlink", Use::LookedUp, "p", libc::SYS_unlink, 10),
    ("mkdir", Use::LookedUp, "p", libc::SYS_mkdir, 39),
    ("rmdir", Use::LookedUp, "p", libc::SYS_rmdir, 40),
    ("mknod", Use::LookedUp, "p", libc::SYS_mknod, 14),
    ("chmod", Use::LookedUp, "p", libc::SYS_chmod, 15),
    ("chown", Use::LookedUp, "p", libc::SYS_chown, 182),
    ("lchown", Use::LookedUp, "p", libc::SYS_lchown, 16),
    ("chown32", Use::LookedUp, "p", NONE, 212),
    ("lchown32", Use::LookedUp, "p", NONE, 198),
    ("truncate", Use::LookedUp, "p", libc::SYS_truncate, 92),
    ("truncate64", Use::LookedUp, "p", NONE, 193),
    ("utime", Use::LookedUp, "p", libc::SYS_utime, 30),
    ("utimes", Use::LookedUp, "p", libc::SYS_utimes, 271),
    ("unlinkat", Use::LookedUp, "dp", libc::SYS_unlinkat, 301),
    ("mkdirat", Use::LookedUp, "dp", libc::SYS_mkdirat, 296),
    ("mknodat", Use::LookedUp, "dp", libc::SYS_mknodat, 297),
    ("fchmodat", Use::LookedUp, "dp", libc::SYS_fchmodat, 306),
    ("fchmodat2", Use::LookedUp, "dp", 452, 452),
    ("fchownat", Use::LookedUp, "dp", libc::SYS_fchownat, 298),
    ("futimesat", Use::LookedUp, "dp", libc::SYS_futimesat, 299),
    ("utimensat", Use::LookedUp, "dp", libc::SYS_utimensat, 320),
    ("utimensat_time64", Use::LookedUp, "dp", NONE, 412),
    ("getxattr", Use::LookedUp, "p", libc::SYS_getxattr, 229),
    ("lgetxattr", Use::LookedUp, "p", libc::SYS_lgetxattr, 230),
    ("setxattr", Use::LookedUp, "p", libc::SYS_setxattr, 226),
    ("lsetxattr", Use::LookedUp, "p", libc::SYS_lsetxattr, 227),
    ("listxattr", Use::LookedUp, "p", libc::SYS_listxattr, 232),
    ("llistxattr", Use::LookedUp, "p", libc::SYS_llistxattr, 233),
    ("removexattr", Use::LookedUp, "p", libc::SYS_removexattr, 235),
    ("lremovexattr", Use::LookedUp, "p", libc::SYS_lremovexattr, 236),
    ("getxattrat", Use::LookedUp, "dp", 464, 464),
    ("setxattrat", Use::LookedUp, "dp", 463, 463),
    ("listxattrat", Use::LookedUp, "dp", 465, 465),
    ("removexattrat", Use::LookedUp, "dp", 466, 466),
];

#[cfg(target_arch = "x86_64")]
#[test]
fn every_call_that_names_a_file_is_told() {
    let fixture = Fixture::new();
    for kind in [Kind::X86_64, Kind::I386] {
        let mut calls = Vec::new();
        let mut expected = Vec::new();
        for (name, used, arguments, wide, narrow) in CALLS {
            let number = if kind == Kind::X86_64 { *wide } else { *narrow };
            if number == NONE {
                continue;
            }
            let argument = |(place, argument)| match argument {
                'd' => HERE,
                'p' => {
                    expected.push((format!("/absent/{name}-{place}"), *used));
                    bytes(format!("/absent/{name}-{place}"))
                }
                _ => Argument::Number(0),
            };
            calls.push(Call(number, arguments.chars().enumerate().map(argument).collect()));
        }
        let (outcome, trace) = assemble(&fixture, kind, &calls);
        assert!(matches!(outcome.status, Status::Exited(_)), "{kind:?} {outcome:?}");
        for (path, used) in &expected {
            assert_eq!(access(&trace, path), Some((*used, false)), "{path} for {kind:?}");
        }
        assert_eq!(trace.files.len(), expected.len() + 1, "and the program: {:?}", names(&trace));
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn pointers_may_be_anything() {
    let fixture = Fixture::new();
    let open = |argument| Call(libc::SYS_open, vec![argument]);
    let long = |length| vec![b'x'; length];
    let path = |length| [b"/", long(length).as_slice()].concat();
    let (outcome, trace) = assemble(
        &fixture,
        Kind::X86_64,
        &[
            open(Argument::Number(0)),
            open(Argument::Number(1)),
            open(Argument::Number(-1)),
            open(Argument::Number(0x7FFF_FFFF_FFFF)),
            open(Argument::Number(i64::MIN)),
            open(bytes("")),
            open(bytes(path(4094))),
            open(bytes(path(4095))),
            open(bytes(path(100_000))),
            open(bytes(b"/\xFF\x01\n")),
            // A folder that is not open, and an absolute path that does not need one.
            Call(libc::SYS_openat, vec![Argument::Number(77), bytes("relative")]),
            Call(libc::SYS_openat, vec![Argument::Number(-7), bytes("/absolute")]),
            // What is above the low half does not count.
            Call(libc::SYS_openat, vec![Argument::Number(0x7_FFFF_FF9C), bytes("low")]),
            Call(
                libc::SYS_execveat,
                vec![Argument::Number(0), bytes(""), Argument::Number(0), Argument::Number(0)],
            ),
            open(Argument::AtTheEnd(b"/at/the/end".to_vec())),
        ],
    );
    assert_eq!(outcome.status, Status::Exited(libc::ENOENT));
    let long = path(4094).escape_ascii().to_string();
    let found: Vec<String> = names(&trace).into_iter().filter(|name| *name != long).collect();
    assert_eq!(found, ["/absolute", "/at/the/end", "/bin/calls", "/low", "/\\xff\\x01\\n"]);
    assert_eq!(access(&trace, path(4094)), Some((Use::Opened, false)));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn what_cannot_be_told_is_absent() {
    let fixture = Fixture::new();
    let zero = Argument::Number(0);
    for (name, call) in [
        ("io_uring_setup", Call(libc::SYS_io_uring_setup, vec![Argument::Number(8), zero.clone()])),
        ("open of x32", Call(0x4000_0002, vec![bytes("/etc/passwd"), zero])),
    ] {
        let (outcome, trace) = assemble(&fixture, Kind::X86_64, &[call]);
        assert_eq!((outcome.status, trace.files.len()), (Status::Exited(libc::ENOSYS), 1), "{name}");
    }
    let (outcome, _) = assemble(&fixture, Kind::I386, &[Call(425, vec![Argument::Number(8)])]);
    assert_eq!(outcome.status, Status::Exited(libc::ENOSYS));
}

#[test]
fn every_thread_and_every_child_is_told() {
    let fixture = Fixture::new();
    let mut threads = command(&["threads", "2000", "3"]);
    threads.limits.processes = 10_000;
    // Their stacks count, whatever they use of them.
    threads.limits.memory = 16 << 30;
    let trace = fixture.trace(&threads);
    for number in [0, 1, 1999] {
        assert_eq!(access(&trace, format!("/absent/{number}/2")), Some((Use::LookedUp, false)));
    }
    let count = names(&trace).iter().filter(|name| name.starts_with("/absent/")).count();
    assert_eq!(count, 2000 * 3);
    let trace = fixture.trace(&command(&["children", "200"]));
    let count = names(&trace).iter().filter(|name| name.starts_with("/absent/")).count();
    assert_eq!(count, 200, "each of them read one");
}

#[test]
fn a_thread_may_execute_another_program() {
    let fixture = Fixture::new();
    fixture.add_shell();
    let trace = fixture.trace(&command(&["execute-in-thread", "/bin/sh", "-c", "[ -e /absent ] || exit 0"]));
    assert_recorded(&trace, &[("/bin/sh", Use::Executed, true), ("/absent", Use::LookedUp, false)]);
}

#[test]
fn what_is_killed_in_the_middle_of_a_call_holds_nobody_up() {
    let fixture = Fixture::new();
    let trace = fixture.trace(&command(&["kill-children", "60"]));
    assert_recorded(&trace, &[("/bin/probe", Use::Executed, true), ("/absent/last", Use::LookedUp, false)]);
}

#[test]
fn signals_lose_nothing() {
    let fixture = Fixture::new();
    // The handler of this shell lets calls end with EINTR (no SA_RESTART), so it looks again.
    // Signals without an end could keep it from ever getting an answer.
    let script = "trap 'n=x$n' USR1; this=$$
                  (n=; until [ ${#n} -eq 3000 ]; do n=x$n; kill -USR1 $this || exit; done) 2>/dev/null &
                  for a in 1 2 3 4 5 6 7 8 9; do for b in 1 2 3 4 5 6 7 8 9; do
                  until [ -e /srv/$a$b ]; do :; done; done; done; exit 0";
    for number in 11..=99 {
        fixture.write("base", &format!("srv/{number}"), "");
    }
    let trace = fixture.trace(&shell(&fixture, script));
    let found =
        trace.files.iter().filter(|(path, access)| path.starts_with(b"/srv/") && access.found).count();
    assert_eq!(found, 9 * 9);
}

#[test]
fn a_command_that_ends_badly_has_a_trace() {
    let fixture = Fixture::new();
    let trace = |command: &Command| sandbox::trace(&program(), &fixture.root(), command).expect("a trace");
    let mut endless = shell(&fixture, "[ -e /absent ]; while :; do [ -e /again ]; done");
    endless.limits.time = Duration::from_millis(300);
    let mut greedy = command(&["allocate-in-children", "4", "24000000"]);
    greedy.limits.memory = 64 << 20;
    for (command, status, path) in [
        (shell(&fixture, "[ -e /absent ]; kill -SEGV $$"), Status::Signaled(11), "/absent"),
        (shell(&fixture, "[ -e /absent ]; kill -KILL $$"), Status::Signaled(9), "/absent"),
        (shell(&fixture, "exec <&- >&- 2>&-; [ -e /absent ]; exit 3"), Status::Exited(3), "/absent"),
        (shell(&fixture, "/bin/absent"), Status::Exited(127), "/bin/absent"),
        (endless, Status::TimedOut, "/again"),
        (greedy, Status::OutOfMemory, "/bin/probe"),
    ] {
        let (outcome, trace) = trace(&command);
        assert_eq!(outcome.status, status, "{:?}", command.args);
        assert!(access(&trace, path).is_some(), "{path}");
    }
}

#[test]
fn what_hides_its_memory_is_told_all_the_same() {
    let fixture = Fixture::new();
    for uid in [0, NONROOT] {
        let mut hide = command(&["hide-and-look", "/absent"]);
        (hide.uid, hide.gid) = (uid, uid);
        assert_recorded(&fixture.trace(&hide), &[("/absent", Use::LookedUp, false)]);
    }
}

#[test]
fn names_need_not_be_text() {
    let fixture = Fixture::new();
    let mut script = shell(&fixture, r#"[ -e "$1" ]; cd "$2"; [ -e x ]; exit 0"#);
    let folder = OsString::from_vec(b"/tm\xFE".to_vec());
    std::fs::create_dir(fixture.layers[0].join(PathBuf::from(&folder).strip_prefix("/").expect("absolute")))
        .expect("a folder");
    script.args.extend(["sh".into(), OsString::from_vec(b"/\xFF".to_vec()), folder]);
    let trace = fixture.trace(&script);
    assert_eq!(access(&trace, b"/\xFF"), Some((Use::LookedUp, false)));
    assert_eq!(access(&trace, b"/tm\xFE/x"), Some((Use::LookedUp, false)));
}

#[test]
fn many_calls_leave_a_small_trace() {
    let fixture = Fixture::new();
    let trace = fixture.trace(&command(&["look", "20000", "/absent"]));
    assert_eq!(names(&trace).iter().filter(|name| name.as_str() == "/absent").count(), 1);
}

#[test]
fn what_cannot_be_started_is_told_as_without_a_trace() {
    let fixture = Fixture::new();
    match sandbox::trace(&program(), &fixture.root(), &Command::new("/bin/absent")) {
        Err(SandboxError::Failed(failure)) => {
            assert_eq!((failure.step, failure.errno), (Step::Execute, libc::ENOENT));
            assert_eq!(failure.subject, Some("/bin/absent".into()));
        }
        other => panic!("{other:?}"),
    }
    let none = sandbox::trace(&program(), &Root::Layers(vec![]), &Command::new("/bin/absent"));
    assert!(matches!(none, Err(SandboxError::NoLayers)));
}

#[test]
fn one_tracer_at_a_time_is_all_that_the_kernel_has() {
    let fixture = Fixture::new();
    let nested = command(&["trace", "", "/bin/probe", "exit", "0"]);
    let (outcome, _) = sandbox::trace(&program(), &fixture.root(), &nested).expect("a trace");
    let expected = "error: cannot make a sandbox here: the system calls of this process are told to somebody \
                    already, as in some containers\nhint: run outside of the container";
    assert_eq!(text(&outcome.stdout.bytes), expected);
    // Not traced outside, it is no more than another command.
    let output = fixture.output_of(&nested);
    assert!(output.contains("Exited(0)") && output.contains("\nExecuted: /bin/probe"), "{output}");
}

//! What a command sees, and what it may not do.

use std::fs;
use std::os::unix::fs::symlink;

use sandbox::{SandboxError, Status, Step};

use crate::fixture::{Fixture, NONROOT, command, errno, is_root, text};

#[test]
fn the_root_holds_the_layers_and_what_belongs_to_every_root() {
    let fixture = Fixture::new();
    let root = fixture.output(&["list", "/"]);
    for expected in ["bin", "dev", "etc", "proc", "tmp", "usr"] {
        assert!(root.split(' ').any(|name| name == expected), "no {expected} in {root}");
    }
    assert!(!root.contains("work") && !root.contains("home"), "{root}");
    let devices = "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero";
    assert_eq!(fixture.output(&["list", "/dev"]), devices);
    assert_eq!(fixture.output(&["list", "/tmp"]), "");
    assert_eq!(fixture.output(&["read", "/etc/passwd"]), "root:x:0:0::/root:/sbin/nologin");
}

#[test]
fn a_higher_layer_covers_a_lower_one() {
    let mut fixture = Fixture::new();
    fixture.add_layer("middle");
    fixture.add_layer("top: a,b\\c");
    fixture.write("middle", "usr/share/lower/file", "middle");
    fixture.write("middle", "usr/share/lower/other", "middle");
    // A layer may be named by a link to its folder.
    let link = fixture.folder.path().join("link");
    symlink(&fixture.layers[0], &link).expect("a link");
    fixture.layers[0] = link;
    fixture.write("top: a,b\\c", "usr/share/lower/file", "top");
    assert_eq!(fixture.output(&["read", "/usr/share/lower/file"]), "top");
    assert_eq!(fixture.output(&["read", "/usr/share/lower/other"]), "middle");
}

#[test]
fn no_path_of_the_host_leads_in() {
    let fixture = Fixture::new();
    let secret = fixture.folder.path().join("secret");
    fs::write(&secret, "secret").expect("a file");
    let secret = secret.display().to_string();
    for path in [secret.clone(), format!("/../../../..{secret}"), format!("/proc/self/root{secret}")] {
        let outcome = fixture.run(&command(&["read", &path]));
        assert_eq!(outcome.status, Status::Exited(1), "{path}");
        assert!(text(&outcome.stdout.bytes).contains("os error 2"), "{path}");
    }
    let folder = fixture.folder.path().display().to_string();
    for file in ["mountinfo", "cgroup", "maps", "cmdline"] {
        let content = fixture.output(&["read", &format!("/proc/self/{file}")]);
        assert!(!content.contains(&folder), "{content}");
    }
    for group in fixture.output(&["read", "/proc/self/cgroup"]).lines() {
        assert!(group.ends_with(":/"), "{group}");
    }
}

#[test]
fn the_init_is_closed_to_the_command() {
    let fixture = Fixture::new();
    assert_eq!(fixture.output(&["read", "/proc/1/cmdline"]), "sandbox-init\0sandbox-init\0");
    for uid in [0, NONROOT] {
        for path in ["/proc/1/root", "/proc/1/cwd"] {
            let mut list = command(&["list", path]);
            list.uid = uid;
            let outcome = fixture.run(&list);
            assert_eq!(text(&outcome.stdout.bytes), "error: Permission denied (os error 13)", "{path}");
        }
        for path in ["/proc/1/environ", "/proc/1/exe", "/proc/1/fd/0", "/proc/1/fd/1"] {
            let mut read = command(&["read", path]);
            read.uid = uid;
            let outcome = fixture.run(&read);
            assert_eq!(text(&outcome.stdout.bytes), "error: Permission denied (os error 13)", "{path}");
        }
    }
}

#[test]
fn writes_are_thrown_away() {
    let fixture = Fixture::new();
    assert_eq!(fixture.output(&["write", "/usr/share/lower/file", "changed"]), "done");
    assert_eq!(fixture.output(&["remove", "/usr/share/lower/file"]), "done");
    assert_eq!(fixture.output(&["write", "/new", "new"]), "done");
    assert_eq!(fixture.output(&["write", "/tmp/new", "new"]), "done");
    assert_eq!(fixture.output(&["read", "/usr/share/lower/file"]), "lower");
    assert_eq!(fixture.output(&["list", "/usr/share/lower"]), "file");
    assert_eq!(fixture.output(&["list", "/tmp"]), "");
    let base = &fixture.layers[0];
    assert_eq!(fs::read_to_string(base.join("usr/share/lower/file")).expect("the file"), "lower");
    assert!(!base.join("new").exists() && !base.join("tmp").exists());
}

#[test]
fn what_the_layers_have_in_tmp_is_there_for_every_user_to_add_to() {
    let mut fixture = Fixture::new();
    fixture.add_layer("top");
    fixture.write("base", "tmp/file", "lower");
    fixture.write("base", "tmp/other", "other");
    fixture.write("top", "tmp/file", "higher");
    assert_eq!(fixture.output(&["list", "/tmp"]), "file other");
    assert_eq!(fixture.output(&["read", "/tmp/file"]), "higher");
    let mut write = command(&["write", "/tmp/new", "new"]);
    (write.uid, write.gid) = (NONROOT, NONROOT);
    assert_eq!(fixture.output_of(&write), "done");
    assert_eq!(fixture.output(&["remove", "/tmp/other"]), "done");
    assert_eq!(fixture.output(&["list", "/tmp"]), "file other");
}

#[test]
fn a_link_in_a_layer_does_not_lead_out() {
    let mut fixture = Fixture::new();
    let outside = fixture.folder.path().join("outside");
    fs::create_dir(&outside).expect("a folder");
    let layer = fixture.add_layer("hostile");
    symlink(&outside, layer.join("dev")).expect("a link");
    match fixture.try_run(&command(&["exit", "0"])) {
        Err(SandboxError::Failed(failure)) => {
            assert_eq!((failure.step, failure.errno), (Step::MakeDevices, libc::EINVAL));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read_dir(&outside).expect("the folder").count(), 0);
}

#[test]
fn hosts_are_written_over_a_link_not_through_it() {
    let mut fixture = Fixture::new();
    let layer = fixture.add_layer("top");
    fs::create_dir(layer.join("etc")).expect("a folder");
    symlink("/usr/share/lower/file", layer.join("etc/hosts")).expect("a link");
    let mut read = command(&["read", "/etc/hosts"]);
    read.hostname = "box".to_owned();
    assert_eq!(fixture.output_of(&read), "127.0.0.1\tlocalhost box\n::1\tlocalhost");
    assert_eq!(fixture.output(&["read", "/usr/share/lower/file"]), "lower");
    assert_eq!(fixture.output(&["read", "/etc/hostname"]), "sandbox");
}

#[test]
fn the_command_is_the_user_asked_for() {
    let fixture = Fixture::new();
    let mut identity = command(&["identity"]);
    identity.hostname = "box".to_owned();
    let rest = "pid 2 session 1 group 2\numask 22";
    assert_eq!(fixture.output_of(&identity), format!("uid 0 gid 0 in / on box\n{rest}"));
    identity.uid = NONROOT;
    identity.gid = 1234;
    identity.cwd = "/usr/share".into();
    assert_eq!(fixture.output_of(&identity), format!("uid 65532 gid 1234 in /usr/share on box\n{rest}"));
}

#[test]
fn owners_of_files_count_where_ids_can_be_mapped() {
    let fixture = Fixture::new();
    let mut mode = command(&["mode", "/etc/passwd"]);
    (mode.uid, mode.gid) = (NONROOT, NONROOT);
    let mut write = command(&["write", "/etc/passwd", "mine"]);
    (write.uid, write.gid) = (NONROOT, NONROOT);
    if is_root() {
        assert_eq!(fixture.output_of(&mode), "644 0 0");
        assert_eq!(fixture.output_of(&write), errno(libc::EACCES));
    } else {
        assert_eq!(fixture.output_of(&mode), "644 65532 65532");
        assert_eq!(fixture.output_of(&write), "done");
    }
    let mut write = command(&["write", "/tmp/mine", "mine"]);
    (write.uid, write.gid) = (NONROOT, NONROOT);
    assert_eq!(fixture.output_of(&write), "done");
    assert!(fixture.output(&["mode", "/tmp"]).starts_with("1777 "));
    assert!(fixture.output(&["mode", "/dev/shm"]).starts_with("1777 "));
}

#[test]
fn no_privilege_is_left_and_none_is_to_be_had() {
    let fixture = Fixture::new();
    for uid in [0, NONROOT] {
        let run = |args: &[&str]| {
            let mut command = command(args);
            command.uid = uid;
            fixture.output_of(&command)
        };
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(run(&["status", set]), format!("{set}:\t0000000000000000"));
        }
        assert_eq!(run(&["status", "NoNewPrivs"]), "NoNewPrivs:\t1");
        assert_eq!(run(&["mount"]), errno(libc::EPERM));
        assert_eq!(run(&["write", "/proc/self/comm", "name"]), errno(libc::EROFS));
        assert_eq!(run(&["write", "/proc/sys/kernel/hostname", "name"]), errno(libc::EROFS));
    }
    if is_root() {
        assert_eq!(fixture.output(&["status", "Groups"]), "Groups:");
    }
    let nested = fixture.run(&command(&["call", "/", "/bin/probe", "exit", "0"]));
    assert_eq!(nested.status, Status::Exited(1));
    assert!(text(&nested.stdout.bytes).contains("allows no further user namespace"), "{nested:?}");
}

#[test]
fn the_devices_work_for_any_user() {
    let fixture = Fixture::new();
    let expected = "zero [0, 0, 0, 0]\nnull []\nfull Err(StorageFull)\nrandom true\ntty Some(6)\nptmx true\n\
                    stdout by name";
    for uid in [0, NONROOT] {
        let mut devices = command(&["devices"]);
        devices.uid = uid;
        let outcome = fixture.run(&devices);
        assert_eq!(text(&outcome.stdout.bytes), expected);
        assert_eq!(text(&outcome.stderr.bytes), "stderr by name");
    }
}

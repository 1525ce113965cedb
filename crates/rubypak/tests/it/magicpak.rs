//! The command lines of magicpak, with the one word changed.

use std::path::Path;

use crate::fixture::{Root, names, run_in};

#[test]
fn the_article() {
    // RUN /usr/bin/magicpak -v $(which ruby) /bundle
    let root = Root::usual();
    let app = root.path().join("usr/bin/app");
    let inside = Path::new("/").join(app.strip_prefix(root.path()).unwrap());
    let bundle = root.beside("bundle");
    root.run(&["-v".as_ref(), inside.as_os_str(), bundle.as_os_str()]).is(0).says("/usr/bin/app: root");
    assert!(names(&bundle).contains(&"usr/bin/app".to_owned()));
}

#[test]
fn flags_stand_anywhere() {
    let root = Root::usual();
    root.run(&[
        "/usr/bin/app",
        "bundle",
        "-v",
        "--compress",
        "--upx-arg",
        "--best",
        "--upx",
        "/usr/bin/upx",
        "--cc",
        "gcc",
        "--noload",
        "--log-level",
        "Info",
        "--include",
        "/etc/app.conf",
        "-i",
        "/usr/share/doc",
        "--exclude",
        "/usr/share/**",
        "--mkdir",
        "/tmp",
        "--install-to",
        "/bin/",
    ])
    .is(0)
    .says("--compress is not done")
    .says("no C compiler is");
    let bundle = names(&root.beside("bundle"));
    for name in ["etc/app.conf", "tmp/", "usr/bin/app"] {
        assert!(bundle.contains(&name.to_owned()), "{name}: {bundle:#?}");
    }
    assert!(!bundle.iter().any(|name| name.contains("readme")));
}

#[test]
fn levels() {
    let root = Root::usual();
    for (level, says_nothing) in [("Off", true), ("Error", true), ("Warn", false), ("Debug", false)] {
        let run = root.run(&["/usr/bin/app", "bundle", "--log-level", level]).is(0);
        assert_eq!(run.stderr.is_empty(), says_nothing, "{level}");
        fs_err::remove_dir_all(root.beside("bundle")).unwrap();
    }
}

/// On this machine's own root, since something has to run.
#[test]
fn tests_run_in_the_result() {
    let folder = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| run_in(folder.path(), &[&["/bin/cat", "bundle", "--force"], words].concat());
    run(&["--test", "--test-stdin", "text", "--test-stdout", "text"]).is(0).says("passed");
    run(&["-t", "--test-stdin", "text", "--test-stdout", "other"])
        .is(1)
        .says("did not print what was expected");
    run(&["--test", "--test-command", "cat /none"]).is(1).says("ended with status 1").says("No such file");
    run(&[
        "--test",
        "--test-command",
        "cat < /etc/hostname | cat",
        "--busybox",
        "sh",
        "--include",
        "/etc/hostname",
    ])
    .is(0)
    .says("passed");
    // The shell was lent to the test alone.
    let bundle = names(&folder.path().join("bundle"));
    assert!(!bundle.iter().any(|name| name.ends_with("/sh") || name.ends_with("/dash")), "{bundle:#?}");
}

#[test]
fn a_failed_test_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), &["/bin/cat", "bundle", "--test=cat /none"]).is(1).says("FAILED `cat /none`");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}

#[test]
fn the_first_root_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle");
    // From a folder that a sandbox has, too: its `/tmp` is its own.
    run_in(
        "/".as_ref(),
        &[
            "/bin/cat",
            bundle.to_str().unwrap(),
            "--dynamic",
            "--dynamic-arg",
            "/etc/hostname",
            "--dynamic-arg",
            "-",
        ],
    )
    .is(0)
    .says("only the trace of `/bin/cat /etc/hostname -` leads to /etc/hostname");
    assert!(names(&bundle).contains(&"etc/hostname".to_owned()));
}

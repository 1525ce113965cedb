//! The command lines of magicpak, with the one word changed: what each flag of its does here.

use std::path::Path;

use crate::fixture::{Root, Run, names, run_in};

/// What comes of a program and these flags.
fn bundled(root: &Root, words: &[&str]) -> Vec<String> {
    let bundle = root.beside("bundle");
    root.run(&[&["/usr/bin/app", "bundle"], words].concat()).is(0);
    let names = names(&bundle);
    fs_err::remove_dir_all(bundle).unwrap();
    names
}

#[track_caller]
fn has(bundle: &[String], name: &str, is_there: bool) {
    assert_eq!(bundle.iter().any(|found| found == name), is_there, "{name}: {bundle:#?}");
}

/// A command on this machine's own root, since something has to run.
fn on_this_machine(words: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), &[&["/bin/cat", "bundle"], words].concat())
}

#[test]
fn the_article() {
    // RUN /usr/bin/magicpak -v $(which ruby) /bundle
    let root = Root::usual();
    let app = root.path().join("usr/bin/app");
    let inside = Path::new("/").join(app.strip_prefix(root.path()).unwrap());
    let bundle = root.beside("bundle");
    root.run(&["-v".as_ref(), inside.as_os_str(), bundle.as_os_str()]).is(0).says("/usr/bin/app: root");
    has(&names(&bundle), "usr/bin/app", true);
}

#[test]
fn several_inputs() {
    let root = Root::usual();
    root.run(&["/usr/bin/app", "/usr/bin/env", "bundle"]).is(0);
    let bundle = names(&root.beside("bundle"));
    for name in ["usr/bin/app", "usr/bin/env", "usr/lib/libc.so.6", "lib"] {
        has(&bundle, name, true);
    }
}

#[test]
fn output() {
    let root = Root::usual();
    let words = ["/usr/bin/app", "bundle"];
    fs_err::create_dir(root.beside("bundle")).unwrap();
    root.run(&words).is(0);
    root.run(&words).is(2).says("--force");
    fs_err::remove_dir_all(root.beside("bundle")).unwrap();
    fs_err::write(root.beside("bundle"), "").unwrap();
    root.run(&words).is(2);
}

#[test]
fn include() {
    let root = Root::usual();
    root.program("/opt/plugin.so", &testkit::elf::Elf::library("plugin.so").needs("libplugin.so.1"));
    root.program("/usr/lib/libplugin.so.1", &testkit::elf::Elf::library("libplugin.so.1"));
    let bundle = bundled(&root, &["--include", "/etc/*.conf", "-i", "/opt/plugin.so"]);
    for name in ["etc/app.conf", "opt/plugin.so", "usr/lib/libplugin.so.1"] {
        has(&bundle, name, true);
    }
    root.run(&["app", "bundle", "--include", "/none/*"]).is(1).says("root-not-found:/none/*");
}

#[test]
fn exclude() {
    let root = Root::usual();
    let all = ["--include", "/usr/share/doc", "--include", "/etc/app.conf"];
    for (glob, is_left_out) in [
        ("/etc/app.conf", true),
        ("/etc/*", true),
        ("*.conf", true),
        ("app.conf", true),
        ("/etc/other", false),
        // Within one name.
        ("/*.conf", false),
    ] {
        has(&bundled(&root, &[&all[..], &["--exclude", glob]].concat()), "etc/app.conf", !is_left_out);
    }
    // A folder goes whole; so does what is named by links that lead to it.
    has(&bundled(&root, &[&all[..], &["-e", "/usr/share"]].concat()), "usr/share/doc/app/readme", false);
    for glob in ["/lib/libone.so.1*", "/usr/lib/libone*"] {
        let bundle = bundled(&root, &["--exclude", glob]);
        has(&bundle, "usr/lib/libone.so.1.2", false);
        has(&bundle, "usr/lib/libone.so.1", false);
    }
    let run = root.run(&["app", "bundle", "-e", "/etc/none", "-e", "/usr/lib/libone*"]).is(0);
    assert!(!run.stderr.contains("nothing is left out by --exclude /usr/lib"), "{run:?}");
    run.says("nothing is left out by --exclude /etc/none");
}

#[test]
fn mkdir() {
    let root = Root::usual();
    let bundle = bundled(&root, &["--mkdir", "/tmp", "--mkdir", "var/lib/app", "--mkdir", "/bin/inner"]);
    for name in ["tmp/", "var/lib/app/", "usr/bin/inner/"] {
        has(&bundle, name, true);
    }
    has(&bundle, "bin", true);
}

#[test]
fn install_to() {
    let root = Root::usual();
    for (flag, to, place) in [
        ("--install-to", "/bin/", "usr/bin/app"),
        ("-r", "/opt/", "opt/app"),
        ("-r", "opt/", "opt/app"),
        ("-r", "/opt/other", "opt/other"),
    ] {
        let bundle = bundled(&root, &[flag, to]);
        has(&bundle, place, true);
        has(&bundle, "usr/bin/app", place == "usr/bin/app");
    }
    root.run(&["app", "env", "bundle", "-r", "/opt/one"]).is(2).says("end it with a slash");
}

#[test]
fn log_level() {
    let root = Root::usual();
    for (words, says_nothing, says_all) in [
        (&["--log-level", "Off"][..], true, false),
        (&["--log-level", "Error"], true, false),
        (&["--log-level", "Warn"], false, false),
        (&["--log-level", "Info"], false, true),
        (&["--log-level", "Debug"], false, true),
        (&["--verbose", "--log-level", "Off"], false, true),
        (&["-v"], false, true),
    ] {
        let run = root.run(&[&["/usr/bin/app", "bundle"], words].concat()).is(0);
        assert_eq!(run.stderr.is_empty(), says_nothing, "{words:?}");
        assert_eq!(run.stderr.contains("/usr/bin/app: root"), says_all, "{words:?}");
        fs_err::remove_dir_all(root.beside("bundle")).unwrap();
    }
    root.run(&["app", "bundle", "--log-level", "Trace"]).is(2).says("possible values");
}

#[test]
fn test() {
    on_this_machine(&["--test"]).is(0).says("passed `/bin/cat`");
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), &["/bin/cat", "bundle", "-t", "--test-command", "cat /none"])
        .is(1)
        .says("FAILED `cat /none`");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing is written");
}

#[test]
fn test_command() {
    on_this_machine(&["--test", "--test-command", "cat /none"])
        .is(1)
        .says("ended with status 1")
        .says("No such file");
    on_this_machine(&["--test", "--test-command", "/bin/cat /dev/null"]).is(0);
    // magicpak takes no notice of it without --test.
    on_this_machine(&["--test-command", "cat /none"]).is(1);
}

#[test]
fn test_stdin_and_test_stdout() {
    on_this_machine(&["--test", "--test-stdin", "text", "--test-stdout", "text"]).is(0).says("passed");
    on_this_machine(&["-t", "--test-stdin", " \ntext \n\n", "--test-stdout", "text"]).is(0);
    on_this_machine(&["-t", "--test-stdin", "text", "--test-stdout", "other"])
        .is(1)
        .says("did not print what was expected, `other`");
}

#[test]
fn busybox() {
    let folder = tempfile::tempdir().unwrap();
    let command = "cat < /etc/hostname | cat";
    let words = ["--test", "--test-command", command, "--include", "/etc/hostname"];
    let with_sh = [&["/bin/cat", "bundle"], &words[..], &["--busybox", "sh"]].concat();
    run_in(folder.path(), &with_sh).is(0).says("passed");
    // The shell was lent to the test alone.
    let bundle = names(&folder.path().join("bundle"));
    assert!(!bundle.iter().any(|name| name.ends_with("/sh") || name.ends_with("/dash")), "{bundle:#?}");
    // What a shell has inside is no program of the result, nor what a busybox has.
    on_this_machine(&["-t", "--test-command", "test -e /bin/cat", "--busybox", "sh"]).is(0);
    on_this_machine(&["-t", "--test-command", command, "--busybox", "/none"])
        .is(2)
        .says("in a result that has no shell")
        .says("name a program with --busybox");
    on_this_machine(&["-t", "--test-command", "lost -x", "--busybox", "/none"])
        .is(2)
        .says("in a result that has no program of this name");
}

#[test]
fn tools_of_a_busybox() {
    let folder = tempfile::tempdir().unwrap();
    let busybox = folder.path().join("box");
    let script = "#!/bin/bash\ncase \"${0##*/} $1\" in\n'box --list') echo tool; echo cat; echo 'no name';;\n\
                  'tool '*) echo tool runs;;\n'sh -c') shift; eval \"$1\";;\nesac\n";
    fs_err::write(&busybox, script).unwrap();
    fs_err::set_permissions(&busybox, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let words = ["-t", "--test-command", "tool", "--test-stdout", "tool runs", "--busybox"];
    on_this_machine(&[&words[..], &[busybox.to_str().unwrap()]].concat()).is(0).says("passed `tool`");
}

#[test]
fn dynamic() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--dynamic", "--dynamic-arg", "/etc/hostname", "--dynamic-arg", "-"];
    run_in(folder.path(), &[&["/bin/cat", "bundle"], &arguments[..]].concat())
        .is(0)
        .says("only the trace of `/bin/cat /etc/hostname -` leads to /etc/hostname");
    has(&names(&folder.path().join("bundle")), "etc/hostname", true);
    // As with magicpak from 1.0 on.
    on_this_machine(&["-d", "--dynamic-arg", "/none"]).is(1).says("ended with status 1");
    on_this_machine(&["--dynamic-arg", "/etc/hostname"]).is(0).says("does nothing without --dynamic");
}

#[test]
fn dynamic_stdin() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["/bin/sh", "bundle", "--dynamic", "--dynamic-stdin", "read -r line </etc/hostname\n"];
    run_in(folder.path(), &words).is(0);
    has(&names(&folder.path().join("bundle")), "etc/hostname", true);
    on_this_machine(&["--dynamic-stdin", "x"]).is(0).says("does nothing where no command is traced");
}

#[test]
fn what_is_taken_and_not_done() {
    let root = Root::usual();
    for (words, said) in [
        (&["--compress"][..], "--compress is not done"),
        (&["-c", "--upx-arg", "--best", "--upx", "/usr/bin/upx"], "--compress is not done"),
        (&["--cc", "gcc"], "no C compiler is"),
        (&["--experimental-noload-resolver"], "nothing is ever loaded"),
    ] {
        root.run(&[&["/usr/bin/app", "bundle", "-v"], words].concat()).is(0).says(said);
        fs_err::remove_dir_all(root.beside("bundle")).unwrap();
    }
}

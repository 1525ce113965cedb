//! What is taken: globs, bases, folders, places of programs.

use fs_err as fs;
use testkit::elf::Elf;

use crate::fixture::{Root, listing, names};

#[test]
fn globs_add_and_take_away() {
    let root = Root::usual();
    let out = |words: &[&str]| {
        root.run(&[&["app", "out", "--force"], words].concat()).is(0);
        names(&root.beside("out"))
    };
    let has = |names: &[String], name: &str| names.iter().any(|one| one == name);
    let plain = out(&[]);
    assert!(has(&plain, "usr/lib/libone.so.1.2") && !has(&plain, "usr/share/doc/app/readme"));
    fs::remove_dir_all(root.beside("out")).unwrap();

    let included = out(&["-i", "/usr/share/**/readme", "--include", "/usr/bin/scr*"]);
    assert!(has(&included, "usr/share/doc/app/readme") && has(&included, "usr/bin/env"));
    fs::remove_dir_all(root.beside("out")).unwrap();

    let excluded = out(&["-i", "/usr/share", "-e", "doc", "--exclude", "/usr/lib/libone*"]);
    assert!(has(&excluded, "usr/share/") && !has(&excluded, "usr/share/doc/"));
    assert!(!has(&excluded, "usr/lib/libone.so.1.2") && has(&excluded, "usr/lib/libc.so.6"));

    root.run(&["app", "other", "--exclude", "/usr/lib/libone*"])
        .is(0)
        .says("accepted (--exclude /usr/lib/libone*)");
    root.run(&["app", "third", "--include", "/none/*"]).is(1).says("root-not-found:/none/*");
}

#[test]
fn a_dot_is_the_folder_and_no_program() {
    let root = Root::usual();
    let everything = root.run(&["-n", "."]).is(0);
    assert!(everything.stdout.contains("/etc/app.conf\n"), "{}", everything.stdout);
}

#[test]
fn what_a_base_has_is_left_out() {
    let root = Root::usual();
    root.run(&["app", "base"]).is(0);
    fs::write(root.beside("base/usr/lib/libc.so.6"), "another").unwrap();
    root.run(&["script", "rest", "--minus", "base"]).is(0);
    let rest = names(&root.beside("rest"));
    assert_eq!(rest, ["usr/", "usr/bin/", "usr/bin/env", "usr/bin/script", "usr/lib/", "usr/lib/libc.so.6"]);

    fs::write(root.beside("list"), "# paths\n/usr/lib/libc.so.6\nusr/bin/env\n").unwrap();
    root.run(&["script", "listed", "--minus", "base", "--minus", "list"]).is(0);
    assert_eq!(names(&root.beside("listed")), ["usr/", "usr/bin/", "usr/bin/script"]);

    fs::write(root.beside("list"), "../x\n").unwrap();
    root.run(&["script", "bad", "--minus", "list"]).is(2).says("list");
    root.run(&["script", "bad", "--minus", "none"]).is(2);
    assert!(!root.beside("bad").exists());
}

#[test]
fn a_need_that_the_base_meets_is_met() {
    let root = Root::usual();
    root.file("/usr/bin/far", "#!/opt/interpreter\n", 0o755);
    root.run(&["far", "out"]).is(1).says("not-found:/usr/bin/far:/opt/interpreter");
    fs::create_dir_all(root.beside("base/opt")).unwrap();
    fs::write(root.beside("base/opt/interpreter"), "").unwrap();
    root.run(&["far", "out", "--minus", "base"]).is(0).says("the base has it");
}

#[test]
fn folders_are_made_with_the_rights_they_have() {
    let root = Root::usual();
    root.folder("/tmp", 0o1777);
    root.file("/tmp/leftover", "", 0o644);
    root.run(&["app", "out", "--mkdir", "/tmp", "--mkdir", "var/new/deep", "--mkdir", "/bin/sub"]).is(0);
    let listing = listing(&root.beside("out"));
    let has = |line: &str| listing.iter().any(|one| one == line);
    assert!(has("tmp/ 1777") && has("var/new/deep/ 0755"), "{listing:#?}");
    assert!(!listing.iter().any(|line| line.contains("leftover")), "{listing:#?}");
}

#[test]
fn programs_are_installed_elsewhere() {
    let root = Root::usual();
    root.run(&["app", "out", "--install-to", "/opt/app/bin/"]).is(0);
    let moved = names(&root.beside("out"));
    assert!(moved.contains(&"opt/app/bin/app".to_owned()) && !moved.contains(&"usr/bin/app".to_owned()));

    root.run(&["app", "renamed", "-r", "/run"]).is(0);
    assert!(names(&root.beside("renamed")).contains(&"run".to_owned()));

    // Something needs it where it is.
    root.run(&["app", "script", "both", "--install-to", "/opt/"]).is(0);
    let both = names(&root.beside("both"));
    for name in ["opt/app", "opt/script", "usr/bin/app"] {
        assert!(both.contains(&name.to_owned()), "{name}: {both:#?}");
    }
    root.run(&["app", "script", "bad", "--install-to", "/opt"]).is(2).says("end it with a slash");

    // It finds its libraries from where it is.
    root.program("/app/bin/tool", &Elf::program().needs("libown.so").runpath("$ORIGIN/../lib"));
    root.program("/app/lib/libown.so", &Elf::library("libown.so"));
    root.run(&["/app/bin/tool", "kept"]).is(0);
    root.run(&["/app/bin/tool", "lost", "--install-to", "/bin/"])
        .is(1)
        .says("libown.so, which it found where it was");
    assert!(!root.beside("lost").exists());
}

#[test]
fn roots_are_names_paths_folders_and_globs() {
    let root = Root::usual();
    root.file("/app/[id]/page", "", 0o644);
    let dry = |words: &[&str]| root.run(&[&["-n"], words].concat()).is(0).stdout;
    assert_eq!(dry(&["app"]), dry(&["/usr/bin/app"]));
    assert_eq!(dry(&["app"]), dry(&["usr/bin/app"]));
    assert_eq!(dry(&["app"]), dry(&["/usr/share/../bin/ap?"]));
    assert_eq!(dry(&["/app/[id]"]), "/app\n/app/[id]\n/app/[id]/page\n");
    assert!(dry(&["/bin/app"]).starts_with("/bin\n"), "the link on the way comes along");
    root.run(&["-n", "nothing"]).is(1).says("root-not-found:/nothing");
}

#[test]
fn only_what_is_loaded() {
    let root = Root::usual();
    root.program("/usr/lib/libssl.so.3", &Elf::library("libssl.so.3"));
    root.file("/etc/ssl/certs/ca-certificates.crt", "", 0o644);
    root.program("/usr/bin/client", &Elf::program().needs("libssl.so.3"));
    let dry = |words: &[&str]| root.run(&[&["-n", "client"], words].concat()).is(0).stdout;
    assert!(dry(&[]).contains("/etc/ssl/certs/ca-certificates.crt"));
    let loaded = dry(&["--loaded"]);
    assert!(loaded.contains("/usr/lib/libssl.so.3") && !loaded.contains("/etc/"), "{loaded}");
}

#[test]
fn libraries_outside_of_the_loaders_folders_get_a_cache() {
    let root = Root::usual();
    root.file("/etc/ld.so.conf", "/usr/local/lib\n", 0o644);
    root.program("/usr/local/lib/libfar.so.1", &Elf::library("libfar.so.1").needs("libc.so.6"));
    root.program("/usr/bin/far", &Elf::program().needs("libfar.so.1"));
    root.run(&["far", "out"]).is(0);
    let cache = fs::read(root.beside("out/etc/ld.so.cache")).unwrap();
    assert!(cache.windows(26).any(|text| text == b"/usr/local/lib/libfar.so.1"));
    root.run(&["app", "near"]).is(0);
    assert!(!root.beside("near/etc/ld.so.cache").exists());
}

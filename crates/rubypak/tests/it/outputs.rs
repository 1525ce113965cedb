//! Where results go: folders, tars, layouts; what is replaced, and what is left behind.

use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use fs_err as fs;
use testkit::elf::Elf;

use crate::fixture::{Root, listing};

fn tar(words: &[&OsStr]) {
    let output = Command::new("tar").args(words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// What a tar has, unpacked.
fn unpacked(root: &Root, archive: &Path, compressed: bool) -> Vec<String> {
    let folder = root.beside("unpacked");
    fs::create_dir(&folder).unwrap();
    let mode = if compressed { "-xzpf" } else { "-xpf" };
    tar(&[mode.as_ref(), archive.as_os_str(), "-C".as_ref(), folder.as_os_str()]);
    let listing = listing(&folder);
    fs::remove_dir_all(folder).unwrap();
    listing
}

#[test]
fn every_form_holds_the_same() {
    let root = Root::usual();
    let words = ["script", "--include", "/etc/*.conf", "--mkdir", "/tmp/cache"];
    let run = |output: &str| root.run(&[&words[..], &["-o", output]].concat()).is(0);
    run("folder").says("wrote folder: ");
    run("archive.tar");
    run("image.oci");
    let stdout = Command::new(crate::fixture::program())
        .args(words)
        .args(["-o", "-", "--root"])
        .arg(root.path())
        .output()
        .unwrap();
    assert_eq!(stdout.stdout, fs::read(root.beside("archive.tar")).unwrap());

    let folder = listing(&root.beside("folder"));
    insta::assert_snapshot!(folder.join("\n"));
    assert_eq!(unpacked(&root, &root.beside("archive.tar"), false), folder);

    let blobs = root.beside("image.oci/blobs/sha256");
    let blob =
        |digest: &serde_json::Value| blobs.join(digest.as_str().unwrap().trim_start_matches("sha256:"));
    let document =
        |path: &Path| -> serde_json::Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let index = document(&root.beside("image.oci/index.json"));
    assert_eq!(index["manifests"][0]["platform"]["architecture"], "amd64");
    let manifest = document(&blob(&index["manifests"][0]["digest"]));
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    assert_eq!(unpacked(&root, &blob(&manifest["layers"][0]["digest"]), true), folder);
}

#[test]
fn modes_times_and_hard_links_survive() {
    let root = Root::usual();
    root.file("/app/one", "same", 0o4755);
    fs::hard_link(root.path().join("app/one"), root.path().join("app/two")).unwrap();
    root.folder("/app/tmp", 0o1777);
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::options()
        .write(true)
        .open(root.path().join("app/one"))
        .unwrap()
        .file()
        .set_modified(time)
        .unwrap();
    root.run(&["/app", "out"]).is(0);
    root.run(&["/app", "out.tar"]).is(0);
    let unpacked = root.beside("unpacked");
    fs::create_dir(&unpacked).unwrap();
    tar(&["-xpf".as_ref(), root.beside("out.tar").as_os_str(), "-C".as_ref(), unpacked.as_os_str()]);
    for folder in [root.beside("out"), unpacked] {
        let one = fs::metadata(folder.join("app/one")).unwrap();
        let two = fs::metadata(folder.join("app/two")).unwrap();
        assert_eq!((one.ino(), one.nlink(), one.mtime()), (two.ino(), 2, 1_000_000_000));
        assert_eq!(one.mode() & 0o7777, 0o4755);
        assert_eq!(fs::metadata(folder.join("app/tmp")).unwrap().mode() & 0o7777, 0o1777);
    }
}

#[test]
fn what_is_there_stays_without_force() {
    let root = Root::usual();
    for output in ["out", "out.tar", "out.oci"] {
        root.run(&["app", output]).is(0);
        root.run(&["app", output]).is(2).says("it exists").says("--force");
        root.run(&["script", output, "--force"]).is(0);
    }
    assert!(root.beside("out/usr/bin/script").exists(), "it was replaced");
    assert_eq!(root.left(), ["out", "out.oci", "out.tar"]);
}

#[test]
fn force_replaces_results_alone() {
    let root = Root::usual();
    let out = root.beside("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("thesis.txt"), "years").unwrap();
    root.run(&["app", "out", "--force"]).is(2).says("`thesis.txt`, which the result does not have");
    fs::write(root.beside("file"), "text").unwrap();
    root.run(&["app", "file", "--force"]).is(2).says("not a folder");
    fs::create_dir(root.beside("folder.tar")).unwrap();
    root.run(&["app", "folder.tar", "--force"]).is(2).says("not a regular file");
    assert_eq!(fs::read_to_string(out.join("thesis.txt")).unwrap(), "years");
    assert_eq!(root.left(), ["file", "folder.tar", "out"]);
}

#[test]
fn an_empty_folder_is_filled() {
    let root = Root::usual();
    fs::create_dir(root.beside("out")).unwrap();
    root.run(&["app", "out"]).is(0);
    root.run(&["app", "fresh"]).is(0);
    assert_eq!(listing(&root.beside("out")), listing(&root.beside("fresh")));
}

#[test]
fn nothing_is_left_behind_where_it_cannot_write() {
    let root = Root::usual();
    root.run(&["app", "none/out"]).is(2).says("make the folder that it goes into first");
    let locked = root.beside("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, PermissionsExt::from_mode(0o555)).unwrap();
    // Root writes everywhere.
    if fs::write(locked.join("probe"), "").is_err() {
        for output in ["locked", "locked/out", "locked/out.tar", "locked/out.oci"] {
            root.run(&["app", output]).is(2).says("cannot write to");
        }
        assert!(fs::read_dir(&locked).unwrap().next().is_none());
    }
    assert_eq!(root.left(), ["locked"]);
}

#[test]
fn a_tar_is_not_compressed_and_a_report_needs_standard_output() {
    let root = Root::usual();
    root.run(&["app", "out.tar.gz"]).is(2).says("write a plain tar to standard output");
    root.run(&["app", "-o", "-", "--format", "dir"]).is(2).says("only a tar");
    root.run(&["app", "-o", "-", "--json"]).is(2).says("at once");
    assert!(root.left().is_empty());
}

#[test]
fn stripped_objects_lose_what_is_not_loaded() {
    use testkit::elf_sections::{SYMTAB, Section, with_sections};
    let root = Root::usual();
    let object = Elf::program().needs("libc.so.6").build();
    let large = with_sections(&object, &[Section::apart(".symtab", SYMTAB, vec![1; 100_000])]);
    root.file("/usr/bin/large", &large, 0o755);
    root.run(&["large", "whole"]).is(0);
    root.run(&["large", "small", "--strip"]).is(0).says("0.1 MB of symbols less");
    assert_eq!(fs::read(root.beside("whole/usr/bin/large")).unwrap(), large);
    let small = fs::read(root.beside("small/usr/bin/large")).unwrap();
    assert!(small.len() < 1000, "{}", small.len());
    assert_eq!(small[64..object.len() - 64], object[64..object.len() - 64]);
}

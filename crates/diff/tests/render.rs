//! Whole renderings of a comparison.

use std::collections::{BTreeMap, BTreeSet};

use diff::{Comparison, File, Image, Kind};
use schema::Digest;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn file(content: &str, mode: u32, owner: u32) -> File {
    let kind = Kind::File { bytes: content.len() as u64, digest: Digest::of(content.as_bytes()) };
    File { kind, mode, owner: (owner, owner), attributes: BTreeSet::new() }
}

fn link(target: &str) -> File {
    File {
        kind: Kind::Link { target: target.to_owned() },
        mode: 0o777,
        owner: (0, 0),
        attributes: BTreeSet::new(),
    }
}

fn files(files: Vec<(&str, File)>) -> BTreeMap<String, File> {
    files.into_iter().map(|(path, file)| (path.to_owned(), file)).collect()
}

fn before() -> Image {
    Image {
        name: "ruby:3.3".to_owned(),
        manifest: Some(Digest::of(b"before")),
        disk: 32_000_123,
        pull: 11_000_000,
        packages: map(&[("libc6", "2.41-1"), ("libgone", "1"), ("ruby3.3", "3.3.8-2")]),
        gems: Some(map(&[("rack", "3.1.0"), ("rake", "13.2.1")])),
        files: Some(files(vec![
            ("/bin/gone", file("gone", 0o755, 0)),
            ("/etc/content", file("abc", 0o644, 0)),
            ("/etc/kind", file("abc", 0o644, 0)),
            ("/etc/link", link("one")),
            ("/etc/mode", file("abc", 0o644, 0)),
            ("/etc/owner", file("abc", 0o644, 0)),
            ("/etc/same", file("abc", 0o644, 0)),
            ("/etc/size", file("abc", 0o644, 0)),
        ])),
        config: Some(map(&[("cmd", "irb"), ("env LANG", "C.UTF-8"), ("user", "65532:65532")])),
    }
}

fn after() -> Image {
    let capable =
        File { attributes: BTreeSet::from(["security.capability=01".to_owned()]), ..file("abc", 0o755, 0) };
    Image {
        name: "ruby:3.3-debug".to_owned(),
        manifest: Some(Digest::of(b"after")),
        disk: 32_000_122,
        pull: 12_000_000,
        packages: map(&[("busybox", "1.37"), ("libc6", "2.41-2"), ("ruby3.3", "3.3.8-2")]),
        gems: Some(map(&[("rack", "3.1.0, 3.2.0"), ("rake", "13.2.1")])),
        files: Some(files(vec![
            ("/bin/busybox", file("busybox", 0o755, 0)),
            ("/etc/content", file("abd", 0o644, 0)),
            ("/etc/folder", File { kind: Kind::Folder, ..file("", 0o755, 0) }),
            ("/etc/kind", link("elsewhere")),
            ("/etc/link", link("two")),
            ("/etc/mode", capable),
            ("/etc/owner", file("abc", 0o644, 65532)),
            ("/etc/same", file("abc", 0o644, 0)),
            ("/etc/size", file("a", 0o644, 0)),
        ])),
        config: Some(map(&[("cmd", "irb"), ("env LANG", "C\u{1b}[2J\nx"), ("entrypoint", "/busybox/sh")])),
    }
}

#[test]
fn two_images_as_text() {
    insta::assert_snapshot!(Comparison::of_images(&before(), &after()).text());
}

#[test]
fn two_images_as_markdown() {
    insta::assert_snapshot!(Comparison::of_images(&before(), &after()).markdown());
}

#[test]
fn two_images_as_json() {
    insta::assert_snapshot!(Comparison::of_images(&before(), &after()).json());
}

#[test]
fn two_runs() {
    let named = |name: &str, image: Image| Image { name: name.to_owned(), ..image };
    let of_record = |image: Image| Image { gems: None, files: None, config: None, ..image };
    let first =
        [named("a", before()), named("b", of_record(before())), named("c", before()), named("e", before())];
    let second = [
        named("b", after()),
        named("c", before()),
        named("d", after()),
        named("e", Image { manifest: None, ..before() }),
    ];
    let comparison = Comparison::of_runs(&first, &second);
    assert!(!comparison.is_same());
    insta::assert_snapshot!(format!("{}\n{}", comparison.text(), comparison.markdown()));
}

#[test]
fn long_lists_are_folded_and_cut() {
    let many = (0..250).map(|number| (format!("/lib/{number:03}"), file("x", 0o644, 0))).collect();
    let after = Image { files: Some(many), ..Image::default() };
    let before = Image { files: Some(BTreeMap::new()), ..Image::default() };
    let comparison = Comparison::of_images(&before, &after);
    assert_eq!(comparison.text().lines().count(), 6 + 250);
    let markdown = comparison.markdown();
    let is_file = |line: &&str| line.starts_with("+ /lib/");
    assert_eq!(markdown.lines().filter(is_file).count(), 200);
    let rest: Vec<&str> = markdown.lines().filter(|line| !is_file(line)).collect();
    insta::assert_snapshot!(rest.join("\n"));
}

#[test]
fn the_same() {
    let comparison = Comparison::of_images(&before(), &before());
    assert!(comparison.is_same());
    insta::assert_snapshot!(format!("{}{}{}", comparison.text(), comparison.markdown(), comparison.json()));
}

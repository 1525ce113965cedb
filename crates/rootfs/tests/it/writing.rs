//! Tars written: the same bytes for the same tree, and what is read back is what was there.

use std::io;

use rootfs::{
    Content, Dialect, Entry, Layer, Limits, Metadata, Origin, RootPath, TarOptions, TarSummary, Times, Tree,
    write_tar,
};
use testkit::tar::Tar;

use crate::listing::{listing, path, stacked};

const TIME: i64 = 1_700_000_000;
const OPTIONS: TarOptions = TarOptions { times: Times::One(TIME) };

pub(crate) fn written(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_tar(tree, &mut bytes, &OPTIONS).unwrap();
    bytes
}

pub(crate) fn read(bytes: Vec<u8>) -> Tree {
    let layer = Layer::parse(Content::from(bytes), Dialect::Debian, Limits::default()).unwrap();
    let mut tree = Tree::new();
    tree.stack(&layer, Origin(0)).unwrap();
    tree
}

fn sample() -> Tree {
    stacked(
        Dialect::Debian,
        [Tar::new()
            .file("./usr/bin/ruby", "ELF")
            .hard_link("./usr/bin/another", "./usr/bin/ruby")
            .symlink("./bin", "usr/bin")
            .file("./usr/empty", "")
            .file("./usr/block", [b'x'; 512])],
    )
    .unwrap()
}

#[test]
fn what_is_read_back_is_what_was_written() {
    let tree = sample();
    let again = read(written(&tree));
    assert_eq!(listing(&again), listing(&tree));
    assert!(again.iter().all(|(_, entry)| entry.metadata.mtime == TIME));
}

#[test]
fn files_and_bytes_are_counted() {
    let mut bytes = Vec::new();
    let summary = write_tar(&sample(), &mut bytes, &OPTIONS).unwrap();
    assert_eq!(summary, TarSummary { files: 5, bytes: 515 });
}

#[test]
fn the_bytes_do_not_depend_on_how_the_tree_was_made() {
    let entry = |text: &str| Entry::file(Metadata::root(0o644), text.as_bytes().to_vec(), Origin(0));
    let names = ["/a/b", "/a-b", "/c", "/a/d/e"];
    let build = |order: &mut dyn Iterator<Item = &&str>| {
        let mut tree = Tree::new();
        for name in order {
            tree.insert(path(name), entry(name)).unwrap();
        }
        written(&tree)
    };
    assert_eq!(build(&mut names.iter()), build(&mut names.iter().rev()));
}

#[test]
fn headers_are_plain_ustar_where_everything_fits() {
    let mut tree = Tree::new();
    let metadata = Metadata { mode: 0o4755, uid: 1000, gid: 50, mtime: 5, xattrs: Vec::new() };
    tree.insert(path("/bin/su"), Entry::file(metadata, b"ELF".to_vec(), Origin(0))).unwrap();
    let bytes = written(&tree);
    assert_eq!(bytes.len(), 512 + 1024 + 1024);
    let field = |header: usize, start: usize, end: usize| &bytes[header + start..header + end];
    assert_eq!(field(0, 0, 6), b"bin/\0\0");
    assert_eq!(field(512, 0, 8), b"bin/su\0\0");
    assert_eq!(field(512, 100, 108), b"0004755\0");
    assert_eq!(field(512, 108, 124), b"0001750\x000000062\0");
    assert_eq!(field(512, 124, 148), b"00000000003\x0014524770400\0");
    assert_eq!(field(512, 156, 158), b"0\0");
    assert_eq!(field(512, 257, 265), b"ustar\x0000");
    assert_eq!(field(512, 265, 329), [0; 64]);
    assert_eq!(field(1024, 0, 4), b"ELF\0");
}

#[test]
fn what_does_not_fit_goes_into_pax_records() {
    let mut tree = Tree::new();
    let metadata = Metadata {
        mode: 0o755,
        uid: 3_000_000_000,
        gid: 4_000_000_000,
        mtime: 0,
        xattrs: vec![(b"security.capability".to_vec(), b"\x01\0=\n\xff".to_vec())],
    };
    let long = RootPath::parse("n".repeat(200)).unwrap();
    let target = "t".repeat(300);
    tree.insert(long.clone(), Entry::file(metadata.clone(), Vec::new(), Origin(0))).unwrap();
    tree.insert(path("/link"), Entry::symlink(&target, Origin(0))).unwrap();
    for mtime in [0, -1, i64::MIN, i64::MAX] {
        let mut bytes = Vec::new();
        write_tar(&tree, &mut bytes, &TarOptions { times: Times::One(mtime) }).unwrap();
        let again = read(bytes);
        assert_eq!(listing(&again), listing(&tree));
        assert_eq!(again.get(&long).unwrap().metadata, Metadata { mtime, ..metadata.clone() });
    }
}

#[test]
fn each_entry_may_have_its_own_time() {
    let mut tree = Tree::new();
    for (name, mtime) in [("/new", 1_700_000_000), ("/old", -5)] {
        let metadata = Metadata { mtime, ..Metadata::root(0o644) };
        tree.insert(path(name), Entry::file(metadata, Vec::new(), Origin(0))).unwrap();
    }
    let mut bytes = Vec::new();
    write_tar(&tree, &mut bytes, &TarOptions { times: Times::Own }).unwrap();
    let again = read(bytes);
    for (name, entry) in tree.iter() {
        assert_eq!(again.get(name).unwrap().metadata, entry.metadata);
    }
}

#[test]
fn long_names_that_ustar_can_split_need_no_pax() {
    let mut tree = Tree::new();
    let name = format!("{}/{}", "d".repeat(99), "n".repeat(99));
    tree.insert(path(&name), Entry::file(Metadata::root(0o644), Vec::new(), Origin(0))).unwrap();
    let bytes = written(&tree);
    assert_eq!(bytes.len(), 2 * 512 + 1024);
    assert_eq!(listing(&read(bytes)), listing(&tree));
}

#[test]
fn the_first_path_that_is_left_has_the_content_of_a_hard_link() {
    let tree = sample().select([path("/usr/bin/ruby")].into_iter());
    assert_eq!(listing(&read(written(&tree))), ["/usr/ 0755", "/usr/bin/ 0755", "/usr/bin/ruby 0644 ELF"]);
}

#[test]
fn an_output_that_is_full_is_an_error() {
    struct Full(usize);
    impl io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let tree = sample();
    let length = written(&tree).len();
    for room in [0, 1, 512, length - 1] {
        let error = write_tar(&tree, &mut Full(room), &OPTIONS).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
    }
    assert!(write_tar(&tree, &mut Full(length), &OPTIONS).is_ok());
}

//! How long the closure of a Ruby takes: `cargo bench -p analyzer` for a tree made in memory, about as big as Debian's
//! Ruby; `cargo bench -p analyzer -- FOLDER` for the tars of unpacked packages in a folder, stacked by name.

#![allow(clippy::print_stdout, reason = "a benchmark is there to print")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use analyzer::{Request, Root, analyze};
use rootfs::{Content, Dialect, Entry, Layer, Limits, Metadata, Origin, RootPath, Tree};
use testkit::elf::Elf;

const ROUNDS: usize = 50;

fn main() {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let (what, tree) = match &folder {
        Some(folder) => (folder.as_str(), stacked(Path::new(folder))),
        None => ("a tree made in memory", made()),
    };
    let roots = vec![Root::pattern("/usr/bin/ruby", "the interpreter")];
    let request = Request { roots, ..Request::default() };
    let closure = analyze(&tree, &request);
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            let again = analyze(&tree, &request);
            let time = start.elapsed();
            assert_eq!(again, closure);
            time
        })
        .collect();
    times.sort_unstable();
    let (entries, kept) = (tree.len(), closure.entries.len());
    let (fastest, middle) = (times[0], times[ROUNDS / 2]);
    println!("{what}: {entries} entries, {kept} kept: fastest {fastest:.1?}, median {middle:.1?}");
}

/// The tars of a folder on top of the links of a merged `/usr`.
fn stacked(folder: &Path) -> Tree {
    let mut tree = Tree::new();
    for name in ["bin", "lib", "lib64", "sbin"] {
        put(&mut tree, &format!("/usr/{name}"), Entry::directory(Metadata::root(0o755), Origin::default()));
        put(&mut tree, &format!("/{name}"), Entry::symlink(format!("usr/{name}"), Origin::default()));
    }
    let files = std::fs::read_dir(folder).expect("a folder of tars");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a readable folder").path()).collect();
    files.sort();
    for file in files {
        let tar = Content::map(&file).expect("a readable tar");
        let layer = Layer::parse(tar, Dialect::Debian, Limits::default()).expect("a tar");
        tree.stack(&layer, Origin::default()).expect("tars that fit on one another");
    }
    tree
}

/// 2,500 files in Ruby, 120 native extensions that need 5 libraries of a hundred each.
fn made() -> Tree {
    let mut tree = Tree::new();
    let config = "CONFIG[\"ruby_version\"] = \"3.3.0\"\nCONFIG[\"bindir\"] = \"/usr/bin\"\n\
        CONFIG[\"ruby_install_name\"] = \"ruby\"\nCONFIG[\"rubyarchdir\"] = \"/usr/lib/ruby/3.3.0/x86_64-linux\"\n\
        CONFIG[\"rubylibdir\"] = \"/usr/lib/ruby/3.3.0\"\n";
    put_file(&mut tree, "/usr/lib/ruby/3.3.0/x86_64-linux/rbconfig.rb", config);
    put_file(&mut tree, "/usr/bin/ruby", Elf::program().needs("lib0.so.1").build());
    put_file(&mut tree, "/lib64/ld-linux-x86-64.so.2", Elf::dynamic().build());
    for number in 0..100 {
        let soname = format!("lib{number}.so.1");
        let next = format!("lib{}.so.1", (number + 1) % 100);
        let library = Elf::library(&soname).needs(&next).payload(vec![0; 50_000]).build();
        put_file(&mut tree, &format!("/usr/lib/x86_64-linux-gnu/{soname}.2"), library);
        let link = Entry::symlink(format!("{soname}.2"), Origin::default());
        put(&mut tree, &format!("/usr/lib/x86_64-linux-gnu/{soname}"), link);
    }
    for number in 0..120 {
        let extension =
            (0..5).fold(Elf::dynamic(), |elf, need| elf.needs(&format!("lib{}.so.1", (number + need) % 100)));
        put_file(
            &mut tree,
            &format!("/usr/lib/ruby/3.3.0/x86_64-linux/extension{number}.so"),
            extension.build(),
        );
    }
    for number in 0..2500 {
        put_file(
            &mut tree,
            &format!("/usr/lib/ruby/3.3.0/part{}/file{number}.rb", number % 50),
            "# a file\n".repeat(500),
        );
    }
    tree
}

fn put_file(tree: &mut Tree, path: &str, content: impl Into<Vec<u8>>) {
    put(tree, path, Entry::file(Metadata::root(0o755), content.into(), Origin::default()));
}

fn put(tree: &mut Tree, path: &str, entry: Entry) {
    let path = RootPath::parse(path).expect("a path");
    tree.insert(path, entry).expect("a place for it");
}

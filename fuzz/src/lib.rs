//! What each fuzz target does with its bytes: read them as hostile input, and check what has to hold of the answer.
//!
//! `cargo fuzz run TARGET` runs one; `cargo run --example seeds` writes inputs to start from into `corpus`.

use std::sync::Once;

use analyzer::{Request, Root};
use rootfs::{
    Content, Dialect, Entry, Layer, Limits, Metadata, Origin, RootPath, TarOptions, Tree, write_tar,
};

/// A tree of executable files.
fn tree(files: &[(&str, &[u8])]) -> Tree {
    let mut tree = Tree::new();
    for (path, bytes) in files {
        let path = RootPath::parse(path).expect("a path of this file");
        let entry = Entry::file(Metadata::root(0o755), bytes.to_vec(), Origin::default());
        tree.insert(path, entry).expect("every parent is a folder");
    }
    tree
}

/// The closure of every file of a tree: each kept path exists, and has a chain to a root.
fn analyse(files: &[(&str, &[u8])]) {
    static ON_THIS_THREAD: Once = Once::new();
    // Waking another thread takes longer than the analysis of so little.
    ON_THIS_THREAD.call_once(|| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .use_current_thread()
            .build_global()
            .expect("the first pool");
    });
    let tree = tree(files);
    let roots = files.iter().map(|(path, _)| Root::pattern(*path, "fuzz"));
    let closure = analyzer::analyze(&tree, &Request { roots: roots.collect(), ..Request::default() });
    for path in closure.entries.keys() {
        assert!(tree.get(path).is_some(), "{path} is kept and does not exist");
        assert!(closure.chain(path).is_some(), "{path} has no chain");
    }
    for finding in &closure.findings {
        assert!(!finding.key().is_empty() && !finding.to_string().is_empty());
    }
}

/// An ELF object, and a library that it may find.
pub fn elf(bytes: &[u8]) {
    let library = testkit::elf::Elf::library("liba.so.1").build();
    analyse(&[("/usr/bin/object", bytes), ("/lib/liba.so.1", &library)]);
}

/// The configuration of the loader, beside a program that needs a library.
pub fn ld_so_conf(bytes: &[u8]) {
    let program = testkit::elf::Elf::program().needs("liba.so.1").build();
    let library = testkit::elf::Elf::library("liba.so.1").build();
    let conf = "/etc/ld.so.conf.d/a.conf";
    analyse(&[
        ("/etc/ld.so.conf", bytes),
        (conf, bytes),
        ("/usr/bin/program", &program),
        ("/opt/liba.so.1", &library),
    ]);
}

/// A script.
pub fn shebang(bytes: &[u8]) {
    analyse(&[("/usr/bin/script", &[b"#!", bytes].concat()), ("/usr/bin/env", b""), ("/usr/bin/ruby", b"")]);
}

/// Ruby code.
pub fn ruby(bytes: &[u8]) {
    analyse(&[
        ("/app/main.rb", &[b"#!/usr/bin/ruby\n", bytes].concat()),
        ("/app/other.rb", bytes),
        ("/usr/bin/ruby", b""),
    ]);
}

/// Ruby code, for the parser alone.
pub fn ruby_source(bytes: &[u8]) {
    analyzer::fuzzing::ruby_source(bytes);
}

/// A note of an object on the libraries that it opens.
pub fn dlopen_note(bytes: &[u8]) {
    analyzer::fuzzing::opened_note(bytes);
}

/// The gems that Bundler locked.
pub fn gemfile_lock(bytes: &[u8]) {
    analyzer::fuzzing::gemfile_lock(&String::from_utf8_lossy(bytes));
}

/// A Debian copyright file: the licence that comes of it is in SPDX's grammar, and uses every text that comes with it.
pub fn copyright(bytes: &[u8]) {
    let sbom::Copyright { licence, texts } = sbom::Copyright::parse(bytes);
    let licence = licence.map(|licence| licence.to_string()).unwrap_or_default();
    assert!(licence.is_empty() || spdx::Expression::parse(&licence).is_ok(), "{licence}");
    assert!(texts.iter().all(|text| licence.contains(&text.reference)), "{licence}");
}

/// The specification of a gem.
pub fn gem_specification(bytes: &[u8]) {
    if let Ok(gem) = sbom::Specification::parse(bytes) {
        assert!(!gem.name.is_empty() && !gem.version.is_empty());
    }
}

/// The configuration of a Ruby.
pub fn rbconfig(bytes: &[u8]) {
    let library = testkit::elf::Elf::library("libruby.so.3.3").build();
    analyse(&[
        ("/usr/lib/libruby.so.3.3", &library),
        ("/usr/lib/ruby/3.3.0/x86_64-linux/rbconfig.rb", bytes),
        ("/usr/lib/ruby/3.3.0/set.rb", b""),
    ]);
}

/// A tar in both dialects: what can be read is stacked, written, and read again as the same tree.
pub fn tar(bytes: &[u8]) {
    for dialect in [Dialect::Debian, Dialect::Oci] {
        let Ok(layer) = Layer::parse(Content::from(bytes.to_vec()), dialect, Limits::default()) else {
            continue;
        };
        let mut tree = Tree::new();
        if tree.stack(&layer, Origin::default()).is_err() {
            continue;
        }
        let written = |tree: &Tree| {
            let mut tar = Vec::new();
            write_tar(tree, &mut tar, &TarOptions::default()).map(|_| tar)
        };
        let Ok(first) = written(&tree) else { continue };
        let layer = Layer::parse(Content::from(first.clone()), Dialect::Debian, Limits::default())
            .expect("what is written can be read");
        let mut again = Tree::new();
        again.stack(&layer, Origin::default()).expect("what is written can be stacked");
        assert!(
            written(&again).is_ok_and(|second| second == first),
            "another tree was read than was written"
        );
    }
}

/// A Debian package.
pub fn deb(bytes: &[u8]) {
    if let Ok(deb) = debian::deb::Deb::open(bytes) {
        let _ = deb.data_tar(&mut std::io::sink(), 1 << 20);
    }
}

/// The configuration of apt, in both forms.
pub fn apt_sources(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let texts = [debian::mirror::AptSources::OneLine(&text), debian::mirror::AptSources::Deb822(&text)];
    for text in texts {
        let _ = debian::mirror::mirrors([text]);
    }
}

/// An index of packages, with every field of every package.
pub fn packages(bytes: &[u8]) {
    debian::fuzzing::packages(bytes);
}

/// An index of source packages, with the tarball of every one.
pub fn sources(bytes: &[u8]) {
    debian::fuzzing::sources(bytes);
}

/// What dpkg knows of installed packages: each has a name that is one word of a path, and is read from its own fields again.
pub fn dpkg_status(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(installed) = debian::status::installed(&text) else { return };
    for package in installed {
        for name in package.record_names() {
            assert!(RootPath::parse(format!("/info/{name}")).is_ok_and(|path| path.name() == name.as_bytes()));
        }
        let again = debian::status::installed(&package.control).expect("its own fields are control data");
        assert_eq!(again, [package], "another package was read from its fields");
    }
}

/// An archive of Docker's; and the documents of one, whose layers are there: the manifest and the configuration, with a zero
/// byte between them.
pub fn docker_archive(bytes: &[u8]) {
    archived_image(bytes.to_vec());
    let mut documents = bytes.splitn(2, |byte| *byte == 0);
    let (manifest, config) = (documents.next().unwrap_or_default(), documents.next().unwrap_or_default());
    let archive = testkit::tar::Tar::new()
        .file("manifest.json", manifest)
        .file("config.json", config)
        .file("layer.tar", testkit::tar::Tar::new().file("a", "b").finish())
        .symlink("again.tar", "layer.tar");
    archived_image(archive.finish());
}

/// Every layer of an image has the digest of its own bytes, and the one that the configuration says of its tar.
fn archived_image(bytes: Vec<u8>) {
    let archive = Content::from(bytes);
    for name in [None, Some("ruby:3.4")] {
        let Ok(image) = oci::ArchivedImage::open(archive.clone(), name) else { continue };
        let diff_ids: Vec<_> = image.layers.iter().map(|(layer, _)| layer.diff_id).collect();
        assert_eq!(diff_ids, image.config.rootfs.diff_ids);
        for (layer, content) in &image.layers {
            let oci::document::Descriptor { media_type, digest, size, .. } = &layer.descriptor;
            assert_eq!((*digest, *size), (schema::Digest::of(content), content.len() as u64));
            let mut tar = Vec::new();
            if oci::unpack(content, media_type, layer.diff_id, 1 << 20, &mut tar).is_ok() {
                assert_eq!(schema::Digest::of(&tar), layer.diff_id);
            }
        }
    }
}

/// What a package needs.
pub fn relation(bytes: &[u8]) {
    debian::fuzzing::relations(&String::from_utf8_lossy(bytes));
}

/// A signed release file, and the same text as if it were signed.
pub fn release(bytes: &[u8]) {
    debian::fuzzing::release(bytes);
}

/// Every document of an image layout.
pub fn oci_document(bytes: &[u8]) {
    oci::fuzzing::documents(bytes);
}

/// The files that people and the program write: what is read and written again is the same.
pub fn project(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = schema::matrix::Matrix::parse("matrix.toml", &text);
    let _ = schema::image::ImageSpec::parse("image.toml", &text);
    let _ = schema::run::RunRecord::parse(&text);
    if let Ok(lock) = schema::lock::Lock::parse("matrix.lock", &text) {
        let rendered = lock.render();
        let again = schema::lock::Lock::parse("matrix.lock", &rendered).expect("what is written can be read");
        assert_eq!(again.render(), rendered);
    }
}

//! Records and published sizes for tests.

use schema::listing::{DroppedEntry, LayerListing, ListedEntry, ListedKind, Listing};
use schema::run::{CheckOutcome, CheckRecord, ImageRecord, PackageRecord};
use schema::{Architecture, Digest};

use crate::published::Published;

/// An image with checks that passed or failed.
pub(crate) fn image(name: &str, checks: &[bool]) -> ImageRecord {
    let good = || CheckOutcome::Passed { output: "ruby 3.3.8\n".to_owned() };
    let failed = || CheckOutcome::Failed {
        message: "expected 3".to_owned(),
        output: String::new(),
        errors: String::new(),
    };
    let package =
        |name: &str| PackageRecord { name: name.to_owned(), version: "1".to_owned(), files: 1, disk: 1 };
    ImageRecord {
        name: name.to_owned(),
        references: vec![name.to_owned()],
        ruby: "3.3.8".to_owned(),
        distro: "trixie".to_owned(),
        architecture: Architecture::Amd64,
        release: false,
        manifest: Digest::of(b"manifest"),
        disk: 35_749_999,
        pull: 11_750_000,
        zstd: None,
        files: 3657,
        layers: Vec::new(),
        packages: vec![package("libc6"), package("libruby3.3")],
        sboms: Vec::new(),
        dropped: Vec::new(),
        shrunk: Vec::new(),
        accepted: Vec::new(),
        undecided: Vec::new(),
        checks: checks
            .iter()
            .map(|passed| CheckRecord {
                name: "ruby -v".to_owned(),
                proves: "it starts".to_owned(),
                outcome: if *passed { good() } else { failed() },
                milliseconds: 9,
            })
            .collect(),
    }
}

/// Others' images: two of one source, and one of another.
pub(crate) fn published() -> Vec<Published> {
    let text = r#"
        [[images]]
        image = "ruby:3.4-alpine3.24"
        ruby = "3.4"
        architecture = "amd64"
        disk = 77.0
        pull = 43.1
        source = "[records](https://example.org)"
        date = "2026-09"
        chart = true

        [[images]]
        image = "ruby:3.4|odd"
        ruby = "3.4"
        architecture = "arm64"
        pull = 421
        source = "[records](https://example.org)"
        date = "2026-09"

        [[images]]
        image = "distroless-ruby"
        ruby = "2.7.0"
        architecture = "amd64"
        disk = 59.4
        source = "an article"
        date = "2020"
        chart = true
    "#;
    Published::parse("published.toml", text).unwrap()
}

/// Two layers with a file of each kind, and what was left out.
pub(crate) fn listing() -> Listing {
    let entry = |path: &str, kind, package: Option<&str>, because: &str, from: Option<&str>| ListedEntry {
        path: path.to_owned(),
        kind,
        package: package.map(str::to_owned),
        because: because.to_owned(),
        from: from.map(str::to_owned),
    };
    let folder = |path| entry(path, ListedKind::Folder, None, "something in the image is below it", None);
    let base = vec![
        folder("/usr"),
        folder("/usr/lib"),
        entry("/usr/lib/libc.so.6", ListedKind::File(2_000_000), Some("libc6"), "root: every program", None),
        entry("/usr/lib/libm.so", ListedKind::Symlink, Some("libc6"), "link", Some("/usr/lib/libc.so.6")),
    ];
    let ruby = vec![
        entry("/etc/gemrc", ListedKind::File(12), None, "root: settings of gem", None),
        entry("/usr/bin/ruby3.3", ListedKind::File(14_000), Some("ruby3.3"), "root: the interpreter", None),
        entry("/usr/bin/ruby", ListedKind::HardLink, Some("ruby3.3"), "link", Some("/usr/bin/ruby3.3")),
        entry(
            "/usr/lib/x.so",
            ListedKind::File(9_000),
            Some("libx"),
            "NEEDED x.so",
            Some("/usr/bin/ruby3.3"),
        ),
        entry("/usr/lib/y<z>", ListedKind::File(0), Some("libx"), "file", Some("/usr/lib/libc.so.6")),
    ];
    let layer = |name: &str, entries| LayerListing { name: name.to_owned(), entries };
    let dropped = |path: &str, rule: &str| DroppedEntry { path: path.to_owned(), rule: rule.to_owned() };
    Listing {
        layers: vec![layer("base", base), layer("ruby", ruby)],
        dropped: vec![
            dropped("/usr/share/doc/ruby/README", "documentation"),
            dropped("/usr/share/doc/ruby/x", "documentation"),
        ],
    }
}

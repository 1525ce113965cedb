//! Records and published sizes for tests.

use schema::run::{CheckOutcome, CheckRecord, ImageRecord, PackageRecord};
use schema::{Architecture, Digest};

use crate::published::Published;

/// An image with checks that passed or failed.
pub(crate) fn image(name: &str, checks: &[bool]) -> ImageRecord {
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
                outcome: if *passed { CheckOutcome::Passed } else { failed() },
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

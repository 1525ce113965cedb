//! Doors for the fuzzer to the parsers that are private otherwise. They are there only where it runs (`cfg(fuzzing)`).

use std::sync::LazyLock;

use jiff::Timestamp;
use rootfs::Content;

use crate::openpgp::Keyring;
use crate::packages::{Index, is_path};
use crate::relation::{Provision, Relation};
use crate::release::Release;
use crate::sources;

/// Reads an index, and every field of every package of it.
pub fn packages(bytes: &[u8]) {
    let Ok(packages) = Index::parse(Content::from(bytes.to_vec())) else { return };
    for package in packages.iter() {
        let _ = (
            package.version(),
            package.architecture(),
            package.needs(),
            package.provisions(),
            package.file(),
        );
        assert!(packages.named(package.name()).count() > 0, "a package is not found by its name");
    }
}

/// Reads an index of source packages, and the tarball of every package of it.
pub fn sources(bytes: &[u8]) {
    let Ok(index) = Index::parse(Content::from(bytes.to_vec())) else { return };
    for package in index.iter() {
        for tarball in sources::tarballs(&index, package.name()).into_iter().flatten() {
            assert!(is_path(&tarball.path), "{} is no path in an archive", tarball.path);
        }
    }
}

/// Reads needs and provisions.
pub fn relations(text: &str) {
    let _ = Relation::parse_all(text);
    let _ = Provision::parse_all(text);
}

/// Reads bytes as a signed release file, as certificates, and as the text of a release file.
pub fn release(bytes: &[u8]) {
    static KEYRING: LazyLock<Keyring> = LazyLock::new(Keyring::debian);
    let _ = KEYRING.verify(bytes, Timestamp::UNIX_EPOCH);
    let _ = Keyring::parse([bytes]);
    let _ = Release::parse(&String::from_utf8_lossy(bytes));
}

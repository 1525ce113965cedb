//! What an image says of the packages in it: for each one that gave a file, its control fields and MD5 sums below
//! `/var/lib/dpkg/status.d`. Scanners read them there in an image that has no dpkg database; the convention is the one
//! of the distroless images.

use std::collections::BTreeMap;

use md5::{Digest as _, Md5};
use rootfs::{Kind, RootPath, Tree};

use crate::stack::{Package, PackageSource, Stack};

/// Where the records are.
pub(crate) const FOLDER: &str = "/var/lib/dpkg/status.d";

/// The records of `packages` that are true for the files of `image`, by their paths. `stack` is what the image was taken
/// from: its links say where a package's files are.
pub(crate) fn records<'a>(
    packages: impl Iterator<Item = &'a Package>,
    stack: &Stack<'_>,
    image: &Tree,
) -> BTreeMap<RootPath, Vec<u8>> {
    let mut records = BTreeMap::new();
    for package in packages {
        let path = |ending: &str| {
            RootPath::parse(format!("{FOLDER}/{}{ending}", package.key.name))
                .expect("a package's name has letters, digits, `+`, `-` and `.` only")
        };
        let mut control = package.control.clone();
        if control.last().is_some_and(|byte| *byte != b'\n') {
            control.push(b'\n');
        }
        records.insert(path(""), control);
        records.insert(path(".md5sums"), sums_of(package, stack, image));
    }
    records
}

/// The lines of a package's `md5sums` whose file is in the image, with the sum that it has there.
pub(crate) fn sums_of(package: &Package, stack: &Stack<'_>, image: &Tree) -> Vec<u8> {
    let mut kept = Vec::new();
    let is_as_brought = package.source == PackageSource::Archive;
    for line in package.md5sums.split(|byte| *byte == b'\n') {
        // 32 digits, two spaces, and a path without a slash in front (deb-md5sums(5)).
        let Some(name) = line.get(32..).and_then(|rest| rest.strip_prefix(b"  ")) else { continue };
        let Ok(path) = RootPath::parse([b"/", name].concat()) else { continue };
        let Ok(resolved) = stack.tree.resolve(&path) else { continue };
        let Some(Kind::File(file)) = image.get(&resolved.path).map(|entry| &entry.kind) else { continue };
        if stack.made.contains(&resolved.path) {
            continue;
        }
        let brought = stack.tree.get(&resolved.path).filter(|entry| stack.package(entry).is_some());
        match brought.map(|entry| &entry.kind) {
            Some(Kind::File(brought)) if is_as_brought && brought.inode == file.inode => {
                kept.extend_from_slice(line);
            }
            // A rule made it smaller, in this layer or in a lower one; or it was installed, and may have changed since.
            _ => {
                kept.extend_from_slice(hex::encode(Md5::digest(&file.content)).as_bytes());
                kept.extend_from_slice(&line[32..]);
            }
        }
        kept.push(b'\n');
    }
    kept
}

//! Packages that are installed as a whole: every file of theirs, and what dpkg keeps of them, so that it knows what is
//! there and can put more to it.
//!
//! No maintainer script is run: what these would have made is among the made files of `image.toml`. They are kept with the
//! records, for the day that dpkg takes a package away or puts a newer one in its place.

use std::collections::{BTreeMap, BTreeSet};

use analyzer::{Drop, Drops};
use md5::{Digest as _, Md5};
use rootfs::{Dialect, Kind, Layer, Limits, RootPath, Tree};

use crate::stack::{Package, PackageSource, Stack};
use crate::status;

/// Where dpkg keeps its records (dpkg(1), "FILES").
pub(crate) const FOLDER: &str = "/var/lib/dpkg";

/// What is installed of packages, and what is not.
#[derive(Debug, Default)]
pub(crate) struct Installed {
    /// The paths.
    pub kept: BTreeSet<RootPath>,
    /// The paths that a rule takes, each with its place among the rules.
    pub dropped: BTreeMap<RootPath, usize>,
}

/// Everything that packages have above the lower layers of a stack, less what these rules leave out.
pub(crate) fn select(stack: &Stack<'_>, rules: &[Drop]) -> Installed {
    let (drops, bad) = Drops::new(rules);
    debug_assert!(bad.is_empty(), "a description has valid patterns only");
    let mut installed = Installed::default();
    let is_packaged =
        |entry| stack.package(entry).is_some_and(|package| package.source == PackageSource::Archive);
    let packaged = stack.tree.iter().filter(|(path, entry)| stack.is_new(path) && is_packaged(entry));
    for (path, _) in packaged {
        match drops.taking(path) {
            Some(rule) => {
                installed.dropped.insert(path.clone(), rule);
            }
            None => {
                installed.kept.insert(path.clone());
            }
        }
    }
    installed
}

/// What dpkg keeps of the packages of a stack that are installed in `image`, by paths.
pub(crate) fn records(stack: &Stack<'_>, image: &Tree) -> BTreeMap<RootPath, Vec<u8>> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut status = Vec::new();
    let mut triggers: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for package in stack.packages().iter().filter(|package| package.source == PackageSource::Archive) {
        let control = String::from_utf8_lossy(&package.control);
        let name = record_name(package);
        status.extend_from_slice(entry(package, &control, stack, image).as_bytes());
        files.insert(format!("info/{name}.list"), list(package, stack, image));
        files.insert(format!("info/{name}.md5sums"), status::sums_of(package, stack, image));
        for (kind, content) in &package.records {
            files.insert(format!("info/{name}.{kind}"), content.to_vec());
        }
        for (file, line) in interests(package) {
            triggers.entry(file).or_default().extend_from_slice(line.as_bytes());
        }
    }
    files.extend(triggers.into_iter().map(|(file, lines)| (format!("triggers/{file}"), lines)));
    files.insert("status".to_owned(), status);
    // The form in which the files of packages of several architectures have names of their own.
    files.insert("info/format".to_owned(), b"1\n".to_vec());
    for empty in ["available", "diversions", "statoverride"] {
        files.insert(empty.to_owned(), Vec::new());
    }
    let path = |file: &str| {
        RootPath::parse(format!("{FOLDER}/{file}"))
            .expect("names of packages and triggers have no slash and no dots alone")
    };
    files.into_iter().map(|(file, text)| (path(&file), text)).collect()
}

/// What the records of a package are called: by its architecture too, where it may be there for several (deb-control(5),
/// `Multi-Arch`).
fn record_name(package: &Package) -> String {
    let is_same = package.field("Multi-Arch").is_some_and(|value| value == "same");
    let name = &package.key.name;
    if is_same { format!("{name}:{}", package.key.architecture) } else { name.clone() }
}

/// A package in `status` (dpkg(1)): its control file, that it is installed, and its configuration files with the sums
/// that they have.
fn entry(package: &Package, control: &str, stack: &Stack<'_>, image: &Tree) -> String {
    let mut text = format!("{}\nStatus: install ok installed\n", control.trim_end());
    let listed = package.records.get("conffiles").map(|list| String::from_utf8_lossy(list));
    // One that a newer version is going to take away is listed with a flag in front.
    let paths =
        listed.iter().flat_map(|list| list.lines()).map(str::trim).filter(|line| line.starts_with('/'));
    let lines = paths.filter_map(|path| {
        let real = stack.tree.resolve(&RootPath::parse(path).ok()?).ok()?;
        match &image.get(&real.path)?.kind {
            Kind::File(file) => Some(format!(" {path} {}\n", hex::encode(Md5::digest(&file.content)))),
            _ => None,
        }
    });
    let lines: String = lines.collect();
    if !lines.is_empty() {
        text.push_str("Conffiles:\n");
        text.push_str(&lines);
    }
    text.push('\n');
    text
}

/// The paths of a package that are there, under the names that it has for them.
fn list(package: &Package, stack: &Stack<'_>, image: &Tree) -> Vec<u8> {
    let mut list = b"/.\n".to_vec();
    let layer = Layer::parse(package.data.clone(), Dialect::Debian, Limits::default());
    for path in layer.iter().flat_map(Layer::paths).filter(|path| !path.is_root()) {
        // A link stands for itself; the folders above it may be links.
        let folder = path.parent().and_then(|folder| stack.tree.resolve(&folder).ok());
        let real = folder.and_then(|folder| folder.path.join(path.name()).ok());
        if real.is_some_and(|real| image.get(&real).is_some()) {
            list.extend_from_slice(path.as_bytes());
            list.push(b'\n');
        }
    }
    list
}

/// The triggers that a package waits for (deb-triggers(5)): each as a file below `triggers`, and its line.
fn interests(package: &Package) -> Vec<(String, String)> {
    let Some(text) = package.records.get("triggers") else { return Vec::new() };
    let text = String::from_utf8_lossy(text);
    let interest = |line: &str| {
        let mut words = line.split_whitespace();
        let kind = words.next()?.strip_prefix("interest")?;
        let name = words.next()?;
        let package = match kind {
            "-noawait" => format!("{}/noawait", package.key.name),
            _ => package.key.name.clone(),
        };
        match name.strip_prefix('/') {
            Some(_) => Some(("File".to_owned(), format!("{name} {package}\n"))),
            None => (!name.contains('/') && !name.starts_with('.'))
                .then(|| (name.to_owned(), format!("{package}\n"))),
        }
    };
    text.lines().filter_map(interest).collect()
}

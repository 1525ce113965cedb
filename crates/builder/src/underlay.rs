//! The files that a Ruby comes in beside the packages of its row's distro: those of an image that it is taken from. They
//! lie below the packages: what a package of the row has comes from that package alone, so that every file of it is of
//! one version.
//!
//! What the image's package manager knows of its files stays known. A file of no package is there by itself, as a Ruby in
//! `/usr/local` is.

use std::collections::{BTreeMap, HashMap};

use analyzer::{Drop, Drops};
use debian::status::{self, InstalledPackage};
use rootfs::{Content, Entry, InsertError, Kind, Origin, RootPath, Tree};
use schema::image::Overlook;
use schema::lock::PackageKey;

use crate::image_source::ImageFault;
use crate::stack::{Package, PackageSource};

/// Where dpkg keeps what it knows (dpkg(1), "FILES").
const DPKG: &str = "/var/lib/dpkg";

/// Files below packages.
#[derive(Debug)]
pub(crate) struct Underlay {
    tree: Tree,
    packages: Vec<Package>,
    /// The places among the packages of those that files are of.
    owners: HashMap<RootPath, usize>,
}

impl Underlay {
    /// The files of an image, with what its dpkg knows of them, but for those that are overlooked.
    ///
    /// # Errors
    /// When what dpkg should know makes no sense.
    pub(crate) fn of_image(mut tree: Tree, overlook: &[Overlook]) -> Result<Self, ImageFault> {
        let Known { packages, owners } = known(&tree)?;
        let overlooked = overlooked(&tree, overlook);
        for path in &overlooked {
            tree.remove(path);
        }
        Ok(Self { tree, packages, owners })
    }

    /// Its packages that `others` have none in place of.
    pub(crate) fn packages_beside<'u>(&'u self, others: &[Package]) -> impl Iterator<Item = &'u Package> {
        let replaced: Vec<&str> = others.iter().map(|package| package.key.name.as_str()).collect();
        self.packages.iter().filter(move |package| !replaced.contains(&package.key.name.as_str()))
    }

    /// Puts its files into a tree that has the links of merged /usr, which they go through. `packages` are those of the
    /// tree, its own among them; what is of none has the origin `unowned`.
    ///
    /// # Errors
    /// A file that does not fit on what the tree has.
    pub(crate) fn lay(
        &self,
        tree: &mut Tree,
        packages: &[Package],
        unowned: Origin,
    ) -> Result<(), InsertError> {
        let origins: BTreeMap<&PackageKey, Origin> = (0..)
            .map(Origin)
            .zip(packages)
            .filter(|(_, package)| package.source == PackageSource::Image)
            .map(|(origin, package)| (&package.key, origin))
            .collect();
        for (path, entry) in self.tree.iter() {
            let owner = self.owners.get(path).filter(|_| !entry.is_directory());
            let origin = match owner.map(|&owner| origins.get(&self.packages[owner].key)) {
                Some(Some(&origin)) => origin,
                // Another package of this name stands for it.
                Some(None) => continue,
                None => unowned,
            };
            let Some(place) = place(tree, path) else { continue };
            let is_folder_there = tree
                .resolve(&place)
                .ok()
                .and_then(|real| tree.get(&real.path))
                .is_some_and(Entry::is_directory);
            // A folder under the name of a link, as /lib, is the one that the link leads to.
            if !is_folder_there {
                tree.insert(place, Entry { origin, ..entry.clone() })?;
            }
        }
        Ok(())
    }
}

/// What the package manager of an image knows of its files.
#[derive(Debug)]
pub(crate) struct Known {
    /// The packages that are installed.
    pub packages: Vec<Package>,
    /// The places among them of those that files are of.
    pub owners: HashMap<RootPath, usize>,
}

/// What dpkg knows of an image, or what it says below `status.d`.
///
/// # Errors
/// When it makes no sense.
pub(crate) fn known(tree: &Tree) -> Result<Known, ImageFault> {
    let mut packages = Vec::new();
    let mut owners = HashMap::new();
    for installed in installed(tree)? {
        let record = |ending: &str| {
            let names = installed.record_names();
            let found = names.iter().find_map(|name| file(tree, &format!("{DPKG}/info/{name}.{ending}")));
            found.or_else(|| file(tree, &format!("{DPKG}/status.d/{}.{ending}", installed.name)))
        };
        let md5sums = record("md5sums").map(|sums| sums.to_vec()).unwrap_or_default();
        let listed = match record("list") {
            Some(list) => paths(tree, &list, b""),
            // Below `status.d` there is no other list.
            None => paths_of_sums(tree, &md5sums),
        };
        for path in listed {
            owners.insert(path, packages.len());
        }
        let InstalledPackage { name, version, architecture, control } = installed;
        packages.push(Package {
            key: PackageKey { name, version, architecture },
            source: PackageSource::Image,
            control: control.into(),
            md5sums,
            records: BTreeMap::new(),
            data: Content::from(Vec::new()),
        });
    }
    Ok(Known { packages, owners })
}

/// What is not taken from an image: what its dpkg keeps of it, and what the description says.
fn overlooked(tree: &Tree, overlook: &[Overlook]) -> Vec<RootPath> {
    let globs = overlook.iter().flat_map(|rule| &rule.paths).map(|path| path.as_str().to_owned());
    let rules = [Drop {
        name: String::new(),
        globs: globs.chain([DPKG.to_owned()]).collect(),
        reason: String::new(),
    }];
    let (drops, bad) = Drops::new(&rules);
    debug_assert!(bad.is_empty(), "a description has valid patterns only");
    tree.iter().map(|(path, _)| path).filter(|path| drops.taking(path).is_some()).cloned().collect()
}

/// Where a path is once the links to its folder are followed. None where that is no folder.
fn place(tree: &Tree, path: &RootPath) -> Option<RootPath> {
    let parent = path.parent()?;
    match tree.resolve(&parent) {
        Ok(real) => real.path.join(path.name()).ok(),
        Err(_) => Some(path.clone()),
    }
}

/// What is installed, as dpkg or an image without it says.
fn installed(tree: &Tree) -> Result<Vec<InstalledPackage>, ImageFault> {
    let mut files: Vec<RootPath> = Vec::new();
    let parsed = |path: &str| RootPath::parse(path).expect("a constant path");
    files.push(parsed(&format!("{DPKG}/status")));
    let records = tree.children(&parsed(&format!("{DPKG}/status.d")));
    files.extend(records.map(|(path, _)| path.clone()).filter(|path| !path.name().ends_with(b".md5sums")));
    let mut installed = Vec::new();
    for path in files {
        let Some(Kind::File(found)) = tree.get(&path).map(|entry| &entry.kind) else { continue };
        let text = String::from_utf8_lossy(&found.content);
        let failed = |source| ImageFault::Status { file: path.to_string(), source };
        installed.extend(status::installed(&text).map_err(failed)?);
    }
    Ok(installed)
}

fn file(tree: &Tree, path: &str) -> Option<Content> {
    match &tree.get(&RootPath::parse(path).ok()?)?.kind {
        Kind::File(file) => Some(file.content.clone()),
        _ => None,
    }
}

/// The real paths of the lines of a list, each behind `prefix`.
fn paths<'a>(tree: &'a Tree, list: &'a [u8], prefix: &'a [u8]) -> Vec<RootPath> {
    let lines = list.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.filter_map(|line| place(tree, &RootPath::parse([prefix, line].concat()).ok()?)).collect()
}

/// The real paths of a list of sums (deb-md5sums(5)).
fn paths_of_sums(tree: &Tree, md5sums: &[u8]) -> Vec<RootPath> {
    let lines = md5sums.split(|byte| *byte == b'\n');
    let names = lines.filter_map(|line| line.get(32..)?.strip_prefix(b"  "));
    names.flat_map(|name| paths(tree, name, b"/")).collect()
}

#[cfg(test)]
mod tests {
    use rootfs::{Dialect, Layer, Limits};
    use testkit::tar::Tar;

    use super::*;

    const STATUS: &str = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n\
        Package: libyaml\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2\n";

    fn tree(tar: Tar) -> Tree {
        let layer = Layer::parse(Content::from(tar.finish()), Dialect::Oci, Limits::default()).unwrap();
        let mut tree = Tree::new();
        tree.stack(&layer, Origin::default()).unwrap();
        tree
    }

    /// An image whose /lib is a folder, as before merged /usr.
    fn image() -> Tree {
        tree(
            Tar::new()
                .file("var/lib/dpkg/status", STATUS)
                .file("var/lib/dpkg/info/libc6:amd64.list", "/.\n/lib\n/lib/libc.so\n/etc/shared\n")
                .file("var/lib/dpkg/info/libyaml.list", "/usr/lib/libyaml.so\n\n/nowhere/at/all\n")
                .file(
                    "var/lib/dpkg/info/libyaml.md5sums",
                    "d41d8cd98f00b204e9800998ecf8427e  usr/lib/libyaml.so\n",
                )
                .file("lib/libc.so", "of the image")
                .file("lib/own.so", "of nobody")
                .file("etc/shared", "of libc6")
                .file("etc/ld.so.cache", "cache")
                .file("usr/lib/libyaml.so", "yaml")
                .file("usr/local/bin/ruby", "ruby"),
        )
    }

    fn archived(name: &str) -> Package {
        let key = PackageKey { name: name.into(), version: "3".into(), architecture: "amd64".into() };
        Package {
            key,
            source: PackageSource::Archive,
            control: Vec::new(),
            md5sums: Vec::new(),
            records: BTreeMap::new(),
            data: Content::from(Vec::new()),
        }
    }

    /// The files that lie below these packages, each with the package that it is of.
    fn laid(underlay: &Underlay, others: &[Package]) -> Vec<String> {
        let mut packages = others.to_vec();
        packages.extend(underlay.packages_beside(others).cloned());
        let made = Origin(u32::try_from(packages.len()).unwrap());
        let mut merged = tree(Tar::new().folder("usr/lib").symlink("lib", "usr/lib"));
        underlay.lay(&mut merged, &packages, made).unwrap();
        let files = merged.iter().filter(|(_, entry)| !entry.is_directory());
        let listed = files.map(|(path, entry)| match packages.get(entry.origin.0 as usize) {
            Some(package) if entry.origin != Origin::default() || package.source == PackageSource::Image => {
                format!("{path} of {} {}", package.key.name, package.key.version)
            }
            _ => path.to_string(),
        });
        listed.collect()
    }

    #[test]
    fn files_are_of_the_package_that_dpkg_says_and_a_package_of_the_row_replaces_it() {
        let overlook = Overlook { paths: Vec::new(), why: String::new() };
        let underlay = Underlay::of_image(image(), &[overlook]).unwrap();
        insta::assert_snapshot!(laid(&underlay, &[archived("other")]).join("\n"), @"
        /etc/ld.so.cache
        /etc/shared of libc6 1
        /lib
        /usr/lib/libc.so of libc6 1
        /usr/lib/libyaml.so of libyaml 2
        /usr/lib/own.so
        /usr/local/bin/ruby
        ");
        insta::assert_snapshot!(laid(&underlay, &[archived("libc6")]).join("\n"), @"
        /etc/ld.so.cache
        /lib
        /usr/lib/libyaml.so of libyaml 2
        /usr/lib/own.so
        /usr/local/bin/ruby
        ");
    }

    #[test]
    fn an_image_without_dpkg_says_it_below_status_d() {
        let image = tree(
            Tar::new()
                .file("var/lib/dpkg/status.d/base", "Package: base\nArchitecture: all\nVersion: 1\n")
                .file("var/lib/dpkg/status.d/base.md5sums", "d41d8cd98f00b204e9800998ecf8427e  etc/motd\n")
                .file("etc/motd", ""),
        );
        let underlay = Underlay::of_image(image, &[]).unwrap();
        assert_eq!(laid(&underlay, &[archived("other")]), ["/etc/motd of base 1", "/lib"]);
    }

    #[test]
    fn what_dpkg_cannot_know_is_refused() {
        let image =
            tree(Tar::new().file("var/lib/dpkg/status", "Package: ../x\nArchitecture: all\nVersion: 1\n"));
        let error = Underlay::of_image(image, &[]).unwrap_err();
        assert_eq!(error.to_string(), "`/var/lib/dpkg/status` in it cannot be read");
    }
}

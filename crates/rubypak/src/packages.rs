//! Which package gave which file: the databases of dpkg (dpkg(1), `/var/lib/dpkg`), of distroless images (`status.d`), and
//! of apk (`/lib/apk/db/installed`). They are read as text that may be damaged: what cannot be read names nothing.

use std::collections::BTreeMap;

use memchr::memchr;
use rootfs::{Filesystem, Kind, RootPath};

/// A package by its name, with its version where the database has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: Option<String>,
}

/// The packages that gave files, and for each file which of them.
#[derive(Debug, Default)]
pub(crate) struct Owners<'p> {
    pub(crate) packages: Vec<Package>,
    by_path: BTreeMap<&'p RootPath, usize>,
}

impl<'p> Owners<'p> {
    /// Looks for the packages of these files, which are real paths, in whichever databases the root has.
    pub(crate) fn find(filesystem: &dyn Filesystem, files: impl Iterator<Item = &'p RootPath>) -> Self {
        let mut search = Search {
            wanted: files.map(|path| (path.as_bytes(), path)).collect(),
            aliases: aliases(filesystem),
            owners: Self::default(),
        };
        search.dpkg(filesystem);
        search.distroless(filesystem);
        search.apk(filesystem);
        search.owners
    }

    /// The package of a file, by its place among the packages.
    pub(crate) fn of(&self, path: &RootPath) -> Option<usize> {
        self.by_path.get(path).copied()
    }
}

struct Search<'p> {
    wanted: std::collections::HashMap<&'p [u8], &'p RootPath>,
    /// Folders at the top that are links, as `/lib`, and where they lead: packages name files by either.
    aliases: Vec<(Vec<u8>, Vec<u8>)>,
    owners: Owners<'p>,
}

impl<'p> Search<'p> {
    /// The wanted file that a database calls so, be it by the name of a link.
    fn wanted(&self, name: &[u8]) -> Option<&'p RootPath> {
        let direct = self.wanted.get(name).copied();
        direct.or_else(|| {
            let (link, real) = self.aliases.iter().find(|(link, _)| name.starts_with(link))?;
            self.wanted.get([real, &name[link.len()..]].concat().as_slice()).copied()
        })
    }

    fn add(&mut self, package: usize, name: &[u8]) {
        if let Some(path) = self.wanted(name) {
            self.owners.by_path.entry(path).or_insert(package);
        }
    }

    fn package(&mut self, name: String, version: Option<String>) -> usize {
        self.owners.packages.push(Package { name, version });
        self.owners.packages.len() - 1
    }

    /// A list of files for each package, the versions in `status`.
    fn dpkg(&mut self, filesystem: &dyn Filesystem) {
        const LISTS: &str = "/var/lib/dpkg/info";
        let Some(folder) = folder(filesystem, LISTS) else { return };
        let diverted = diversions(text(filesystem, "/var/lib/dpkg/diversions"));
        let mut found = Vec::new();
        for (path, entry) in filesystem.children(&folder) {
            let Some(name) = path.name().strip_suffix(b".list") else { continue };
            let Kind::File(list) = &entry.kind else { continue };
            let name = String::from_utf8_lossy(name.split(|&byte| byte == b':').next().unwrap_or(name));
            let package = self.owners.packages.len();
            let before = self.owners.by_path.len();
            for line in lines(&list.content) {
                let target = diverted.get(line).filter(|(_, by)| *by != name.as_bytes());
                self.add(package, target.map_or(line, |(target, _)| target));
            }
            if self.owners.by_path.len() > before {
                self.package(name.into_owned(), None);
                found.push(package);
            }
        }
        if !found.is_empty() {
            let versions = versions(text(filesystem, "/var/lib/dpkg/status"));
            for package in found {
                let Package { name, version } = &mut self.owners.packages[package];
                *version = versions.get(name.as_bytes()).map(|version| lossy(version));
            }
        }
    }

    /// A file with the fields of each package, and beside it the sums of its files.
    fn distroless(&mut self, filesystem: &dyn Filesystem) {
        let Some(folder) = folder(filesystem, "/var/lib/dpkg/status.d") else { return };
        for (path, entry) in filesystem.children(&folder) {
            let Some(record) = path.as_bytes().strip_suffix(b".md5sums") else { continue };
            let Kind::File(sums) = &entry.kind else { continue };
            let before = self.owners.by_path.len();
            let package = self.owners.packages.len();
            for line in lines(&sums.content) {
                // The sum, two spaces, and the path without its first slash.
                if let Some(name) = line.get(34..) {
                    self.add(package, &[b"/", name].concat());
                }
            }
            if self.owners.by_path.len() > before {
                let fields = filesystem.look_up(record).and_then(|(_, entry)| match &entry.kind {
                    Kind::File(file) => Some(&*file.content),
                    _ => None,
                });
                let known = versions(fields.unwrap_or_default());
                let known =
                    known.first_key_value().map(|(name, version)| (lossy(name), Some(lossy(version))));
                let by_name = || (lossy(record.rsplit(|&byte| byte == b'/').next().unwrap_or(record)), None);
                let (name, version) = known.unwrap_or_else(by_name);
                self.package(name, version);
            }
        }
    }

    /// Paragraphs of lines with a letter each: `P` the package, `V` its version, `F` a folder, `R` a file in it.
    fn apk(&mut self, filesystem: &dyn Filesystem) {
        let database = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];
        let Some(database) =
            database.into_iter().map(|path| text(filesystem, path)).find(|text| !text.is_empty())
        else {
            return;
        };
        let (mut name, mut version, mut folder) = (Vec::new(), None, Vec::new());
        let mut package = None;
        for line in lines(database) {
            match (line.first(), line.get(2..)) {
                (Some(b'P'), Some(value)) => (name, version, package) = (value.to_vec(), None, None),
                (Some(b'V'), Some(value)) => version = Some(lossy(value)),
                (Some(b'F'), Some(b"")) => folder = Vec::new(),
                (Some(b'F'), Some(value)) => folder = [b"/", value].concat(),
                (Some(b'R'), Some(value)) if !name.is_empty() => {
                    let path = [folder.as_slice(), b"/", value].concat();
                    if let Some(path) = self.wanted(&path) {
                        let package =
                            *package.get_or_insert_with(|| self.package(lossy(&name), version.clone()));
                        self.owners.by_path.entry(path).or_insert(package);
                    }
                }
                _ => {}
            }
        }
    }
}

fn aliases(filesystem: &dyn Filesystem) -> Vec<(Vec<u8>, Vec<u8>)> {
    let links = filesystem.children(&RootPath::root());
    let links = links.filter(|(_, entry)| matches!(entry.kind, Kind::Symlink(_)));
    let with_slash = |path: &RootPath| [path.as_bytes(), b"/"].concat();
    links
        .filter_map(|(path, _)| Some((with_slash(path), with_slash(&filesystem.resolve(path).ok()?.path))))
        .collect()
}

fn folder(filesystem: &dyn Filesystem, path: &str) -> Option<RootPath> {
    Some(filesystem.resolve(&RootPath::parse(path).ok()?).ok()?.path)
}

/// The bytes of a file; none where there is none.
fn text<'f>(filesystem: &'f dyn Filesystem, path: &str) -> &'f [u8] {
    let file = folder(filesystem, path).and_then(|path| filesystem.get(&path));
    match file.map(|entry| &entry.kind) {
        Some(Kind::File(file)) => &file.content,
        _ => &[],
    }
}

/// Where files of other packages lie instead: the path that they name, where they lie, and who is not concerned.
fn diversions(text: &[u8]) -> BTreeMap<&[u8], (&[u8], &[u8])> {
    let lines: Vec<_> = lines(text).collect();
    lines.chunks_exact(3).map(|diversion| (diversion[0], (diversion[1], diversion[2]))).collect()
}

/// Package names and versions of paragraphs of fields.
fn versions(text: &[u8]) -> BTreeMap<&[u8], &[u8]> {
    let mut versions = BTreeMap::new();
    let mut name = None;
    for line in lines(text) {
        if let Some(value) = line.strip_prefix(b"Package:") {
            name = Some(value.trim_ascii());
        } else if let Some(value) = line.strip_prefix(b"Version:")
            && let Some(name) = name
        {
            versions.insert(name, value.trim_ascii());
        }
    }
    versions
}

fn lines(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let end = memchr(b'\n', text);
        let line = &text[..end.unwrap_or(text.len())];
        text = &text[end.map_or(text.len(), |end| end + 1)..];
        Some(line)
    })
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use rootfs::{Entry, Metadata, Origin, Tree};

    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new();
        for (path, content) in files {
            let entry = match content.strip_prefix("-> ") {
                Some(target) => Entry::symlink(target, Origin::default()),
                None => Entry::file(Metadata::root(0o644), content.as_bytes().to_vec(), Origin::default()),
            };
            tree.insert(RootPath::parse(path).unwrap(), entry).unwrap();
        }
        tree
    }

    /// `path: package version` for every file that is owned.
    fn owners(files: &[(&str, &str)]) -> Vec<String> {
        let tree = tree(files);
        let paths: Vec<_> = tree.iter().map(|(path, _)| path.clone()).collect();
        let owners = Owners::find(&tree, paths.iter());
        let line = |path: &RootPath| {
            let Package { name, version } = &owners.packages[owners.of(path)?];
            Some(format!("{path}: {name} {}", version.as_deref().unwrap_or("-")))
        };
        paths.iter().filter_map(line).collect()
    }

    #[test]
    fn of_dpkg_with_links_and_diversions() {
        let found = owners(&[
            ("/lib", "-> usr/lib"),
            ("/usr/lib/libc.so.6", ""),
            ("/usr/bin/tool", ""),
            ("/usr/bin/tool.distrib", ""),
            ("/usr/bin/free", ""),
            ("/var/lib/dpkg/info/libc6:amd64.list", "/.\n/lib/libc.so.6\n"),
            ("/var/lib/dpkg/info/tool.list", "/usr/bin/tool\n"),
            ("/var/lib/dpkg/info/other.list", "/usr/bin/tool"),
            ("/var/lib/dpkg/info/none.list", "/usr/bin/elsewhere\n"),
            ("/var/lib/dpkg/diversions", "/usr/bin/tool\n/usr/bin/tool.distrib\nother\n"),
            ("/var/lib/dpkg/status", "Package: libc6\nVersion: 2.41-1\n\nPackage: tool\nVersion: 1:2\n"),
        ]);
        assert_eq!(
            found,
            ["/usr/bin/tool: other -", "/usr/bin/tool.distrib: tool 1:2", "/usr/lib/libc.so.6: libc6 2.41-1"]
        );
    }

    #[test]
    fn of_distroless_images_and_of_apk() {
        let sum = "0123456789abcdef0123456789abcdef";
        let sums = format!("{sum}  usr/lib/libz.so.1\n");
        let found = owners(&[
            ("/usr/lib/libz.so.1", ""),
            ("/var/lib/dpkg/status.d/zlib1g", "Package: zlib1g\nVersion: 1.3\n"),
            ("/var/lib/dpkg/status.d/zlib1g.md5sums", &sums),
        ]);
        assert_eq!(found, ["/usr/lib/libz.so.1: zlib1g 1.3"]);
        let found = owners(&[
            ("/usr/bin/ruby", ""),
            (
                "/lib/apk/db/installed",
                "P:ruby\nV:3.4.1-r0\nF:usr/bin\nR:ruby\nR:irb\n\nP:none\nV:1\nF:usr\nR:x\n",
            ),
        ]);
        assert_eq!(found, ["/usr/bin/ruby: ruby 3.4.1-r0"]);
        assert_eq!(
            owners(&[("/a", ""), ("/lib/apk/db/installed", "P\nV:\nF\nR:\nR:a"), ("/var/lib/dpkg/info", "")])
                .len(),
            0
        );
    }
}

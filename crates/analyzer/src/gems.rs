//! Installed gems: where they are, which there are, and which of their folders `require` looks into.
//!
//! A *home* is a folder that RubyGems installs into, with `gems`, `specifications` and `extensions` below it. A gem is
//! known by its *full name*: name and version, and the platform where it is for one.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use rootfs::{Filesystem, Kind, RootPath};

/// The gems of some homes.
pub(crate) struct Gems {
    /// The full names that are specified, with the gem's home.
    specified: BTreeMap<Vec<u8>, RootPath>,
    /// The folders that `require` looks into, by the first name in them, the newest gem first.
    folders: BTreeMap<Vec<u8>, Vec<RootPath>>,
}

impl Gems {
    /// What is installed in these homes. Of two versions of a gem, a preferred full name comes before the newest.
    pub(crate) fn find(tree: &dyn Filesystem, homes: &[RootPath], preferred: &BTreeSet<Vec<u8>>) -> Self {
        let mut gems = Self { specified: BTreeMap::new(), folders: BTreeMap::new() };
        let mut installed = Vec::new();
        for home in homes {
            for folder in ["specifications", "specifications/default"] {
                for path in children(tree, home, folder) {
                    if let Some(name) = path.name().strip_suffix(b".gemspec") {
                        gems.specified.entry(name.to_vec()).or_insert_with(|| home.clone());
                    }
                }
            }
            installed.extend(children(tree, home, "gems").into_iter().map(|folder| (folder, home)));
            installed.extend(children(tree, home, "bundler/gems").into_iter().map(|folder| (folder, home)));
        }
        let is_preferred = |path: &RootPath| preferred.contains(path.name());
        installed.sort_by(|(a, _), (b, _)| {
            is_preferred(b)
                .cmp(&is_preferred(a))
                .then_with(|| by_version(b.name(), a.name()))
                .then_with(|| a.cmp(b))
        });
        for (gem, home) in installed {
            for folder in load_folders(tree, home, &gem) {
                gems.add(tree, &folder);
            }
        }
        gems
    }

    fn add(&mut self, tree: &dyn Filesystem, folder: &RootPath) {
        for (path, _) in tree.children(folder) {
            let folders = self.folders.entry(without_suffix(path.name()).to_vec()).or_default();
            if folders.last() != Some(folder) {
                folders.push(folder.clone());
            }
        }
    }

    /// The folders that may have a feature.
    pub(crate) fn folders_for(&self, feature: &[u8]) -> &[RootPath] {
        let first = feature.split(|&byte| byte == b'/').next().unwrap_or_default();
        self.folders.get(without_suffix(first)).map(Vec::as_slice).unwrap_or_default()
    }

    /// The home of a gem of this name and version, for whatever platform.
    pub(crate) fn home_of(&self, name: &str, version: &str) -> Option<(&[u8], &RootPath)> {
        let full = format!("{name}-{version}").into_bytes();
        let found = self.specified.range(full.clone()..).next()?;
        let rest = found.0.strip_prefix(full.as_slice())?;
        (rest.is_empty() || rest.starts_with(b"-")).then_some((found.0.as_slice(), found.1))
    }

    /// Whether there is any version of a gem.
    pub(crate) fn has(&self, name: &[u8]) -> bool {
        let start = [name, b"-"].concat();
        let of_name = self.specified.range(start.clone()..).take_while(|(full, _)| full.starts_with(&start));
        of_name.into_iter().any(|(full, _)| full.get(start.len()).is_some_and(u8::is_ascii_digit))
    }
}

/// What a gem's files are: its folder, its specification, what was compiled for it.
pub(crate) fn parts(tree: &dyn Filesystem, home: &RootPath, full_name: &[u8]) -> Vec<RootPath> {
    let own = [("gems", &b""[..]), ("specifications", b".gemspec"), ("specifications/default", b".gemspec")];
    let own = own.into_iter().filter_map(|(folder, suffix)| {
        home.join(folder.as_bytes()).ok()?.join([full_name, suffix].concat()).ok()
    });
    own.chain(extensions(tree, home, full_name)).filter(|path| tree.get(path).is_some()).collect()
}

/// The folders that `require` looks into for one gem: those that its specification names, or else `lib`; and what was
/// compiled for it.
fn load_folders(tree: &dyn Filesystem, home: &RootPath, gem: &RootPath) -> Vec<RootPath> {
    let specification = home
        .join(b"specifications")
        .and_then(|folder| folder.join([gem.name(), b".gemspec"].concat()))
        .ok()
        .and_then(|path| match &tree.get(&path)?.kind {
            Kind::File(file) => Some(require_paths(&file.content)),
            _ => None,
        });
    let names = specification.filter(|names| !names.is_empty()).unwrap_or_else(|| vec![b"lib".to_vec()]);
    let own = names.iter().filter_map(|name| gem.join(name).ok()).filter(|path| tree.get(path).is_some());
    own.chain(extensions(tree, home, gem.name())).collect()
}

/// `extensions/<platform>/<version of Ruby>/<gem>`
fn extensions(tree: &dyn Filesystem, home: &RootPath, full_name: &[u8]) -> Vec<RootPath> {
    let platforms = children(tree, home, "extensions");
    let versions = platforms.iter().flat_map(|platform| children(tree, platform, ""));
    versions
        .filter_map(|version| version.join(full_name).ok())
        .filter(|path| tree.get(path).is_some())
        .collect()
}

/// The texts of `s.require_paths = ["lib".freeze]`, as RubyGems writes specifications.
fn require_paths(specification: &[u8]) -> Vec<Vec<u8>> {
    let Some(at) = memchr::memmem::find(specification, b".require_paths = [") else { return Vec::new() };
    let rest = &specification[at + b".require_paths = [".len()..];
    let list = &rest[..memchr::memchr(b']', rest).unwrap_or(0)];
    let names = list.split(|&byte| byte == b'"').skip(1).step_by(2);
    names.filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect()
}

fn children(tree: &dyn Filesystem, folder: &RootPath, below: &str) -> Vec<RootPath> {
    let folder = if below.is_empty() { Ok(folder.clone()) } else { folder.join(below.as_bytes()) };
    let Ok(folder) = folder else { return Vec::new() };
    if tree.get(&folder).is_none() {
        return Vec::new();
    }
    tree.children(&folder).map(|(path, _)| path.clone()).collect()
}

fn without_suffix(name: &[u8]) -> &[u8] {
    name.strip_suffix(b".rb").or_else(|| name.strip_suffix(b".so")).unwrap_or(name)
}

/// Orders `rack-2.2.10` behind `rack-2.2.9`: numbers by value, the rest by its bytes.
fn by_version(a: &[u8], b: &[u8]) -> Ordering {
    let parts = |name: &[u8]| -> Vec<(Option<u64>, Vec<u8>)> {
        let parts = name.split(|byte| b".-".contains(byte));
        parts
            .map(|part| (std::str::from_utf8(part).ok().and_then(|text| text.parse().ok()), part.to_vec()))
            .collect()
    };
    parts(a).cmp(&parts(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{path, tree};

    #[test]
    fn folders_of_the_newest_or_the_preferred_gem() {
        let tree = tree(&[
            ("/g/gems/rack-2.2.9/lib/rack.rb", ""),
            ("/g/gems/rack-2.2.10/lib/rack/x.rb", ""),
            ("/g/gems/psych-1-x86_64-linux/ext/psych.rb", ""),
            (
                "/g/specifications/psych-1-x86_64-linux.gemspec",
                "  s.require_paths = [\"ext\".freeze, \"none\".freeze]\n",
            ),
            ("/g/extensions/x86_64-linux/3.3.0/psych-1-x86_64-linux/psych.so", ""),
            ("/g/specifications/default/set-1.1.gemspec", ""),
            ("/g/bundler/gems/tool-0123456789ab/lib/tool.rb", ""),
        ]);
        let find = |preferred: &[&str]| {
            let preferred = preferred.iter().map(|name| name.as_bytes().to_vec()).collect();
            Gems::find(&tree, &[path("/g"), path("/none")], &preferred)
        };
        let folders = |gems: &Gems, feature: &str| {
            gems.folders_for(feature.as_bytes()).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let gems = find(&[]);
        assert_eq!(folders(&gems, "rack/x"), ["/g/gems/rack-2.2.10/lib", "/g/gems/rack-2.2.9/lib"]);
        assert_eq!(folders(&find(&["rack-2.2.9"]), "rack")[0], "/g/gems/rack-2.2.9/lib");
        assert_eq!(
            folders(&gems, "psych.so"),
            ["/g/gems/psych-1-x86_64-linux/ext", "/g/extensions/x86_64-linux/3.3.0/psych-1-x86_64-linux"]
        );
        assert_eq!(folders(&gems, "tool"), ["/g/bundler/gems/tool-0123456789ab/lib"]);
        assert_eq!(folders(&gems, "none"), [""; 0]);
        assert!(gems.home_of("set", "1.1").is_some() && gems.home_of("psych", "1").is_some());
        assert!(gems.home_of("set", "1").is_none() && gems.home_of("set", "1.10").is_none());
        assert!(gems.has(b"psych") && !gems.has(b"psy") && !gems.has(b"rack"));
    }

    #[test]
    fn texts_of_require_paths() {
        for (text, wanted) in [
            ("s.require_paths = [\"lib\".freeze, \"ext\"]", &["lib", "ext"][..]),
            ("s.require_paths = []", &[]),
            ("s.require_paths = [\"lib", &[]),
            ("s.require_paths = [\"\"]", &[]),
            ("", &[]),
        ] {
            let found: Vec<_> = require_paths(text.as_bytes());
            assert_eq!(
                found.iter().map(|name| std::str::from_utf8(name).unwrap()).collect::<Vec<_>>(),
                wanted
            );
        }
    }
}

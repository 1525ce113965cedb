//! Globs over the paths of a tree: `*` and `?` stay within one name, `**` does not.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use rootfs::{Filesystem, RootPath};

use crate::request::Drop;
use crate::walk;

const WILDCARDS: [char; 4] = ['*', '?', '[', '{'];

/// Whether a pattern may name more than one path.
pub(crate) fn is_glob(pattern: &str) -> bool {
    pattern.contains(WILDCARDS)
}

/// What a pattern names in a tree.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expansion {
    /// The links in the part before the first wildcard.
    pub(crate) links: Vec<RootPath>,
    /// The paths, in order. For a glob they are real; a pattern without wildcards gives its one path as it is.
    pub(crate) paths: Vec<RootPath>,
}

impl Expansion {
    /// This path, as it is.
    pub(crate) fn of(path: RootPath) -> Self {
        Self { links: Vec::new(), paths: vec![path] }
    }
}

/// Finds what a pattern names; the error says why it is no pattern.
pub(crate) fn expand(tree: &dyn Filesystem, pattern: &str) -> Result<Expansion, String> {
    let Some(wildcard) = pattern.find(WILDCARDS) else {
        let path = RootPath::parse(pattern).map_err(|error| error.to_string())?;
        return Ok(Expansion::of(path));
    };
    // What comes before the first name with a wildcard may lead through links; the rest is matched against real paths.
    let start = pattern[..wildcard].rfind('/').map_or(0, |slash| slash + 1);
    let matcher = glob(&pattern[start..])?.compile_matcher();
    let folder = RootPath::parse(format!("/{}", &pattern[..start])).map_err(|error| error.to_string())?;
    let Ok(folder) = tree.resolve(&folder) else {
        return Ok(Expansion::default());
    };
    let skipped = if folder.path.is_root() { 1 } else { folder.path.as_bytes().len() + 1 };
    let is_named = |path: &RootPath| matcher.is_match(os_path(&path.as_bytes()[skipped..]));
    // Deeper than the pattern nothing matches, unless a wildcard stands for any number of names.
    let rest = &pattern[start..];
    let is_deep = rest.contains("**") || rest.contains('{');
    let names = |text: &[u8]| memchr::memchr_iter(b'/', text).count();
    let enters = |path: &RootPath| is_deep || names(&path.as_bytes()[skipped..]) < names(rest.as_bytes());
    let found = walk::below(tree, &folder.path, enters);
    let mut paths: Vec<RootPath> =
        found.into_iter().filter(|(path, _)| is_named(path)).map(|(path, _)| path.clone()).collect();
    paths.sort_unstable();
    Ok(Expansion { paths, links: folder.links })
}

/// Whether a pattern, as in [`Wanted::Pattern`](crate::Wanted::Pattern), names something in the tree. One that is no glob
/// names nothing.
pub fn matches(tree: &dyn Filesystem, pattern: &str) -> bool {
    let exists = |path: &RootPath| tree.get(path).is_some() || tree.resolve(path).is_ok();
    expand(tree, pattern).is_ok_and(|found| found.paths.iter().any(exists))
}

/// Which drop takes which path: a glob takes what it names, and all below that.
#[derive(Debug)]
pub struct Drops<'r> {
    named: &'r [Drop],
    globs: GlobSet,
    /// For each glob of the set, which drop it belongs to.
    owners: Vec<usize>,
}

/// A pattern that is no glob, and what is wrong with it.
pub type BadPattern = (String, String);

impl<'r> Drops<'r> {
    /// Takes the globs that are some, and gives back those that are none.
    pub fn new(drops: &'r [Drop]) -> (Self, Vec<BadPattern>) {
        let mut set = GlobSetBuilder::new();
        let mut owners = Vec::new();
        let mut bad = Vec::new();
        for (owner, pattern) in
            drops.iter().enumerate().flat_map(|(at, drop)| drop.globs.iter().map(move |glob| (at, glob)))
        {
            let below = format!("{}/**", pattern.trim_end_matches('/'));
            match (glob(pattern), glob(&below)) {
                (Ok(itself), Ok(below)) => {
                    set.add(itself).add(below);
                    owners.extend([owner, owner]);
                }
                (Err(problem), _) | (_, Err(problem)) => bad.push((pattern.clone(), problem)),
            }
        }
        let globs = set.build().unwrap_or_else(|error| {
            bad.push((
                drops.iter().map(|drop| drop.name.as_str()).collect::<Vec<_>>().join(", "),
                error.to_string(),
            ));
            GlobSet::empty()
        });
        (Self { named: drops, globs, owners }, bad)
    }

    /// The index of the first drop that takes a real path.
    pub fn taking(&self, path: &RootPath) -> Option<usize> {
        if self.globs.is_empty() {
            return None;
        }
        self.globs
            .matches(os_path(path.as_bytes()))
            .into_iter()
            .filter_map(|at| self.owners.get(at).copied())
            .min()
    }

    pub(crate) fn name(&self, index: usize) -> &str {
        self.named.get(index).map_or("", |drop| &drop.name)
    }
}

fn glob(pattern: &str) -> Result<Glob, String> {
    GlobBuilder::new(pattern).literal_separator(true).build().map_err(|error| error.kind().to_string())
}

fn os_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{path, tree};

    #[test]
    fn patterns_name_real_paths() {
        let tree =
            tree(&[("/lib", "-> usr/lib"), ("/usr/lib/a/x.so", ""), ("/usr/lib/b.so", ""), ("/b.so", "")]);
        for (pattern, wanted) in [
            ("/usr/lib/*.so", &["/usr/lib/b.so"][..]),
            ("/usr/lib/**/*.so", &["/usr/lib/a/x.so", "/usr/lib/b.so"]),
            ("/lib/*.so", &["/usr/lib/b.so"]),
            ("/*.so", &["/b.so"]),
            ("*.so", &["/b.so"]),
            ("/usr/*", &["/usr/lib"]),
            ("/usr/lib/?.{so,a}", &["/usr/lib/b.so"]),
            ("/none/*", &[]),
            ("/lib/none", &["/lib/none"]),
        ] {
            let wanted: Vec<_> = wanted.iter().map(|text| path(text)).collect();
            let links = if pattern.starts_with("/lib/*") { vec![path("/lib")] } else { Vec::new() };
            assert_eq!(expand(&tree, pattern), Ok(Expansion { links, paths: wanted }), "{pattern}");
        }
        for pattern in ["/usr/[", "/usr/../lib", "", "/../*"] {
            assert!(expand(&tree, pattern).is_err(), "{pattern}");
            assert!(!matches(&tree, pattern), "{pattern}");
        }
        for (pattern, wanted) in
            [("/lib/b.so", true), ("/lib", true), ("/lib/none", false), ("/usr/*/b.*", true)]
        {
            assert_eq!(matches(&tree, pattern), wanted, "{pattern}");
        }
    }

    #[test]
    fn the_first_drop_takes_a_path_with_all_below() {
        let drop = |name: &str, globs: &[&str]| Drop {
            name: name.into(),
            globs: globs.iter().map(|&glob| glob.into()).collect(),
            reason: String::new(),
        };
        let drops = [
            drop("one", &["/usr/share/doc"]),
            drop("two", &["/usr/lib/ruby/gems/*/gems/debug-*", "/usr/share/**"]),
            drop("bad", &["/usr/["]),
        ];
        let (drops, bad) = Drops::new(&drops);
        for (text, wanted) in [
            ("/usr/share/doc", Some(0)),
            ("/usr/share/doc/ruby/copyright", Some(0)),
            ("/usr/share/man", Some(1)),
            ("/usr/share", None),
            ("/usr/lib/ruby/gems/3.3.0/gems/debug-1.9.2", Some(1)),
            ("/usr/lib/ruby/gems/3.3.0/gems/debug-1.9.2/lib/debug.rb", Some(1)),
            ("/usr/lib/ruby/gems/3.3.0/extra/gems/debug-1.9.2", None),
        ] {
            assert_eq!(drops.taking(&path(text)), wanted, "{text}");
        }
        assert_eq!(drops.name(0), "one");
        assert_eq!(bad.len(), 1);
        assert_eq!(bad[0].0, "/usr/[");
    }
}

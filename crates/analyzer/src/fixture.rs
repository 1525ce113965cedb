//! Trees for the tests of this crate, written as listings: a path, and its content or `-> target`.

use rootfs::{Entry, Metadata, Origin, RootPath, Tree};

use crate::{Closure, Request, Root, analyze};

/// The smallest rbconfig.rb that is a Ruby for the closure of its place, which stands beside it.
pub(crate) const RBCONFIG: (&str, &str) =
    ("/ruby/rbconfig.rb", "CONFIG[\"ruby_version\"] = \"3.3.0\"\nCONFIG[\"rubyarchdir\"] = \"/ruby\"\n");

/// A path known to be one.
pub(crate) fn path(text: &str) -> RootPath {
    RootPath::parse(text).unwrap()
}

/// A tree of executable files and links. A path with a slash at its end is a folder.
pub(crate) fn tree<C: AsRef<[u8]>>(listing: &[(&str, C)]) -> Tree {
    let mut tree = Tree::new();
    for (at, content) in listing {
        let content = content.as_ref();
        let entry = match content.strip_prefix(b"-> ") {
            Some(target) => Entry::symlink(target, Origin::default()),
            None if at.ends_with('/') => Entry::directory(Metadata::root(0o755), Origin::default()),
            None => Entry::file(Metadata::root(0o755), content.to_vec(), Origin::default()),
        };
        tree.insert(path(at), entry).unwrap();
    }
    tree
}

/// The closure of these roots as a listing: each path with each of its reasons, then the findings.
pub(crate) fn closure_of(tree: &Tree, patterns: &[&str]) -> Vec<String> {
    let roots = patterns.iter().map(|pattern| Root::pattern(*pattern, "wanted")).collect();
    let request = Request { roots, ..Request::default() };
    listing(&analyze(tree, &request))
}

/// A closure as a listing.
pub(crate) fn listing(closure: &Closure) -> Vec<String> {
    let entries = closure.entries.iter();
    let lines =
        entries.flat_map(|(path, reasons)| reasons.iter().map(move |reason| format!("{path}: {reason}")));
    lines.chain(closure.findings.iter().map(|finding| format!("! {finding}"))).collect()
}

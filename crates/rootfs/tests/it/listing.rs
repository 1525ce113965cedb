//! A tree as text that reads like a directory listing, and short ways to make one.

use std::collections::HashMap;

use rootfs::{Content, Dialect, Kind, Layer, Limits, Origin, RootPath, StackError, TarError, Tree};
use testkit::tar::Tar;

pub(crate) fn path(text: &str) -> RootPath {
    RootPath::parse(text).unwrap()
}

pub(crate) fn parse(tar: Tar, dialect: Dialect) -> Result<Layer, TarError> {
    Layer::parse(Content::from(tar.finish()), dialect, Limits::default())
}

/// The tars stacked, each with its number as origin.
pub(crate) fn stacked(dialect: Dialect, tars: impl IntoIterator<Item = Tar>) -> Result<Tree, StackError> {
    let mut tree = Tree::new();
    for (number, tar) in (0..).zip(tars) {
        tree.stack(&parse(tar, dialect).unwrap(), Origin(number))?;
    }
    Ok(tree)
}

/// One line for each entry: path, kind, mode and content or target. A hard link names the first path of its file.
pub(crate) fn listing(tree: &Tree) -> Vec<String> {
    let mut first = HashMap::new();
    let mut line = |path: &RootPath, kind: &Kind, mode: u32| match kind {
        Kind::Directory => format!("{path}/ {mode:04o}"),
        Kind::Symlink(target) => format!("{path} -> {}", target.escape_ascii()),
        Kind::File(file) => {
            if let Some(first) = first.get(&file.inode) {
                return format!("{path} = {first}");
            }
            first.insert(file.inode, path.clone());
            format!("{path} {mode:04o} {}", file.content.escape_ascii())
        }
    };
    tree.iter().map(|(path, entry)| line(path, &entry.kind, entry.metadata.mode)).collect()
}

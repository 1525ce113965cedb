//! `--minus`: what a base image has already, and so is left out of the result.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;
use fs_err as fs;
use rootfs::{Entry, Filesystem, Kind, LiveRoot, RootPath};

/// What base images have.
#[derive(Default)]
pub(crate) struct Bases {
    folders: Vec<LiveRoot>,
    listed: BTreeSet<RootPath>,
}

impl Bases {
    /// Reads each: a folder is the root of a base image, a file lists paths.
    pub(crate) fn read(sources: &[impl AsRef<Path>]) -> anyhow::Result<Self> {
        let mut bases = Self::default();
        for source in sources {
            let source = source.as_ref();
            if source.is_dir() {
                bases.folders.push(LiveRoot::open(source).context("cannot read a base")?);
            } else {
                let list = fs::read(source).context("cannot read a list of what the base has")?;
                bases.listed.extend(paths_of(&list).with_context(|| {
                    format!("cannot read the list of what the base has in {}", source.display())
                })?);
            }
        }
        Ok(bases)
    }

    /// Whether a base has the entry: one of the same name, and in a folder with the same content.
    pub(crate) fn have(&self, path: &RootPath, entry: &Entry) -> bool {
        self.listed.contains(path)
            || self.folders.iter().any(|base| find(base, path).is_some_and(|found| is_same(found, entry)))
    }

    /// Whether a base has anything at the path.
    pub(crate) fn have_path(&self, path: &RootPath) -> bool {
        self.listed.contains(path) || self.folders.iter().any(|base| base.resolve(path).is_ok())
    }
}

/// The entry at a path whose folders may be links.
fn find<'b>(base: &'b LiveRoot, path: &RootPath) -> Option<&'b Entry> {
    let folder = base.resolve(&path.parent()?).ok()?.path;
    base.get(&folder.join(path.name()).ok()?)
}

/// Owners, rights and times may differ: an image is built on another machine.
fn is_same(found: &Entry, entry: &Entry) -> bool {
    match (&found.kind, &entry.kind) {
        (Kind::Directory, Kind::Directory) => true,
        (Kind::File(found), Kind::File(file)) => found.content == file.content,
        (Kind::Symlink(found), Kind::Symlink(target)) => found == target,
        _ => false,
    }
}

/// One path a line; empty lines and those that start with `#` are none.
fn paths_of(list: &[u8]) -> anyhow::Result<BTreeSet<RootPath>> {
    let lines = list.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    lines.map(|line| Ok(RootPath::parse(line)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_a_path_a_line() {
        let paths = paths_of(b"# of the base\n/usr/lib\n\nusr/bin/\xff\r\n").unwrap();
        let wanted = [b"/usr/bin/\xff".as_slice(), b"/usr/lib"].map(|path| RootPath::parse(path).unwrap());
        assert!(paths.into_iter().eq(wanted));
        assert!(paths_of(b"/usr/../lib").is_err());
    }
}

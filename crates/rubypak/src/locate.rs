//! What people call files, in terms of the root filesystem: a path as they write it, a glob, or a program's name.

use analyzer::Wanted;
use anyhow::{Context, bail};
use rootfs::{Filesystem, Kind, RootPath};

use crate::ending::Advice;

/// What makes a text a glob.
pub(crate) const WILDCARDS: [char; 4] = ['*', '?', '[', '{'];

/// How texts are read.
pub(crate) struct Locator<'a> {
    pub(crate) filesystem: &'a dyn Filesystem,
    /// The folder that relative paths start at.
    pub(crate) folder: RootPath,
    /// The folders in which a program is looked up.
    pub(crate) search_path: &'a [RootPath],
}

impl Locator<'_> {
    /// A root: a path, a glob, or a bare name, which is that of a program, or else of something in the current folder.
    /// What is there under the very name is meant, be there wildcards in it or not.
    pub(crate) fn root(&self, text: &[u8]) -> anyhow::Result<Wanted> {
        let is_bare = !text.contains(&b'/') && !is_glob(text);
        match std::str::from_utf8(text) {
            Ok(name) if is_bare && self.is_program(text) => Ok(Wanted::Pattern(name.to_owned())),
            _ => self.files(text),
        }
    }

    /// Files by path or glob.
    pub(crate) fn files(&self, text: &[u8]) -> anyhow::Result<Wanted> {
        let path = self.path(text)?;
        if !is_glob(text) || self.exists(&path) {
            return Ok(Wanted::Path(path));
        }
        let glob = String::from_utf8(path.as_bytes().to_vec())
            .with_context(|| format!("cannot read the glob {path}: it is not UTF-8"))?;
        Ok(Wanted::Pattern(glob))
    }

    /// A path, absolute or from the folder on. A `..` leads out of where the links before it lead.
    pub(crate) fn path(&self, text: &[u8]) -> anyhow::Result<RootPath> {
        if text.is_empty() {
            bail!(Advice {
                problem: "a word that should name a file is empty".to_owned(),
                hint: "a command that should have given a path may have found nothing; `/` means everything"
                    .to_owned(),
            });
        }
        let mut path = if text.starts_with(b"/") { RootPath::root() } else { self.folder.clone() };
        for name in text.split(|&byte| byte == b'/') {
            path = match name {
                b"" | b"." => path,
                b".." => {
                    let real = self.filesystem.resolve(&path).map_or(path, |resolved| resolved.path);
                    real.parent().unwrap_or(real)
                }
                name => path.join(name)?,
            };
        }
        Ok(path)
    }

    /// The file that a root leads to, where it is one.
    pub(crate) fn file(&self, wanted: &Wanted) -> Option<RootPath> {
        match wanted {
            Wanted::Path(path) | Wanted::Alone(path) => Some(path.clone()),
            Wanted::Pattern(name) => self.program(name.as_bytes()),
        }
    }

    fn is_program(&self, name: &[u8]) -> bool {
        self.program(name).is_some()
    }

    fn program(&self, name: &[u8]) -> Option<RootPath> {
        let mut places = self.search_path.iter().filter_map(|folder| folder.join(name).ok());
        places.find(|path| {
            let found = self.filesystem.resolve(path).ok().and_then(|real| self.filesystem.get(&real.path));
            found.is_some_and(|entry| matches!(entry.kind, Kind::File(_)))
        })
    }

    fn exists(&self, path: &RootPath) -> bool {
        self.filesystem.get(path).is_some() || self.filesystem.resolve(path).is_ok()
    }
}

fn is_glob(text: &[u8]) -> bool {
    text.iter().any(|byte| WILDCARDS.contains(&char::from(*byte)))
}

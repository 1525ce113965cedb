//! What every rule may look at: the root filesystem, the drops, the library search, and the Rubies found so far.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use rootfs::{Filesystem, Kind, Resolved, RootPath};

use crate::load::Load;
use crate::memo::{Memo, remember};
use crate::pattern::Drops;
use crate::ruby::{self, Ruby};
use crate::ruby_source::{self, Source};
use crate::search::Search;
use crate::shebang;

/// What every rule may look at.
pub(crate) struct Scope<'t> {
    pub(crate) tree: &'t dyn Filesystem,
    pub(crate) drops: Drops<'t>,
    pub(crate) search: Search<'t>,
    /// The programs whose commands come along, where they are Rubies.
    pub(crate) commanding: BTreeSet<RootPath>,
    /// Where programs are looked up by name.
    search_path: &'t [RootPath],
    programs: Memo<RootPath, Arc<Load<'t>>>,
    rubies: Memo<RootPath, Option<Arc<Ruby>>>,
    rubies_near: Memo<RootPath, Arc<[Arc<Ruby>]>>,
    sources: Memo<RootPath, Arc<Source>>,
}

impl<'t> Scope<'t> {
    pub(crate) fn new(tree: &'t dyn Filesystem, drops: Drops<'t>, search_path: &'t [RootPath]) -> Self {
        Self {
            tree,
            drops,
            search: Search::new(tree),
            commanding: BTreeSet::new(),
            search_path,
            programs: Mutex::default(),
            rubies: Mutex::default(),
            rubies_near: Mutex::default(),
            sources: Mutex::default(),
        }
    }

    /// What is loaded by the time that a program opens objects itself.
    pub(crate) fn program(&self, path: &RootPath) -> Arc<Load<'t>> {
        remember(&self.programs, path, || Arc::new(Load::program(self, path)))
    }

    /// The Ruby whose `rbconfig.rb` a path is.
    pub(crate) fn ruby(&self, rbconfig: &RootPath) -> Option<Arc<Ruby>> {
        remember(&self.rubies, rbconfig, || ruby::read(self.tree, rbconfig).map(Arc::new))
    }

    /// The Rubies that may have their program or their library in a folder.
    pub(crate) fn rubies_near(&self, folder: &RootPath) -> Arc<[Arc<Ruby>]> {
        remember(&self.rubies_near, folder, || {
            ruby::rbconfigs_near(self.tree, folder).iter().filter_map(|path| self.ruby(path)).collect()
        })
    }

    /// What a Ruby source names, read once.
    pub(crate) fn source(&self, path: &RootPath, content: &[u8]) -> Arc<Source> {
        remember(&self.sources, path, || Arc::new(ruby_source::read(content)))
    }

    /// The Ruby that runs a script: the one of its first line, or the one that is found by its name.
    pub(crate) fn interpreter(&self, script: &[u8]) -> Option<RootPath> {
        let named = shebang::parse(script).and_then(|shebang| match shebang.program {
            Some(program) => self.find_program(program),
            None => RootPath::parse(shebang.interpreter).ok(),
        });
        let path = named.or_else(|| self.find_program(b"ruby"))?;
        Some(self.tree.resolve(&path).ok()?.path)
    }

    /// The commands that come with a Ruby, where the search path has them and where it is that Ruby that runs them.
    pub(crate) fn commands_of(&self, ruby: &Ruby) -> Vec<Resolved> {
        let Some(program) = &ruby.program else { return Vec::new() };
        // As Debian calls them: `gem3.3` is that of `ruby3.3`.
        let version = program.name().strip_prefix(b"ruby").unwrap_or_default();
        let names = ruby::COMMANDS
            .iter()
            .flat_map(|name| [name.as_bytes().to_vec(), [name.as_bytes(), version].concat()]);
        let names: BTreeSet<Vec<u8>> = names.collect();
        let places =
            self.search_path.iter().flat_map(|folder| names.iter().filter_map(|name| folder.join(name).ok()));
        let is_run_by_it = |found: &Resolved| match self.tree.get(&found.path).map(|entry| &entry.kind) {
            Some(Kind::File(file)) => {
                file.content.starts_with(b"#!") && self.interpreter(&file.content).as_ref() == Some(program)
            }
            _ => false,
        };
        places.filter_map(|path| self.tree.resolve(&path).ok()).filter(is_run_by_it).collect()
    }

    /// The path of the first program of this name in the search path.
    pub(crate) fn find_program(&self, name: &[u8]) -> Option<RootPath> {
        self.search_path.iter().filter_map(|folder| folder.join(name).ok()).find(|path| {
            let found = self.tree.resolve(path).ok().and_then(|found| self.tree.get(&found.path));
            found.is_some_and(|entry| matches!(entry.kind, Kind::File(_)) && entry.metadata.mode & 0o111 != 0)
        })
    }
}

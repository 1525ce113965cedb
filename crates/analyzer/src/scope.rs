//! What every rule may look at: the root filesystem, the drops, the library search, and the Rubies found so far.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rootfs::{Filesystem, Kind, RootPath};

use crate::load::Load;
use crate::pattern::Drops;
use crate::ruby::{self, Ruby};
use crate::search::Search;

/// What every rule may look at.
pub(crate) struct Scope<'t> {
    pub(crate) tree: &'t dyn Filesystem,
    pub(crate) drops: Drops<'t>,
    pub(crate) search: Search<'t>,
    /// Where programs are looked up by name.
    search_path: &'t [RootPath],
    programs: Memo<Arc<Load>>,
    rubies: Memo<Option<Arc<Ruby>>>,
    rubies_near: Memo<Arc<[Arc<Ruby>]>>,
}

/// What is known of paths that were asked for.
type Memo<T> = Mutex<HashMap<RootPath, T>>;

impl<'t> Scope<'t> {
    pub(crate) fn new(tree: &'t dyn Filesystem, drops: Drops<'t>, search_path: &'t [RootPath]) -> Self {
        Self {
            tree,
            drops,
            search: Search::new(tree),
            search_path,
            programs: Mutex::default(),
            rubies: Mutex::default(),
            rubies_near: Mutex::default(),
        }
    }

    /// What is loaded by the time that a program opens objects itself.
    pub(crate) fn program(&self, path: &RootPath) -> Arc<Load> {
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

    /// The path of the first program of this name in the search path.
    pub(crate) fn find_program(&self, name: &[u8]) -> Option<RootPath> {
        self.search_path.iter().filter_map(|folder| folder.join(name).ok()).find(|path| {
            let found = self.tree.resolve(path).ok().and_then(|found| self.tree.get(&found.path));
            found.is_some_and(|entry| matches!(entry.kind, Kind::File(_)) && entry.metadata.mode & 0o111 != 0)
        })
    }
}

/// The answer for a path, found once. Nobody waits for another's question: where two ask at once, both find the same.
fn remember<T: Clone>(memo: &Memo<T>, path: &RootPath, find: impl FnOnce() -> T) -> T {
    let lock = || memo.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = lock().get(path) {
        return known.clone();
    }
    let found = find();
    lock().entry(path.clone()).or_insert(found).clone()
}

//! What every rule may look at: the tree, the drops, the library search and the Rubies of the tree.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rootfs::{RootPath, Tree};

use crate::engine::Strength;
use crate::load::Load;
use crate::pattern::Drops;
use crate::ruby::{self, Ruby};
use crate::search::Search;

/// What every rule may look at.
pub(crate) struct Scope<'t> {
    pub(crate) tree: &'t Tree,
    pub(crate) drops: Drops<'t>,
    pub(crate) search: Search<'t>,
    pub(crate) rubies: Vec<Ruby>,
    programs: Mutex<HashMap<RootPath, Arc<Load>>>,
}

impl<'t> Scope<'t> {
    pub(crate) fn new(tree: &'t Tree, drops: Drops<'t>) -> Self {
        let rubies = ruby::find(tree);
        Self { tree, drops, search: Search::new(tree), rubies, programs: Mutex::default() }
    }

    /// How strong a need is of data that a Ruby goes wrong without, silently: of no matter where there is no Ruby.
    pub(crate) fn strength_for_ruby(&self) -> Strength {
        if self.rubies.is_empty() { Strength::Soft } else { Strength::Hard }
    }

    /// What is loaded by the time that a program opens objects itself.
    pub(crate) fn program(&self, path: &RootPath) -> Arc<Load> {
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(programs.entry(path.clone()).or_insert_with(|| Arc::new(Load::program(self, path))))
    }
}

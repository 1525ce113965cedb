//! What is built when: a Ruby that has to be compiled takes minutes, so every image that does not wait for one is built,
//! named and checked meanwhile.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use oci::Layout;
use schema::lock::Lock;
use schema::run::CheckRecord;

use crate::assemble::Placed;
use crate::build::Built;
use crate::check::{Emulated, EngineKind};
use crate::observer::{Event, Observer};
use crate::plan::Target;
use crate::{BuildError, Builder};

/// What came of targets, in their order.
#[derive(Debug)]
pub struct Outcome {
    /// The images.
    pub built: Vec<Built>,
    /// How the checks of each ended, where they were run.
    pub checks: Option<Vec<Vec<CheckRecord>>>,
}

/// What a build is done with.
struct Round<'a> {
    layout: &'a Layout,
    /// What of it was read already.
    placed: &'a Placed,
    lock: &'a Lock,
    /// What runs checks, where they are wanted.
    engine: Option<(EngineKind, Emulated)>,
    observer: &'a dyn Observer,
}

impl Builder {
    /// Builds targets that are not built yet, in parallel, names all of them in the layout, and runs their checks where an
    /// engine is given for that. Names that the matrix does not give any more go when the whole matrix is built.
    ///
    /// # Errors
    /// The first target, by the order given, that cannot be built, or whose checks cannot run. No image has a new name
    /// then, but those that a compile kept nobody from building.
    pub fn build(
        &mut self,
        targets: &[Target],
        engine: Option<(EngineKind, Emulated)>,
        observer: &dyn Observer,
    ) -> Result<Outcome, BuildError> {
        let layout = Layout::create(&self.options.dist.join("oci"))?;
        let mut again = false;
        loop {
            let lock = self.locked(targets, observer)?;
            let placed = Placed::default();
            let round = Round { layout: &layout, placed: &placed, lock: &lock, engine, observer };
            let outcome = self.in_rounds(&round, targets);
            // What has no name is of an image that was replaced, or of one that failed half-way.
            let swept = layout.remove_unreferenced();
            match outcome {
                Err(error) if error.is_gone() && self.may_resolve() && !again => {
                    again = true;
                    self.resolve_again(observer)?;
                }
                Err(error) => return Err(error),
                Ok(outcome) => {
                    swept?;
                    self.store.keep_digests()?;
                    return Ok(outcome);
                }
            }
        }
    }

    fn in_rounds(&self, round: &Round<'_>, targets: &[Target]) -> Result<Outcome, BuildError> {
        let Round { lock, engine, observer, .. } = *round;
        let waiting = self.waiting(round, targets)?;
        let (mut ready, mut late) = (Vec::new(), Vec::new());
        for (position, target) in targets.iter().enumerate() {
            if waiting.contains(&position) { &mut late } else { &mut ready }.push(target.clone());
        }
        if late.is_empty() {
            return self.round(round, targets, targets);
        }
        let recipes = self.recipes(lock, &late)?;
        // One after another: each takes all processors.
        let stop = AtomicBool::new(false);
        let compile =
            || recipes.values().try_for_each(|recipe| self.compiled(lock, recipe, &stop, observer).map(drop));
        let (first, compiled) = std::thread::scope(|scope| {
            let compiling = scope.spawn(compile);
            let first = if ready.is_empty() { None } else { Some(self.round(round, &ready, &ready)) };
            // Who waits for an error does not wait for a compiler.
            stop.store(first.as_ref().is_some_and(Result::is_err), Ordering::Relaxed);
            (first, compiling.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        let first = first.transpose()?.and_then(|first| first.checks);
        compiled?;
        let Outcome { built, checks } = self.round(round, targets, &late)?;
        // In the order of the targets again.
        let (mut first, mut second) = (first.into_iter().flatten(), checks.into_iter().flatten());
        let checks = engine.map(|_| {
            let of = |position| if waiting.contains(&position) { second.next() } else { first.next() };
            (0..targets.len()).filter_map(of).collect()
        });
        Ok(Outcome { built, checks })
    }

    /// The places of the targets whose Ruby has to be compiled first.
    fn waiting(
        &self,
        Round { layout, placed, lock, .. }: &Round<'_>,
        targets: &[Target],
    ) -> Result<BTreeSet<usize>, BuildError> {
        // All variants of a row have the same Ruby, and to see whether it is there whole, it is read.
        let mut compiled = BTreeMap::new();
        let mut waiting = BTreeSet::new();
        for (position, target) in targets.iter().enumerate() {
            let Some(recipe) = self.recipe(lock, target)? else { continue };
            if self.known(layout, placed, lock, target)?.is_some() {
                continue;
            }
            let is_compiled = match compiled.entry(recipe.digest()) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(unknown) => *unknown.insert(self.is_compiled(&recipe)?),
            };
            if !is_compiled {
                waiting.insert(position);
            }
        }
        Ok(waiting)
    }

    /// Builds targets, and tells of some of them and checks these.
    fn round(&self, round: &Round<'_>, targets: &[Target], told: &[Target]) -> Result<Outcome, BuildError> {
        let Round { layout, placed, lock, engine, observer } = *round;
        let built = self.build_locked(layout, placed, lock, targets, observer)?;
        let mut to_check = Vec::new();
        for (target, (Built { record, .. }, unchanged)) in targets.iter().zip(&built) {
            if !told.contains(target) {
                continue;
            }
            observer.observe(&Event::Built {
                image: &target.to_string(),
                manifest: record.manifest,
                disk: record.disk,
                pull: record.pull,
                zstd: record.zstd,
                undecided: record.undecided.len(),
                unchanged: *unchanged,
            });
        }
        for (target, (built, _)) in targets.iter().zip(&built) {
            if told.contains(target) {
                to_check.push(built.clone());
            }
        }
        let checks = engine
            .map(|(engine, emulated)| self.check(told, &to_check, engine, emulated, observer))
            .transpose()?;
        Ok(Outcome { built: built.into_iter().map(|(built, _)| built).collect(), checks })
    }
}

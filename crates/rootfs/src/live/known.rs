//! What has been looked up in a root on a disk: a map that only grows, so that what is in it can be lent out while others
//! add to it.
//!
//! A slot is filled once and never emptied. The hash of a path leads from slot to slot, a few bits at a time, to the one
//! that has the path, or to an empty one.

use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};

use foldhash::fast::RandomState;

use crate::entry::Entry;
use crate::live::Found;
use crate::path::RootPath;

/// How many bits of a hash choose the first slot: enough for what one program needs.
const FIRST_BITS: u32 = 10;
/// How many bits choose each further one.
const BITS: u32 = 2;

/// Paths that were looked up, with what is there.
pub(super) struct Known {
    hasher: RandomState,
    first: Box<[Slot]>,
}

/// One path that was looked up.
pub(super) struct Node {
    pub(super) path: RootPath,
    /// What is there; `None` where nothing is.
    pub(super) found: Option<Found>,
    hash: u64,
    further: [Slot; 1 << BITS],
}

type Slot = OnceLock<Arc<Node>>;

impl Node {
    /// The path with its entry, where something is there.
    pub(super) fn there(&self) -> Option<(&RootPath, &Entry)> {
        Some((&self.path, &self.found.as_ref()?.entry))
    }
}

impl Known {
    pub(super) fn new() -> Self {
        let first = std::iter::repeat_with(Slot::new).take(1 << FIRST_BITS).collect();
        Self { hasher: RandomState::default(), first }
    }

    pub(super) fn get(&self, path: &[u8]) -> Option<&Arc<Node>> {
        self.slot(self.hasher.hash_one(path), path).get()
    }

    /// Puts in what was found at a path, unless somebody else has done so before; gives back what counts.
    pub(super) fn insert(&self, path: RootPath, found: Option<Found>) -> &Arc<Node> {
        let hash = self.hasher.hash_one(path.as_bytes());
        let mut node = Arc::new(Node { path, found, hash, further: Default::default() });
        loop {
            // Between the look for an empty slot and the filling of it, another path may have taken it.
            let slot = self.slot(hash, node.path.as_bytes());
            match slot.get() {
                Some(known) => return known,
                None => match slot.set(node) {
                    Ok(()) => return slot.get().expect("a slot that was just filled"),
                    Err(refused) => node = refused,
                },
            }
        }
    }

    /// The slot that has the path with this hash, or the empty one where it belongs.
    fn slot(&self, hash: u64, path: &[u8]) -> &Slot {
        let mut rest = hash;
        let mut slots = &*self.first;
        let mut bits = FIRST_BITS;
        loop {
            let mask = (1 << bits) - 1;
            let slot = &slots[usize::try_from(rest & mask).unwrap_or_default()];
            match slot.get() {
                Some(node) if node.hash != hash || node.path.as_bytes() != path => slots = &node.further,
                _ => return slot,
            }
            rest >>= bits;
            bits = BITS;
        }
    }
}

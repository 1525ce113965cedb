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
        self.seek(self.hasher.hash_one(path), path).ok()
    }

    /// Puts in what was found at a path, unless somebody else has done so before; gives back what counts.
    pub(super) fn insert(&self, path: RootPath, found: Option<Found>) -> &Arc<Node> {
        let hash = self.hasher.hash_one(path.as_bytes());
        let mut node = Arc::new(Node { path, found, hash, further: Default::default() });
        loop {
            match self.seek(hash, node.path.as_bytes()) {
                Ok(known) => return known,
                Err(slot) => match slot.set(node) {
                    Ok(()) => return slot.get().expect("a slot that was just filled"),
                    // Another path, or this one, has taken it meanwhile.
                    Err(refused) => node = refused,
                },
            }
        }
    }

    /// The path with this hash, or the slot where it belongs, which was empty. Each slot is looked at once: who looks again may
    /// find another path in it.
    fn seek(&self, hash: u64, path: &[u8]) -> Result<&Arc<Node>, &Slot> {
        let mut rest = hash;
        let mut slots = &*self.first;
        let mut bits = FIRST_BITS;
        loop {
            let mask = (1 << bits) - 1;
            let slot = &slots[usize::try_from(rest & mask).unwrap_or_default()];
            match slot.get() {
                None => return Err(slot),
                Some(node) if node.hash == hash && node.path.as_bytes() == path => return Ok(node),
                Some(node) => slots = &node.further,
            }
            rest >>= bits;
            bits = BITS;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn each_path_is_its_own_however_many_put_theirs_in_at_once() {
        const THREADS: usize = 8;
        for _ in 0..20 {
            let (known, start) = (Known::new(), Barrier::new(THREADS));
            thread::scope(|scope| {
                for thread in 0..THREADS {
                    let (known, start) = (&known, &start);
                    scope.spawn(move || {
                        start.wait();
                        for number in 0..2_000 {
                            // Half of them are everybody's.
                            let owner = thread * (number % 2);
                            let path = RootPath::parse(format!("/{owner}/{number}")).unwrap();
                            assert_eq!(known.insert(path.clone(), None).path, path);
                            assert_eq!(known.get(path.as_bytes()).unwrap().path, path);
                        }
                    });
                }
            });
        }
    }
}

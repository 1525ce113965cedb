//! What has been looked up in a root on a disk: it only grows, so that what is in it can be lent out while others add to it.
//!
//! Nodes stand one behind the other, in the order in which they came, and never move. An index says where the node of a
//! path stands; it is in parts, and whoever asks locks one of them for a moment.

use std::array;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::entry::Entry;
use crate::live::Found;
use crate::path::RootPath;

/// How many parts the index has: threads that ask at once seldom meet in one.
const PARTS: usize = 64;
/// How many paths a part has room for at first: together as many as a language with its libraries has files.
const ROOM: usize = 56;

/// Paths that were looked up, with what is there.
pub(super) struct Known {
    hasher: RandomState,
    nodes: boxcar::Vec<Node>,
    index: [Mutex<HashTable<Place>>; PARTS],
}

/// One path that was looked up.
pub(super) struct Node {
    pub(super) path: RootPath,
    /// What is there; `None` where nothing is.
    pub(super) found: Option<Found>,
    pub(super) place: Place,
}

/// Where a node stands among all.
#[derive(Clone, Copy)]
pub(super) struct Place(u32);

impl Node {
    /// The path with its entry, where something is there.
    pub(super) fn there(&self) -> Option<(&RootPath, &Entry)> {
        Some((&self.path, &self.found.as_ref()?.entry))
    }
}

impl Known {
    pub(super) fn new() -> Self {
        let index = array::from_fn(|_| Mutex::new(HashTable::with_capacity(ROOM)));
        Self { hasher: RandomState::default(), nodes: boxcar::Vec::new(), index }
    }

    pub(super) fn get(&self, path: &[u8]) -> Option<&Node> {
        let hash = self.hasher.hash_one(path);
        let place = *self.part(hash).find(hash, |&place| self.at(place).path.as_bytes() == path)?;
        Some(self.at(place))
    }

    /// Puts in what was found at a path, unless somebody else has done so before; gives back what counts.
    pub(super) fn insert(&self, path: RootPath, found: Option<Found>) -> &Node {
        let hash = self.hasher.hash_one(path.as_bytes());
        let mut part = self.part(hash);
        if let Some(&known) = part.find(hash, |&place| self.at(place).path == path) {
            return self.at(known);
        }
        let number = self.nodes.push_with(|number| {
            let place = Place(u32::try_from(number).expect("a root with less than four billion paths"));
            Node { path, found, place }
        });
        let node = &self.nodes[number];
        part.insert_unique(hash, node.place, |&place| self.hasher.hash_one(self.at(place).path.as_bytes()));
        node
    }

    /// The node at a place that a node of these says.
    pub(super) fn at(&self, place: Place) -> &Node {
        &self.nodes[place.0 as usize]
    }

    /// The part of the index that has the paths with this hash. A table takes the low bits and the highest seven.
    fn part(&self, hash: u64) -> MutexGuard<'_, HashTable<Place>> {
        let part = usize::try_from(hash >> 40).unwrap_or_default() % PARTS;
        self.index[part].lock().unwrap_or_else(PoisonError::into_inner)
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
                            let node = known.insert(path.clone(), None);
                            assert_eq!(node.path, path);
                            assert_eq!(known.at(node.place).path, path);
                            assert!(std::ptr::eq(known.get(path.as_bytes()).unwrap(), node));
                        }
                    });
                }
            });
        }
    }
}

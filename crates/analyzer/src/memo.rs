//! Answers that are found once. Nobody waits for another's question: where two threads ask at once, both find the same.

use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use foldhash::HashMap;

/// What is known of things that were asked for.
pub(crate) type Memo<K, V> = Mutex<HashMap<K, V>>;

/// The answer to a question, from the memo or found now.
pub(crate) fn remember<K: Clone + Eq + Hash, V: Clone>(
    memo: &Memo<K, V>,
    key: &K,
    find: impl FnOnce() -> V,
) -> V {
    // A panic elsewhere leaves a memo whole: every entry is put in at once.
    let lock = || memo.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = lock().get(key) {
        return known.clone();
    }
    let found = find();
    lock().entry(key.clone()).or_insert(found).clone()
}

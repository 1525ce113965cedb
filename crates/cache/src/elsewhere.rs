//! Results that somebody else derived: where a store has none of some kind, it asks there first. What comes is verified on
//! its way into the store, so that only which bytes were derived from an input is taken on trust.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use schema::Digest;

use crate::blob::Blob;
use crate::store::{Store, StoreError};

/// Where others keep what they derived.
pub trait Elsewhere: Send + Sync + fmt::Debug {
    /// Whether results of this kind are kept there.
    fn has_kind(&self, kind: &str) -> bool;

    /// Brings the result derived from the input `key` into the store, if it is there.
    ///
    /// # Errors
    /// When the place does not answer, or what it gives is not what it says.
    fn bring(&self, store: &Store, kind: &'static str, key: &Digest) -> io::Result<Option<Blob>>;

    /// What people call it.
    fn name(&self) -> String;
}

/// What a store knows of such a place.
#[derive(Debug)]
pub(crate) struct Known {
    place: Option<Box<dyn Elsewhere>>,
    /// The kinds of results that are noted.
    kinds: fn(&str) -> bool,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    /// What was used, by kind and input.
    used: BTreeMap<(&'static str, Digest), Digest>,
    /// What is not there.
    missing: BTreeSet<(&'static str, Digest)>,
}

impl Default for Known {
    fn default() -> Self {
        Self { place: None, kinds: |_| false, noted: Mutex::default() }
    }
}

/// A result of a store that may be kept elsewhere.
#[derive(Debug, Clone)]
pub struct Derived {
    /// What kind of derivation it is of.
    pub kind: &'static str,
    /// The digest of the input.
    pub key: Digest,
    /// What was derived.
    pub blob: Digest,
}

impl Store {
    /// The store, which asks `place` for results that it does not have, and notes which results of the kinds that `kinds`
    /// tells are used.
    #[must_use]
    pub fn with_elsewhere(mut self, place: Option<Box<dyn Elsewhere>>, kinds: fn(&str) -> bool) -> Self {
        self.known = Known { place, kinds, noted: Mutex::default() };
        self
    }

    /// The results that were noted since the store was opened.
    pub fn used(&self) -> Vec<Derived> {
        let noted = self.known.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.used.iter().map(|((kind, key), blob)| Derived { kind, key: *key, blob: *blob }).collect()
    }

    pub(crate) fn note(&self, kind: &'static str, key: &Digest, blob: Digest) {
        if (self.known.kinds)(kind) {
            let mut noted = self.known.noted.lock().unwrap_or_else(PoisonError::into_inner);
            noted.used.insert((kind, *key), blob);
        }
    }

    /// What others derived from this input, brought into the store.
    pub(crate) fn brought(&self, kind: &'static str, key: &Digest) -> Result<Option<Blob>, StoreError> {
        let Some(place) = self.known.place.as_ref().filter(|place| place.has_kind(kind)) else {
            return Ok(None);
        };
        let is_missing = |noted: &Noted| noted.missing.contains(&(kind, *key));
        if is_missing(&self.known.noted.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(None);
        }
        let brought = place.bring(self, kind, key);
        let brought = brought.map_err(StoreError::at("take results from", Path::new(&place.name())))?;
        if brought.is_none() {
            let mut noted = self.known.noted.lock().unwrap_or_else(PoisonError::into_inner);
            noted.missing.insert((kind, *key));
        }
        Ok(brought)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Has one result, and counts how often it is asked.
    #[derive(Debug, Default)]
    struct Place(Arc<AtomicUsize>);

    impl Elsewhere for Place {
        fn has_kind(&self, kind: &str) -> bool {
            kind == "shared"
        }

        fn bring(&self, store: &Store, _: &'static str, key: &Digest) -> io::Result<Option<Blob>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            match *key == Digest::of(b"known") {
                true => Ok(Some(store.put(b"brought")?)),
                false => Ok(None),
            }
        }

        fn name(&self) -> String {
            "the other".to_owned()
        }
    }

    #[test]
    fn what_is_missing_is_asked_for_once_and_what_is_used_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        let asked = Arc::<AtomicUsize>::default();
        let store = Store::open(folder.path()).unwrap();
        let place = Box::new(Place(Arc::clone(&asked)));
        let store = store.with_elsewhere(Some(place), |kind| kind == "shared");
        let (known, unknown) = (Digest::of(b"known"), Digest::of(b"unknown"));
        for _ in 0..2 {
            let found = store.derived("shared", &known).unwrap().map(|blob| blob.content().to_vec());
            assert_eq!(found.as_deref(), Some(&b"brought"[..]));
            assert!(store.derived("shared", &unknown).unwrap().is_none());
            assert!(store.derived("own", &known).unwrap().is_none());
        }
        assert_eq!(
            asked.load(Ordering::Relaxed),
            2,
            "what came is the store's own, what did not is remembered"
        );
        let with = |bytes: &'static [u8]| {
            move |out: &mut crate::BlobWriter<'_>| io::Write::write_all(out, bytes).map_err(fail)
        };
        let made = store.derive("shared", &unknown, with(b"made")).unwrap();
        store.derive("own", &unknown, with(b"own")).unwrap();
        let used: Vec<(Digest, Digest)> = store.used().iter().map(|one| (one.key, one.blob)).collect();
        let mut wanted = vec![(known, Digest::of(b"brought")), (unknown, made.digest())];
        wanted.sort();
        assert_eq!(used, wanted);
    }

    fn fail(error: io::Error) -> StoreError {
        StoreError::at("write", Path::new("a test"))(error)
    }
}

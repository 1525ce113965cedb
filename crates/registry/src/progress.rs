//! What is told while blobs come and go.

use std::sync::atomic::{AtomicU64, Ordering};

use schema::Digest;

/// Hears how a pull or a push goes on; from several threads at once.
pub trait Progress: Sync {
    /// Something happened.
    fn tell(&self, event: &Event<'_>);
}

/// Does not care.
impl Progress for () {
    fn tell(&self, _: &Event<'_>) {}
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// So many blobs are to come or to go; those that are there already are among them.
    Begin {
        /// How many.
        blobs: usize,
        /// Their bytes.
        bytes: u64,
    },
    /// A blob begins.
    Blob {
        /// Which.
        digest: &'a Digest,
        /// Its bytes.
        size: u64,
    },
    /// More of a blob. The counts of each add up to its bytes, however it comes to where it should be.
    Bytes {
        /// Which.
        digest: &'a Digest,
        /// How much more.
        count: u64,
    },
    /// A blob is where it should be.
    Done {
        /// Which.
        digest: &'a Digest,
        /// Its bytes.
        size: u64,
        /// How it came there.
        outcome: Outcome,
    },
}

/// How a blob came to where it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its bytes were moved.
    Moved,
    /// It was there.
    There,
    /// The registry had it in another repository.
    Mounted,
}

/// What was told of a blob so far: never more than its bytes, whatever is begun anew.
pub(crate) struct BlobProgress<'a> {
    digest: Digest,
    progress: &'a dyn Progress,
    reached: AtomicU64,
}

/// One attempt at a blob, which counts from its beginning.
pub(crate) struct Attempt<'a> {
    blob: &'a BlobProgress<'a>,
    reached: AtomicU64,
}

impl<'a> BlobProgress<'a> {
    pub(crate) const fn new(digest: Digest, progress: &'a dyn Progress) -> Self {
        Self { digest, progress, reached: AtomicU64::new(0) }
    }

    /// Tells of what is left of a blob that has come to where it should be, and how it came there.
    pub(crate) fn done(&self, size: u64, outcome: Outcome) {
        let Self { digest, progress, reached } = self;
        let before = reached.fetch_max(size, Ordering::Relaxed);
        if size > before {
            progress.tell(&Event::Bytes { digest, count: size - before });
        }
        progress.tell(&Event::Done { digest, size, outcome });
    }

    pub(crate) const fn attempt(&'a self) -> Attempt<'a> {
        Attempt { blob: self, reached: AtomicU64::new(0) }
    }
}

impl cache::Progress for Attempt<'_> {
    fn bytes(&self, count: u64) {
        let reached = self.reached.fetch_add(count, Ordering::Relaxed) + count;
        let BlobProgress { digest, progress, reached: highest } = self.blob;
        let before = highest.fetch_max(reached, Ordering::Relaxed);
        if reached > before {
            progress.tell(&Event::Bytes { digest, count: reached - before });
        }
    }
}

//! Bytes under a tag: a repository as a map from names to blobs, each an artifact of that one blob (OCI image specification,
//! "Guidelines for Artifact Usage"). Several machines share results by it.

use std::collections::BTreeSet;

use cache::{Blob, Store};
use oci::document::{Descriptor, EMPTY};
use oci::{NewBlob, NewDocument, media_type};
use schema::reference::Repository;

use crate::connection::{CONNECTIONS, Registry};
use crate::error::{Fault, RegistryError};
use crate::parallel;
use crate::progress::{BlobProgress, Event, Outcome, Progress};

/// What an artifact is that holds an entry, and its bytes.
const ENTRY: &str = "application/vnd.distroless-ruby.cache-entry";
/// The largest entry that is fetched, in bytes.
const LIMIT: u64 = 4 << 30;

/// Bytes to be kept, and the tag that they are found by.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The tag.
    pub tag: String,
    /// The bytes.
    pub blob: Blob,
}

impl Entry {
    fn artifact(&self) -> NewDocument {
        NewDocument::new(ENTRY, &self.tag, NewBlob::new(self.blob.content().clone()))
    }
}

impl Registry<'_> {
    /// Brings the bytes under a tag into the store; none where there is no such tag, or another one of that name that is no
    /// entry.
    ///
    /// # Errors
    /// A registry that cannot be reached, or bytes that are not what the entry says.
    pub fn entry(&self, store: &Store, from: &Repository, tag: &str) -> Result<Option<Blob>, RegistryError> {
        self.find_entry(store, from, tag).map_err(RegistryError::pull(format_args!("{from}:{tag}")))
    }

    fn find_entry(&self, store: &Store, from: &Repository, tag: &str) -> Result<Option<Blob>, Fault> {
        let found = self.anywhere(from, tag, |place| match self.document(place, tag, None) {
            Err(fault) if fault.is_not_found() => Ok(None),
            found => found.map(Some),
        })?;
        let Some(document) = found else { return Ok(None) };
        let manifest = document.manifest()?;
        let [layer] = manifest.layers.as_slice() else { return Ok(None) };
        if manifest.artifact_type.as_deref() != Some(ENTRY) {
            return Ok(None);
        }
        let Descriptor { digest, size, .. } = *layer;
        if size > LIMIT {
            return Err(Fault::BlobTooLarge { digest, size, limit: LIMIT });
        }
        self.blob(store, from, layer, &()).map(Some)
    }

    /// Keeps entries in a repository, several at a time; those that are there under their tags are left alone. The tag of
    /// one comes after its bytes. Gives how many were not there.
    ///
    /// # Errors
    /// A registry that cannot be reached, or refuses one.
    pub fn keep_entries(
        &self,
        to: &Repository,
        entries: &[Entry],
        progress: &dyn Progress,
    ) -> Result<usize, RegistryError> {
        self.keep(to, entries, progress).map_err(RegistryError::push(to))
    }

    fn keep(&self, to: &Repository, entries: &[Entry], progress: &dyn Progress) -> Result<usize, Fault> {
        if self.client.is_offline() {
            return Err(Fault::Offline { what: to.to_string() });
        }
        let destination = self.destination(to, &[]);
        let place = destination.place();
        // The first request alone, so that one token is asked for.
        let (first, rest) = entries.split_at(entries.len().min(1));
        let mut missing: Vec<&Entry> = Vec::new();
        for part in [first, rest] {
            let there = parallel::each(CONNECTIONS, part, |entry| {
                let wanted = entry.artifact().descriptor.digest;
                Ok::<_, Fault>(self.tag(place, &entry.tag)? == Some(wanted))
            })?;
            missing.extend(part.iter().zip(there).filter(|(_, there)| !there).map(|(entry, _)| entry));
        }
        let mut seen = BTreeSet::new();
        let blobs: Vec<&Blob> = missing.iter().map(|entry| &entry.blob).collect();
        let blobs: Vec<&Blob> = blobs.into_iter().filter(|blob| seen.insert(blob.digest())).collect();
        let bytes = blobs.iter().map(|blob| blob.content().len() as u64).sum();
        progress.tell(&Event::Begin { blobs: blobs.len(), bytes });
        let put = |digest: schema::Digest, bytes: &[u8], told: &BlobProgress<'_>| {
            if self.has_blob(place, &digest)? {
                return Ok(Outcome::There);
            }
            self.put_blob(place, digest, bytes, None, told)
        };
        if !missing.is_empty() {
            put(schema::Digest::of(EMPTY), EMPTY, &BlobProgress::new(schema::Digest::of(EMPTY), &()))?;
        }
        parallel::each(CONNECTIONS, &blobs, |blob| {
            let (digest, size) = (blob.digest(), blob.content().len() as u64);
            progress.tell(&Event::Blob { digest: &digest, size });
            let told = BlobProgress::new(digest, progress);
            told.done(size, put(digest, blob.content(), &told)?);
            Ok::<_, Fault>(())
        })?;
        parallel::each(CONNECTIONS, &missing, |entry| {
            self.put_document(place, &entry.tag, media_type::MANIFEST, &entry.artifact().manifest)
        })?;
        Ok(missing.len())
    }
}

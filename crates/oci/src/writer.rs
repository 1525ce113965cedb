//! Writing into a layout: blobs first, names last.
//!
//! A blob that is put is written, and has its place in the layout once it is [published](Writer::publish), with all that
//! were put before: to flush them to the disk one by one takes several times as long. Whoever gives names publishes first.
//!
//! Invariants: a blob or an index appears whole or not at all; a name is given only to what is there in whole; what
//! is there already is not written again. A run that is killed leaves at most blobs that nothing names, and two runs
//! at once each keep what the other wrote.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use fs_err::{self as fs, File, OpenOptions};
use rootfs::Content;
use schema::Digest;

use crate::annotation;
use crate::artifact::{NewArtifact, NewDocument, Referrer, Referrers};
use crate::atomic::{self, Existing, Passing};
use crate::document::{self, Descriptor, EMPTY};
use crate::error::{Fault, LayoutError};
use crate::layout::{Entries, Layout};
use crate::new_blob::NewBlob;
use crate::new_image::NewImage;
use crate::new_index::NewIndex;
use crate::reference::Reference;

/// The right to write into a layout. Several may be held at once, in one process or in many.
#[derive(Debug)]
pub struct Writer<'a> {
    layout: &'a Layout,
    /// What was put and has no place yet.
    unpublished: Mutex<BTreeMap<Digest, Passing>>,
    /// Shared by all writers, so that nobody removes a blob that is about to get a name.
    _lock: File,
}

/// What the index file of a layout lists, but for what other programs put there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// What has a name: an index of images.
    pub names: BTreeMap<Reference, Descriptor>,
    /// What refers to any of them or to their images, by its digest.
    pub referrers: BTreeMap<Digest, Referrer>,
}

impl Listing {
    /// With these referrers too.
    pub fn refer(&mut self, referrers: impl IntoIterator<Item = Referrer>) {
        self.referrers.extend(referrers.into_iter().map(|referrer| (referrer.descriptor.digest, referrer)));
    }
}

impl<'a> Writer<'a> {
    pub(crate) fn new(layout: &'a Layout, lock: File) -> Self {
        Self { layout, unpublished: Mutex::default(), _lock: lock }
    }

    /// The layout that it writes into.
    pub const fn layout(&self) -> &'a Layout {
        self.layout
    }

    /// Puts a blob under its digest, unless it is there already; says whether it wrote anything. One that is there but
    /// damaged is replaced.
    ///
    /// # Errors
    /// Bytes that do not have this digest, or a file that cannot be written.
    pub fn put_blob(&self, digest: &Digest, bytes: &[u8]) -> Result<bool, LayoutError> {
        let found = Digest::of(bytes);
        if found != *digest {
            return Err(self.layout.error(Fault::BlobDigest { expected: *digest, found }));
        }
        self.put_hashed(digest, bytes)
    }

    /// The same for bytes that were hashed when they were made.
    fn put_new(&self, blob: &NewBlob) -> Result<bool, LayoutError> {
        self.put_hashed(&blob.digest(), blob)
    }

    fn put_hashed(&self, digest: &Digest, bytes: &[u8]) -> Result<bool, LayoutError> {
        let unpublished = || self.unpublished.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.layout.blob_path(digest);
        let is_there = || {
            fs::metadata(&path)
                .is_ok_and(|metadata| metadata.is_file() && metadata.len() == bytes.len() as u64)
                && Content::map(&path).is_ok_and(|content| *content == *bytes)
        };
        if unpublished().contains_key(digest) || is_there() {
            return Ok(false);
        }
        let passing = Passing::write(path, bytes, &self.layout.blobs())
            .map_err(|source| self.layout.io("write a blob", source))?;
        // Of two threads that put the same, the file of either is good.
        unpublished().insert(*digest, passing);
        Ok(true)
    }

    /// Gives everything that was put its place in the layout. To name it does so too.
    ///
    /// # Errors
    /// A file that cannot be flushed or renamed; what has no place then is gone.
    pub fn publish(&self) -> Result<(), LayoutError> {
        let mut unpublished = self.unpublished.lock().unwrap_or_else(PoisonError::into_inner);
        let blobs: Vec<Passing> = std::mem::take(&mut *unpublished).into_values().collect();
        if blobs.is_empty() {
            return Ok(());
        }
        atomic::publish_all(blobs, &self.layout.blobs())
            .map_err(|source| self.layout.io("write its blobs", source))
    }

    /// Puts the configuration and the manifest of an image; its layers must be there before it gets a name.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn put_image(&self, image: &NewImage) -> Result<(), LayoutError> {
        self.put_new(&image.config)?;
        self.put_new(&image.manifest).map(drop)
    }

    /// Puts an index; its images must be there before it gets a name.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn put_index(&self, index: &NewIndex) -> Result<(), LayoutError> {
        self.put_blob(&index.descriptor.digest, &index.bytes).map(drop)
    }

    /// Puts a document about an image; it is a referrer once it is in a [`Listing`].
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn put_artifact(&self, artifact: &NewArtifact) -> Result<(), LayoutError> {
        self.put_with_document(&artifact.document, &artifact.manifest)
    }

    /// Puts a document that is about nothing; it has to be named by an index to stay.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn put_document(&self, document: &NewDocument) -> Result<(), LayoutError> {
        self.put_with_document(&document.document, &document.manifest)
    }

    fn put_with_document(&self, document: &NewBlob, manifest: &NewBlob) -> Result<(), LayoutError> {
        self.put_blob(&Digest::of(EMPTY), EMPTY)?;
        self.put_new(document)?;
        self.put_new(manifest).map(drop)
    }

    /// Lets `change` alter what has which name, as [`Self::set_listing`] does.
    ///
    /// # Errors
    /// Those of [`Self::set_listing`].
    pub fn set_refs(
        &self,
        change: impl FnOnce(&mut BTreeMap<Reference, Descriptor>),
    ) -> Result<bool, LayoutError> {
        self.set_listing(|listing| {
            change(&mut listing.names);
            Ok(())
        })
    }

    /// Lets `change` alter what the layout lists, and writes the index file if that made a difference; says whether it
    /// did. What was put is published first. Referrers of what has no name any more go. Other runs that change it wait meanwhile, so `change` sees and
    /// keeps what they did.
    ///
    /// # Errors
    /// Those of `change`; a name for something that is not there in whole, a referrer likewise; an index file that cannot
    /// be read or written.
    pub fn set_listing(
        &self,
        change: impl FnOnce(&mut Listing) -> Result<(), LayoutError>,
    ) -> Result<bool, LayoutError> {
        let marker = self.layout.marker_path();
        let lock = OpenOptions::new().read(true).write(true).open(&marker);
        let _lock = lock
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|source| self.layout.io("lock the index", source))?;

        let (before, mut index) = self.layout.index()?;
        let Entries { named: names, unnamed } = self.layout.entries(std::mem::take(&mut index.manifests))?;
        let Unnamed { referrers, damaged, others } = self.unnamed(unnamed);
        let mut old = Listing { names, ..Listing::default() };
        old.refer(referrers);
        let mut listing = old.clone();
        change(&mut listing)?;
        self.publish()?;
        if listing == old && damaged.is_empty() {
            return Ok(false);
        }
        let new_names = listing.names.iter().filter(|(name, named)| old.names.get(*name) != Some(named));
        let new_referrers =
            listing.referrers.iter().filter(|(digest, _)| !old.referrers.contains_key(digest));
        new_names
            .map(|(_, descriptor)| descriptor)
            .chain(new_referrers.map(|(_, referrer)| &referrer.descriptor))
            .try_for_each(|descriptor| self.layout.check(descriptor))?;

        let Listing { names, referrers } = listing;
        let referrers = match self.layout.reach(names.values().chain(&others).cloned()) {
            Ok(reached) => {
                let subjects = reached.into_iter().map(|(digest, _)| digest).collect();
                let alive = referrers.into_values().collect::<Referrers>().leading_to(subjects);
                alive.into_iter().map(|referrer| (referrer.descriptor.digest, referrer.descriptor)).collect()
            }
            // It is not known what they refer to: somebody else's image is damaged.
            Err(_) => {
                let all = referrers.into_values().map(|referrer| referrer.descriptor).chain(damaged);
                all.map(|descriptor| (descriptor.digest, descriptor)).collect::<BTreeMap<_, _>>()
            }
        };
        let with_names = names.into_iter().map(|(name, mut descriptor)| {
            descriptor.annotations.insert(annotation::REF_NAME.to_owned(), name.to_string());
            descriptor
        });
        index.manifests = with_names.chain(referrers.into_values()).chain(others).collect();
        let after = document::canonical(&index);
        if after == before {
            return Ok(false);
        }
        let path = self.layout.index_path();
        atomic::write(&path, &after, &self.layout.blobs(), Existing::Replace)
            .map_err(|source| self.layout.io("write the index", source))?;
        Ok(true)
    }

    /// Tells the entries apart that have no name.
    fn unnamed(&self, entries: Vec<Descriptor>) -> Unnamed {
        let mut unnamed = Unnamed::default();
        for entry in entries {
            match self.layout.referrer(entry.clone()) {
                Ok(Some(referrer)) => unnamed.referrers.push(referrer),
                Err(_) if entry.artifact_type.is_some() => unnamed.damaged.push(entry),
                Ok(None) | Err(_) => unnamed.others.push(entry),
            }
        }
        unnamed
    }
}

/// The entries of an index file that have no name.
#[derive(Debug, Default)]
struct Unnamed {
    /// Documents about something.
    referrers: Vec<Referrer>,
    /// Those that cannot be read, told by the type that they are listed with.
    damaged: Vec<Descriptor>,
    /// What other programs put there.
    others: Vec<Descriptor>,
}

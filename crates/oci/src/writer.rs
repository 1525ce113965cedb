//! Writing into a layout: blobs first, names last.
//!
//! Invariants: a blob or an index appears whole or not at all; a name is given only to what is there in whole; what
//! is there already is not written again. A run that is killed leaves at most blobs that nothing names, and two runs
//! at once each keep what the other wrote.

use std::collections::BTreeMap;

use fs_err::{self as fs, File, OpenOptions};
use rootfs::Content;
use schema::Digest;

use crate::annotation;
use crate::atomic::{self, Existing};
use crate::document::{self, Descriptor};
use crate::error::{Fault, LayoutError};
use crate::layout::Layout;
use crate::new_image::NewImage;
use crate::reference::Reference;

/// The right to write into a layout. Several may be held at once, in one process or in many.
#[derive(Debug)]
pub struct Writer<'a> {
    layout: &'a Layout,
    /// Shared by all writers, so that nobody removes a blob that is about to get a name.
    _lock: File,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(layout: &'a Layout, lock: File) -> Self {
        Self { layout, _lock: lock }
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
        let path = self.layout.blob_path(digest);
        let is_there = fs::metadata(&path)
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() == bytes.len() as u64)
            && Content::map(&path).is_ok_and(|content| *content == *bytes);
        if is_there {
            return Ok(false);
        }
        atomic::write(&path, bytes, &self.layout.blobs(), Existing::Replace)
            .map_err(|source| self.layout.io("write a blob", source))?;
        Ok(true)
    }

    /// Puts the configuration and the manifest of an image; its layers must be there before it gets a name.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn put_image(&self, image: &NewImage) -> Result<(), LayoutError> {
        for bytes in [&image.config, &image.manifest] {
            self.put_blob(&Digest::of(bytes), bytes)?;
        }
        Ok(())
    }

    /// Lets `change` alter which image has which name, and writes the index if that made a difference; says whether it
    /// did. Other runs that change names wait meanwhile, so `change` sees and keeps what they did.
    ///
    /// # Errors
    /// A name for an image of which something is missing or damaged; an index that cannot be read or written.
    pub fn set_refs(
        &self,
        change: impl FnOnce(&mut BTreeMap<Reference, Descriptor>),
    ) -> Result<bool, LayoutError> {
        let marker = self.layout.marker_path();
        let lock = OpenOptions::new().read(true).write(true).open(&marker);
        let _lock = lock
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|source| self.layout.io("lock the index", source))?;

        let (before, mut index) = self.layout.index()?;
        let entries = self.layout.entries(std::mem::take(&mut index.manifests))?;
        let mut named = entries.named.clone();
        change(&mut named);
        for (name, descriptor) in &named {
            if entries.named.get(name) != Some(descriptor) {
                self.layout.check(descriptor)?;
            }
        }

        let named = named.into_iter().map(|(name, mut descriptor)| {
            descriptor.annotations.insert(annotation::REF_NAME.to_owned(), name.to_string());
            descriptor
        });
        index.manifests = named.chain(entries.unnamed).collect();
        let after = document::canonical(&index);
        if after == before {
            return Ok(false);
        }
        let path = self.layout.index_path();
        atomic::write(&path, &after, &self.layout.blobs(), Existing::Replace)
            .map_err(|source| self.layout.io("write the index", source))?;
        Ok(true)
    }
}

//! An OCI image layout: a folder with blobs by digest and an index that gives some of them names (OCI image
//! specification, "Image Layout").
//!
//! ```text
//! oci-layout            the version of the layout; its lock guards the index
//! index.json            reference -> index of images; and, without a name, what refers to one of them
//! blobs/sha256/<hex>    indexes, manifests, configurations, layers; the lock of `blobs` is shared by all writers
//! ```
//!
//! Nothing that is read is trusted: documents are bounded in size, and every blob is compared with its descriptor
//! before a byte of it is used.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use fs_err::{self as fs, File};
use rootfs::Content;
use schema::Digest;
use serde::de::DeserializeOwned;

use crate::annotation;
use crate::atomic::{self, Existing};
use crate::document::{self, Claim, Descriptor, Index, LayoutMarker, Manifest};
use crate::error::{Fault, LayoutError};
use crate::image::Image;
use crate::image_index::ImageIndex;
use crate::media_type;
use crate::reference::Reference;
use crate::writer::Writer;

const LAYOUT_VERSION: &str = "1.0.0";
const MARKER: &str = "oci-layout";
const INDEX: &str = "index.json";
const BLOBS: &str = "blobs";
const ALGORITHM: &str = "sha256";

/// The largest document that is read. Registries take manifests up to this size.
const DOCUMENT_LIMIT: u64 = 4 << 20;

/// An image layout in a folder.
#[derive(Debug, Clone)]
pub struct Layout {
    directory: PathBuf,
}

/// What an index lists, by whether it has a name.
pub(crate) struct Entries {
    /// Without the annotation that holds the name.
    pub(crate) named: BTreeMap<Reference, Descriptor>,
    /// In the order of the index, as they are.
    pub(crate) unnamed: Vec<Descriptor>,
}

impl Layout {
    /// The layout in `directory`, which is made where there is none. One that is there is not touched.
    ///
    /// # Errors
    /// A folder that cannot be written, or a layout that cannot be read.
    pub fn create(directory: &Path) -> Result<Self, LayoutError> {
        let layout = Self { directory: directory.to_owned() };
        let blobs = layout.blobs();
        fs::create_dir_all(&blobs).map_err(|source| layout.io("make its folders", source))?;
        let marker = LayoutMarker { image_layout_version: LAYOUT_VERSION.to_owned() };
        // Nobody takes the passing files for leftovers meanwhile.
        let _lock = layout.share()?;
        // The marker comes last: where it is, the rest is.
        for (path, bytes) in [
            (layout.index_path(), document::canonical(&Index::new(Vec::new()))),
            (layout.marker_path(), document::canonical(&marker)),
        ] {
            if !path.exists() {
                atomic::write(&path, &bytes, &blobs, Existing::Keep)
                    .map_err(|source| layout.io("begin it", source))?;
            }
        }
        Self::open(directory)
    }

    /// The layout that is in `directory`.
    ///
    /// # Errors
    /// A folder that holds none, or one of another version.
    pub fn open(directory: &Path) -> Result<Self, LayoutError> {
        let layout = Self { directory: directory.to_owned() };
        let path = layout.marker_path();
        if !path.exists() {
            return Err(layout.error(Fault::NoLayout));
        }
        let LayoutMarker { image_layout_version } = layout.parse(&path, &layout.read_bounded(&path)?)?;
        if image_layout_version == LAYOUT_VERSION {
            Ok(layout)
        } else {
            Err(layout.error(Fault::LayoutVersion(image_layout_version)))
        }
    }

    /// Whether a layout has something of this name in its folder.
    pub(crate) fn has_part(name: &OsStr) -> bool {
        [MARKER, INDEX, BLOBS].iter().any(|part| name == *part)
    }

    /// The folder that it is in.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the blob is, whether it is there or not.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    /// Starts to write. While any writer lives, [`Self::remove_unreferenced`] removes nothing.
    ///
    /// # Errors
    /// A folder that cannot be locked.
    pub fn writer(&self) -> Result<Writer<'_>, LayoutError> {
        Ok(Writer::new(self, self.share()?))
    }

    /// The index, or the manifest in another program's layout, that each name leads to.
    ///
    /// # Errors
    /// An index that is damaged, or has a name twice.
    pub fn references(&self) -> Result<BTreeMap<Reference, Descriptor>, LayoutError> {
        Ok(self.entries(self.index()?.1.manifests)?.named)
    }

    /// The images with this reference.
    ///
    /// # Errors
    /// No such reference, or an index that is damaged.
    pub fn resolve(&self, reference: &str) -> Result<ImageIndex, LayoutError> {
        let mut references = self.references()?;
        match references.remove(reference) {
            Some(descriptor) => ImageIndex::read(self, reference, descriptor),
            None => Err(self.error(Fault::NoReference {
                reference: reference.to_owned(),
                known: references.into_keys().collect(),
            })),
        }
    }

    /// The images that a name leads to with this descriptor.
    ///
    /// # Errors
    /// An index that is damaged.
    pub fn image_index(&self, name: &Reference, descriptor: Descriptor) -> Result<ImageIndex, LayoutError> {
        ImageIndex::read(self, name.as_str(), descriptor)
    }

    /// The image with this manifest, its manifest and configuration verified.
    ///
    /// # Errors
    /// A blob that is missing, damaged, or no image of the specification.
    pub fn image(&self, descriptor: Descriptor) -> Result<Image, LayoutError> {
        Image::read(self, descriptor)
    }

    /// Whether everything is there that `descriptor` leads to: documents are hashed, other blobs compared in size.
    ///
    /// # Errors
    /// A blob that is missing or damaged.
    pub fn check(&self, descriptor: &Descriptor) -> Result<(), LayoutError> {
        self.reach([descriptor.clone()])?
            .into_iter()
            .try_for_each(|(digest, size)| self.blob_size(digest, size))
    }

    /// The bytes of a blob, verified.
    ///
    /// # Errors
    /// A blob that is missing, or not the one that the descriptor tells of.
    pub fn blob(&self, descriptor: &Descriptor) -> Result<Content, LayoutError> {
        self.bytes(descriptor.digest, descriptor.size)
    }

    /// The bytes of the blob of this digest and size, verified.
    pub(crate) fn bytes(&self, digest: Digest, size: u64) -> Result<Content, LayoutError> {
        self.blob_size(digest, size)?;
        let path = self.blob_path(&digest);
        let content = Content::map(&path).map_err(|source| self.io("read a blob", source))?;
        if content.len() as u64 != size {
            return Err(self.error(Fault::BlobSize { digest, expected: size, found: content.len() as u64 }));
        }
        let found = Digest::of(&content);
        if found == digest {
            Ok(content)
        } else {
            Err(self.error(Fault::BlobDigest { expected: digest, found }))
        }
    }

    /// A blob that is a document of this media type.
    pub(crate) fn document<T: DeserializeOwned>(
        &self,
        descriptor: &Descriptor,
        media_type: &'static str,
    ) -> Result<T, LayoutError> {
        let Descriptor { digest, size, .. } = *descriptor;
        if descriptor.media_type != media_type {
            let found = descriptor.media_type.clone();
            return Err(self.error(Fault::MediaType { digest, expected: media_type, found }));
        }
        let path = self.blob_path(&digest);
        if size > DOCUMENT_LIMIT {
            return Err(self.error(Fault::DocumentTooLarge { path, size, limit: DOCUMENT_LIMIT }));
        }
        let bytes = self.blob(descriptor)?;
        // One that is read as something else could be two images at once.
        let claim: Claim = self.parse(&path, &bytes)?;
        match claim.media_type {
            Some(found) if found != media_type => {
                Err(self.error(Fault::MediaType { digest, expected: media_type, found }))
            }
            _ => self.parse(&path, &bytes),
        }
    }

    /// Digest and size of every blob that the descriptors lead to, themselves among them.
    pub(crate) fn reach(
        &self,
        from: impl IntoIterator<Item = Descriptor>,
    ) -> Result<BTreeSet<(Digest, u64)>, LayoutError> {
        let mut documents = BTreeSet::new();
        let mut leaves = BTreeSet::new();
        let mut open: Vec<Descriptor> = from.into_iter().collect();
        while let Some(descriptor) = open.pop() {
            if !documents.insert((descriptor.digest, descriptor.size)) {
                continue;
            }
            if descriptor.media_type == media_type::INDEX {
                open.extend(self.document::<Index>(&descriptor, media_type::INDEX)?.manifests);
                continue;
            }
            // Anything else in an index is a manifest, or it cannot be told what it leads to.
            let manifest: Manifest = self.document(&descriptor, media_type::MANIFEST)?;
            let blobs = manifest.layers.iter().chain([&manifest.config]);
            leaves.extend(blobs.map(|blob| (blob.digest, blob.size)));
        }
        leaves.append(&mut documents);
        Ok(leaves)
    }

    /// The bytes of the index, and what they say.
    pub(crate) fn index(&self) -> Result<(Vec<u8>, Index), LayoutError> {
        let path = self.index_path();
        let bytes = self.read_bounded(&path)?;
        let index = self.parse(&path, &bytes)?;
        Ok((bytes, index))
    }

    pub(crate) fn entries(&self, manifests: Vec<Descriptor>) -> Result<Entries, LayoutError> {
        let mut entries = Entries { named: BTreeMap::new(), unnamed: Vec::new() };
        for mut descriptor in manifests {
            // A name outside the grammar is nothing that could be asked for.
            let name = descriptor.annotations.get(annotation::REF_NAME).and_then(|name| name.parse().ok());
            let Some(name): Option<Reference> = name else {
                entries.unnamed.push(descriptor);
                continue;
            };
            descriptor.annotations.remove(annotation::REF_NAME);
            if entries.named.insert(name.clone(), descriptor).is_some() {
                return Err(self.error(Fault::DoubledReference(name)));
            }
        }
        Ok(entries)
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.directory.join(BLOBS).join(ALGORITHM)
    }

    pub(crate) fn index_path(&self) -> PathBuf {
        self.directory.join(INDEX)
    }

    pub(crate) fn marker_path(&self) -> PathBuf {
        self.directory.join(MARKER)
    }

    /// The folder whose lock all writers share.
    pub(crate) fn lock_path(&self) -> PathBuf {
        self.directory.join(BLOBS)
    }

    pub(crate) fn error(&self, fault: Fault) -> LayoutError {
        LayoutError::new(&self.directory, fault)
    }

    pub(crate) fn io(&self, action: &'static str, source: io::Error) -> LayoutError {
        self.error(Fault::Io { action, source })
    }

    /// Takes the lock that writers share.
    fn share(&self) -> Result<File, LayoutError> {
        let lock = File::open(self.lock_path()).and_then(|folder| folder.lock_shared().map(|()| folder));
        lock.map_err(|source| self.io("lock its blobs", source))
    }

    fn blob_size(&self, digest: Digest, expected: u64) -> Result<(), LayoutError> {
        match regular_size(&self.blob_path(&digest)) {
            Ok(found) if found == expected => Ok(()),
            Ok(found) => Err(self.error(Fault::BlobSize { digest, expected, found })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.error(Fault::NoBlob(digest))),
            Err(source) => Err(self.io("read a blob", source)),
        }
    }

    /// A document that is no blob, so its size is not known.
    fn read_bounded(&self, path: &Path) -> Result<Vec<u8>, LayoutError> {
        let read = || {
            regular_size(path)?;
            let mut bytes = Vec::new();
            File::open(path)?.take(DOCUMENT_LIMIT + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|source| self.io("read it", source))?;
        let size = bytes.len() as u64;
        if size > DOCUMENT_LIMIT {
            let path = path.to_owned();
            return Err(self.error(Fault::DocumentTooLarge { path, size, limit: DOCUMENT_LIMIT }));
        }
        Ok(bytes)
    }

    fn parse<T: DeserializeOwned>(&self, path: &Path, bytes: &[u8]) -> Result<T, LayoutError> {
        document::parse(bytes)
            .map_err(|source| self.error(Fault::Malformed { path: path.to_owned(), source }))
    }
}

/// The size of a file that is one, found without opening it: in a layout of somebody else it may be a pipe or a device.
fn regular_size(path: &Path) -> io::Result<u64> {
    let metadata = fs::metadata(path)?;
    if metadata.is_file() {
        return Ok(metadata.len());
    }
    let what = format!("`{}` is not a regular file", path.display());
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

//! Documents about an image, as an SBOM. Each is in an *artifact*, a manifest of its own that names its *subject* (OCI image
//! specification, "Guidelines for Artifact Usage"), and so is a *referrer* of that: an image, an index, or another artifact.
//! A layout lists it without a name in its index file, for as long as its subject is there.

use std::collections::{BTreeMap, BTreeSet};

use schema::Digest;
use serde::{Deserialize, Serialize};

use crate::annotation;
use crate::document::{self, Descriptor, Manifest};
use crate::error::LayoutError;
use crate::layout::Layout;
use crate::media_type;
use crate::new_blob::NewBlob;

/// A document about a manifest or an index, not in a layout yet. Equal documents about the same subject are the same
/// artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewArtifact {
    /// The document.
    pub document: NewBlob,
    /// The manifest.
    pub manifest: NewBlob,
    /// What it is to its subject.
    pub referrer: Referrer,
}

impl NewArtifact {
    /// The artifact that has this document, of a media type as `application/spdx+json`, about `subject`. `title` is the
    /// name of the file that programs for artifacts write it to.
    pub fn new(subject: &Descriptor, media_type: &str, title: &str, document: NewBlob) -> Self {
        // What a list says of the subject, as its platform, is not the subject.
        let digest = subject.digest;
        let subject = Descriptor::new(&subject.media_type, digest, subject.size);
        let (manifest, descriptor) = artifact(Some(subject), media_type, title, &document);
        let referrer = Referrer { descriptor, subject: digest, title: Some(title.to_owned()) };
        Self { document, manifest, referrer }
    }
}

/// A document that is about nothing that a registry or a layout has, as an artifact of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDocument {
    /// Its bytes.
    pub document: NewBlob,
    /// The manifest.
    pub manifest: NewBlob,
    /// The descriptor of the manifest, with the type of the artifact.
    pub descriptor: Descriptor,
}

impl NewDocument {
    /// The artifact that has this document, of a media type. `title` is the name of the file that programs for artifacts
    /// write it to.
    pub fn new(media_type: &str, title: &str, document: NewBlob) -> Self {
        let (manifest, descriptor) = artifact(None, media_type, title, &document);
        Self { document, manifest, descriptor }
    }
}

/// The manifest of an artifact, and its descriptor.
fn artifact(
    subject: Option<Descriptor>,
    media_type: &str,
    title: &str,
    document: &NewBlob,
) -> (NewBlob, Descriptor) {
    let mut layer = document.descriptor(media_type);
    layer.annotations.insert(annotation::TITLE.to_owned(), title.to_owned());
    let manifest = NewBlob::new(document::canonical(&Manifest::artifact(media_type, layer, subject)));
    let descriptor = Descriptor {
        artifact_type: Some(media_type.to_owned()),
        ..manifest.descriptor(media_type::MANIFEST)
    };
    (manifest, descriptor)
}

/// An artifact, as what it is about has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referrer {
    /// Its manifest, with the type of the artifact.
    pub descriptor: Descriptor,
    /// The digest of what it is about.
    pub subject: Digest,
    /// The name of the file that programs for artifacts write its document to.
    pub title: Option<String>,
}

/// What refers to what: artifacts by the digests of their subjects.
#[derive(Debug, Clone, Default)]
pub struct Referrers {
    by_subject: BTreeMap<Digest, BTreeMap<Digest, Referrer>>,
}

impl FromIterator<Referrer> for Referrers {
    fn from_iter<T: IntoIterator<Item = Referrer>>(referrers: T) -> Self {
        let mut by_subject: BTreeMap<Digest, BTreeMap<Digest, Referrer>> = BTreeMap::new();
        for referrer in referrers {
            by_subject.entry(referrer.subject).or_default().insert(referrer.descriptor.digest, referrer);
        }
        Self { by_subject }
    }
}

impl Referrers {
    /// What refers to the manifest or index of this digest, in the order of their own digests.
    pub fn of(&self, subject: &Digest) -> impl Iterator<Item = &Referrer> {
        self.by_subject.get(subject).into_iter().flat_map(BTreeMap::values)
    }

    /// Those that lead to one of `subjects`, directly or through one another: a signature of an SBOM of an image refers to
    /// that image. Subjects stand before what refers to them.
    pub(crate) fn leading_to(mut self, subjects: BTreeSet<Digest>) -> Vec<Referrer> {
        let mut found = Vec::new();
        let mut next: Vec<Digest> = subjects.into_iter().collect();
        while !next.is_empty() {
            let new = next.iter().filter_map(|subject| self.by_subject.remove(subject)).flatten();
            let new: BTreeMap<Digest, Referrer> = new.collect();
            next = new.keys().copied().collect();
            found.extend(new.into_values());
        }
        found
    }
}

impl Layout {
    /// What refers to what in this layout.
    ///
    /// # Errors
    /// An index file that cannot be read. A manifest that cannot be read refers to nothing.
    pub fn referrers(&self) -> Result<Referrers, LayoutError> {
        let unnamed = self.entries(self.index()?.1.manifests)?.unnamed;
        Ok(unnamed.into_iter().filter_map(|descriptor| self.referrer(descriptor).ok().flatten()).collect())
    }

    /// The manifest that this descriptor tells of.
    ///
    /// # Errors
    /// A blob that is missing, damaged, or no manifest.
    pub fn manifest(&self, descriptor: &Descriptor) -> Result<Manifest, LayoutError> {
        self.document(descriptor, media_type::MANIFEST)
    }

    /// What an entry of the index file refers to, where it is a referrer.
    ///
    /// # Errors
    /// A blob that is missing, damaged, or no manifest.
    pub fn referrer(&self, descriptor: Descriptor) -> Result<Option<Referrer>, LayoutError> {
        let manifest = self.manifest(&descriptor)?;
        let title =
            manifest.layers.first().and_then(|layer| layer.annotations.get(annotation::TITLE)).cloned();
        Ok(manifest.subject.map(|subject| Referrer { descriptor, subject: subject.digest, title }))
    }
}

//! Documents about an image, as an SBOM: referrers. Each is a manifest of its own that names its subject (OCI image
//! specification, "Guidelines for Artifact Usage"), listed without a name in the index file of a layout. It is listed for
//! as long as its subject is there.

use std::collections::{BTreeMap, BTreeSet};

use rootfs::Content;
use schema::Digest;

use crate::annotation;
use crate::document::{self, Descriptor, Manifest};
use crate::error::LayoutError;
use crate::layout::Layout;
use crate::media_type;

/// A document about a manifest or an index, not in a layout yet. Equal documents about the same subject are the same
/// artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewArtifact {
    /// The bytes of the document.
    pub document: Content,
    /// The bytes of the manifest.
    pub manifest: Vec<u8>,
    /// The descriptor of the manifest, with the type of the artifact.
    pub descriptor: Descriptor,
}

impl NewArtifact {
    /// The artifact that has this document, of a media type as `application/spdx+json`, about `subject`. `title` is the
    /// name of the file that programs for artifacts write it to.
    pub fn new(subject: &Descriptor, media_type: &str, title: &str, document: Content) -> Self {
        let mut layer = Descriptor::of(media_type, &document);
        layer.annotations.insert(annotation::TITLE.to_owned(), title.to_owned());
        // What a list says of the subject, as its platform, is not the subject.
        let subject = Descriptor::new(&subject.media_type, subject.digest, subject.size);
        let manifest = document::canonical(&Manifest::artifact(media_type, layer, subject));
        let descriptor = Descriptor {
            artifact_type: Some(media_type.to_owned()),
            ..Descriptor::of(media_type::MANIFEST, &manifest)
        };
        Self { document, manifest, descriptor }
    }
}

impl Layout {
    /// What refers to the manifest or index of this digest: descriptors of artifacts, in the order of their digests.
    /// What an artifact says is its manifest's one layer.
    ///
    /// # Errors
    /// An index file that cannot be read. A manifest that cannot be read refers to nothing.
    pub fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, LayoutError> {
        let listed = self.index()?.1.manifests;
        let referrers: BTreeMap<Digest, Descriptor> = listed
            .into_iter()
            .filter(|descriptor| self.subject(descriptor) == Some(*subject))
            .map(|descriptor| (descriptor.digest, descriptor))
            .collect();
        Ok(referrers.into_values().collect())
    }

    /// The manifest that this descriptor tells of.
    ///
    /// # Errors
    /// A blob that is missing, damaged, or no manifest.
    pub fn manifest(&self, descriptor: &Descriptor) -> Result<Manifest, LayoutError> {
        self.document(descriptor, media_type::MANIFEST)
    }

    /// What a manifest refers to, where it can be read and is a referrer.
    pub(crate) fn subject(&self, descriptor: &Descriptor) -> Option<Digest> {
        Some(self.manifest(descriptor).ok()?.subject?.digest)
    }

    /// Those of `referrers` that lead to one of `subjects`, directly or through one another: a signature of an SBOM of an
    /// image refers to that image.
    pub(crate) fn referring(
        &self,
        mut referrers: BTreeMap<Digest, Descriptor>,
        mut subjects: BTreeSet<Digest>,
    ) -> BTreeMap<Digest, Descriptor> {
        let mut found = BTreeMap::new();
        loop {
            let refers = |referrer: &Descriptor| {
                self.subject(referrer).is_some_and(|subject| subjects.contains(&subject))
            };
            let (new, rest): (BTreeMap<_, _>, _) =
                referrers.into_iter().partition(|(_, referrer)| refers(referrer));
            if new.is_empty() {
                return found;
            }
            subjects.extend(new.keys());
            found.extend(new);
            referrers = rest;
        }
    }
}

//! What has to go along when something of a layout is put elsewhere: documents in an order in which each finds what it
//! names, the blobs that they need, and what refers to them.

use std::collections::{BTreeMap, BTreeSet};

use schema::Digest;

use crate::document::{Descriptor, Index, Manifest};
use crate::error::LayoutError;
use crate::layout::Layout;
use crate::media_type;

/// Everything that some descriptors of a layout lead to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Configurations, layers, and the documents of referrers, by their digests.
    pub blobs: BTreeMap<Digest, Descriptor>,
    /// Manifests and indexes; what one names stands before it.
    pub documents: Vec<Descriptor>,
    /// What refers to any of the documents or to one another, subjects first.
    pub referrers: Vec<Referrer>,
}

/// A document about another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// Its manifest, as lists of referrers have it.
    pub descriptor: Descriptor,
    /// The digest of what it is about.
    pub subject: Digest,
}

impl Layout {
    /// Everything that `roots` lead to, and what refers to it.
    ///
    /// # Errors
    /// A document that is missing or damaged.
    pub fn contents(&self, roots: impl IntoIterator<Item = Descriptor>) -> Result<Contents, LayoutError> {
        let mut contents = Contents::default();
        let mut seen = BTreeSet::new();
        for root in roots {
            self.gather(root, &mut seen, &mut contents)?;
        }
        let mut waiting = self.referring(self.unnamed()?, seen.clone());
        while !waiting.is_empty() {
            let (ready, rest): (BTreeMap<_, _>, _) = waiting.into_iter().partition(|(_, referrer)| {
                self.subject(referrer).is_some_and(|subject| seen.contains(&subject))
            });
            if ready.is_empty() {
                // Only a cycle of digests could get here.
                break;
            }
            for (digest, descriptor) in ready {
                let manifest = self.manifest(&descriptor)?;
                let Some(subject) = &manifest.subject else { continue };
                contents.referrers.push(Referrer { subject: subject.digest, descriptor });
                add_blobs(&mut contents.blobs, &manifest);
                seen.insert(digest);
            }
            waiting = rest;
        }
        Ok(contents)
    }

    /// Adds a document after everything that it names.
    fn gather(
        &self,
        descriptor: Descriptor,
        seen: &mut BTreeSet<Digest>,
        contents: &mut Contents,
    ) -> Result<(), LayoutError> {
        if !seen.insert(descriptor.digest) {
            return Ok(());
        }
        if descriptor.media_type == media_type::INDEX {
            // An index that names itself is found out by its digest, so this ends.
            for listed in self.document::<Index>(&descriptor, media_type::INDEX)?.manifests {
                self.gather(listed, seen, contents)?;
            }
        } else {
            add_blobs(&mut contents.blobs, &self.manifest(&descriptor)?);
        }
        contents.documents.push(descriptor);
        Ok(())
    }

    /// What the layout lists without a name.
    pub(crate) fn unnamed(&self) -> Result<BTreeMap<Digest, Descriptor>, LayoutError> {
        let unnamed = self.entries(self.index()?.1.manifests)?.unnamed;
        Ok(unnamed.into_iter().map(|descriptor| (descriptor.digest, descriptor)).collect())
    }
}

fn add_blobs(blobs: &mut BTreeMap<Digest, Descriptor>, manifest: &Manifest) {
    let named = manifest.layers.iter().chain([&manifest.config]);
    blobs.extend(named.map(|blob| (blob.digest, blob.clone())));
}

//! What has to go along when something of a layout is put elsewhere: documents in an order in which each finds what it
//! names, the blobs that they need, and what refers to them.

use std::collections::{BTreeMap, BTreeSet};

use schema::Digest;

use crate::artifact::Referrer;
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
        // One that an index lists is there already.
        let listed = seen.clone();
        let referrers = self.referrers()?.leading_to(seen).into_iter();
        contents.referrers = referrers.filter(|one| !listed.contains(&one.descriptor.digest)).collect();
        for referrer in &contents.referrers {
            add_blobs(&mut contents.blobs, &self.manifest(&referrer.descriptor)?);
        }
        Ok(contents)
    }

    /// What an index lists, whatever it is.
    ///
    /// # Errors
    /// A blob that is missing, damaged, or no index.
    pub fn listed(&self, index: &Descriptor) -> Result<Vec<Descriptor>, LayoutError> {
        Ok(self.document::<Index>(index, media_type::INDEX)?.manifests)
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
}

fn add_blobs(blobs: &mut BTreeMap<Digest, Descriptor>, manifest: &Manifest) {
    let named = manifest.layers.iter().chain([&manifest.config]);
    blobs.extend(named.map(|blob| (blob.digest, blob.clone())));
}

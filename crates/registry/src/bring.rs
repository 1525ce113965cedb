//! Everything that a reference leads to, out of a registry and into a layout: indexes, manifests, configurations, layers,
//! each verified on its way. Documents come before what they name, and names are given by whoever asked for it, so that
//! nothing is visible before all of it is there.

use std::collections::BTreeSet;

use cache::Store;
use oci::Writer;
use oci::document::Descriptor;
use schema::Digest;
use schema::reference::{Reference, Repository};

use crate::connection::{CONNECTIONS, Registry};
use crate::error::{Fault, RegistryError};
use crate::manifests::Document;
use crate::parallel;
use crate::progress::{Event, Progress};

/// No reference leads to more manifests and indexes than that.
const DOCUMENTS: usize = 4096;

impl Registry<'_> {
    /// Brings what a reference leads to into a layout by way of the store, and gives what the reference leads to. Blobs that
    /// the layout or the store has are not fetched.
    ///
    /// # Errors
    /// A registry that cannot be reached or has no such thing; a document or a blob that is not what it should be.
    pub fn bring(
        &self,
        store: &Store,
        writer: &Writer<'_>,
        reference: &Reference,
        progress: &dyn Progress,
    ) -> Result<Descriptor, RegistryError> {
        self.bring_tree(store, writer, reference, progress).map_err(RegistryError::pull(reference))
    }

    fn bring_tree(
        &self,
        store: &Store,
        writer: &Writer<'_>,
        reference: &Reference,
        progress: &dyn Progress,
    ) -> Result<Descriptor, Fault> {
        let repository = reference.repository();
        let named = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => self.stored_document(store, repository, digest)?,
            (None, tag) => {
                let tag = tag.unwrap_or("latest");
                self.anywhere(repository, &reference.to_string(), |place| self.document(place, tag, None))?
            }
        };
        let root = named.descriptor.clone();
        let mut documents = vec![named];
        let (mut seen, mut blobs) = (BTreeSet::from([root.digest]), BTreeSet::new());
        let mut wanted: Vec<Descriptor> = Vec::new();
        // A document that names itself is found out by its digest, so this ends.
        let mut level = 0;
        while level < documents.len() {
            let next = named_by(&documents[level..], &mut wanted, &mut blobs)?;
            level = documents.len();
            let new: Vec<Digest> = next.into_iter().filter(|digest| seen.insert(*digest)).collect();
            if documents.len() + new.len() > DOCUMENTS {
                return Err(Fault::TooManyDocuments { limit: DOCUMENTS });
            }
            documents.extend(parallel::each(CONNECTIONS, &new, |digest| {
                self.stored_document(store, repository, *digest)
            })?);
        }
        self.bring_blobs(store, writer, repository, &wanted, progress)?;
        for document in documents.iter().rev() {
            writer.put_blob(&document.descriptor.digest, document.bytes())?;
        }
        writer.publish()?;
        Ok(root)
    }

    fn bring_blobs(
        &self,
        store: &Store,
        writer: &Writer<'_>,
        repository: &Repository,
        wanted: &[Descriptor],
        progress: &dyn Progress,
    ) -> Result<(), Fault> {
        let missing: Vec<&Descriptor> =
            wanted.iter().filter(|blob| writer.layout().blob(blob).is_err()).collect();
        let bytes = missing.iter().map(|blob| blob.size).sum();
        progress.tell(&Event::Begin { blobs: missing.len(), bytes });
        parallel::each(CONNECTIONS, &missing, |blob| {
            let fetched = self.blob(store, repository, blob, progress)?;
            writer.put_blob(&blob.digest, fetched.content())?;
            Ok::<_, Fault>(())
        })?;
        Ok(())
    }
}

/// The documents that some name, after their blobs were added to those that are wanted.
fn named_by(
    documents: &[Document],
    wanted: &mut Vec<Descriptor>,
    blobs: &mut BTreeSet<Digest>,
) -> Result<Vec<Digest>, Fault> {
    let mut named = Vec::new();
    for document in documents {
        if document.is_index() {
            named.extend(document.index()?.manifests.iter().map(|manifest| manifest.digest));
            continue;
        }
        let manifest = document.manifest()?;
        for blob in manifest.layers.into_iter().chain([manifest.config]) {
            let Descriptor { digest, size, .. } = blob;
            if size > crate::pull::LAYER_LIMIT {
                return Err(Fault::BlobTooLarge { digest, size, limit: crate::pull::LAYER_LIMIT });
            }
            if blobs.insert(digest) {
                wanted.push(blob);
            }
        }
    }
    Ok(named)
}

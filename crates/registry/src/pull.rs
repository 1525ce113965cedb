//! An image from a registry: its manifest chosen for a machine, its blobs in the store, each with its digest.

use std::collections::BTreeMap;

use cache::{Blob, Download, Failure, FetchError, Method, Request, Store};
use oci::document::{Descriptor, ImageConfig, Manifest};
use oci::media_type;
use schema::reference::{Reference, Repository};
use schema::{Architecture, Digest};

use crate::connection::{CONNECTIONS, Place, Registry};
use crate::error::{Fault, RegistryError};
use crate::manifests::{self, DOCUMENT_LIMIT, choose};
use crate::parallel;
use crate::progress::{BlobProgress, Event, Outcome, Progress};

/// The largest layer that is fetched, in bytes: far above every image met so far.
pub(crate) const LAYER_LIMIT: u64 = 8 << 30;

/// An image whose blobs are in a store.
#[derive(Debug, Clone)]
pub struct PulledImage {
    /// What was asked for, pinned to the manifest that was chosen.
    pub reference: Reference,
    /// Its configuration.
    pub config: ImageConfig,
    /// The bytes of its configuration.
    pub config_size: u64,
    /// Its layers, lowest first.
    pub layers: Vec<PulledLayer>,
}

/// A layer in a store.
#[derive(Debug, Clone)]
pub struct PulledLayer {
    /// The compressed layer.
    pub descriptor: Descriptor,
    /// The digest of its tar.
    pub diff_id: Digest,
    /// Its bytes.
    pub blob: Blob,
}

impl Registry<'_> {
    /// The digest of the manifest that a reference leads to for Linux on this architecture.
    ///
    /// # Errors
    /// A registry that cannot be reached or has no such image.
    pub fn resolve(
        &self,
        store: &Store,
        reference: &Reference,
        architecture: Architecture,
    ) -> Result<Digest, RegistryError> {
        let resolved = self.chosen(store, reference, architecture);
        resolved.map(|(descriptor, _)| descriptor.digest).map_err(RegistryError::pull(reference))
    }

    /// Brings the image that a reference leads to for Linux on this architecture into the store. What the store has is
    /// not fetched; with a digest and all of its blobs, nothing is asked.
    ///
    /// # Errors
    /// A registry that cannot be reached or has no such image; a document or blob that is not what it should be.
    pub fn pull(
        &self,
        store: &Store,
        reference: &Reference,
        architecture: Architecture,
        progress: &dyn Progress,
    ) -> Result<PulledImage, RegistryError> {
        self.pull_image(store, reference, architecture, progress).map_err(RegistryError::pull(reference))
    }

    fn pull_image(
        &self,
        store: &Store,
        reference: &Reference,
        architecture: Architecture,
        progress: &dyn Progress,
    ) -> Result<PulledImage, Fault> {
        let (descriptor, manifest) = self.chosen(store, reference, architecture)?;
        let repository = reference.repository();
        check_config(&manifest.config)?;
        manifest.layers.iter().try_for_each(check_layer)?;
        let mut blobs: Vec<&Descriptor> = manifest.layers.iter().chain([&manifest.config]).collect();
        blobs.sort_by_key(|blob| blob.digest);
        blobs.dedup_by_key(|blob| blob.digest);
        // The largest first: it decides when all of them are there.
        blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
        progress.tell(&Event::Begin { blobs: blobs.len(), bytes: blobs.iter().map(|blob| blob.size).sum() });
        let fetched =
            parallel::each(CONNECTIONS, &blobs, |blob| self.blob(store, repository, blob, progress))?;
        let fetched: BTreeMap<Digest, Blob> = fetched.into_iter().map(|blob| (blob.digest(), blob)).collect();

        let config: ImageConfig =
            manifests::read(&manifest.config, fetched[&manifest.config.digest].content())?;
        let diff_ids = &config.rootfs.diff_ids;
        if manifest.layers.len() != diff_ids.len() {
            let (layers, diff_ids) = (manifest.layers.len(), diff_ids.len());
            return Err(Fault::LayerCount { manifest: descriptor.digest, layers, diff_ids });
        }
        let layers = manifest.layers.iter().zip(diff_ids);
        let layers = layers.map(|(layer, diff_id)| PulledLayer {
            descriptor: layer.clone(),
            diff_id: *diff_id,
            blob: fetched[&layer.digest].clone(),
        });
        Ok(PulledImage {
            layers: layers.collect(),
            reference: reference.clone().pinned(descriptor.digest),
            config_size: manifest.config.size,
            config,
        })
    }

    /// The manifest that a reference leads to for a machine.
    fn chosen(
        &self,
        store: &Store,
        reference: &Reference,
        architecture: Architecture,
    ) -> Result<(Descriptor, Manifest), Fault> {
        let repository = reference.repository();
        let named = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => self.stored_document(store, repository, digest)?,
            (None, tag) => {
                let tag = tag.unwrap_or("latest");
                let named = self
                    .anywhere(repository, &reference.to_string(), |place| self.document(place, tag, None))?;
                store.put(named.bytes())?;
                named
            }
        };
        if named.is_index() {
            let index = named.index()?;
            let chosen = self.stored_document(store, repository, choose(&index, architecture)?.digest)?;
            return Ok((chosen.descriptor.clone(), chosen.manifest()?));
        }
        let manifest = named.manifest()?;
        let config = self.config(store, repository, &manifest)?;
        if config.os == "linux" && config.architecture == architecture.name() {
            Ok((named.descriptor.clone(), manifest))
        } else {
            let known = vec![format!("{}/{}", config.os, config.architecture)];
            Err(Fault::NoArchitecture { architecture, known })
        }
    }

    fn config(
        &self,
        store: &Store,
        repository: &Repository,
        manifest: &Manifest,
    ) -> Result<ImageConfig, Fault> {
        check_config(&manifest.config)?;
        let blob = self.blob(store, repository, &manifest.config, &())?;
        manifests::read(&manifest.config, blob.content())
    }

    /// A blob, of the store or fetched.
    pub(crate) fn blob(
        &self,
        store: &Store,
        repository: &Repository,
        descriptor: &Descriptor,
        progress: &dyn Progress,
    ) -> Result<Blob, Fault> {
        let Descriptor { digest, size, .. } = *descriptor;
        progress.tell(&Event::Blob { digest: &digest, size });
        let told = BlobProgress::new(digest, progress);
        let (blob, outcome) = match store.get(&digest)? {
            Some(blob) => (blob, Outcome::There),
            None => {
                let fetch = |place: Place<'_>| self.fetch(store, place, descriptor, &told);
                (self.anywhere(repository, &digest.to_string(), fetch)?, Outcome::Moved)
            }
        };
        told.done(size, outcome);
        Ok(blob)
    }

    /// A blob from one place. A token that ended is renewed, and what came so far is kept.
    fn fetch(
        &self,
        store: &Store,
        place: Place<'_>,
        descriptor: &Descriptor,
        told: &BlobProgress<'_>,
    ) -> Result<Blob, Fault> {
        let Descriptor { digest, size, .. } = *descriptor;
        let url = place.url(&format!("blobs/{digest}"));
        let download = Download { urls: vec![url.clone()], size, digest };
        let fetch = || {
            let authorization = self.authorization(place)?;
            Ok::<_, Fault>(self.client.fetch_as(authorization.as_deref(), store, &download, &told.attempt()))
        };
        let fetched = match fetch()? {
            Err(error) if status(&error) == Some(401) => {
                self.expect(place, &Request::new(Method::Head, &url), &[200])?;
                fetch()?
            }
            other => other,
        };
        fetched.map_err(|error| self.blob_fault(place, digest, &url, error))
    }

    fn blob_fault(&self, place: Place<'_>, digest: Digest, url: &str, error: FetchError) -> Fault {
        let address = url.to_owned();
        match (status(&error), error) {
            (Some(401 | 403), _) => {
                let is_known = self.authorization(place).is_ok_and(|value| value.is_some());
                Fault::Denied { address, said: Vec::new(), is_known }
            }
            (Some(429), FetchError::Failed { failures }) => {
                let retry_after = failures.iter().find_map(|failure| match &failure.fault {
                    cache::Fault::Status { retry_after, .. } => *retry_after,
                    _ => None,
                });
                Fault::RateLimited { address, said: Vec::new(), retry_after, quota: None }
            }
            (_, FetchError::Store(error)) => Fault::Store(error),
            (_, source) => Fault::Blob { digest, source },
        }
    }
}

/// A configuration is one of an image, and has a size that is accepted.
fn check_config(config: &Descriptor) -> Result<(), Fault> {
    let Descriptor { digest, size, ref media_type, .. } = *config;
    if ![media_type::CONFIG, media_type::DOCKER_CONFIG].contains(&media_type.as_str()) {
        return Err(Fault::MediaType { digest, found: media_type.clone() });
    }
    if size > DOCUMENT_LIMIT {
        return Err(Fault::BlobTooLarge { digest, size, limit: DOCUMENT_LIMIT });
    }
    Ok(())
}

/// A layer is of Linux, is in the registry, and has a size that is accepted.
fn check_layer(layer: &Descriptor) -> Result<(), Fault> {
    let Descriptor { digest, size, ref media_type, .. } = *layer;
    if media_type::is_foreign(media_type) {
        return Err(Fault::ForeignLayer { digest });
    }
    if !media_type::is_layer(media_type) {
        return Err(Fault::MediaType { digest, found: media_type.clone() });
    }
    if size > LAYER_LIMIT {
        return Err(Fault::BlobTooLarge { digest, size, limit: LAYER_LIMIT });
    }
    Ok(())
}

/// The status that a download ended with.
fn status(error: &FetchError) -> Option<u16> {
    match error {
        FetchError::Failed { failures } => match failures.as_slice() {
            [Failure { fault: cache::Fault::Status { status, .. }, .. }] => Some(*status),
            _ => None,
        },
        _ => None,
    }
}

//! Manifests and indexes: what a tag or a digest names, read whole and verified before it is understood.

use cache::{Method, Request, Store};
use oci::document::{self, Descriptor, Index, Manifest};
use oci::media_type;
use schema::reference::Repository;
use schema::{Architecture, Digest};
use serde::de::DeserializeOwned;

use crate::access::Scope;
use crate::connection::{Place, Registry};
use crate::error::Fault;

/// The largest manifest that registries have to take (OCI distribution specification, "Pushing Manifests").
pub(crate) const DOCUMENT_LIMIT: u64 = 4 << 20;

/// The forms that are understood; registries choose by them.
pub(crate) const FORMS: [&str; 4] =
    [media_type::INDEX, media_type::MANIFEST, media_type::DOCKER_LIST, media_type::DOCKER_MANIFEST];

/// A manifest or an index that has its digest.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) descriptor: Descriptor,
    bytes: Vec<u8>,
}

impl Document {
    pub(crate) fn is_index(&self) -> bool {
        [media_type::INDEX, media_type::DOCKER_LIST].contains(&self.descriptor.media_type.as_str())
    }

    fn is_manifest(&self) -> bool {
        [media_type::MANIFEST, media_type::DOCKER_MANIFEST].contains(&self.descriptor.media_type.as_str())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn index(&self) -> Result<Index, Fault> {
        if self.is_index() { self.read() } else { Err(self.other_form()) }
    }

    pub(crate) fn manifest(&self) -> Result<Manifest, Fault> {
        if self.is_manifest() { self.read() } else { Err(self.other_form()) }
    }

    fn other_form(&self) -> Fault {
        Fault::MediaType { digest: self.descriptor.digest, found: self.descriptor.media_type.clone() }
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        read(&self.descriptor, &self.bytes)
    }

    /// What these bytes are, by their own word or else by that of the server.
    fn new(bytes: Vec<u8>, content_type: Option<&str>) -> Self {
        let claimed = document::claimed_media_type(&bytes);
        let told = content_type.and_then(|value| value.split(';').next()).map(str::trim).unwrap_or_default();
        let media_type = claimed.unwrap_or_else(|| told.to_owned());
        Self { descriptor: Descriptor::of(&media_type, &bytes), bytes }
    }
}

/// Reads a document that was verified.
pub(crate) fn read<T: DeserializeOwned>(descriptor: &Descriptor, bytes: &[u8]) -> Result<T, Fault> {
    document::parse(bytes).map_err(|source| Fault::Malformed {
        digest: descriptor.digest,
        media_type: descriptor.media_type.clone(),
        source,
    })
}

impl Registry<'_> {
    /// What a tag or a digest names at one place.
    pub(crate) fn document(
        &self,
        place: Place<'_>,
        name: &str,
        expected: Option<Digest>,
    ) -> Result<Document, Fault> {
        let url = place.url(&format!("manifests/{name}"));
        let request = Request {
            headers: vec![("accept", FORMS.join(", "))],
            limit: DOCUMENT_LIMIT,
            ..Request::new(Method::Get, &url)
        };
        let answer = self.expect(place, &request, &[200])?;
        if answer.is_cut {
            return Err(Fault::TooLarge { address: url, limit: DOCUMENT_LIMIT });
        }
        let told = answer.header("docker-content-digest").and_then(|digest| digest.parse().ok());
        let content_type = answer.header("content-type").map(str::to_owned);
        let document = Document::new(answer.body, content_type.as_deref());
        let found = document.descriptor.digest;
        match expected.or(told) {
            Some(expected) if expected != found => {
                let size = document.descriptor.size;
                Err(Fault::WrongDigest { address: url, expected, found, size })
            }
            _ => Ok(document),
        }
    }

    /// What a tag leads to at one place, without reading it. None where it leads nowhere.
    pub(crate) fn tag(&self, place: Place<'_>, tag: &str) -> Result<Option<Digest>, Fault> {
        let url = place.url(&format!("manifests/{tag}"));
        let request =
            Request { headers: vec![("accept", FORMS.join(", "))], ..Request::new(Method::Head, &url) };
        let answer = self.expect(place, &request, &[200, 404])?;
        if answer.status == 404 {
            return Ok(None);
        }
        match answer.header("docker-content-digest").and_then(|digest| digest.parse().ok()) {
            Some(digest) => Ok(Some(digest)),
            // The header is not required of an answer to HEAD.
            None => self.document(place, tag, None).map(|document| Some(document.descriptor.digest)),
        }
    }

    /// The document of this digest: of the store, or from wherever the registry's images are.
    pub(crate) fn stored_document(
        &self,
        store: &Store,
        repository: &Repository,
        digest: Digest,
    ) -> Result<Document, Fault> {
        if let Some(blob) = store.get(&digest)? {
            return Ok(Document::new(blob.content().to_vec(), None));
        }
        let document = self.anywhere(repository, &digest.to_string(), |place| {
            self.document(place, &digest.to_string(), Some(digest))
        })?;
        store.put(&document.bytes)?;
        Ok(document)
    }

    /// The first success at the mirrors of a registry and at last itself.
    pub(crate) fn anywhere<T>(
        &self,
        repository: &Repository,
        what: &str,
        attempt: impl Fn(Place<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.client.is_offline() {
            return Err(Fault::Offline { what: what.to_owned() });
        }
        let mut faults = Vec::new();
        for endpoint in self.hosts.endpoints(repository.registry()) {
            let scope = Scope::pull(&endpoint.repository(repository.path()));
            let place = Place { endpoint: &endpoint, repository: repository.path(), scope: &scope };
            match attempt(place) {
                Ok(success) => return Ok(success),
                Err(fault @ Fault::Store(_)) => return Err(fault),
                Err(fault) => faults.push(fault),
            }
        }
        match faults.len() {
            1 => Err(faults.remove(0)),
            _ => Err(Fault::Everywhere(faults)),
        }
    }
}

/// The image of an index for Linux on this architecture; in gzip where it is there in other compressions too.
pub(crate) fn choose(index: &Index, architecture: Architecture) -> Result<&Descriptor, Fault> {
    let is_image = |manifest: &&Descriptor| {
        [media_type::MANIFEST, media_type::DOCKER_MANIFEST].contains(&manifest.media_type.as_str())
            && manifest.platform.as_ref().is_some_and(|platform| platform.is_linux(architecture))
    };
    let images = || index.manifests.iter().filter(is_image);
    let chosen = images().find(|image| !image.is_zstd()).or_else(|| images().next());
    chosen.ok_or_else(|| {
        let platforms = index.manifests.iter().filter_map(|manifest| manifest.platform.as_ref());
        // What is no image, as an attestation, has a platform of this name.
        let platforms = platforms.filter(|platform| platform.os != "unknown");
        let mut known: Vec<String> =
            platforms.map(|platform| format!("{}/{}", platform.os, platform.architecture)).collect();
        known.sort();
        known.dedup();
        Fault::NoArchitecture { architecture, known }
    })
}

#[cfg(test)]
mod tests {
    use oci::document::Platform;

    use super::*;

    #[test]
    fn an_image_is_chosen_by_its_machine_and_compression() {
        let manifest = |content: &str, media_type: &str, platform: Option<Platform>| Descriptor {
            platform,
            ..Descriptor::of(media_type, content.as_bytes())
        };
        let linux = |architecture| Some(Platform::linux(architecture));
        let mut zstd = manifest("zstd", media_type::MANIFEST, linux(Architecture::Amd64));
        zstd.annotations.insert(oci::annotation::ZSTD.to_owned(), "true".to_owned());
        let unknown = Platform { architecture: "unknown".into(), os: "unknown".into(), variant: None };
        let gzip = manifest("gzip", media_type::DOCKER_MANIFEST, linux(Architecture::Amd64));
        let index =
            |manifests: &[&Descriptor]| Index::new(manifests.iter().map(|one| (*one).clone()).collect());
        let attestation = manifest("attestation", media_type::MANIFEST, Some(unknown));
        let nested = manifest("nested", media_type::INDEX, linux(Architecture::Arm64));
        let all = index(&[&zstd, &attestation, &nested, &gzip]);
        assert_eq!(choose(&all, Architecture::Amd64).unwrap(), &gzip);
        assert_eq!(choose(&index(&[&zstd]), Architecture::Amd64).unwrap(), &zstd);
        let fault = choose(&index(&[&zstd, &attestation]), Architecture::Arm64).unwrap_err();
        assert!(matches!(fault, Fault::NoArchitecture { known, .. } if known == ["linux/amd64"]));
    }
}

//! Signatures of released images, made by cosign: of each index with all of its manifests, and attestations of each
//! manifest about what is in it and where it comes from. Everything is named by its digest, so that a tag which moves
//! meanwhile changes nothing. Where no key is given, cosign signs with the identity of whoever runs it.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{Command, Output};

use fs_err as fs;
use oci::document::Descriptor;
use schema::Digest;
use schema::reference::Repository;
use schema::run::{ImageRecord, SbomRecord};

use crate::provenance::Origin;
use crate::release::{Release, ReleasedImage};
use crate::selection::{PlanError, Selection};
use crate::{BuildError, Builder};

/// The program.
const COSIGN: &str = "cosign";
/// cosign's name for a predicate of SLSA's, version 1 (cosign-attest(1), `--type`).
const PROVENANCE: &str = "slsaprovenance1";
/// cosign's names for documents about contents, by their media types.
const DOCUMENTS: [(&str, &str); 2] =
    [("application/spdx+json", "spdxjson"), ("application/vnd.cyclonedx+json", "cyclonedx")];

/// What keeps images from being signed.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The layout or the lock cannot be read.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The layout cannot be read.
    #[error(transparent)]
    Layout(#[from] oci::LayoutError),
    /// The images are not of the matrix.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// cosign is not there.
    #[error("cannot start cosign")]
    NoCosign(#[source] io::Error),
    /// cosign did not sign.
    #[error("cosign cannot {action} {image}: {said}")]
    Refused {
        /// `sign` or `attest`.
        action: &'static str,
        /// The image, by digest.
        image: String,
        /// What cosign said.
        said: String,
    },
    /// What is to be attested cannot be written where cosign reads it.
    #[error("cannot write what is to be attested")]
    Predicate(#[source] io::Error),
}

impl SigningError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Build(error) => error.hint(),
            Self::Layout(error) => error.hint(),
            Self::Plan(error) => error.hint(),
            Self::NoCosign(_) => Some("install cosign, as `.ci/cosign` does on Debian".to_owned()),
            Self::Refused { .. } | Self::Predicate(_) => None,
        }
    }
}

/// What is to be signed, and how.
#[derive(Debug)]
pub struct Signing<'a> {
    /// The images.
    pub release: &'a Release,
    /// Where they were released.
    pub repository: &'a Repository,
    /// Who built them.
    pub origin: &'a Origin,
    /// Further arguments of cosign, as `--key` and its file.
    pub arguments: &'a [OsString],
}

impl Builder {
    /// Signs every image of a release, and attests what is in each manifest and where it comes from; `signed` hears of each
    /// image. Again is as good as once: what was attested before is replaced.
    ///
    /// # Errors
    /// A cosign that is not there or does not sign; an image that cannot be read.
    pub fn sign(&self, signing: &Signing<'_>, signed: &dyn Fn(&ReleasedImage)) -> Result<(), SigningError> {
        let targets = self.plan(&Selection::every())?;
        let folder = tempfile::tempdir().map_err(SigningError::Predicate)?;
        for image in &signing.release.images {
            signing.cosign("sign", &["--recursive"], image.index.digest)?;
            for record in &image.records {
                let is_its = |target: &&crate::plan::Target| {
                    target.name == record.name && target.architecture == record.architecture
                };
                let target = targets.iter().find(is_its).expect("what is released is of the matrix");
                let provenance = self.provenance(target, signing.origin)?;
                let json = serde_json::to_vec(&provenance).expect("strings can be written as JSON");
                let file = folder.path().join("provenance.json");
                fs::write(&file, json).map_err(SigningError::Predicate)?;
                for manifest in self.manifests_of(image, record)? {
                    signing.attest(PROVENANCE, &file, manifest.digest)?;
                    for SbomRecord { file, media_type, .. } in &record.sboms {
                        let known = DOCUMENTS.iter().find(|(known, _)| known == media_type);
                        if let Some((_, kind)) = known {
                            signing.attest(kind, &self.options.dist.join(file), manifest.digest)?;
                        }
                    }
                }
            }
            signed(image);
        }
        Ok(())
    }

    /// The manifests of an image for the architecture of a record, in each compression.
    fn manifests_of(
        &self,
        image: &ReleasedImage,
        record: &ImageRecord,
    ) -> Result<Vec<Descriptor>, SigningError> {
        let index = self.layout()?.image_index(&image.name, image.index.clone())?;
        let is_its = |manifest: &Descriptor| {
            manifest.platform.as_ref().is_some_and(|platform| platform.is_linux(record.architecture))
        };
        Ok(index.images.into_iter().filter(is_its).collect())
    }
}

impl Signing<'_> {
    fn attest(&self, kind: &str, predicate: &Path, digest: Digest) -> Result<(), SigningError> {
        let predicate = predicate.to_string_lossy();
        self.cosign("attest", &["--replace", "--type", kind, "--predicate", &predicate], digest)
    }

    fn cosign(&self, action: &'static str, arguments: &[&str], digest: Digest) -> Result<(), SigningError> {
        let image = self.repository.at(digest).to_string();
        let mut command = Command::new(COSIGN);
        command.arg(action).arg("--yes").args(arguments).args(self.arguments).arg(&image);
        let Output { status, stderr, .. } = command.output().map_err(SigningError::NoCosign)?;
        if status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&stderr).trim().to_owned();
        Err(SigningError::Refused { action, image, said })
    }
}

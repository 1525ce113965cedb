//! What images declare: a bill of materials of each in every format, as referrers of its manifests in the layout and as
//! files in a folder beside it. They are about what is in the image, so those of its manifests, which hold the same in
//! another compression, are the same.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use oci::document::Descriptor;
use oci::{Layout, LayoutError, Listing, NewArtifact, NewBlob, NewImage, Referrer, Writer};
use rayon::prelude::*;
use sbom::{Contents, Format};
use schema::Digest;
use schema::run::SbomRecord;

use crate::assemble::{Assembly, Placed, Ways};
use crate::build::Built;
use crate::plan::Target;
use crate::replace::replace_copy;
use crate::{BuildError, Builder};

/// The folder of the documents, in that of images and records.
const FOLDER: &str = "sbom";

/// What an image was declared to hold.
pub(crate) struct Declared {
    /// The documents.
    pub(crate) records: Vec<SbomRecord>,
    /// What refers to each manifest of the image.
    pub(crate) referrers: Vec<Referrer>,
}

/// The name of a document: `ruby-3.3-trixie-amd64.spdx.json`. No letter in it is special to any file system or archive.
fn file_name(target: &Target, format: Format) -> String {
    let image = target.name.replace([':', '/'], "-");
    format!("{image}-{}{}", target.architecture, format.file_ending())
}

/// Puts the bills of materials of an image into the layout, about each of its manifests; they refer to them once they are
/// listed.
///
/// # Errors
/// A blob that cannot be written.
pub(crate) fn put(
    assembly: &Assembly<'_>,
    images: &Ways<NewImage>,
    contents: &Contents,
    writer: &Writer<'_>,
    placed: &Placed,
) -> Result<Declared, LayoutError> {
    let image = assembly.declared(images.first.descriptor.digest);
    let mut declared = Declared { records: Vec::new(), referrers: Vec::new() };
    for format in Format::ALL {
        let document = NewBlob::new(format.render(&image, contents));
        let file = file_name(assembly.target, format);
        for NewImage { descriptor, .. } in [&images.first].into_iter().chain(&images.zstd) {
            let artifact = NewArtifact::new(descriptor, format.media_type(), &file, document.clone());
            writer.put_artifact(&artifact)?;
            declared.referrers.push(artifact.referrer);
        }
        let (digest, size) = (document.digest(), document.len() as u64);
        placed.insert(digest);
        let (file, media_type) = (format!("{FOLDER}/{file}"), format.media_type().to_owned());
        declared.records.push(SbomRecord { file, media_type, digest, size });
    }
    Ok(declared)
}

/// Lists the documents about built images, in place of those that an earlier run made about the same manifests: these are
/// called the same. What others attached to them stays.
pub(crate) fn list(built: &[&Built], listing: &mut Listing) {
    let manifests = built.iter().flat_map(|built| [&built.descriptor].into_iter().chain(&built.zstd));
    let subjects: BTreeSet<Digest> = manifests.map(|manifest| manifest.digest).collect();
    let files: BTreeSet<&str> =
        documents(built).filter_map(|document| document.file.rsplit('/').next()).collect();
    let is_ours = |referrer: &Referrer| {
        subjects.contains(&referrer.subject)
            && referrer.title.as_deref().is_some_and(|title| files.contains(title))
    };
    listing.referrers.retain(|_, referrer| !is_ours(referrer));
    listing.refer(built.iter().flat_map(|built| built.referrers.iter().cloned()));
}

impl Builder {
    /// Writes the documents of built images as files, where they are not there yet.
    ///
    /// # Errors
    /// A file that cannot be written, or a document that cannot be read.
    pub(crate) fn write_documents(&self, layout: &Layout, built: &[&Built]) -> Result<(), BuildError> {
        let dist = &self.options.dist;
        let folder = dist.join(FOLDER);
        fs::create_dir_all(&folder).map_err(BuildError::Documents)?;
        let documents: Vec<&SbomRecord> = documents(built).collect();
        let write = |document: &&SbomRecord| -> Result<(), BuildError> {
            let SbomRecord { file, media_type, digest, size } = document;
            let path = dist.join(file);
            // One that is not there, or cannot be read, is replaced.
            if !self.store.digest_of(&path).is_ok_and(|found| found == *digest) {
                replace_copy(&path, &layout.blob(&Descriptor::new(media_type, *digest, *size))?)?;
            }
            Ok(())
        };
        documents.par_iter().map(write).collect::<Result<Vec<()>, _>>()?;
        Ok(())
    }

    /// Removes the files of documents about other images than these. What else somebody put beside them stays.
    ///
    /// # Errors
    /// A file that cannot be removed.
    pub(crate) fn remove_other_documents(&self, built: &[&Built]) -> Result<(), BuildError> {
        let dist = &self.options.dist;
        let kept: BTreeSet<PathBuf> = documents(built).map(|document| dist.join(&document.file)).collect();
        remove_others(&dist.join(FOLDER), &kept).map_err(BuildError::Documents)
    }
}

fn documents<'a>(built: &[&'a Built]) -> impl Iterator<Item = &'a SbomRecord> {
    built.iter().flat_map(|built| &built.record.sboms)
}

/// Removes the documents of a folder that are not to be kept.
fn remove_others(folder: &Path, kept: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_document = Format::ALL.iter().any(|format| name.ends_with(format.file_ending()));
        if is_document && !kept.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

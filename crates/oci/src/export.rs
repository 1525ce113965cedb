//! Handing an image on: as a layout of its own, as the archive that `docker save` writes, or as a plain folder.
//!
//! Invariants: the same image gives the same bytes; what is at the output is replaced only when that is asked for, by
//! something whole, and only if it is an earlier export or as good as nothing; an export that fails leaves nothing
//! behind.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use fs_err::File;
use rootfs::{DirectoryError, Entry, Metadata, Origin, Ownership, RootPath, TarOptions, Tree, WriteError};
use serde::Serialize;

use crate::document;
use crate::error::LayoutError;
use crate::image::Image;
use crate::image_index::{ImageIndex, Part};
use crate::layout::Layout;
use crate::output::{Form, Output};
use crate::reference::Reference;

/// What to do with something that is at the output already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Leave it, and fail.
    Refuse,
    /// Put the export in its place, where it is one of the same form: for an archive any file, for the others a
    /// folder that is empty or holds an earlier export.
    Replace,
}

/// Why an image was not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Something is there already.
    #[error("cannot export to `{}`: it exists", .0.display())]
    Exists(PathBuf),
    /// Something is there already that is not replaced, whatever is asked for.
    #[error("cannot export to `{}`: it exists, and {what}", path.display())]
    NotReplaceable {
        /// The output.
        path: PathBuf,
        /// What keeps it from being replaced.
        what: &'static str,
    },
    /// Docker knows images by a repository and a tag.
    #[error("cannot export `{0}` for Docker: it has no form `repository:tag`")]
    NoTag(Reference),
    /// The image, or the layout that it goes to, is at fault.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The archive could not be written to a file.
    #[error("cannot write the archive `{}`", path.display())]
    Archive {
        /// Where it should go.
        path: PathBuf,
        /// What failed.
        source: WriteError,
    },
    /// The archive could not be written to a stream.
    #[error("cannot write the archive")]
    Stream(#[source] WriteError),
    /// The folder could not be written.
    #[error("cannot write the files of the image to `{}`", path.display())]
    Directory {
        /// Where they should go.
        path: PathBuf,
        /// What failed.
        source: DirectoryError,
    },
    /// The operating system refused something.
    #[error("cannot export to `{}`", path.display())]
    Io {
        /// The output.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The export is where it should be, and what was there before is beside it still.
    #[error("cannot remove `{}`, which holds what the export replaced", path.display())]
    Leftover {
        /// The folder beside the output.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
}

impl ExportError {
    /// What to do next, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Exists(_) => Some("name another output, or replace this one with `--force`".to_owned()),
            Self::NotReplaceable { .. } => {
                Some("name another output: `--force` does not replace this one".to_owned())
            }
            Self::Layout(error) => error.hint(),
            Self::Directory { source, .. } => source.hint(),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("make the folder that it goes into first".to_owned())
            }
            Self::NoTag(_)
            | Self::Archive { .. }
            | Self::Stream(_)
            | Self::Io { .. }
            | Self::Leftover { .. } => None,
        }
    }
}

/// Exports `index` as an OCI image layout in the folder `output`, under each of `references`: all of its images, or a
/// part of them, with everything that refers to them.
///
/// # Errors
/// An image that is damaged or not there, an output that exists or cannot be written.
pub fn oci_layout(
    index: &ImageIndex,
    part: Part,
    references: &[Reference],
    output: &Path,
    existing: Existing,
) -> Result<(), ExportError> {
    let source = index.layout();
    let part = index.only(part)?;
    let form = Form::Layout { source: source.directory() };
    Output { path: output, existing, form }.publish(|staged| {
        let layout = Layout::create(staged)?;
        let writer = layout.writer()?;
        let (named, mut blobs) = match &part {
            None => (&index.descriptor, source.reach([index.descriptor.clone()])?),
            Some(part) => {
                writer.put_index(part)?;
                (&part.descriptor, source.reach(part.images.iter().cloned())?)
            }
        };
        let subjects = blobs.iter().map(|(digest, _)| *digest).collect();
        let referrers = source.referrers()?.leading_to(subjects);
        blobs.extend(source.reach(referrers.iter().map(|referrer| referrer.descriptor.clone()))?);
        for (digest, size) in blobs {
            writer.put_blob(&digest, &source.bytes(digest, size)?)?;
        }
        writer.set_listing(|listing| {
            listing.names.extend(references.iter().map(|reference| (reference.clone(), named.clone())));
            listing.refer(referrers);
            Ok(())
        })?;
        Ok(())
    })
}

/// Exports `image` as the tar file `output` that `docker load`, Podman and skopeo read, tagged with `references`.
///
/// # Errors
/// An image that is damaged, a reference that is no tag, an output that exists or cannot be written.
pub fn docker_archive(
    image: &Image,
    references: &[Reference],
    output: &Path,
    existing: Existing,
) -> Result<(), ExportError> {
    let archive = docker_archive_tree(image, references)?;
    let output = Output { path: output, existing, form: Form::Archive };
    output.publish(|staged| {
        let at = |source| output.io(source);
        let mut file = BufWriter::new(File::create(staged).map_err(at)?);
        write_archive(&archive, &mut file)
            .map_err(|source| ExportError::Archive { path: output.path.to_owned(), source })?;
        file.into_inner().map_err(|error| at(error.into_error()))?.sync_all().map_err(at)
    })
}

/// Writes the archive that [`docker_archive`] makes to `out`. What was written counts only if this succeeds.
///
/// # Errors
/// An image that is damaged, a reference that is no tag, an error of `out`.
pub fn stream_docker_archive(
    image: &Image,
    references: &[Reference],
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    let archive = docker_archive_tree(image, references)?;
    write_archive(&archive, out).map_err(ExportError::Stream)
}

/// Exports the files of `image` to the folder `output`, which becomes the root of its filesystem. A folder that has
/// something at `mark` is taken for such an export, and may be replaced by another one.
///
/// # Errors
/// An image that is damaged, an output that exists or cannot be written.
pub fn directory(
    image: &Image,
    output: &Path,
    existing: Existing,
    ownership: Ownership,
    mark: &RootPath,
) -> Result<(), ExportError> {
    let tree = image.tree()?;
    Output { path: output, existing, form: Form::Root { mark } }.publish(|staged| {
        rootfs::write_directory(&tree, staged, ownership)
            .map_err(|source| ExportError::Directory { path: output.to_owned(), source })
    })
}

/// An entry of `manifest.json` in a Docker archive.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    layers: Vec<String>,
    repo_tags: Vec<String>,
}

/// The archive as the tree of its files: the configuration, each layer's tar, and `manifest.json`, which ties them
/// together (Docker image specification, v1.2, "Combined Image JSON + Filesystem Changeset Format").
fn docker_archive_tree(image: &Image, references: &[Reference]) -> Result<Tree, ExportError> {
    let tag = |reference: &Reference| match reference.repository_and_tag() {
        Some(_) => Ok(reference.to_string()),
        None => Err(ExportError::NoTag(reference.clone())),
    };
    let layer_name = |diff_id: &schema::Digest| format!("{}.tar", diff_id.hex());
    let manifest = DockerManifest {
        config: format!("{}.json", image.manifest.config.digest.hex()),
        layers: image.layers.iter().map(|layer| layer_name(&layer.diff_id)).collect(),
        repo_tags: references.iter().map(tag).collect::<Result<_, _>>()?,
    };
    let mut archive = Tree::new();
    let mut add = |name: &str, content: rootfs::Content| {
        let path = RootPath::parse(name).expect("the name is made of hexadecimal digits and an ending");
        archive
            .insert(path, Entry::file(Metadata::root(0o644), content, Origin::default()))
            .expect("a file at the root of an empty tree has a folder as its parent");
    };
    add("manifest.json", document::canonical(&[&manifest]).into());
    add(&manifest.config, image.layout().blob(&image.manifest.config)?);
    let mut added = BTreeSet::new();
    for layer in &image.layers {
        // Two layers may be the same tar.
        if added.insert(layer.diff_id) {
            add(&layer_name(&layer.diff_id), image.layer_tar(layer)?);
        }
    }
    Ok(archive)
}

fn write_archive(archive: &Tree, out: &mut dyn Write) -> Result<(), WriteError> {
    rootfs::write_tar(archive, out, &TarOptions::default()).map(drop)
}

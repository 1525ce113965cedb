//! What can be wrong with a layout or an image in it.

use std::io;
use std::path::{Path, PathBuf};

use rootfs::{StackError, TarError};
use schema::{Architecture, Digest};

use crate::image_index::Prefer;
use crate::reference::Reference;
use crate::unpack::UnpackError;

/// How many references a hint lists.
const LISTED: usize = 8;

/// A layout that could not be read or written as it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{fault} (image layout `{}`)", layout.display())]
pub struct LayoutError {
    /// The folder of the layout.
    pub layout: PathBuf,
    /// What is wrong.
    #[source]
    pub fault: Box<Fault>,
}

/// What is wrong with a layout.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The operating system refused something.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Which file it was, and why it failed.
        source: io::Error,
    },
    /// There is no layout in the folder.
    #[error("cannot find an image layout: there is no file `oci-layout`")]
    NoLayout,
    /// The layout follows another version of the specification.
    #[error("cannot read an image layout of version `{0}`: expected 1.0.0")]
    LayoutVersion(String),
    /// A file of the layout or a blob is not the document that it should be.
    #[error("cannot read `{}`: it is not the JSON that is expected there", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and at which line and column.
        source: serde_json::Error,
    },
    /// A document is larger than any that is accepted.
    #[error("cannot read `{}`: it has {size} bytes, the limit is {limit}", path.display())]
    DocumentTooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// How many bytes are accepted.
        limit: u64,
    },
    /// No image has this name.
    #[error("cannot find an image with the reference `{reference}`")]
    NoReference {
        /// The name that was asked for.
        reference: String,
        /// The names that there are.
        known: Vec<Reference>,
    },
    /// A name leads to images, and none of them is for the machine that is meant.
    #[error("cannot find an image for {architecture} under `{name}`")]
    NoArchitecture {
        /// The name, or the digest where there is none.
        name: String,
        /// What was asked for.
        architecture: Architecture,
        /// The machines that there are images for.
        known: Vec<String>,
    },
    /// A name leads to images, and none of them is in the compression that is meant.
    #[error("cannot find an image in {compression} under `{name}`")]
    NoCompression {
        /// The name, or the digest where there is none.
        name: String,
        /// What was asked for.
        compression: Prefer,
    },
    /// Two entries of the index have the same name.
    #[error("cannot tell which image `{0}` is: the index has the reference twice")]
    DoubledReference(Reference),
    /// A blob that something names is not there.
    #[error("cannot find the blob {0}")]
    NoBlob(Digest),
    /// A blob is not as long as what names it says.
    #[error("the blob {digest} has {found} bytes, expected {expected}")]
    BlobSize {
        /// The name of the blob.
        digest: Digest,
        /// The bytes that its descriptor says.
        expected: u64,
        /// The bytes that it has.
        found: u64,
    },
    /// The bytes of a blob do not have the digest that it is named by.
    #[error("the blob {expected} is damaged: its bytes have the digest {found}")]
    BlobDigest {
        /// The name of the blob.
        expected: Digest,
        /// The digest of its bytes.
        found: Digest,
    },
    /// A blob is no document of the kind that is needed.
    #[error("the blob {digest} has the media type `{found}`, expected `{expected}`")]
    MediaType {
        /// The name of the blob.
        digest: Digest,
        /// The media type that is needed.
        expected: &'static str,
        /// The media type that its descriptor says.
        found: String,
    },
    /// Manifest and configuration of an image contradict one another.
    #[error("the image {manifest} has {layers} layers, its configuration {diff_ids}")]
    LayerCount {
        /// The digest of the manifest.
        manifest: Digest,
        /// How many layers the manifest lists.
        layers: usize,
        /// How many the configuration lists.
        diff_ids: usize,
    },
    /// A layer does not give the tar that it should.
    #[error("cannot unpack the layer {digest}")]
    Layer {
        /// The digest of the layer.
        digest: Digest,
        /// What is wrong with it.
        source: UnpackError,
    },
    /// A layer's tar is not one of an image.
    #[error("cannot read the tar of the layer {digest}")]
    Tar {
        /// The digest of the layer.
        digest: Digest,
        /// What is wrong with it.
        source: TarError,
    },
    /// A layer does not go on top of those below it.
    #[error("cannot stack the layer {digest}")]
    Stack {
        /// The digest of the layer.
        digest: Digest,
        /// What is wrong with it.
        source: StackError,
    },
}

impl LayoutError {
    pub(crate) fn new(layout: &Path, fault: Fault) -> Self {
        Self { layout: layout.to_owned(), fault: Box::new(fault) }
    }

    /// What to do next, where there is something.
    pub fn hint(&self) -> Option<String> {
        match &*self.fault {
            Fault::NoLayout => Some("build an image first".to_owned()),
            Fault::LayoutVersion(_)
            | Fault::Malformed { .. }
            | Fault::DocumentTooLarge { .. }
            | Fault::DoubledReference(_) => Some(format!(
                "remove the folder `{}` and build again: nothing is in it that cannot be built",
                self.layout.display()
            )),
            Fault::NoReference { known, .. } if known.is_empty() => {
                Some("the layout names no image yet: build one first".to_owned())
            }
            Fault::NoReference { known, .. } => {
                let listed: Vec<&str> = known.iter().take(LISTED).map(Reference::as_str).collect();
                let more = if known.len() > LISTED { ", ..." } else { "" };
                Some(format!("there is {}{more}", listed.join(", ")))
            }
            Fault::NoArchitecture { known, .. } if !known.is_empty() => {
                Some(format!("there is one for {}", known.join(" and ")))
            }
            Fault::NoCompression { .. } => Some(
                "leave it to the image, or build with `compression = \"both\"` in matrix.toml".to_owned(),
            ),
            Fault::NoBlob(_) | Fault::BlobSize { .. } | Fault::BlobDigest { .. } => {
                Some("build all images again: what is damaged is written anew".to_owned())
            }
            Fault::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => Some(
                "the disk is full: free some space and run it again; nothing incomplete was kept".to_owned(),
            ),
            _ => None,
        }
    }
}

//! OCI images: layers, config, manifest, index, layout and archives.
//!
//! A tar is packed into a layer ([`pack()`]), layers and a configuration make an image ([`NewImage`]), and the images of
//! one reference, for each architecture and compression, make an index ([`NewIndex`]). Indexes live under references in a
//! [`Layout`], from which they are read back ([`ImageIndex`], [`Image`]) and handed on ([`export`]). A document about any
//! of them is a referrer ([`NewArtifact`]).
//!
//! Invariants: the same values give the same bytes; every blob is verified against its digest before it is used; and
//! the index file of a layout names whole images only, whenever it is looked at.
//!
//! Terms follow the OCI image specification, v1.1.

pub mod annotation;
pub mod document;
pub mod export;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod media_type;

mod artifact;
mod atomic;
mod contents;
mod docker_archive;
mod error;
mod image;
mod image_index;
mod layout;
mod new_blob;
mod new_image;
mod new_index;
mod output;
mod pack;
mod reference;
mod sweep;
mod unpack;
mod writer;

pub use artifact::{NewArtifact, NewDocument, Referrer, Referrers};
pub use contents::Contents;
pub use docker_archive::{ArchiveError, ArchivedImage};
pub use error::{Fault, LayoutError};
pub use image::{Image, ImageLayer};
pub use image_index::{ImageIndex, Part, Prefer};
pub use layout::Layout;
pub use new_blob::NewBlob;
pub use new_image::{NewImage, NewLayer, Recipe};
pub use new_index::NewIndex;
pub use pack::{Compression, PackError, Packed, PackedLayer, compress, pack};
pub use reference::{Reference, ReferenceError};
pub use sweep::Swept;
pub use unpack::{UnpackError, decompress, unpack};
pub use writer::{Listing, Writer};

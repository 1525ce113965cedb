//! OCI images: layers, config, manifest, index, layout and archives.
//!
//! A tar is packed into a layer ([`pack()`]), layers and a configuration make an image ([`NewImage`]), and images live
//! under references in a [`Layout`], from which they are read back ([`Image`]) and handed on ([`export`]).
//!
//! Invariants: the same values give the same bytes; every blob is verified against its digest before it is used; and
//! the index of a layout names whole images only, whenever it is looked at.
//!
//! Terms follow the OCI image specification, v1.1.

pub mod annotation;
pub mod document;
pub mod export;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod media_type;

mod atomic;
mod error;
mod image;
mod layout;
mod new_image;
mod output;
mod pack;
mod reference;
mod sweep;
mod unpack;
mod writer;

pub use error::{Fault, LayoutError};
pub use image::{Image, ImageLayer};
pub use layout::Layout;
pub use new_image::{NewImage, NewLayer, Recipe};
pub use pack::{Compression, PackError, Packed, PackedLayer, pack};
pub use reference::{Reference, ReferenceError};
pub use sweep::Swept;
pub use unpack::UnpackError;
pub use writer::Writer;

//! Bills of materials: what an image holds, said in the two formats that scanners and lawyers read.
//!
//! [`Contents`] is what is in an image, as plain data; a [`Format`] turns it and what the [`Image`] is called into the
//! bytes of a document. Nothing else decides these bytes: equal ones give equal bytes, in whatever order they are listed.
//!
//! [`Copyright`] reads a Debian copyright file into an SPDX licence expression, [`Specification`] a gem's
//! specification. Both are total: they take any bytes, and what they cannot read they do not assert.

mod contents;
mod cyclonedx;
mod gems;
mod identifiers;
mod licences;
mod purl;
mod spdx;

pub use contents::{
    Checksums, Contents, CopyrightFile, Distro, File, Format, Gem, Image, Owner, Package, PulledImage,
    Software, Source, Tarball,
};
pub use gems::{Specification, SpecificationError};
pub use licences::{Copyright, Expression, LicenceText};

//! Bytes that are about to become a blob, with their digest.

use std::ops::Deref;

use rootfs::Content;
use schema::Digest;

use crate::document::Descriptor;

/// Bytes that are not in a layout yet, hashed once. A clone shares them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBlob {
    bytes: Content,
    digest: Digest,
}

impl NewBlob {
    /// The blob that has these bytes.
    pub fn new(bytes: impl Into<Content>) -> Self {
        let bytes = bytes.into();
        Self { digest: Digest::of(&bytes), bytes }
    }

    /// Its digest.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// It as something of this media type.
    pub fn descriptor(&self, media_type: &str) -> Descriptor {
        Descriptor::new(media_type, self.digest, self.bytes.len() as u64)
    }
}

impl Deref for NewBlob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

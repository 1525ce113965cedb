//! Putting the images of one reference together.

use schema::Digest;

use crate::document::{self, Annotations, Descriptor, Index};
use crate::media_type;

/// An index that is not in a layout yet: what one reference names, whatever the machine and the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIndex {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its descriptor.
    pub descriptor: Descriptor,
    /// The manifests that it lists, in its order.
    pub images: Vec<Descriptor>,
}

impl NewIndex {
    /// The index of these images, in any order, each as [`crate::NewImage::descriptor`].
    ///
    /// Those in gzip come first, as podman orders them: a client that does not know the mark of zstd takes the first one
    /// for its machine, and can read it.
    pub fn new(images: impl IntoIterator<Item = Descriptor>, annotations: Annotations) -> Self {
        let mut images: Vec<Descriptor> = images.into_iter().collect();
        images.sort_by_cached_key(order);
        images.dedup();
        let mut index = Index::new(images.clone());
        index.annotations = annotations;
        let bytes = document::canonical(&index);
        Self { descriptor: Descriptor::of(media_type::INDEX, &bytes), bytes, images }
    }
}

fn order(image: &Descriptor) -> (bool, Option<[String; 3]>, Digest) {
    let platform = image.platform.as_ref().map(|platform| {
        let variant = platform.variant.clone().unwrap_or_default();
        [platform.os.clone(), platform.architecture.clone(), variant]
    });
    (image.is_zstd(), platform, image.digest)
}

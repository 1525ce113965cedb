//! Putting an image together from packed layers.

use jiff::Timestamp;
use schema::{Architecture, Digest};

use crate::document::{
    self, Annotations, Descriptor, Execution, History, ImageConfig, Manifest, Platform, RootFilesystem,
};
use crate::new_blob::NewBlob;
use crate::pack::PackedLayer;
use crate::{annotation, media_type};

/// Everything that an image is, apart from its layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The processor that it is for.
    pub architecture: Architecture,
    /// The time that it and its layers claim to be made at: a fixed one, or the digest changes with every run.
    pub created: Timestamp,
    /// How a container starts.
    pub execution: Execution,
    /// Annotations of the manifest.
    pub annotations: Annotations,
}

/// A layer, and what the image's history says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLayer {
    /// The layer.
    pub layer: PackedLayer,
    /// What made it.
    pub created_by: String,
    /// What it is.
    pub comment: String,
}

/// The documents of an image that is not in a layout yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewImage {
    /// The configuration.
    pub config: NewBlob,
    /// The manifest.
    pub manifest: NewBlob,
    /// The descriptor of the manifest, with its platform, and marked where a layer is in zstd.
    pub descriptor: Descriptor,
}

impl NewImage {
    /// The image that has these layers, lowest first.
    pub fn new(recipe: Recipe, layers: Vec<NewLayer>) -> Self {
        let Recipe { architecture, created, execution, annotations } = recipe;
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| layer.layer.diff_id).collect();
        let descriptors: Vec<Descriptor> = layers.iter().map(|layer| layer.layer.descriptor()).collect();
        let is_zstd = descriptors.iter().any(|layer| layer.media_type == media_type::LAYER_ZSTD);
        let history = layers.into_iter().map(|layer| History {
            comment: Some(layer.comment),
            created: Some(created),
            created_by: Some(layer.created_by),
            empty_layer: false,
        });
        let platform = Platform::linux(architecture);
        let config = NewBlob::new(document::canonical(&ImageConfig {
            architecture: platform.architecture.clone(),
            config: execution,
            created: Some(created),
            history: history.collect(),
            os: platform.os.clone(),
            rootfs: RootFilesystem::new(diff_ids),
            variant: None,
        }));
        let manifest = Manifest::new(config.descriptor(media_type::CONFIG), descriptors, annotations);
        let manifest = NewBlob::new(document::canonical(&manifest));
        let mut descriptor =
            Descriptor { platform: Some(platform), ..manifest.descriptor(media_type::MANIFEST) };
        if is_zstd {
            descriptor.annotations.insert(annotation::ZSTD.to_owned(), "true".to_owned());
        }
        Self { config, manifest, descriptor }
    }
}

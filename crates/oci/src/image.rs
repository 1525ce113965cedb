//! An image in a layout, read back.

use std::io::Write;

use rootfs::{Content, Dialect, Layer, Limits, Origin, Tree};
use schema::Digest;

use crate::document::{Descriptor, ImageConfig, Manifest};
use crate::error::{Fault, LayoutError};
use crate::layout::Layout;
use crate::media_type;
use crate::unpack;

/// The largest tar that is unpacked from a layer, in bytes: far above every image met so far.
const TAR_LIMIT: u64 = 8 << 30;

/// An image whose manifest and configuration were read and verified. Its layers are verified as they are read.
#[derive(Debug, Clone)]
pub struct Image {
    /// The descriptor of the manifest.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// The configuration.
    pub config: ImageConfig,
    /// The layers, lowest first.
    pub layers: Vec<ImageLayer>,
    layout: Layout,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLayer {
    /// The compressed layer.
    pub descriptor: Descriptor,
    /// The digest of its tar.
    pub diff_id: Digest,
}

impl Image {
    pub(crate) fn read(layout: &Layout, descriptor: Descriptor) -> Result<Self, LayoutError> {
        let manifest: Manifest = layout.document(&descriptor, media_type::MANIFEST)?;
        let config: ImageConfig = layout.document(&manifest.config, media_type::CONFIG)?;
        let diff_ids = &config.rootfs.diff_ids;
        if manifest.layers.len() != diff_ids.len() {
            return Err(layout.error(Fault::LayerCount {
                manifest: descriptor.digest,
                layers: manifest.layers.len(),
                diff_ids: diff_ids.len(),
            }));
        }
        let layers = manifest.layers.iter().zip(diff_ids);
        let layers = layers
            .map(|(descriptor, &diff_id)| ImageLayer { descriptor: descriptor.clone(), diff_id })
            .collect();
        Ok(Self { descriptor, manifest, config, layers, layout: layout.clone() })
    }

    /// The layout that it is in.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Writes the tar of a layer to `out`, and gives its size. What was written counts only if this succeeds: the
    /// digest is known at the end.
    ///
    /// # Errors
    /// A layer that is damaged or larger than any that is accepted; an error of `out`.
    pub fn copy_layer_tar(&self, layer: &ImageLayer, out: &mut dyn Write) -> Result<u64, LayoutError> {
        let ImageLayer { descriptor, diff_id } = layer;
        let blob = self.layout.blob(descriptor)?;
        unpack::unpack(&blob, &descriptor.media_type, *diff_id, TAR_LIMIT, out)
            .map_err(|source| self.layout.error(Fault::Layer { digest: descriptor.digest, source }))
    }

    /// The verified tar of a layer, in memory.
    ///
    /// # Errors
    /// A layer that is damaged or larger than any that is accepted.
    pub fn layer_tar(&self, layer: &ImageLayer) -> Result<Content, LayoutError> {
        let mut tar = Vec::new();
        self.copy_layer_tar(layer, &mut tar)?;
        Ok(tar.into())
    }

    /// The files of the image: its layers stacked, the origin of each entry being the number of its layer from 0.
    ///
    /// # Errors
    /// A layer that is damaged or has an entry that is not accepted.
    pub fn tree(&self) -> Result<Tree, LayoutError> {
        let mut tree = Tree::new();
        for (number, layer) in (0..).zip(&self.layers) {
            let digest = layer.descriptor.digest;
            let tar = self.layer_tar(layer)?;
            let parsed = Layer::parse(tar, Dialect::Oci, Limits::default())
                .map_err(|source| self.layout.error(Fault::Tar { digest, source }))?;
            tree.stack(&parsed, Origin(number))
                .map_err(|source| self.layout.error(Fault::Stack { digest, source }))?;
        }
        Ok(tree)
    }
}

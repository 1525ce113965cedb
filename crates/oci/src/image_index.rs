//! What a reference names, read back: images for one or several machines, in one or several compressions.

use std::fmt;

use schema::Architecture;

use crate::document::{Annotations, Descriptor, ImageConfig, Index, Manifest, Platform};
use crate::error::{Fault, LayoutError};
use crate::image::Image;
use crate::layout::Layout;
use crate::media_type;
use crate::new_index::NewIndex;

/// The images that one reference names. Each is read as it is asked for.
#[derive(Debug, Clone)]
pub struct ImageIndex {
    /// The descriptor of the index; of the manifest where the reference names an image without one, as other programs
    /// write layouts.
    pub descriptor: Descriptor,
    /// The manifests, in the order of the index, each with its platform. What is no image, as an attestation or an index
    /// in the index, is not among them.
    pub images: Vec<Descriptor>,
    index: Option<Index>,
    name: String,
    layout: Layout,
}

/// Which of two images for the same machine is better. Where there is one alone, it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Prefer {
    /// The one that every engine understands.
    #[default]
    Gzip,
    /// The smaller one.
    Zstd,
}

/// Which images of an index are meant; all by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Part {
    /// Those for Linux on this architecture alone.
    pub architecture: Option<Architecture>,
    /// Those in this compression alone.
    pub compression: Option<Prefer>,
}

impl fmt::Display for Prefer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

impl ImageIndex {
    pub(crate) fn read(layout: &Layout, name: &str, descriptor: Descriptor) -> Result<Self, LayoutError> {
        let index = match descriptor.media_type.as_str() {
            media_type::INDEX => Some(layout.document::<Index>(&descriptor, media_type::INDEX)?),
            _ => None,
        };
        let manifests = index.as_ref().map_or(std::slice::from_ref(&descriptor), |index| &index.manifests);
        let images = manifests
            .iter()
            .filter(|manifest| index.is_none() || manifest.media_type == media_type::MANIFEST)
            .map(|manifest| {
                let platform = match &manifest.platform {
                    Some(platform) => platform.clone(),
                    None => platform(layout, manifest)?,
                };
                Ok(Descriptor { platform: Some(platform), ..manifest.clone() })
            })
            .collect::<Result<_, LayoutError>>()?;
        Ok(Self { descriptor, images, index, name: name.to_owned(), layout: layout.clone() })
    }

    /// The layout that it is in.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The image for Linux on this architecture, its manifest and configuration verified.
    ///
    /// # Errors
    /// No such image, or one that is damaged or no image of the specification.
    pub fn image(&self, architecture: Architecture, prefer: Prefer) -> Result<Image, LayoutError> {
        let images = self.images_for(architecture)?;
        let preferred = images.iter().find(|image| image.is_zstd() == (prefer == Prefer::Zstd));
        self.layout.image(preferred.unwrap_or(&images[0]).clone())
    }

    /// The index of `images` and of those here that are for other machines. It has those of `annotations` that are true
    /// of all.
    pub fn joined(&self, images: Vec<Descriptor>, mut annotations: Annotations) -> NewIndex {
        let replaced = |old: &&Descriptor| images.iter().any(|new| new.platform == old.platform);
        let (_, kept): (Vec<&Descriptor>, Vec<&Descriptor>) = self.images.iter().partition(replaced);
        if !kept.is_empty() {
            let own = self.index.as_ref().map(|index| &index.annotations);
            annotations.retain(|name, value| own.is_some_and(|own| own.get(name) == Some(value)));
        }
        let kept: Vec<Descriptor> = kept.into_iter().cloned().collect();
        NewIndex::new(images.into_iter().chain(kept), annotations)
    }

    /// The index of this part alone; `None` where it has no other images, so that it is that index itself.
    ///
    /// # Errors
    /// No such image.
    pub(crate) fn only(&self, part: Part) -> Result<Option<NewIndex>, LayoutError> {
        let mut images = match part.architecture {
            Some(architecture) => self.images_for(architecture)?,
            None if part.compression.is_none() => return Ok(None),
            None => self.images.clone(),
        };
        if let Some(compression) = part.compression {
            images.retain(|image| image.is_zstd() == (compression == Prefer::Zstd));
            if images.is_empty() {
                return Err(self.layout.error(Fault::NoCompression { name: self.name.clone(), compression }));
            }
        }
        let index = self.index.as_ref().filter(|index| index.manifests.len() > images.len());
        Ok(index.map(|index| NewIndex::new(images, index.annotations.clone())))
    }

    /// The images for this architecture; never none.
    fn images_for(&self, architecture: Architecture) -> Result<Vec<Descriptor>, LayoutError> {
        let is_for = |image: &Descriptor| {
            image.platform.as_ref().is_some_and(|platform| platform.is_linux(architecture))
        };
        let images: Vec<Descriptor> = self.images.iter().filter(|image| is_for(image)).cloned().collect();
        if images.is_empty() {
            let name = self.name.clone();
            return Err(self.layout.error(Fault::NoArchitecture { name, architecture, known: self.known() }));
        }
        Ok(images)
    }

    /// The machines that there are images for.
    fn known(&self) -> Vec<String> {
        let platforms = self.images.iter().filter_map(|image| image.platform.as_ref());
        let mut known: Vec<String> = platforms
            .map(|platform| match platform.os.as_str() {
                "linux" => platform.architecture.clone(),
                os => format!("{os}/{}", platform.architecture),
            })
            .collect();
        known.sort();
        known.dedup();
        known
    }
}

/// The platform that the configuration of an image says.
fn platform(layout: &Layout, manifest: &Descriptor) -> Result<Platform, LayoutError> {
    let manifest: Manifest = layout.document(manifest, media_type::MANIFEST)?;
    let config: ImageConfig = layout.document(&manifest.config, media_type::CONFIG)?;
    Ok(Platform { architecture: config.architecture, os: config.os, variant: config.variant })
}

//! What images share: the bytes of all of them counted each by each, and their layers counted once.

use std::collections::BTreeMap;

use schema::Digest;
use schema::run::ImageRecord;

use crate::size::megabytes;

/// Bytes of several images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bytes {
    /// Of each image by itself.
    each: u64,
    /// With every layer counted once, however many images have it: what is kept or pulled of all together.
    once: u64,
}

/// A sentence about what these images come to together, where there is more than one.
pub(crate) fn sentence(images: &[ImageRecord]) -> Option<String> {
    if images.len() < 2 {
        return None;
    }
    let layers = images.iter().flat_map(|image| &image.layers);
    let disk: BTreeMap<Digest, u64> = layers.clone().map(|layer| (layer.diff_id, layer.disk)).collect();
    let pull: BTreeMap<Digest, u64> = layers.clone().map(|layer| (layer.digest, layer.size)).collect();
    let of_layers = layers.clone().map(|layer| layer.size).sum::<u64>();
    let each = |bytes: fn(&ImageRecord) -> u64| images.iter().map(bytes).sum::<u64>();
    let to_pull = each(|image| image.pull);
    // What an image brings beside its layers is its configuration, which is its own.
    let configurations = to_pull.saturating_sub(of_layers);
    let on_disk = Bytes { each: each(|image| image.disk), once: disk.values().sum() };
    let to_pull = Bytes { each: to_pull, once: pull.values().sum::<u64>() + configurations };
    Some(format!(
        "All {} images share {} layers: together they take {} on disk and {} to pull, and not the {} and {} of each by itself.",
        images.len(),
        pull.len(),
        megabytes(on_disk.once),
        megabytes(to_pull.once),
        megabytes(on_disk.each),
        megabytes(to_pull.each),
    ))
}

#[cfg(test)]
mod tests {
    use schema::run::LayerRecord;

    use super::*;
    use crate::fixture::image;

    fn layer(name: &str, size: u64, disk: u64) -> LayerRecord {
        let digest = Digest::of(name.as_bytes());
        LayerRecord { name: name.to_owned(), digest, diff_id: digest, size, disk, files: 1 }
    }

    fn with(layers: Vec<LayerRecord>) -> ImageRecord {
        let disk = layers.iter().map(|layer| layer.disk).sum();
        let pull = layers.iter().map(|layer| layer.size).sum::<u64>() + 100_000;
        ImageRecord { disk, pull, layers, ..image("ruby:3.3", &[]) }
    }

    #[test]
    fn layers_count_once_and_configurations_each() {
        let base = || layer("base", 2_000_000, 10_000_000);
        let images = [
            with(vec![base(), layer("ruby", 3_000_000, 20_000_000)]),
            with(vec![base(), layer("ruby", 3_000_000, 20_000_000)]),
            with(vec![base(), layer("other", 1_000_000, 5_000_000)]),
        ];
        insta::assert_snapshot!(sentence(&images).unwrap(), @"All 3 images share 3 layers: together they take 35.0 MB on disk and 6.3 MB to pull, and not the 75.0 MB and 13.3 MB of each by itself.");
        assert_eq!(sentence(&images[..1]), None);
    }
}

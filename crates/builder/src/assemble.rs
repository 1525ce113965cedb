//! From selected layers to an image in the layout: packed, described and recorded.

use std::collections::BTreeMap;
use std::io::{self, Write};

use cache::{Store, StoreError};
use jiff::Timestamp;
use oci::document::{Descriptor, Execution};
use oci::{Compression, LayoutError, NewImage, NewLayer, PackError, PackedLayer, Recipe, Writer, annotation};
use rayon::prelude::*;
use rootfs::{Entry, Kind, TarOptions, Times, Tree};
use schema::Digest;
use schema::image::ImageSpec;
use schema::lock::PackageKey;
use schema::matrix;
use schema::run::{DropRecord, ImageRecord, LayerRecord, PackageRecord};

use crate::layers::{self, SelectedLayer, Selection};
use crate::plan::Target;
use crate::stack::Stack;

/// An image that cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// A layer cannot be compressed.
    #[error("cannot pack the layer `{layer}`")]
    Pack {
        /// Its name.
        layer: String,
        /// Why.
        source: PackError,
    },
    /// A compressed layer cannot be kept.
    #[error("cannot keep the layer `{layer}`")]
    Keep {
        /// Its name.
        layer: String,
        /// Why.
        source: io::Error,
    },
    /// The cache does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The layout does not work.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// Something for each way in which layers are compressed: for one, or for two side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ways<T> {
    /// The one way, or gzip.
    pub(crate) first: T,
    /// Zstd beside gzip.
    pub(crate) zstd: Option<T>,
}

/// A layer that is packed.
pub(crate) struct Packed {
    forms: Ways<Form>,
    created: i64,
}

/// A packed layer in one compression.
struct Form {
    layer: PackedLayer,
    bytes: rootfs::Content,
}

/// The compressions of a build: fast by default, as small as can be for a release.
pub(crate) const fn compressions(written: matrix::Compression, release: bool) -> Ways<Compression> {
    let (gzip, zstd) = if release {
        (Compression::GZIP_BEST, Compression::ZSTD_BEST)
    } else {
        (Compression::GZIP_FAST, Compression::ZSTD_FAST)
    };
    match written {
        matrix::Compression::Gzip => Ways { first: gzip, zstd: None },
        matrix::Compression::Zstd => Ways { first: zstd, zstd: None },
        matrix::Compression::Both => Ways { first: gzip, zstd: Some(zstd) },
    }
}

/// Packs every layer in every way. What was packed so before is taken from the store.
///
/// # Errors
/// A layer that cannot be compressed or kept.
pub(crate) fn pack(
    store: &Store,
    layers: &[SelectedLayer<'_>],
    compressions: Ways<Compression>,
) -> Result<Vec<Packed>, AssembleError> {
    let packed: Vec<_> = layers.par_iter().map(|layer| pack_one(store, layer, compressions)).collect();
    packed.into_iter().collect()
}

fn pack_one(
    store: &Store,
    layer: &SelectedLayer<'_>,
    compressions: Ways<Compression>,
) -> Result<Packed, AssembleError> {
    let created = newest(&layer.tree);
    let mut tar = Vec::new();
    rootfs::write_tar(&layer.tree, &mut tar, &TarOptions { times: Times::One(created) })
        .expect("nothing keeps a tar from being written to memory");
    let diff_id = Digest::of(&tar);
    let name = &layer.spec.name;
    let form = |compression| compressed(store, name, &tar, diff_id, compression);
    let (zstd, first) = rayon::join(|| compressions.zstd.map(form).transpose(), || form(compressions.first));
    Ok(Packed { forms: Ways { first: first?, zstd: zstd? }, created })
}

fn compressed(
    store: &Store,
    layer: &str,
    tar: &[u8],
    diff_id: Digest,
    compression: Compression,
) -> Result<Form, AssembleError> {
    let name = || layer.to_owned();
    let blob = store.derive(derivation(compression), &diff_id, |out| {
        let bytes = oci::compress(tar, compression)
            .map_err(|source| AssembleError::Pack { layer: name(), source })?;
        out.write_all(&bytes).map_err(|source| AssembleError::Keep { layer: name(), source })
    })?;
    let layer = PackedLayer {
        digest: blob.digest(),
        diff_id,
        size: blob.content().len() as u64,
        uncompressed: tar.len() as u64,
        media_type: compression.media_type(),
    };
    Ok(Form { layer, bytes: blob.content().clone() })
}

/// The name in the store of what a tar is compressed to: with another version of a compressor, other bytes may come
/// out.
const fn derivation(compression: Compression) -> &'static str {
    match compression {
        Compression::GZIP_BEST => "layer-gzip-best-libdeflater-1_26_1",
        Compression::Gzip { .. } => "layer-gzip-fast-libdeflater-1_26_1",
        Compression::ZSTD_BEST => "layer-zstd-best-0_14_4",
        Compression::Zstd { .. } => "layer-zstd-fast-0_14_4",
    }
}

/// The time of a layer: that of its newest file, so that it changes when a package does and at no other time.
fn newest(tree: &Tree) -> i64 {
    tree.iter().map(|(_, entry)| entry.metadata.mtime).max().unwrap_or(0).max(0)
}

/// Puts an image into the layout in every way in which it is packed, without a name yet.
///
/// # Errors
/// A blob that cannot be written.
pub(crate) fn put(
    writer: &Writer<'_>,
    target: &Target,
    spec: &ImageSpec,
    ruby: &str,
    packed: &[Packed],
) -> Result<Ways<Descriptor>, AssembleError> {
    let created = packed.iter().map(|layer| layer.created).max().unwrap_or(0);
    let created = Timestamp::from_second(created).unwrap_or(Timestamp::UNIX_EPOCH);
    let annotations = annotations(target, spec, ruby, created);
    let recipe = Recipe {
        architecture: target.architecture,
        created,
        // Engines show labels, registries show annotations.
        execution: Execution {
            labels: annotations.clone(),
            ..execution(spec, target.row.ruby.as_str(), ruby)
        },
        annotations,
    };
    let put = |forms: Vec<&Form>| -> Result<Descriptor, AssembleError> {
        let mut layers = Vec::with_capacity(forms.len());
        for (spec, form) in spec.layers.iter().zip(forms) {
            writer.put_blob(&form.layer.digest, &form.bytes)?;
            layers.push(NewLayer {
                layer: form.layer.clone(),
                created_by: "distroless-ruby".to_owned(),
                comment: spec.name.clone(),
            });
        }
        let image = NewImage::new(recipe.clone(), layers);
        writer.put_image(&image)?;
        Ok(image.descriptor)
    };
    Ok(Ways { first: put(first_forms(packed))?, zstd: zstd_forms(packed).map(put).transpose()? })
}

fn first_forms(packed: &[Packed]) -> Vec<&Form> {
    packed.iter().map(|packed| &packed.forms.first).collect()
}

/// The layers in zstd, where they are packed so beside gzip.
fn zstd_forms(packed: &[Packed]) -> Option<Vec<&Form>> {
    packed.iter().map(|packed| packed.forms.zstd.as_ref()).collect()
}

/// How a container of the image starts.
fn execution(spec: &ImageSpec, series: &str, ruby: &str) -> Execution {
    let config = &spec.config;
    let filled = |value: &str| value.replace("{ruby}", ruby).replace("{series}", series);
    let env = config.environment.iter().map(|(name, value)| format!("{name}={}", filled(value)));
    Execution {
        cmd: config.command.clone(),
        env: env.collect(),
        user: config.user.to_string(),
        working_dir: config.working_directory.to_string(),
        ..Execution::default()
    }
}

fn annotations(
    target: &Target,
    spec: &ImageSpec,
    ruby: &str,
    created: Timestamp,
) -> BTreeMap<String, String> {
    let about = &spec.about;
    let always = [
        (annotation::CREATED, created.to_string()),
        (annotation::TITLE, format!("{} {ruby} on {}", spec.name, target.row.distro)),
        (annotation::DESCRIPTION, about.description.clone()),
        (annotation::VERSION, ruby.to_owned()),
        (annotation::SOURCE, about.source.clone()),
        (annotation::VENDOR, about.vendor.clone()),
    ];
    let licenses = about.licenses.clone().map(|licenses| (annotation::LICENSES, licenses));
    always.into_iter().chain(licenses).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What the run record says of an image, before its checks.
pub(crate) fn record(
    target: &Target,
    ruby: &str,
    stack: &Stack<'_>,
    selection: &Selection<'_>,
    packed: &[Packed],
    image: &oci::Image,
) -> ImageRecord {
    let layers: Vec<LayerRecord> = selection
        .layers
        .iter()
        .zip(first_forms(packed))
        .map(|(selected, packed)| {
            let size = Size::of(selected.tree.iter().map(|(_, entry)| entry));
            LayerRecord {
                name: selected.spec.name.clone(),
                digest: packed.layer.digest,
                diff_id: packed.layer.diff_id,
                size: packed.layer.size,
                disk: size.bytes,
                files: size.files,
            }
        })
        .collect();
    let to_pull =
        |forms: &[&Form]| forms.iter().map(|form| form.layer.size).sum::<u64>() + image.manifest.config.size;
    ImageRecord {
        name: target.name.clone(),
        references: target.references(ruby),
        ruby: ruby.to_owned(),
        distro: target.row.distro.clone(),
        architecture: target.architecture,
        release: false,
        manifest: image.descriptor.digest,
        disk: layers.iter().map(|layer| layer.disk).sum(),
        pull: to_pull(&first_forms(packed)),
        zstd: zstd_forms(packed).as_deref().map(to_pull),
        files: layers.iter().map(|layer| layer.files).sum(),
        layers,
        packages: package_records(stack, selection),
        dropped: drop_records(stack, selection),
        shrunk: selection.shrinker.records(),
        accepted: Vec::new(),
        undecided: Vec::new(),
        checks: Vec::new(),
    }
}

fn package_records(stack: &Stack<'_>, selection: &Selection<'_>) -> Vec<PackageRecord> {
    let mut entries: BTreeMap<&PackageKey, Vec<&Entry>> = BTreeMap::new();
    for (_, entry) in layers::kept(stack, &selection.closure).filter(|(_, entry)| !entry.is_directory()) {
        if let Some(package) = stack.package(entry) {
            entries.entry(&package.key).or_default().push(entry);
        }
    }
    let record = |(key, entries): (&PackageKey, Vec<&Entry>)| {
        let size = Size::of(entries.into_iter());
        let PackageKey { name, version, architecture: _ } = key.clone();
        PackageRecord { name, version, files: size.files, disk: size.bytes }
    };
    entries.into_iter().map(record).collect()
}

fn drop_records(stack: &Stack<'_>, selection: &Selection<'_>) -> Vec<DropRecord> {
    let Selection { closure, request, .. } = selection;
    let records = request.drop.iter().enumerate().map(|(position, drop)| {
        let paths = closure.dropped.iter().filter(|(_, by)| **by == position).map(|(path, _)| path);
        let size = Size::of(paths.filter_map(|path| stack.tree.get(path)));
        DropRecord { name: drop.name.clone(), why: drop.reason.clone(), files: size.files, disk: size.bytes }
    });
    records.filter(|record| record.files > 0).collect()
}

/// How many files there are, and their bytes; hard links count once.
#[derive(Debug, Default, PartialEq, Eq)]
struct Size {
    files: u64,
    bytes: u64,
}

impl Size {
    fn of<'a>(entries: impl Iterator<Item = &'a Entry>) -> Self {
        let mut seen = std::collections::HashSet::new();
        let mut size = Self::default();
        for entry in entries {
            if let Kind::File(file) = &entry.kind {
                size.files += 1;
                if seen.insert(file.inode) {
                    size.bytes += file.content.len() as u64;
                }
            }
        }
        size
    }
}

//! From selected layers to an image in the layout: packed, described and recorded.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock};

use cache::{Store, StoreError};
use jiff::Timestamp;
use oci::document::{Annotations, Descriptor, Execution};
use oci::{
    Compression, Layout, LayoutError, NewImage, NewLayer, PackError, PackedLayer, Recipe, Writer, annotation,
};
use rayon::prelude::*;
use rootfs::{Content, Entry, Kind, RootPath, TarOptions, Times, Tree};
use schema::Digest;
use schema::image::ImageSpec;
use schema::lock::PackageKey;
use schema::matrix;
use schema::run::{DropRecord, ImageRecord, LayerRecord, PackageRecord};

use crate::contents::{Contents, StoredForm, StoredLayer};
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
    /// A packed layer is damaged.
    #[error(transparent)]
    Unpack(#[from] oci::UnpackError),
    /// A packed layer was there a moment ago.
    #[error("the layer `{layer}` has gone from the cache meanwhile")]
    Gone {
        /// Its name.
        layer: String,
    },
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
    /// What is known of it.
    pub(crate) layer: StoredLayer,
    /// Its tar.
    pub(crate) tar: Content,
}

/// The layers that a layout was seen to have undamaged during a run: they are not read again.
#[derive(Debug, Default)]
pub(crate) struct Placed(Mutex<BTreeMap<Digest, Arc<OnceLock<bool>>>>);

impl Placed {
    /// Whether the layout has this blob; it is read where that is not known yet, neither from this run nor from one before.
    pub(crate) fn has(&self, store: &Store, layout: &Layout, blob: &Descriptor) -> bool {
        // One thread reads it; the others wait for what it finds.
        *self.of(blob.digest).get_or_init(|| {
            store.digest_of(&layout.blob_path(&blob.digest)).is_ok_and(|found| found == blob.digest)
        })
    }

    /// Whether it was seen.
    pub(crate) fn knows(&self, digest: &Digest) -> bool {
        let blobs = self.0.lock().expect("no thread panics while it looks");
        blobs.get(digest).is_some_and(|found| found.get() == Some(&true))
    }

    /// The layout has it now.
    pub(crate) fn insert(&self, digest: Digest) {
        let found = Arc::new(OnceLock::from(true));
        self.0.lock().expect("no thread panics while it says so").insert(digest, found);
    }

    fn of(&self, digest: Digest) -> Arc<OnceLock<bool>> {
        Arc::clone(self.0.lock().expect("no thread panics while it looks").entry(digest).or_default())
    }
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
    let mut tar = Vec::new();
    let created = newest(&layer.tree);
    rootfs::write_tar(&layer.tree, &mut tar, &TarOptions { times: Times::One(created) })
        .expect("nothing keeps a tar from being written to memory");
    let diff_id = Digest::of(&tar);
    let layer = pack_tar(store, &layer.spec.name, (diff_id, &tar), &layer.tree, compressions)?;
    Ok(Packed { layer, tar: tar.into() })
}

/// Packs the tar of a layer, which has the files of `tree`, in every way.
///
/// # Errors
/// A layer that cannot be compressed or kept.
pub(crate) fn pack_tar(
    store: &Store,
    name: &str,
    (diff_id, tar): (Digest, &[u8]),
    tree: &Tree,
    compressions: Ways<Compression>,
) -> Result<StoredLayer, AssembleError> {
    let form = |compression| compressed(store, name, tar, diff_id, compression);
    let (zstd, first) = rayon::join(|| compressions.zstd.map(form).transpose(), || form(compressions.first));
    let StoredForm { digest, size } = first?;
    let on_disk = Size::of(tree.iter().map(|(_, entry)| entry));
    let record = LayerRecord {
        name: name.to_owned(),
        digest,
        diff_id,
        size,
        disk: on_disk.bytes,
        files: on_disk.files,
    };
    Ok(StoredLayer { record, uncompressed: tar.len() as u64, created: newest(tree), zstd: zstd? })
}

fn compressed(
    store: &Store,
    layer: &str,
    tar: &[u8],
    diff_id: Digest,
    compression: Compression,
) -> Result<StoredForm, AssembleError> {
    let name = || layer.to_owned();
    let blob = store.derive(derivation(compression), &diff_id, |out| {
        let bytes = oci::compress(tar, compression)
            .map_err(|source| AssembleError::Pack { layer: name(), source })?;
        out.write_all(&bytes).map_err(|source| AssembleError::Keep { layer: name(), source })
    })?;
    Ok(StoredForm { digest: blob.digest(), size: blob.content().len() as u64 })
}

impl StoredLayer {
    /// It in each compression, as an image's manifest has it.
    pub(crate) fn packed(&self, compressions: Ways<Compression>) -> Ways<(Compression, PackedLayer)> {
        let packed = |compression: Compression, digest, size| {
            let layer = PackedLayer {
                digest,
                diff_id: self.record.diff_id,
                size,
                uncompressed: self.uncompressed,
                media_type: compression.media_type(),
            };
            (compression, layer)
        };
        let zstd = compressions.zstd.zip(self.zstd);
        Ways {
            first: packed(compressions.first, self.record.digest, self.record.size),
            zstd: zstd.map(|(compression, StoredForm { digest, size })| packed(compression, digest, size)),
        }
    }
}

/// Whether the bytes of a layer are at hand, in every compression.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn is_there(
    store: &Store,
    placed: &Placed,
    layer: &StoredLayer,
    compressions: Ways<Compression>,
) -> Result<bool, StoreError> {
    let Ways { first, zstd } = layer.packed(compressions);
    for (compression, PackedLayer { digest, diff_id, .. }) in [first].into_iter().chain(zstd) {
        let stored = || store.derived(derivation(compression), &diff_id);
        if !placed.knows(&digest) && stored()?.is_none_or(|blob| blob.digest() != digest) {
            return Ok(false);
        }
    }
    Ok(zstd_is_as_wished(layer, compressions))
}

/// The bytes of a layer in its first compression.
///
/// # Errors
/// When the store does not have it, or cannot be read.
pub(crate) fn bytes(
    store: &Store,
    layer: &StoredLayer,
    compressions: Ways<Compression>,
) -> Result<Content, AssembleError> {
    let (compression, packed) = layer.packed(compressions).first;
    match store.derived(derivation(compression), &packed.diff_id)? {
        Some(blob) => Ok(blob.content().clone()),
        None => Err(AssembleError::Gone { layer: layer.record.name.clone() }),
    }
}

fn zstd_is_as_wished(layer: &StoredLayer, compressions: Ways<Compression>) -> bool {
    layer.zstd.is_some() == compressions.zstd.is_some()
}

/// The name in the store of what a tar is compressed to: with another version of a compressor, other bytes may come
/// out.
const fn derivation(compression: Compression) -> &'static str {
    let [gzip_best, gzip, zstd_best, zstd] = DERIVATIONS;
    match compression {
        Compression::GZIP_BEST => gzip_best,
        Compression::Gzip { .. } => gzip,
        Compression::ZSTD_BEST => zstd_best,
        Compression::Zstd { .. } => zstd,
    }
}

/// All of these names.
pub(crate) const DERIVATIONS: [&str; 4] = [
    "layer-gzip-best-libdeflater-1_26_1",
    "layer-gzip-fast-libdeflater-1_26_1",
    "layer-zstd-best-0_14_4",
    "layer-zstd-fast-0_14_4",
];

/// Whether results of this kind are compressed layers.
pub(crate) fn is_derivation(kind: &str) -> bool {
    DERIVATIONS.contains(&kind)
}

/// The time of a layer: that of its newest file, so that it changes when a package does and at no other time.
fn newest(tree: &Tree) -> i64 {
    tree.iter().map(|(_, entry)| entry.metadata.mtime).max().unwrap_or(0).max(0)
}

/// An image that is about to go into the layout.
pub(crate) struct Assembly<'a> {
    /// What it is.
    pub(crate) target: &'a Target,
    /// What the description says.
    pub(crate) spec: &'a ImageSpec,
    /// The full version of its Ruby.
    pub(crate) ruby: &'a str,
    /// What it holds.
    pub(crate) contents: &'a Contents,
    /// How its layers are compressed.
    pub(crate) compressions: Ways<Compression>,
}

impl Assembly<'_> {
    /// Puts it into the layout in every way in which it is packed, without a name yet.
    ///
    /// # Errors
    /// A blob that cannot be written.
    pub(crate) fn put(
        &self,
        store: &Store,
        writer: &Writer<'_>,
        placed: &Placed,
    ) -> Result<Ways<NewImage>, AssembleError> {
        let recipe = self.recipe();
        let layers: Vec<_> =
            self.contents.layers.iter().map(|layer| (layer, layer.packed(self.compressions))).collect();
        let put =
            |packed: Vec<(&StoredLayer, (Compression, PackedLayer))>| -> Result<NewImage, AssembleError> {
                let mut new = Vec::with_capacity(packed.len());
                for (StoredLayer { record, .. }, (compression, layer)) in packed {
                    if !placed.knows(&layer.digest) {
                        let stored = store.derived(derivation(compression), &layer.diff_id)?;
                        let blob =
                            stored.ok_or_else(|| AssembleError::Gone { layer: record.name.clone() })?;
                        writer.put_blob(&layer.digest, blob.content())?;
                        placed.insert(layer.digest);
                    }
                    new.push(NewLayer {
                        layer,
                        created_by: "distroless-ruby".to_owned(),
                        comment: record.name.clone(),
                    });
                }
                let image = NewImage::new(recipe.clone(), new);
                writer.put_image(&image)?;
                Ok(image)
            };
        let zstd: Option<Vec<_>> =
            layers.iter().map(|(layer, ways)| Some((*layer, ways.zstd.clone()?))).collect();
        let first = layers.into_iter().map(|(layer, ways)| (layer, ways.first)).collect();
        Ok(Ways { first: put(first)?, zstd: zstd.map(put).transpose()? })
    }

    /// What its bills of materials call it, where its manifest has this digest.
    pub(crate) fn declared(&self, digest: Digest) -> sbom::Image {
        sbom::Image {
            name: self.target.name.clone(),
            version: self.ruby.to_owned(),
            architecture: self.target.architecture,
            digest,
            created: self.created(),
            vendor: self.spec.about.vendor.clone(),
        }
    }

    /// Its time: that of its newest file.
    fn created(&self) -> Timestamp {
        let seconds = self.contents.layers.iter().map(|layer| layer.created).max().unwrap_or(0);
        Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// What it says of itself.
    pub(crate) fn annotations(&self) -> Annotations {
        annotations(self.target, self.spec, self.ruby, self.created())
    }

    fn recipe(&self) -> Recipe {
        let Self { target, spec, ruby, .. } = self;
        let created = self.created();
        let annotations = self.annotations();
        Recipe {
            architecture: target.architecture,
            created,
            // Engines show labels, registries show annotations.
            execution: Execution { labels: annotations.clone(), ..execution(target, spec, ruby) },
            annotations,
        }
    }
}

/// How a container of the image starts.
fn execution(target: &Target, spec: &ImageSpec, ruby: &str) -> Execution {
    let config = &spec.config;
    let variant = target.variant(spec);
    let mut environment = config.environment.clone();
    for (_, addition) in target.additions(spec) {
        environment.extend(addition.environment.clone());
    }
    let series = target.row.ruby.as_str();
    let filled = |value: &str| value.replace("{ruby}", ruby).replace("{series}", series);
    Execution {
        cmd: variant.command.as_ref().unwrap_or(&config.command).clone(),
        env: environment.iter().map(|(name, value)| format!("{name}={}", filled(value))).collect(),
        user: target.user(spec).to_string(),
        working_dir: config.working_directory.to_string(),
        ..Execution::default()
    }
}

fn annotations(target: &Target, spec: &ImageSpec, ruby: &str, created: Timestamp) -> Annotations {
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
    Assembly { target, ruby, contents, compressions, .. }: &Assembly<'_>,
    image: &NewImage,
) -> ImageRecord {
    let contents = (*contents).clone();
    let ways: Vec<_> = contents.layers.iter().map(|layer| layer.packed(*compressions)).collect();
    let to_pull = |sizes: Vec<u64>| sizes.into_iter().sum::<u64>() + image.config.len() as u64;
    let zstd: Option<Vec<u64>> = ways.iter().map(|ways| Some(ways.zstd.as_ref()?.1.size)).collect();
    let layers: Vec<LayerRecord> = contents.layers.into_iter().map(|layer| layer.record).collect();
    ImageRecord {
        name: target.name.clone(),
        references: target.references(ruby),
        ruby: (*ruby).to_owned(),
        distro: target.row.distro.clone(),
        architecture: target.architecture,
        release: false,
        manifest: image.descriptor.digest,
        disk: layers.iter().map(|layer| layer.disk).sum(),
        pull: to_pull(ways.iter().map(|ways| ways.first.1.size).collect()),
        zstd: zstd.map(to_pull),
        files: layers.iter().map(|layer| layer.files).sum(),
        layers,
        packages: contents.packages,
        sboms: Vec::new(),
        dropped: contents.dropped,
        shrunk: contents.shrunk,
        accepted: contents.accepted,
        undecided: contents.undecided,
        checks: Vec::new(),
    }
}

/// What each package gave to the layers of a selection.
pub(crate) fn package_records(stack: &Stack<'_>, selection: &Selection<'_>) -> Vec<PackageRecord> {
    let mut entries: BTreeMap<&PackageKey, Vec<&Entry>> = BTreeMap::new();
    // What is installed is there whether something needs it or not.
    let installed = selection.layers.iter().filter(|layer| layer.spec.installed);
    let installed = installed.flat_map(|layer| layer.tree.iter());
    let is_new = |path: &RootPath| stack.is_new(path) && installed_has(selection, path).is_none();
    let kept = layers::kept(stack, &selection.closure).filter(|(path, _)| is_new(path));
    for (path, entry) in kept.chain(installed).filter(|(_, entry)| !entry.is_directory()) {
        if let Some(package) = stack.package(entry) {
            // As it is in the image, where a rule may have made it smaller.
            entries.entry(&package.key).or_default().push(selection.image.get(path).unwrap_or(entry));
        }
    }
    let record = |(key, entries): (&PackageKey, Vec<&Entry>)| {
        let size = Size::of(entries.into_iter());
        let PackageKey { name, version, architecture: _ } = key.clone();
        PackageRecord { name, version, files: size.files, disk: size.bytes }
    };
    entries.into_iter().map(record).collect()
}

fn installed_has<'s>(selection: &'s Selection<'_>, path: &RootPath) -> Option<&'s Entry> {
    let mut installed = selection.layers.iter().filter(|layer| layer.spec.installed);
    installed.find_map(|layer| layer.tree.get(path))
}

/// What each rule left out.
pub(crate) fn drop_records(stack: &Stack<'_>, selection: &Selection<'_>) -> Vec<DropRecord> {
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
pub(crate) struct Size {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl Size {
    pub(crate) fn of<'a>(entries: impl Iterator<Item = &'a Entry>) -> Self {
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

//! A small image, made in memory, and a listing of folders for comparisons.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use jiff::Timestamp;
use oci::document::{Descriptor, Execution};
use oci::{
    Compression, Image, Layout, LayoutError, NewImage, NewIndex, NewLayer, Packed, Prefer, Recipe, Reference,
    pack,
};
use rootfs::{Entry, Metadata, Origin, RootPath, TarOptions, Tree, write_tar};
use schema::Architecture;

/// A layer that has these files, packed.
pub(crate) fn layer(files: &[(&str, &str)], compression: Compression) -> Packed {
    let mut tree = Tree::new();
    for (path, content) in files {
        let entry = Entry::file(Metadata::root(0o644), content.as_bytes().to_vec(), Origin::default());
        tree.insert(RootPath::parse(path).unwrap(), entry).unwrap();
    }
    let mut tar = Vec::new();
    write_tar(&tree, &mut tar, &TarOptions::default()).unwrap();
    pack(&tar, compression).unwrap()
}

pub(crate) fn base() -> Packed {
    layer(
        &[("/etc/os-release", "ID=debian\n"), ("/etc/hosts", "127.0.0.1 localhost\n")],
        Compression::GZIP_FAST,
    )
}

/// A layer that says which Ruby it is, and hides a file of the base.
pub(crate) fn ruby(version: &str) -> Packed {
    layer(&[("/usr/bin/ruby", version), ("/etc/.wh.hosts", "")], Compression::ZSTD_FAST)
}

pub(crate) fn image(layers: &[Packed]) -> NewImage {
    image_for(Architecture::Amd64, layers)
}

pub(crate) fn image_for(architecture: Architecture, layers: &[Packed]) -> NewImage {
    let recipe = Recipe {
        architecture,
        created: Timestamp::UNIX_EPOCH,
        execution: Execution {
            cmd: vec!["irb".to_owned()],
            env: vec!["LANG=C.UTF-8".to_owned()],
            user: "65532:65532".to_owned(),
            working_dir: "/".to_owned(),
            ..Execution::default()
        },
        annotations: BTreeMap::from([(oci::annotation::TITLE.to_owned(), "ruby".to_owned())]),
    };
    let layers = layers.iter().map(|packed| NewLayer {
        layer: packed.layer.clone(),
        created_by: "distroless-ruby".to_owned(),
        comment: "a layer".to_owned(),
    });
    NewImage::new(recipe, layers.collect())
}

pub(crate) fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

/// The index of one image with a base and this Ruby, and its layers.
pub(crate) fn index(version: &str) -> (NewIndex, NewImage, [Packed; 2]) {
    let layers = [base(), ruby(version)];
    let image = image(&layers);
    (NewIndex::new([image.descriptor.clone()], BTreeMap::new()), image, layers)
}

/// Puts it under `names`.
pub(crate) fn put(layout: &Layout, names: &[&str], version: &str) -> Descriptor {
    let (index, image, layers) = index(version);
    let writer = layout.writer().unwrap();
    for packed in &layers {
        writer.put_blob(&packed.layer.digest, &packed.bytes).unwrap();
    }
    writer.put_image(&image).unwrap();
    writer.put_index(&index).unwrap();
    writer
        .set_refs(|refs| refs.extend(names.iter().map(|name| (reference(name), index.descriptor.clone()))))
        .unwrap();
    index.descriptor
}

/// Puts an index of images for both architectures, each in both compressions, under `name`.
pub(crate) fn put_all(layout: &Layout, name: &str) -> NewIndex {
    let writer = layout.writer().unwrap();
    let mut images = Vec::new();
    for architecture in Architecture::ALL {
        for compression in [Compression::ZSTD_FAST, Compression::GZIP_FAST] {
            let layers = [layer(&[("/usr/bin/ruby", architecture.name())], compression)];
            let image = image_for(architecture, &layers);
            writer.put_blob(&layers[0].layer.digest, &layers[0].bytes).unwrap();
            writer.put_image(&image).unwrap();
            images.push(image.descriptor);
        }
    }
    let index = NewIndex::new(images, BTreeMap::from([("about".to_owned(), "all of them".to_owned())]));
    writer.put_index(&index).unwrap();
    writer.set_refs(|refs| drop(refs.insert(reference(name), index.descriptor.clone()))).unwrap();
    index
}

/// The image of this name that [`put`] makes.
pub(crate) fn open(layout: &Layout, name: &str) -> Result<Image, LayoutError> {
    layout.resolve(name)?.image(Architecture::Amd64, Prefer::Gzip)
}

/// Every file below `folder` with its content.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    walk(folder).into_iter().map(|path| (name(folder, &path), fs_err::read(path).unwrap())).collect()
}

/// Every file and folder below `folder` with what changes when it is written: inode, time, size.
pub(crate) fn traces(folder: &Path) -> BTreeMap<String, (u64, i64, i64, u64)> {
    let mut traces = BTreeMap::new();
    for path in
        walk(folder).iter().flat_map(|path| path.ancestors().take_while(|path| path.starts_with(folder)))
    {
        let metadata = path.metadata().unwrap();
        let trace = (metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.size());
        traces.insert(name(folder, path), trace);
    }
    traces
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}

fn name(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned()
}

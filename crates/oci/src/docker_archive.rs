//! Reading what `docker save`, Podman and skopeo write: images in one tar, tied together by its `manifest.json` (Docker
//! image specification, v1.2, "Combined Image JSON + Filesystem Changeset Format").
//!
//! Nothing in it is verified by itself: an image is known by the digest of its configuration, and that has the digests
//! of the layers' tars.

use rootfs::{Content, Dialect, Kind, Layer, Limits, Origin, RootPath, StackError, TarError, Tree};
use schema::Digest;
use schema::reference::Reference;
use serde::Deserialize;

use crate::document::{self, Descriptor, ImageConfig};
use crate::image::ImageLayer;
use crate::media_type;

/// What ties an archive together.
const MANIFEST: &str = "manifest.json";
/// The largest document that is read, in bytes.
const DOCUMENT_LIMIT: usize = 4 << 20;

/// An image in an archive. Its layers are verified as they are unpacked.
#[derive(Debug, Clone)]
pub struct ArchivedImage {
    /// The digest of its configuration: what Docker calls the image's ID.
    pub id: Digest,
    /// The configuration.
    pub config: ImageConfig,
    /// The layers, lowest first, each with its bytes.
    pub layers: Vec<(ImageLayer, Content)>,
}

/// Why an archive gives no image.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is no acceptable tar.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The members of it do not fit together.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// Something is not there.
    #[error("it has no file `{0}`")]
    Missing(String),
    /// A document of it is none.
    #[error("its `{file}` is no document of an image")]
    Document {
        /// The document.
        file: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A document of it is larger than any.
    #[error("its `{file}` is larger than {DOCUMENT_LIMIT} bytes")]
    TooLarge {
        /// The document.
        file: String,
    },
    /// It has as many layers as its configuration says, or it is not what that configures.
    #[error("its image has {layers} layers, and its configuration {diff_ids}")]
    LayerCount {
        /// How many it has.
        layers: usize,
        /// How many it says.
        diff_ids: usize,
    },
    /// It has several images, and none of them is meant; or no image of the name that is.
    #[error("it has {}", known(.0))]
    Which(Vec<String>),
}

fn known(names: &[String]) -> String {
    match names {
        [] => "no image".to_owned(),
        names => format!("the images {}", names.join(", ")),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    layers: Vec<String>,
    // Docker writes `null` for an image without a name.
    repo_tags: Option<Vec<String>>,
}

impl ArchivedImage {
    /// Reads the image of this name in an archive, or the only one.
    ///
    /// # Errors
    /// An archive that is damaged, or does not have this image.
    pub fn open(archive: Content, name: Option<&str>) -> Result<Self, ArchiveError> {
        let layer = Layer::parse(archive, Dialect::Debian, Limits::default())?;
        let mut tree = Tree::new();
        tree.stack(&layer, Origin::default())?;
        let entries: Vec<Entry> = document(&tree, MANIFEST)?;
        let Entry { config: file, layers, .. } = chosen(entries, name)?;
        let config: ImageConfig = document(&tree, &file)?;
        let diff_ids = &config.rootfs.diff_ids;
        if layers.len() != diff_ids.len() {
            let (layers, diff_ids) = (layers.len(), diff_ids.len());
            return Err(ArchiveError::LayerCount { layers, diff_ids });
        }
        let layers = layers.iter().zip(diff_ids).map(|(name, &diff_id)| {
            let content = read(&tree, name)?;
            let descriptor =
                Descriptor::new(compression(&content), Digest::of(&content), content.len() as u64);
            Ok((ImageLayer { descriptor, diff_id }, content))
        });
        let layers = layers.collect::<Result<_, ArchiveError>>()?;
        Ok(Self { id: Digest::of(&read(&tree, &file)?), config, layers })
    }
}

fn chosen(mut entries: Vec<Entry>, name: Option<&str>) -> Result<Entry, ArchiveError> {
    let meant = match name {
        None if entries.len() == 1 => Some(0),
        None => None,
        Some(name) => entries
            .iter()
            .position(|entry| entry.repo_tags.iter().flatten().any(|tag| tag == name || is_same(tag, name))),
    };
    match meant {
        Some(position) => Ok(entries.swap_remove(position)),
        None => Err(ArchiveError::Which(
            entries.into_iter().filter_map(|entry| entry.repo_tags).flatten().collect(),
        )),
    }
}

/// Whether two names are short and long forms of one.
fn is_same(one: &str, other: &str) -> bool {
    let parsed = |name: &str| name.parse::<Reference>().ok();
    parsed(one).is_some_and(|one| parsed(other) == Some(one))
}

fn document<T: serde::de::DeserializeOwned>(tree: &Tree, file: &str) -> Result<T, ArchiveError> {
    let content = read(tree, file)?;
    if content.len() > DOCUMENT_LIMIT {
        return Err(ArchiveError::TooLarge { file: file.to_owned() });
    }
    document::parse(&content).map_err(|source| ArchiveError::Document { file: file.to_owned(), source })
}

/// A file of the archive. A layer that several images have is there once, and linked to.
fn read(tree: &Tree, file: &str) -> Result<Content, ArchiveError> {
    let missing = || ArchiveError::Missing(file.to_owned());
    let path = RootPath::parse(file).map_err(|_| missing())?;
    let real = tree.resolve(&path).map_err(|_| missing())?;
    match tree.get(&real.path).map(|entry| &entry.kind) {
        Some(Kind::File(file)) => Ok(file.content.clone()),
        _ => Err(missing()),
    }
}

/// The media type of a layer by its first bytes: archives do not say it.
fn compression(layer: &[u8]) -> &'static str {
    match layer {
        [0x1f, 0x8b, ..] => media_type::LAYER_GZIP,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => media_type::LAYER_ZSTD,
        _ => media_type::LAYER,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use testkit::tar::Tar;

    use super::*;
    use crate::pack::{Compression, compress};

    const LAYER: &[u8] = b"a layer, for all that anyone looks";

    fn config(diff_ids: &[Digest]) -> String {
        let diff_ids: Vec<String> = diff_ids.iter().map(|digest| format!("\"{digest}\"")).collect();
        format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            diff_ids.join(",")
        )
    }

    fn archive(manifest: &str, layer: &[u8]) -> Content {
        let config = config(&[Digest::of(LAYER), Digest::of(LAYER)]);
        let tar = Tar::new()
            .file("config.json", config.as_bytes())
            .file("one/layer.tar", layer)
            .symlink("two/layer.tar", "../one/layer.tar")
            .file("manifest.json", manifest.as_bytes());
        Content::from(tar.finish())
    }

    const TWO: &str = r#"[
        {"Config":"config.json","RepoTags":["ruby:3.4"],"Layers":["one/layer.tar","two/layer.tar"]},
        {"Config":"other.json","RepoTags":null,"Layers":[]}
    ]"#;

    fn one() -> String {
        r#"[{"Config":"config.json","RepoTags":null,"Layers":["one/layer.tar","two/layer.tar"]}]"#.to_owned()
    }

    #[test]
    fn an_image_is_the_only_one_or_has_a_name() {
        for (manifest, name) in
            [(one().as_str(), None), (TWO, Some("ruby:3.4")), (TWO, Some("docker.io/library/ruby:3.4"))]
        {
            let image = ArchivedImage::open(archive(manifest, LAYER), name).unwrap();
            assert_eq!(image.layers.len(), 2);
            assert!(
                image
                    .layers
                    .iter()
                    .all(|(layer, bytes)| layer.diff_id == Digest::of(LAYER) && **bytes == *LAYER)
            );
            assert_eq!(image.id, Digest::of(config(&[Digest::of(LAYER), Digest::of(LAYER)]).as_bytes()));
        }
    }

    #[test]
    fn a_layer_may_be_compressed() {
        for (compression, media_type) in [
            (Compression::GZIP_FAST, media_type::LAYER_GZIP),
            (Compression::ZSTD_FAST, media_type::LAYER_ZSTD),
        ] {
            let layer = compress(LAYER, compression).unwrap();
            let image = ArchivedImage::open(archive(&one(), &layer), None).unwrap();
            assert_eq!(image.layers[0].0.descriptor.media_type, media_type);
        }
    }

    #[test]
    fn what_is_no_archive_says_why() {
        let with =
            |manifest: &str| ArchivedImage::open(archive(manifest, LAYER), None).unwrap_err().to_string();
        for (manifest, says) in [
            (TWO, "it has the images ruby:3.4"),
            ("[]", "it has no image"),
            ("{}", "`manifest.json` is no document"),
            (&one().replace("config.json", "none.json"), "no file `none.json`"),
            (&one().replace("config.json", "../../etc/passwd"), "no file `../../etc/passwd`"),
            (&one().replace(",\"two/layer.tar\"", ""), "1 layers, and its configuration 2"),
            (&one().replace("one/layer.tar", "one"), "no file `one`"),
        ] {
            let error = with(manifest);
            assert!(error.contains(says), "{error}");
        }
        let empty = ArchivedImage::open(Content::from(Tar::new().finish()), None).unwrap_err();
        assert!(matches!(empty, ArchiveError::Missing(file) if file == "manifest.json"));
    }

    proptest! {
        #[test]
        fn a_changed_archive_never_makes_it_panic(at in any::<prop::sample::Index>(), change in 1_u8..) {
            let mut bytes = archive(&one(), LAYER).to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            let _ = ArchivedImage::open(Content::from(bytes), None);
        }
    }
}

//! What there is to compare: an image by its name, an image of some layout, all images of a run, or an image that was
//! pulled. Each becomes plain data for [`diff`], which is all that its own files and records say: nothing of the project
//! is asked, so images of others compare alike.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use fs_err as fs;
use oci::document::{Execution, ImageConfig};
use oci::{Layout, Prefer};
use rayon::prelude::*;
use registry::{PulledImage, PulledLayer};
use rootfs::{Content, Entry, Kind, RootPath, Tree};
use sbom::Specification;
use schema::reference::{Reference, ReferenceError};
use schema::run::{ImageRecord, RunRecord};
use schema::{Architecture, Digest};

use crate::check::TreeFault;
use crate::contents::stack_layer;
use crate::inventory::is_specification;
use crate::{BuildError, Builder, assemble, recording, status};

/// The record of packages where a dpkg works (dpkg(1), "FILES").
const STATUS: &str = "/var/lib/dpkg/status";
/// What a reference to a registry begins with, as skopeo has it.
const REGISTRY: &str = "docker://";
/// What an image of a layout begins with, as skopeo has it.
const LAYOUT: &str = "oci:";

/// One side of a comparison, as a person names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// An image of the project, by name or tag.
    Name(String),
    /// An image of a layout: `oci:FOLDER:NAME`.
    Layout {
        /// The folder of the layout.
        folder: PathBuf,
        /// The image's name there.
        name: String,
    },
    /// All images of a run: a folder with `run.json` and `oci`, or a run record alone.
    Run(PathBuf),
    /// An image of a registry: `docker://REGISTRY/NAME:TAG`.
    Registry(Reference),
}

/// What cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The name of an image of a layout is not of its form.
    #[error("cannot tell the image's name in `{operand}`")]
    LayoutName {
        /// As it was written.
        operand: String,
    },
    /// A reference is none.
    #[error("`{operand}` is no reference to a registry")]
    Reference {
        /// As it was written.
        operand: String,
        /// What is wrong.
        source: ReferenceError,
    },
    /// One side is an image, the other a run.
    #[error("cannot compare an image with all images of a run")]
    Kinds,
    /// A run record cannot be read.
    #[error("cannot read the run record of {}", path.display())]
    Record {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A pulled layer is damaged.
    #[error("cannot unpack a layer of {image}")]
    Unpack {
        /// The image.
        image: String,
        /// Why.
        source: oci::UnpackError,
    },
    /// A pulled layer is no tree.
    #[error("cannot read a layer of {image}")]
    Layer {
        /// The image.
        image: String,
        /// Why.
        source: TreeFault,
    },
}

impl CompareError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::LayoutName { .. } => Some(format!("write it as `{LAYOUT}FOLDER:NAME`")),
            Self::Reference { .. } => Some(format!("write it as `{REGISTRY}REGISTRY/NAME:TAG`")),
            Self::Kinds => Some("name two images, or two folders of runs".to_owned()),
            Self::Record { .. } => {
                Some("a folder of a run has `run.json` and `oci` in it, as `dist`".to_owned())
            }
            Self::Unpack { .. } | Self::Layer { .. } => None,
        }
    }
}

impl Operand {
    /// Reads an operand: what begins with `docker://` or `oci:` is that, what is there as a file or folder is a run, and
    /// all else is the name of an image.
    ///
    /// # Errors
    /// A reference or a layout that is not of its form.
    pub fn parse(text: &str) -> Result<Self, CompareError> {
        let operand = text.to_owned();
        if let Some(reference) = text.strip_prefix(REGISTRY) {
            let reference =
                reference.parse().map_err(|source| CompareError::Reference { operand, source })?;
            return Ok(Self::Registry(reference));
        }
        if let Some(rest) = text.strip_prefix(LAYOUT) {
            // A name has a colon of its own before the tag; a folder seldom has one.
            let (folder, name) = rest.split_once(':').ok_or(CompareError::LayoutName { operand })?;
            return Ok(Self::Layout { folder: folder.into(), name: name.to_owned() });
        }
        let path = Path::new(text);
        Ok(if path.exists() { Self::Run(path.to_owned()) } else { Self::Name(operand) })
    }
}

/// An image that is not in a layout.
#[derive(Debug)]
pub struct Loose<'a> {
    /// What it is called.
    pub name: String,
    /// The digest of its manifest.
    pub manifest: Option<Digest>,
    /// Its configuration.
    pub config: &'a ImageConfig,
    /// Its layers, lowest first: the media type, the bytes, and the digest of the tar.
    pub layers: Vec<(String, Content, Digest)>,
    /// The bytes that a pull brings.
    pub pull: u64,
}

impl<'a> Loose<'a> {
    /// An image that was pulled.
    pub fn of(name: String, pulled: &'a PulledImage) -> Self {
        let layers = pulled.layers.iter();
        let size: u64 = layers.clone().map(|layer| layer.descriptor.size).sum();
        let parts = |layer: &PulledLayer| {
            (layer.descriptor.media_type.clone(), layer.blob.content().clone(), layer.diff_id)
        };
        Self {
            name,
            manifest: pulled.reference.digest(),
            layers: layers.map(parts).collect(),
            pull: size + pulled.config_size,
            config: &pulled.config,
        }
    }

    /// What is to be compared of it.
    ///
    /// # Errors
    /// A layer that is damaged or holds what is not accepted.
    pub fn describe(&self) -> Result<diff::Image, CompareError> {
        let image = || self.name.clone();
        let mut tree = Tree::new();
        for (media_type, bytes, diff_id) in &self.layers {
            let mut tar = Vec::new();
            oci::decompress(bytes, media_type, *diff_id, &mut tar)
                .map_err(|source| CompareError::Unpack { image: image(), source })?;
            stack_layer(&mut tree, tar.into())
                .map_err(|source| CompareError::Layer { image: image(), source })?;
        }
        Ok(described(self.name.clone(), self.manifest, self.pull, &self.config.config, &tree))
    }
}

impl Builder {
    /// The image that an operand names, but for a registry's; none where it is a run.
    ///
    /// # Errors
    /// When there is no such image, or it is damaged.
    pub fn described(
        &self,
        operand: &Operand,
        architecture: Option<Architecture>,
    ) -> Result<Option<diff::Image>, BuildError> {
        let image = match operand {
            Operand::Name(name) => self.image(name, architecture)?,
            Operand::Layout { folder, name } => {
                let architecture = architecture.unwrap_or(self.options.host);
                Layout::open(folder)?.resolve(name)?.image(architecture, Prefer::Gzip)?
            }
            Operand::Run(_) | Operand::Registry(_) => return Ok(None),
        };
        let name = match operand {
            Operand::Name(name) | Operand::Layout { name, .. } => name.clone(),
            Operand::Run(_) | Operand::Registry(_) => String::new(),
        };
        Ok(Some(describe(name, &image)?))
    }
}

/// All images of a run. Where the layout is not there, or does not have an image any more, its record tells what it can.
///
/// # Errors
/// A record that cannot be read, or an image that is damaged.
pub fn described_run(path: &Path) -> Result<Vec<diff::Image>, BuildError> {
    let file = if path.is_dir() { path.join(recording::RECORD) } else { path.to_owned() };
    let text =
        fs::read_to_string(&file).map_err(|source| CompareError::Record { path: path.to_owned(), source })?;
    let record = RunRecord::parse(&text)?;
    let layout = path.is_dir().then(|| Layout::open(&path.join("oci"))).transpose()?;
    let images: Vec<Result<diff::Image, BuildError>> =
        record.images.par_iter().map(|image| of_record(image, layout.as_ref())).collect();
    images.into_iter().collect()
}

fn of_record(record: &ImageRecord, layout: Option<&Layout>) -> Result<diff::Image, BuildError> {
    let name = format!("{} for {}", record.name, record.architecture);
    if let Some(layout) = layout {
        let image = layout.resolve(&record.name)?.image(record.architecture, Prefer::Gzip)?;
        if image.descriptor.digest == record.manifest {
            return describe(name, &image);
        }
    }
    let packages = record.packages.iter();
    Ok(diff::Image {
        name,
        manifest: Some(record.manifest),
        disk: record.disk,
        pull: record.pull,
        packages: packages.map(|package| (package.name.clone(), package.version.clone())).collect(),
        gems: None,
        files: None,
        config: None,
    })
}

pub(crate) fn describe(name: String, image: &oci::Image) -> Result<diff::Image, BuildError> {
    let layers = image.manifest.layers.iter().map(|layer| layer.size).sum::<u64>();
    let pull = layers + image.manifest.config.size;
    Ok(described(name, Some(image.descriptor.digest), pull, &image.config.config, &image.tree()?))
}

fn described(
    name: String,
    manifest: Option<Digest>,
    pull: u64,
    execution: &Execution,
    tree: &Tree,
) -> diff::Image {
    let entries: Vec<(&RootPath, &Entry)> = tree.iter().collect();
    let files = entries.par_iter().map(|(path, entry)| (path.to_string(), file(entry))).collect();
    diff::Image {
        name,
        manifest,
        disk: assemble::Size::of(entries.iter().map(|(_, entry)| *entry)).bytes,
        pull,
        packages: packages(tree),
        gems: Some(gems(tree)),
        files: Some(files),
        config: Some(config(execution)),
    }
}

fn file(entry: &Entry) -> diff::File {
    let attribute = |(name, value): &(Vec<u8>, Vec<u8>)| {
        format!("{}={}", String::from_utf8_lossy(name), hex::encode(value))
    };
    let kind = match &entry.kind {
        Kind::Directory => diff::Kind::Folder,
        Kind::Symlink(target) => diff::Kind::Link { target: rootfs::Escaped::from(&**target).to_string() },
        Kind::File(file) => {
            diff::Kind::File { bytes: file.content.len() as u64, digest: Digest::of(&file.content) }
        }
    };
    let metadata = &entry.metadata;
    diff::File {
        kind,
        mode: metadata.mode,
        owner: (metadata.uid, metadata.gid),
        attributes: metadata.xattrs.iter().map(attribute).collect(),
    }
}

/// The packages that an image says it has: in `status.d`, or where a dpkg works.
fn packages(tree: &Tree) -> BTreeMap<String, String> {
    let path = |text: &str| RootPath::parse(text).expect("a constant path");
    let records = tree.children(&path(status::FOLDER));
    let records = records.filter(|(path, _)| !path.name().ends_with(b".md5sums")).map(|(_, entry)| entry);
    let mut packages = BTreeMap::new();
    for entry in records.chain(tree.get(&path(STATUS))) {
        let Kind::File(file) = &entry.kind else { continue };
        let text = String::from_utf8_lossy(&file.content);
        for paragraph in text.split("\n\n") {
            let field = |name: &str| {
                let mut lines = paragraph.lines();
                lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
            };
            if let (Some(name), Some(version)) = (field("Package"), field("Version")) {
                packages.insert(name, version);
            }
        }
    }
    packages
}

/// The gems that are specified. One whose specification computes its name has that of the file.
fn gems(tree: &Tree) -> BTreeMap<String, String> {
    let mut gems: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, entry) in tree.iter().filter(|(path, _)| is_specification(path)) {
        let Kind::File(file) = &entry.kind else { continue };
        let (name, version) = match Specification::parse(&file.content) {
            Ok(Specification { name, version, .. }) => (name, version),
            Err(_) => {
                let file = String::from_utf8_lossy(path.name()).into_owned();
                let full = file.trim_end_matches(".gemspec");
                let (name, version) = full.rsplit_once('-').unwrap_or((full, "unknown"));
                (name.to_owned(), version.to_owned())
            }
        };
        gems.entry(name).or_default().insert(version);
    }
    let joined = |versions: BTreeSet<String>| versions.into_iter().collect::<Vec<_>>().join(", ");
    gems.into_iter().map(|(name, versions)| (name, joined(versions))).collect()
}

/// The settings of a container, by name.
fn config(execution: &Execution) -> BTreeMap<String, String> {
    let Execution { cmd, entrypoint, env, labels, user, working_dir } = execution;
    let words = |words: &[String]| {
        words.iter().fold(String::new(), |mut text, word| {
            let space = if text.is_empty() { "" } else { " " };
            write!(text, "{space}{word:?}").expect("writing to a text never fails");
            text
        })
    };
    let mut config = BTreeMap::from([
        ("command".to_owned(), words(cmd)),
        ("entry point".to_owned(), words(entrypoint)),
        ("user".to_owned(), user.clone()),
        ("working directory".to_owned(), working_dir.clone()),
    ]);
    config.retain(|_, value| !value.is_empty());
    for variable in env {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        config.insert(format!("variable {name}"), value.to_owned());
    }
    for (name, value) in labels {
        config.insert(format!("label {name}"), value.clone());
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands() {
        let here = env!("CARGO_MANIFEST_DIR");
        let cases = [
            ("3.3-trixie", "Name(\"3.3-trixie\")".to_owned()),
            ("ruby:3.3", "Name(\"ruby:3.3\")".to_owned()),
            (here, format!("Run({here:?})")),
            ("oci:dist/oci:ruby:3.3", "Layout { folder: \"dist/oci\", name: \"ruby:3.3\" }".to_owned()),
        ];
        for (text, wanted) in cases {
            assert_eq!(format!("{:?}", Operand::parse(text).expect("an operand")), wanted);
        }
        let reference = "docker://localhost:5000/ruby:3.3";
        assert!(
            matches!(Operand::parse(reference), Ok(Operand::Registry(found)) if found.tag() == Some("3.3"))
        );
        assert!(matches!(Operand::parse("oci:dist"), Err(CompareError::LayoutName { .. })));
        assert!(matches!(Operand::parse("docker://UPPER"), Err(CompareError::Reference { .. })));
    }
}

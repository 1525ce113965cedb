//! Where the result goes: a folder, a tar, or a layout with an image of one layer. It is made under a passing name beside
//! its place, then put there.
//!
//! Invariants: what is there already goes only with `--force`, and a folder only where it looks like an
//! earlier result; what fails leaves everything as it was, and nothing passing.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use jiff::Timestamp;
use oci::{Compression, Layout, NewImage, NewLayer, Recipe, Reference};
use rootfs::{Kind, Ownership, RootPath, TarOptions, Times, Tree};
use schema::Architecture;

use crate::cli::Format;
use crate::passing::{self, Passing};

/// The name of the image in a layout.
const REFERENCE: &str = "rubypak:latest";
/// What the layout of an image has at its top.
const LAYOUT: [&str; 3] = ["oci-layout", "index.json", "blobs"];

/// A place for a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    place: Place,
    format: Format,
    force: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Stdout,
    Path(PathBuf),
}

/// Why a result was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    #[error("cannot write to `{}`: it exists", .0.display())]
    Exists(PathBuf),
    #[error("cannot replace `{}`: {what}", path.display())]
    NotReplaceable { path: PathBuf, what: String },
    #[error("cannot tell the form of `{}`", .0.display())]
    Compressed(PathBuf),
    #[error("cannot write a tar to a terminal")]
    Terminal,
    #[error("cannot write {0} to standard output: only a tar goes there")]
    OnlyTar(&'static str),
    #[error("cannot write to `{}`", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl OutputError {
    pub(crate) fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Exists(_) => "name another output, or replace this one with --force",
            Self::NotReplaceable { .. } => "name another output, or remove this one yourself",
            Self::Compressed(_) => "write a plain tar to standard output (`-`), and compress it there",
            Self::Terminal => "name an output, or pipe it into something",
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "make the folder that it goes into first"
            }
            Self::OnlyTar(_) | Self::Io { .. } => return None,
        };
        Some(text.to_owned())
    }
}

impl Target {
    /// The place of this name, with the form that is asked for, or that the name has.
    pub(crate) fn new(name: &OsStr, format: Option<Format>, force: bool) -> Result<Self, OutputError> {
        let bytes = name.as_bytes();
        let path = PathBuf::from(name);
        if bytes == b"-" {
            return match format {
                None | Some(Format::Tar) => Ok(Self { place: Place::Stdout, format: Format::Tar, force }),
                Some(Format::Dir) => Err(OutputError::OnlyTar("a folder")),
                Some(Format::OciLayer) => Err(OutputError::OnlyTar("a layout")),
            };
        }
        let compressed: [&[u8]; 5] = [b".tar.gz", b".tgz", b".tar.zst", b".tar.xz", b".tar.bz2"];
        let format = match format {
            Some(format) => format,
            None if bytes.ends_with(b".tar") => Format::Tar,
            None if bytes.ends_with(b".oci") => Format::OciLayer,
            None if compressed.iter().any(|ending| bytes.ends_with(ending)) => {
                return Err(OutputError::Compressed(path));
            }
            None => Format::Dir,
        };
        Ok(Self { place: Place::Path(path), format, force })
    }

    /// Whether standard output is taken.
    pub(crate) fn is_stdout(&self) -> bool {
        self.place == Place::Stdout
    }

    /// Whether owners and attributes get lost unless this runs as root.
    pub(crate) fn is_folder(&self) -> bool {
        self.format == Format::Dir
    }

    /// How people call it.
    pub(crate) fn name(&self) -> String {
        match &self.place {
            Place::Stdout => "standard output".to_owned(),
            Place::Path(path) => path.display().to_string(),
        }
    }

    /// Fails where something is in the way, before any work is done.
    pub(crate) fn check(&self) -> Result<(), OutputError> {
        match &self.place {
            Place::Stdout if io::stdout().is_terminal() => Err(OutputError::Terminal),
            Place::Stdout => Ok(()),
            Place::Path(path) => self.vacant(path, None).map(drop),
        }
    }

    /// Writes the result.
    pub(crate) fn write(&self, tree: &Tree) -> anyhow::Result<()> {
        let path = match &self.place {
            Place::Stdout => {
                rootfs::write_tar(tree, &mut io::stdout().lock(), &TarOptions { times: Times::Own })?;
                return Ok(());
            }
            Place::Path(path) => path,
        };
        self.vacant(path, Some(tree))?;
        let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // An empty folder is filled from inside: it may be a file system of its own.
        let is_filled = self.format != Format::Tar && path.is_dir() && names(path)?.is_empty();
        let folder = if is_filled { path } else { beside };
        let passing = Passing::new_in(folder).map_err(|source| at(path, source))?;
        let staged = passing.path().join("new");
        match self.format {
            Format::Dir => rootfs::write_directory(tree, &staged, ownership())?,
            Format::Tar => write_tar(tree, &staged)?,
            Format::OciLayer => write_layout(tree, &staged)?,
        }
        passing::undisturbed(|| match is_filled {
            true => fill(path, &staged),
            false => self.publish(path, &staged, &passing, tree),
        })?;
        passing.remove().map_err(|source| at(path, source))?;
        Ok(())
    }

    /// Puts what was made into its place.
    fn publish(&self, path: &Path, staged: &Path, passing: &Passing, tree: &Tree) -> Result<(), OutputError> {
        // Making it took its time: somebody may have put something there.
        let is_vacant = self.vacant(path, Some(tree))?;
        if is_vacant || self.format == Format::Tar {
            return rootfs::move_written(staged, path).map_err(|source| at(path, source));
        }
        let aside = passing.path().join("old");
        match rootfs::move_written(path, &aside) {
            // In a build stage, where it is part of an earlier layer.
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                rootfs::remove_directory(path).map_err(|source| at(path, source))?;
            }
            moved => moved.map_err(|source| at(path, source))?,
        }
        rootfs::move_written(staged, path).map_err(|source| {
            // The first error is the one to tell.
            let _ = rootfs::move_written(&aside, path);
            at(path, source)
        })
    }

    /// Whether nothing is there; an empty folder is as good as nothing. What must stay is an error.
    fn vacant(&self, path: &Path, tree: Option<&Tree>) -> Result<bool, OutputError> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(at(path, error)),
        };
        let refuse =
            |what: &str| OutputError::NotReplaceable { path: path.to_owned(), what: what.to_owned() };
        if self.format == Format::Tar {
            return match (metadata.is_file(), self.force) {
                (false, _) => Err(refuse("it is not a regular file")),
                (true, false) => Err(OutputError::Exists(path.to_owned())),
                (true, true) => Ok(false),
            };
        }
        if !metadata.is_dir() {
            return Err(refuse("it is not a folder"));
        }
        let names = names(path).map_err(|source| at(path, source))?;
        if names.is_empty() {
            return Ok(false);
        }
        if !self.force {
            return Err(OutputError::Exists(path.to_owned()));
        }
        let known = self.top(tree);
        match names.iter().find(|name| known.as_ref().is_some_and(|known| !known.contains(*name))) {
            Some(name) => {
                Err(refuse(&format!("it has `{}`, which the result does not have", name.display())))
            }
            None => Ok(false),
        }
    }

    /// What the result has at its top; not known before it is made.
    fn top(&self, tree: Option<&Tree>) -> Option<BTreeSet<OsString>> {
        match self.format {
            Format::OciLayer => Some(LAYOUT.map(OsString::from).into()),
            Format::Dir | Format::Tar => {
                let children = tree?.children(&RootPath::root());
                Some(children.map(|(path, _)| OsStr::from_bytes(path.name()).to_owned()).collect())
            }
        }
    }
}

/// Moves what is in the folder `staged` up into the empty folder that it is in.
fn fill(path: &Path, staged: &Path) -> Result<(), OutputError> {
    // Its own rights, which the folder that is there does not take on, might keep what it holds in it.
    fs::set_permissions(staged, PermissionsExt::from_mode(0o700)).map_err(|source| at(path, source))?;
    let mut moved: Vec<PathBuf> = Vec::new();
    for name in names(staged).map_err(|source| at(path, source))? {
        let target = path.join(&name);
        if let Err(source) = rootfs::move_written(&staged.join(&name), &target) {
            for target in moved {
                // Back to where it goes with the rest. The first error is the one to tell.
                let _ = rootfs::move_written(&target, &staged.join(target.file_name().unwrap_or_default()));
            }
            return Err(at(path, source));
        }
        moved.push(target);
    }
    Ok(())
}

fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
}

fn at(path: &Path, source: io::Error) -> OutputError {
    OutputError::Io { path: path.to_owned(), source }
}

/// Only root may give files away.
pub(crate) fn ownership() -> Ownership {
    if rustix::process::geteuid().is_root() { Ownership::Preserve } else { Ownership::Ignore }
}

fn write_tar(tree: &Tree, staged: &Path) -> anyhow::Result<()> {
    let mut file = BufWriter::new(fs::File::create_new(staged)?);
    rootfs::write_tar(tree, &mut file, &TarOptions { times: Times::Own })?;
    file.flush()?;
    Ok(())
}

fn write_layout(tree: &Tree, staged: &Path) -> anyhow::Result<()> {
    let mut tar = Vec::new();
    rootfs::write_tar(tree, &mut tar, &TarOptions { times: Times::Own })?;
    let packed = oci::pack(&tar, Compression::GZIP_FAST)?;
    let newest = tree.iter().map(|(_, entry)| entry.metadata.mtime).max().unwrap_or(0);
    let recipe = Recipe {
        architecture: architecture(tree)?,
        created: Timestamp::from_second(newest).unwrap_or(Timestamp::UNIX_EPOCH),
        execution: oci::document::Execution::default(),
        annotations: oci::document::Annotations::default(),
    };
    let layer = NewLayer {
        layer: packed.layer.clone(),
        created_by: "rubypak".to_owned(),
        comment: "the files that the roots need".to_owned(),
    };
    let image = NewImage::new(recipe, vec![layer]);
    // A layout makes its folders where they are gone, and all that takes time is done.
    passing::undisturbed(|| put_layout(staged, &packed, &image))
}

fn put_layout(staged: &Path, packed: &oci::Packed, image: &NewImage) -> anyhow::Result<()> {
    let layout = Layout::create(staged)?;
    let writer = layout.writer()?;
    writer.put_blob(&packed.layer.digest, &packed.bytes)?;
    writer.put_image(image)?;
    let reference: Reference = REFERENCE.parse()?;
    writer.set_refs(|names| {
        names.insert(reference, image.descriptor.clone());
    })?;
    Ok(())
}

/// The architecture of the first object, or of this machine where there is none.
fn architecture(tree: &Tree) -> anyhow::Result<Architecture> {
    let machine = tree.iter().find_map(|(_, entry)| match &entry.kind {
        Kind::File(file) if file.content.starts_with(b"\x7fELF\x02\x01") => {
            Some([*file.content.get(18)?, *file.content.get(19)?])
        }
        _ => None,
    });
    match machine {
        Some([62, 0]) => Ok(Architecture::Amd64),
        Some([183, 0]) => Ok(Architecture::Arm64),
        None if Architecture::host().is_some() => Ok(Architecture::host().expect("it was asked")),
        _ => anyhow::bail!("cannot make an image of files for a machine that is neither amd64 nor arm64"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_the_form() {
        for (name, wanted) in [
            ("/bundle", Some(Format::Dir)),
            ("bundle.tar", Some(Format::Tar)),
            ("-", Some(Format::Tar)),
            ("image.oci", Some(Format::OciLayer)),
            ("bundle.tar.gz", None),
            ("bundle.tgz", None),
        ] {
            let target = Target::new(OsStr::new(name), None, false);
            assert_eq!(target.ok().map(|target| target.format), wanted, "{name}");
        }
        let target = Target::new(OsStr::new("x.tar.gz"), Some(Format::Dir), false).unwrap();
        assert_eq!(target.format, Format::Dir);
        assert!(Target::new(OsStr::new("-"), Some(Format::Dir), false).is_err());
    }
}

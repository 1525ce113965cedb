//! Files that no package brings as an image needs them: those that `image.toml` gives, and those that maintainer
//! scripts would have made. No script of a package is ever run.

use rootfs::{Entry, Escaped, InsertError, Kind, Metadata, Origin, PathError, ResolveError, RootPath, Tree};
use schema::image::{FileContent, FileSpec, Generator};

use crate::project::ImageFolder;

/// The folder whose certificates are the trusted ones (ca-certificates, `update-ca-certificates(8)`).
const CERTIFICATES: &str = "/usr/share/ca-certificates/mozilla";
/// The package base-files' own account of the distro (os-release(5)).
const OS_RELEASE: &str = "/usr/lib/os-release";

/// What is made into files that is not in the image's description.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// The first two numbers of the Ruby.
    pub(crate) series: String,
    /// Where the Ruby was installed to.
    pub(crate) prefix: String,
    /// Where the packages come from, as apt reads it (sources.list(5)).
    pub(crate) apt_sources: String,
}

/// A file that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MadeError {
    /// A path that is none.
    #[error("cannot make `{path}`")]
    Path {
        /// As it was written.
        path: String,
        /// What is wrong with it.
        source: PathError,
    },
    /// Its place cannot be reached.
    #[error("cannot make {path}")]
    Resolve {
        /// Where it should go.
        path: RootPath,
        /// What is in the way.
        source: ResolveError,
    },
    /// Its place is taken.
    #[error("cannot make {path}")]
    Insert {
        /// Where it should go.
        path: RootPath,
        /// What is in the way.
        source: InsertError,
    },
    /// What it is made of is not in any package.
    #[error("cannot make {path}: no package of the image has {source_path}")]
    SourceMissing {
        /// Where it should go.
        path: RootPath,
        /// What it would be made of.
        source_path: &'static str,
    },
    /// What it is made of is no text.
    #[error("cannot make {path}: {text} is not UTF-8")]
    SourceNotText {
        /// Where it should go.
        path: RootPath,
        /// The file.
        text: Escaped,
    },
}

/// Puts a made file into a tree, in place of what a package may have there, and gives its place. What is made from a
/// package's files has their origin, so that the package stands for it; the rest has `origin`. None where what it is for is
/// not there.
///
/// # Errors
/// When its place cannot be reached, or what it is made of is missing.
pub(crate) fn make(
    tree: &mut Tree,
    spec: &FileSpec,
    image: &ImageFolder,
    facts: &Facts,
    origin: Origin,
) -> Result<Option<RootPath>, MadeError> {
    if let Some(needed) = &spec.needs
        && !analyzer::matches(tree, &needed.for_prefix(&facts.prefix))
    {
        return Ok(None);
    }
    let path = place(tree, spec.path.as_str())?;
    let metadata = |default: u32| Metadata {
        uid: spec.owner,
        gid: spec.owner,
        ..Metadata::root(spec.mode.map_or(default, schema::image::Mode::bits))
    };
    let file = |(bytes, origin): (Vec<u8>, Origin)| Entry::file(metadata(0o644), bytes, origin);
    let entry = match &spec.content {
        FileContent::Copy(source) => file((image.file(source).to_vec(), origin)),
        FileContent::Folder(_) => Entry::directory(metadata(0o755), origin),
        FileContent::Link(target) => Entry::symlink(target.replace("{series}", &facts.series), origin),
        FileContent::Generate(Generator::CaCertificates) => file(certificates(tree, &path)?),
        FileContent::Generate(Generator::OsRelease) => file(os_release(tree, &path)?),
        FileContent::Generate(Generator::AptSources) => {
            file((facts.apt_sources.clone().into_bytes(), origin))
        }
    };
    match tree.insert(path.clone(), entry) {
        Ok(()) => Ok(Some(path)),
        Err(source) => Err(MadeError::Insert { path, source }),
    }
}

/// Where a path really is once the links to its folder are followed; a folder that is missing is not looked into.
fn place(tree: &Tree, written: &str) -> Result<RootPath, MadeError> {
    let path =
        RootPath::parse(written).map_err(|source| MadeError::Path { path: written.to_owned(), source })?;
    let Some(parent) = path.parent() else { return Ok(path) };
    match tree.resolve(&parent) {
        Ok(resolved) => {
            let place = resolved.path.join(path.name());
            place.map_err(|source| MadeError::Path { path: written.to_owned(), source })
        }
        Err(ResolveError::NotFound { .. }) => Ok(path),
        Err(source) => Err(MadeError::Resolve { path, source }),
    }
}

/// Every certificate, by the order of their names, as `update-ca-certificates` joins them.
fn certificates(tree: &Tree, path: &RootPath) -> Result<(Vec<u8>, Origin), MadeError> {
    let folder = RootPath::parse(CERTIFICATES).expect("a constant path");
    let mut bundle = Vec::new();
    let mut origin = None;
    for (certificate, entry) in tree.children(&folder) {
        if let (Kind::File(file), true) = (&entry.kind, certificate.name().ends_with(b".crt")) {
            bundle.extend_from_slice(&file.content);
            origin = Some(entry.origin);
            if bundle.last().is_some_and(|byte| *byte != b'\n') {
                bundle.push(b'\n');
            }
        }
    }
    let missing = || MadeError::SourceMissing { path: path.clone(), source_path: CERTIFICATES };
    Ok((bundle, origin.ok_or_else(missing)?))
}

/// The distro's `os-release`, with the name that scanners know distroless images by.
fn os_release(tree: &Tree, path: &RootPath) -> Result<(Vec<u8>, Origin), MadeError> {
    let source = RootPath::parse(OS_RELEASE).expect("a constant path");
    let Some(Entry { kind: Kind::File(file), origin, .. }) = tree.get(&source) else {
        return Err(MadeError::SourceMissing { path: path.clone(), source_path: OS_RELEASE });
    };
    let text = std::str::from_utf8(&file.content).map_err(|_| MadeError::SourceNotText {
        path: path.clone(),
        text: Escaped::from(source.as_bytes()),
    })?;
    let mut lines = vec!["PRETTY_NAME=\"Distroless\""];
    lines.extend(text.lines().filter(|line| !line.starts_with("PRETTY_NAME=")));
    Ok(((lines.join("\n") + "\n").into_bytes(), *origin))
}

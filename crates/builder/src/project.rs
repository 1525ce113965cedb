//! A project on disk: `matrix.toml`, `matrix.lock` and the folder of the image that the matrix names, read as a whole
//! before anything is built, so that every later step works on values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use schema::image::{FileContent, ImageSpec};
use schema::lock::Lock;
use schema::matrix::Matrix;
use schema::{Digest, Hasher, ParseError};

/// The matrix, as it is called in the project's folder.
pub const MATRIX: &str = "matrix.toml";
/// The lock, as it is called in the project's folder.
pub const LOCK: &str = "matrix.lock";
/// The description of an image, as it is called in the image's folder.
const IMAGE: &str = "image.toml";

/// A project as it was read.
#[derive(Debug)]
pub struct Project {
    /// Its folder.
    pub root: PathBuf,
    /// What to build.
    pub matrix: Matrix,
    /// What the image is.
    pub image: ImageFolder,
    /// Which packages it was built from, where that is known.
    pub lock: Option<Lock>,
    /// The keys of each distro's archive, where they are not Debian's.
    pub keyrings: BTreeMap<String, Vec<u8>>,
}

/// The folder of an image: its description and every file that the description names.
#[derive(Debug)]
pub struct ImageFolder {
    /// The description.
    pub spec: ImageSpec,
    files: BTreeMap<String, Vec<u8>>,
    digest: Digest,
}

/// A project that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// A file that is not there or not readable.
    #[error("cannot read the project")]
    Read(#[from] std::io::Error),
    /// A file with a mistake in it.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A file that is named somewhere else than in the folder of what names it.
    #[error("{by} names the file `{file}`, which is not a path inside its folder")]
    Outside {
        /// What names it.
        by: String,
        /// The file that it names.
        file: String,
    },
}

impl ProjectError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Parse(error) => error.hint(),
            Self::Read(_) | Self::Outside { .. } => None,
        }
    }
}

impl Project {
    /// Reads the project in the folder `root`. A lock that is going to be replaced need not be readable.
    ///
    /// # Errors
    /// When a file of it is missing or wrong.
    pub fn open(root: &Path, replaces_lock: bool) -> Result<Self, ProjectError> {
        let matrix = Matrix::parse(MATRIX, &fs::read_to_string(root.join(MATRIX))?)?;
        let image = ImageFolder::open(root, &matrix.image)?;
        let lock = match fs::read_to_string(root.join(LOCK)) {
            Ok(text) => match Lock::parse(LOCK, &text) {
                Err(_) if replaces_lock => None,
                lock => Some(lock?),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let mut keyrings = BTreeMap::new();
        for (name, distro) in &matrix.distros {
            let Some(file) = &distro.keyring else { continue };
            if !is_inside(file) {
                return Err(ProjectError::Outside { by: MATRIX.to_owned(), file: file.clone() });
            }
            keyrings.insert(name.clone(), fs::read(root.join(file))?);
        }
        Ok(Self { root: root.to_owned(), matrix, image, lock, keyrings })
    }
}

impl ImageFolder {
    pub(crate) fn open(root: &Path, name: &str) -> Result<Self, ProjectError> {
        let folder = root.join("images").join(name);
        let label = format!("images/{name}/{IMAGE}");
        let text = fs::read_to_string(folder.join(IMAGE))?;
        let spec = ImageSpec::parse(&label, &text)?;

        let mut hasher = Hasher::new();
        hasher.field(text.as_bytes());
        let mut files = BTreeMap::new();
        for file in named_files(&spec) {
            if !is_inside(file) {
                return Err(ProjectError::Outside { by: label, file: file.to_owned() });
            }
            let bytes = fs::read(folder.join(file))?;
            hasher.field(file.as_bytes());
            hasher.field(&bytes);
            files.insert(file.to_owned(), bytes);
        }
        Ok(Self { spec, files, digest: hasher.finish() })
    }

    /// The bytes of a file that the description names.
    ///
    /// # Panics
    /// When the description does not name it: it was read then.
    pub fn file(&self, name: &str) -> &[u8] {
        self.files.get(name).expect("every file that the description names was read with it")
    }

    /// The digest of the description and its files: with the same digest, the same image is meant.
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

fn named_files(spec: &ImageSpec) -> impl Iterator<Item = &str> {
    let copies = spec.layers.iter().flat_map(|layer| &layer.files).filter_map(|file| match &file.content {
        FileContent::Copy(source) => Some(source.as_str()),
        FileContent::Folder(_) | FileContent::Link(_) | FileContent::Generate(_) => None,
    });
    copies
        .chain(spec.checks.iter().filter_map(|check| check.script.as_deref()))
        .chain(spec.gems.as_ref().map(|gems| gems.script.as_str()))
}

/// Whether a path as written leads nowhere but down.
fn is_inside(file: &str) -> bool {
    let mut components = Path::new(file).components();
    components.clone().next().is_some()
        && components.all(|component| matches!(component, std::path::Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_inside_or_refused() {
        for (file, inside) in [
            ("files/passwd", true),
            ("passwd", true),
            ("", false),
            ("../passwd", false),
            ("files/../../passwd", false),
            ("/etc/passwd", false),
        ] {
            assert_eq!(is_inside(file), inside, "{file}");
        }
    }
}

//! A project on disk: `matrix.toml`, `matrix.lock` and the folder of the image that the matrix names, read as a whole
//! before anything is built, so that every later step works on values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use schema::ParseError;
use schema::image::{Drop, FileContent, ImageSpec};
use schema::lock::Lock;
use schema::matrix::Matrix;

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
    /// The name of the folder.
    name: String,
    files: BTreeMap<String, Vec<u8>>,
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
    /// A rule is to be switched off that is not there.
    #[error("images/{image}/{IMAGE} has no rule `{rule}`")]
    NoRule {
        /// The image.
        image: String,
        /// The rule, as it was given.
        rule: String,
        /// The names of those that there are.
        rules: Vec<String>,
    },
    /// A row has an option that the image does not know.
    #[error(
        "{MATRIX}: Ruby {ruby} on {distro} has the option `{option}`, which images/{image}/{IMAGE} does not have"
    )]
    Option {
        /// The row's Ruby.
        ruby: String,
        /// Its distro.
        distro: String,
        /// The option.
        option: String,
        /// The image.
        image: String,
        /// Those that it has.
        options: Vec<String>,
    },
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
            Self::NoRule { rule, rules, .. } => match schema::nearest(rule, rules.iter().map(String::as_str))
            {
                Some(near) => Some(format!("did you mean `{near}`?")),
                None => Some(format!("the rules are {}", rules.join(", "))),
            },
            Self::Option { options, .. } if options.is_empty() => Some("it has no options".to_owned()),
            Self::Option { options, .. } => Some(format!("the options are {}", options.join(", "))),
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
        verify_options(&matrix, &image.spec)?;
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

/// Whether every option of a row is one of the image.
fn verify_options(matrix: &Matrix, spec: &ImageSpec) -> Result<(), ProjectError> {
    let options: Vec<String> = spec.options.iter().map(|option| option.name.clone()).collect();
    for row in &matrix.rows {
        if let Some(unknown) = row.options.iter().find(|option| !options.contains(option)) {
            return Err(ProjectError::Option {
                ruby: row.ruby.to_string(),
                distro: row.distro.clone(),
                option: unknown.clone(),
                image: matrix.image.clone(),
                options,
            });
        }
    }
    Ok(())
}

impl ImageFolder {
    pub(crate) fn open(root: &Path, name: &str) -> Result<Self, ProjectError> {
        let folder = root.join("images").join(name);
        let label = format!("images/{name}/{IMAGE}");
        let text = fs::read_to_string(folder.join(IMAGE))?;
        let spec = ImageSpec::parse(&label, &text)?;

        let mut files = BTreeMap::new();
        for file in named_files(&spec) {
            if !is_inside(file) {
                return Err(ProjectError::Outside { by: label, file: file.to_owned() });
            }
            let bytes = fs::read(folder.join(file))?;
            files.insert(file.to_owned(), bytes);
        }
        Ok(Self { spec, name: name.to_owned(), files })
    }

    /// Takes out the rules of these names, for leaving out and for making smaller.
    ///
    /// # Errors
    /// A rule that the description does not have.
    pub(crate) fn switch_off(&mut self, rules: &[String]) -> Result<(), ProjectError> {
        let spec = &mut self.spec;
        let additions = spec.variants.iter_mut().map(|variant| &mut variant.addition);
        let additions = additions.chain(spec.options.iter_mut().map(|option| &mut option.addition));
        let mut drops: Vec<&mut Vec<Drop>> = additions.map(|addition| &mut addition.drop).collect();
        drops.push(&mut spec.drop);
        let names = drops.iter().flat_map(|drops| drops.iter()).map(|drop| &drop.name);
        let names: Vec<&String> = names.chain(spec.shrink.iter().map(|rule| &rule.name)).collect();
        if let Some(unknown) = rules.iter().find(|rule| !names.contains(rule)) {
            return Err(ProjectError::NoRule {
                image: self.name.clone(),
                rule: unknown.clone(),
                rules: names.into_iter().cloned().collect(),
            });
        }
        for drops in drops {
            drops.retain(|drop| !rules.contains(&drop.name));
        }
        spec.shrink.retain(|rule| !rules.contains(&rule.name));
        Ok(())
    }

    /// The bytes of a file that the description names.
    ///
    /// # Panics
    /// When the description does not name it: it was read then.
    pub fn file(&self, name: &str) -> &[u8] {
        self.files.get(name).expect("every file that the description names was read with it")
    }
}

fn named_files(spec: &ImageSpec) -> impl Iterator<Item = &str> {
    let additions = spec.variants.iter().map(|variant| &variant.addition);
    let additions = additions.chain(spec.options.iter().map(|option| &option.addition));
    let layers = spec.layers.iter().chain(additions.flat_map(|addition| &addition.layers));
    let files = layers.flat_map(|layer| &layer.files);
    let files = files.chain(spec.compile.iter().flat_map(|compile| &compile.files));
    let copies = files.filter_map(|file| match &file.content {
        FileContent::Copy(source) => Some(source.as_str()),
        FileContent::Folder(_) | FileContent::Link(_) | FileContent::Generate(_) => None,
    });
    copies
        .chain(spec.compile.iter().map(|compile| compile.script.as_str()))
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

//! What the source of a row's Ruby decides: which packages are asked for, where the Ruby is, and how its full version is
//! known before anything is built. A kind of source is matched here, and nowhere else in this crate.

use std::collections::BTreeSet;

use rootfs::{RootPath, Tree};
use schema::Digest;
use schema::image::{ImageSpec, LayerSpec};
use schema::lock::{ImageKey, Lock, LockedImage, LockedRuby, SetKey};
use schema::matrix::{Compiled, ImageName, LocalImage, Source, Tarball, TarballAddress};

use crate::image_source::{ImageFault, ImageSourceError};
use crate::inventory::Ruby;
use crate::plan::Target;
use crate::{BuildError, Builder, locking};

/// What stands for the package of the Ruby in the name of another one.
const PACKAGE: &str = "{package}";

/// Where a Ruby may be in an image, the better first.
const PREFIXES: [&str; 2] = ["/usr/local", "/usr"];

impl Target {
    /// The folder that the Ruby was installed to.
    ///
    /// # Errors
    /// An image that is not locked yet.
    pub(crate) fn prefix(&self, lock: &Lock) -> Result<String, BuildError> {
        match self.locked_image(lock)? {
            None if matches!(self.row.source, Source::Tarball(_)) => Ok("/usr/local".to_owned()),
            None => Ok("/usr".to_owned()),
            Some((_, image)) => {
                self.ruby_in(image).map(|ruby| ruby.prefix.clone()).ok_or_else(|| self.no_ruby(image))
            }
        }
    }

    /// Layers of the image, lowest first, by what they are chosen from: all from the packages of the row, or those below
    /// the Ruby's from these alone, so that the rows of a distro share them, and the rest from its image too.
    pub(crate) fn stages<'l>(&self, layers: &'l [LayerSpec]) -> Vec<&'l [LayerSpec]> {
        let below = match self.row.source {
            Source::Package(_) | Source::Tarball(_) => 0,
            Source::Image(_) => layers.iter().take_while(|layer| !layer.asks_for_ruby()).count(),
        };
        let (below, above) = layers.split_at(below);
        [below, above].into_iter().filter(|stage| !stage.is_empty()).collect()
    }

    /// The packages that the Ruby comes in, or needs files of.
    pub(crate) fn ruby_packages(&self, spec: &ImageSpec) -> BTreeSet<String> {
        match &self.row.source {
            Source::Package(package) => BTreeSet::from([package.clone()]),
            Source::Tarball(_) => {
                spec.compile.iter().flat_map(|compile| &compile.libraries).cloned().collect()
            }
            Source::Image(_) => BTreeSet::new(),
        }
    }

    /// What this target asks of its distro for the root that its Ruby is compiled in, if it is.
    pub(crate) fn compile_set(&self, spec: &ImageSpec) -> Option<SetKey> {
        let (Source::Tarball(Compiled { yjit, .. }), Some(compile)) = (&self.row.source, &spec.compile)
        else {
            return None;
        };
        let yjit = compile.yjit_packages.iter().filter(|_| *yjit);
        let wants = compile.packages.iter().chain(yjit).cloned().collect();
        Some(SetKey { distro: self.row.distro.clone(), architecture: self.architecture, wants })
    }

    /// The packages of a list that this target asks for.
    pub(crate) fn asked_for(&self, packages: &[String]) -> BTreeSet<String> {
        match &self.row.source {
            Source::Package(package) => packages.iter().map(|want| want.replace(PACKAGE, package)).collect(),
            Source::Image(_) | Source::Tarball(_) => {
                packages.iter().filter(|want| !want.contains(PACKAGE)).cloned().collect()
            }
        }
    }

    /// The full version of the Ruby, as the lock has it: `3.3.8` of `ruby3.3 3.3.8-2`.
    pub fn locked_version(&self, spec: &ImageSpec, lock: &Lock) -> Option<String> {
        match &self.row.source {
            Source::Tarball(Compiled { version, .. }) => Some(version.clone()),
            Source::Package(_) => {
                let versioned = format!("ruby{}", self.row.ruby);
                let set = self.image_set(spec);
                let (package, _) = lock.set(&set)?.find(|(package, _)| package.name == versioned)?;
                Some(upstream_version(&package.version).to_owned())
            }
            Source::Image(_) => {
                let (_, image) = self.locked_image(lock).ok()??;
                self.ruby_in(image).map(|ruby| ruby.version.clone())
            }
        }
    }

    /// Whether the Ruby has YJIT, where the row says so: what others compiled is as they wanted it.
    pub(crate) fn yjit(&self) -> Option<bool> {
        match &self.row.source {
            Source::Tarball(Compiled { yjit, .. }) => Some(*yjit),
            Source::Package(_) | Source::Image(_) => None,
        }
    }

    /// What the Ruby comes in, as people call it.
    pub(crate) fn origin(&self) -> String {
        match &self.row.source {
            Source::Package(package) => format!("package {package} of its distro"),
            Source::Image(image) => format!("the image {image}"),
            Source::Tarball(Compiled { version, .. }) => format!("the tarball of Ruby {version}"),
        }
    }

    /// The image that the Ruby is taken from, if it is of one.
    pub(crate) fn image_key(&self) -> Option<ImageKey> {
        match &self.row.source {
            Source::Package(_) | Source::Tarball(_) => None,
            Source::Image(image) => Some(ImageKey { image: image.clone(), architecture: self.architecture }),
        }
    }

    /// What the lock has of the image that the Ruby is taken from, if it is of one.
    ///
    /// # Errors
    /// An image that is not locked yet.
    pub(crate) fn locked_image<'l>(
        &self,
        lock: &'l Lock,
    ) -> Result<Option<(ImageKey, &'l LockedImage)>, BuildError> {
        let Some(key) = self.image_key() else { return Ok(None) };
        match lock.images.get(&key) {
            Some(locked) => Ok(Some((key, locked))),
            None => Err(BuildError::ImageNotLocked { image: key.image, architecture: key.architecture }),
        }
    }

    /// The images that the lock has to know: the one that the Ruby is taken from, and the one that the row stands on.
    pub(crate) fn image_keys(&self) -> impl Iterator<Item = ImageKey> {
        self.image_key().into_iter().chain(self.base_key())
    }

    /// Whether there is no image that the lock would have to know and does not.
    pub(crate) fn has_locked_images(&self, lock: &Lock) -> bool {
        self.image_keys().all(|key| lock.images.contains_key(&key))
    }

    fn base_key(&self) -> Option<ImageKey> {
        let image = self.row.base.clone()?;
        Some(ImageKey { image, architecture: self.architecture })
    }

    /// The image that the row stands on, if on one, and the digest that the lock has of it.
    ///
    /// # Errors
    /// An image that is not locked yet.
    pub(crate) fn locked_base(&self, lock: &Lock) -> Result<Option<(ImageKey, Digest)>, BuildError> {
        let Some(key) = self.base_key() else { return Ok(None) };
        match lock.images.get(&key) {
            Some(locked) => Ok(Some((key, locked.digest))),
            None => Err(BuildError::ImageNotLocked { image: key.image, architecture: key.architecture }),
        }
    }

    /// The Ruby of the row among those of an image.
    fn ruby_in<'l>(&self, image: &'l LockedImage) -> Option<&'l LockedRuby> {
        let in_prefix = |prefix: &&str| {
            let mut rubies = image.rubies.iter().filter(|ruby| ruby.prefix == **prefix).rev();
            rubies.find(|ruby| self.row.ruby.has(&ruby.version))
        };
        PREFIXES.iter().find_map(in_prefix)
    }

    fn no_ruby(&self, image: &LockedImage) -> BuildError {
        let rubies = image.rubies.iter().map(|ruby| format!("Ruby {} in {}", ruby.version, ruby.prefix));
        let source = ImageFault::NoRuby { series: self.row.ruby.to_string(), rubies: rubies.collect() };
        match self.image_key() {
            Some(key) => ImageSourceError::Image { image: key.image, source }.into(),
            None => unreachable!("a Ruby is looked for in an image that it is taken from"),
        }
    }
}

impl Builder {
    /// What bills of materials say of the Ruby of a target, where it is of no package of its distro: it may still be of one
    /// in the image that it is taken from.
    ///
    /// # Errors
    /// An image or a tarball that is not locked.
    pub(crate) fn declared_ruby(&self, lock: &Lock, target: &Target) -> Result<Option<Ruby>, BuildError> {
        let tarball = match &target.row.source {
            Source::Package(_) => return Ok(None),
            Source::Image(_) => None,
            Source::Tarball(Compiled { version, .. }) => Some(self.declared_tarball(lock, version)?),
        };
        let prefix = RootPath::parse(target.prefix(lock)?).expect("one of two constant paths");
        let version = target.locked_version(self.spec(), lock).unwrap_or_default();
        let about = &self.spec().ruby;
        let software = sbom::Software {
            name: "ruby".to_owned(),
            cpe: about.cpe.as_ref().map(|cpe| cpe.replace("{ruby}", &version)),
            licences: about.licenses.clone(),
            version,
            tarball,
        };
        Ok(Some(Ruby { software, prefix }))
    }

    /// What bills of materials say of a tarball: the same whatever mirror it came from.
    fn declared_tarball(&self, lock: &Lock, version: &str) -> Result<sbom::Tarball, BuildError> {
        let tarball = &self.project.matrix.tarballs[version];
        let (path, address, digest) = match tarball {
            Tarball::Pinned { addresses, digest, .. } => {
                let mut urls = addresses.iter().filter_map(|address| match address {
                    TarballAddress::Url(url) => Some(url.clone()),
                    TarballAddress::Archive(_) => None,
                });
                let path = match &addresses[0] {
                    TarballAddress::Url(url) => {
                        let (_, rest) = url.split_once("://").unwrap_or_default();
                        rest.split_once('/').unwrap_or_default().1.to_owned()
                    }
                    TarballAddress::Archive(path) => path.clone(),
                };
                (path, urls.next(), *digest)
            }
            Tarball::SourcePackage { .. } => {
                let locked = locking::locked_tarball(&self.project.matrix, lock, version)?;
                (locked.path.clone(), None, locked.digest)
            }
        };
        Ok(sbom::Tarball { path, address, digest })
    }
}

/// What bills of materials say of an image that files are taken from.
pub(crate) fn declared_image(image: &ImageName, digest: Digest) -> sbom::PulledImage {
    let (repository, tag) = match image {
        ImageName::Registry(reference) => {
            let repository = reference.repository();
            let named = format!("{}/{}", repository.registry(), repository.path());
            (named, reference.tag().map(str::to_owned))
        }
        ImageName::Layout(LocalImage { path, name }) | ImageName::Archive(LocalImage { path, name }) => {
            (path.clone(), name.clone())
        }
    };
    sbom::PulledImage { repository, tag, digest }
}

/// The Rubies of an image.
pub(crate) fn rubies_of(tree: &Tree) -> BTreeSet<LockedRuby> {
    let of_prefix = |prefix: &&str| {
        let path = RootPath::parse(*prefix).expect("a constant path");
        let locked = |version| LockedRuby { prefix: (*prefix).to_owned(), version };
        analyzer::ruby::versions(tree, &path).into_iter().map(locked).collect::<Vec<_>>()
    };
    PREFIXES.iter().flat_map(of_prefix).collect()
}

/// A Debian version without its epoch and revision (Debian Policy 5.6.12). What comes after `+really` is the version that
/// it really is (Debian Policy 3.2.2).
pub(crate) fn upstream_version(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let upstream = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
    upstream.rsplit_once("+really").map_or(upstream, |(_, real)| real)
}

#[cfg(test)]
mod tests {
    use super::*;

    use schema::Architecture;
    use schema::matrix::Matrix;

    use crate::plan;
    use crate::selection::Architectures;

    const IMAGE: &str = r#"
name = "tiny"
packages = ["tzdata", "{package}-data"]

[about]
description = ""
source = ""
vendor = ""

[config]
user = "0:0"
working-directory = "/"
command = []
environment = {}

[[layers]]
name = "base"
roots = []
"#;

    fn target(source: &str) -> (Target, ImageSpec) {
        let matrix = format!(
            "image = \"tiny\"\narchitectures = [\"amd64\"]\n[distros.trixie]\nsuites = []\n\
             [[rows]]\nruby = \"3.3\"\ndistro = \"trixie\"\nsource = {source}\n"
        );
        let matrix = Matrix::parse("matrix.toml", &matrix).unwrap();
        let spec = ImageSpec::parse("image.toml", IMAGE).unwrap();
        let only = Architectures::Only(Architecture::Amd64);
        (plan::targets(&matrix, &spec, Architecture::Amd64, only).remove(0), spec)
    }

    #[test]
    fn a_row_asks_for_what_its_ruby_comes_in() {
        for (source, wants) in [
            ("{ package = \"ruby3.3\" }", &["ruby3.3", "ruby3.3-data", "tzdata"][..]),
            ("{ image = \"ruby:3.3\" }", &["tzdata"]),
        ] {
            let (target, spec) = target(source);
            let wants: BTreeSet<String> = wants.iter().map(|want| (*want).to_owned()).collect();
            assert_eq!(target.image_set(&spec).wants, wants, "{source}");
        }
    }

    #[test]
    fn of_the_rubies_of_an_image_the_one_of_the_row_is_meant() {
        let (target, spec) = target("{ image = \"ruby:3.3\" }");
        let key = target.image_key().unwrap();
        let ruby = |(prefix, version): &(&str, &str)| LockedRuby {
            prefix: (*prefix).to_owned(),
            version: (*version).to_owned(),
        };
        for (rubies, meant) in [
            (&[("/usr/local", "3.3.8")][..], Some(("/usr/local", "3.3.8"))),
            (&[("/usr", "3.3.1"), ("/usr/local", "3.3.8")], Some(("/usr/local", "3.3.8"))),
            (&[("/usr", "3.3.1"), ("/usr/local", "3.4.5")], Some(("/usr", "3.3.1"))),
            (&[("/usr/local", "3.30.1")], None),
            (&[], None),
        ] {
            let found = LockedImage {
                digest: schema::Digest::of(b"manifest"),
                rubies: rubies.iter().map(ruby).collect(),
            };
            let lock = Lock { images: [(key.clone(), found)].into(), ..Lock::default() };
            let prefix = target.prefix(&lock);
            assert_eq!(prefix.as_deref().ok(), meant.map(|(prefix, _)| prefix), "{rubies:?}");
            assert_eq!(target.locked_version(&spec, &lock).as_deref(), meant.map(|(_, version)| version));
        }
        let error = target.prefix(&Lock::default()).unwrap_err().to_string();
        assert_eq!(error, "matrix.lock does not have the image docker.io/library/ruby:3.3 for amd64");
    }

    #[test]
    fn an_upstream_version_has_no_epoch_and_no_revision() {
        for (version, upstream) in [
            ("3.3.8-2", "3.3.8"),
            ("2.7.4-1+deb11u5", "2.7.4"),
            ("1:3.3+b1", "3.3+b1"),
            ("3.3", "3.3"),
            ("3.1.7+really3.1.2-7", "3.1.2"),
        ] {
            assert_eq!(upstream_version(version), upstream);
        }
    }
}

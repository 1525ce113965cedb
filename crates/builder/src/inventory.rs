//! What the files of an image are, for its bills of materials: which package each is from, which gems are specified, and
//! under which licences the packages are.
//!
//! It is taken step by step, as an image comes about: what a step leaves as it was below it is not hashed or read again.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use rootfs::{Content, Inode, Kind, RootPath, Tree};
use sbom::{
    Checksums, Contents, Copyright, CopyrightFile, Distro, Gem, Owner, Software, Source, Specification,
};

use crate::build::Locked;
use crate::layers::{self, Selection};
use crate::stack::{Package, PackageSource, Stack};
use crate::underlay::Known;

/// Who makes the packages: every keyring and every mirror here is Debian's.
const VENDOR: &str = "Debian";
/// Where an image says what it is (os-release(5)).
const OS_RELEASE: &str = "/etc/os-release";

/// Something in an image that cannot be declared.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The specification of a gem does not say what it is of.
    #[error("cannot read the gem's specification {path}")]
    Specification {
        /// Where it is.
        path: RootPath,
        /// What is wrong.
        source: sbom::SpecificationError,
    },
}

/// The files of an image, and where they are from.
pub(crate) struct Subject<'a> {
    /// What the layers of this step were chosen from.
    pub stack: &'a Stack<'a>,
    /// The layers of this step.
    pub selection: &'a Selection<'a>,
    /// The packages of this step.
    pub packages: &'a Locked<'a>,
    /// The image, as its layers have it.
    pub image: &'a Tree,
    /// What is in the layers below.
    pub below: Option<Contents>,
    /// What the Ruby is, where this step has it and it is of no package.
    pub ruby: Option<Ruby>,
    /// The image that it was taken from.
    pub taken_from: Option<sbom::PulledImage>,
    /// The code name of its distro, which is its version where the image has no os-release(5).
    pub distro: &'a str,
}

/// A Ruby that is of no package.
pub(crate) struct Ruby {
    /// What it is.
    pub software: Software,
    /// Where it was installed to: what came with it elsewhere is not of it.
    pub prefix: RootPath,
}

/// A regular file of an image.
struct Found<'a> {
    path: &'a RootPath,
    text: String,
    content: &'a Content,
    inode: Inode,
}

impl Subject<'_> {
    /// Takes the inventory.
    ///
    /// # Errors
    /// The specification of a gem that does not say which gem it is.
    pub(crate) fn take(mut self) -> Result<Contents, InventoryError> {
        let Contents { packages, mut software, mut images, gems, files, .. } =
            self.below.take().unwrap_or_else(nothing);
        let mut packages: BTreeMap<String, sbom::Package> =
            packages.into_iter().map(|package| (package.name.clone(), package)).collect();
        let new = self.new_packages().into_iter();
        packages.extend(new.map(|package| (package.key.name.clone(), self.package(package))));

        let (same, new): (Vec<Found<'_>>, Vec<Found<'_>>) =
            regular_files(self.image).partition(|found| self.is_as_below(found));
        let mut known: HashMap<String, sbom::File> =
            files.into_iter().map(|file| (file.path.clone(), file)).collect();
        let mut files: Vec<sbom::File> =
            same.iter().filter_map(|found| known.remove(found.text.as_str())).collect();
        files.extend(self.new_files(&new));

        let mut known: HashMap<String, Gem> = gems.into_iter().map(|gem| (gem.path.clone(), gem)).collect();
        let mut gems: Vec<Gem> = same.iter().filter_map(|found| known.remove(found.text.as_str())).collect();
        for found in new.iter().filter(|found| is_specification(found.path)) {
            gems.push(gem(found)?);
        }
        let packages = packages.into_values().collect();
        software.extend(self.ruby.take().map(|ruby| ruby.software).filter(|ruby| is_owner(ruby, &files)));
        images.extend(self.taken_from.take());
        Ok(Contents { distro: distro(self.image, self.distro), packages, software, images, gems, files })
    }

    /// Whether the layers below have this very file.
    fn is_as_below(&self, found: &Found<'_>) -> bool {
        let below = self.stack.lower.get(found.path).map(|entry| &entry.kind);
        matches!(below, Some(Kind::File(file)) if file.inode == found.inode)
    }

    /// The packages that this step gave something of, or installed.
    fn new_packages(&self) -> Vec<&Package> {
        let contributors = layers::contributors(self.stack, &self.selection.closure);
        let installed = self.selection.layers.iter().any(|layer| layer.spec.installed);
        let all = self.stack.packages().iter();
        let is_installed = |package: &Package| installed && package.source == PackageSource::Archive;
        all.filter(|package| is_installed(package) || contributors.contains_key(&package.key)).collect()
    }

    fn package(&self, package: &Package) -> sbom::Package {
        let key = &package.key;
        sbom::Package {
            name: key.name.clone(),
            version: key.version.clone(),
            architecture: key.architecture.clone(),
            source: source(package),
            archive: self.packages.get(key).map(|locked| locked.digest),
            copyright: copyright(self.image, &key.name),
        }
    }

    fn new_files(&self, found: &[Found<'_>]) -> Vec<sbom::File> {
        let checksums = checksums(found);
        let file = |found: &Found<'_>| sbom::File {
            path: found.text.clone(),
            checksums: checksums[&found.inode],
            owner: self.owner(found.path),
        };
        found.iter().map(file).collect()
    }

    /// What a file of this step came from, or was made from.
    fn owner(&self, path: &RootPath) -> Option<Owner> {
        let mut layers = self.selection.layers.iter().rev();
        let entry = layers.find_map(|layer| layer.tree.get(path))?;
        if let Some(package) = self.stack.package(entry) {
            return Some(Owner::Package(package.key.name.clone()));
        }
        let ruby = self.ruby.as_ref().filter(|_| self.stack.upstream(entry).is_some())?;
        path.starts_with(&ruby.prefix).then(|| Owner::Software(ruby.software.name.clone()))
    }
}

/// What is in an image that rows stand on.
///
/// # Errors
/// The specification of a gem that does not say which gem it is.
pub(crate) fn of_base(
    image: &Tree,
    known: &Known,
    code_name: &str,
    pulled: sbom::PulledImage,
) -> Result<Contents, InventoryError> {
    let package = |package: &Package| sbom::Package {
        name: package.key.name.clone(),
        version: package.key.version.clone(),
        architecture: package.key.architecture.clone(),
        source: source(package),
        archive: None,
        copyright: copyright(image, &package.key.name),
    };
    let found: Vec<Found<'_>> = regular_files(image).collect();
    let checksums = checksums(&found);
    let owner = |path: &RootPath| {
        let package = known.owners.get(path).map(|&owner| &known.packages[owner]);
        package.map(|package| Owner::Package(package.key.name.clone()))
    };
    let file = |found: &Found<'_>| sbom::File {
        path: found.text.clone(),
        checksums: checksums[&found.inode],
        owner: owner(found.path),
    };
    let gems = found.iter().filter(|found| is_specification(found.path)).map(gem);
    Ok(Contents {
        distro: distro(image, code_name),
        packages: known.packages.iter().map(package).collect(),
        software: Vec::new(),
        images: vec![pulled],
        gems: gems.collect::<Result<_, _>>()?,
        files: found.iter().map(file).collect(),
    })
}

/// The copyright file of a package, which may be a link to that of another.
fn copyright(image: &Tree, package: &str) -> Option<CopyrightFile> {
    let path = RootPath::parse(format!("{}/{package}/copyright", layers::DOCUMENTATION)).ok()?;
    let real = image.resolve(&path).ok()?;
    match &image.get(&real.path)?.kind {
        Kind::File(file) => {
            Some(CopyrightFile { path: path.to_string(), copyright: Copyright::parse(&file.content) })
        }
        Kind::Directory | Kind::Symlink(_) => None,
    }
}

fn checksums(found: &[Found<'_>]) -> HashMap<Inode, Checksums> {
    let contents: HashMap<Inode, &Content> = found.iter().map(|found| (found.inode, found.content)).collect();
    contents.into_par_iter().map(|(inode, content)| (inode, Checksums::of(content))).collect()
}

fn nothing() -> Contents {
    let distro = Distro { id: String::new(), vendor: String::new(), version: String::new() };
    let (packages, software, images) = (Vec::new(), Vec::new(), Vec::new());
    Contents { distro, packages, software, images, gems: Vec::new(), files: Vec::new() }
}

/// Whether any of these files is of it: a Ruby may be of packages in an image too.
fn is_owner(software: &Software, files: &[sbom::File]) -> bool {
    let owner = Some(Owner::Software(software.name.clone()));
    files.iter().any(|file| file.owner == owner)
}

fn regular_files(tree: &Tree) -> impl Iterator<Item = Found<'_>> {
    tree.iter().filter_map(|(path, entry)| match &entry.kind {
        Kind::File(file) => {
            Some(Found { path, text: path.to_string(), content: &file.content, inode: file.inode })
        }
        Kind::Directory | Kind::Symlink(_) => None,
    })
}

/// What a package was built from: `Source: name (version)`, each where it is another than the package's own (deb-control(5)).
fn source(package: &Package) -> Source {
    let field = package.field("Source").unwrap_or_default();
    let (name, rest) = field.split_once(' ').unwrap_or((&field, ""));
    let version = rest.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let or_own = |text: &str, own: &String| if text.is_empty() { own.clone() } else { text.to_owned() };
    Source {
        name: or_own(name, &package.key.name),
        version: or_own(version.unwrap_or_default(), &package.key.version),
    }
}

/// Whether RubyGems looks here for what is installed: `specifications/*.gemspec`, and `default` below that.
pub(crate) fn is_specification(path: &RootPath) -> bool {
    let mut folders = path.ancestors().map(|folder| folder.name().to_vec());
    let folder = match folders.next() {
        Some(name) if name == b"default" => folders.next(),
        other => other,
    };
    path.name().ends_with(b".gemspec") && folder.is_some_and(|name| name == b"specifications")
}

fn gem(found: &Found<'_>) -> Result<Gem, InventoryError> {
    let specification = Specification::parse(found.content);
    let Specification { name, version, platform, licences } =
        specification.map_err(|source| InventoryError::Specification { path: found.path.clone(), source })?;
    Ok(Gem { name, version, platform, licences, path: found.text.clone() })
}

/// What an image says that it is.
fn distro(image: &Tree, code_name: &str) -> Distro {
    let path = RootPath::parse(OS_RELEASE).expect("a constant path");
    let file = image.resolve(&path).ok().and_then(|real| image.get(&real.path));
    let text = match file.map(|entry| &entry.kind) {
        Some(Kind::File(file)) => String::from_utf8_lossy(&file.content),
        _ => "".into(),
    };
    let value = |name: &str| {
        let mut values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        values.next().map(|value| value.trim_matches(['"', '\'']).to_owned())
    };
    Distro {
        id: value("ID").unwrap_or_else(|| VENDOR.to_lowercase()),
        vendor: VENDOR.to_owned(),
        version: value("VERSION_ID").unwrap_or_else(|| code_name.to_owned()),
    }
}

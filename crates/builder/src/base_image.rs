//! An image that the layers of a row are put on, as a Dockerfile's `FROM` has it: a distroless base, or any other. Its layers
//! are the lowest ones, tar for tar, so engines share them on disk with whatever else is on it; they are compressed as all
//! others are.
//!
//! What it has stays as it is there. A package that it says it has stands for the one of that name in the row's distro, so
//! that each is of one version; a made file that it has is not made.

use std::collections::{BTreeSet, HashMap};

use rootfs::{Content, Dialect, Entry, Kind, Layer, Limits, Origin, RootPath, Tree};
use schema::lock::{ImageKey, Lock};
use schema::run::PackageRecord;
use schema::{Digest, Hasher};

use crate::assemble::{self, Size};
use crate::check::TreeFault;
use crate::contents::{Contents, Step};
use crate::explain::Explanation;
use crate::image_source::{Brought, ImageFault, ImageSourceError};
use crate::inventory;
use crate::made::Facts;
use crate::observer::Observer;
use crate::plan::Target;
use crate::source::declared_image;
use crate::stack::Package;
use crate::underlay::{self, Known};
use crate::{BuildError, Builder};

/// An image that rows stand on.
#[derive(Debug)]
pub(crate) struct BaseImage {
    /// What is in it.
    pub tree: Tree,
    /// Its layers, lowest first: the digest of each tar, and the tar.
    layers: Vec<(Digest, Content)>,
    /// What its package manager knows.
    known: Known,
}

impl BaseImage {
    /// An image that was brought.
    ///
    /// # Errors
    /// When what its dpkg should know makes no sense.
    fn of(Brought { tree, layers, .. }: Brought) -> Result<Self, ImageFault> {
        let known = underlay::known(&tree)?;
        Ok(Self { tree, layers, known })
    }

    /// The names of its packages.
    pub(crate) fn packages(&self) -> BTreeSet<&str> {
        self.known.packages.iter().map(|package| package.key.name.as_str()).collect()
    }

    /// The package that a file of it is from, if any.
    pub(crate) fn package(&self, path: &RootPath) -> Option<&Package> {
        self.known.owners.get(path).map(|&owner| &self.known.packages[owner])
    }

    /// Each layer by itself, with the name that records give it.
    pub(crate) fn layers(&self) -> impl Iterator<Item = Result<(String, Tree), TreeFault>> {
        (1..).zip(&self.layers).map(|(number, (_, tar))| {
            let layer = Layer::parse(tar.clone(), Dialect::Oci, Limits::default())?;
            let mut tree = Tree::new();
            tree.stack(&layer, Origin::default())?;
            Ok((name(number), tree))
        })
    }

    /// What each of its packages has in it.
    fn records(&self) -> Vec<PackageRecord> {
        let mut entries: HashMap<usize, Vec<&Entry>> = HashMap::new();
        for (path, entry) in self.tree.iter().filter(|(_, entry)| !entry.is_directory()) {
            if let Some(&owner) = self.known.owners.get(path) {
                entries.entry(owner).or_default().push(entry);
            }
        }
        let record = |(place, package): (usize, &Package)| {
            let of_it = entries.get(&place).map(Vec::as_slice).unwrap_or_default();
            let size = Size::of(of_it.iter().copied());
            let (name, version) = (package.key.name.clone(), package.key.version.clone());
            PackageRecord { name, version, files: size.files, disk: size.bytes }
        };
        self.known.packages.iter().enumerate().map(record).collect()
    }
}

/// What a layer is called.
fn name(number: usize) -> String {
    format!("base image {number}")
}

impl Builder {
    /// The step of the image that a target stands on, if it stands on one.
    pub(crate) fn base_step<'s>(&self, lock: &Lock, target: &Target) -> Result<Option<Step<'s>>, BuildError> {
        let Some((key, digest)) = target.locked_base(lock)? else { return Ok(None) };
        let mut hasher = Hasher::new();
        hasher.field(self.tool.as_bytes());
        hasher.field(b"base image");
        hasher.field(key.image.to_string().as_bytes());
        hasher.field(key.architecture.name().as_bytes());
        hasher.field(digest.as_bytes());
        hasher.field(format!("{:?}", self.compressions()).as_bytes());
        Ok(Some(Step {
            key: hasher.finish(),
            set: target.image_set(self.spec()),
            layers: &[],
            drop: Vec::new(),
            facts: Facts::default(),
            is_base: true,
            keeps: true,
            base: Some((key, digest)),
            underlay: None,
            recipe: None,
        }))
    }

    /// Brings the image that a row stands on.
    ///
    /// # Errors
    /// An image that cannot be had, or is none.
    pub(crate) fn bring_base(
        &self,
        key: &ImageKey,
        digest: Digest,
        observer: &dyn Observer,
    ) -> Result<BaseImage, BuildError> {
        let brought = self.image_sources(observer).bring(key, Some(digest))?;
        let failed = |source| ImageSourceError::Image { image: key.image.clone(), source };
        Ok(BaseImage::of(brought).map_err(failed)?)
    }

    /// The layers of an image that rows stand on, packed, and what is in them.
    ///
    /// # Errors
    /// A layer that cannot be read or packed; a gem in it that does not say what it is.
    pub(crate) fn base_contents(
        &self,
        target: &Target,
        (key, digest): (&ImageKey, Digest),
        base: &BaseImage,
    ) -> Result<(Contents, sbom::Contents), BuildError> {
        let image = || target.to_string();
        let mut layers = Vec::with_capacity(base.layers.len());
        for ((diff_id, tar), layer) in base.layers.iter().zip(base.layers()) {
            let (name, tree) = layer.map_err(|source| BuildError::Layer { image: image(), source })?;
            let packed = assemble::pack_tar(&self.store, &name, (*diff_id, tar), &tree, self.compressions());
            layers.push(packed.map_err(|source| BuildError::Assemble { image: image(), source })?);
        }
        let pulled = declared_image(&key.image, digest);
        let inventory = inventory::of_base(&base.tree, &base.known, &target.row.distro, pulled)
            .map_err(|source| BuildError::Inventory { image: image(), source })?;
        let mut packages = base.records();
        packages.sort_by(|one, other| one.name.cmp(&other.name));
        Ok((Contents { layers, packages, ..Contents::default() }, inventory))
    }
}

impl Explanation {
    /// What there is to say of a path by the image that a row stands on; none where that does not have it.
    pub(crate) fn of_base(base: &BaseImage, asked: &RootPath) -> Option<Self> {
        let path = match base.tree.get(asked) {
            Some(_) => asked.clone(),
            None => base.tree.resolve(asked).ok()?.path,
        };
        let entry = base.tree.get(&path)?;
        let package = base.package(&path).filter(|_| !matches!(entry.kind, Kind::Directory));
        let package = package.map(|package| format!("{} {}", package.key.name, package.key.version));
        Some(Self::there_already(asked.clone(), path, package))
    }
}

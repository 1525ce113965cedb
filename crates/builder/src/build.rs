//! The order of the stages: lock, fetch, stack, select, pack, verify, name. A target whose inputs were built before is
//! taken from the layout as it is.

use std::collections::BTreeMap;
use std::io::Write;

use oci::document::{Annotations, Descriptor};
use oci::{Layout, NewIndex, Reference, Writer};
use rayon::prelude::*;
use rootfs::RootPath;
use schema::lock::{Lock, LockedPackage, PackageKey};
use schema::run::ImageRecord;
use schema::{Digest, Hasher};
use serde::{Deserialize, Serialize};

use crate::assemble::Ways;
use crate::explain::Explanation;
use crate::observer::{Event, Observer, Stage};
use crate::plan::{Selection, Target};
use crate::stack::{Package, Stack};
use crate::verify::{self, FindingsError};
use crate::{BuildError, Builder, assemble, layers, packages, packages_of};

/// Where the record of a built image is in the cache.
const RECORD: &str = "image-record";

/// An image that is in the layout.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Built {
    /// What is known of it; without checks.
    pub record: ImageRecord,
    /// The descriptor of its manifest; of the one in gzip, where there are both.
    pub descriptor: Descriptor,
    /// The same image in zstd, where there are both.
    pub zstd: Option<Descriptor>,
    /// What it says of itself.
    pub annotations: Annotations,
}

/// The locked packages of a set.
pub(crate) type Locked<'a> = BTreeMap<&'a PackageKey, &'a LockedPackage>;

impl Builder {
    /// Builds targets that are not built yet, in parallel, and names all of them in the layout. Names that the matrix
    /// does not give any more go when the whole matrix is built.
    ///
    /// # Errors
    /// The first target, by the order given, that cannot be built. No image of this run has a name then.
    pub fn build(&mut self, targets: &[Target], observer: &dyn Observer) -> Result<Vec<Built>, BuildError> {
        let layout = Layout::create(&self.options.dist.join("oci"))?;
        let mut again = false;
        loop {
            let lock = self.locked(targets, observer)?;
            let built = self.build_locked(&layout, &lock, targets, observer);
            // What has no name is of an image that was replaced, or of one that failed half-way.
            let swept = layout.remove_unreferenced();
            match built {
                Err(error) if error.is_gone() && self.may_resolve() && !again => {
                    again = true;
                    self.resolve_again(observer)?;
                }
                Err(error) => return Err(error),
                Ok(built) => {
                    swept?;
                    return Ok(built);
                }
            }
        }
    }

    fn build_locked(
        &self,
        layout: &Layout,
        lock: &Lock,
        targets: &[Target],
        observer: &dyn Observer,
    ) -> Result<Vec<Built>, BuildError> {
        // Held until everything has its name, so that nobody takes it for left over.
        let writer = layout.writer()?;
        let known: Vec<Option<Built>> =
            targets.par_iter().map(|target| self.known(layout, lock, target)).collect::<Result<_, _>>()?;
        let missing =
            targets.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(target, _)| target);
        let sets = missing.map(|target| packages_of(lock, &target.image_set(self.spec())));
        self.fetch(lock, &packages::joined(sets.collect::<Result<Vec<_>, _>>()?), observer)?;

        let built: Vec<Result<(Built, bool), BuildError>> = targets
            .par_iter()
            .zip(known)
            .map(|(target, known)| match known {
                Some(built) => Ok((built, true)),
                None => Ok((self.build_one(&writer, lock, target, observer)?, false)),
            })
            .collect();
        let built = built.into_iter().collect::<Result<Vec<_>, _>>()?;

        let indexes = indexes(built.iter().map(|(built, _)| built));
        let whole = self.is_whole(targets);
        writer.set_listing(|listing| {
            let before = listing.names.clone();
            listing.names.retain(|_, _| !whole);
            for (name, Images { manifests, annotations }) in indexes {
                // Those for other machines, which this run leaves alone; what cannot be read is replaced.
                let others = before.get(&name).filter(|_| !whole);
                let others = others.and_then(|named| layout.image_index(&name, named.clone()).ok());
                let index = match others {
                    Some(others) => others.joined(manifests, annotations),
                    None => NewIndex::new(manifests, annotations),
                };
                writer.put_index(&index)?;
                listing.names.insert(name, index.descriptor);
            }
            Ok(())
        })?;
        for ((Built { record, .. }, unchanged), target) in built.iter().zip(targets) {
            observer.observe(&Event::Built {
                image: &target.to_string(),
                manifest: record.manifest,
                disk: record.disk,
                pull: record.pull,
                zstd: record.zstd,
                undecided: record.undecided.len(),
                unchanged: *unchanged,
            });
        }
        Ok(built.into_iter().map(|(built, _)| built).collect())
    }

    /// Whether these are all the targets of the matrix.
    pub(crate) fn is_whole(&self, targets: &[Target]) -> bool {
        self.plan(&Selection::default()).is_ok_and(|all| all == targets)
    }

    /// The record of a target whose very inputs were built before, if the layout has the result undamaged.
    fn known(&self, layout: &Layout, lock: &Lock, target: &Target) -> Result<Option<Built>, BuildError> {
        let key = self.inputs(lock, target)?;
        let Some(blob) = self.store.derived(RECORD, &key)? else { return Ok(None) };
        // A record that cannot be read was written by nobody who has this key: build again.
        let Ok(built) = serde_json::from_slice::<Built>(blob.content()) else { return Ok(None) };
        let undamaged = [&built.descriptor].into_iter().chain(&built.zstd).all(|manifest| {
            let whole =
                |image: oci::Image| image.layers.iter().all(|layer| layout.blob(&layer.descriptor).is_ok());
            layout.image(manifest.clone()).is_ok_and(whole)
        });
        Ok(undamaged.then_some(built))
    }

    /// The digest of everything that decides what a target is built to.
    fn inputs(&self, lock: &Lock, target: &Target) -> Result<Digest, BuildError> {
        let mut hasher = Hasher::new();
        hasher.field(self.options.tool.as_bytes());
        hasher.field(self.project.image.digest().as_bytes());
        hasher.field(target.name.as_bytes());
        hasher.field(target.architecture.name().as_bytes());
        hasher.field(format!("{:?}", self.compressions()).as_bytes());
        hasher.field(&[u8::from(self.options.release)]);
        for reference in target.references(&self.ruby(lock, target)?) {
            hasher.field(reference.as_bytes());
        }
        for (key, package) in packages_of(lock, &target.image_set(self.spec()))? {
            hasher.field(String::from(key.clone()).as_bytes());
            hasher.field(package.digest.as_bytes());
        }
        Ok(hasher.finish())
    }

    fn build_one(
        &self,
        writer: &Writer<'_>,
        lock: &Lock,
        target: &Target,
        observer: &dyn Observer,
    ) -> Result<Built, BuildError> {
        let name = target.to_string();
        let stage = |stage| observer.observe(&Event::Stage { image: &name, stage });
        let spec = self.spec();
        let ruby = self.ruby(lock, target)?;

        stage(Stage::Stacking);
        let opened = self.opened(lock, target)?;
        let stack = Stack::new(&opened, &self.project.image, target.row.ruby.as_str())
            .map_err(|source| BuildError::Tree { image: target.to_string(), source })?;

        stage(Stage::Analyzing);
        let selection = layers::select(&stack, spec);
        let verdict = verify::judge(&selection.closure, &spec.accept, |findings| FindingsError::Packages {
            image: target.to_string(),
            findings,
        })?;

        stage(Stage::Packing);
        let failed = |source| BuildError::Assemble { image: target.to_string(), source };
        let packed = assemble::pack(&self.store, &selection.layers, self.compressions()).map_err(failed)?;
        let Ways { first: descriptor, zstd } =
            assemble::put(writer, target, spec, &ruby, &packed).map_err(failed)?;

        stage(Stage::Verifying);
        let image = writer.layout().image(descriptor.clone())?;
        let own = analyzer::analyze(&image.tree()?, &selection.request);
        verify::judge(&own, &spec.accept, |findings| FindingsError::Image {
            image: target.to_string(),
            findings,
        })?;

        let record = assemble::record(target, &ruby, &stack, &selection, &packed, &image);
        let verify::Verdict { accepted, undecided } = verdict;
        let record = ImageRecord { accepted, undecided, release: self.options.release, ..record };
        let built = Built { record, descriptor, zstd, annotations: image.manifest.annotations };
        let json = serde_json::to_vec(&built).expect("strings and numbers can be written as JSON");
        self.store.derive(RECORD, &self.inputs(lock, target)?, |out| {
            out.write_all(&json).map_err(BuildError::Keep)
        })?;
        Ok(built)
    }

    /// Why a path is in the image of a target, or what keeps it out.
    ///
    /// # Errors
    /// When its packages cannot be had or make no tree.
    pub fn explain(
        &mut self,
        target: &Target,
        path: &RootPath,
        observer: &dyn Observer,
    ) -> Result<Explanation, BuildError> {
        let lock = self.locked(std::slice::from_ref(target), observer)?;
        self.fetch(&lock, &packages_of(&lock, &target.image_set(self.spec()))?, observer)?;
        let opened = self.opened(&lock, target)?;
        let stack = Stack::new(&opened, &self.project.image, target.row.ruby.as_str())
            .map_err(|source| BuildError::Tree { image: target.to_string(), source })?;
        let selection = layers::select(&stack, self.spec());
        Ok(Explanation::of(&stack, &selection, path))
    }

    /// Opens the packages of a target's image.
    fn opened(&self, lock: &Lock, target: &Target) -> Result<Vec<Package>, BuildError> {
        let packages = packages_of(lock, &target.image_set(self.spec()))?;
        Ok(packages::open(&self.store, &self.client, &self.mirrors(lock)?, &packages)?)
    }
}

/// What one name is going to lead to.
struct Images {
    manifests: Vec<Descriptor>,
    /// What all of them say of themselves.
    annotations: Annotations,
}

/// The images of each name: one for each architecture and compression.
fn indexes<'a>(built: impl Iterator<Item = &'a Built>) -> BTreeMap<Reference, Images> {
    let mut indexes: BTreeMap<Reference, Images> = BTreeMap::new();
    for image in built {
        for name in &image.record.references {
            let name = name.parse().expect("names are made of words of the matrix");
            let index = indexes
                .entry(name)
                .or_insert_with(|| Images { manifests: Vec::new(), annotations: image.annotations.clone() });
            index.manifests.push(image.descriptor.clone());
            index.manifests.extend(image.zstd.clone());
            index.annotations.retain(|name, value| image.annotations.get(name) == Some(value));
        }
    }
    indexes
}

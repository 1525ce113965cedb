//! The order of the stages: lock, contents, image, name. A target whose inputs were built before is taken from the layout
//! as it is, and what several targets hold alike is built once.

use std::collections::BTreeMap;
use std::io::Write;

use oci::document::{Annotations, Descriptor, Manifest};
use oci::{Layout, NewIndex, Reference, Referrer, Writer};
use rayon::prelude::*;
use rootfs::{RootPath, Tree};
use schema::lock::{Lock, LockedPackage, PackageKey};
use schema::run::ImageRecord;
use schema::{Digest, Hasher};
use serde::{Deserialize, Serialize};

use crate::assemble::{Assembly, Placed, Ways};
use crate::contents::{Contents, Underlays};
use crate::declare::Declared;
use crate::explain::Explanation;
use crate::observer::Observer;
use crate::plan::Target;
use crate::selection::Selection;
use crate::{BuildError, Builder, assemble, declare, layers, packages_of};

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
    /// The documents about it, each once for each manifest.
    pub referrers: Vec<Referrer>,
    /// What it says of itself.
    pub annotations: Annotations,
}

/// The locked packages of a set.
pub(crate) type Locked<'a> = BTreeMap<&'a PackageKey, &'a LockedPackage>;

impl Builder {
    /// Builds targets that are not built yet, in parallel, and names all of them in the layout: each, and whether it was
    /// there before. Names that the matrix does not give any more go when the whole matrix is built.
    ///
    /// # Errors
    /// The first target, by the order given, that cannot be built. None of them has a new name then.
    pub(crate) fn build_locked(
        &self,
        layout: &Layout,
        placed: &Placed,
        lock: &Lock,
        targets: &[Target],
        observer: &dyn Observer,
    ) -> Result<Vec<(Built, bool)>, BuildError> {
        // Held until everything has its name, so that nobody takes it for left over.
        let writer = layout.writer()?;
        let known = |target| self.known(layout, placed, lock, target);
        let found: Vec<Option<Built>> = targets.par_iter().map(known).collect::<Result<_, _>>()?;
        let missing =
            targets.iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(target, _)| target);
        let contents = self.contents(placed, lock, &missing.collect::<Vec<_>>(), observer)?;
        let built: Vec<Result<(Built, bool), BuildError>> = targets
            .par_iter()
            .zip(found)
            .map(|(target, found)| match found {
                Some(built) => Ok((built, true)),
                None => Ok((self.build_one(&writer, placed, lock, target, &contents)?, false)),
            })
            .collect();
        let built = built.into_iter().collect::<Result<Vec<_>, _>>()?;

        let whole = self.is_whole(targets);
        let kept = if whole { self.kept(layout, placed, lock)? } else { Vec::new() };
        let named: Vec<&Built> = built.iter().map(|(built, _)| built).chain(&kept).collect();
        self.name(layout, &writer, &named, whole)?;
        if whole {
            self.remove_other_documents(&named)?;
        }
        Ok(built)
    }

    /// Gives built images their names in the layout, lists the documents about them, and writes these as files. Those of
    /// a name for other machines stay, and other names too, unless these are the whole matrix.
    ///
    /// # Errors
    /// A layout or a file that cannot be written.
    pub(crate) fn name(
        &self,
        layout: &Layout,
        writer: &Writer<'_>,
        named: &[&Built],
        whole: bool,
    ) -> Result<(), BuildError> {
        let indexes = indexes(named);
        // Documents are read from the layout, and no image has a name before they are files.
        writer.publish()?;
        self.write_documents(layout, named)?;
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
            declare::list(named, listing);
            Ok(())
        })?;
        Ok(())
    }

    /// Whether these are all the targets of the matrix.
    pub(crate) fn is_whole(&self, targets: &[Target]) -> bool {
        self.plan(&Selection::default()).is_ok_and(|all| all == targets)
    }

    /// The images on demand that were built before from the same inputs: they keep their names in a run over the matrix.
    fn kept(&self, layout: &Layout, placed: &Placed, lock: &Lock) -> Result<Vec<Built>, BuildError> {
        let all = self.plan(&Selection::every()).expect("no pattern, so none that matches nothing");
        let kept = all
            .par_iter()
            .filter(|target| target.is_on_demand())
            .filter_map(|target| self.known(layout, placed, lock, target).transpose());
        kept.collect()
    }

    /// The record of a target whose very inputs were built before, if the layout has the result undamaged.
    pub(crate) fn known(
        &self,
        layout: &Layout,
        placed: &Placed,
        lock: &Lock,
        target: &Target,
    ) -> Result<Option<Built>, BuildError> {
        if !target.has_locked_images(lock) {
            return Ok(None);
        }
        let key = self.inputs(lock, target)?;
        let Some(blob) = self.store.derived(RECORD, &key)? else { return Ok(None) };
        // A record that cannot be read was written by nobody who has this key: build again.
        let Ok(built) = serde_json::from_slice::<Built>(blob.content()) else { return Ok(None) };
        let undamaged = [&built.descriptor].into_iter().chain(&built.zstd).all(|manifest| {
            let whole = |image: oci::Image| {
                image.layers.iter().all(|layer| placed.has(&self.store, layout, &layer.descriptor))
            };
            layout.image(manifest.clone()).is_ok_and(whole)
        });
        let declared = built.referrers.iter().all(|referrer| {
            let whole = |artifact: Manifest| {
                artifact
                    .layers
                    .iter()
                    .chain([&artifact.config])
                    .all(|blob| placed.has(&self.store, layout, blob))
            };
            layout.manifest(&referrer.descriptor).is_ok_and(whole)
        });
        Ok((undamaged && declared).then_some(built))
    }

    /// The digest of everything that decides what a target is built to.
    fn inputs(&self, lock: &Lock, target: &Target) -> Result<Digest, BuildError> {
        let spec = self.spec();
        let mut hasher = Hasher::new();
        for step in self.steps(lock, target)? {
            hasher.field(step.key.as_bytes());
        }
        hasher.field(target.name.as_bytes());
        hasher.field(&[u8::from(self.options.release)]);
        // The same program writes the same text of the same value.
        let variant = target.variant(spec);
        hasher.field(format!("{:?}", (&spec.about, &spec.config, variant.user, &variant.command)).as_bytes());
        for (_, addition) in target.additions(spec) {
            hasher.field(format!("{:?}", addition.environment).as_bytes());
        }
        for reference in target.references(&self.ruby(lock, target)?) {
            hasher.field(reference.as_bytes());
        }
        Ok(hasher.finish())
    }

    fn build_one(
        &self,
        writer: &Writer<'_>,
        placed: &Placed,
        lock: &Lock,
        target: &Target,
        contents: &BTreeMap<Digest, Contents>,
    ) -> Result<Built, BuildError> {
        let steps = self.steps(lock, target)?;
        let top = steps.last().expect("an image has layers");
        let assembly = Assembly {
            target,
            spec: self.spec(),
            ruby: &self.ruby(lock, target)?,
            contents: &contents[&top.key],
            compressions: self.compressions(),
        };
        let images = assembly
            .put(&self.store, writer, placed)
            .map_err(|source| BuildError::Assemble { image: target.to_string(), source })?;
        let inventory = self.inventory(&top.key)?;
        let Declared { records: sboms, referrers } =
            declare::put(&assembly, &images, &inventory, writer, placed)?;
        let Ways { first, zstd } = images;
        let record =
            ImageRecord { release: self.options.release, sboms, ..assemble::record(&assembly, &first) };
        let zstd = zstd.map(|image| image.descriptor);
        let annotations = assembly.annotations();
        let built = Built { record, descriptor: first.descriptor, zstd, referrers, annotations };
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
        let mut underlays = Underlays::new();
        let mut lower = Tree::new();
        let mut best: Option<Explanation> = None;
        for step in self.steps(&lock, target)? {
            self.fetch(&lock, &packages_of(&lock, &step.set)?, observer)?;
            self.bring_underlay(&lock, target, &step, &mut underlays, observer)?;
            if let Some(base) = underlays.base_alone(&step) {
                best = Explanation::of_base(base, path);
                lower = base.tree.clone();
                continue;
            }
            let opened = self.opened(&lock, &step, &underlays)?;
            let stack = self.stack(target, &step, (&opened, &underlays), lower)?;
            let selection = layers::select(&stack, step.policy(&self.spec().shrink));
            let explanation = Explanation::of(&stack, &selection, path);
            // What an upper layer has covers a lower one; what it does not have may be below.
            if best.as_ref().is_none_or(|best| explanation.says_more_than(best)) {
                best = Some(explanation);
            }
            lower = selection.image;
        }
        Ok(best.expect("an image has layers"))
    }
}

/// What one name is going to lead to.
struct Images {
    manifests: Vec<Descriptor>,
    /// What all of them say of themselves.
    annotations: Annotations,
}

/// The images of each name: one for each architecture and compression.
fn indexes(built: &[&Built]) -> BTreeMap<Reference, Images> {
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

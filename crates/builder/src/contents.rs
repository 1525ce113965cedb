//! What an image holds, whatever its configuration: its layers, packed, and what is known of them.
//!
//! It comes about in *steps*: first the layers of the image's description, then those of each option of the row and of
//! the variant, on what the step below has. A step is kept in the cache by the digest of everything that decides what
//! comes of it, so images that differ above share what is below, and one that differs in its configuration alone is not
//! analyzed again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;
use rootfs::{Content, Dialect, Layer, Limits, Origin, RootPath, Tree};
use schema::image::{Addition, Drop, FileContent, FileSpec, Generator, LayerSpec, Shrink};
use schema::lock::{ImageKey, Lock, SetKey};
use schema::run::{AcceptRecord, DropRecord, LayerRecord, PackageRecord, ShrinkRecord};
use schema::{Digest, Hasher};
use serde::{Deserialize, Serialize};

use crate::assemble::Placed;
use crate::base_image::BaseImage;
use crate::check::TreeFault;
use crate::image_source::{Brought, ImageSourceError};
use crate::layers::{self, Policy, Selection};
use crate::made::Facts;
use crate::observer::{Event, Observer, Stage};
use crate::packages;
use crate::plan::Target;
use crate::project::ImageFolder;
use crate::stack::{Below, Package, Stack};
use crate::underlay::Underlay;
use crate::verify::{self, FindingsError};
use crate::{BuildError, Builder, assemble, inventory, packages_of, source};

/// Where contents are in the cache.
pub(crate) const CONTENTS: &str = "image-contents";
/// Where the lists are of what is in them, for their bills of materials.
pub(crate) const INVENTORY: &str = "image-inventory";
/// Where the tars of layers are that others are put on.
pub(crate) const TAR: &str = "layer-tar";

/// What an image holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Contents {
    /// Its layers, lowest first.
    pub layers: Vec<StoredLayer>,
    /// What each package gave, by name.
    pub packages: Vec<PackageRecord>,
    /// What was left out.
    pub dropped: Vec<DropRecord>,
    /// What was made smaller.
    pub shrunk: Vec<ShrinkRecord>,
    /// Needs that are not met, and accepted.
    pub accepted: Vec<AcceptRecord>,
    /// What the analysis cannot decide.
    pub undecided: Vec<String>,
}

/// A layer that is packed, and in the cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredLayer {
    /// What the run record says of it.
    pub record: LayerRecord,
    /// The size of its tar.
    pub uncompressed: u64,
    /// The time of its newest file, in seconds.
    pub created: i64,
    /// It in zstd, where that is beside gzip.
    pub zstd: Option<StoredForm>,
}

/// A compressed layer.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct StoredForm {
    /// Its digest.
    pub digest: Digest,
    /// Its size.
    pub size: u64,
}

/// One step on the way to what an image holds.
pub(crate) struct Step<'a> {
    /// The digest of everything that decides what comes of it and of those below.
    pub key: Digest,
    /// Its packages.
    pub set: SetKey,
    /// Its layers.
    pub layers: &'a [LayerSpec],
    /// What is left out of them.
    pub drop: Vec<&'a Drop>,
    /// What goes into its made files.
    pub facts: Facts,
    /// Whether others may be put on it.
    pub is_base: bool,
    /// Whether made files are not made where the image that it stands on has them.
    pub keeps: bool,
    /// The image that it stands on, and the digest that is locked: the first step is this image itself, and has no layers.
    pub base: Option<(ImageKey, Digest)>,
    /// The image that lies below its packages, and the digest that is locked.
    pub underlay: Option<(ImageKey, Digest)>,
    /// By what its Ruby is compiled, where it has files of one.
    pub recipe: Option<Digest>,
}

impl Step<'_> {
    /// What its layers are chosen by.
    pub(crate) fn policy<'s>(&'s self, shrink: &'s [Shrink]) -> Policy<'s> {
        Policy { layers: self.layers, drop: &self.drop, shrink, prefix: &self.facts.prefix }
    }
}

/// The images that packages lie on, and the Rubies that are compiled: each brought once.
#[derive(Debug, Default)]
pub(crate) struct Underlays {
    images: BTreeMap<ImageKey, Underlay>,
    bases: BTreeMap<ImageKey, BaseImage>,
    /// By the digests of their recipes.
    compiled: BTreeMap<Digest, Tree>,
}

impl Underlays {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// That of a step for which it was brought.
    pub(crate) fn of(&self, step: &Step<'_>) -> Option<&Underlay> {
        step.underlay.as_ref().and_then(|(key, _)| self.images.get(key))
    }

    /// The image that a step stands on for which it was brought.
    pub(crate) fn base(&self, step: &Step<'_>) -> Option<&BaseImage> {
        step.base.as_ref().and_then(|(key, _)| self.bases.get(key))
    }

    /// The same, where the step is this image itself.
    pub(crate) fn base_alone(&self, step: &Step<'_>) -> Option<&BaseImage> {
        self.base(step).filter(|_| step.layers.is_empty())
    }

    /// The compiled Ruby of a step for which it was brought.
    pub(crate) fn ruby(&self, step: &Step<'_>) -> Option<&Tree> {
        step.recipe.as_ref().and_then(|recipe| self.compiled.get(recipe))
    }
}

/// A part of an image's description that has layers: the image's own, or those of an option or a variant.
#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    /// The name of the option or variant.
    name: Option<&'a str>,
    layers: &'a [LayerSpec],
    drop: &'a [Drop],
}

impl<'a> Part<'a> {
    fn of(name: &'a str, addition: &'a Addition) -> Self {
        Self { name: Some(name), layers: &addition.layers, drop: &addition.drop }
    }
}

/// The digests of the parts of a description: of what they say and of the files that they name.
#[derive(Debug)]
pub(crate) struct Parts(BTreeMap<Option<String>, Digest>);

impl Parts {
    /// Those of an image.
    pub(crate) fn of(image: &ImageFolder) -> Self {
        let spec = &image.spec;
        let options = spec.options.iter().map(|option| Part::of(&option.name, &option.addition));
        let variants = spec.variants.iter().map(|variant| Part::of(&variant.name, &variant.addition));
        let own = Part { name: None, layers: &spec.layers, drop: &[] };
        let digest = |part: Part<'_>| {
            let mut hasher = Hasher::new();
            // The same program writes the same text of the same value.
            let rules = (part.drop, &spec.drop, &spec.shrink, &spec.accept, &spec.overlook);
            let text = format!("{:?}", (part.layers, rules));
            hasher.field(text.as_bytes());
            for file in part.layers.iter().flat_map(|layer| &layer.files) {
                if let FileContent::Copy(source) = &file.content {
                    hasher.field(image.file(source));
                }
            }
            (part.name.map(str::to_owned), hasher.finish())
        };
        Self([own].into_iter().chain(options).chain(variants).map(digest).collect())
    }

    fn digest(&self, part: Part<'_>) -> Digest {
        self.0[&part.name.map(str::to_owned)]
    }
}

impl Contents {
    /// What is in these and in those that were put on them.
    fn with(mut self, upper: Self) -> Self {
        self.layers.extend(upper.layers);
        join(
            &mut self.packages,
            upper.packages,
            |package| &package.name,
            |lower, upper| {
                lower.files += upper.files;
                lower.disk += upper.disk;
            },
        );
        self.packages.sort_by(|one, other| one.name.cmp(&other.name));
        join(
            &mut self.dropped,
            upper.dropped,
            |dropped| &dropped.name,
            |lower, upper| {
                lower.files += upper.files;
                lower.disk += upper.disk;
            },
        );
        join(
            &mut self.shrunk,
            upper.shrunk,
            |shrunk| &shrunk.name,
            |lower, upper| {
                lower.files += upper.files;
                lower.saved += upper.saved;
            },
        );
        join(&mut self.accepted, upper.accepted, |accepted| accepted, |_, _| {});
        self.undecided.extend(upper.undecided);
        self
    }
}

/// Puts records beside lower ones; of two about the same, `add` makes one.
fn join<R, K: PartialEq + ?Sized>(
    lower: &mut Vec<R>,
    upper: Vec<R>,
    key: impl Fn(&R) -> &K,
    add: impl Fn(&mut R, R),
) {
    for record in upper {
        match lower.iter_mut().find(|lower| key(lower) == key(&record)) {
            Some(lower) => add(lower, record),
            None => lower.push(record),
        }
    }
}

impl Builder {
    /// The steps to what a target holds, lowest first: never none.
    pub(crate) fn steps<'s>(&'s self, lock: &Lock, target: &Target) -> Result<Vec<Step<'s>>, BuildError> {
        let spec = self.spec();
        let mut steps: Vec<Step<'_>> = Vec::from_iter(self.base_step(lock, target)?);
        for layers in target.stages(&spec.layers) {
            let below = steps.last().map(|step| step.key);
            let part = Part { name: None, layers, drop: &[] };
            steps.push(self.step(lock, target, below, target.image_set(spec), part)?);
        }
        let additions = target.additions(spec);
        for (position, (name, addition)) in additions.iter().enumerate() {
            if !addition.layers.is_empty() {
                let below = steps.last().map(|step| step.key);
                let set = target.addition_set(spec, addition);
                let step = self.step(lock, target, below, set, Part::of(name, addition))?;
                // The last is the variant, which nothing is put on. Its own files cover those below.
                steps.push(Step { is_base: position + 1 < additions.len(), keeps: false, ..step });
            }
        }
        Ok(steps)
    }

    fn step<'s>(
        &'s self,
        lock: &Lock,
        target: &Target,
        below: Option<Digest>,
        set: SetKey,
        part @ Part { layers, drop, .. }: Part<'s>,
    ) -> Result<Step<'s>, BuildError> {
        let drop: Vec<&Drop> = self.spec().drop.iter().chain(drop).collect();
        let facts = self.facts(lock, target, layers)?;
        let mut hasher = Hasher::new();
        hasher.field(self.tool.as_bytes());
        hasher.field(below.as_ref().map_or(&[][..], |below| below.as_bytes()));
        hasher.field(target.architecture.name().as_bytes());
        hasher.field(facts.series.as_bytes());
        hasher.field(facts.prefix.as_bytes());
        hasher.field(facts.apt_sources.as_bytes());
        hasher.field(format!("{:?}", self.compressions()).as_bytes());
        hasher.field(self.parts.digest(part).as_bytes());
        hasher.field(format!("{}", layers.len()).as_bytes());
        let underlay = match layers.iter().any(LayerSpec::asks_for_ruby) {
            true => target.locked_image(lock)?.map(|(key, locked)| (key, locked.digest)),
            false => None,
        };
        if let Some((key, digest)) = &underlay {
            hasher.field(key.image.to_string().as_bytes());
            hasher.field(digest.as_bytes());
        }
        let recipe = match layers.iter().any(LayerSpec::asks_for_ruby) {
            true => self.recipe(lock, target)?.map(|recipe| recipe.digest()),
            false => None,
        };
        if let Some(recipe) = &recipe {
            hasher.field(recipe.as_bytes());
        }
        for (key, package) in packages_of(lock, &set)? {
            hasher.field(String::from(key.clone()).as_bytes());
            hasher.field(package.digest.as_bytes());
        }
        let base = target.locked_base(lock)?;
        let (key, is_base, keeps) = (hasher.finish(), true, true);
        Ok(Step { key, set, layers, drop, facts, is_base, keeps, base, underlay, recipe })
    }

    fn facts(&self, lock: &Lock, target: &Target, layers: &[LayerSpec]) -> Result<Facts, BuildError> {
        let wanted = FileContent::Generate(Generator::AptSources);
        let is_wanted = layers.iter().flat_map(|layer| &layer.files).any(|file| file.content == wanted);
        let apt_sources = match is_wanted {
            true => self.apt_sources(lock, &target.row.distro)?,
            false => String::new(),
        };
        Ok(Facts { series: target.row.ruby.to_string(), prefix: target.prefix(lock)?, apt_sources })
    }

    /// What all these targets hold, by the keys of their steps; each step once, those below before those above.
    pub(crate) fn contents(
        &self,
        placed: &Placed,
        lock: &Lock,
        targets: &[&Target],
        observer: &dyn Observer,
    ) -> Result<BTreeMap<Digest, Contents>, BuildError> {
        let chains = targets.iter().map(|target| Ok((*target, self.steps(lock, target)?)));
        let chains: Vec<(&Target, Vec<Step<'_>>)> = chains.collect::<Result<_, BuildError>>()?;
        let mut underlays = Underlays::new();
        let mut done: BTreeMap<Digest, Contents> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let depth = chains.iter().map(|(_, steps)| steps.len()).max().unwrap_or_default();
        for level in 0..depth {
            let here = chains.iter().filter_map(|(target, steps)| {
                let step = steps.get(level)?;
                let below = level.checked_sub(1).map(|below| steps[below].key);
                seen.insert(step.key).then_some((*target, step, below))
            });
            let here: Vec<_> = here.collect();
            let known: Vec<Option<Contents>> = here
                .par_iter()
                .map(|(_, step, _)| self.stored_contents(placed, step))
                .collect::<Result<_, BuildError>>()?;
            let missing = here.iter().zip(&known).filter(|(_, known)| known.is_none());
            let missing: Vec<(&Target, &Step<'_>)> =
                missing.map(|((target, step, _), _)| (*target, *step)).collect();
            let sets = missing.iter().map(|(_, step)| packages_of(lock, &step.set));
            self.fetch(lock, &packages::joined(sets.collect::<Result<Vec<_>, _>>()?), observer)?;
            for (target, step) in missing {
                self.bring_underlay(lock, target, step, &mut underlays, observer)?;
            }
            let built: Vec<Result<Contents, BuildError>> = here
                .par_iter()
                .zip(known)
                .map(|((target, step, below), known)| match known {
                    Some(known) => Ok(known),
                    None => {
                        let below = below.map(|below| (below, &done[&below]));
                        self.build_step(lock, target, (step, &underlays), below, observer)
                    }
                })
                .collect();
            for ((_, step, _), contents) in here.iter().zip(built) {
                done.insert(step.key, contents?);
            }
        }
        Ok(done)
    }

    /// What came of a step, where it is known and every layer is still there.
    fn stored_contents(&self, placed: &Placed, step: &Step<'_>) -> Result<Option<Contents>, BuildError> {
        let Some(blob) = self.store.derived(CONTENTS, &step.key)? else { return Ok(None) };
        // What cannot be read was written by nobody who has this key: build again.
        let Ok(contents) = serde_json::from_slice::<Contents>(blob.content()) else { return Ok(None) };
        if !self.store.has_derived(INVENTORY, &step.key)? {
            return Ok(None);
        }
        let compressions = self.compressions();
        for layer in &contents.layers {
            if !assemble::is_there(&self.store, placed, layer, compressions)? {
                return Ok(None);
            }
        }
        Ok(Some(contents))
    }

    fn build_step(
        &self,
        lock: &Lock,
        target: &Target,
        (step, underlays): (&Step<'_>, &Underlays),
        below: Option<(Digest, &Contents)>,
        observer: &dyn Observer,
    ) -> Result<Contents, BuildError> {
        let name = target.to_string();
        let stage = |stage| observer.observe(&Event::Stage { image: &name, stage });
        let spec = self.spec();

        if let (Some((key, digest)), Some(base)) = (&step.base, underlays.base_alone(step)) {
            stage(Stage::Packing);
            let (contents, inventory) = self.base_contents(target, (key, *digest), base)?;
            return self.keep(step, contents, &inventory);
        }

        stage(Stage::Stacking);
        let listed = below.map(|(key, _)| self.inventory(&key)).transpose()?;
        let below = below.map(|(_, contents)| contents).cloned().unwrap_or_default();
        let lower = self.lower(&name, &below)?;
        let opened = self.opened(lock, step, underlays)?;
        let stack = self.stack(target, step, (&opened, underlays), lower)?;

        stage(Stage::Analyzing);
        let policy = step.policy(&spec.shrink);
        let selection = layers::select(&stack, policy);
        let verify::Verdict { accepted, undecided } =
            verify::judge(&selection.closure, &spec.accept, |findings| FindingsError::Packages {
                image: name.clone(),
                findings,
            })?;

        stage(Stage::Packing);
        let failed = |source| BuildError::Assemble { image: name.clone(), source };
        let (stored, tars) = assemble::pack(&self.store, &selection.layers, self.compressions())
            .map_err(failed)?
            .into_iter()
            .map(|packed| (packed.layer, packed.tar))
            .unzip::<_, _, Vec<_>, Vec<_>>();
        if step.is_base {
            for (layer, tar) in stored.iter().zip(&tars) {
                self.store
                    .derive(TAR, &layer.record.diff_id, |out| out.write_all(tar).map_err(BuildError::Keep))?;
            }
        }

        stage(Stage::Verifying);
        let mut own = stack.lower.clone();
        for tar in tars {
            stack_layer(&mut own, tar).map_err(|source| BuildError::Layer { image: name.clone(), source })?;
        }
        let found = analyzer::analyze(&own, &selection.request);
        verify::judge(&found, &spec.accept, |findings| FindingsError::Image {
            image: name.clone(),
            findings,
        })?;

        let subject = inventory::Subject {
            stack: &stack,
            selection: &selection,
            packages: &packages_of(lock, &step.set)?,
            image: &own,
            below: listed,
            ruby: match step.layers.iter().any(LayerSpec::asks_for_ruby) {
                true => self.declared_ruby(lock, target)?,
                false => None,
            },
            taken_from: step
                .underlay
                .as_ref()
                .map(|(key, digest)| source::declared_image(&key.image, *digest)),
            distro: &target.row.distro,
        };
        let inventory =
            subject.take().map_err(|source| BuildError::Inventory { image: name.clone(), source })?;
        let own = recorded(&stack, &selection, stored);
        self.keep(step, below.with(Contents { accepted, undecided, ..own }), &inventory)
    }

    /// Keeps what came of a step.
    fn keep(
        &self,
        step: &Step<'_>,
        contents: Contents,
        inventory: &sbom::Contents,
    ) -> Result<Contents, BuildError> {
        let json = inventory.to_json();
        self.store.derive(INVENTORY, &step.key, |out| out.write_all(&json).map_err(BuildError::Keep))?;
        let json = serde_json::to_vec(&contents).expect("strings and numbers can be written as JSON");
        self.store.derive(CONTENTS, &step.key, |out| out.write_all(&json).map_err(BuildError::Keep))?;
        Ok(contents)
    }

    /// What is in the layers of a step and of those below, which is known once the step is built.
    pub(crate) fn inventory(&self, step: &Digest) -> Result<sbom::Contents, BuildError> {
        let blob = self.store.derived(INVENTORY, step)?.ok_or(BuildError::InventoryGone)?;
        sbom::Contents::from_json(blob.content()).map_err(|_| BuildError::InventoryGone)
    }

    /// Opens the packages of a step; those that the image below has beside them come last.
    pub(crate) fn opened(
        &self,
        lock: &Lock,
        step: &Step<'_>,
        underlays: &Underlays,
    ) -> Result<Vec<Package>, BuildError> {
        let locked = packages_of(lock, &step.set)?;
        let mut opened = packages::open(&self.store, &self.client, &self.mirrors(lock)?, &locked)?;
        if let Some(base) = underlays.base(step) {
            let there = base.packages();
            opened.retain(|package| !there.contains(package.key.name.as_str()));
        }
        if let Some(underlay) = underlays.of(step) {
            let beside: Vec<Package> = underlay.packages_beside(&opened).cloned().collect();
            opened.extend(beside);
        }
        Ok(opened)
    }

    /// Brings the image that a step's packages lie on and the Ruby that is compiled, where they are not at hand.
    pub(crate) fn bring_underlay(
        &self,
        lock: &Lock,
        target: &Target,
        step: &Step<'_>,
        underlays: &mut Underlays,
        observer: &dyn Observer,
    ) -> Result<(), BuildError> {
        if let Some((key, digest)) = &step.underlay
            && !underlays.images.contains_key(key)
        {
            let Brought { tree, .. } = self.image_sources(observer).bring(key, Some(*digest))?;
            let failed = |source| ImageSourceError::Image { image: key.image.clone(), source };
            let underlay = Underlay::of_image(tree, &self.spec().overlook).map_err(failed)?;
            underlays.images.insert(key.clone(), underlay);
        }
        if let Some((key, digest)) = &step.base
            && !underlays.bases.contains_key(key)
        {
            underlays.bases.insert(key.clone(), self.bring_base(key, *digest, observer)?);
        }
        if let Some(digest) = step.recipe
            && !underlays.compiled.contains_key(&digest)
            && let Some(recipe) = self.recipe(lock, target)?
        {
            let ruby = self.compiled(lock, &recipe, &AtomicBool::new(false), observer)?;
            underlays.compiled.insert(digest, ruby);
        }
        Ok(())
    }

    /// The packages of a step and its made files, on what is there already.
    pub(crate) fn stack<'p>(
        &self,
        target: &Target,
        step: &Step<'_>,
        (packages, underlays): (&'p [Package], &Underlays),
        lower: Tree,
    ) -> Result<Stack<'p>, BuildError> {
        let kept = underlays.base(step).filter(|_| step.keeps);
        let is_there = |file: &&FileSpec| {
            let path = RootPath::parse(file.path.as_str()).ok();
            kept.zip(path).is_some_and(|(base, path)| base.tree.resolve(&path).is_ok())
        };
        let files = step.layers.iter().flat_map(|layer| &layer.files).filter(|file| !is_there(file));
        let below = Below { underlay: underlays.of(step), ruby: underlays.ruby(step) };
        Stack::new(packages, below, lower, &self.project.image, files, &step.facts)
            .map_err(|source| BuildError::Tree { image: target.to_string(), source })
    }

    /// The files that contents have, from the tars of their layers.
    fn lower(&self, image: &str, contents: &Contents) -> Result<Tree, BuildError> {
        let tars: Vec<Result<Content, BuildError>> =
            contents.layers.par_iter().map(|layer| self.tar(layer)).collect();
        let mut tree = Tree::new();
        for tar in tars {
            stack_layer(&mut tree, tar?)
                .map_err(|source| BuildError::Layer { image: image.to_owned(), source })?;
        }
        Ok(tree)
    }

    /// The tar of a layer; unpacked where the cache has it no more.
    fn tar(&self, layer: &StoredLayer) -> Result<Content, BuildError> {
        let blob = self.store.derive(TAR, &layer.record.diff_id, |out| {
            let failed = |source| BuildError::Packed { layer: layer.record.name.clone(), source };
            let packed = assemble::bytes(&self.store, layer, self.compressions()).map_err(failed)?;
            let media_type = self.compressions().first.media_type();
            oci::decompress(&packed, media_type, layer.record.diff_id, out)
                .map(drop)
                .map_err(|source| failed(source.into()))
        })?;
        Ok(blob.content().clone())
    }
}

pub(crate) fn stack_layer(tree: &mut Tree, tar: Content) -> Result<(), TreeFault> {
    let layer = Layer::parse(tar, Dialect::Oci, Limits::default())?;
    tree.stack(&layer, Origin::default())?;
    Ok(())
}

/// What is known of the layers of a selection.
fn recorded(stack: &Stack<'_>, selection: &Selection<'_>, layers: Vec<StoredLayer>) -> Contents {
    Contents {
        layers,
        packages: assemble::package_records(stack, selection),
        dropped: assemble::drop_records(stack, selection),
        shrunk: selection.shrinker.records(),
        accepted: Vec::new(),
        undecided: Vec::new(),
    }
}

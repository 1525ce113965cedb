//! Checks of built images: each image's own layers, unpacked once, and the gems that its checks install. Passes are kept
//! with everything they depend on, and are not tried again; a failure is.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::PathBuf;

use checks::{
    Container, Ending, Engine, EngineError, GemPackages, Means, NoMeans, Sandbox, Subject, Suite, Tool,
};
use oci::{Image, ImageIndex, Layout, Prefer};
use rayon::prelude::*;
use rootfs::{Dialect, Layer, Limits, Origin, Ownership, Tree};
use schema::lock::Lock;
use schema::run::CheckRecord;
use schema::{Architecture, Digest, Hasher};

use crate::build::{Built, Locked};
use crate::observer::{Event, Observer, Stage};
use crate::plan::Target;
use crate::{BuildError, Builder, packages, packages_of};

/// Where outcomes of checks are in the cache.
const OUTCOMES: &str = "check-outcomes";
/// The folder of an unpacked layer with the owners that its tar says.
const OWNED: &str = "layer-owned";
/// The same, belonging to whoever unpacked it.
const PLAIN: &str = "layer-plain";

/// What runs an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// Namespaces of our own.
    Sandbox,
    /// A container engine.
    Container(Tool),
}

/// Which images for another machine are tried through an emulator, which takes ten times as long as a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emulated {
    /// All that are given.
    Every,
    /// The first variant of each row: the others have the same Ruby.
    FirstVariants,
}

/// An image whose checks are to be run, and what they need.
struct Subjected<'a> {
    target: &'a Target,
    built: &'a Built,
    /// The checks that are for it.
    suite: Suite,
    /// The packages of its gems.
    gems: Locked<'a>,
    /// What runs its programs.
    means: Means,
    /// The digest of everything that decides how its checks end.
    key: Digest,
    /// How they ended, where that is known.
    known: Option<Vec<CheckRecord>>,
}

impl Builder {
    /// Runs the checks of built images, several at a time, and gives the outcomes of each in the order of the targets.
    /// Those of an image that nothing here can run are not run.
    ///
    /// # Errors
    /// When a check cannot run. One that fails is an outcome.
    pub(crate) fn check(
        &self,
        targets: &[Target],
        built: &[Built],
        engine: EngineKind,
        emulated: Emulated,
        observer: &dyn Observer,
    ) -> Result<Vec<Vec<CheckRecord>>, BuildError> {
        let folder = self.project.root.join("images").join(&self.project.matrix.image);
        let suite = Suite::read(&folder, self.spec())?;
        let lock = self.project.lock.clone().unwrap_or_default();
        let subjects = targets
            .iter()
            .zip(built)
            .map(|(target, built)| self.subjected(&suite, &lock, target, built, engine, emulated))
            .collect::<Result<Vec<_>, _>>()?;
        let untried = subjects.iter().filter(|subject| subject.known.is_none());
        self.fetch(&lock, &packages::joined(untried.map(|subject| subject.gems.clone())), observer)?;

        let outcomes: Vec<Result<Vec<CheckRecord>, BuildError>> = subjects
            .into_par_iter()
            .map(|subject| match subject.known {
                Some(known) => Ok(known),
                None => self.try_out(&lock, &subject, engine, observer),
            })
            .collect();
        outcomes.into_iter().collect()
    }

    fn subjected<'a>(
        &self,
        suite: &Suite,
        lock: &'a Lock,
        target: &'a Target,
        built: &'a Built,
        engine: EngineKind,
        emulated: Emulated,
    ) -> Result<Subjected<'a>, BuildError> {
        let image = packages_of(lock, &target.image_set(self.spec()))?;
        let mut gems = packages_of(lock, &target.gem_set(self.spec()))?;
        gems.retain(|key, _| !image.contains_key(key));
        let names: Vec<&str> = target.additions(self.spec()).into_iter().map(|(name, _)| name).collect();
        let suite = suite.of(&names);
        let key = self.outcome_key(&suite, target, built, engine, &gems);
        let is_tried = emulated == Emulated::Every || target.is_first_variant();
        let means = match self.means(target.architecture, engine) {
            Ok(means) if means.is_emulated() && !is_tried => Err(NoMeans::NotAsked),
            means => means,
        };
        let known = match (&means, self.store.derived(OUTCOMES, &key)?) {
            (_, Some(blob)) => serde_json::from_slice(blob.content()).ok(),
            (Ok(_), None) => None,
            (Err(missing), None) => Some(suite.not_run(&missing.to_string())),
        };
        Ok(Subjected { target, built, suite, gems, means: means.unwrap_or(Means::Processor), key, known })
    }

    /// What runs the programs of an architecture with an engine.
    fn means(&self, architecture: Architecture, engine: EngineKind) -> Result<Means, NoMeans> {
        match (engine, Means::find(architecture, self.options.host, &self.options.programs)?) {
            (EngineKind::Container(tool), Means::Emulator(_)) => {
                Err(NoMeans::NotRegistered { wanted: architecture, tool })
            }
            (_, means) => Ok(means),
        }
    }

    fn outcome_key(
        &self,
        suite: &Suite,
        target: &Target,
        built: &Built,
        engine: EngineKind,
        gems: &Locked<'_>,
    ) -> Digest {
        let mut hasher = Hasher::new();
        hasher.field(self.tool.as_bytes());
        hasher.field(suite.digest().as_bytes());
        hasher.field(built.record.manifest.as_bytes());
        hasher.field(format!("{engine:?} {:?}", target.yjit()).as_bytes());
        // Owners are those of the image only where root unpacked it.
        hasher.field(&[u8::from(is_root())]);
        for package in gems.values() {
            hasher.field(package.digest.as_bytes());
        }
        hasher.finish()
    }

    fn try_out(
        &self,
        lock: &Lock,
        subject: &Subjected<'_>,
        engine: EngineKind,
        observer: &dyn Observer,
    ) -> Result<Vec<CheckRecord>, BuildError> {
        let Subjected { target, built, suite, gems, means, key, known: _ } = subject;
        let name = &target.to_string();
        observer.observe(&Event::Stage { image: name, stage: Stage::Checking });
        let opened = packages::open(&self.store, &self.client, &self.mirrors(lock)?, gems)?;
        let tars = opened.iter().map(|package| (package.key.name.as_str(), package.data.clone()));
        let gems =
            GemPackages::new(tars).map_err(|source| BuildError::Gems { image: name.clone(), source })?;
        let engine = self.engine(name, built, engine, means)?;
        let done = |check: &CheckRecord| {
            observer.observe(&Event::Checked {
                image: name,
                check: &check.name,
                passed: check.passed(),
                milliseconds: check.milliseconds,
            });
        };
        let uid = target.user(self.spec()).uid;
        let subject = Subject { ruby: &built.record.ruby, uid, yjit: target.yjit(), gems: &gems };
        let checks = match suite.run(&*engine, &subject, &done) {
            // The kernel says so when the first one is tried.
            Err(EngineError::NoMeans(missing)) => suite.not_run(&missing.to_string()),
            checks => checks.map_err(|source| BuildError::Engine { image: name.clone(), source })?,
        };
        observer.observe(&Event::CheckingDone { image: name });
        if checks.iter().all(CheckRecord::passed) {
            let json = serde_json::to_vec(&checks).expect("strings and numbers can be written as JSON");
            self.store.derive(OUTCOMES, key, |out| out.write_all(&json).map_err(BuildError::Keep))?;
        }
        Ok(checks)
    }

    fn engine(
        &self,
        name: &str,
        built: &Built,
        kind: EngineKind,
        means: &Means,
    ) -> Result<Box<dyn Engine>, BuildError> {
        let image = self.layout()?.image(built.descriptor.clone())?;
        let failed = |source| BuildError::Engine { image: name.to_owned(), source };
        Ok(match kind {
            EngineKind::Sandbox => Box::new(self.sandbox(name, &image, means.clone())?),
            EngineKind::Container(tool) => Box::new(Container::load(tool, &image).map_err(failed)?),
        })
    }

    /// Runs a command, or the image's own, in an image of the layout, with the caller's standard streams, or on a terminal
    /// of this kind in place of the caller's.
    ///
    /// # Errors
    /// When there is no such image, or no command, or the engine cannot start.
    pub fn run(
        &self,
        reference: &str,
        architecture: Option<Architecture>,
        engine: EngineKind,
        command: &[OsString],
        terminal: Option<&OsStr>,
    ) -> Result<Ending, BuildError> {
        let failed = |source| BuildError::Engine { image: reference.to_owned(), source };
        let image = self.image(reference, architecture)?;
        let means = self.means(architecture.unwrap_or(self.options.host), engine);
        let means = means.map_err(|missing| failed(missing.into()))?;
        let ended = match engine {
            EngineKind::Sandbox => self.sandbox(reference, &image, means)?.attach(command, terminal),
            EngineKind::Container(tool) => Container::load(tool, &image)
                .and_then(|container| container.attach(command, terminal.is_some())),
        };
        ended.map_err(failed)
    }

    /// Hands an image of the layout over to a container engine, under every name that it has in the layout: gives these.
    ///
    /// # Errors
    /// When there is no such image, or the engine is not there or refuses it.
    pub fn load(
        &self,
        reference: &str,
        architecture: Option<Architecture>,
        tool: Tool,
    ) -> Result<Vec<oci::Reference>, BuildError> {
        let image = self.image(reference, architecture)?;
        let references = self.names_of(reference)?;
        let loaded = tool.load(&image, &references);
        loaded.map_err(|source| BuildError::Engine { image: reference.to_owned(), source })?;
        Ok(references)
    }

    /// Every name in the layout of what a name or tag leads to.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn names_of(&self, name: &str) -> Result<Vec<oci::Reference>, BuildError> {
        let index = self.images(name)?.descriptor.digest;
        let names = self.layout()?.references()?.into_iter();
        Ok(names.filter(|(_, descriptor)| descriptor.digest == index).map(|(name, _)| name).collect())
    }

    /// The image of the layout that has this name or tag, for this architecture or the host's.
    ///
    /// # Errors
    /// When there is none.
    pub fn image(&self, name: &str, architecture: Option<Architecture>) -> Result<Image, BuildError> {
        Ok(self.images(name)?.image(architecture.unwrap_or(self.options.host), Prefer::Gzip)?)
    }

    /// The images of the layout that have this name or tag, for each architecture.
    ///
    /// # Errors
    /// When there is none.
    pub fn images(&self, name: &str) -> Result<ImageIndex, BuildError> {
        let layout = self.layout()?;
        let full = format!("{}:{name}", self.spec().name);
        let reference = if layout.references()?.contains_key(full.as_str()) { &full } else { name };
        Ok(layout.resolve(reference)?)
    }

    /// The digest of each target's manifest, once it is built.
    ///
    /// # Errors
    /// When the layout cannot be read.
    pub fn manifests(&self, targets: &[Target]) -> Result<Vec<Option<Digest>>, BuildError> {
        // What is not there is not built yet.
        let Ok(layout) = self.layout() else { return Ok(vec![None; targets.len()]) };
        let names = layout.references()?;
        let manifest = |target: &Target| {
            let (name, descriptor) = names.get_key_value(target.name.as_str())?;
            let images = layout.image_index(name, descriptor.clone()).ok()?;
            Some(images.image(target.architecture, Prefer::Gzip).ok()?.descriptor.digest)
        };
        Ok(targets.par_iter().map(manifest).collect())
    }

    /// The layout that images are in.
    ///
    /// # Errors
    /// When there is none yet.
    pub fn layout(&self) -> Result<Layout, BuildError> {
        Ok(Layout::open(&self.options.dist.join("oci"))?)
    }

    fn sandbox(&self, name: &str, image: &Image, means: Means) -> Result<Sandbox, BuildError> {
        let layers = self.unpacked(name, image)?;
        Sandbox::new(self.options.sandbox.clone(), layers, &image.config.config, means)
            .map_err(|source| BuildError::Engine { image: name.to_owned(), source })
    }

    /// The folders of an image's layers, lowest first; unpacked where they are not yet.
    fn unpacked(&self, name: &str, image: &Image) -> Result<Vec<PathBuf>, BuildError> {
        let (kind, ownership) =
            if is_root() { (OWNED, Ownership::Preserve) } else { (PLAIN, Ownership::Ignore) };
        let unpack = |layer: &oci::ImageLayer| {
            self.store.derive_folder(kind, &layer.diff_id, |folder| {
                let tar = image.layer_tar(layer)?;
                let unstacked = |source: TreeFault| BuildError::Layer { image: name.to_owned(), source };
                let layer = Layer::parse(tar, Dialect::Oci, Limits::default())
                    .map_err(|error| unstacked(error.into()))?;
                let mut tree = Tree::new();
                tree.stack(&layer, Origin::default()).map_err(|error| unstacked(error.into()))?;
                rootfs::write_directory(&tree, folder, ownership)
                    .map_err(|source| BuildError::Unpack { image: name.to_owned(), source })
            })
        };
        image.layers.iter().map(unpack).collect()
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Why a layer is no tree.
#[derive(Debug, thiserror::Error)]
pub enum TreeFault {
    /// Its tar is not acceptable.
    #[error(transparent)]
    Tar(#[from] rootfs::TarError),
    /// It stands on nothing.
    #[error(transparent)]
    Stack(#[from] rootfs::StackError),
}

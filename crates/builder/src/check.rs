//! Checks of built images: each image's own layers, unpacked once, and the gems that its checks install. A pass is kept
//! with what it depends on, and is not tried again; a failure is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use checks::{Container, Engine, GemPackages, Sandbox, Subject, Suite, Tool};
use oci::{Image, Layout};
use rayon::prelude::*;
use rootfs::{Dialect, Layer, Limits, Origin, Ownership, Tree};
use schema::run::{CheckRecord, ImageRecord, RunRecord, VERSION};
use schema::{Digest, Hasher};

use crate::build::Built;
use crate::observer::{Event, Observer, Stage};
use crate::plan::Target;
use crate::{BuildError, Builder, packages, packages_of};

/// Where outcomes of checks are in the cache.
const OUTCOMES: &str = "check-outcomes";
/// The folder of an unpacked layer with the owners that its tar says.
const OWNED: &str = "layer-owned";
/// The same, belonging to whoever unpacked it.
const PLAIN: &str = "layer-plain";
/// The run record, in the folder of images and records.
const RECORD: &str = "run.json";

/// What runs an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// Namespaces of our own.
    Sandbox,
    /// A container engine.
    Container(Tool),
}

impl Builder {
    /// Runs the checks of built images, several at a time, and gives their records, which [`Builder::write_record`] keeps.
    ///
    /// # Errors
    /// When a check cannot run. One that fails is in the record.
    pub fn check(
        &self,
        targets: &[Target],
        built: Vec<Built>,
        engine: EngineKind,
        observer: &dyn Observer,
    ) -> Result<Vec<ImageRecord>, BuildError> {
        let folder = self.project.root.join("images").join(&self.project.matrix.image);
        let suite = Suite::read(&folder, self.spec())?;
        let lock = self.project.lock.clone().unwrap_or_default();
        let mut wanted = BTreeMap::new();
        for target in targets {
            wanted.extend(packages_of(&lock, &target.gem_set(self.spec()))?);
        }
        let records: Vec<Result<ImageRecord, BuildError>> = targets
            .par_iter()
            .zip(built)
            .map(|(target, built)| {
                let image = packages_of(&lock, &target.image_set(self.spec()))?;
                let mut gems = packages_of(&lock, &target.gem_set(self.spec()))?;
                gems.retain(|key, _| !image.contains_key(key));
                let key = self.outcome_key(&suite, &built, engine, &gems);
                let known = self.store.derived(OUTCOMES, &key)?;
                let known =
                    known.and_then(|blob| serde_json::from_slice::<Vec<CheckRecord>>(blob.content()).ok());
                let checks = match known {
                    Some(known) => known,
                    None => self.run_checks(&suite, target, &built, engine, &lock, &gems, observer)?,
                };
                if checks.iter().all(CheckRecord::passed) {
                    let json =
                        serde_json::to_vec(&checks).expect("strings and numbers can be written as JSON");
                    self.store.derive(OUTCOMES, &key, |out| {
                        std::io::Write::write_all(out, &json).map_err(BuildError::Keep)
                    })?;
                }
                Ok(ImageRecord { checks, ..built.record })
            })
            .collect();
        records.into_iter().collect()
    }

    fn outcome_key(
        &self,
        suite: &Suite,
        built: &Built,
        engine: EngineKind,
        gems: &crate::build::Locked<'_>,
    ) -> Digest {
        let mut hasher = Hasher::new();
        hasher.field(self.options.tool.as_bytes());
        hasher.field(suite.digest().as_bytes());
        hasher.field(built.record.manifest.as_bytes());
        hasher.field(format!("{engine:?}").as_bytes());
        for package in gems.values() {
            hasher.field(package.digest.as_bytes());
        }
        hasher.finish()
    }

    #[expect(clippy::too_many_arguments, reason = "everything that a check depends on")]
    fn run_checks(
        &self,
        suite: &Suite,
        target: &Target,
        built: &Built,
        kind: EngineKind,
        lock: &schema::lock::Lock,
        gems: &crate::build::Locked<'_>,
        observer: &dyn Observer,
    ) -> Result<Vec<CheckRecord>, BuildError> {
        let name = &target.name;
        observer.observe(&Event::Stage { image: name, stage: Stage::Checking });
        self.fetch(lock, gems, observer)?;
        let opened = packages::open(&self.store, &self.client, &self.mirrors(lock)?, gems)?;
        let tars = opened.iter().map(|package| (package.key.name.as_str(), package.data.clone()));
        let gems =
            GemPackages::new(tars).map_err(|source| BuildError::Gems { image: name.clone(), source })?;
        let engine = self.engine(name, built, kind)?;
        let subject = Subject { ruby: &built.record.ruby, gems: &gems };
        let done = |check: &CheckRecord| {
            observer.observe(&Event::Checked {
                image: name,
                check: &check.name,
                passed: check.passed(),
                milliseconds: check.milliseconds,
            });
        };
        suite
            .run(&*engine, &subject, &done)
            .map_err(|source| BuildError::Engine { image: name.clone(), source })
    }

    fn engine(&self, name: &str, built: &Built, kind: EngineKind) -> Result<Box<dyn Engine>, BuildError> {
        let layout = Layout::open(&self.options.dist.join("oci"))?;
        let image = layout.image(built.descriptor.clone())?;
        let failed = |source| BuildError::Engine { image: name.to_owned(), source };
        Ok(match kind {
            EngineKind::Sandbox => {
                let layers = self.unpacked(name, &image)?;
                let program = self.options.sandbox.clone();
                Box::new(Sandbox::new(program, layers, &image.config.config).map_err(failed)?)
            }
            EngineKind::Container(tool) => Box::new(Container::load(tool, &image).map_err(failed)?),
        })
    }

    /// The folders of an image's layers, lowest first; unpacked where they are not yet.
    ///
    /// # Errors
    /// When a layer is damaged or cannot be unpacked.
    pub fn unpacked(&self, name: &str, image: &Image) -> Result<Vec<PathBuf>, BuildError> {
        let (kind, ownership) = match rustix::process::geteuid().is_root() {
            true => (OWNED, Ownership::Preserve),
            false => (PLAIN, Ownership::Ignore),
        };
        let unpack = |layer: &oci::ImageLayer| {
            self.store.derive_folder(kind, &layer.diff_id, |folder| {
                let tar = image.layer_tar(layer)?;
                let layer =
                    Layer::parse(tar, Dialect::Oci, Limits::default()).expect("a layer of our own writer");
                let mut tree = Tree::new();
                tree.stack(&layer, Origin::default()).expect("a layer of our own writer on an empty root");
                rootfs::write_directory(&tree, folder, ownership)
                    .map_err(|source| BuildError::Unpack { image: name.to_owned(), source })
            })
        };
        image.layers.iter().map(unpack).collect()
    }

    /// Keeps the records of a run; says whether the record on disk had to change.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_record(&self, images: Vec<ImageRecord>) -> Result<bool, BuildError> {
        let path = self.options.dist.join(RECORD);
        let text = RunRecord { version: VERSION, images }.render();
        if fs_err::read_to_string(&path).is_ok_and(|there| there == text) {
            return Ok(false);
        }
        let file = tempfile::NamedTempFile::new_in(&self.options.dist)?;
        fs_err::write(file.path(), text)?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(true)
    }

    /// The record of the last run.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn last_record(&self) -> Result<RunRecord, BuildError> {
        match fs_err::read_to_string(self.options.dist.join(RECORD)) {
            Ok(text) => Ok(RunRecord::parse(&text)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(BuildError::NoRecord),
            Err(error) => Err(error.into()),
        }
    }
}

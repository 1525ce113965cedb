//! From a matrix to checked images: the order of stages, and what of them is cached.
//!
//! A [`project::Project`] is read as a whole, [`plan`] names its targets, [`selection`] takes those that are meant,
//! [`locking`] answers what they ask for, `packages`, [`image_source`] and [`compile`] bring it, `stack` makes one tree of
//! it, `layers` chooses what an image keeps, `verify` says whether it may leave, `inventory` lists what it holds, `contents`
//! keeps what came of it, `assemble` writes images of that, and `declare` puts their bills of materials beside them. A
//! [`Builder`] does these in order, in [`rounds`] where a Ruby has to be compiled first, and keeps a `recording` of them.
//!
//! Of images that are there, [`explain`] tells about one path, `listing` about all, for a [`site`], and [`compare`] what
//! differs.

pub mod build;
pub mod check;
pub mod compare;
pub mod compile;
pub mod explain;
pub mod image_source;
pub mod jobs;
pub mod locking;
pub mod observer;
pub mod parts;
pub mod plan;
pub mod project;
pub mod provenance;
pub mod release;
pub mod replace;
pub mod rounds;
pub mod selection;
pub mod signing;
pub mod site;

mod assemble;
mod base_image;
mod contents;
mod declare;
mod error;
mod installed;
mod inventory;
mod layers;
mod listing;
mod made;
mod mirrors;
mod packages;
mod recording;
mod resolving;
mod shared;
mod shrink;
mod source;
mod stack;
mod status;
mod underlay;
mod verify;

use std::path::{Path, PathBuf};

use cache::{Client, Elsewhere, Store};
use jiff::Timestamp;
use registry::{Hosts, Keychain, Session};
use schema::image::ImageSpec;
use schema::lock::{Lock, SetKey};
use schema::matrix::Mirror;
use schema::reference::Repository;
use schema::{Architecture, Digest};

pub use error::BuildError;

use crate::image_source::Images;
use crate::observer::{Observer, Unobserved};
use crate::plan::Target;
use crate::project::Project;
use crate::selection::{PlanError, Selection};
use crate::shared::SharedCache;

/// What a builder is told by those who know the machine and the wishes of a person.
#[derive(Debug)]
pub struct Options {
    /// The folder of the cache.
    pub cache: PathBuf,
    /// The folder that images and records go to.
    pub dist: PathBuf,
    /// The architecture of this machine.
    pub host: Architecture,
    /// What may be done to the lock.
    pub lock: LockUse,
    /// Whether to compress as hard as can be.
    pub release: bool,
    /// The rules of the image's description, for leaving out and making smaller, that do not apply.
    pub keep: Vec<String>,
    /// The mirror to use instead of the matrix's or the machine's.
    pub mirror: Option<Mirror>,
    /// The names and texts of the machine's apt sources.
    pub apt_sources: Vec<(PathBuf, String)>,
    /// How to connect.
    pub client: cache::Options,
    /// Who we are to registries.
    pub keychain: Keychain,
    /// The repository of a cache that several machines share, which is asked for what the own one does not have.
    pub cache_from: Option<Repository>,
    /// The program that builds: what another one built is not taken for its own work.
    pub program: PathBuf,
    /// Whether the folder that a Ruby is compiled in is kept where that fails.
    pub keep_failed: bool,
    /// How a sandbox starts.
    pub sandbox: sandbox::Program,
    /// The folders that emulators for other machines are looked for in.
    pub programs: Vec<PathBuf>,
}

/// What may be done to the lock of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LockUse {
    /// It may not change.
    Keep,
    /// It changes where it has no answer.
    #[default]
    Complete,
    /// It is going to be replaced as a whole, so one that cannot be read is as good as none.
    Replace,
}

/// Builds the images of a project.
#[derive(Debug)]
pub struct Builder {
    project: Project,
    parts: contents::Parts,
    /// The digest of the program.
    tool: Digest,
    store: Store,
    client: Client,
    hosts: Hosts,
    options: Options,
    now: Timestamp,
}

impl Builder {
    /// A builder for the project in the folder `root`.
    ///
    /// # Errors
    /// When the project is wrong, or the cache cannot be used.
    pub fn open(root: &Path, options: Options) -> Result<Self, BuildError> {
        let mut project = Project::open(root, options.lock == LockUse::Replace)?;
        project.image.switch_off(&options.keep)?;
        let hosts = image_source::hosts(&project.matrix.registries)?;
        let client = || Client::new(options.client.clone());
        let shared = options.cache_from.clone().filter(|_| !options.client.offline).map(|repository| {
            let (hosts, keychain, session) = (hosts.clone(), options.keychain.clone(), Session::default());
            Ok::<_, BuildError>(SharedCache { repository, client: client()?, hosts, keychain, session })
        });
        let shared = shared.transpose()?.map(|shared| Box::new(shared) as Box<dyn Elsewhere>);
        let store = Store::open(&options.cache)?.with_elsewhere(shared, shared::is_shared);
        Ok(Self {
            parts: contents::Parts::of(&project.image),
            hosts,
            project,
            tool: store.digest_of(&options.program)?,
            store,
            client: client()?,
            options,
            now: Timestamp::now(),
        })
    }

    /// The project.
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// The targets that a selection means.
    ///
    /// # Errors
    /// When it means none.
    pub fn plan(&self, selection: &Selection) -> Result<Vec<Target>, PlanError> {
        let Project { matrix, lock, .. } = &self.project;
        selection::select(matrix, self.spec(), lock.as_ref(), self.options.host, selection)
    }

    /// The full version of a target's Ruby, where the lock says it.
    pub fn locked_version(&self, target: &Target) -> Option<String> {
        target.locked_version(self.spec(), self.project.lock.as_ref()?)
    }

    /// The name of a target's variant; empty where its image has none.
    pub fn variant(&self, target: &Target) -> &str {
        &target.variant(self.spec()).name
    }

    fn spec(&self) -> &ImageSpec {
        &self.project.image.spec
    }

    fn compressions(&self) -> assemble::Ways<oci::Compression> {
        assemble::compressions(self.project.matrix.compression, self.options.release)
    }

    /// The full version of a target's Ruby.
    fn ruby(&self, lock: &Lock, target: &Target) -> Result<String, BuildError> {
        // An image that does not have it is told with what it has.
        target.prefix(lock)?;
        let version = target.locked_version(self.spec(), lock);
        version.filter(|version| target.row.ruby.has(version)).ok_or_else(|| BuildError::OtherRuby {
            image: target.to_string(),
            origin: target.origin(),
            series: target.row.ruby.to_string(),
        })
    }

    /// Who brings the images that Rubies are taken from.
    fn image_sources<'b>(&'b self, observer: &'b dyn Observer) -> Images<'b> {
        let Self { project, store, client, hosts, options, .. } = self;
        Images { store, client, hosts, keychain: &options.keychain, root: &project.root, observer }
    }

    fn fetch(
        &self,
        lock: &Lock,
        packages: &build::Locked<'_>,
        observer: &dyn Observer,
    ) -> Result<(), BuildError> {
        // Nothing is fetched where nothing may be.
        let observer = if self.options.client.offline { &Unobserved } else { observer };
        packages::fetch(&self.store, &self.client, &self.mirrors(lock)?, packages, observer)
            .map_err(BuildError::Package)
    }
}

/// The locked packages of a set.
fn packages_of<'a>(lock: &'a Lock, set: &SetKey) -> Result<build::Locked<'a>, BuildError> {
    let packages = lock.set(set).ok_or_else(|| BuildError::NotLocked { distro: set.distro.clone() })?;
    Ok(packages.collect())
}

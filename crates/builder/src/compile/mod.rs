//! A Ruby from upstream's tarball: compiled in the sandbox, in a root of its distro's packages, without a network. What is
//! installed then is a tar in the cache, under the digest of everything that went in, so a compile is paid for once.
//!
//! What goes in does not include the program that builds, which changes without changing what a compiler does: where it
//! starts the script in another way, `WAY` is counted up.

mod inputs;
mod workshop;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use cache::Download;
use fs_err as fs;
use rootfs::Tree;
use schema::image::{CompileSpec, FileContent};
use schema::lock::{Lock, PackageKey};
use schema::matrix::{Compiled, Source, Tarball, TarballAddress};
use schema::{Architecture, Digest};

use crate::build::Locked;
use crate::compile::inputs::Inputs;
use crate::compile::workshop::Work;
use crate::made::Facts;
use crate::observer::{Event, Observer};
use crate::plan::Target;
use crate::stack::{Below, Stack};
use crate::{BuildError, Builder, locking, packages, packages_of};

pub use inputs::Changes;
pub use workshop::{CompileError, OutputFault};

/// How a script is started: another number where the same script is given something else.
const WAY: &str = "1";
/// Where installed Rubies are in the cache.
pub(crate) const INSTALLED: &str = "compiled-ruby";
/// Where it is what a Ruby was last compiled from.
const INPUTS: &str = "compiled-ruby-inputs";
/// The folder of `dist` that has what compiles left that failed.
const FAILED: &str = "failed";

/// How a Ruby is compiled, and from what.
pub(crate) struct Recipe<'a> {
    /// What it is called: `Ruby 3.4.5 for trixie`.
    name: String,
    architecture: Architecture,
    tarball: Download,
    packages: Locked<'a>,
    spec: &'a CompileSpec,
    yjit: bool,
    inputs: Inputs,
}

impl Recipe<'_> {
    /// The digest of everything that decides what comes of it.
    pub(crate) fn digest(&self) -> Digest {
        self.inputs.digest()
    }

    /// The tarball, and the packages of the root that it is compiled in.
    pub(crate) const fn materials(&self) -> (&Download, &Locked<'_>) {
        (&self.tarball, &self.packages)
    }
}

impl Builder {
    /// How the Ruby of a target is compiled; none for one that comes compiled.
    ///
    /// # Errors
    /// A tarball or packages that are not locked, a description that does not say how.
    pub(crate) fn recipe<'s>(
        &'s self,
        lock: &'s Lock,
        target: &Target,
    ) -> Result<Option<Recipe<'s>>, BuildError> {
        let Source::Tarball(Compiled { version, yjit }) = &target.row.source else { return Ok(None) };
        let (Some(spec), Some(set)) = (&self.spec().compile, target.compile_set(self.spec())) else {
            return Err(BuildError::NoCompile { image: target.to_string() });
        };
        let tarball = self.tarball(lock, version)?;
        let packages = packages_of(lock, &set)?;
        let script = self.project.image.file(&spec.script);
        let mut files = schema::Hasher::new();
        for file in &spec.files {
            // The same program writes the same text of the same value.
            files.field(format!("{file:?}").as_bytes());
            if let FileContent::Copy(source) = &file.content {
                files.field(self.project.image.file(source));
            }
        }
        let mut inputs = Inputs::default();
        inputs.value("way", WAY);
        inputs.value("architecture", target.architecture.name());
        inputs.value("YJIT", if *yjit { "yes" } else { "no" });
        inputs.insert("tarball", version, tarball.digest);
        inputs.insert(&spec.script, "", Digest::of(script));
        inputs.insert("files of the root", "", files.finish());
        for (PackageKey { name, version, .. }, locked) in &packages {
            inputs.insert(&format!("package {name}"), version, locked.digest);
        }
        let name = format!("Ruby {version} for {}", target.row.distro);
        let architecture = target.architecture;
        Ok(Some(Recipe { name, architecture, tarball, packages, spec, yjit: *yjit, inputs }))
    }

    /// Where a tarball is, and which it is.
    fn tarball(&self, lock: &Lock, version: &String) -> Result<Download, BuildError> {
        let mirrors = self.mirrors(lock)?;
        match &self.project.matrix.tarballs[version] {
            Tarball::Pinned { addresses, digest, size } => {
                let urls = addresses.iter().flat_map(|address| match address {
                    TarballAddress::Url(url) => vec![url.clone()],
                    TarballAddress::Archive(path) => mirrors.addresses_of(path),
                });
                Ok(Download { urls: urls.collect(), size: *size, digest: *digest })
            }
            Tarball::SourcePackage { .. } => {
                let locked = locking::locked_tarball(&self.project.matrix, lock, version)?;
                Ok(Download { urls: mirrors.addresses(locked), size: locked.size, digest: locked.digest })
            }
        }
    }

    /// What the Rubies of these targets are compiled by, each once.
    pub(crate) fn recipes<'s, 't>(
        &'s self,
        lock: &'s Lock,
        targets: impl IntoIterator<Item = &'t Target>,
    ) -> Result<BTreeMap<Digest, Recipe<'s>>, BuildError> {
        let recipes = targets.into_iter().filter_map(|target| self.recipe(lock, target).transpose());
        recipes.map(|recipe| recipe.map(|recipe| (recipe.digest(), recipe))).collect()
    }

    /// Whether what comes of a recipe is there already.
    pub(crate) fn is_compiled(&self, recipe: &Recipe<'_>) -> Result<bool, BuildError> {
        Ok(self.store.has_derived(INSTALLED, &recipe.digest())?)
    }

    /// The installed files of a Ruby, compiled where the cache does not have them; it ends early where `stop` says so.
    ///
    /// # Errors
    /// What is missing for it, and whatever fails on the way.
    pub(crate) fn compiled(
        &self,
        lock: &Lock,
        recipe: &Recipe<'_>,
        stop: &AtomicBool,
        observer: &dyn Observer,
    ) -> Result<Tree, BuildError> {
        let failed = |source| BuildError::Compile { ruby: recipe.name.clone(), source };
        let digest = recipe.digest();
        // Another process may be at the same one, which takes minutes.
        let only = self.store.lock(&format!("compile-{}", digest.hex()))?;
        let tar = self.store.derive(INSTALLED, &digest, |out| {
            if recipe.architecture != self.options.host {
                let (ruby, architecture) = (recipe.name.clone(), recipe.architecture);
                return Err(BuildError::CompileElsewhere { ruby, architecture });
            }
            let tar = self.compile(lock, recipe, stop, observer)?;
            std::io::Write::write_all(out, &tar).map_err(BuildError::Keep)
        })?;
        drop(only);
        workshop::tree(tar.content()).map_err(|fault| {
            let script = recipe.spec.script.clone();
            failed(CompileError::Output { script, source: fault.into() })
        })
    }

    fn compile(
        &self,
        lock: &Lock,
        recipe: &Recipe<'_>,
        stop: &AtomicBool,
        observer: &dyn Observer,
    ) -> Result<rootfs::Content, BuildError> {
        let Recipe { name, tarball, packages, spec, yjit, inputs, architecture } = recipe;
        let of_this = Digest::of(format!("{name} {architecture}").as_bytes());
        let before = self.store.derived(INPUTS, &of_this)?;
        let before = before.and_then(|blob| serde_json::from_slice::<Inputs>(blob.content()).ok());
        let changes = before.map(|before| inputs.since(&before));
        observer.observe(&Event::Compiling { ruby: name, changes: changes.as_ref() });

        let started = std::time::Instant::now();
        let fetched = self.client.fetch(&self.store, tarball, &());
        let tarball = fetched.map_err(|source| BuildError::Tarball { ruby: name.clone(), source })?;
        self.fetch(lock, packages, observer)?;
        let opened = packages::open(&self.store, &self.client, &self.mirrors(lock)?, packages)?;
        let failed = |source: CompileError| BuildError::Compile { ruby: name.clone(), source };
        let root = Stack::new(
            &opened,
            Below::default(),
            Tree::new(),
            &self.project.image,
            &spec.files,
            &Facts::default(),
        )
        .map_err(|error| failed(error.into()))?;
        let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let environment = BTreeMap::from([
            ("JOBS", jobs.to_string()),
            ("YJIT", if *yjit { "yes" } else { "no" }.to_owned()),
        ]);
        let work = Work {
            name,
            root: root.tree,
            tarball: tarball.path(),
            script_name: &spec.script,
            script: self.project.image.file(&spec.script),
            environment,
        };
        let scratch = [self.store.scratch()?, self.store.scratch()?];
        let folder = match self.options.keep_failed {
            true => Some(self.emptied(name).map_err(|error| failed(error.into()))?),
            false => None,
        };
        let folders = (scratch[0].path(), folder.as_deref().unwrap_or(scratch[1].path()));
        let tar = workshop::compile(&self.options.sandbox, &work, folders, stop, observer).map_err(
            |mut error| {
                if let CompileError::Script { kept, .. } = &mut error {
                    kept.clone_from(&folder);
                }
                failed(error)
            },
        )?;
        if let Some(folder) = folder {
            fs::remove_dir_all(folder).map_err(|error| failed(error.into()))?;
        }
        let json = serde_json::to_vec(inputs).expect("strings can be written as JSON");
        self.store.derive_anew(INPUTS, &of_this, &json)?;
        observer.observe(&Event::Compiled { ruby: name, seconds: started.elapsed().as_secs() });
        Ok(tar)
    }

    /// The folder that is kept where a compile in it fails, without what an earlier one left there.
    fn emptied(&self, name: &str) -> std::io::Result<PathBuf> {
        let folder: &Path = &self.options.dist.join(FAILED).join(name.to_lowercase().replace(' ', "-"));
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(folder)?,
        }
        std::path::absolute(folder)
    }
}

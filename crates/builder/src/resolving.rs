//! From wishes that the lock does not answer to a lock that does.

use std::collections::{BTreeMap, BTreeSet};

use debian::mirror::Mirror;
use debian::openpgp::Keyring;
use debian::relation::Relation;
use debian::{
    Archive, ArchiveName, PackageRecord, SourceIndex, Suite, SuiteIndex, Universe, UpstreamTarball, resolve,
};
use rayon::prelude::*;
use schema::Architecture;
use schema::lock::{ImageKey, Lock, LockedImage, LockedPackage, LockedSuite, PackageKey, SetKey, TarballKey};

use crate::image_source::Brought;
use crate::locking::{self, Base, LockChange, Resolution, Wish};
use crate::observer::{Event, Observer};
use crate::plan::{self, Target};
use crate::project::LOCK;
use crate::replace::replace;
use crate::selection::{Architectures, Selection};
use crate::source::{rubies_of, upstream_version};
use crate::{BuildError, Builder, LockUse};

/// The part of an archive that the images are made of.
const COMPONENT: &str = "main";

impl Builder {
    /// The lock that answers every wish of the matrix and of `targets`, which may be for another architecture; resolved
    /// and written where the one that is there does not.
    pub(crate) fn locked(&mut self, targets: &[Target], observer: &dyn Observer) -> Result<Lock, BuildError> {
        let lock = self.project.lock.clone().unwrap_or_default();
        // Those on demand too: who asks for one finds it locked.
        let mut all = self.plan(&Selection::every()).expect("no pattern, so none that matches nothing");
        all.extend_from_slice(targets);
        let wishes = locking::wishes(&all, self.spec());
        let missing = locking::unanswered(&lock, &wishes);
        // Of these only what is asked for now: another run needs no registry.
        let images = targets.iter().filter(|target| !target.has_locked_images(&lock));
        let images: BTreeSet<ImageKey> = images.flat_map(Target::image_keys).collect();
        let mut tarballs = locking::tarballs(&self.project.matrix);
        tarballs.retain(|key, _| !lock.tarballs.contains_key(key));
        if missing.is_empty() && images.is_empty() && tarballs.is_empty() {
            return Ok(lock);
        }
        if self.options.lock == LockUse::Keep {
            if let (true, Some(ImageKey { image, architecture })) = (missing.is_empty(), images.first()) {
                let (image, architecture) = (image.clone(), *architecture);
                return Err(BuildError::ImageLockedOut { image, architecture });
            }
            if let (true, Some(TarballKey { version, .. })) = (missing.is_empty(), tarballs.keys().next()) {
                return Err(BuildError::TarballNotLocked { version: version.clone() });
            }
            let bases: Vec<String> = missing.iter().map(|(distro, on)| format!("{distro} {on}")).collect();
            return Err(BuildError::LockedOut { bases: bases.join(", ") });
        }
        let wishes = wishes.into_iter().filter(|(base, _)| missing.contains(base)).collect();
        let resolved = self.resolved(&lock, &wishes, (&images, &tarballs), observer)?;
        self.check_rubies(&resolved, &all)?;
        self.write_lock(&resolved)?;
        observer.observe(&Event::Relocked(&LockChange::between(&lock, &resolved)));
        Ok(resolved)
    }

    /// Resolves every distro anew, and every image that is locked, for the architectures of the matrix and those that the lock has besides. With `dry_run`
    /// the lock stays as it is.
    ///
    /// # Errors
    /// When a suite cannot be read, or does not have what is wanted.
    pub fn update(&mut self, dry_run: bool, observer: &dyn Observer) -> Result<LockChange, BuildError> {
        let lock = self.project.lock.clone().unwrap_or_default();
        let host = self.options.host;
        let locked: BTreeSet<Architecture> = lock.sets.keys().map(|key| key.architecture).collect();
        let targets: Vec<Target> = std::iter::once(Architectures::Matrix)
            .chain(locked.into_iter().map(Architectures::Only))
            .flat_map(|architectures| plan::targets(&self.project.matrix, self.spec(), host, architectures))
            .collect();
        let images = targets.iter().filter(|target| target.has_locked_images(&lock));
        let images: BTreeSet<ImageKey> = images.flat_map(Target::image_keys).collect();
        let tarballs = locking::tarballs(&self.project.matrix);
        let wishes = locking::wishes(&targets, self.spec());
        let resolved = self.resolved(&lock, &wishes, (&images, &tarballs), observer)?;
        self.check_rubies(&resolved, &targets)?;
        if !dry_run {
            self.write_lock(&resolved)?;
        }
        Ok(LockChange::between(&lock, &resolved))
    }

    /// Whether every distro and every locked image has the Ruby that its rows say.
    fn check_rubies(&self, lock: &Lock, targets: &[Target]) -> Result<(), BuildError> {
        let mut known = targets.iter().filter(|target| target.has_locked_images(lock));
        known.try_for_each(|target| self.ruby(lock, target).map(drop))
    }

    fn resolved(
        &self,
        before: &Lock,
        wishes: &BTreeMap<Base, BTreeSet<Wish>>,
        (images, tarballs): (&BTreeSet<ImageKey>, &BTreeMap<TarballKey, &str>),
        observer: &dyn Observer,
    ) -> Result<Lock, BuildError> {
        let distros: BTreeSet<&String> = wishes.keys().map(|(distro, _)| distro).collect();
        for distro in distros {
            observer.observe(&Event::Resolving { distro });
        }
        let resolutions: Vec<Result<Resolution, BuildError>> =
            wishes.par_iter().map(|(base, wishes)| self.resolve(before, base, wishes)).collect();
        let mut lock = before.clone();
        for (base, resolution) in wishes.keys().zip(resolutions) {
            locking::replace(&mut lock, base, resolution?);
        }
        for key in images {
            let Brought { digest, tree, .. } = self.image_sources(observer).bring(key, None)?;
            lock.images.insert(key.clone(), LockedImage { digest, rubies: rubies_of(&tree) });
        }
        for (key, suite) in tarballs {
            let (at, suite) = self.resolve_tarball(before, key, suite)?;
            // A distro that has the suite too was resolved in it a moment ago.
            if !lock.suites.iter().any(|known| known.name == suite.name && known.date >= suite.date) {
                lock.suites.retain(|known| known.name != suite.name);
                lock.suites.insert(suite);
            }
            lock.tarballs.insert(key.clone(), at);
        }
        locking::tidy(&mut lock, &self.project.matrix, self.spec());
        Ok(lock)
    }

    fn resolve(
        &self,
        lock: &Lock,
        (distro, architecture): &Base,
        wishes: &BTreeSet<Wish>,
    ) -> Result<Resolution, BuildError> {
        let keyring = match self.project.keyrings.get(distro) {
            Some(keys) => Keyring::parse([keys.as_slice()])
                .map_err(|source| BuildError::Keyring { distro: distro.clone(), source })?,
            None => Keyring::debian(),
        };
        let mirrors = self.mirrors(lock)?.current();
        let archive = self.archive(&mirrors, &keyring);
        let written = &self.project.matrix.distros[distro];
        let suite = |name: &String, archive| suite(lock, name, archive, written.archived);
        let main = written.suites.iter().map(|name| suite(name, ArchiveName::Main));
        let security = written.security.iter().map(|name| suite(name, ArchiveName::Security));
        let suites: Vec<Suite> = main.chain(security).collect();

        let indexes: Vec<_> = suites.par_iter().map(|suite| archive.suite(suite, *architecture)).collect();
        let indexes = indexes.into_iter().collect::<Result<Vec<SuiteIndex>, _>>()?;
        let everything = Universe::new(&indexes, *architecture);
        // Gems are test inputs and in no image: those of the release do.
        let is_main = |index: &&SuiteIndex| index.suite.archive == ArchiveName::Main;
        let released = Universe::new(indexes.iter().filter(is_main), *architecture);

        let mut resolution =
            Resolution { suites: indexes.iter().map(locked_suite).collect(), ..Resolution::default() };
        for wish in wishes {
            let image = choose(&everything, distro, &wish.image)?;
            let mut gems = choose(&released, distro, &wish.gems)?;
            gems.retain(|key, _| !image.keys().any(|chosen| chosen.name == key.name));
            gems.extend(image.clone());
            for set in &wish.additions {
                let mut addition = choose(&everything, distro, set)?;
                if set.wants.is_superset(&wish.image.wants) {
                    // The image's own packages are installed, so they are the very same.
                    addition.retain(|key, _| !image.keys().any(|chosen| chosen.name == key.name));
                    addition.extend(image.clone());
                }
                resolution.sets.insert(set.clone(), addition);
            }
            if let Some(set) = &wish.compile {
                resolution.sets.insert(set.clone(), choose(&everything, distro, set)?);
            }
            resolution.sets.insert(wish.image.clone(), image);
            resolution.sets.insert(wish.gems.clone(), gems);
        }
        Ok(resolution)
    }

    /// Where the tarball in a source package is, and the suite that was asked. The package may have any revision.
    fn resolve_tarball(
        &self,
        lock: &Lock,
        TarballKey { package, version }: &TarballKey,
        name: &str,
    ) -> Result<(LockedPackage, LockedSuite), BuildError> {
        let distros = &self.project.matrix.distros;
        let distro = distros.iter().find(|(_, distro)| distro.suites.iter().any(|suite| suite == name));
        let keyring = match distro.and_then(|(distro, _)| self.project.keyrings.get(distro)) {
            Some(keys) => Keyring::parse([keys.as_slice()])
                .map_err(|source| BuildError::Keyring { distro: name.to_owned(), source })?,
            None => Keyring::debian(),
        };
        let mirrors = self.mirrors(lock)?.current();
        let archived = distro.is_some_and(|(_, distro)| distro.archived);
        let suite = suite(lock, name, ArchiveName::Main, archived);
        let SourceIndex { date, release, tarballs } =
            self.archive(&mirrors, &keyring).sources(&suite, package)?;
        let versions: Vec<String> = tarballs.iter().map(|tarball| tarball.version.clone()).collect();
        let found = tarballs.into_iter().find(|tarball| upstream_version(&tarball.version) == version);
        let UpstreamTarball { path, size, sha256, .. } = found.ok_or_else(|| BuildError::NoTarball {
            version: version.clone(),
            package: package.clone(),
            suite: name.to_owned(),
            versions,
        })?;
        let at = LockedPackage { suite: name.to_owned(), path, size, digest: sha256 };
        Ok((at, LockedSuite { name: name.to_owned(), date, release }))
    }

    fn archive<'a>(&'a self, mirrors: &'a [Mirror], keyring: &'a Keyring) -> Archive<'a> {
        Archive { client: &self.client, store: &self.store, mirrors, keyring, now: self.now }
    }

    fn write_lock(&mut self, lock: &Lock) -> Result<(), BuildError> {
        replace(&self.project.root.join(LOCK), lock.render())?;
        self.project.lock = Some(lock.clone());
        Ok(())
    }

    /// Resolves the matrix anew after a locked package was found to be gone.
    pub(crate) fn resolve_again(&mut self, observer: &dyn Observer) -> Result<(), BuildError> {
        let change = self.update(false, observer)?;
        observer.observe(&Event::Relocked(&change));
        Ok(())
    }

    pub(crate) fn may_resolve(&self) -> bool {
        self.options.lock != LockUse::Keep && !self.options.client.offline
    }
}

/// A suite of a distro, of which no older state is taken than the lock has seen.
fn suite(lock: &Lock, name: &str, archive: ArchiveName, archived: bool) -> Suite {
    Suite {
        name: name.to_owned(),
        archive,
        components: vec![COMPONENT.to_owned()],
        archived,
        seen: lock.suites.iter().find(|suite| suite.name == name).map(|suite| suite.date),
    }
}

fn choose(
    universe: &Universe<'_>,
    distro: &str,
    set: &SetKey,
) -> Result<BTreeMap<PackageKey, LockedPackage>, BuildError> {
    let wanted = set
        .wants
        .iter()
        .map(|want| {
            Relation::parse(want).map_err(|source| BuildError::PackageName { package: want.clone(), source })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let chosen = resolve(universe, &wanted)
        .map_err(|source| BuildError::Resolve { distro: distro.to_owned(), source })?;
    Ok(chosen.into_iter().map(locked).collect())
}

fn locked_suite(index: &SuiteIndex) -> LockedSuite {
    LockedSuite { name: index.suite.name.clone(), date: index.date, release: index.release }
}

fn locked(record: PackageRecord) -> (PackageKey, LockedPackage) {
    let PackageRecord { name, version, architecture, filename, size, sha256, suite } = record;
    let key = PackageKey { name, version, architecture };
    (key, LockedPackage { suite, path: filename, size, digest: sha256 })
}

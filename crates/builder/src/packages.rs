//! From locked packages to opened ones: what the cache does not have is fetched, and each is decompressed once.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Mutex;

use cache::{Client, Download, FetchError, Progress, Store, StoreError};
use debian::deb::{Deb, DebError};
use rayon::prelude::*;
use schema::lock::{LockedPackage, PackageKey};

use crate::mirrors::Mirrors;
use crate::observer::{Event, Observer};
use crate::stack::{Package, PackageSource};

/// Connections at once: enough to hide the waiting, few enough to be polite.
const CONNECTIONS: NonZeroUsize = NonZeroUsize::new(6).expect("more than none");

/// No package of Debian comes near it; what claims to be larger is no package.
const DATA_LIMIT: u64 = 4 << 30;

/// The derivation of a package's plain tar from its `.deb`.
const DATA: &str = "deb-data";

/// A package that cannot be had or opened.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// It cannot be had.
    #[error("cannot fetch package {package}")]
    Fetch {
        /// The package.
        package: String,
        /// Why.
        source: FetchError,
    },
    /// It is no `.deb`.
    #[error("cannot open package {package}")]
    Open {
        /// The package.
        package: String,
        /// Why.
        source: DebError,
    },
    /// The cache does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PackageError {
    /// Whether the package is nowhere any more, so that another version of it has to be chosen.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Fetch { source, .. } if source.is_not_found())
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Fetch { source, .. } if source.is_not_found() => {
                Some("it has left the mirror: `cargo xtask update` resolves its distro anew".to_owned())
            }
            Self::Fetch { source, .. } => source.hint(),
            Self::Store(error) => error.hint(),
            Self::Open { .. } => None,
        }
    }
}

/// Fetches every package that the store does not have.
///
/// # Errors
/// The first one that cannot be had, by the order of the packages.
pub(crate) fn fetch(
    store: &Store,
    client: &Client,
    mirrors: &Mirrors,
    packages: &BTreeMap<&PackageKey, &LockedPackage>,
    observer: &dyn Observer,
) -> Result<(), PackageError> {
    let missing: Vec<_> = packages.iter().filter(|(_, locked)| !store.contains(&locked.digest)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let bytes = missing.iter().map(|(_, locked)| locked.size).sum();
    observer.observe(&Event::Fetching { packages: missing.len(), bytes });
    let progress = Downloading(observer);
    let queue = Mutex::new(missing.iter());
    let failed = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS.get().min(missing.len()) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("no thread panics while it takes the next").next();
                    let Some((key, locked)) = next else { return };
                    if let Err(error) = fetch_one(store, client, mirrors, key, locked, &progress) {
                        failed.lock().expect("no thread panics while it says so").insert(*key, error);
                        return;
                    }
                }
            });
        }
    });
    observer.observe(&Event::FetchingDone);
    match failed.into_inner().expect("no thread panicked").into_values().next() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

struct Downloading<'a>(&'a dyn Observer);

impl Progress for Downloading<'_> {
    fn bytes(&self, bytes: u64) {
        self.0.observe(&Event::Fetched { bytes });
    }
}

fn fetch_one(
    store: &Store,
    client: &Client,
    mirrors: &Mirrors,
    key: &PackageKey,
    locked: &LockedPackage,
    progress: &dyn Progress,
) -> Result<cache::Blob, PackageError> {
    let download = Download { urls: mirrors.addresses(locked), size: locked.size, digest: locked.digest };
    client
        .fetch(store, &download, progress)
        .map_err(|source| PackageError::Fetch { package: name(key), source })
}

/// Opens packages that were fetched, in the order of their keys.
///
/// # Errors
/// The first one that is no package, by the same order.
pub(crate) fn open(
    store: &Store,
    client: &Client,
    mirrors: &Mirrors,
    packages: &BTreeMap<&PackageKey, &LockedPackage>,
) -> Result<Vec<Package>, PackageError> {
    let opened: Vec<_> =
        packages.par_iter().map(|(key, locked)| open_one(store, client, mirrors, key, locked)).collect();
    opened.into_iter().collect()
}

fn open_one(
    store: &Store,
    client: &Client,
    mirrors: &Mirrors,
    key: &PackageKey,
    locked: &LockedPackage,
) -> Result<Package, PackageError> {
    // One that the cache has damaged is fetched again here.
    let blob = fetch_one(store, client, mirrors, key, locked, &())?;
    let failed = |source| PackageError::Open { package: name(key), source };
    let deb = Deb::open(blob.content()).map_err(failed)?;
    let data = store
        .derive(DATA, &locked.digest, |out| deb.data_tar(out, DATA_LIMIT).map(|_| ()).map_err(failed))?;
    Ok(Package {
        key: key.clone(),
        source: PackageSource::Archive,
        control: deb.control().into(),
        md5sums: deb.md5sums().map(|sums| sums.to_vec()).unwrap_or_default(),
        records: deb.records().clone(),
        data: data.content().clone(),
    })
}

/// The keys of several sets, each once.
pub(crate) fn joined<'a>(
    sets: impl IntoIterator<Item = BTreeMap<&'a PackageKey, &'a LockedPackage>>,
) -> BTreeMap<&'a PackageKey, &'a LockedPackage> {
    sets.into_iter().flatten().collect()
}

fn name(key: &PackageKey) -> String {
    format!("{} {}", key.name, key.version)
}

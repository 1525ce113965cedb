//! Reading suites from a mirror: the signed release file, then the indexes that it names, each verified before a byte of
//! it is used.

use cache::{Client, Download, FetchError, Store, StoreError};
use jiff::Timestamp;
use schema::{Architecture, Digest};

use crate::compression::{Compression, UnpackError};
use crate::mirror::Mirror;
use crate::openpgp::{Keyring, SignatureError};
use crate::packages::{Index, IndexError};
use crate::release::{Refusal, Release, ReleaseError};
use crate::suite::{ArchiveName, Suite};
use crate::universe::SuiteIndex;

/// No release file of Debian comes near it.
const RELEASE_LIMIT: u64 = 8 << 20;
/// No index of Debian comes near it, unpacked.
const INDEX_LIMIT: u64 = 1 << 30;

/// The archives as they are reached from here.
#[derive(Debug)]
pub struct Archive<'a> {
    /// What downloads.
    pub client: &'a Client,
    /// What keeps what was downloaded.
    pub store: &'a Store,
    /// Where the archives are, the best place first.
    pub mirrors: &'a [Mirror],
    /// The keys that may sign a release file.
    pub keyring: &'a Keyring,
    /// The time that dates are compared with.
    pub now: Timestamp,
}

/// A suite that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the suite {suite}")]
pub struct ArchiveError {
    /// The suite.
    pub suite: String,
    /// Why.
    pub source: Box<ArchiveFault>,
}

/// Why a suite cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveFault {
    /// No mirror is known that has the suite's archive.
    #[error("no mirror is known for the {0} archive")]
    NoMirror(ArchiveName),
    /// A file cannot be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The release file is not signed by a key that is trusted.
    #[error("{address} is not to be trusted")]
    Signature {
        /// Where it came from.
        address: String,
        /// Why.
        source: SignatureError,
    },
    /// The release file is none.
    #[error("{address} is no release file")]
    Release {
        /// Where it came from.
        address: String,
        /// Why.
        source: ReleaseError,
    },
    /// The release file is not one to rely on now.
    #[error("{address} is refused")]
    Refused {
        /// Where it came from.
        address: String,
        /// Why.
        source: Refusal,
    },
    /// The suite has no index for the component and architecture.
    #[error("it has no packages for {architecture} in the component {component}")]
    NoIndex {
        /// The component.
        component: String,
        /// The architecture.
        architecture: Architecture,
    },
    /// An index cannot be unpacked.
    #[error("cannot unpack its index {name}")]
    Unpack {
        /// The name of the index.
        name: String,
        /// Why.
        source: UnpackError,
    },
    /// An index is none.
    #[error("cannot read its index {name}")]
    Index {
        /// The name of the index.
        name: String,
        /// Why.
        source: IndexError,
    },
    /// The cache does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ArchiveError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match &*self.source {
            ArchiveFault::NoMirror(_) => Some("name one with `--mirror`, or in matrix.toml".to_owned()),
            ArchiveFault::Fetch(error) => error.hint(),
            ArchiveFault::Refused { source, .. } => source.hint(),
            ArchiveFault::Signature { .. } => {
                Some("use another mirror; if the archive has keys of its own, name them as `keyring` of the distro in matrix.toml".to_owned())
            }
            ArchiveFault::NoIndex { .. } => Some("look at the components and architectures of the suite".to_owned()),
            ArchiveFault::Store(error) => error.hint(),
            ArchiveFault::Release { .. } | ArchiveFault::Unpack { .. } | ArchiveFault::Index { .. } => None,
        }
    }
}

impl Archive<'_> {
    /// Reads a suite for an architecture, and gives the digest of its release file beside it.
    ///
    /// # Errors
    /// When a file cannot be had, or is not what a trusted key signed for.
    pub fn suite(
        &self,
        suite: &Suite,
        architecture: Architecture,
    ) -> Result<(SuiteIndex, Digest), ArchiveError> {
        self.read(suite, architecture)
            .map_err(|source| ArchiveError { suite: suite.name.clone(), source: Box::new(source) })
    }

    fn read(&self, suite: &Suite, architecture: Architecture) -> Result<(SuiteIndex, Digest), ArchiveFault> {
        let bases = self.bases(suite)?;
        let (base, address, bytes) = self.release(suite, &bases)?;
        let signed = self
            .keyring
            .verify(&bytes, self.now)
            .map_err(|source| ArchiveFault::Signature { address: address.clone(), source })?;
        let release = Release::parse(signed.text())
            .map_err(|source| ArchiveFault::Release { address: address.clone(), source })?;
        release.check(suite, self.now).map_err(|source| ArchiveFault::Refused { address, source })?;
        let components = suite
            .components
            .iter()
            .map(|component| self.index(&base, &release, component, architecture))
            .collect::<Result<_, _>>()?;
        let index = SuiteIndex { suite: suite.clone(), date: release.date, components };
        Ok((index, Digest::of(&bytes)))
    }

    /// The folder of the suite on each mirror.
    fn bases(&self, suite: &Suite) -> Result<Vec<String>, ArchiveFault> {
        let addresses = self.mirrors.iter().filter_map(|mirror| mirror.address(suite.archive));
        let bases: Vec<String> = addresses.map(|address| format!("{address}/dists/{}", suite.name)).collect();
        if bases.is_empty() { Err(ArchiveFault::NoMirror(suite.archive)) } else { Ok(bases) }
    }

    /// The release file of the first mirror that has one.
    fn release(&self, suite: &Suite, bases: &[String]) -> Result<(String, String, Vec<u8>), ArchiveFault> {
        let mut first = None;
        for base in bases {
            let address = format!("{base}/InRelease");
            match self.client.fetch_bytes(&address, RELEASE_LIMIT) {
                Ok(bytes) => return Ok((base.clone(), address, bytes)),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.map_or(ArchiveFault::NoMirror(suite.archive), ArchiveFault::Fetch))
    }

    /// The packages of one component: by its digest where the mirror offers that, or else by its name.
    fn index(
        &self,
        base: &str,
        release: &Release,
        component: &str,
        architecture: Architecture,
    ) -> Result<Index, ArchiveFault> {
        let folder = format!("{component}/binary-{architecture}");
        let found = [("Packages.xz", ".xz"), ("Packages.gz", ".gz"), ("Packages", "")]
            .into_iter()
            .find_map(|(file, suffix)| Some((file, suffix, release.file(&format!("{folder}/{file}"))?)));
        let Some((file, suffix, listed)) = found else {
            return Err(ArchiveFault::NoIndex { component: component.to_owned(), architecture });
        };
        let name = format!("{folder}/{file}");
        let by_hash = format!("{base}/{folder}/by-hash/SHA256/{}", listed.digest.hex());
        let by_name = format!("{base}/{name}");
        let urls = if release.by_hash { vec![by_hash, by_name] } else { vec![by_name] };
        let download = Download { urls, size: listed.size, digest: listed.digest };
        let blob = self.client.fetch(self.store, &download, &())?;
        let compression = Compression::from_suffix(suffix.as_bytes()).expect("one of those above");
        let mut text = Vec::new();
        compression
            .unpack(blob.content(), &mut text, INDEX_LIMIT)
            .map_err(|source| ArchiveFault::Unpack { name: name.clone(), source })?;
        Index::parse(text.into()).map_err(|source| ArchiveFault::Index { name, source })
    }
}

//! Reading suites from mirrors: the signed release file, then the indexes that it names, each verified before a byte
//! of it is used.
//!
//! A mirror is read as a whole: one that is behind, damaged or not Debian's after all is passed over for the next.
//! Packed indexes are kept by their digest, and so are the unpacked ones: while a suite stays the same, only its
//! release file is downloaded again.

use cache::{Blob, Client, Download, FetchError, Store, StoreError};
use jiff::Timestamp;
use schema::{Architecture, Digest};

use crate::compression::{Compression, UnpackError};
use crate::mirror::Mirror;
use crate::openpgp::{Keyring, SignatureError};
use crate::packages::{Index, IndexError};
use crate::release::{IndexFile, Refusal, Release, ReleaseError};
use crate::suite::{ArchiveName, Suite};
use crate::universe::SuiteIndex;

/// No release file of Debian comes near it.
const RELEASE_LIMIT: u64 = 8 << 20;

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
    /// An index is, unpacked, not what the release file says.
    #[error("its index {name} unpacks to {found} instead of {expected}")]
    OtherIndex {
        /// The name of the index.
        name: String,
        /// The digest that it should have.
        expected: Digest,
        /// The digest that it has.
        found: Digest,
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
                let keys =
                    "if the archive has keys of its own, name them as `keyring` of the distro in matrix.toml";
                Some(format!("use another mirror; {keys}"))
            }
            ArchiveFault::NoIndex { .. } => {
                Some("look at the components and architectures of the suite".to_owned())
            }
            ArchiveFault::Store(error) => error.hint(),
            ArchiveFault::Unpack { source, .. } => source.store_error().and_then(StoreError::hint),
            ArchiveFault::Release { .. } | ArchiveFault::OtherIndex { .. } | ArchiveFault::Index { .. } => {
                Some("use another mirror".to_owned())
            }
        }
    }
}

impl Archive<'_> {
    /// Reads a suite for an architecture, and gives the digest of its release file beside it.
    ///
    /// # Errors
    /// When no mirror gives what a trusted key signed for; the error is that of the first mirror.
    pub fn suite(
        &self,
        suite: &Suite,
        architecture: Architecture,
    ) -> Result<(SuiteIndex, Digest), ArchiveError> {
        let mut first = None;
        for mirror in self.mirrors.iter().filter_map(|mirror| mirror.address(suite.archive)) {
            let folder = format!("{mirror}/dists/{}", suite.name);
            match self.read(&folder, suite, architecture) {
                Ok(read) => return Ok(read),
                Err(fault) => first = first.or(Some(fault)),
            }
        }
        let fault = first.unwrap_or(ArchiveFault::NoMirror(suite.archive));
        Err(ArchiveError { suite: suite.name.clone(), source: Box::new(fault) })
    }

    /// Reads a suite from its folder on one mirror.
    fn read(
        &self,
        folder: &str,
        suite: &Suite,
        architecture: Architecture,
    ) -> Result<(SuiteIndex, Digest), ArchiveFault> {
        let address = format!("{folder}/InRelease");
        let bytes = self.client.fetch_bytes(&address, RELEASE_LIMIT)?;
        let release = self.release(address, &bytes, suite)?;
        let components = suite
            .components
            .iter()
            .map(|component| self.index(folder, &release, component, architecture))
            .collect::<Result<_, _>>()?;
        let index = SuiteIndex { suite: suite.clone(), date: release.date, components };
        Ok((index, Digest::of(&bytes)))
    }

    /// The release file of a suite, if a trusted key signed it and it is one to rely on now.
    fn release(&self, address: String, bytes: &[u8], suite: &Suite) -> Result<Release, ArchiveFault> {
        let signed = match self.keyring.verify(bytes, self.now) {
            Ok(signed) => signed,
            Err(source) => return Err(ArchiveFault::Signature { address, source }),
        };
        let release = match Release::parse(signed.text()) {
            Ok(release) => release,
            Err(source) => return Err(ArchiveFault::Release { address, source }),
        };
        match release.check(suite, self.now) {
            Ok(()) => Ok(release),
            Err(source) => Err(ArchiveFault::Refused { address, source }),
        }
    }

    /// The packages of one component. The release file lists the index as it is unpacked, whether or not a mirror has
    /// that, and the packed forms that there are.
    fn index(
        &self,
        folder: &str,
        release: &Release,
        component: &str,
        architecture: Architecture,
    ) -> Result<Index, ArchiveFault> {
        let name = format!("{component}/binary-{architecture}/Packages");
        let forms = [(".xz", Compression::Xz), (".gz", Compression::Gzip), ("", Compression::None)];
        let listed = |suffix: &str| release.file(&format!("{name}{suffix}"));
        let packed = forms.into_iter().find_map(|(suffix, form)| Some((suffix, form, listed(suffix)?)));
        let (Some(unpacked), Some((suffix, form, packed))) = (listed(""), packed) else {
            return Err(ArchiveFault::NoIndex { component: component.to_owned(), architecture });
        };
        let text = match self.store.get(&unpacked.digest)? {
            Some(text) => text,
            None => {
                let by_name = format!("{folder}/{name}{suffix}");
                let by_hash = by_name
                    .rsplit_once('/')
                    .map(|(parent, _)| format!("{parent}/by-hash/SHA256/{}", packed.digest.hex()));
                let urls = by_hash.filter(|_| release.by_hash).into_iter().chain([by_name]).collect();
                let download = Download { urls, size: packed.size, digest: packed.digest };
                let packed = self.client.fetch(self.store, &download, &())?;
                self.unpack(name.clone(), form, &packed, unpacked)?
            }
        };
        Index::parse(text.content().clone()).map_err(|source| ArchiveFault::Index { name, source })
    }

    /// Unpacks an index into the store, no further than it should go.
    fn unpack(
        &self,
        name: String,
        form: Compression,
        packed: &Blob,
        expected: IndexFile,
    ) -> Result<Blob, ArchiveFault> {
        let mut writer = self.store.writer()?;
        match form.unpack(packed.content(), &mut writer, expected.size) {
            Ok(_) => {}
            Err(source) => return Err(ArchiveFault::Unpack { name, source }),
        }
        let text = writer.finish()?;
        if text.digest() == expected.digest {
            Ok(text)
        } else {
            Err(ArchiveFault::OtherIndex { name, expected: expected.digest, found: text.digest() })
        }
    }
}

#[cfg(test)]
mod tests;

//! Reading suites from mirrors: the signed release file, then the indexes that it names, each verified before a byte
//! of it is used.
//!
//! A mirror is read as a whole: one that is behind, damaged or not Debian's after all is passed over for the next.
//! Packed indexes are kept by their digest, and so are the unpacked ones: while a suite stays the same, only its
//! release file is downloaded again.

use std::error::Error as _;
use std::fmt;

use cache::{Blob, Client, Download, FetchError, Store, StoreError};
use jiff::Timestamp;
use schema::{Architecture, Digest};

use crate::compression::{Compression, UnpackError};
use crate::mirror::Mirror;
use crate::openpgp::{Keyring, SignatureError};
use crate::packages::{FieldError, Index, IndexError};
use crate::release::{IndexFile, Refusal, Release, ReleaseError};
use crate::sources::{self, SourceIndex};
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
    /// No mirror is of use: what is wrong with each, in their order.
    #[error("no mirror is of use: {}", Listed(.0))]
    NoUsefulMirror(Vec<ArchiveFault>),
    /// The release file cannot be had.
    #[error(transparent)]
    NoRelease(FetchError),
    /// An index cannot be had.
    #[error(transparent)]
    NoIndexFile(FetchError),
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
    /// The suite has no index of source packages for the component.
    #[error("it has no source packages in the component {component}")]
    NoSources {
        /// The component.
        component: String,
    },
    /// A source package cannot be read.
    #[error("cannot read its source package {package}")]
    Source {
        /// The package.
        package: String,
        /// Why.
        source: FieldError,
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
        self.source.hint()
    }
}

impl ArchiveFault {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoMirror(_) => "name one with `--mirror`, or in matrix.toml",
            // The first one is that which is meant to be used.
            Self::NoUsefulMirror(faults) => return faults.first().and_then(Self::hint),
            Self::NoRelease(error) if error.is_not_found() => {
                "is the name of the suite right, and does the mirror have it?"
            }
            Self::NoRelease(error) | Self::NoIndexFile(error) => return error.hint(),
            Self::Signature { .. } => {
                "use another mirror; if the archive has keys of its own, name them as `keyring` of the distro in \
                 matrix.toml"
            }
            Self::Refused { source, .. } => source.hint(),
            Self::NoIndex { .. } => "look at the components and architectures of the suite",
            Self::Unpack { source, .. } => return source.store_error().and_then(StoreError::hint),
            Self::NoSources { .. } => "look at the components of the suite",
            Self::Release { .. } | Self::OtherIndex { .. } | Self::Index { .. } | Self::Source { .. } => {
                "use another mirror"
            }
            Self::Store(error) => return error.hint(),
        };
        Some(hint.to_owned())
    }

    /// Whether it is the machine's, so that no other mirror would make up for it.
    fn is_of_the_machine(&self) -> bool {
        match self {
            Self::Store(_) => true,
            Self::NoRelease(error) | Self::NoIndexFile(error) => {
                matches!(error, FetchError::Offline { .. } | FetchError::Store(_))
            }
            Self::Unpack { source, .. } => source.store_error().is_some(),
            _ => false,
        }
    }
}

/// Errors after one another in a sentence, each with what caused it.
struct Listed<'a>(&'a [ArchiveFault]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            write!(out, "{}{fault}", if index == 0 { "" } else { "; " })?;
            for cause in std::iter::successors(fault.source(), |error| (*error).source()) {
                write!(out, ": {cause}")?;
            }
        }
        Ok(())
    }
}

/// A suite in its folder on a mirror: its release file is signed, and one to rely on.
struct Verified {
    folder: String,
    release: Release,
    /// The digest of the release file, with its signature.
    digest: Digest,
}

/// An address as it may be shown: without the user and password that it may carry.
fn shown(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

impl Archive<'_> {
    /// Reads a suite for an architecture.
    ///
    /// # Errors
    /// When no mirror gives what a trusted key signed for.
    pub fn suite(&self, suite: &Suite, architecture: Architecture) -> Result<SuiteIndex, ArchiveError> {
        self.read_from_any(suite, |verified| {
            let components = suite.components.iter().map(|component| {
                let folder = format!("{component}/binary-{architecture}");
                let missing = || ArchiveFault::NoIndex { component: component.clone(), architecture };
                self.index(verified, &format!("{folder}/Packages"), missing)
            });
            Ok(SuiteIndex {
                suite: suite.clone(),
                date: verified.release.date,
                release: verified.digest,
                components: components.collect::<Result<_, _>>()?,
            })
        })
    }

    /// The source packages of that name in a suite.
    ///
    /// # Errors
    /// When no mirror gives what a trusted key signed for.
    pub fn sources(&self, suite: &Suite, package: &str) -> Result<SourceIndex, ArchiveError> {
        self.read_from_any(suite, |verified| {
            let mut tarballs = Vec::new();
            for component in &suite.components {
                let missing = || ArchiveFault::NoSources { component: component.clone() };
                let index = self.index(verified, &format!("{component}/source/Sources"), missing)?;
                let found = sources::tarballs(&index, package)
                    .map_err(|source| ArchiveFault::Source { package: package.to_owned(), source })?;
                tarballs.extend(found);
            }
            Ok(SourceIndex { date: verified.release.date, release: verified.digest, tarballs })
        })
    }

    /// Reads something of a suite from the first mirror that is of use.
    fn read_from_any<T>(
        &self,
        suite: &Suite,
        read: impl Fn(&Verified) -> Result<T, ArchiveFault>,
    ) -> Result<T, ArchiveError> {
        let mut faults = Vec::new();
        let error = |fault| ArchiveError { suite: suite.name.clone(), source: Box::new(fault) };
        for mirror in self.mirrors.iter().filter_map(|mirror| mirror.address(suite.archive)) {
            let folder = format!("{mirror}/dists/{}", suite.name);
            match self.verified(folder, suite).and_then(|verified| read(&verified)) {
                Ok(found) => return Ok(found),
                Err(fault) if fault.is_of_the_machine() => return Err(error(fault)),
                Err(fault) => faults.push(fault),
            }
        }
        Err(error(match (faults.len(), faults.pop()) {
            (_, None) => ArchiveFault::NoMirror(suite.archive),
            (1, Some(fault)) => fault,
            (_, Some(last)) => {
                faults.push(last);
                ArchiveFault::NoUsefulMirror(faults)
            }
        }))
    }

    /// A suite in its folder on one mirror, whose release file is to be relied on.
    fn verified(&self, folder: String, suite: &Suite) -> Result<Verified, ArchiveFault> {
        let address = format!("{folder}/InRelease");
        let bytes = self.client.fetch_bytes(&address, RELEASE_LIMIT).map_err(ArchiveFault::NoRelease)?;
        let release = self.release(shown(&address), &bytes, suite)?;
        Ok(Verified { folder, release, digest: Digest::of(&bytes) })
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

    /// One of a suite's indexes, `name` without an ending. The release file lists the index as it is unpacked, whether or
    /// not a mirror has that, and the packed forms that there are.
    fn index(
        &self,
        Verified { folder, release, .. }: &Verified,
        name: &str,
        missing: impl Fn() -> ArchiveFault,
    ) -> Result<Index, ArchiveFault> {
        let forms = [(".xz", Compression::Xz), (".gz", Compression::Gzip), ("", Compression::None)];
        let listed = |suffix: &str| release.file(&format!("{name}{suffix}"));
        let packed = forms.into_iter().find_map(|(suffix, form)| Some((suffix, form, listed(suffix)?)));
        let (Some(unpacked), Some((suffix, form, packed))) = (listed(""), packed) else {
            return Err(missing());
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
                let packed =
                    self.client.fetch(self.store, &download, &()).map_err(ArchiveFault::NoIndexFile)?;
                self.unpack(name.to_owned(), form, &packed, unpacked)?
            }
        };
        Index::parse(text.content().clone())
            .map_err(|source| ArchiveFault::Index { name: name.to_owned(), source })
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

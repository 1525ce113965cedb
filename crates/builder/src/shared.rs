//! A cache that several machines share: results in a repository of a registry, each under a tag that is made of its kind and
//! of the digest of what it was derived from.
//!
//! Shared are compiled Rubies, packed layers, and what is known of them: with these an image is put together from its
//! lock alone. Packages are not: they come from a mirror, by the digests of the lock, and are opened faster than fetched.
//! Outcomes of checks are not either: each machine sees for itself.

use std::io;

use cache::{Blob, Client, Derived, Elsewhere, Store};
use registry::{Entry, Hosts, Keychain, Progress, Registry, RegistryError, Session};
use schema::Digest;
use schema::reference::Repository;

use crate::{BuildError, Builder, assemble, compile, contents};

/// A cache in a repository.
#[derive(Debug)]
pub(crate) struct SharedCache {
    pub(crate) repository: Repository,
    pub(crate) client: Client,
    pub(crate) hosts: Hosts,
    pub(crate) keychain: Keychain,
    pub(crate) session: Session,
}

impl SharedCache {
    fn registry(&self) -> Registry<'_> {
        Registry::new(&self.client, &self.hosts, &self.keychain).in_session(&self.session)
    }
}

impl Elsewhere for SharedCache {
    fn has_kind(&self, kind: &str) -> bool {
        is_shared(kind)
    }

    fn bring(&self, store: &Store, kind: &'static str, key: &Digest) -> io::Result<Option<Blob>> {
        self.registry().entry(store, &self.repository, &tag(kind, key)).map_err(io::Error::other)
    }

    fn name(&self) -> String {
        self.repository.to_string()
    }
}

/// Whether results of a kind are shared.
pub(crate) fn is_shared(kind: &str) -> bool {
    kind == compile::INSTALLED
        || [contents::CONTENTS, contents::INVENTORY, contents::TAR].contains(&kind)
        || assemble::is_derivation(kind)
}

/// The tag of a result (OCI distribution specification, "Pulling manifests": letters, digits, `_`, `.` and `-`, no more
/// than 128).
fn tag(kind: &str, key: &Digest) -> String {
    format!("{kind}-{}", key.hex())
}

impl Builder {
    /// Puts the results that were used or made since the start into the shared cache, where it does not have them. Gives
    /// how many that were.
    ///
    /// # Errors
    /// A registry that cannot be reached or refuses them.
    pub fn share(&self, to: &Repository, progress: &dyn Progress) -> Result<usize, BuildError> {
        let entry = |Derived { kind, key, blob }: &Derived| -> Result<Option<Entry>, BuildError> {
            let blob = self.store.get(blob)?;
            Ok(blob.map(|blob| Entry { tag: tag(kind, key), blob }))
        };
        let used = self.store.used();
        let entries = used.iter().filter_map(|derived| entry(derived).transpose());
        let entries: Vec<Entry> = entries.collect::<Result<_, _>>()?;
        let registry = Registry::new(&self.client, &self.hosts, &self.options.keychain);
        let shared = registry.keep_entries(to, &entries, progress);
        shared.map_err(|source: RegistryError| BuildError::Shared { source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_has_a_tag() {
        let key = Digest::of(b"inputs");
        for kind in [compile::INSTALLED, contents::CONTENTS, contents::INVENTORY, contents::TAR]
            .into_iter()
            .chain(assemble::DERIVATIONS)
        {
            assert!(is_shared(kind), "{kind}");
            let tag = tag(kind, &key);
            let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            assert!(tag.len() <= 128 && tag.bytes().all(is_allowed), "{tag}");
        }
        assert!(!is_shared("check-outcomes") && !is_shared("deb-data"));
    }
}

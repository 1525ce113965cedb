//! What OpenSSL opens by name: its configuration, the certificates of its own folder, providers and engines. The folders
//! are those that the library was built with (`openssl version -a` prints them).

use super::Rule;
use crate::engine::{Answer, Strength, Visit};
use crate::scope::Scope;

pub(super) struct OpenSsl;

impl Rule for OpenSsl {
    fn name(&self) -> &'static str {
        "openssl"
    }

    fn apply(&self, scope: &Scope<'_>, visit: &Visit<'_>, answer: &mut Answer<'_>) {
        if !visit.is_first {
            return;
        }
        let Some(bytes) = visit.library(b"libcrypto.so.") else { return };
        for (name, folder) in folders(bytes) {
            let mut bring = |path: &str, because: &str, strength| {
                answer.text(path.as_bytes(), self.reason(visit, because), strength);
            };
            match name {
                Folder::Settings => {
                    bring(&format!("{folder}/openssl.cnf"), "configuration", Strength::Soft);
                    // HTTPS fails without it, even where the certificates are there.
                    bring(&format!("{folder}/certs"), "folder of certificates", scope.strength_for_ruby());
                    bring(&format!("{folder}/cert.pem"), "file of certificates", Strength::Soft);
                }
                Folder::Modules => {
                    answer.below(folder.as_bytes(), &self.reason(visit, "provider"), Strength::Soft);
                }
                Folder::Engines => {
                    answer.below(folder.as_bytes(), &self.reason(visit, "engine"), Strength::Soft);
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Folder {
    Settings,
    Modules,
    Engines,
}

/// The folders in texts like `OPENSSLDIR: "/usr/lib/ssl"`.
fn folders(bytes: &[u8]) -> Vec<(Folder, &str)> {
    const MIDDLE: &[u8] = b"DIR: \"";
    let read = |at: usize| {
        let (before, after) = (&bytes[..at], &bytes[at + MIDDLE.len()..]);
        let name =
            [("OPENSSL", Folder::Settings), ("MODULES", Folder::Modules), ("ENGINES", Folder::Engines)]
                .into_iter()
                .find(|(name, _)| before.ends_with(name.as_bytes()))?
                .1;
        let folder = std::str::from_utf8(&after[..memchr::memchr(b'"', after)?]).ok()?;
        folder.starts_with('/').then_some((name, folder))
    };
    memchr::memmem::find_iter(bytes, MIDDLE).filter_map(read).collect()
}

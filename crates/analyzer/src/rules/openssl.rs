//! What OpenSSL opens by name: its configuration, the certificates of its own folder, providers and engines. The folders
//! are those that the library was built with (`openssl version -a` prints them).

use super::Rule;
use crate::engine::{Answer, Strength, Visit};
use crate::scope::Scope;
use crate::search::resolve_text;

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
                    // HTTPS fails without the folder, even where the certificates are there.
                    let file = format!("{folder}/cert.pem");
                    let has_file = resolve_text(scope.tree, file.as_bytes()).is_some();
                    if has_file {
                        bring(&file, "file of certificates", Strength::Soft);
                        bring(&format!("{folder}/certs"), "folder of certificates", Strength::ForRuby);
                    } else {
                        // Then each certificate is found by its hash (openssl-rehash(1)).
                        let reason = self.reason(visit, "folder of certificates");
                        answer.data_below(format!("{folder}/certs").as_bytes(), &reason, Strength::ForRuby);
                    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{RBCONFIG, closure_of, tree};
    use testkit::elf::Elf;

    const VERSION_TEXTS: &str = "DIR: \"OPENSSLDIR: \"/usr/lib/ssl\"\0ENGINESDIR: \"/usr/lib/engines-3\"\0MODULESDIR: \"/usr/lib/ossl-modules\"\0DIR: \"";

    #[test]
    fn folders_are_read_from_the_library() {
        assert_eq!(
            folders(VERSION_TEXTS.as_bytes()),
            [
                (Folder::Settings, "/usr/lib/ssl"),
                (Folder::Engines, "/usr/lib/engines-3"),
                (Folder::Modules, "/usr/lib/ossl-modules"),
            ]
        );
        for text in ["OPENSSLDIR: \"/open", "OPENSSLDIR: \"relative\"", "OTHERDIR: \"/x\"", ""] {
            assert_eq!(folders(text.as_bytes()), [], "{text}");
        }
    }

    #[test]
    fn what_openssl_opens_by_name_comes_with_it() {
        let libcrypto = Elf::library("libcrypto.so.3").payload(VERSION_TEXTS).build();
        let tree = tree(&[
            ("/lib/libcrypto.so.3", libcrypto.as_slice()),
            ("/usr/lib/ssl/certs", b"-> /etc/ssl/certs"),
            ("/usr/lib/ssl/openssl.cnf", b"-> /etc/ssl/openssl.cnf"),
            ("/usr/lib/ssl/cert.pem", b"-> /etc/ssl/certs/ca-certificates.crt"),
            ("/usr/lib/ssl/private", b"-> /etc/ssl/private"),
            ("/etc/ssl/certs/", b""),
            ("/etc/ssl/openssl.cnf", b""),
            ("/usr/lib/ossl-modules/legacy.so", b""),
        ]);
        let found = closure_of(&tree, &["/lib/libcrypto.so.3"]);
        let paths: Vec<_> = found
            .iter()
            .filter(|line| line.ends_with(" of /lib/libcrypto.so.3"))
            .filter_map(|line| line.split_once(": "))
            .filter(|(_, reason)| !reason.starts_with("folder of /"))
            .collect();
        assert_eq!(
            paths,
            [
                ("/etc/ssl/certs", "folder of certificates of /lib/libcrypto.so.3"),
                ("/etc/ssl/openssl.cnf", "configuration of /lib/libcrypto.so.3"),
                ("/usr/lib/ossl-modules", "provider of /lib/libcrypto.so.3"),
                ("/usr/lib/ossl-modules/legacy.so", "provider of /lib/libcrypto.so.3"),
                ("/usr/lib/ssl/certs", "folder of certificates of /lib/libcrypto.so.3"),
                ("/usr/lib/ssl/openssl.cnf", "configuration of /lib/libcrypto.so.3"),
            ]
        );
        assert!(!found.iter().any(|line| line.starts_with("! ")), "{found:?}");
    }

    #[test]
    fn without_a_file_of_certificates_each_is_found_by_its_hash() {
        let libcrypto = Elf::library("libcrypto.so.3").payload(VERSION_TEXTS).build();
        let listing = |more: &[(&'static str, Vec<u8>)]| {
            let files = [
                ("/lib/libcrypto.so.3", libcrypto.clone()),
                ("/usr/lib/ssl/certs", b"-> /etc/ssl/certs".to_vec()),
                ("/etc/ssl/certs/0a1b2c3d.0", b"-> /usr/share/ca-certificates/a.crt".to_vec()),
                ("/usr/share/ca-certificates/a.crt", Vec::new()),
            ];
            closure_of(&tree(&[&files[..], more].concat()), &["/lib/libcrypto.so.3"])
        };
        let line = "/usr/share/ca-certificates/a.crt: link target of /etc/ssl/certs/0a1b2c3d.0".to_owned();
        assert!(listing(&[]).contains(&line));
        assert!(!listing(&[("/usr/lib/ssl/cert.pem", Vec::new())]).contains(&line));
    }

    #[test]
    fn a_ruby_needs_the_folder_of_certificates() {
        let libcrypto = Elf::library("libcrypto.so.3").payload(VERSION_TEXTS).build();
        let tree = tree(&[("/lib/libcrypto.so.3", libcrypto), (RBCONFIG.0, RBCONFIG.1.into())]);
        let found = closure_of(&tree, &["/lib/libcrypto.so.3", RBCONFIG.0]);
        let wanted = "! /lib/libcrypto.so.3: cannot find /usr/lib/ssl/certs, its folder of certificates";
        assert_eq!(found.last().map(String::as_str), Some(wanted));
    }
}

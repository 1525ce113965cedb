//! A library for TLS needs the certificates of the authorities that it trusts, as one file.

use super::Rule;
use crate::engine::{Answer, Strength, Visit};
use crate::scope::Scope;
use crate::search::resolve_text;

/// Where distributions keep the bundle: Debian and Alpine, then Fedora.
const BUNDLES: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

pub(super) struct Certificates;

impl Rule for Certificates {
    fn name(&self) -> &'static str {
        "certificates"
    }

    fn apply(&self, scope: &Scope<'_>, visit: &Visit<'_>, answer: &mut Answer<'_>) {
        if visit.is_first && visit.library(b"libssl.so.").is_some() {
            let is_there = |path: &&str| resolve_text(scope.tree, path.as_bytes()).is_some();
            let bundle = BUNDLES.into_iter().find(is_there).unwrap_or(BUNDLES[0]);
            let reason = self.reason(visit, "certificates of authorities");
            answer.text(bundle.as_bytes(), reason, Strength::ForRuby);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{RBCONFIG, closure_of, tree};
    use testkit::elf::Elf;

    #[test]
    fn the_bundle_comes_with_libssl() {
        let libssl = || ("/lib/libssl.so.3", Elf::library("libssl.so.3").build());
        for bundle in BUNDLES {
            let found = closure_of(&tree(&[libssl(), (bundle, Vec::new())]), &["/lib/libssl.so.3"]);
            assert!(found.contains(&format!("{bundle}: certificates of authorities of /lib/libssl.so.3")));
        }
        let without = tree(&[libssl(), (RBCONFIG.0, RBCONFIG.1.into())]);
        let wanted = "! /lib/libssl.so.3: cannot find /etc/ssl/certs/ca-certificates.crt, its certificates of authorities";
        for (roots, finding) in [
            (&["/lib/libssl.so.3"][..], None),
            (&["/lib/libssl.so.3", RBCONFIG.0], Some(wanted)),
            (&[RBCONFIG.0, "/lib/libssl.so.3"], Some(wanted)),
        ] {
            let found = closure_of(&without, roots);
            assert_eq!(found.iter().map(String::as_str).find(|line| line.starts_with("! ")), finding);
        }
    }
}

//! A library for TLS needs the certificates of the authorities that it trusts, as one file.

use super::Rule;
use crate::engine::{Answer, Visit};
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
            answer.text(bundle.as_bytes(), reason, scope.strength_for_ruby());
        }
    }
}

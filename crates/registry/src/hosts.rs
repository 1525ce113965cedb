//! Where registries are: over TLS at the host of their name, unless it is loopback or somebody says otherwise; and the
//! mirrors that are asked first.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use schema::reference::{DOCKER_HUB, Repository};

/// Where Docker Hub's registry really is.
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";

/// How registries are reached. By default each at its own host, over TLS but on loopback.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    plain: BTreeSet<String>,
    mirrors: BTreeMap<String, Vec<Endpoint>>,
}

/// The address of a mirror is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{address}` is no mirror of a registry: expected a host, as `mirror.example:5000` or `https://mirror.example/hub`"
)]
pub struct HostError {
    /// As it was given.
    pub address: String,
}

/// Where the API of a registry is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Endpoint {
    /// Scheme and host: `https://registry-1.docker.io`.
    pub(crate) origin: String,
    /// The host that credentials are kept under: `docker.io`.
    pub(crate) name: String,
    /// What stands before repositories on a mirror; with a slash at its end, or empty.
    prefix: String,
}

impl Hosts {
    /// Reaches this host, with its port where it has one, without TLS.
    #[must_use]
    pub fn plain_http(mut self, host: &str) -> Self {
        self.plain.insert(host.to_owned());
        self
    }

    /// Asks a mirror before the registry of this name, and after its other mirrors, when something is pulled. What it
    /// says of tags is believed.
    ///
    /// # Errors
    /// An address that is none.
    pub fn mirror(mut self, registry: &str, address: &str) -> Result<Self, HostError> {
        let wrong = || HostError { address: address.to_owned() };
        let (scheme, rest) = match address.split_once("://") {
            Some((scheme @ ("http" | "https"), rest)) => (Some(scheme), rest),
            Some(_) => return Err(wrong()),
            None => (None, address),
        };
        let rest = rest.trim_end_matches('/');
        // A repository on it shows whether host and prefix are what they should be.
        let example: Repository = format!("{rest}/a").parse().map_err(|_| wrong())?;
        let host = rest.split('/').next().unwrap_or_default();
        if example.registry() != host && host != DOCKER_HUB_HOST {
            return Err(wrong());
        }
        let scheme = scheme.unwrap_or_else(|| self.scheme(host));
        let prefix = rest.strip_prefix(host).unwrap_or_default().trim_start_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let endpoint = Endpoint { origin: format!("{scheme}://{host}"), name: host.to_owned(), prefix };
        self.mirrors.entry(registry.to_owned()).or_default().push(endpoint);
        Ok(self)
    }

    /// The registry itself.
    pub(crate) fn endpoint(&self, registry: &str) -> Endpoint {
        let host = if registry == DOCKER_HUB { DOCKER_HUB_HOST } else { registry };
        let scheme = self.scheme(registry);
        Endpoint { origin: format!("{scheme}://{host}"), name: registry.to_owned(), prefix: String::new() }
    }

    /// Where something is looked for: at mirrors, and at last at the registry itself.
    pub(crate) fn endpoints(&self, registry: &str) -> Vec<Endpoint> {
        let mirrors = self.mirrors.get(registry).into_iter().flatten().cloned();
        mirrors.chain([self.endpoint(registry)]).collect()
    }

    fn scheme(&self, host: &str) -> &'static str {
        if self.plain.contains(host) || is_loopback(host) { "http" } else { "https" }
    }
}

impl Endpoint {
    /// The address of something in a repository: `manifests/latest`.
    pub(crate) fn url(&self, repository: &str, rest: &str) -> String {
        format!("{}/v2/{}{repository}/{rest}", self.origin, self.prefix)
    }

    /// Whether an address is one of the registry itself.
    pub(crate) fn has(&self, url: &str) -> bool {
        cache::same_origin(&self.origin, url)
    }

    /// What a repository is called here.
    pub(crate) fn repository(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }
}

/// Whether a host is this machine, by its name alone.
fn is_loopback(host: &str) -> bool {
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    bare == "localhost"
        || bare.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || bare.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_registry_has_its_address() {
        let hosts = Hosts::default().plain_http("registry.internal:5000");
        for (registry, origin) in [
            ("docker.io", "https://registry-1.docker.io"),
            ("ghcr.io", "https://ghcr.io"),
            ("registry.internal:5000", "http://registry.internal:5000"),
            ("registry.internal", "https://registry.internal"),
            ("localhost:5000", "http://localhost:5000"),
            ("127.8.0.1", "http://127.8.0.1"),
            ("[::1]:5000", "http://[::1]:5000"),
            ("localhost.example", "https://localhost.example"),
        ] {
            assert_eq!(hosts.endpoint(registry).origin, origin);
        }
    }

    #[test]
    fn mirrors_come_first_in_their_order() {
        let hosts = Hosts::default()
            .mirror("docker.io", "mirror.example/hub")
            .and_then(|hosts| hosts.mirror("docker.io", "http://other.example:5000/"))
            .unwrap();
        let urls = |registry: &str| -> Vec<String> {
            hosts.endpoints(registry).iter().map(|endpoint| endpoint.url("library/ruby", "x")).collect()
        };
        assert_eq!(
            urls("docker.io"),
            [
                "https://mirror.example/v2/hub/library/ruby/x",
                "http://other.example:5000/v2/library/ruby/x",
                "https://registry-1.docker.io/v2/library/ruby/x",
            ]
        );
        assert_eq!(urls("ghcr.io"), ["https://ghcr.io/v2/library/ruby/x"]);
        for wrong in ["", "ftp://mirror.example", "mirror", "mirror.example/A", "mirror.example?x", "http://"]
        {
            let error = Hosts::default().mirror("docker.io", wrong).unwrap_err();
            assert!(error.to_string().contains("is no mirror of a registry"), "{wrong}");
        }
    }
}

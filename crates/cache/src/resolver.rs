//! Names of hosts, resolved once and remembered for a while.
//!
//! ureq asks for every request, and each question has its chance of a lost packet, which costs five seconds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::proxy::{Proxies, Route};

/// How long an answer is remembered: long enough for a burst of downloads, short enough for a host that moves.
const LIFETIME: Duration = Duration::from_mins(1);

/// Remembers what another resolver answers, and asks it twice before it gives up.
#[derive(Debug)]
pub(crate) struct CachingResolver<R = DefaultResolver> {
    inner: R,
    proxies: Arc<Proxies>,
    lifetime: Duration,
    answers: Mutex<BTreeMap<String, (Instant, ResolvedSocketAddrs)>>,
}

impl CachingResolver {
    pub(crate) fn new(proxies: Arc<Proxies>) -> Self {
        Self { inner: DefaultResolver::default(), proxies, lifetime: LIFETIME, answers: Mutex::default() }
    }
}

impl<R: Resolver> CachingResolver<R> {
    fn remembered(&self, key: &str) -> Option<ResolvedSocketAddrs> {
        let answers = self.answers.lock().ok()?;
        let (since, addresses) = answers.get(key)?;
        (since.elapsed() < self.lifetime).then(|| addresses.clone())
    }
}

impl<R: Resolver> Resolver for CachingResolver<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        // A forwarding proxy is connected to in place of the host.
        let uri = match self.proxies.route(uri) {
            Route::Forward(proxy) => proxy.uri(),
            Route::Direct | Route::Tunnel(_) => uri,
        };
        let key = format!("{:?}://{:?}:{:?}", uri.scheme_str(), uri.host(), uri.port_u16());
        if let Some(addresses) = self.remembered(&key) {
            return Ok(addresses);
        }
        let addresses = match self.inner.resolve(uri, config, timeout) {
            // A reply that got lost looks like a name that does not exist.
            Err(ureq::Error::Io(_) | ureq::Error::HostNotFound) => {
                self.inner.resolve(uri, config, timeout)?
            }
            other => other?,
        };
        if let Ok(mut answers) = self.answers.lock() {
            answers.insert(key, (Instant::now(), addresses.clone()));
        }
        Ok(addresses)
    }
}

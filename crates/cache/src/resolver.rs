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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::client::Options;

    /// Fails that many times at first, and counts the questions.
    #[derive(Debug, Default)]
    struct Scripted {
        failures: usize,
        questions: Arc<AtomicUsize>,
    }

    impl Resolver for Scripted {
        fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
            if self.questions.fetch_add(1, Ordering::SeqCst) < self.failures {
                return Err(ureq::Error::HostNotFound);
            }
            let mut addresses = self.empty();
            addresses.push(([127, 0, 0, 1], uri.port_u16().unwrap_or(80)).into());
            Ok(addresses)
        }
    }

    fn resolver(failures: usize, options: &Options) -> (CachingResolver<Scripted>, Arc<AtomicUsize>) {
        let inner = Scripted { failures, ..Scripted::default() };
        let questions = Arc::clone(&inner.questions);
        let proxies = Arc::new(Proxies::new(options).unwrap());
        (CachingResolver { inner, proxies, lifetime: LIFETIME, answers: Mutex::default() }, questions)
    }

    fn ask(resolver: &CachingResolver<Scripted>, uri: &str) -> Result<u16, ureq::Error> {
        let uri = uri.parse().unwrap();
        resolver
            .resolve(&uri, &Config::default(), NextTimeout::default())
            .map(|addresses| addresses[0].port())
    }

    #[test]
    fn an_answer_is_remembered_for_its_host_and_port() {
        let (resolver, questions) = resolver(0, &Options::default());
        for (uri, port, asked) in [
            ("http://host/a", 80, 1),
            ("http://host/b", 80, 1),
            ("http://host:8080/b", 8080, 2),
            ("http://other/a", 80, 3),
            ("http://host/a", 80, 3),
        ] {
            assert_eq!(ask(&resolver, uri).unwrap(), port);
            assert_eq!(questions.load(Ordering::SeqCst), asked, "{uri}");
        }
    }

    #[test]
    fn an_answer_is_not_remembered_for_ever() {
        let (mut resolver, questions) = resolver(0, &Options::default());
        resolver.lifetime = Duration::ZERO;
        for _ in 0..3 {
            ask(&resolver, "http://host/").unwrap();
        }
        assert_eq!(questions.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn a_failure_is_asked_again_and_not_remembered() {
        let (resolver, questions) = resolver(3, &Options::default());
        assert!(matches!(ask(&resolver, "http://host/"), Err(ureq::Error::HostNotFound)));
        assert_eq!(questions.load(Ordering::SeqCst), 2);
        assert!(ask(&resolver, "http://host/").is_ok());
        assert_eq!(questions.load(Ordering::SeqCst), 4);
    }

    #[test]
    fn the_host_behind_a_forwarding_proxy_is_not_asked_for() {
        let options = Options {
            http_proxy: Some("http://proxy:3128".into()),
            no_proxy: vec!["near".into()],
            ..Options::default()
        };
        let (resolver, _) = resolver(0, &options);
        assert_eq!(ask(&resolver, "http://host/").unwrap(), 3128);
        assert_eq!(ask(&resolver, "http://near/").unwrap(), 80);
        assert_eq!(ask(&resolver, "https://host/").unwrap(), 80, "no proxy is set for these");
    }
}

//! Names of hosts, resolved once and remembered for a while.
//!
//! ureq asks for every request, and each question has its chance of a lost packet, which the system's resolver notices
//! after five seconds. Here the answer is remembered, and a question that stays open is soon asked anew.

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

/// How long the first questions stay open. The last one has all the time that the request has.
const PATIENCE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// Remembers what another resolver answers, and asks it three times before it gives up.
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
        let mut patience = PATIENCE.into_iter();
        let addresses = loop {
            let limit = patience.next();
            let after = limit.map_or(timeout.after, |limit| limit.min(*timeout.after).into());
            match self.inner.resolve(uri, config, NextTimeout { after, ..timeout }) {
                // A reply that got lost may look like a name that does not exist.
                Err(ureq::Error::Io(_) | ureq::Error::HostNotFound | ureq::Error::Timeout(_))
                    if limit.is_some() => {}
                other => break other?,
            }
            // Meanwhile another request may have learned it.
            if let Some(addresses) = self.remembered(&key) {
                return Ok(addresses);
            }
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

    /// Fails that many times at first, in different ways, and counts the questions.
    #[derive(Debug, Default)]
    struct Scripted {
        failures: usize,
        questions: Arc<AtomicUsize>,
    }

    impl Resolver for Scripted {
        fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
            let question = self.questions.fetch_add(1, Ordering::SeqCst);
            if question < self.failures {
                return Err(match question % 2 {
                    0 => ureq::Error::Timeout(ureq::Timeout::Resolve),
                    _ => ureq::Error::HostNotFound,
                });
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
    fn what_fails_is_asked_again_but_not_for_ever() {
        for (failures, asked) in [(0, 1), (1, 2), (2, 3)] {
            let (resolver, questions) = resolver(failures, &Options::default());
            assert!(ask(&resolver, "http://host/").is_ok());
            assert_eq!(questions.load(Ordering::SeqCst), asked);
        }
        let (resolver, questions) = resolver(4, &Options::default());
        assert!(matches!(ask(&resolver, "http://host/"), Err(ureq::Error::Timeout(_))));
        assert_eq!(questions.load(Ordering::SeqCst), 3);
        assert!(ask(&resolver, "http://host/").is_ok(), "a failure is not remembered");
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

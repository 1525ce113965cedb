//! The client: addresses in turn, attempts at each, and the blob at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use schema::Digest;
use ureq::Agent;
use ureq::unversioned::transport::{Connector, DefaultConnector};

use crate::blob::Blob;
use crate::fault::{Failure, Fault, FetchError, shown};
use crate::proxy::{Forwarding, Proxies, ProxyError};
use crate::resolver::CachingResolver;
use crate::store::{Store, StoreError};
use crate::transfer::Target;

/// A server's `Retry-After` is heeded up to here; who asks for more is not asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How a client connects. The default connects directly, with the default [`Limits`].
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The proxy for `http` addresses, as `http://user:password@host:port`. An empty text is none.
    pub http_proxy: Option<String>,
    /// The proxy for `https` addresses.
    pub https_proxy: Option<String>,
    /// Hosts that no proxy is used for, each with those below it; `*` for all.
    pub no_proxy: Vec<String>,
    /// Never connect: everything must be in the store.
    pub offline: bool,
    /// Time limits and retries.
    pub limits: Limits,
}

/// How long things may take, and how often they are tried.
#[derive(Debug, Clone)]
pub struct Limits {
    /// For resolving the host's name, and again for connecting.
    pub connect: Duration,
    /// For the next bytes to come.
    pub inactivity: Duration,
    /// For one attempt as a whole: this long, and longer by the time that the bytes need at `slowest`.
    pub attempt: Duration,
    /// The least rate that is borne, in bytes a second.
    pub slowest: u64,
    /// How often an address is tried when the faults are passing ones.
    pub attempts: u32,
    /// The pause before the second attempt; before each further one it is twice as long.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            inactivity: Duration::from_secs(30),
            attempt: Duration::from_mins(1),
            slowest: 16 * 1024,
            attempts: 4,
            pause: Duration::from_millis(500),
        }
    }
}

impl Limits {
    /// How long one attempt at `size` bytes may take.
    pub(crate) fn whole(&self, size: u64) -> Duration {
        self.attempt.saturating_add(Duration::from_secs(size / self.slowest.max(1)))
    }

    /// The pause after that many attempts, the last of which ended in `fault`.
    fn pause_after(&self, attempts: u32, fault: &Fault) -> Duration {
        let doubled = self.pause.saturating_mul(1 << attempts.saturating_sub(1).min(6));
        doubled.max(fault.wait()).min(LONGEST_PAUSE)
    }
}

/// Something to download.
#[derive(Debug, Clone)]
pub struct Download {
    /// Where it may be had, the best address first.
    pub urls: Vec<String>,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub digest: Digest,
}

/// Hears how a download goes on.
///
/// The counts of one download never go back, whatever is tried again, and add up to its size when it succeeds: also
/// when it was in the store.
pub trait Progress: Sync {
    /// `count` more bytes are there.
    fn bytes(&self, count: u64);
}

/// Does not care.
impl Progress for () {
    fn bytes(&self, _: u64) {}
}

/// Speaks HTTP. One client serves any number of threads and keeps connections for the next request.
#[derive(Debug)]
pub struct Client {
    pub(crate) agent: Agent,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) limits: Limits,
    offline: bool,
}

/// Why an attempt ended: a fault of that address, or the end of everything.
pub(crate) enum Stop {
    Fault(Fault),
    Store(StoreError),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Client {
    /// A client.
    ///
    /// # Errors
    /// When the address of a proxy is none.
    pub fn new(options: Options) -> Result<Self, ProxyError> {
        let proxies = Arc::new(Proxies::new(&options)?);
        let Options { offline, limits, .. } = options;
        let config = Agent::config_builder()
            .user_agent(concat!("distroless-ruby/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections_per_host(8)
            .proxy(None)
            .timeout_resolve(Some(limits.connect))
            .timeout_connect(Some(limits.connect))
            .timeout_per_read(Some(limits.inactivity))
            .timeout_per_write(Some(limits.inactivity))
            // The certificates that the machine trusts, among them those of a company's proxy.
            .tls_config(
                ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::PlatformVerifier).build(),
            )
            .build();
        let connector = DefaultConnector::new().chain(Forwarding(Arc::clone(&proxies)));
        let agent = Agent::with_parts(config, connector, CachingResolver::new(Arc::clone(&proxies)));
        Ok(Self { agent, proxies, limits, offline })
    }

    /// Fetches a blob into the store, unless it is there.
    ///
    /// Threads and processes that want the same blob at once wait for the first. What an interrupted download left is
    /// continued. The blob has the size and the digest wanted, or there is none.
    ///
    /// # Errors
    /// When no address gives the right bytes, or the store fails. The next address is tried after any fault but one of
    /// the store.
    pub fn fetch(
        &self,
        store: &Store,
        download: &Download,
        progress: &dyn Progress,
    ) -> Result<Blob, FetchError> {
        self.fetch_as(None, store, download, progress)
    }

    /// As [`Self::fetch`], with this value of `Authorization`. No other server than those of the addresses is told it,
    /// wherever they redirect to.
    ///
    /// # Errors
    /// Those of [`Self::fetch`].
    pub fn fetch_as(
        &self,
        authorization: Option<&str>,
        store: &Store,
        download: &Download,
        progress: &dyn Progress,
    ) -> Result<Blob, FetchError> {
        let progress = HighWater { progress, size: download.size, reached: AtomicU64::new(0) };
        let found = |blob| {
            progress.reach(download.size);
            Ok(blob)
        };
        if let Some(blob) = store.get(&download.digest)? {
            return found(blob);
        }
        let Some(first) = download.urls.first() else {
            return Err(FetchError::NoAddress { digest: download.digest });
        };
        if self.offline {
            return Err(FetchError::Offline { address: shown(first) });
        }
        let lock = store.lock(&format!("fetch-{}", download.digest.hex()))?;
        if let Some(blob) = store.get(&download.digest)? {
            return found(blob);
        }
        let mut partial = store.partial(download.digest, lock)?;
        self.try_each(&download.urls, |url| {
            self.transfer(Target { url, authorization }, download, &mut partial, &progress)
        })?;
        Ok(partial.finish()?)
    }

    /// Fetches a document of at most `limit` bytes, unverified, into memory.
    ///
    /// # Errors
    /// When the address does not give it.
    pub fn fetch_bytes(&self, url: &str, limit: u64) -> Result<Vec<u8>, FetchError> {
        if self.offline {
            return Err(FetchError::Offline { address: shown(url) });
        }
        self.try_each(&[url.to_owned()], |url| self.read_whole(url, limit))
    }

    /// Lets `attempt` try until it succeeds, with pauses between; at most as often as the client's limits say, and once
    /// where the fault is a lasting one. `address` is told in the failure.
    ///
    /// # Errors
    /// The last fault.
    pub fn attempts<T>(
        &self,
        address: &str,
        mut attempt: impl FnMut() -> Result<T, Fault>,
    ) -> Result<T, Failure> {
        match self.try_one(address, &mut |_| attempt().map_err(Stop::Fault)) {
            Ok(outcome) => outcome,
            Err(_) => unreachable!("only an attempt uses the store, and this one has none"),
        }
    }

    /// Whether it may connect at all.
    pub const fn is_offline(&self) -> bool {
        self.offline
    }

    /// The first success. Passing faults are given another chance at the same address, others only at the next.
    fn try_each<T>(
        &self,
        urls: &[String],
        mut attempt: impl FnMut(&str) -> Result<T, Stop>,
    ) -> Result<T, FetchError> {
        let mut failures = Vec::new();
        for url in urls {
            match self.try_one(url, &mut attempt)? {
                Ok(success) => return Ok(success),
                Err(failure) => failures.push(failure),
            }
        }
        if failures.iter().all(|failure| matches!(failure.fault, Fault::NotFound)) {
            return Err(FetchError::NotFound {
                addresses: failures.into_iter().map(|one| one.address).collect(),
            });
        }
        Err(FetchError::Failed { failures })
    }

    fn try_one<T>(
        &self,
        url: &str,
        attempt: &mut impl FnMut(&str) -> Result<T, Stop>,
    ) -> Result<Result<T, Failure>, StoreError> {
        let mut attempts = 1;
        loop {
            let fault = match attempt(url) {
                Ok(success) => return Ok(Ok(success)),
                Err(Stop::Store(error)) => return Err(error),
                Err(Stop::Fault(fault)) => fault,
            };
            if attempts >= self.limits.attempts || !fault.is_passing() || fault.wait() > LONGEST_PAUSE {
                return Ok(Err(Failure { address: shown(url), attempts, fault }));
            }
            thread::sleep(self.limits.pause_after(attempts, &fault));
            attempts += 1;
        }
    }
}

/// Turns how far a download got, which may go back, into counts that do not.
pub(crate) struct HighWater<'a> {
    progress: &'a dyn Progress,
    size: u64,
    reached: AtomicU64,
}

impl HighWater<'_> {
    pub(crate) fn reach(&self, length: u64) {
        let length = length.min(self.size);
        let before = self.reached.fetch_max(length, Ordering::Relaxed);
        if length > before {
            self.progress.bytes(length - before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_heed_the_server_and_end() {
        let limits = Limits::default();
        let pauses =
            |fault: Fault| [1, 2, 3, 40].map(|attempts| limits.pause_after(attempts, &fault).as_millis());
        assert_eq!(pauses(Fault::Short { expected: 2, received: 1 }), [500, 1000, 2000, 30_000]);
        let busy = |seconds| Fault::Status { status: 503, retry_after: Some(Duration::from_secs(seconds)) };
        assert_eq!(pauses(busy(1)), [1000, 1000, 2000, 30_000]);
        assert_eq!(pauses(busy(u64::MAX)), [30_000; 4]);
    }

    #[test]
    fn a_large_file_may_take_longer() {
        let limits = Limits::default();
        assert_eq!(limits.whole(0), Duration::from_mins(1));
        assert_eq!(limits.whole(16 * 1024 * 100), Duration::from_secs(160));
        assert!(Limits { slowest: 0, ..limits }.whole(u64::MAX) > Duration::from_hours(1));
    }
}

//! Proxies: which one a request goes through, and how.
//!
//! An `https` address goes through a tunnel (`CONNECT`), which ureq makes. For an `http` address ureq would make one
//! too, but many proxies allow tunnels to port 443 alone, and one that caches packages has nothing to cache in a tunnel.
//! So such a request is sent to the proxy itself, with the whole address as its target (RFC 9112, section 3.2.2).

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ureq::http::Uri;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, Either, NextTimeout, Transport};
use ureq::{Proxy, ProxyProtocol};

use crate::client::Options;
use crate::fault::shown;

/// The address of a proxy is none.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the proxy `{address}`: expected an address such as `http://proxy.example:3128`")]
pub struct ProxyError {
    /// The address, without a password.
    pub address: String,
}

/// The proxies of a client.
#[derive(Debug)]
pub(crate) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
}

/// How a request gets to its address.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Route<'a> {
    Direct,
    Tunnel(&'a Proxy),
    Forward(&'a Proxy),
}

impl Proxies {
    pub(crate) fn new(options: &Options) -> Result<Self, ProxyError> {
        let proxy = |address: &Option<String>| match address.as_deref() {
            None | Some("") => Ok(None),
            Some(address) => parse(address, &options.no_proxy).map(Some),
        };
        Ok(Self { http: proxy(&options.http_proxy)?, https: proxy(&options.https_proxy)? })
    }

    pub(crate) fn route(&self, uri: &Uri) -> Route<'_> {
        let protected = uri.scheme_str() == Some("https");
        let proxy = if protected { &self.https } else { &self.http };
        match proxy {
            Some(proxy) if proxy.is_no_proxy(uri) => Route::Direct,
            // A proxy that is itself reached over TLS is rare enough for ureq's way.
            Some(proxy) if protected || proxy.protocol() == ProxyProtocol::Https => Route::Tunnel(proxy),
            Some(proxy) => Route::Forward(proxy),
            None => Route::Direct,
        }
    }
}

/// The value of `Proxy-Authorization`, if the proxy's address has a user or a password (RFC 7617).
pub(crate) fn authorization(proxy: &Proxy) -> Option<String> {
    let (user, password) = (proxy.username(), proxy.password());
    user.or(password)?;
    let pair = format!("{}:{}", user.unwrap_or_default(), password.unwrap_or_default());
    Some(format!("Basic {}", BASE64_STANDARD.encode(pair)))
}

fn parse(address: &str, no_proxy: &[String]) -> Result<Proxy, ProxyError> {
    let wrong = |_| ProxyError { address: shown(address) };
    let plain = Proxy::new(address).map_err(wrong)?;
    if !matches!(plain.protocol(), ProxyProtocol::Http | ProxyProtocol::Https) {
        return Err(wrong(ureq::Error::InvalidProxyUrl));
    }
    let mut builder = Proxy::builder(plain.protocol()).host(plain.host()).port(plain.port());
    if let Some(user) = plain.username() {
        builder = builder.username(user);
    }
    if let Some(password) = plain.password() {
        builder = builder.password(password);
    }
    for host in no_proxy {
        builder = builder.no_proxy(host);
    }
    builder.build().map_err(wrong)
}

/// Makes the connections that lead to a forwarding proxy write the requests that one expects.
#[derive(Debug)]
pub(crate) struct Forwarding(pub(crate) Arc<Proxies>);

impl<In: Transport> Connector<In> for Forwarding {
    type Out = Either<In, AbsoluteForm<In>>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        Ok(chained.map(|transport| match (self.0.route(details.uri), details.uri.authority()) {
            (Route::Forward(_), Some(authority)) => {
                // What user and password an address carries is not the proxy's to know.
                let host = authority.as_str().rsplit('@').next().unwrap_or_default();
                Either::B(AbsoluteForm { transport, prefix: format!("http://{host}").into_bytes() })
            }
            _ => Either::A(transport),
        }))
    }
}

/// A connection on which `GET /path` becomes `GET http://host/path`.
#[derive(Debug)]
pub(crate) struct AbsoluteForm<T> {
    transport: T,
    prefix: Vec<u8>,
}

impl<T: Transport> Transport for AbsoluteForm<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let output = self.transport.buffers().output();
        let longer = insert_prefix(output, amount, &self.prefix);
        self.transport.transmit_output(longer, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.transport.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.transport.is_open()
    }

    fn is_tls(&self) -> bool {
        self.transport.is_tls()
    }
}

/// Puts `prefix` before the target of the request in the first `amount` bytes, and says how many there are then.
///
/// Requests here have no body, so what starts with a method is the head, and the buffer is far longer than one.
fn insert_prefix(output: &mut [u8], amount: usize, prefix: &[u8]) -> usize {
    const METHOD: &[u8] = b"GET ";
    let longer = amount + prefix.len();
    if longer > output.len() || !output[..amount].starts_with(b"GET /") {
        return amount;
    }
    output.copy_within(METHOD.len()..amount, METHOD.len() + prefix.len());
    output[METHOD.len()..METHOD.len() + prefix.len()].copy_from_slice(prefix);
    longer
}

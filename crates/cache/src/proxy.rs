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
        // ureq takes a name for that host alone and a leading dot for those below it; elsewhere either means both.
        match host.trim() {
            "*" => builder = builder.no_proxy("*"),
            name => {
                let name = name.trim_start_matches("*.").trim_start_matches('.');
                if !name.is_empty() {
                    builder = builder.no_proxy(name).no_proxy(&format!(".{name}"));
                }
            }
        }
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
                let prefix = format!("http://{host}").into_bytes();
                Either::B(AbsoluteForm { transport, prefix, at_head: true })
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
    /// Nothing of the next request was sent yet: what comes is its head, and not a body that may look like one.
    at_head: bool,
}

impl<T: Transport> Transport for AbsoluteForm<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let mut longer = amount;
        if std::mem::take(&mut self.at_head) {
            longer = insert_prefix(self.transport.buffers().output(), amount, &self.prefix);
        }
        self.transport.transmit_output(longer, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        // The answer to the request before.
        self.at_head = true;
        self.transport.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.transport.is_open()
    }

    fn is_tls(&self) -> bool {
        self.transport.is_tls()
    }
}

/// Puts `prefix` before the target of the request whose head is in the first `amount` bytes, and says how many there are
/// then. The buffer is far longer than any head.
fn insert_prefix(output: &mut [u8], amount: usize, prefix: &[u8]) -> usize {
    let longer = amount + prefix.len();
    let method = output[..amount].iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    if method == 0 || longer > output.len() || !output[method..amount].starts_with(b" /") {
        return amount;
    }
    let target = method + 1;
    output.copy_within(target..amount, target + prefix.len());
    output[target..target + prefix.len()].copy_from_slice(prefix);
    longer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(http: &str, https: &str, no_proxy: &[&str]) -> Proxies {
        let options = Options {
            http_proxy: Some(http.into()),
            https_proxy: Some(https.into()),
            no_proxy: no_proxy.iter().map(|host| (*host).to_owned()).collect(),
            ..Options::default()
        };
        Proxies::new(&options).unwrap()
    }

    fn route(proxies: &Proxies, address: &str) -> String {
        match proxies.route(&address.parse().unwrap()) {
            Route::Direct => "direct".into(),
            Route::Tunnel(proxy) => format!("tunnel {}:{}", proxy.host(), proxy.port()),
            Route::Forward(proxy) => format!("forward {}:{}", proxy.host(), proxy.port()),
        }
    }

    #[test]
    fn each_scheme_has_its_route() {
        let both = proxies("http://one:3128", "http://two", &[]);
        assert_eq!(route(&both, "http://host/"), "forward one:3128");
        assert_eq!(route(&both, "https://host/"), "tunnel two:80");
        let protected = proxies("https://one:3128", "", &[]);
        assert_eq!(route(&protected, "http://host/"), "tunnel one:3128");
        assert_eq!(route(&protected, "https://host/"), "direct");
        assert_eq!(route(&proxies("one:3128", "", &[]), "http://host/"), "forward one:3128");
        assert_eq!(route(&proxies("http://[::1]:3128", "", &[]), "http://host/"), "forward [::1]:3128");
    }

    #[test]
    fn some_hosts_need_no_proxy() {
        for name in ["near.example", ".near.example", "*.near.example", " near.example "] {
            let proxies = proxies("http://proxy", "http://proxy", &["other", name]);
            assert_eq!(route(&proxies, "http://near.example/"), "direct", "{name}");
            assert_eq!(route(&proxies, "https://very.near.example/"), "direct", "{name}");
            assert_eq!(route(&proxies, "http://far.example/"), "forward proxy:80", "{name}");
            assert_eq!(route(&proxies, "http://notnear.example/"), "forward proxy:80", "{name}");
        }
        assert_eq!(route(&proxies("http://proxy", "", &["*"]), "http://far.example/"), "direct");
        assert_eq!(
            route(&proxies("http://proxy", "", &["", ".", " "]), "http://far.example/"),
            "forward proxy:80"
        );
    }

    #[test]
    fn the_target_becomes_a_whole_address() {
        let cases: &[(&str, usize, &str)] = &[
            ("GET /path HTTP/1.1\r\n\r\n", 64, "GET http://host/path HTTP/1.1\r\n\r\n"),
            ("GET /path HTTP/1.1\r\n\r\n", 33, "GET http://host/path HTTP/1.1\r\n\r\n"),
            ("PATCH /path HTTP/1.1\r\n\r\n", 64, "PATCH http://host/path HTTP/1.1\r\n\r\n"),
            ("no request", 64, "no request"),
            (" / ", 64, " / "),
            ("", 64, ""),
        ];
        for (request, room, expected) in cases {
            let mut output = vec![0; *room];
            output[..request.len()].copy_from_slice(request.as_bytes());
            let length = insert_prefix(&mut output, request.len(), b"http://host");
            assert_eq!(&output[..length], expected.as_bytes());
        }
    }
}

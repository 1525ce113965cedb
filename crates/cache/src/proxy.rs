//! Proxies: which one a request goes through.

use ureq::http::Uri;
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

impl Proxies {
    pub(crate) fn new(options: &Options) -> Result<Self, ProxyError> {
        let proxy = |address: &Option<String>| match address.as_deref() {
            None | Some("") => Ok(None),
            Some(address) => parse(address, &options.no_proxy).map(Some),
        };
        Ok(Self { http: proxy(&options.http_proxy)?, https: proxy(&options.https_proxy)? })
    }

    /// The proxy for an address, if it goes through one.
    pub(crate) fn of(&self, uri: &Uri) -> Option<&Proxy> {
        let proxy = if uri.scheme_str() == Some("https") { self.https.as_ref() } else { self.http.as_ref() };
        proxy.filter(|proxy| !proxy.is_no_proxy(uri))
    }
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

//! Any request and its answer: what an API over HTTP needs beside downloads. The same limits hold for both.
//!
//! A redirect that asks for the same method again is followed. An `Authorization` goes to the origin of the request's
//! address (RFC 6454: scheme, host and port) and to no other, so that a registry's token never reaches the storage that
//! it redirects to.

use std::io::{self, Read};
use std::time::Duration;

use ureq::http::{self, HeaderMap, Response, Uri, header};
use ureq::{AsSendBody, Body, Proxy, SendBody};

use crate::client::{Client, Progress};
use crate::fault::{Fault, shown};
use crate::proxy::{Route, authorization};
use crate::redirect;
use crate::transfer::retry_after;

/// The methods of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// What is there.
    Get,
    /// What is said of it.
    Head,
    /// Something new.
    Post,
    /// What is to be there.
    Put,
}

impl Method {
    const fn http(self) -> http::Method {
        match self {
            Self::Get => http::Method::GET,
            Self::Head => http::Method::HEAD,
            Self::Post => http::Method::POST,
            Self::Put => http::Method::PUT,
        }
    }

    /// Whether a redirect with this status is one to ask again at, with the same method (RFC 9110, section 15.4).
    const fn follows(self, status: u16) -> bool {
        match self {
            Self::Get | Self::Head => matches!(status, 301 | 302 | 303 | 307 | 308),
            Self::Post | Self::Put => matches!(status, 307 | 308),
        }
    }
}

/// The body of a request.
#[derive(Clone, Copy)]
pub struct Upload<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Hears what was handed to the system of them; what is sent a second time counts a second time.
    pub progress: &'a dyn Progress,
}

/// A request.
#[derive(Clone)]
pub struct Request<'a> {
    /// What is asked.
    pub method: Method,
    /// Of which address.
    pub url: &'a str,
    /// Headers besides those that every request has.
    pub headers: Vec<(&'a str, String)>,
    /// The value of `Authorization`.
    pub authorization: Option<&'a str>,
    /// What is sent.
    pub body: Option<Upload<'a>>,
    /// The largest answer that is read, in bytes.
    pub limit: u64,
}

impl<'a> Request<'a> {
    /// A request without headers and body, whose answer is not read.
    pub const fn new(method: Method, url: &'a str) -> Self {
        Self { method, url, headers: Vec::new(), authorization: None, body: None, limit: 0 }
    }
}

/// What a server answered, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Where it came from: the address of the request, or where a redirect led.
    pub url: String,
    /// The body, cut at the request's limit.
    pub body: Vec<u8>,
    /// Whether the body went on.
    pub is_cut: bool,
    headers: HeaderMap,
}

impl Answer {
    /// The value of a header that stands once.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Every value of a header.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
    }

    /// The fault that this answer is, where the same request may succeed a moment later.
    pub fn passing_fault(&self) -> Option<Fault> {
        let fault = Fault::Status { status: self.status, retry_after: retry_after(&self.headers) };
        fault.is_passing().then_some(fault)
    }

    /// What the server's `Location` stands for (RFC 9110, section 10.2.2).
    ///
    /// # Errors
    /// One that is missing, or that leads where a redirect may not lead.
    pub fn location(&self) -> Result<String, Fault> {
        redirect::follow(&self.url, self.header("location").unwrap_or_default())
    }
}

impl Client {
    /// Sends a request once, and reads the answer.
    ///
    /// # Errors
    /// No answer, or one that is not whole. An answer that says no is none.
    pub fn exchange(&self, request: &Request<'_>) -> Result<Answer, Fault> {
        if self.is_offline() {
            return Err(Fault::Connection { message: "offline".into(), passing: false });
        }
        let sent = request.body.map_or(0, |body| body.bytes.len() as u64);
        let whole = self.limits.whole(sent.saturating_add(request.limit));
        let mut url = request.url.to_owned();
        let response = self.respond_from(&mut url, request, whole)?;
        let (head, body) = response.into_parts();
        let mut bytes = Vec::new();
        let mut reader = body.into_reader().take(request.limit.saturating_add(1));
        if request.method != Method::Head
            && let Err(error) = reader.read_to_end(&mut bytes)
        {
            let received = bytes.len() as u64;
            let length = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
            let expected = length.and_then(|length| length.parse().ok()).unwrap_or(request.limit);
            return Err(self.broken(error.into(), whole, expected, received));
        }
        let is_cut = bytes.len() as u64 > request.limit;
        bytes.truncate(usize::try_from(request.limit).unwrap_or(usize::MAX));
        Ok(Answer { status: head.status.as_u16(), url, body: bytes, is_cut, headers: head.headers })
    }

    /// The answer to a request, after redirects.
    pub(crate) fn respond(&self, request: &Request<'_>, whole: Duration) -> Result<Response<Body>, Fault> {
        self.respond_from(&mut request.url.to_owned(), request, whole)
    }

    /// As [`Self::respond`]; `url` becomes the address that answered.
    fn respond_from(
        &self,
        url: &mut String,
        request: &Request<'_>,
        whole: Duration,
    ) -> Result<Response<Body>, Fault> {
        for _ in 0..=redirect::MOST {
            let response = self.respond_once(url, request, whole)?;
            if !request.method.follows(response.status().as_u16()) {
                return Ok(response);
            }
            let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            *url = redirect::follow(url, location.unwrap_or_default())?;
        }
        Err(Fault::Redirect { target: shown(url), reason: "after too many others" })
    }

    fn respond_once(
        &self,
        url: &str,
        request: &Request<'_>,
        whole: Duration,
    ) -> Result<Response<Body>, Fault> {
        let refuse = |message: &str| Fault::Connection { message: message.into(), passing: false };
        let uri = url.parse().ok().filter(|uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")));
        let uri = uri.ok_or_else(|| refuse("this is no http or https address"))?;
        let mut builder = http::Request::builder().method(request.method.http()).uri(&uri);
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(value) = request.authorization.filter(|_| redirect::same_origin(request.url, url)) {
            builder = builder.header(header::AUTHORIZATION, value);
        }
        let mut tunnel = None;
        match self.proxies.route(&uri) {
            Route::Direct => {}
            Route::Tunnel(proxy) => tunnel = Some(proxy.clone()),
            Route::Forward(proxy) => {
                if let Some(value) = authorization(proxy) {
                    builder = builder.header(header::PROXY_AUTHORIZATION, value);
                }
            }
        }
        let wrong = |error: http::Error| refuse(&error.to_string());
        match request.body {
            None => self.run(builder.body(()).map_err(wrong)?, tunnel, whole),
            Some(Upload { bytes, progress }) => {
                let mut counted = Counted { bytes, progress };
                let builder = builder.header(header::CONTENT_LENGTH, bytes.len());
                let body = SendBody::from_reader(&mut counted);
                self.run(builder.body(body).map_err(wrong)?, tunnel, whole)
            }
        }
    }

    fn run(
        &self,
        request: http::Request<impl AsSendBody>,
        tunnel: Option<Proxy>,
        whole: Duration,
    ) -> Result<Response<Body>, Fault> {
        let request = self.agent.configure_request(request).timeout_global(Some(whole)).proxy(tunnel).build();
        self.agent.run(request).map_err(|error| Fault::from_ureq(error, &self.limits, whole))
    }
}

/// Counts what is read of it.
struct Counted<'a> {
    bytes: &'a [u8],
    progress: &'a dyn Progress,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        self.progress.bytes(count as u64);
        Ok(count)
    }
}

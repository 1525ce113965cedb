//! One attempt at one address: the request, what is made of the answer, and the bytes.
//!
//! Everything that the server decides has a bound: redirects, size, time. A partial download is continued with a range
//! request; no validator is needed for that, as the digest of the whole decides.

use std::io::Read;
use std::time::Duration;

use ureq::http::{Response, StatusCode, header};
use ureq::{Body, BodyReader};

use crate::client::{Client, Download, HighWater, Stop};
use crate::exchange::{Method, Request};
use crate::fault::Fault;
use crate::partial::Partial;

/// One of the addresses of a download.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) url: &'a str,
    pub(crate) authorization: Option<&'a str>,
}

impl Client {
    /// Brings `partial` to its end: the right number of the right bytes.
    pub(crate) fn transfer(
        &self,
        target: Target<'_>,
        download: &Download,
        partial: &mut Partial<'_>,
        progress: &HighWater<'_>,
    ) -> Result<(), Stop> {
        if partial.length() > download.size {
            partial.restart()?;
        }
        progress.reach(partial.length());
        let complete = partial.length() == download.size && download.size > 0;
        let start =
            if complete { download.size } else { self.transfer_rest(target, download, partial, progress)? };
        let found = partial.digest();
        if found == download.digest {
            return Ok(());
        }
        partial.restart()?;
        Err(Fault::WrongDigest { expected: download.digest, found, resumed: start > 0 }.into())
    }

    /// Appends what is missing, and says how much of an earlier try went before it.
    fn transfer_rest(
        &self,
        target: Target<'_>,
        download: &Download,
        partial: &mut Partial<'_>,
        progress: &HighWater<'_>,
    ) -> Result<u64, Stop> {
        let offset = partial.length();
        let whole = self.limits.whole(download.size - offset);
        let response = self.download(target, offset, whole)?;
        let start = match response.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if range_start(&response) == Some(offset) => offset,
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                partial.restart()?;
                return Err(Fault::WrongRange { offset }.into());
            }
            _ => return Err(refusal(&response).into()),
        };
        // Before anything is thrown away: a page that asks for a login also comes with 200.
        if let Some(length) =
            response.body().content_length().filter(|length| *length != download.size - start)
        {
            let offered = start.saturating_add(length);
            return Err(Fault::WrongSize { expected: download.size, offered }.into());
        }
        if start < offset {
            partial.restart()?;
        }
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = match read(&mut body, &mut buffer) {
                Ok(count) => count,
                Err(error) => return Err(self.broken(error, whole, download.size, partial.length()).into()),
            };
            if count == 0 {
                break;
            }
            if count as u64 > download.size - partial.length() {
                partial.restart()?;
                return Err(Fault::TooLong { limit: download.size }.into());
            }
            partial.append(&buffer[..count])?;
            progress.reach(partial.length());
        }
        if partial.length() < download.size {
            return Err(Fault::Short { expected: download.size, received: partial.length() }.into());
        }
        Ok(start)
    }

    /// The whole body, which may be `limit` bytes long.
    pub(crate) fn read_whole(&self, url: &str, limit: u64) -> Result<Vec<u8>, Stop> {
        let whole = self.limits.whole(limit);
        let response = self.download(Target { url, authorization: None }, 0, whole)?;
        if response.status() != StatusCode::OK {
            return Err(refusal(&response).into());
        }
        let length = response.body().content_length();
        if length.is_some_and(|length| length > limit) {
            return Err(Fault::TooLong { limit }.into());
        }
        let mut bytes = Vec::new();
        let mut body = response.into_body().into_reader().take(limit.saturating_add(1));
        if let Err(error) = body.read_to_end(&mut bytes) {
            return Err(self.broken(error.into(), whole, length.unwrap_or(limit), bytes.len() as u64).into());
        }
        if bytes.len() as u64 > limit {
            return Err(Fault::TooLong { limit }.into());
        }
        Ok(bytes)
    }

    /// The answer for what is at an address from `offset` on.
    fn download(&self, target: Target<'_>, offset: u64, whole: Duration) -> Result<Response<Body>, Fault> {
        let range = (offset > 0).then(|| (header::RANGE.as_str(), format!("bytes={offset}-")));
        let request = Request {
            headers: range.into_iter().collect(),
            authorization: target.authorization,
            ..Request::new(Method::Get, target.url)
        };
        self.respond(&request, whole)
    }

    /// The fault of a body that could not be read to its end.
    pub(crate) fn broken(&self, error: ureq::Error, whole: Duration, expected: u64, received: u64) -> Fault {
        match error {
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Fault::Short { expected, received }
            }
            other => Fault::from_ureq(other, &self.limits, whole),
        }
    }
}

fn read(body: &mut BodyReader<'_>, buffer: &mut [u8]) -> Result<usize, ureq::Error> {
    loop {
        match body.read(buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            other => return other.map_err(ureq::Error::from),
        }
    }
}

/// The fault of an answer that is no success.
fn refusal(response: &Response<Body>) -> Fault {
    match response.status().as_u16() {
        404 | 410 => Fault::NotFound,
        status => Fault::Status { status, retry_after: retry_after(response.headers()) },
    }
}

/// How long the server asks to wait, where it says it in seconds (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(headers: &ureq::http::HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    seconds.parse().ok().map(Duration::from_secs)
}

/// Where the part starts that an answer carries (RFC 9110, section 14.4: `bytes 500-999/1234`).
fn range_start(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

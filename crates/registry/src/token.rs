//! Tokens: what the service that a challenge names gives for the rights that are asked for (the token authentication of
//! Docker's registry: "Token Authentication Specification", and the page about tokens over OAuth 2.0).

use std::time::Duration;

use cache::{Answer, Client, Method, Request, Upload};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::access::{Access, Scope};
use crate::api::{ERROR_LIMIT, refusal};
use crate::challenge::Challenge;
use crate::credentials::{Credential, basic};
use crate::error::Fault;

/// How long a token is good for where the service does not say it.
const LIFETIME: u64 = 60;
/// The largest answer of a token service.
const TOKEN_LIMIT: u64 = 1 << 20;
/// What a service keeps statistics by.
const CLIENT: &str = "distroless-ruby";

/// What need not be escaped in a query (RFC 3986, section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

/// Gets a token from the service of `challenge`, which a registry at `origin` named.
pub(crate) fn fetch(
    client: &Client,
    origin: &str,
    challenge: &Challenge,
    scope: &Scope,
    credential: Option<&Credential>,
) -> Result<Access, Fault> {
    let realm = challenge.parameter("realm").unwrap_or_default();
    let wrong = |what: &str| Fault::Challenge { address: origin.to_owned(), what: what.to_owned() };
    let is_protected = realm.starts_with("https://");
    if !is_protected && (origin.starts_with("https://") || !realm.starts_with("http://")) {
        return Err(wrong(&format!("its token service `{realm}` is not reached over TLS")));
    }
    let service = challenge.parameter("service").map(|service| ("service", service));
    let scope = scope.with(challenge.parameter("scope"));
    let scopes = scope.iter().map(|scope| ("scope", scope));
    let answer = match credential {
        Some(Credential::IdentityToken(token)) => {
            let scope = scope.to_string();
            let fields = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", CLIENT)];
            let form = encoded(fields.into_iter().chain(service).chain([("scope", scope.as_str())]));
            post(client, realm, &form)?
        }
        other => {
            let authorization = match other {
                Some(Credential::Password { user, password }) => Some(basic(user, password)),
                _ => None,
            };
            let separator = if realm.contains('?') { '&' } else { '?' };
            let query = encoded(service.into_iter().chain(scopes).chain([("client_id", CLIENT)]));
            let url = format!("{realm}{separator}{query}");
            get(client, &url, authorization.as_deref())?
        }
    };
    match answer.status {
        200 => read(&answer, realm),
        401 | 403 | 429 => Err(refusal(&answer, credential.is_some())),
        status => {
            let what = format!("it answered with status {status}");
            Err(Fault::Token { address: realm.to_owned(), what })
        }
    }
}

fn read(answer: &Answer, realm: &str) -> Result<Access, Fault> {
    let failed = |what: &str| Fault::Token { address: realm.to_owned(), what: what.to_owned() };
    let written: Written =
        serde_json::from_slice(&answer.body).map_err(|_| failed("it answered with no JSON"))?;
    let token = if written.token.is_empty() { written.access_token } else { written.token };
    // It becomes a header.
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(failed("its answer has none"));
    }
    let lifetime = Duration::from_secs(written.expires_in.unwrap_or(LIFETIME));
    Ok(Access::passing(format!("Bearer {token}"), lifetime))
}

fn get(client: &Client, url: &str, authorization: Option<&str>) -> Result<Answer, Fault> {
    let request = Request { authorization, limit: TOKEN_LIMIT, ..Request::new(Method::Get, url) };
    ask(client, &request)
}

fn post(client: &Client, url: &str, form: &str) -> Result<Answer, Fault> {
    let request = Request {
        headers: vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
        body: Some(Upload { bytes: form.as_bytes(), progress: &() }),
        limit: TOKEN_LIMIT.max(ERROR_LIMIT),
        ..Request::new(Method::Post, url)
    };
    ask(client, &request)
}

/// The answer, which may be a passing fault to the end.
pub(crate) fn ask(client: &Client, request: &Request<'_>) -> Result<Answer, Fault> {
    let mut last = None;
    let outcome = client.attempts(request.url, || {
        last = None;
        let answer = client.exchange(request)?;
        match answer.passing_fault() {
            Some(fault) => {
                last = Some(answer);
                Err(fault)
            }
            None => Ok(answer),
        }
    });
    match (outcome, last) {
        (Ok(answer), _) | (Err(_), Some(answer)) => Ok(answer),
        (Err(failure), None) => Err(Fault::Unreachable(failure)),
    }
}

fn encoded<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let fields =
        fields.into_iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, UNRESERVED)));
    fields.collect::<Vec<_>>().join("&")
}

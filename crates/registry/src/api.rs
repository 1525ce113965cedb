//! What registries answer: errors as JSON (OCI distribution specification, "Error Codes"), and whether an answer is the
//! one that was wanted.

use std::fmt;
use std::time::Duration;

use cache::Answer;
use serde::Deserialize;

use crate::error::{ApiError, Fault};

/// The largest answer that is read where only an error has something to say.
pub(crate) const ERROR_LIMIT: u64 = 64 << 10;

/// How much of an error that is no JSON is shown.
const SHOWN: usize = 200;

#[derive(Deserialize)]
struct Errors {
    errors: Vec<Written>,
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What a registry says is wrong, in one line.
pub(crate) fn errors(answer: &Answer) -> Vec<ApiError> {
    if let Ok(Errors { errors }) = serde_json::from_slice(&answer.body) {
        let one = |Written { code, message }| ApiError { code: plain(&code), message: plain(&message) };
        return errors.into_iter().map(one).collect();
    }
    let text = plain(&String::from_utf8_lossy(&answer.body));
    // A page for people says nothing that fits here.
    let is_said = !text.is_empty() && !text.starts_with('<');
    is_said.then_some(ApiError { code: String::new(), message: text }).into_iter().collect()
}

/// What was said, as may be printed: one line without control characters, and not too long.
fn plain(text: &str) -> String {
    let words = text.split(|character: char| character.is_whitespace() || character.is_control());
    let mut line: String = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(SHOWN) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// The fault that an answer is which is not the one wanted. `is_known` tells whether credentials were sent.
pub(crate) fn refusal(answer: &Answer, is_known: bool) -> Fault {
    let said = errors(answer);
    // What follows may be a signature of the storage behind a registry.
    let address = answer.url.split('?').next().unwrap_or_default().to_owned();
    let has = |code: &str| said.iter().any(|error| error.code == code);
    match answer.status {
        404 | 410 => Fault::NotFound { address, said },
        429 => Fault::RateLimited { address, said, retry_after: seconds(answer), quota: quota(answer) },
        // Docker Hub and others hide what one may not see.
        401 | 403 if !has("TOOMANYREQUESTS") => Fault::Denied { address, said, is_known },
        status => Fault::Refused { address, status, said },
    }
}

fn seconds(answer: &Answer) -> Option<Duration> {
    answer.header("retry-after")?.parse().ok().map(Duration::from_secs)
}

/// What Docker Hub says of its limit: `100;w=21600` for 100 pulls in 6 hours.
fn quota(answer: &Answer) -> Option<Quota> {
    let (pulls, window) = answer.header("ratelimit-limit")?.split_once(";w=")?;
    Some(Quota { pulls: pulls.parse().ok()?, window: Duration::from_secs(window.parse().ok()?) })
}

/// How much a registry gives in how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How many pulls.
    pub pulls: u64,
    /// In how long.
    pub window: Duration,
}

impl fmt::Display for Quota {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.window.as_secs().div_ceil(3600);
        write!(formatter, "{} pulls in {hours} h", self.pulls)
    }
}

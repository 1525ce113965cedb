//! What can go wrong on the way to some bytes, told so that a person can act on it.

use std::fmt::{self, Display};
use std::io;
use std::time::Duration;

use schema::Digest;

use crate::store::StoreError;

/// Bytes could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Every address answered that it has no such thing.
    #[error("cannot find {}", Listed(addresses))]
    NotFound {
        /// The addresses, without passwords.
        addresses: Vec<String>,
    },
    /// Every address failed, and not each with "not found".
    #[error("cannot download {}", Listed(failures))]
    Failed {
        /// One for each address, in the order in which they were tried.
        failures: Vec<Failure>,
    },
    /// It is not in the cache, and this client may not connect.
    #[error("cannot download {address}: offline, and it is not in the cache")]
    Offline {
        /// The first address that would have been tried, without a password.
        address: String,
    },
    /// There was no address to try.
    #[error("cannot download {digest}: no address is known for it")]
    NoAddress {
        /// What was wanted.
        digest: Digest,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FetchError {
    /// Whether it exists nowhere, as far as the servers know.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// The next step for the person who reads it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { .. } => {
                Some("the index and the files of the server do not match: is it being updated?".into())
            }
            Self::Failed { failures } => failures.iter().find_map(|failure| failure.fault.hint()),
            Self::Offline { .. } => Some("run once without `--offline`".into()),
            Self::NoAddress { .. } => None,
            Self::Store(error) => error.hint(),
        }
    }
}

/// What one address came to.
#[derive(Debug)]
pub struct Failure {
    /// The address, without a password.
    pub address: String,
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong the last time.
    pub fault: Fault,
}

impl Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.address, self.fault)?;
        if self.attempts > 1 {
            write!(out, " ({} attempts)", self.attempts)?;
        }
        Ok(())
    }
}

/// Why one attempt at one address failed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The server has no such thing (404 or 410).
    #[error("not found")]
    NotFound,
    /// Any other answer that is no success.
    #[error("the server answered with status {status}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// How long the server asks to wait (`Retry-After`).
        retry_after: Option<Duration>,
    },
    /// A time limit passed.
    #[error("{limit} within {} s", after.as_secs_f64())]
    TimedOut {
        /// What took too long.
        limit: Limit,
        /// How long it was given.
        after: Duration,
    },
    /// The connection could not be made, or broke, or what came was no HTTP.
    #[error("{message}")]
    Connection {
        /// What was said about it.
        message: String,
        /// Whether another try may help.
        passing: bool,
    },
    /// The body ended early.
    #[error("the connection ended after {received} of {expected} bytes")]
    Short {
        /// The size of the whole.
        expected: u64,
        /// How much there is.
        received: u64,
    },
    /// The server announced another size.
    #[error("expected {expected} bytes, but the server has {offered}")]
    WrongSize {
        /// The size that it should have.
        expected: u64,
        /// The size announced.
        offered: u64,
    },
    /// The body went on past its size.
    #[error("the server sent more than {limit} bytes")]
    TooLong {
        /// How much is the most.
        limit: u64,
    },
    /// All bytes came, but other ones.
    #[error("expected {expected}, but the bytes are {found}")]
    WrongDigest {
        /// The digest that they should have.
        expected: Digest,
        /// The digest that they have.
        found: Digest,
        /// Whether some of them were left by an earlier try, which may be to blame.
        resumed: bool,
    },
    /// The server sent another part than the one asked for.
    #[error("asked for the bytes from {offset} on, but the server sent another part")]
    WrongRange {
        /// Where the part should start.
        offset: u64,
    },
    /// The server sent us on to somewhere we do not go.
    #[error("redirected to `{target}`, {reason}")]
    Redirect {
        /// Where to, without a password.
        target: String,
        /// Why not.
        reason: &'static str,
    },
}

/// What has a time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The name of the host.
    Resolve,
    /// The connection, with TLS and proxies.
    Connect,
    /// The next bytes.
    Inactivity,
    /// The whole body.
    Whole,
}

impl Display for Limit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Resolve => "the name of the host was not resolved",
            Self::Connect => "no connection",
            Self::Inactivity => "nothing came",
            Self::Whole => "not all of it came",
        })
    }
}

impl Fault {
    /// Whether the same request may succeed a moment later.
    pub(crate) const fn is_passing(&self) -> bool {
        match self {
            Self::TimedOut { .. } | Self::Short { .. } | Self::WrongRange { .. } => true,
            Self::Connection { passing, .. } => *passing,
            Self::WrongDigest { resumed, .. } => *resumed,
            // Request Timeout, Too Early, Too Many Requests (RFC 9110, RFC 8470, RFC 6585), and the server's own faults.
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504),
            Self::NotFound | Self::WrongSize { .. } | Self::TooLong { .. } | Self::Redirect { .. } => false,
        }
    }

    /// How long the server asks to wait.
    pub(crate) fn wait(&self) -> Duration {
        match self {
            Self::Status { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::TimedOut { .. } | Self::Connection { .. } | Self::Short { .. } => {
                "is the network up, and is a proxy needed? What was downloaded so far is kept: run it again"
            }
            Self::Status { status: 407, .. } => "the proxy wants a user and a password in its address",
            Self::Status { status: 401 | 403, .. } => {
                "the server does not let this machine in: try another mirror"
            }
            Self::Status { status: 429 | 500.., .. } => {
                "the server is in trouble: run it again later, or try another mirror"
            }
            Self::WrongSize { .. } | Self::TooLong { .. } | Self::WrongDigest { .. } => {
                "the server, or something in between, changes files: try another mirror"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// What ureq reports. `limits` are those that the request had.
    pub(crate) fn from_ureq(error: ureq::Error, limits: &crate::Limits, whole: Duration) -> Self {
        use ureq::Timeout;
        let passing = match &error {
            ureq::Error::Timeout(timeout) => {
                let (limit, after) = match timeout {
                    Timeout::Resolve => (Limit::Resolve, limits.connect),
                    Timeout::Connect => (Limit::Connect, limits.connect),
                    Timeout::PerRead | Timeout::PerWrite => (Limit::Inactivity, limits.inactivity),
                    _ => (Limit::Whole, whole),
                };
                return Self::TimedOut { limit, after };
            }
            ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
            | ureq::Error::ConnectProxyFailed(_) => true,
            // A certificate that is not good, or bytes that are no TLS.
            ureq::Error::Io(error) => error.kind() != io::ErrorKind::InvalidData,
            _ => false,
        };
        let message = match error {
            ureq::Error::Io(error) => error.to_string(),
            other => other.to_string(),
        };
        Self::Connection { message, passing }
    }
}

/// Items after one another in a sentence.
struct Listed<'a, T>(&'a [T]);

impl<T: Display> Display for Listed<'_, T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; nor " };
            write!(out, "{separator}{item}")?;
        }
        Ok(())
    }
}

/// An address as it may be shown: without the user and password that it may carry.
pub(crate) fn shown(address: &str) -> String {
    let start = address.find("://").map_or(0, |end| end + 3);
    let (scheme, rest) = address.split_at(start);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    match authority.rfind('@') {
        Some(end) => format!("{scheme}{}", &rest[end + 1..]),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_passwords() {
        for (address, expected) in [
            ("http://host/path", "http://host/path"),
            ("http://user:secret@host/path@2", "http://host/path@2"),
            ("http://user:p@ss@host:80?x=@", "http://host:80?x=@"),
            ("user:secret@host", "host"),
            ("http://host/a@b", "http://host/a@b"),
            ("", ""),
        ] {
            assert_eq!(shown(address), expected);
        }
    }

    #[test]
    fn a_person_is_told_what_to_do() {
        let hint = |fault| {
            FetchError::Failed {
                failures: vec![Failure { address: "http://host/".into(), attempts: 1, fault }],
            }
            .hint()
        };
        assert!(hint(Fault::TooLong { limit: 1 }).is_some_and(|hint| hint.contains("another mirror")));
        assert!(hint(Fault::Short { expected: 2, received: 1 }).is_some_and(|hint| hint.contains("network")));
        for (status, says) in [(407, "proxy"), (403, "does not let"), (503, "in trouble")] {
            let hint = hint(Fault::Status { status, retry_after: None });
            assert!(hint.as_ref().is_some_and(|hint| hint.contains(says)), "{status}: {hint:?}");
        }
        assert_eq!(hint(Fault::Status { status: 404, retry_after: None }), None);
    }
}

//! What can go wrong with a registry, told so that a person can act on it.

use std::fmt;
use std::time::Duration;

use cache::{Failure, FetchError, StoreError};
use oci::LayoutError;
use schema::reference::ReferenceError;
use schema::{Architecture, Digest};

use crate::api::Quota;
use crate::credentials::CredentialError;

/// An image that could not be pulled or pushed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{name}`")]
pub struct RegistryError {
    /// What was tried.
    pub action: Action,
    /// The image, or the repository.
    pub name: String,
    /// Why it failed.
    #[source]
    pub fault: Box<Fault>,
}

/// What is done with a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// An image is taken from it.
    Pull,
    /// Images are put into it.
    Push,
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Pull => "pull",
            Self::Push => "push",
        })
    }
}

/// One of the things that a registry says is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// Its code, as `MANIFEST_UNKNOWN`; empty where it gave none.
    pub code: String,
    /// For people.
    pub message: String,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// An index leads to more than is read.
    #[error("it leads to more than {limit} manifests")]
    TooManyDocuments {
        /// How many are read.
        limit: usize,
    },
    /// No answer came.
    #[error("{0}")]
    Unreachable(Failure),
    /// The registry does not have it.
    #[error("{address} was not found{}", Said(said))]
    NotFound {
        /// Where it was looked for.
        address: String,
        /// What the registry says.
        said: Vec<ApiError>,
    },
    /// The registry does not let us.
    #[error("the registry does not allow it{}: {address}", Said(said))]
    Denied {
        /// What was asked for.
        address: String,
        /// What the registry says.
        said: Vec<ApiError>,
        /// Whether it was told who we are.
        is_known: bool,
    },
    /// The registry has had enough of us.
    #[error("the registry limits how much is pulled{}{}: {address}", Limit(*quota, *retry_after), Said(said))]
    RateLimited {
        /// What was asked for.
        address: String,
        /// What the registry says.
        said: Vec<ApiError>,
        /// When it may be asked again.
        retry_after: Option<Duration>,
        /// How much it gives.
        quota: Option<Quota>,
    },
    /// The registry answered with something else.
    #[error("{address} answered with status {status}{}", Said(said))]
    Refused {
        /// What was asked for.
        address: String,
        /// The HTTP status.
        status: u16,
        /// What the registry says.
        said: Vec<ApiError>,
    },
    /// The registry wants to know who we are in a way that is not understood here.
    #[error("{address} asks for a login, and {what}")]
    Challenge {
        /// What was asked for.
        address: String,
        /// What is the matter with that.
        what: String,
    },
    /// The token service that the registry names gave no token.
    #[error("the token service {address} gave no token: {what}")]
    Token {
        /// The service.
        address: String,
        /// What came.
        what: String,
    },
    /// Credentials cannot be had.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The answer is larger than any document that is accepted.
    #[error("{address} has more than {limit} bytes")]
    TooLarge {
        /// The document.
        address: String,
        /// How many bytes are accepted.
        limit: u64,
    },
    /// The document that came is another one.
    #[error("{address} gave {size} bytes with the digest {found}, expected {expected}")]
    WrongDigest {
        /// The document.
        address: String,
        /// The digest that it was asked for by.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
        /// How much came.
        size: u64,
    },
    /// The document is no JSON of its kind.
    #[error("{digest} is not the JSON that is expected of `{media_type}`")]
    Malformed {
        /// The document.
        digest: Digest,
        /// What it claims to be.
        media_type: String,
        /// What is wrong, and at which line and column.
        source: serde_json::Error,
    },
    /// The document is none of those that are understood.
    #[error("{digest} has the media type `{found}`, which is none of an image")]
    MediaType {
        /// The document.
        digest: Digest,
        /// What it claims to be.
        found: String,
    },
    /// There is no image for the machine that is meant.
    #[error("there is no image for {architecture}")]
    NoArchitecture {
        /// What was asked for.
        architecture: Architecture,
        /// The machines that there are images for.
        known: Vec<String>,
    },
    /// A layer that is to be fetched from elsewhere, as those of Windows.
    #[error("the layer {digest} is a foreign one, which registries do not have")]
    ForeignLayer {
        /// The layer.
        digest: Digest,
    },
    /// Manifest and configuration contradict one another.
    #[error("the image {manifest} has {layers} layers, its configuration {diff_ids}")]
    LayerCount {
        /// The manifest.
        manifest: Digest,
        /// How many it lists.
        layers: usize,
        /// How many the configuration lists.
        diff_ids: usize,
    },
    /// A blob that claims to be larger than any that is accepted.
    #[error("the blob {digest} has {size} bytes, the limit is {limit}")]
    BlobTooLarge {
        /// The blob.
        digest: Digest,
        /// The bytes that its descriptor says.
        size: u64,
        /// How many are accepted.
        limit: u64,
    },
    /// A blob could not be fetched.
    #[error("the blob {digest} could not be fetched")]
    Blob {
        /// The blob.
        digest: Digest,
        /// Why.
        source: FetchError,
    },
    /// Each mirror failed, and the registry too.
    #[error("{}", Everywhere(.0))]
    Everywhere(Vec<Fault>),
    /// It is not in the cache, and nothing may be connected to.
    #[error("offline, and {what} is not in the cache")]
    Offline {
        /// What was looked for.
        what: String,
    },
    /// The registry took the blob for another one.
    #[error("the registry stored {found} in place of {expected}")]
    StoredOther {
        /// What was sent.
        expected: Digest,
        /// What it says that it has.
        found: String,
    },
    /// Two images would have the same tag.
    #[error("`{first}` and `{second}` would have the same tag `{tag}`")]
    SameTag {
        /// One of them.
        first: String,
        /// The other.
        second: String,
        /// The tag.
        tag: String,
    },
    /// A name that makes no tag.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The cache does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The layout that is pushed from is at fault.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

impl RegistryError {
    /// Names what a fault kept from being pulled.
    pub(crate) fn pull(name: impl fmt::Display) -> impl FnOnce(Fault) -> Self {
        let name = name.to_string();
        move |fault| Self { action: Action::Pull, name, fault: Box::new(fault) }
    }

    /// Names what a fault kept from being pushed.
    pub(crate) fn push(name: impl fmt::Display) -> impl FnOnce(Fault) -> Self {
        let name = name.to_string();
        move |fault| Self { action: Action::Push, name, fault: Box::new(fault) }
    }

    /// The next step for the person who reads it.
    pub fn hint(&self) -> Option<String> {
        self.fault.hint()
    }
}

impl Fault {
    /// Whether the registry knows nothing of what was asked for.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Denied { is_known: false, .. } => {
                "log in with `docker login`, or check the name: some registries deny what they do not have"
            }
            Self::Denied { is_known: true, .. } => {
                "the login that was found has no right to it: log in with another one"
            }
            Self::NotFound { .. } => "check the name and the tag",
            Self::RateLimited { .. } => {
                "wait, log in with `docker login` for a larger limit, or name a mirror; what was fetched so far is kept"
            }
            Self::Unreachable(_) => {
                "is the network up, is a proxy needed, and does the registry speak TLS? Run it again"
            }
            Self::Refused { status: 500.., .. } => "the registry is in trouble: run it again later",
            Self::Refused { status: 405, .. } => "the registry takes no pushes: is it a mirror?",
            Self::ForeignLayer { .. } => "take an image for Linux",
            Self::SameTag { .. } => "push them to repositories of their own, one at a time",
            Self::Offline { .. } => "run once without `--offline`",
            Self::WrongDigest { .. } => {
                "the registry, or something in between, changes documents: try another mirror"
            }
            Self::NoArchitecture { known, .. } if !known.is_empty() => {
                return Some(format!("there is one for {}", known.join(" and ")));
            }
            Self::Blob { source, .. } => return source.hint(),
            Self::Credential(error) => return error.hint(),
            Self::Layout(error) => return error.hint(),
            Self::Store(error) => return error.hint(),
            Self::Everywhere(faults) => return faults.iter().rev().find_map(Self::hint),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// What a registry says, after a sentence.
struct Said<'a>(&'a [ApiError]);

impl fmt::Display for Said<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ApiError { code, message } in self.0 {
            match (code.as_str(), message.as_str()) {
                ("", message) => write!(formatter, " ({message})")?,
                (code, "") => write!(formatter, " ({code})")?,
                (code, message) => write!(formatter, " ({code}: {message})")?,
            }
        }
        Ok(())
    }
}

/// A limit, after a sentence.
struct Limit(Option<Quota>, Option<Duration>);

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(quota) = self.0 {
            write!(formatter, ", to {quota}")?;
        }
        self.1.map_or(Ok(()), |wait| write!(formatter, ", and asks to wait {} s", wait.as_secs()))
    }
}

struct Everywhere<'a>(&'a [Fault]);

impl fmt::Display for Everywhere<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.0.iter().enumerate() {
            write!(formatter, "{}{fault}", if number == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

//! A client of registries (OCI distribution specification, v1.1, and the token authentication of Docker's registry).
//!
//! A [`Registry`] is told how hosts are reached ([`Hosts`]) and who we are ([`Keychain`]). It pulls an image into a
//! store ([`Registry::pull`]) and pushes what a layout holds ([`Registry::push`]). An [`Entry`] is bytes under a tag. What any
//! reference leads to comes into a layout ([`Registry::bring`]).
//!
//! Invariants: what comes is bounded and has the digest that it was asked for by before anything reads it; a credential
//! is told to the registry that it is for and to that one's token service, protected by TLS unless the registry itself is
//! reached without; a tag is set after everything that it leads to is there. Nothing here reads environment variables.

mod access;
mod api;
mod bring;
mod challenge;
mod connection;
mod credentials;
mod docker_config;
mod entries;
mod error;
mod hosts;
mod manifests;
mod parallel;
mod progress;
mod pull;
mod push;
mod referrers;
mod token;
mod upload;

pub use api::Quota;
pub use connection::{Registry, Session};
pub use credentials::{Credential, CredentialError, Keychain};
pub use entries::Entry;
pub use error::{Action, ApiError, Fault, RegistryError};
pub use hosts::{HostError, Hosts};
pub use progress::{Event, Outcome, Progress};
pub use pull::{PulledImage, PulledLayer};
pub use push::{PushPlan, Pushed, TagChange};

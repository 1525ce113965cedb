//! The client as its users see it: against a server that does what a test tells it to, and against the real registry of
//! Docker's with images that the real skopeo put there.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
#![allow(clippy::disallowed_methods, reason = "a test that panics shows where")]

mod authorisation;
mod bring;
mod entries;
mod fixture;
mod hostile;
mod pull;
mod push;
mod skopeo;

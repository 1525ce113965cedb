//! A content-addressed store on disk, and the verified downloads that fill it.
//!
//! - [`Store`]: blobs named by the SHA-256 of their bytes, and results derived from them. A [`Blob`] is proof: it can
//!   only be had after its bytes were hashed, so nothing that rotted on disk reaches an image.
//!   [`Store::digest_of`] tells what other files hash to, without reading those again that have not changed.
//! - [`Client`]: downloads into the store over HTTP, with time limits, retries, resumption and a bound on everything
//!   that a server decides; and any other [`Request`] with the same limits.
//!
//! Invariants: what stands under a final name is whole or is noticed to be broken and made again; a process may be
//! killed at any moment; any number of processes may share a store. Nothing here reads environment variables.

#![expect(
    clippy::disallowed_methods,
    reason = "every error becomes a `StoreError`, which names the path itself"
)]

mod blob;
mod client;
mod derived;
mod elsewhere;
mod exchange;
mod fault;
mod hashed;
mod partial;
mod proxy;
mod redirect;
mod resolver;
mod store;
mod transfer;

pub use blob::{Blob, BlobWriter};
pub use client::{Client, Download, Limits, Options, Progress};
pub use derived::Scratch;
pub use elsewhere::{Derived, Elsewhere};
pub use exchange::{Answer, Method, Request, Upload};
pub use fault::{Failure, Fault, FetchError, Limit};
pub use proxy::ProxyError;
pub use redirect::same_origin;
pub use store::{Lock, Store, StoreError};

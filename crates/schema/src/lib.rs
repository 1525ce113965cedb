//! The forms of the files that people and programs read and write, and the few values that every part shares.
//!
//! - [`matrix`]: what to build (`matrix.toml`)
//! - [`image`]: what an image is (`images/*/image.toml`)
//! - [`lock`]: which packages it is built from (`matrix.lock`)
//! - [`mod@reference`]: what images in registries are called
//! - [`run`]: what was built and measured (`dist/run.json`)
//! - [`listing`]: what is in an image, path by path, and why
//!
//! Everything is parsed from text that somebody else has read: nothing here opens a file or a connection.

mod architecture;
mod digest;
pub mod image;
pub mod listing;
pub mod lock;
pub mod matrix;
mod name;
pub mod reference;
pub mod run;
mod text;

pub use architecture::{Architecture, ArchitectureError};
pub use digest::{Digest, DigestError, Hasher};
pub use text::{ParseError, nearest};

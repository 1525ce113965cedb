//! A signed Debian archive: indexes, dependency choice, packages.

pub mod openpgp;

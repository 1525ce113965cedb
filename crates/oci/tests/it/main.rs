//! The crate as others use it: images made in memory, put into a layout, read back, damaged and exported.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod export;
mod fixture;
mod hostile;
mod images;
mod layout;
mod referrers;

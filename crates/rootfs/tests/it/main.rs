//! Tests of the crate as others use it: tars in, trees, tars and folders out.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]
#![allow(clippy::print_stdout, reason = "a test that skips something says so")]

mod directory;
mod hostile;
mod listing;
mod live;
mod properties;
mod reading;
mod resolving;
mod stacking;
mod tree;
mod writing;

//! The program from outside, on roots made in temporary folders and on the machine's own.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod bad_input;
mod fixture;
mod interrupted;
mod magicpak;
mod ordinary;
mod outputs;
mod reports;
mod running;
mod selection;

//! What a person sees of the verbs, through the program itself, on small projects whose packages come from a mirror on
//! loopback. No network, no real package, nothing of the machine's own settings.
#![cfg(test)]

mod build;
mod mirror;
mod program;
mod project;
mod updates;

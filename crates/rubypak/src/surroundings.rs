//! What is taken from the surroundings: arguments, variables, the current folder. Everything else is given values.
#![expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Context;

/// The program's own name and its arguments.
pub(crate) fn arguments() -> Vec<OsString> {
    env::args_os().collect()
}

/// Where it was called.
pub(crate) fn current_folder() -> anyhow::Result<PathBuf> {
    env::current_dir().context("cannot tell the current folder")
}

/// Where programs are looked up on this machine; nothing where that is not said. As a shell does, it passes over what is
/// no folder and what may not be entered.
pub(crate) fn search_path() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).filter(|folder| folder.is_absolute() && folder.is_dir()).collect()
}

/// Every variable.
pub(crate) fn variables() -> BTreeMap<OsString, OsString> {
    env::vars_os().collect()
}

/// Where files go that are needed for a moment.
pub(crate) fn temporary_folder() -> PathBuf {
    env::temp_dir()
}

//! One module a verb: it reads its flags, calls a library, and prints what comes back.

pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod diff;
pub(crate) mod export;
pub(crate) mod list;
pub(crate) mod load;
pub(crate) mod part;
pub(crate) mod push;
pub(crate) mod release;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod sign;
pub(crate) mod update;
pub(crate) mod why;

mod engine;
mod session;

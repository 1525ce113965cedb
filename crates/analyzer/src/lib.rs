//! The closure of a Ruby: from roots and rules to files, each with its reasons, and findings.
//!
//! [`analyze`] takes a root filesystem and a [`Request`] and gives a [`Closure`]. A *root* is a path that is wanted for its own sake;
//! a *rule* says what a path needs besides, and why; a *reason* is such an answer, kept with the path that it brought in;
//! a *finding* is a need that is not met, a file that cannot be read, or something that no analysis can decide.
//!
//! Invariants: the analysis is pure and total. It knows neither processes nor the network nor where the tree came from,
//! runs nothing that it reads, gives the same answer with any number of threads, and reports every need that it cannot
//! meet instead of leaving it out.

mod abi;
mod bundle;
mod closure;
mod elf;
mod engine;
mod finding;
#[cfg(test)]
mod fixture;
mod gemfile_lock;
mod gems;
pub mod ld_cache;
mod ld_so_conf;
mod load;
mod loader;
mod memo;
mod opening;
mod pattern;
mod rbconfig;
mod request;
mod ruby;
mod ruby_source;
mod rules;
mod scope;
mod scripts;
mod search;
mod shebang;
mod walk;

pub use closure::{Closure, Reason, Step};
pub use elf::ElfError;
pub use engine::analyze;
pub use finding::{Finding, FindingKind, Severity};
pub use pattern::matches;
pub use request::{Drop, Reach, Request, Root, Wanted};

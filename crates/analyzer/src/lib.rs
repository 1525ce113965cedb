//! The closure of a Ruby, or of any program: from roots and rules to files, each with its reasons, and findings.
//!
//! [`analyze`] takes a root filesystem and a [`Request`] and gives a [`Closure`]. A *root* is a path that is wanted for
//! its own sake; a *rule* says what a path needs besides, and why; a *reason* is such an answer, kept with the path that
//! it brought in; a *finding* is a need that is not met, a file that cannot be read, or something that no analysis can
//! decide.
//!
//! Invariants: the analysis is pure and total. It knows neither processes nor the network nor where the tree came from,
//! reads nothing but the tree that it is given, runs nothing that it reads, gives the same answer with any number of
//! threads, and reports every need that it cannot meet instead of leaving it out.
//!
//! The root filesystem is a [`rootfs::Tree`] in memory or a [`rootfs::LiveRoot`] on a disk, of which only what the roots
//! lead to is read:
//!
//! ```
//! use analyzer::{Request, Root, analyze};
//! use rootfs::{LiveRoot, RootPath};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # for (at, text) in [("usr/bin/hello", "#!/bin/interpreter\n"), ("opt/interpreter", "")] {
//! #     let file = folder.path().join(at);
//! #     std::fs::create_dir_all(file.parent().unwrap())?;
//! #     std::fs::write(&file, text)?;
//! #     std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
//! # }
//! # std::os::unix::fs::symlink("usr/bin", folder.path().join("bin"))?;
//! # std::os::unix::fs::symlink("../../opt/interpreter", folder.path().join("usr/bin/interpreter"))?;
//! let root = LiveRoot::open(folder.path())?;
//! // A program by its name; paths and globs do as well.
//! let roots = vec![Root::pattern("hello", "what the container is for")];
//! let closure = analyze(&root, &Request { roots, ..Request::default() });
//!
//! assert!(closure.findings.is_empty());
//! let chain = closure.chain(&RootPath::parse("/opt/interpreter")?).unwrap_or_default();
//! let steps: Vec<String> = chain.iter().map(|step| format!("{}: {}", step.path, step.reason)).collect();
//! assert_eq!(
//!     steps,
//!     [
//!         "/opt/interpreter: shebang of /usr/bin/hello",
//!         "/usr/bin/hello: root: what the container is for",
//!     ]
//! );
//! # Ok(())
//! # }
//! ```
//!
//! [`Request::drop`] leaves files out; [`matches()`] tells whether a pattern names anything; [`LiveRoot::select`] and the
//! writers of `rootfs` make a folder or a tar of the paths that are kept.
//!
//! [`LiveRoot::select`]: rootfs::LiveRoot::select

mod abi;
mod bundle;
mod closure;
mod elf;
mod engine;
mod finding;
#[cfg(test)]
mod fixture;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gemfile_lock;
mod gems;
pub mod ld_cache;
mod ld_so_conf;
mod libc_use;
mod load;
mod loader;
mod memo;
mod nature;
mod opening;
mod pattern;
mod rbconfig;
mod request;
pub mod ruby;
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
pub use pattern::{BadPattern, Drops, matches};
pub use request::{Drop, Reach, Request, Root, Wanted};

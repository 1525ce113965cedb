//! Following links inside a root, as the kernel would in a chroot (`path_resolution(7)`).
//!
//! `..` goes to the folder that holds the real one, and stays at the root; a target that starts with a slash starts
//! again at the root of the tree; forty links at most are followed.

use std::sync::Arc;

use thiserror::Error;

use crate::entry::Kind;
use crate::filesystem::Filesystem;
use crate::path::{RootPath, parent};

/// `ELOOP` comes after this many links (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The real path: no component of it is a link.
    pub path: RootPath,
    /// The links passed on the way, in that order, each by its own real path.
    pub links: Vec<RootPath>,
}

/// Why a path leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// Something on the way is not there.
    #[error("{path} leads to {missing}, which does not exist")]
    NotFound {
        /// The path asked for.
        path: RootPath,
        /// The first real path on the way that does not exist.
        missing: RootPath,
    },
    /// A file stands where a folder is needed.
    #[error("{path} leads through {file}, which is not a folder")]
    NotFolder {
        /// The path asked for.
        path: RootPath,
        /// The real path of the file.
        file: RootPath,
    },
    /// The links go on for ever, or nearly so.
    #[error("{path} leads through more than {MOST_LINKS} links")]
    TooManyLinks {
        /// The path asked for.
        path: RootPath,
    },
}

pub(crate) fn resolve<F: Filesystem + ?Sized>(
    filesystem: &F,
    path: &RootPath,
) -> Result<Resolved, ResolveError> {
    if let Some((real, entry)) = filesystem.look_up(path.as_bytes())
        && !matches!(entry.kind, Kind::Symlink(_))
    {
        return Ok(Resolved { path: real.clone(), links: Vec::new() });
    }
    let mut walk = Walk::new(path);
    let path = || path.clone();
    match walk.go(filesystem) {
        Stop::Arrived => Ok(Resolved { path: walk.real(), links: walk.links }),
        Stop::Missing => Err(ResolveError::NotFound { path: path(), missing: walk.real() }),
        Stop::NotFolder => Err(ResolveError::NotFolder { path: path(), file: walk.real() }),
        Stop::TooManyLinks => Err(ResolveError::TooManyLinks { path: path() }),
    }
}

/// A walk along a path. It can go on after a stop at something missing, once that has been made.
pub(crate) struct Walk {
    /// Texts still to walk, the innermost link target last, each with the offset reached.
    texts: Vec<(Arc<[u8]>, usize)>,
    /// The real path reached.
    real: Vec<u8>,
    links: Vec<RootPath>,
}

/// Why a walk stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Everything has been walked.
    Arrived,
    /// Nothing is at the real path reached.
    Missing,
    /// A file is at the real path reached, but the path goes on.
    NotFolder,
    TooManyLinks,
}

impl Walk {
    pub(crate) fn new(path: &RootPath) -> Self {
        Self { texts: vec![(path.shared(), 0)], real: b"/".to_vec(), links: Vec::new() }
    }

    /// The real path reached.
    pub(crate) fn real(&self) -> RootPath {
        RootPath::from_normalised(&self.real)
    }

    pub(crate) fn go<F: Filesystem + ?Sized>(&mut self, filesystem: &F) -> Stop {
        loop {
            // Looking again at what was reached lets a walk go on from something that was missing before.
            match filesystem.look_up(&self.real).map(|(_, entry)| &entry.kind) {
                None => return Stop::Missing,
                Some(Kind::Directory) => {
                    if !self.step() {
                        return Stop::Arrived;
                    }
                }
                Some(Kind::File(_)) if self.is_done() => return Stop::Arrived,
                Some(Kind::File(_)) => return Stop::NotFolder,
                Some(Kind::Symlink(_)) if self.links.len() == MOST_LINKS => return Stop::TooManyLinks,
                Some(Kind::Symlink(target)) => {
                    self.links.push(self.real());
                    let base = if target.starts_with(b"/") { 1 } else { folder_length(&self.real) };
                    self.real.truncate(base);
                    self.texts.push((Arc::clone(target), 0));
                }
            }
        }
    }

    /// Goes one component further; `false` where nothing is left.
    fn step(&mut self) -> bool {
        while let Some((text, offset)) = self.texts.last_mut() {
            let Some(component) = next_component(text, offset) else {
                self.texts.pop();
                continue;
            };
            if component == *b".." {
                self.real.truncate(folder_length(&self.real));
            } else {
                if self.real.len() > 1 {
                    self.real.push(b'/');
                }
                self.real.extend_from_slice(component);
            }
            return true;
        }
        false
    }

    fn is_done(&self) -> bool {
        self.texts.iter().all(|(text, offset)| next_component(text, &mut offset.clone()).is_none())
    }
}

/// How much of a real path names the folder that holds it; the root holds itself.
fn folder_length(real: &[u8]) -> usize {
    parent(real).map_or(1, <[u8]>::len)
}

/// The component at the offset, which moves behind it. Empty ones and `.` are passed over.
fn next_component<'a>(text: &'a [u8], offset: &mut usize) -> Option<&'a [u8]> {
    while *offset < text.len() {
        let rest = &text[*offset..];
        let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
        *offset += end + 1;
        if !matches!(&rest[..end], b"" | b".") {
            return Some(&rest[..end]);
        }
    }
    None
}

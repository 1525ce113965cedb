//! Paths inside a root.
//!
//! A [`RootPath`] is absolute and normalised: it starts with one slash, has no empty, `.` or `..` component, no NUL,
//! and no slash at its end (but for the root itself). It is bytes, as Linux file names are, and never a host path.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::escape::{Escaped, write_escaped};

/// The longest path that Linux takes, without its NUL (`PATH_MAX`, `path_resolution(7)`).
pub(crate) const LONGEST_PATH: usize = 4095;
/// The longest name of one file (`NAME_MAX` of every Linux file system in use).
const LONGEST_NAME: usize = 255;

/// A normalised absolute path in a root: `/usr/bin/ruby`; the root itself is `/`.
///
/// Ordered by bytes, so a folder comes before what it holds. A clone is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootPath(Arc<[u8]>);

/// Why a text is no path in a root.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// There is no text at all.
    #[error("the path is empty")]
    Empty,
    /// A relative path was wanted.
    #[error("the path {0} starts with a slash")]
    Absolute(Escaped),
    /// A component is `..`.
    #[error("the path {0} has a `..`")]
    ParentComponent(Escaped),
    /// A byte is NUL.
    #[error("the path {0} has a NUL byte")]
    Nul(Escaped),
    /// A component or the whole is longer than Linux takes; the text is cut.
    #[error("the path {0}... is longer than Linux takes (4095 bytes, 255 in one name)")]
    TooLong(Escaped),
}

impl RootPath {
    /// The root itself.
    pub fn root() -> Self {
        Self(Arc::from(&b"/"[..]))
    }

    /// Takes the text of a path as people and configurations write it: absolute, or relative to the root. Repeated
    /// slashes, `.` components and a slash at the end are dropped.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let text = text.as_ref();
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        extend(b"/", text)
    }

    /// The path of `relative` below this one. `relative` may be several components long.
    pub fn join(&self, relative: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let relative = relative.as_ref();
        match relative.first() {
            None => Err(PathError::Empty),
            Some(b'/') => Err(PathError::Absolute(relative.into())),
            Some(_) => extend(&self.0, relative),
        }
    }

    /// The folder that holds this path; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        parent(&self.0).map(|bytes| Self(bytes.into()))
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &[u8] {
        &self.0[last_slash(&self.0) + 1..]
    }

    /// The whole path with its leading slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path without its leading slash; empty for the root.
    pub fn relative(&self) -> &[u8] {
        &self.0[1..]
    }

    /// Whether this is `folder` or lies below it (`/usr/lib` does not start with `/usr/l`).
    pub fn starts_with(&self, folder: &RootPath) -> bool {
        match self.0.strip_prefix(&*folder.0) {
            Some(rest) => rest.is_empty() || rest[0] == b'/' || folder.is_root(),
            None => false,
        }
    }

    /// The folders above this path, the nearest first, the root last. The path itself is not among them.
    pub fn ancestors(&self) -> impl Iterator<Item = RootPath> + use<> {
        std::iter::successors(self.parent(), RootPath::parent)
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// Whether this is the folder that holds `path` itself, not one further up.
    pub fn holds(&self, path: &RootPath) -> bool {
        parent(&path.0) == Some(&*self.0)
    }

    pub(crate) fn shared(&self) -> Arc<[u8]> {
        Arc::clone(&self.0)
    }

    /// The path for bytes that are known to be normalised.
    pub(crate) fn from_normalised(bytes: &[u8]) -> Self {
        debug_assert!(bytes == b"/" || (bytes.starts_with(b"/") && !bytes.ends_with(b"/")));
        Self(bytes.into())
    }
}

/// The folder that holds a normalised path, as bytes.
pub(crate) fn parent(path: &[u8]) -> Option<&[u8]> {
    match last_slash(path) {
        0 if path.len() == 1 => None,
        0 => Some(&path[..1]),
        slash => Some(&path[..slash]),
    }
}

/// Whether the target of a symbolic link that lies in `folder` climbs above the root, by its text alone: links passed
/// on the way are not looked at. A chroot would stop at the root; in an archive it is a mistake or an attack.
pub(crate) fn climbs_out(folder: &RootPath, target: &[u8]) -> bool {
    let mut depth = match target.first() {
        Some(b'/') => 0,
        _ => folder.relative().split(|&byte| byte == b'/').filter(|name| !name.is_empty()).count(),
    };
    for component in target.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." if depth == 0 => return true,
            b".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

fn last_slash(path: &[u8]) -> usize {
    memchr::memrchr(b'/', path).expect("a path in a root starts with a slash")
}

/// Appends the components of `text` to the normalised `base`.
fn extend(base: &[u8], text: &[u8]) -> Result<RootPath, PathError> {
    if memchr::memchr(0, text).is_some() {
        return Err(PathError::Nul(shortened(text)));
    }
    let mut path = Vec::with_capacity(base.len() + text.len() + 1);
    path.extend_from_slice(base);
    for component in text.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => continue,
            b".." => return Err(PathError::ParentComponent(shortened(text))),
            _ => {}
        }
        if path.len() > 1 {
            path.push(b'/');
        }
        path.extend_from_slice(component);
        if component.len() > LONGEST_NAME || path.len() > LONGEST_PATH {
            return Err(PathError::TooLong(shortened(text)));
        }
    }
    Ok(RootPath(path.into()))
}

/// An error message needs no more of a text than this.
fn shortened(text: &[u8]) -> Escaped {
    Escaped::from(&text[..text.len().min(LONGEST_NAME)])
}

impl Borrow<[u8]> for RootPath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for RootPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(&self.0, out)
    }
}

impl fmt::Debug for RootPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RootPath {
        RootPath::parse(text).unwrap()
    }

    #[test]
    fn texts_are_normalised() {
        for (text, wanted) in [
            ("/", "/"),
            (".", "/"),
            ("./", "/"),
            ("usr/bin", "/usr/bin"),
            ("./usr//bin/./ruby/", "/usr/bin/ruby"),
            ("///usr", "/usr"),
            ("/usr/..x/...", "/usr/..x/..."),
        ] {
            assert_eq!(path(text).to_string(), wanted, "{text}");
        }
    }

    #[test]
    fn texts_that_are_no_path_are_refused() {
        let long_name = "n".repeat(256);
        let long_path = "a/".repeat(2100);
        let cut = |text: &str| Escaped::from(&text.as_bytes()[..255.min(text.len())]);
        for (text, wanted) in [
            ("", PathError::Empty),
            ("..", PathError::ParentComponent(cut(".."))),
            ("/usr/../etc", PathError::ParentComponent(cut("/usr/../etc"))),
            ("a\0b", PathError::Nul(cut("a\0b"))),
            (&long_name, PathError::TooLong(cut(&long_name))),
            (&long_path, PathError::TooLong(cut(&long_path))),
        ] {
            assert_eq!(RootPath::parse(text), Err(wanted));
        }
        assert_eq!(path("/usr").join("/bin"), Err(PathError::Absolute(cut("/bin"))));
        assert_eq!(path("/usr").join(""), Err(PathError::Empty));
    }

    #[test]
    fn parts() {
        let ruby = path("/usr").join("bin/ruby").unwrap();
        assert_eq!(ruby, path("/usr/bin/ruby"));
        assert_eq!(ruby.name(), b"ruby");
        assert_eq!(ruby.relative(), b"usr/bin/ruby");
        assert_eq!(ruby.parent(), Some(path("/usr/bin")));
        assert_eq!(ruby.ancestors().collect::<Vec<_>>(), [path("/usr/bin"), path("/usr"), path("/")]);
        assert_eq!(RootPath::root().parent(), None);
        assert_eq!(RootPath::root().name(), b"");
        assert_eq!(RootPath::root().ancestors().count(), 0);
        assert_eq!(RootPath::root().join("x").unwrap(), path("/x"));
    }

    #[test]
    fn starting_with_goes_by_component() {
        for (of, folder, wanted) in [
            ("/usr/lib", "/usr", true),
            ("/usr/lib", "/usr/lib", true),
            ("/usr/lib", "/", true),
            ("/usr/lib", "/usr/l", false),
            ("/usr", "/usr/lib", false),
            ("/", "/", true),
        ] {
            assert_eq!(path(of).starts_with(&path(folder)), wanted, "{of} {folder}");
        }
    }

    #[test]
    fn a_target_climbs_out_when_any_part_of_it_does() {
        for (folder, target, wanted) in [
            ("/usr/bin", "ruby3.3", false),
            ("/usr/bin", "../../etc", false),
            ("/usr/bin", "../../../etc", true),
            ("/usr/bin", "../../../usr/bin/x", true),
            ("/usr/bin", "/etc/x", false),
            ("/usr/bin", "/../etc/x", true),
            ("/", "..", true),
            ("/", "a/..", false),
            ("/", "a/./../..", true),
            ("/", "", false),
        ] {
            assert_eq!(climbs_out(&path(folder), target.as_bytes()), wanted, "{folder} {target}");
        }
    }

    #[test]
    fn a_folder_comes_before_what_it_holds() {
        let mut paths = ["/a/b", "/a-b", "/a", "/a0", "/"].map(path);
        paths.sort();
        assert_eq!(paths, ["/", "/a", "/a-b", "/a/b", "/a0"].map(path));
    }
}

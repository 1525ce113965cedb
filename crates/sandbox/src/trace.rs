//! The files that a command used, as values: what comes of [`crate::trace`].
//!
//! A path is recorded as the command said it, made absolute in its root: the working directory, or the folder that
//! the call names, stands in front; `.` and empty parts are gone. Links in it are not followed. A `..` is, where it
//! leads at that moment, and what stands before it is recorded as looked up, for there may be a link in it.

use std::collections::BTreeMap;
use std::io;

use crate::error::{Failure, Step};

/// What processes did with a path, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// Asked about, changed, or named: `stat`, `access`, `readlink`, `chdir`, `rename`, `link`, `unlink` and others.
    LookedUp,
    /// Opened, be it to read, to write, or to list a folder.
    Opened,
    /// Executed. What its `#!` line or its program header names, the kernel opened by itself: these are not recorded,
    /// but for what they do in turn.
    Executed,
}

/// How a path was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The strongest use.
    pub used: Use,
    /// Something was there when it was first used, a link that leads nowhere included. So what the command itself made
    /// is not.
    pub found: bool,
}

/// Every path that a command and all its threads and children used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// Absolute paths in the command's root, which need not be text.
    pub files: BTreeMap<Vec<u8>, Access>,
}

impl Trace {
    /// The most bytes that the paths of one trace may take, 64 more counted for each. A command that uses more ends with
    /// an error.
    pub const LIMIT: usize = 256 << 20;

    /// Adds what another command used.
    pub fn merge(&mut self, other: Self) {
        for (path, access) in other.files {
            self.files
                .entry(path)
                .and_modify(|known| {
                    known.used = known.used.max(access.used);
                    known.found |= access.found;
                })
                .or_insert(access);
        }
    }

    /// As it crosses from the monitor to the caller: for each path a byte for its access, the path, and a NUL byte.
    pub(crate) fn encode(&self, mut out: impl io::Write) -> io::Result<()> {
        for (path, access) in &self.files {
            out.write_all(&[access.encode()])?;
            out.write_all(path)?;
            out.write_all(&[0])?;
        }
        out.flush()
    }

    /// The inverse of `encode`; `None` where the bytes are something else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let Some(bytes) = bytes.strip_suffix(&[0]) else { return bytes.is_empty().then(Self::default) };
        let record = |record: &[u8]| {
            let (access, path) = record.split_first()?;
            Some((path.to_vec(), Access::decode(*access)?))
        };
        Some(Self { files: bytes.split(|byte| *byte == 0).map(record).collect::<Option<_>>()? })
    }
}

impl Access {
    fn encode(self) -> u8 {
        let used = match self.used {
            Use::LookedUp => b'l',
            Use::Opened => b'o',
            Use::Executed => b'x',
        };
        if self.found { used.to_ascii_uppercase() } else { used }
    }

    fn decode(byte: u8) -> Option<Self> {
        let used = match byte.to_ascii_lowercase() {
            b'l' => Use::LookedUp,
            b'o' => Use::Opened,
            b'x' => Use::Executed,
            _ => return None,
        };
        Some(Self { used, found: byte.is_ascii_uppercase() })
    }
}

/// A trace that grows, within [`Trace::LIMIT`].
#[derive(Debug, Default)]
pub(crate) struct Recording {
    files: std::collections::HashMap<Vec<u8>, Access>,
    bytes: usize,
}

impl Recording {
    /// Counted for a path besides its bytes: what a table holds for it.
    const OVERHEAD: usize = 64;

    /// Records a use. Whether something is there is asked for a path that is new.
    pub(crate) fn add(
        &mut self,
        path: &[u8],
        used: Use,
        is_there: impl FnOnce() -> bool,
    ) -> Result<(), Failure> {
        if let Some(access) = self.files.get_mut(path) {
            access.used = access.used.max(used);
            return Ok(());
        }
        self.bytes = self.bytes.saturating_add(path.len()).saturating_add(Self::OVERHEAD);
        if self.bytes > Trace::LIMIT {
            return Err(Failure { step: Step::RecordPaths, subject: None, errno: libc::E2BIG });
        }
        self.files.insert(path.to_vec(), Access { used, found: is_there() });
        Ok(())
    }

    pub(crate) fn finish(self) -> Trace {
        Trace { files: self.files.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, Recording, Trace, Use};

    fn trace(files: &[(&[u8], Use, bool)]) -> Trace {
        let access =
            |(path, used, found): &(&[u8], Use, bool)| (path.to_vec(), Access { used: *used, found: *found });
        Trace { files: files.iter().map(access).collect() }
    }

    #[test]
    fn a_trace_crosses_unchanged() {
        let long = vec![b'x'; 4096];
        for files in [
            vec![],
            vec![(&b"/"[..], Use::LookedUp, true)],
            vec![
                (b"/a", Use::Executed, false),
                (b"/\xff\n b", Use::Opened, true),
                (&long, Use::LookedUp, false),
            ],
        ] {
            let trace = trace(&files);
            let mut bytes = Vec::new();
            trace.encode(&mut bytes).expect("memory");
            assert_eq!(Trace::decode(&bytes), Some(trace));
        }
    }

    #[test]
    fn what_is_no_trace_is_refused() {
        for bytes in [&b"x"[..], b"\0", b"?/a\0", b"o/a\0\0", b"o/a\0o/b"] {
            assert_eq!(Trace::decode(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn traces_add_up() {
        let mut sum = trace(&[(b"/a", Use::Opened, false), (b"/b", Use::LookedUp, true)]);
        sum.merge(trace(&[
            (b"/a", Use::LookedUp, true),
            (b"/b", Use::Executed, true),
            (b"/c", Use::Opened, true),
        ]));
        let expected =
            trace(&[(b"/a", Use::Opened, true), (b"/b", Use::Executed, true), (b"/c", Use::Opened, true)]);
        assert_eq!(sum, expected);
    }

    #[test]
    fn the_first_look_tells_whether_something_was_there() {
        let mut recording = Recording::default();
        recording.add(b"/made", Use::LookedUp, || false).expect("room");
        recording.add(b"/made", Use::Opened, || panic!("it was asked before")).expect("room");
        assert_eq!(recording.finish(), trace(&[(b"/made", Use::Opened, false)]));
    }

    #[test]
    fn a_recording_is_bounded() {
        let mut recording = Recording::default();
        let refused = (0..100).find(|number: &u32| {
            let mut path = vec![b'x'; 4 << 20];
            path.extend(number.to_string().into_bytes());
            recording.add(&path, Use::Opened, || true).is_err()
        });
        assert_eq!(refused, Some(63));
    }
}

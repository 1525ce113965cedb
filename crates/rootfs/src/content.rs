//! Contents of files: shared, immutable, and mostly slices of one memory-mapped tar, or files of a disk that are read when
//! somebody looks at them.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

use crate::filesystem::Fault;
use crate::live::{OnDisk, OpenFile};

/// Immutable bytes, shared: a slice of a memory-mapped file, or of bytes held in memory, or a file of a
/// [`LiveRoot`](crate::LiveRoot), which is read when the bytes are first looked at. A clone is cheap.
#[derive(Clone)]
pub struct Content(Bytes);

#[derive(Clone)]
enum Bytes {
    Part { backing: Arc<Backing>, range: Range<usize> },
    OnDisk(Arc<OnDisk>),
}

enum Backing {
    Mapped(memmap2::Mmap),
    Owned(Vec<u8>),
}

impl Content {
    /// Maps the file at `file` into memory.
    ///
    /// The file must not be changed or cut while any part of the content lives: a page that is gone ends the process
    /// with SIGBUS (mmap(2)). Files of a content-addressed cache are replaced whole, never written in place.
    pub fn map(file: &Path) -> io::Result<Self> {
        Self::map_open(fs_err::File::open(file)?.file())
    }

    /// Maps an open file into memory, with the same promise.
    #[allow(unsafe_code, reason = "the one memory map of the project")]
    pub(crate) fn map_open(file: &File) -> io::Result<Self> {
        // SAFETY: the bytes are only read, and the caller keeps the promise of `map`: cache entries are written under
        // another name, renamed into place and never touched; who opens a root on a disk promises it for that.
        let map = unsafe { memmap2::Mmap::map(file)? };
        let range = 0..map.len();
        Ok(Self(Bytes::Part { backing: Arc::new(Backing::Mapped(map)), range }))
    }

    pub(crate) fn on_disk(file: OnDisk) -> Self {
        Self(Bytes::OnDisk(Arc::new(file)))
    }

    /// How many bytes there are. A file on a disk that nobody has read is not read for it, and has as many as there were when
    /// it was seen.
    pub fn size(&self) -> u64 {
        match &self.0 {
            Bytes::Part { range, .. } => range.len() as u64,
            Bytes::OnDisk(file) => file.size(),
        }
    }

    /// Reads the bytes, where that was not done yet. Without it, those of a file that cannot be read look empty.
    pub(crate) fn load(&self) -> Result<Self, Fault> {
        match &self.0 {
            Bytes::Part { .. } => Ok(self.clone()),
            Bytes::OnDisk(file) => file.content().cloned(),
        }
    }

    /// Lends the bytes, at most the first `most`, for one look. Those of a file on a disk that nobody has asked for are not
    /// kept, so a look at every file of a root takes the memory of one; those of a file that cannot be read look empty.
    pub fn glance<T>(&self, most: usize, look: impl FnOnce(&[u8]) -> T) -> T {
        match &self.0 {
            Bytes::Part { .. } => look(&self[..self.len().min(most)]),
            Bytes::OnDisk(file) => file.glance(most, look),
        }
    }

    /// As [`glance`](Self::glance), where the file is open already.
    pub(crate) fn glance_at<T>(&self, open: OpenFile, most: usize, look: impl FnOnce(&[u8]) -> T) -> T {
        match &self.0 {
            Bytes::Part { .. } => self.glance(most, look),
            Bytes::OnDisk(file) => file.glance_at(open, most, look),
        }
    }

    /// The part of it at `range`, without a copy. `None` where the range is not inside.
    pub fn slice(&self, range: Range<usize>) -> Option<Self> {
        match &self.0 {
            Bytes::OnDisk(file) => file.content().ok()?.slice(range),
            Bytes::Part { backing, range: own } => {
                self.get(range.clone())?;
                let range = own.start + range.start..own.start + range.end;
                Some(Self(Bytes::Part { backing: Arc::clone(backing), range }))
            }
        }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self(Bytes::Part { backing: Arc::new(Backing::Owned(bytes)), range })
    }
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::OnDisk(file) => file.content().map(Deref::deref).unwrap_or_default(),
            Bytes::Part { backing, range } => {
                let whole: &[u8] = match &**backing {
                    Backing::Mapped(map) => map,
                    Backing::Owned(bytes) => bytes,
                };
                &whole[range.clone()]
            }
        }
    }
}

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Content {}

impl fmt::Debug for Content {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Bytes::Part { range, .. } => write!(out, "Content({} bytes)", range.len()),
            Bytes::OnDisk(_) => out.write_str("Content(on disk)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_of_slices_share_the_bytes() {
        let whole = Content::from(b"0123456789".to_vec());
        let middle = whole.slice(2..8).unwrap();
        assert_eq!(&*middle, b"234567");
        let inner = middle.slice(1..3).unwrap();
        assert_eq!(&*inner, b"34");
        assert!(std::ptr::eq(inner.as_ptr(), &raw const whole[3]));
        assert_eq!(&*middle.slice(6..6).unwrap(), b"");
    }

    #[test]
    fn a_slice_past_the_end_is_none() {
        let middle = Content::from(b"0123456789".to_vec()).slice(2..8).unwrap();
        assert_eq!(middle.slice(0..7), None);
        assert_eq!(middle.slice(7..7), None);
        #[allow(clippy::reversed_empty_ranges, reason = "the point of the test")]
        let reversed = 3..2;
        assert_eq!(middle.slice(reversed), None);
    }

    #[test]
    fn files_are_mapped_the_empty_one_too() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        for bytes in [&b""[..], b"bytes"] {
            fs_err::write(&file, bytes).unwrap();
            assert_eq!(&*Content::map(&file).unwrap(), bytes);
        }
        assert_eq!(Content::map(&folder.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}

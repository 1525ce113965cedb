//! The one tar writer: a tree as one tar, the same bytes for the same tree.
//!
//! Members are in the order of their paths, so a folder comes before what it holds. Headers are ustar, with a pax
//! header in front only where a value does not fit. Owners have numbers and no names; the time is one for all, or each
//! entry's own. The root itself is no member: its rights are the container runtime's business.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};

use thiserror::Error;

use crate::entry::{Entry, Inode, Kind};
use crate::header::{BLOCK, NewHeader, flag};
use crate::path::RootPath;
use crate::pax::NewRecords;
use crate::tree::Tree;

/// Contents at least this large go around the buffer.
const BUFFER: usize = 64 << 10;

/// What a tar has besides the tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TarOptions {
    /// The time of each member.
    pub times: Times,
}

/// The times of the members of a tar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// This one for all, in seconds since 1970-01-01 UTC.
    One(i64),
    /// That of the entry.
    Own,
}

impl Default for Times {
    fn default() -> Self {
        Self::One(0)
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TarSummary {
    /// Members that are not folders.
    pub files: u64,
    /// Bytes of all contents: what the files take on a disk. Hard links count once.
    pub bytes: u64,
}

/// Why a tar could not be written.
#[derive(Debug, Error)]
#[error("cannot write {path} into a tar")]
pub struct WriteError {
    /// The entry that could not be written; the root for the end of the archive.
    pub path: RootPath,
    /// What the output said.
    pub source: io::Error,
}

/// Writes a tree as a tar.
pub fn write_tar(tree: &Tree, out: &mut dyn Write, options: &TarOptions) -> Result<TarSummary, WriteError> {
    let mut writer = Writer {
        out: BufWriter::with_capacity(BUFFER, out),
        times: options.times,
        written: HashMap::new(),
        summary: TarSummary::default(),
    };
    for (path, entry) in tree.iter() {
        writer.entry(path, entry).map_err(|source| WriteError { path: path.clone(), source })?;
    }
    writer.finish().map_err(|source| WriteError { path: RootPath::root(), source })
}

struct Writer<'a> {
    out: BufWriter<&'a mut dyn Write>,
    times: Times,
    /// The first path of each file.
    written: HashMap<Inode, &'a RootPath>,
    summary: TarSummary,
}

impl<'a> Writer<'a> {
    fn entry(&mut self, path: &'a RootPath, entry: &Entry) -> io::Result<()> {
        match &entry.kind {
            Kind::Directory => {
                let name = [path.relative(), b"/"].concat();
                self.header(flag::DIRECTORY, &name, b"", entry, 0)
            }
            Kind::Symlink(target) => {
                self.summary.files += 1;
                self.header(flag::SYMLINK, path.relative(), target, entry, 0)
            }
            Kind::File(file) => {
                self.summary.files += 1;
                if let Some(first) = self.written.get(&file.inode) {
                    let target = first.relative();
                    return self.header(flag::HARD_LINK, path.relative(), target, entry, 0);
                }
                self.written.insert(file.inode, path);
                let size = file.content.len() as u64;
                self.summary.bytes += size;
                self.header(flag::FILE, path.relative(), b"", entry, size)?;
                self.content(&file.content)
            }
        }
    }

    fn header(&mut self, flag: u8, name: &[u8], link: &[u8], entry: &Entry, size: u64) -> io::Result<()> {
        let metadata = &entry.metadata;
        // The rights of a symbolic link mean nothing on Linux; every tar has these (symlink(7)).
        let mode = if flag == flag::SYMLINK { 0o777 } else { metadata.mode };
        let mut header = NewHeader::new(flag, mode);
        let mut records = NewRecords::default();
        if !header.name(name) {
            records.push("path", name);
        }
        if !header.link(link) {
            records.push("linkpath", link);
        }
        if !header.size(size) {
            records.push("size", size.to_string().as_bytes());
        }
        if !header.uid(metadata.uid) {
            records.push("uid", metadata.uid.to_string().as_bytes());
        }
        if !header.gid(metadata.gid) {
            records.push("gid", metadata.gid.to_string().as_bytes());
        }
        let mtime = match self.times {
            Times::One(mtime) => mtime,
            Times::Own => metadata.mtime,
        };
        if !header.mtime(mtime) {
            records.push("mtime", mtime.to_string().as_bytes());
        }
        // A hard link has the attributes of the file that it is.
        if flag != flag::HARD_LINK {
            for (name, value) in &metadata.xattrs {
                records.push_xattr(name, value);
            }
        }
        self.records(records.as_bytes())?;
        self.out.write_all(&header.finish())
    }

    fn records(&mut self, records: &[u8]) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let mut header = NewHeader::new(flag::PAX, 0o644);
        let fits = header.name(b"././@PaxHeader") && header.size(records.len() as u64);
        debug_assert!(fits, "paths and attributes of one entry are far below 8 GiB");
        self.out.write_all(&header.finish())?;
        self.content(records)
    }

    fn content(&mut self, content: &[u8]) -> io::Result<()> {
        self.out.write_all(content)?;
        let padding = content.len().next_multiple_of(BLOCK) - content.len();
        self.out.write_all(&[0; BLOCK][..padding])
    }

    fn finish(mut self) -> io::Result<TarSummary> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.flush()?;
        Ok(self.summary)
    }
}

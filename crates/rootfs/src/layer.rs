//! One tar, parsed and found harmless: names normalised, every content a slice of it.
//!
//! What a name means depends on the [`Dialect`]: in a layer of an image a name that starts with `.wh.` takes something
//! away (OCI image specification, "Layer Filesystem Changeset"), in a Debian package it is a name like any other.

use std::sync::Arc;

use thiserror::Error;

use crate::content::Content;
use crate::entry::{File, Metadata};
use crate::escape::Escaped;
use crate::header::flag;
use crate::path::{LONGEST_PATH, PathError, RootPath, climbs_out};
use crate::tar_reader::{RawMember, Reader};

/// Whose rules a tar follows, when it is read and when it is stacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The content of a Debian package, stacked as dpkg unpacks it: a link to a folder stays where a folder comes on
    /// top, a folder stays where a link comes on top, a file never replaces a folder.
    Debian,
    /// A layer of an OCI image: what comes on top replaces what is there, and whiteouts remove it.
    Oci,
}

/// How much of a tar is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many members, and how many folders that no member names.
    pub entries: usize,
    /// How many bytes the content of one file may have.
    pub file_size: u64,
}

impl Default for Limits {
    /// Far above every Debian package and image layer met so far.
    fn default() -> Self {
        Self { entries: 500_000, file_size: 4 << 30 }
    }
}

/// One tar, parsed.
#[derive(Debug)]
pub struct Layer {
    pub(crate) members: Vec<Member>,
    pub(crate) dialect: Dialect,
    pub(crate) limits: Limits,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) path: RootPath,
    pub(crate) metadata: Metadata,
    pub(crate) body: Body,
}

#[derive(Debug)]
pub(crate) enum Body {
    Directory,
    File(File),
    Symlink(Arc<[u8]>),
    /// The same file as the one at this path, which comes earlier or lies below.
    HardLink(RootPath),
    /// The path is not there any more.
    Whiteout,
    /// The folder at the path holds nothing of the layers below.
    Opaque,
}

/// Why a tar was refused, and because of which member.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("cannot accept the archive member \"{member}\" (its header is at byte {offset}): {fault}")]
pub struct TarError {
    /// The name of the member as it stands in the archive; what there is of it where the header is damaged.
    pub member: Escaped,
    /// Where its header starts, in bytes.
    pub offset: usize,
    /// What is wrong.
    pub fault: TarFault,
}

/// What is wrong with a member of a tar.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TarFault {
    /// The archive ends inside a header, or before the two blocks of zeros that must end it.
    #[error("the archive is cut short")]
    Truncated,
    /// A block of zeros stands alone, or an extended header has nothing to extend.
    #[error("the archive ends in its middle")]
    End,
    /// The checksum does not fit the header.
    #[error("its header has a wrong checksum")]
    Checksum,
    /// A field is no number, or one out of range.
    #[error("its {0} is no number in range")]
    Number(&'static str),
    /// The extended header is no list of records.
    #[error("its extended header is malformed")]
    Pax,
    /// A record of the extended header has a value that its key does not allow.
    #[error("its extended header has a bad value for {0}")]
    PaxValue(Escaped),
    /// A record of the extended header would change what is read, in a way not supported.
    #[error("its extended header has {0}, which is not supported")]
    PaxUnsupported(Escaped),
    /// The name has a `..`.
    #[error("its name has a `..`")]
    ParentComponent,
    /// The name starts with a slash.
    #[error("its name is absolute")]
    AbsoluteName,
    /// The name is no path for another reason.
    #[error("its name cannot be taken: {0}")]
    Name(PathError),
    /// The root is anything but a folder.
    #[error("it would put something other than a folder in place of the root")]
    RootNotFolder,
    /// The target of a symbolic link leads above the root.
    #[error("it links to {0}, which is outside the root")]
    LinkClimbsOut(Escaped),
    /// The target of a symbolic link is empty, too long or has a NUL byte.
    #[error("its link target is empty, longer than Linux takes, or has a NUL byte")]
    LinkTarget,
    /// The target of a hard link is absolute or has a `..`.
    #[error("it is a hard link to {0}, which is outside the root")]
    HardLinkClimbsOut(Escaped),
    /// The target of a hard link is no path for another reason.
    #[error("it is a hard link to what is no path: {0}")]
    HardLinkTarget(PathError),
    /// It is a character device.
    #[error("it is a character device")]
    CharacterDevice,
    /// It is a block device.
    #[error("it is a block device")]
    BlockDevice,
    /// It is a FIFO.
    #[error("it is a FIFO")]
    Fifo,
    /// Its type is not known.
    #[error("its type {:?} is not supported", char::from(*.0))]
    UnsupportedType(u8),
    /// The content would reach past the end of the archive.
    #[error("it claims {size} bytes, but the archive has {left} left")]
    PastEnd {
        /// The size that the header claims, in bytes.
        size: u64,
        /// How many bytes follow the header.
        left: u64,
    },
    /// The content is larger than is accepted.
    #[error("it has {size} bytes, more than the {limit} that are accepted")]
    TooLarge {
        /// The size of the content, in bytes.
        size: u64,
        /// The limit that was set.
        limit: u64,
    },
    /// A folder or link has a content, which some programs skip and others read as headers.
    #[error("it has a content of {0} bytes, but is no file")]
    UnexpectedContent(u64),
    /// There are more members than are accepted.
    #[error("the archive has more than the {0} members that are accepted")]
    TooManyEntries(usize),
    /// A whiteout names nothing that could be removed.
    #[error("it is a whiteout of nothing")]
    Whiteout,
}

impl Layer {
    /// Parses a whole tar. Contents stay slices of it. The first member that is not acceptable is the error.
    pub fn parse(tar: Content, dialect: Dialect, limits: Limits) -> Result<Self, TarError> {
        let parser = Parser { tar, dialect, limits };
        let members = parser.members()?;
        Ok(Self { members, dialect, limits })
    }

    /// The paths of its members as they are written, in the order of the tar: links above them are not followed.
    pub fn paths(&self) -> impl Iterator<Item = &RootPath> {
        self.members.iter().map(|member| &member.path)
    }
}

struct Parser {
    tar: Content,
    dialect: Dialect,
    limits: Limits,
}

impl Parser {
    fn members(&self) -> Result<Vec<Member>, TarError> {
        let mut reader = Reader::new(&self.tar);
        let mut members = Vec::new();
        while let Some(mut raw) = reader.next()? {
            if members.len() == self.limits.entries {
                return Err(raw.error(TarFault::TooManyEntries(self.limits.entries)));
            }
            match self.member(&mut raw) {
                Ok(member) => members.extend(member),
                Err(fault) => return Err(raw.error(fault)),
            }
        }
        Ok(members)
    }

    /// The checked form of a member; `None` for what an AUFS driver left behind.
    fn member(&self, raw: &mut RawMember<'_>) -> Result<Option<Member>, TarFault> {
        let path = member_path(&raw.name)?;
        let marker = match self.dialect {
            Dialect::Debian => Marker::None,
            Dialect::Oci => whiteout(&path)?,
        };
        let (path, body) = match marker {
            Marker::None => {
                let body = self.body(raw, &path)?;
                (path, body)
            }
            Marker::Whiteout(hidden) => (hidden, Body::Whiteout),
            Marker::Opaque(folder) => (folder, Body::Opaque),
            Marker::Ignored => return Ok(None),
        };
        if path.is_root() && !matches!(body, Body::Directory | Body::Opaque) {
            return Err(TarFault::RootNotFolder);
        }
        let metadata = Metadata {
            mode: raw.mode,
            uid: raw.uid,
            gid: raw.gid,
            mtime: raw.mtime,
            xattrs: std::mem::take(&mut raw.xattrs),
        };
        Ok(Some(Member { path, metadata, body }))
    }

    fn body(&self, raw: &RawMember<'_>, path: &RootPath) -> Result<Body, TarFault> {
        let size = raw.content.len() as u64;
        let is_file = matches!(raw.type_flag, flag::FILE | flag::OLD_FILE | flag::CONTIGUOUS_FILE);
        // Before POSIX a slash at the end was how a folder was told from a file.
        let is_old_directory = is_file && raw.name.ends_with(b"/");
        let body = match raw.type_flag {
            _ if is_old_directory => Body::Directory,
            _ if is_file => return self.file(raw).map(Body::File),
            flag::DIRECTORY => Body::Directory,
            flag::SYMLINK => Body::Symlink(symlink_target(path, raw.link)?),
            flag::HARD_LINK => Body::HardLink(hard_link_target(raw.link)?),
            flag::CHARACTER_DEVICE => return Err(TarFault::CharacterDevice),
            flag::BLOCK_DEVICE => return Err(TarFault::BlockDevice),
            flag::FIFO => return Err(TarFault::Fifo),
            other => return Err(TarFault::UnsupportedType(other)),
        };
        if size == 0 { Ok(body) } else { Err(TarFault::UnexpectedContent(size)) }
    }

    fn file(&self, raw: &RawMember<'_>) -> Result<File, TarFault> {
        let size = raw.content.len() as u64;
        if size > self.limits.file_size {
            return Err(TarFault::TooLarge { size, limit: self.limits.file_size });
        }
        let content = self.tar.slice(raw.content.clone()).expect("the reader has checked the range");
        Ok(File::new(content))
    }
}

fn member_path(name: &[u8]) -> Result<RootPath, TarFault> {
    if name.starts_with(b"/") {
        return Err(TarFault::AbsoluteName);
    }
    RootPath::parse(name).map_err(|error| match error {
        PathError::ParentComponent(_) => TarFault::ParentComponent,
        other => TarFault::Name(other),
    })
}

fn symlink_target(path: &RootPath, target: &[u8]) -> Result<Arc<[u8]>, TarFault> {
    if !is_link_target(target) {
        return Err(TarFault::LinkTarget);
    }
    let folder = path.parent().ok_or(TarFault::RootNotFolder)?;
    if climbs_out(&folder, target) {
        return Err(TarFault::LinkClimbsOut(target.into()));
    }
    Ok(target.into())
}

/// Whether symlink(2) would take the text.
pub(crate) fn is_link_target(target: &[u8]) -> bool {
    !target.is_empty() && target.len() <= LONGEST_PATH && !target.contains(&0)
}

fn hard_link_target(target: &[u8]) -> Result<RootPath, TarFault> {
    member_path(target).map_err(|fault| match fault {
        TarFault::Name(error) => TarFault::HardLinkTarget(error),
        _ => TarFault::HardLinkClimbsOut(target.into()),
    })
}

enum Marker {
    None,
    /// What lies at this path is hidden.
    Whiteout(RootPath),
    /// What lies in this folder is hidden.
    Opaque(RootPath),
    /// Bookkeeping of AUFS (`.wh..wh.aufs`, `.wh..wh.plnk/...`).
    Ignored,
}

fn whiteout(path: &RootPath) -> Result<Marker, TarFault> {
    let (Some(parent), name) = (path.parent(), path.name()) else { return Ok(Marker::None) };
    for folder in parent.relative().split(|&byte| byte == b'/') {
        if folder.starts_with(b".wh..wh.") {
            return Ok(Marker::Ignored);
        }
        if folder.starts_with(b".wh.") {
            return Err(TarFault::Whiteout);
        }
    }
    match name.strip_prefix(b".wh.") {
        None => Ok(Marker::None),
        Some(b".wh..opq") => Ok(Marker::Opaque(parent)),
        Some(hidden) if hidden.starts_with(b".wh.") => Ok(Marker::Ignored),
        Some(b"" | b"." | b"..") => Err(TarFault::Whiteout),
        Some(hidden) => parent.join(hidden).map(Marker::Whiteout).map_err(TarFault::Name),
    }
}

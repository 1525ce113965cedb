//! Tars in memory, honest ones as Debian's packages have them (GNU format, names that start with `./`) and hostile ones.
//!
//! A [`Member`] starts honest and each method bends one thing; nothing is checked, so that a test can say what no tar
//! program would write.

use std::borrow::Borrow;

const BLOCK: usize = 512;

/// An archive under construction.
#[derive(Clone, Debug, Default)]
pub struct Tar {
    bytes: Vec<u8>,
}

/// One member of an archive: a header, what stands before it, and a content.
#[derive(Clone, Debug)]
pub struct Member {
    name: Vec<u8>,
    link: Vec<u8>,
    type_flag: u8,
    mode: u32,
    uid: u64,
    gid: u64,
    mtime: u64,
    content: Vec<u8>,
    claimed_size: Option<u64>,
    pax: Vec<(Vec<u8>, Vec<u8>)>,
    checksum_holds: bool,
}

impl Member {
    /// A member with this type flag and neither content nor target.
    pub fn new(type_flag: u8, name: impl AsRef<[u8]>) -> Self {
        Self {
            name: name.as_ref().to_vec(),
            link: Vec::new(),
            type_flag,
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 0,
            content: Vec::new(),
            claimed_size: None,
            pax: Vec::new(),
            checksum_holds: true,
        }
    }

    /// A file, mode 0644.
    pub fn file(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        Self { content: content.as_ref().to_vec(), ..Self::new(b'0', name) }
    }

    /// A folder, mode 0755.
    pub fn folder(name: impl AsRef<[u8]>) -> Self {
        Self { mode: 0o755, ..Self::new(b'5', name) }
    }

    /// A symbolic link.
    pub fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self { mode: 0o777, link: target.as_ref().to_vec(), ..Self::new(b'2', name) }
    }

    /// A hard link.
    pub fn hard_link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self { link: target.as_ref().to_vec(), ..Self::new(b'1', name) }
    }

    /// With this mode.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// With these numbers of owner and group. What is too large for octal digits is written in base 256.
    #[must_use]
    pub fn owner(mut self, uid: u64, gid: u64) -> Self {
        (self.uid, self.gid) = (uid, gid);
        self
    }

    /// With this time, in seconds.
    #[must_use]
    pub fn mtime(mut self, mtime: u64) -> Self {
        self.mtime = mtime;
        self
    }

    /// With this content, which the type need not have.
    #[must_use]
    pub fn content(mut self, content: impl AsRef<[u8]>) -> Self {
        self.content = content.as_ref().to_vec();
        self
    }

    /// With a pax header in front that has this record, after those before.
    #[must_use]
    pub fn pax(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.pax.push((key.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// With this size in its header, whatever the content.
    #[must_use]
    pub fn claim_size(mut self, size: u64) -> Self {
        self.claimed_size = Some(size);
        self
    }

    /// With a checksum that does not fit.
    #[must_use]
    pub fn break_checksum(mut self) -> Self {
        self.checksum_holds = false;
        self
    }
}

impl Tar {
    /// An archive without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member. Names and targets of more than 100 bytes get GNU's long headers in front.
    #[must_use]
    #[allow(clippy::should_implement_trait, reason = "a builder adds; nobody takes this for a sum")]
    pub fn add(mut self, member: impl Borrow<Member>) -> Self {
        let member = member.borrow();
        if !member.pax.is_empty() {
            let records: Vec<u8> =
                member.pax.iter().flat_map(|(key, value)| pax_record(key, value)).collect();
            self.push(&Member::new(b'x', "pax").content(records));
        }
        for (type_flag, text) in [(b'K', &member.link), (b'L', &member.name)] {
            if text.len() > 100 {
                let text = [text, &b"\0"[..]].concat();
                self.push(&Member::new(type_flag, "././@LongLink").content(text));
            }
        }
        self.push(member);
        self
    }

    /// Adds a file with its parents left out, mode 0644.
    #[must_use]
    pub fn file(self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        self.add(Member::file(name, content))
    }

    /// Adds a folder, mode 0755.
    #[must_use]
    pub fn folder(self, name: impl AsRef<[u8]>) -> Self {
        self.add(Member::folder(name))
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn symlink(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.add(Member::symlink(name, target))
    }

    /// Adds a hard link.
    #[must_use]
    pub fn hard_link(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.add(Member::hard_link(name, target))
    }

    /// Adds bytes as they are.
    #[must_use]
    pub fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.bytes.extend_from_slice(bytes.as_ref());
        self
    }

    /// The archive with the two blocks of zeros that end it.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&[0; 2 * BLOCK]);
        self.bytes
    }

    /// The archive without its end.
    pub fn unfinished(self) -> Vec<u8> {
        self.bytes
    }

    fn push(&mut self, member: &Member) {
        self.bytes.extend_from_slice(&header(member));
        self.bytes.extend_from_slice(&member.content);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
    }
}

fn header(member: &Member) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut text = |at: usize, value: &[u8], room: usize| {
        let value = &value[..value.len().min(room)];
        block[at..at + value.len()].copy_from_slice(value);
    };
    let size = member.claimed_size.unwrap_or(member.content.len() as u64);
    text(0, &member.name, 100);
    text(100, &number(member.mode.into(), 8), 8);
    text(108, &number(member.uid, 8), 8);
    text(116, &number(member.gid, 8), 8);
    text(124, &number(size, 12), 12);
    text(136, &number(member.mtime, 12), 12);
    text(148, b"        ", 8);
    text(156, &[member.type_flag], 1);
    text(157, &member.link, 100);
    text(257, b"ustar  \0", 8);
    let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
    let sum = if member.checksum_holds { sum } else { sum + 1 };
    block[148..155].copy_from_slice(&number(sum, 7));
    block
}

/// Octal digits and a NUL, or base 256 where those have no room.
fn number(value: u64, room: usize) -> Vec<u8> {
    let octal = format!("{value:0width$o}\0", width = room - 1).into_bytes();
    if octal.len() == room {
        return octal;
    }
    let bytes = [&[0; 4][..], &value.to_be_bytes()].concat();
    let mut field = bytes[bytes.len() - room..].to_vec();
    field[0] = 0x80;
    field
}

/// One record of a pax header, with the length in front that counts itself.
fn pax_record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key, b"=", value, b"\n"].concat();
    let mut length = rest.len();
    while length.to_string().len() + rest.len() != length {
        length += 1;
    }
    [length.to_string().as_bytes(), &rest].concat()
}

//! The 512-byte header of a tar member: the fields of POSIX ustar (pax, IEEE Std 1003.1) and GNU's numbers in base 256.

use std::borrow::Cow;
use std::ops::Range;

/// The unit of a tar: a header is one block, a content is padded to whole blocks.
pub(crate) const BLOCK: usize = 512;

const NAME: Range<usize> = 0..100;
const MODE: Range<usize> = 100..108;
const UID: Range<usize> = 108..116;
const GID: Range<usize> = 116..124;
const SIZE: Range<usize> = 124..136;
const MTIME: Range<usize> = 136..148;
const CHECKSUM: Range<usize> = 148..156;
const TYPE: usize = 156;
const LINK: Range<usize> = 157..257;
const MAGIC_AND_VERSION: Range<usize> = 257..265;
const DEVICE_MAJOR: Range<usize> = 329..337;
const DEVICE_MINOR: Range<usize> = 337..345;
const PREFIX: Range<usize> = 345..500;

const USTAR: &[u8; 8] = b"ustar\x0000";

/// The type flags in use here.
pub(crate) mod flag {
    pub(crate) const FILE: u8 = b'0';
    /// A file as written before POSIX.
    pub(crate) const OLD_FILE: u8 = b'\0';
    pub(crate) const HARD_LINK: u8 = b'1';
    pub(crate) const SYMLINK: u8 = b'2';
    pub(crate) const CHARACTER_DEVICE: u8 = b'3';
    pub(crate) const BLOCK_DEVICE: u8 = b'4';
    pub(crate) const DIRECTORY: u8 = b'5';
    pub(crate) const FIFO: u8 = b'6';
    /// A file that asks for contiguous space; every reader takes it for a file.
    pub(crate) const CONTIGUOUS_FILE: u8 = b'7';
    pub(crate) const PAX: u8 = b'x';
    pub(crate) const PAX_GLOBAL: u8 = b'g';
    pub(crate) const GNU_LONG_NAME: u8 = b'L';
    pub(crate) const GNU_LONG_LINK: u8 = b'K';
}

/// A field whose text is no number.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotANumber(pub(crate) &'static str);

/// A header as read.
#[derive(Clone, Copy)]
pub(crate) struct Header<'a>(&'a [u8; BLOCK]);

impl<'a> Header<'a> {
    pub(crate) fn new(block: &'a [u8; BLOCK]) -> Self {
        Self(block)
    }

    /// Two blocks of zeros end an archive.
    pub(crate) fn is_end(self) -> bool {
        self.0.iter().all(|&byte| byte == 0)
    }

    pub(crate) fn checksum_holds(self) -> bool {
        number(&self.0[CHECKSUM]) == Some(checksum(self.0).into())
    }

    pub(crate) fn type_flag(self) -> u8 {
        self.0[TYPE]
    }

    /// The name, joined with the prefix that a ustar header may have; in a GNU header that place holds other fields.
    pub(crate) fn name(self) -> Cow<'a, [u8]> {
        let (name, prefix) = (text(&self.0[NAME]), text(&self.0[PREFIX]));
        if &self.0[MAGIC_AND_VERSION] == USTAR && !prefix.is_empty() {
            Cow::Owned([prefix, name].join(&b'/'))
        } else {
            Cow::Borrowed(name)
        }
    }

    pub(crate) fn link(self) -> &'a [u8] {
        text(&self.0[LINK])
    }

    pub(crate) fn mode(self) -> Result<u32, NotANumber> {
        // The file type bits that some writers add are dropped.
        let mode = number(&self.0[MODE]).ok_or(NotANumber("mode"))?;
        u32::try_from(mode & 0o7777).map_err(|_| NotANumber("mode"))
    }

    pub(crate) fn uid(self) -> Result<u32, NotANumber> {
        self.field(UID, "uid")
    }

    pub(crate) fn gid(self) -> Result<u32, NotANumber> {
        self.field(GID, "gid")
    }

    pub(crate) fn size(self) -> Result<u64, NotANumber> {
        self.field(SIZE, "size")
    }

    pub(crate) fn mtime(self) -> Result<i64, NotANumber> {
        self.field(MTIME, "mtime")
    }

    fn field<T: TryFrom<i128>>(self, range: Range<usize>, name: &'static str) -> Result<T, NotANumber> {
        number(&self.0[range]).and_then(|value| T::try_from(value).ok()).ok_or(NotANumber(name))
    }
}

/// The bytes of a field up to its NUL; a field that is full has none.
pub(crate) fn text(field: &[u8]) -> &[u8] {
    &field[..memchr::memchr(0, field).unwrap_or(field.len())]
}

/// A number in octal digits, or in base 256 (two's complement) where the highest bit is set. An empty field is 0.
fn number(field: &[u8]) -> Option<i128> {
    match field.split_first() {
        Some((&first, rest)) if first & 0x80 != 0 => {
            let sign = if first & 0x40 == 0 { 0 } else { -1 };
            let start = sign << 7 | i128::from(first & 0x7f);
            // No field is longer than 12 bytes, so this stays below 96 bits.
            Some(rest.iter().fold(start, |value, &byte| value << 8 | i128::from(byte)))
        }
        _ => {
            let digits = field.trim_ascii_start();
            let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
            let (digits, rest) = digits.split_at(end);
            if digits.iter().any(|&digit| digit > b'7') || rest.iter().any(|byte| !matches!(byte, 0 | b' ')) {
                return None;
            }
            Some(digits.iter().fold(0, |value, &digit| value << 3 | i128::from(digit - b'0')))
        }
    }
}

/// The sum of all bytes, with those of the checksum itself taken as spaces.
fn checksum(block: &[u8; BLOCK]) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    sum(block) - sum(&block[CHECKSUM]) + 8 * u32::from(b' ')
}

/// A header to write. A setter tells whether its value fits; one that does not is left for a pax record.
pub(crate) struct NewHeader([u8; BLOCK]);

impl NewHeader {
    pub(crate) fn new(type_flag: u8, mode: u32) -> Self {
        let mut header = Self([0; BLOCK]);
        header.0[TYPE] = type_flag;
        header.0[MAGIC_AND_VERSION].copy_from_slice(USTAR);
        header.octal(MODE, (mode & 0o7777).into());
        for zero in [UID, GID, SIZE, MTIME, DEVICE_MAJOR, DEVICE_MINOR] {
            header.octal(zero, 0);
        }
        header
    }

    /// Sets the name, split at a slash into prefix and name where that makes it fit. A name that does not fit is cut,
    /// for programs that know no pax.
    #[must_use]
    pub(crate) fn name(&mut self, name: &[u8]) -> bool {
        if self.text(NAME, name) {
            return true;
        }
        // The first slash that leaves a short enough name gives the shortest prefix. A slash at the end belongs to the
        // name of a folder.
        let earliest = name.len() - NAME.len() - 1;
        let slash = memchr::memchr(b'/', &name[earliest..name.len() - 1]).map(|at| earliest + at);
        match slash {
            Some(slash) if (1..=PREFIX.len()).contains(&slash) => {
                self.0[NAME].fill(0);
                self.text(PREFIX, &name[..slash]) && self.text(NAME, &name[slash + 1..])
            }
            _ => false,
        }
    }

    #[must_use]
    pub(crate) fn link(&mut self, target: &[u8]) -> bool {
        self.text(LINK, target)
    }

    #[must_use]
    pub(crate) fn uid(&mut self, uid: u32) -> bool {
        self.octal(UID, uid.into())
    }

    #[must_use]
    pub(crate) fn gid(&mut self, gid: u32) -> bool {
        self.octal(GID, gid.into())
    }

    #[must_use]
    pub(crate) fn size(&mut self, size: u64) -> bool {
        self.octal(SIZE, size)
    }

    #[must_use]
    pub(crate) fn mtime(&mut self, mtime: i64) -> bool {
        u64::try_from(mtime).is_ok_and(|mtime| self.octal(MTIME, mtime))
    }

    /// The block with its checksum.
    pub(crate) fn finish(mut self) -> [u8; BLOCK] {
        let sum = checksum(&self.0);
        // Six digits, NUL, space: the form that every tar has written since the seventh edition.
        self.octal(CHECKSUM.start..CHECKSUM.end - 1, sum.into());
        self.0[CHECKSUM.end - 1] = b' ';
        self.0
    }

    /// Copies what fits of `value`.
    fn text(&mut self, field: Range<usize>, value: &[u8]) -> bool {
        let fitting = &value[..value.len().min(field.len())];
        self.0[field.start..field.start + fitting.len()].copy_from_slice(fitting);
        fitting.len() == value.len()
    }

    /// Octal digits that fill the field but for a NUL at its end.
    fn octal(&mut self, field: Range<usize>, value: u64) -> bool {
        let digits = &mut self.0[field.start..field.end - 1];
        if value >> (3 * digits.len()) != 0 {
            return false;
        }
        let mut rest = value;
        for digit in digits.iter_mut().rev() {
            *digit = b"01234567"[(rest & 7) as usize];
            rest >>= 3;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (field, wanted) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"00000007", Some(7)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"0000648\0", None),
            (b"-000644\0", None),
            (b"64 4\0\0\0\0", None),
            (b"0x1f\0\0\0\0", None),
            (b"\x80\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x80", Some(-128)),
            (b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", Some((1 << 94) - 1)),
        ] {
            assert_eq!(number(field), wanted, "{field:?}");
        }
    }

    #[test]
    fn a_size_that_is_negative_or_past_64_bits_is_no_number() {
        for size in [[0xff; 12], [0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]] {
            let mut block = [0; BLOCK];
            block[SIZE].copy_from_slice(&size);
            assert_eq!(Header::new(&block).size(), Err(NotANumber("size")));
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut header = NewHeader::new(flag::FILE, 0o4755);
        assert!(header.name(b"usr/bin/ruby"));
        assert!(header.link(b"target"));
        assert!(header.uid(1000) && header.gid(0o7_777_777));
        assert!(header.size(0o77_777_777_777) && header.mtime(1_700_000_000));
        let block = header.finish();
        let header = Header::new(&block);
        assert!(header.checksum_holds() && !header.is_end());
        assert_eq!((&*header.name(), header.link()), (&b"usr/bin/ruby"[..], &b"target"[..]));
        assert_eq!((header.type_flag(), header.mode()), (flag::FILE, Ok(0o4755)));
        assert_eq!((header.uid(), header.gid()), (Ok(1000), Ok(0o7_777_777)));
        assert_eq!((header.size(), header.mtime()), (Ok(0o77_777_777_777), Ok(1_700_000_000)));
    }

    #[test]
    fn values_that_do_not_fit_are_told() {
        let mut header = NewHeader::new(flag::FILE, 0o644);
        assert!(!header.uid(0o10_000_000));
        assert!(!header.size(0o100_000_000_000));
        assert!(!header.mtime(-1) && !header.mtime(0o100_000_000_000));
        assert!(header.link(&[b'x'; 100]) && !header.link(&[b'x'; 101]));
    }

    #[test]
    fn long_names_are_split_at_a_slash() {
        let part = |length| "x".repeat(length);
        for (name, fits) in [
            (part(100), true),
            (part(101), false),
            (format!("{}/{}", part(155), part(100)), true),
            (format!("{}/{}", part(156), part(100)), false),
            (format!("{}/{}", part(10), part(101)), false),
            (format!("{}/", part(100)), false),
            (format!("{}/{}/", part(100), part(99)), true),
            (format!("/{}", part(100)), false),
        ] {
            let mut header = NewHeader::new(flag::FILE, 0o644);
            assert_eq!(header.name(name.as_bytes()), fits, "{name}");
            if fits {
                assert_eq!(&*Header::new(&header.finish()).name(), name.as_bytes());
            }
        }
    }
}

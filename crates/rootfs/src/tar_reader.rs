//! The members of a tar as they stand there, without a copy: ustar, GNU long names, pax records.
//!
//! The `tar` crate reads from a stream into buffers; here the archive is a slice (a memory map) and so is each content.
//! Nothing of a header is trusted: sizes are checked against the archive before they are used, and where programs are
//! known to disagree about what an archive says (a link with a content, an archive without its end) it is refused.

use std::borrow::Cow;
use std::ops::Range;

use crate::escape::Escaped;
use crate::header::{BLOCK, Header, NotANumber, flag, text};
use crate::layer::{TarError, TarFault};
use crate::pax::{Extended, PaxFault, check_global};

/// One member: the header and what stood before it and overrides it.
pub(crate) struct RawMember<'a> {
    /// Where its own header starts.
    pub(crate) offset: usize,
    pub(crate) type_flag: u8,
    pub(crate) name: Cow<'a, [u8]>,
    pub(crate) link: &'a [u8],
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: i64,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where in the archive its content is.
    pub(crate) content: Range<usize>,
}

impl RawMember<'_> {
    pub(crate) fn error(&self, fault: TarFault) -> TarError {
        TarError { member: Escaped::from(&*self.name), offset: self.offset, fault }
    }
}

pub(crate) struct Reader<'a> {
    tar: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(tar: &'a [u8]) -> Self {
        Self { tar, offset: 0 }
    }

    /// The next member, or `None` at the two blocks of zeros that end the archive.
    pub(crate) fn next(&mut self) -> Result<Option<RawMember<'a>>, TarError> {
        let mut extended = Extended::default();
        loop {
            let offset = self.offset;
            let header = self.header()?;
            let error = |fault| TarError { member: Escaped::from(&*header.name()), offset, fault };
            if header.is_end() {
                let ends = extended.is_empty() && self.header()?.is_end();
                return if ends { Ok(None) } else { Err(error(TarFault::End)) };
            }
            if !header.checksum_holds() {
                return Err(error(TarFault::Checksum));
            }
            let type_flag = header.type_flag();
            let is_extension =
                matches!(type_flag, flag::PAX | flag::PAX_GLOBAL | flag::GNU_LONG_NAME | flag::GNU_LONG_LINK);
            if !is_extension {
                return self.member(header, extended, offset).map(Some);
            }
            let content = header.size().map_err(TarFault::from).and_then(|size| self.content(size));
            let content = &self.tar[content.map_err(error)?];
            match type_flag {
                flag::GNU_LONG_NAME => extended.path = Some(text(content)),
                flag::GNU_LONG_LINK => extended.link = Some(text(content)),
                flag::PAX => extended.apply(content).map_err(|fault| error(fault.into()))?,
                _ => check_global(content).map_err(|fault| error(fault.into()))?,
            }
        }
    }

    fn member(
        &mut self,
        header: Header<'a>,
        extended: Extended<'a>,
        offset: usize,
    ) -> Result<RawMember<'a>, TarError> {
        let name = extended.path.map_or_else(|| header.name(), Cow::Borrowed);
        let mut member = RawMember {
            offset,
            type_flag: header.type_flag(),
            name,
            link: extended.link.unwrap_or_else(|| header.link()),
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: 0,
            xattrs: Vec::new(),
            content: 0..0,
        };
        let mut fill = || {
            member.mode = header.mode()?;
            member.uid = extended.uid.map_or_else(|| header.uid(), Ok)?;
            member.gid = extended.gid.map_or_else(|| header.gid(), Ok)?;
            member.mtime = extended.mtime.map_or_else(|| header.mtime(), Ok)?;
            member.content = self.content(extended.size.map_or_else(|| header.size(), Ok)?)?;
            Ok(())
        };
        fill().map_err(|fault: TarFault| member.error(fault))?;
        member.xattrs =
            extended.xattrs.into_iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        Ok(member)
    }

    /// The block at the offset, which moves on.
    fn header(&mut self) -> Result<Header<'a>, TarError> {
        let rest = &self.tar[self.offset..];
        let Some(block) = rest.first_chunk::<BLOCK>() else {
            let member = Escaped::from(text(&rest[..rest.len().min(100)]));
            return Err(TarError { member, offset: self.offset, fault: TarFault::Truncated });
        };
        self.offset += BLOCK;
        Ok(Header::new(block))
    }

    /// The range of the content of `size` bytes at the offset, which moves on over its padding.
    fn content(&mut self, size: u64) -> Result<Range<usize>, TarFault> {
        let left = self.tar.len() - self.offset;
        let past_end = TarFault::PastEnd { size, left: left as u64 };
        let padded = usize::try_from(size).ok().and_then(|size| size.checked_next_multiple_of(BLOCK));
        let Some(padded) = padded.filter(|&padded| padded <= left) else {
            return Err(past_end);
        };
        let start = self.offset;
        self.offset += padded;
        // No more than `padded`, which is a `usize`.
        let size = usize::try_from(size).map_err(|_| past_end)?;
        Ok(start..start + size)
    }
}

impl From<NotANumber> for TarFault {
    fn from(field: NotANumber) -> Self {
        Self::Number(field.0)
    }
}

impl From<PaxFault<'_>> for TarFault {
    fn from(fault: PaxFault<'_>) -> Self {
        match fault {
            PaxFault::Malformed => Self::Pax,
            PaxFault::Value(key) => Self::PaxValue(key.into()),
            PaxFault::Unsupported(key) => Self::PaxUnsupported(key.into()),
        }
    }
}

//! Fields of ELF structures in either class and byte order, and the file header.

use crate::StripError;

const MAGIC: &[u8] = b"\x7fELF";
const EI_CLASS: usize = 4;
const EI_DATA: usize = 5;
const E_TYPE: usize = 16;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
/// More program headers than the field holds: their number is in the first section header (`sh_info`).
const PN_XNUM: usize = 0xffff;
/// From this number on a section needs the extended numbering of the first section header.
const SHN_LORESERVE: usize = 0xff00;
const SHN_XINDEX: usize = 0xffff;
const PT_NULL: u64 = 0;

/// Word size and byte order of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    is_wide: bool,
    is_big: bool,
}

/// What the file header says of the other headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) format: Format,
    kind: u16,
    programs_at: usize,
    program_count: usize,
    pub(crate) sections_at: usize,
    pub(crate) section_count: usize,
    /// The section that holds the names of the others.
    pub(crate) names: Option<usize>,
}

/// Where the fields of the file header and of section headers are, by class (System V ABI, chapter 4).
struct Places {
    header_size: usize,
    phoff: usize,
    shoff: usize,
    phentsize: usize,
    program_header_size: usize,
    program_offset: usize,
    program_file_size: usize,
}

const NARROW: Places = Places {
    header_size: 52,
    phoff: 28,
    shoff: 32,
    phentsize: 42,
    program_header_size: 32,
    program_offset: 4,
    program_file_size: 16,
};
const WIDE: Places = Places {
    header_size: 64,
    phoff: 32,
    shoff: 40,
    phentsize: 54,
    program_header_size: 56,
    program_offset: 8,
    program_file_size: 32,
};

impl Format {
    /// The format of an ELF object; `None` for bytes that do not say they are one.
    pub(crate) fn of(bytes: &[u8]) -> Result<Option<Self>, StripError> {
        if !bytes.starts_with(MAGIC) {
            return Ok(None);
        }
        let is_wide = match bytes.get(EI_CLASS) {
            Some(1) => false,
            Some(2) => true,
            _ => return Err(StripError::Header),
        };
        let is_big = match bytes.get(EI_DATA) {
            Some(1) => false,
            Some(2) => true,
            _ => return Err(StripError::Header),
        };
        Ok(Some(Self { is_wide, is_big }))
    }

    /// The size of an address or offset, in bytes.
    pub(crate) fn word(self) -> usize {
        if self.is_wide { 8 } else { 4 }
    }

    pub(crate) fn section_header_size(self) -> usize {
        if self.is_wide { 64 } else { 40 }
    }

    /// A number of `size` bytes (2, 4 or 8) at `at`.
    pub(crate) fn get(self, bytes: &[u8], at: usize, size: usize) -> Option<u64> {
        let field = bytes.get(at..at.checked_add(size)?)?;
        let push = |number: u64, &byte: &u8| (number << 8) | u64::from(byte);
        Some(if self.is_big { field.iter().fold(0, push) } else { field.iter().rev().fold(0, push) })
    }

    /// Puts a number into `size` bytes at `at`; `None` where they are not there or too few for it.
    pub(crate) fn put(self, bytes: &mut [u8], at: usize, size: usize, number: usize) -> Option<()> {
        let field = bytes.get_mut(at..at.checked_add(size)?)?;
        let number = u64::try_from(number).ok()?.to_be_bytes();
        let (above, wanted) = number.split_at(number.len().checked_sub(size)?);
        if above.iter().any(|&byte| byte != 0) {
            return None;
        }
        field.copy_from_slice(wanted);
        if !self.is_big {
            field.reverse();
        }
        Some(())
    }

    fn half(self, bytes: &[u8], at: usize) -> Option<usize> {
        self.get(bytes, at, 2).and_then(|number| usize::try_from(number).ok())
    }

    fn offset(self, bytes: &[u8], at: usize) -> Option<usize> {
        self.get(bytes, at, self.word()).and_then(|number| usize::try_from(number).ok())
    }

    /// Place and size of `sh_size`, `sh_link` and `sh_info`, which hold what the file header has no room for.
    fn extension_fields(self) -> [(usize, usize); 3] {
        if self.is_wide { [(32, 8), (40, 4), (44, 4)] } else { [(20, 4), (24, 4), (28, 4)] }
    }

    fn places(self) -> &'static Places {
        if self.is_wide { &WIDE } else { &NARROW }
    }
}

impl Header {
    pub(crate) fn read(bytes: &[u8], format: Format) -> Result<Self, StripError> {
        let places = format.places();
        let fields = bytes.get(..places.header_size).ok_or(StripError::Header)?;
        let half = |at| format.half(fields, at).ok_or(StripError::Header);
        let offset = |at| format.offset(fields, at).ok_or(StripError::Header);
        let kind = u16::try_from(half(E_TYPE)?).map_err(|_| StripError::Header)?;
        let (programs_at, sections_at) = (offset(places.phoff)?, offset(places.shoff)?);
        // e_phentsize, e_phnum, e_shentsize, e_shnum and e_shstrndx follow one another.
        let [phentsize, phnum, shentsize, shnum, shstrndx] =
            [0, 1, 2, 3, 4].map(|field| half(places.phentsize + 2 * field));
        let mut header = Self {
            format,
            kind,
            programs_at,
            program_count: phnum?,
            sections_at,
            section_count: shnum?,
            names: Some(shstrndx?).filter(|&index| index != 0),
        };
        if sections_at == 0 {
            header.section_count = 0;
        } else if shentsize? == format.section_header_size() {
            header.read_extensions(bytes)?;
        } else {
            return Err(StripError::SectionHeaders);
        }
        if header.program_count > 0 && phentsize? != places.program_header_size {
            return Err(StripError::ProgramHeaders);
        }
        Ok(header)
    }

    /// Numbers that are too large for the file header are in the first section header.
    fn read_extensions(&mut self, bytes: &[u8]) -> Result<(), StripError> {
        let first = bytes.get(self.sections_at..).ok_or(StripError::SectionHeaders)?;
        let first = first.get(..self.format.section_header_size()).ok_or(StripError::SectionHeaders)?;
        let [size, link, info] = self.format.extension_fields();
        let number =
            |(at, size)| self.format.get(first, at, size).and_then(|number| usize::try_from(number).ok());
        if self.section_count == 0 {
            self.section_count = number(size).ok_or(StripError::SectionHeaders)?;
        }
        if self.names == Some(SHN_XINDEX) {
            self.names = number(link);
        }
        if self.program_count == PN_XNUM {
            self.program_count = number(info).ok_or(StripError::SectionHeaders)?;
        }
        Ok(())
    }

    /// Whether the kernel or a loader maps such an object: a program or a shared object.
    pub(crate) fn is_loadable(&self) -> bool {
        matches!(self.kind, ET_EXEC | ET_DYN)
    }

    /// Where the headers and everything that a program header names end.
    pub(crate) fn segments_end(&self, bytes: &[u8]) -> Result<usize, StripError> {
        let places = self.format.places();
        let mut end = places.header_size;
        if self.program_count == 0 {
            return Ok(end);
        }
        let size = self.program_count.checked_mul(places.program_header_size);
        let table_end = size.and_then(|size| self.programs_at.checked_add(size));
        let table = table_end.and_then(|end| bytes.get(self.programs_at..end));
        let table = table.ok_or(StripError::ProgramHeaders)?;
        end = end.max(self.programs_at + table.len());
        for program in table.chunks_exact(places.program_header_size) {
            let is_unused = self.format.get(program, 0, 4) == Some(PT_NULL);
            let offset = self.format.offset(program, places.program_offset).ok_or(StripError::Contents)?;
            let size = self.format.offset(program, places.program_file_size).ok_or(StripError::Contents)?;
            if is_unused || size == 0 {
                continue;
            }
            let segment_end = offset.checked_add(size).filter(|&end| end <= bytes.len());
            end = end.max(segment_end.ok_or(StripError::Contents)?);
        }
        Ok(end)
    }

    /// Says in the file header, and where it has no room in the first section header, where the section headers are.
    /// `None` where a number has no room anywhere.
    pub(crate) fn write_section_fields(
        &self,
        out: &mut [u8],
        headers_at: usize,
        count: usize,
        names: usize,
    ) -> Option<()> {
        let (format, places) = (self.format, self.format.places());
        let [(size_at, size), (link_at, link_size), _] = format.extension_fields();
        format.put(out, places.shoff, format.word(), headers_at)?;
        let (is_count_large, is_index_large) = (count >= SHN_LORESERVE, names >= SHN_LORESERVE);
        format.put(out, places.phentsize + 6, 2, if is_count_large { 0 } else { count })?;
        format.put(out, places.phentsize + 8, 2, if is_index_large { SHN_XINDEX } else { names })?;
        format.put(out, headers_at + size_at, size, if is_count_large { count } else { 0 })?;
        format.put(out, headers_at + link_at, link_size, if is_index_large { names } else { 0 })?;
        self.write_program_count(out, headers_at)
    }

    fn write_program_count(&self, out: &mut [u8], headers_at: usize) -> Option<()> {
        let [_, _, (info_at, info_size)] = self.format.extension_fields();
        let count = if self.program_count >= PN_XNUM { self.program_count } else { 0 };
        self.format.put(out, headers_at + info_at, info_size, count)
    }
}

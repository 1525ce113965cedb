//! Sections: which of them stay, and their new headers and names.

use std::collections::HashMap;
use std::ops::Range;

use crate::StripError;
use crate::format::{Format, Header};

const SHT_NULL: u64 = 0;
const SHT_PROGBITS: u64 = 1;
const SHT_SYMTAB: u64 = 2;
const SHT_STRTAB: u64 = 3;
const SHT_RELA: u64 = 4;
const SHT_NOTE: u64 = 7;
const SHT_NOBITS: u64 = 8;
const SHT_REL: u64 = 9;
const SHT_GROUP: u64 = 17;
const SHT_SYMTAB_SHNDX: u64 = 18;
/// What LLVM keeps for linkers, as call graphs and options (LLVM, "Extensions", ELF).
const SHT_LLVM: Range<u64> = 0x6fff_4c00..0x6fff_4d00;
const SHT_GNU_ATTRIBUTES: u64 = 0x6fff_fff5;
/// Attributes of one processor's objects, for linkers.
const SHT_PROCESSOR: Range<u64> = 0x7000_0000..0x8000_0000;
const SHF_ALLOC: u64 = 2;
/// `sh_info` is the number of a section.
const SHF_INFO_LINK: u64 = 0x40;

/// Starts of names of sections that only debuggers, linkers and people read. Their type is that of any data.
const NOT_FOR_THE_PROGRAM: [&[u8]; 16] = [
    b".debug",
    b".zdebug",
    b".comment",
    b".gnu.debuglto_",
    b".gnu.lto_",
    b".gnu_debugdata",
    b".gnu_debugaltlink",
    b".gnu.build.attributes",
    b".gnu.warning",
    b".gdb_index",
    b".stab",
    b".line",
    b".mdebug",
    b".pdr",
    b".llvm",
    b".BTF",
];
const DEBUG_LINK: &[u8] = b".gnu_debuglink";
const NAME_TABLE: &[u8] = b".shstrtab";

/// One section header.
#[derive(Clone, Debug)]
pub(crate) struct Section<'a> {
    raw: &'a [u8],
    name: usize,
    kind: u64,
    flags: u64,
    /// Where its bytes are in the file: nowhere for one that only takes memory.
    pub(crate) contents: Range<usize>,
    link: usize,
    info: usize,
}

/// What becomes of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It stays: it is part of the running program, or a header that says nothing.
    Allocated,
    /// It holds the names of sections, and a shorter one takes its place.
    Replaced,
    /// It goes.
    No,
    /// It goes too, and is too small to change an object for it.
    NotAlone,
    /// It may be data that the program reads from its own file.
    Unknown,
}

/// Reads every section header.
pub(crate) fn read_all<'a>(bytes: &'a [u8], header: &Header) -> Result<Vec<Section<'a>>, StripError> {
    let format = header.format;
    let size = header.section_count.checked_mul(format.section_header_size());
    let end = size.and_then(|size| header.sections_at.checked_add(size));
    let table = end.and_then(|end| bytes.get(header.sections_at..end)).ok_or(StripError::SectionHeaders)?;
    let headers = table.chunks_exact(format.section_header_size()).enumerate();
    headers.map(|(index, raw)| Section::read(raw, format, index == 0, bytes.len())).collect()
}

impl<'a> Section<'a> {
    fn read(raw: &'a [u8], format: Format, is_first: bool, file_size: usize) -> Result<Self, StripError> {
        let word = format.word();
        let [flags_at, offset_at, size_at] = [0, 2, 3].map(|field| 8 + field * word);
        let number = |at, size| format.get(raw, at, size).ok_or(StripError::SectionHeaders);
        let small = |at| {
            number(at, 4).and_then(|number| usize::try_from(number).map_err(|_| StripError::SectionHeaders))
        };
        let place = |at| {
            number(at, word).and_then(|number| usize::try_from(number).map_err(|_| StripError::Contents))
        };
        let kind = number(4, 4)?;
        let is_in_file = !is_first && !matches!(kind, SHT_NULL | SHT_NOBITS);
        let contents = if is_in_file {
            let (offset, size) = (place(offset_at)?, place(size_at)?);
            let end = offset.checked_add(size).filter(|&end| size == 0 || end <= file_size);
            let end = end.ok_or(StripError::Contents)?;
            if size == 0 { 0..0 } else { offset..end }
        } else {
            0..0
        };
        let link_at = size_at + word;
        Ok(Self {
            raw,
            name: small(0)?,
            kind,
            flags: number(flags_at, word)?,
            contents,
            link: small(link_at)?,
            info: small(link_at + 4)?,
        })
    }

    /// Whether it is part of the running program.
    pub(crate) fn is_allocated(&self) -> bool {
        self.kind != SHT_NULL && self.flags & SHF_ALLOC != 0
    }

    #[cfg(test)]
    pub(crate) fn link(&self) -> usize {
        self.link
    }

    pub(crate) fn kept(&self, name: &[u8], holds_names: bool) -> Kept {
        match self.kind {
            _ if holds_names => Kept::Replaced,
            SHT_NULL => Kept::Allocated,
            _ if self.is_allocated() => Kept::Allocated,
            SHT_PROGBITS if name == DEBUG_LINK => Kept::NotAlone,
            SHT_PROGBITS if NOT_FOR_THE_PROGRAM.iter().any(|start| name.starts_with(start)) => Kept::No,
            SHT_SYMTAB | SHT_STRTAB | SHT_RELA | SHT_NOTE | SHT_NOBITS | SHT_REL | SHT_GROUP
            | SHT_SYMTAB_SHNDX | SHT_GNU_ATTRIBUTES => Kept::No,
            kind if SHT_LLVM.contains(&kind) || SHT_PROCESSOR.contains(&kind) => Kept::No,
            _ => Kept::Unknown,
        }
    }

    /// Its header with another name, and without links to sections that are gone.
    pub(crate) fn header(&self, format: Format, name: usize, is_gone: impl Fn(usize) -> bool) -> Vec<u8> {
        let names_section = matches!(self.kind, SHT_REL | SHT_RELA) || self.flags & SHF_INFO_LINK != 0;
        let link_at = 8 + 4 * format.word();
        let mut fields = vec![(0, name)];
        if is_gone(self.link) {
            fields.push((link_at, 0));
        }
        if names_section && is_gone(self.info) {
            fields.push((link_at + 4, 0));
        }
        let mut raw = self.raw.to_vec();
        for (at, value) in fields {
            let written = format.put(&mut raw, at, 4, value);
            debug_assert!(written.is_some(), "a name starts inside of an object, whose size has this width");
        }
        raw
    }
}

/// The names of sections.
pub(crate) struct Names<'a> {
    table: &'a [u8],
}

impl<'a> Names<'a> {
    pub(crate) fn new(bytes: &'a [u8], section: Option<&Section<'_>>) -> Self {
        let table = section.and_then(|section| bytes.get(section.contents.clone()));
        Self { table: table.unwrap_or_default() }
    }

    /// The name of a section; empty where it has none.
    pub(crate) fn of(&self, section: &Section<'_>) -> &'a [u8] {
        let name = self.table.get(section.name..).unwrap_or_default();
        name.iter().position(|&byte| byte == 0).map_or(&[], |end| &name[..end])
    }
}

/// A new table of names.
pub(crate) struct NameTable {
    pub(crate) bytes: Vec<u8>,
    /// For each section, where its name starts.
    pub(crate) names: Vec<usize>,
    /// Where the name of the table itself starts.
    pub(crate) own_name: usize,
}

/// The names of the allocated ones among `sections`, each once. `None` where they take more than `limit` bytes.
pub(crate) fn name_table(sections: &[Section<'_>], names: &Names<'_>, limit: usize) -> Option<NameTable> {
    let mut bytes = vec![0];
    let mut known: HashMap<&[u8], usize> = HashMap::from([(&b""[..], 0)]);
    let mut add = |name| {
        let at = *known.entry(name).or_insert_with(|| {
            let at = bytes.len();
            bytes.extend_from_slice(name);
            bytes.push(0);
            at
        });
        (bytes.len() <= limit).then_some(at)
    };
    let name_of = |section: &Section<'_>| if section.is_allocated() { names.of(section) } else { b"" };
    let starts = sections.iter().map(|section| add(name_of(section))).collect::<Option<Vec<_>>>()?;
    let own_name = add(NAME_TABLE)?;
    Some(NameTable { bytes, names: starts, own_name })
}

/// The header of the table of names.
pub(crate) fn string_table_header(format: Format, name: usize, at: usize, size: usize) -> Vec<u8> {
    let word = format.word();
    let mut raw = vec![0; format.section_header_size()];
    let fields = [
        (0, 4, name),
        (4, 4, 3),
        (8 + 2 * word, word, at),
        (8 + 3 * word, word, size),
        (16 + 4 * word, word, 1),
    ];
    for (at, size, value) in fields {
        let written = format.put(&mut raw, at, size, value);
        debug_assert!(written.is_some(), "the object is smaller than the one that was read");
    }
    raw
}

//! What a dynamic loader reads of an ELF object before it maps it: the file header, the program headers, the dynamic
//! section, the versions of symbols and the names of undefined ones (System V ABI, chapters 4 and 5), and what the object
//! says it opens itself. Relocations are never looked at.
//!
//! An object counts as damaged where a part that a header names lies outside of the file, even a part that no loader
//! reads: so a file that was cut anywhere is noticed.

mod imports;
mod notes;
mod versions;

use std::ops::Range;

use goblin::container::Ctx;
use goblin::elf::dynamic::{
    DT_FLAGS_1, DT_GNU_HASH, DT_HASH, DT_NEEDED, DT_NULL, DT_RPATH, DT_RUNPATH, DT_SONAME, DT_STRSZ,
    DT_STRTAB, DT_SYMTAB, DT_VERDEF, DT_VERNEED,
};
use goblin::elf::header::{EI_DATA, EI_OSABI, ELFMAG, ET_DYN, ET_EXEC, Header};
use goblin::elf::program_header::{PT_DYNAMIC, PT_INTERP, PT_LOAD, PT_NOTE, ProgramHeader};
use thiserror::Error;

use crate::abi::{Abi, Floats};
use imports::HashTables;
pub(crate) use imports::Imports;
pub(crate) use notes::{Opened, Priority, read_opened};
use versions::Records;
pub(crate) use versions::VersionNeed;

const DT_DEPAUDIT: u64 = 0x6fff_fefb;
const DT_AUDIT: u64 = 0x6fff_fefc;
const DT_AUXILIARY: u64 = 0x7fff_fffd;
const DT_FILTER: u64 = 0x7fff_ffff;
const DF_1_NODEFLIB: u64 = 0x800;
const ELFOSABI_NONE: u8 = 0;
const ELFOSABI_GNU: u8 = 3;
/// Sixteen times the longest path. A search path can be longer than that; a name without an end is looked at no further.
const LONGEST_TEXT: usize = 1 << 16;

/// The file header, as far as it decides whether a file can be the library that was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) abi: Abi,
    osabi: u8,
    kind: u16,
}

/// How an object names another one that is loaded with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// `DT_NEEDED`
    Needed,
    /// `DT_FILTER`: the symbols of this object stand for those of the other.
    Filter,
    /// `DT_AUXILIARY`: as a filter, where the other is there.
    Auxiliary,
}

/// One object. The texts are slices of its bytes.
#[derive(Debug, PartialEq)]
pub(crate) struct Object<'a> {
    pub(crate) identity: Identity,
    /// The loader that the kernel starts for this program (`PT_INTERP`).
    pub(crate) interpreter: Option<&'a [u8]>,
    pub(crate) soname: Option<&'a [u8]>,
    /// The libraries that are loaded with it, in the order of the file.
    pub(crate) needed: Vec<(Link, &'a [u8])>,
    /// Libraries that watch the loader, where this is the program (rtld-audit(7)).
    pub(crate) audited_by: Vec<&'a [u8]>,
    /// Versions that its libraries have to define.
    pub(crate) version_needs: Vec<VersionNeed<'a>>,
    /// Versions that it defines itself; `None` for an object whose symbols have none.
    pub(crate) versions: Option<Vec<&'a [u8]>>,
    /// The contents of its notes on the libraries that it opens.
    pub(crate) opened: Vec<&'a [u8]>,
    /// The symbols that it takes from others.
    pub(crate) imports: Imports<'a>,
    /// Folders for the needs of this object and of those that it loads. `None` where a RUNPATH stands beside it, which
    /// overrules it.
    pub(crate) rpath: Option<&'a [u8]>,
    /// Folders for the needs of this object alone.
    pub(crate) runpath: Option<&'a [u8]>,
    /// `DF_1_NODEFLIB`: the loader's own folders are not searched for the needs of this object.
    pub(crate) no_default_folders: bool,
}

/// What is wrong with an ELF object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum ElfError {
    /// The file header is cut, or says what none may say.
    #[error("the file header is cut or malformed")]
    Header,
    /// The program headers are not all in the file.
    #[error("the program headers reach past the end of the file")]
    ProgramHeaders,
    /// The section headers are not all in the file.
    #[error("the section headers reach past the end of the file")]
    SectionHeaders,
    /// A segment is not all in the file.
    #[error("a segment reaches past the end of the file")]
    Segment,
    /// The string table of the dynamic section is not in the file.
    #[error("the string table of the dynamic section is not in the file")]
    StringTable,
    /// A name is not in the string table, or has no end there.
    #[error("a name in the dynamic section lies outside of its string table")]
    Name,
    /// The versions of symbols are not all in the file, or without an end.
    #[error("the versions of symbols lie outside of the file, or have no end")]
    Versions,
    /// The path of the loader has no end.
    #[error("the path of the loader has no end")]
    Interpreter,
}

/// Whether the bytes say of themselves that they are an ELF object.
pub(crate) fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(ELFMAG)
}

impl Identity {
    /// Reads the file header alone.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, ElfError> {
        let (header, context) = read_header(bytes)?;
        Ok(Self::of(&header, context))
    }

    fn of(header: &Header, context: Ctx) -> Self {
        let bits = if context.is_big() { 64 } else { 32 };
        let floats = Floats::of(header.e_machine, header.e_flags);
        Self {
            abi: Abi { bits, order: header.e_ident[EI_DATA], machine: header.e_machine, floats },
            osabi: header.e_ident[EI_OSABI],
            kind: header.e_type,
        }
    }

    /// Whether the kernel or a loader maps such an object: a program or a shared object of the System V or the GNU
    /// ABI, not a relocatable object or a core dump.
    pub(crate) fn is_loadable(self) -> bool {
        matches!(self.kind, ET_DYN | ET_EXEC) && self.is_of_linux()
    }

    /// Whether a loader maps such an object beside others.
    pub(crate) fn is_shared(self) -> bool {
        self.kind == ET_DYN
    }

    /// Whether it is an object of the System V or the GNU ABI.
    pub(crate) fn is_of_linux(self) -> bool {
        matches!(self.osabi, ELFOSABI_NONE | ELFOSABI_GNU)
    }
}

impl<'a> Object<'a> {
    /// Reads an object. One without a dynamic section, as a static program, needs nothing.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, ElfError> {
        let (header, context) = read_header(bytes)?;
        check_section_headers(bytes, &header)?;
        let segments = read_segments(bytes, &header, context)?;

        let mut object = Self {
            identity: Identity::of(&header, context),
            interpreter: None,
            soname: None,
            needed: Vec::new(),
            audited_by: Vec::new(),
            version_needs: Vec::new(),
            versions: None,
            opened: Vec::new(),
            imports: Imports::None,
            rpath: None,
            runpath: None,
            no_default_folders: false,
        };
        if !object.identity.is_loadable() {
            return Ok(object);
        }
        if let Some(segment) = segments.iter().find(|segment| segment.p_type == PT_INTERP) {
            let path = text_at(segment_bytes(bytes, segment)?, 0).ok_or(ElfError::Interpreter)?;
            object.interpreter = Some(path);
        }
        if let Some(segment) = segments.iter().find(|segment| segment.p_type == PT_DYNAMIC) {
            let section = segment_bytes(bytes, segment)?;
            object.read_dynamic(bytes, &segments, section, context)?;
        }
        for segment in segments.iter().filter(|segment| segment.p_type == PT_NOTE) {
            let notes = segment_bytes(bytes, segment)?;
            object.opened.extend(notes::opened(notes, segment.p_align, context));
        }
        Ok(object)
    }

    fn read_dynamic(
        &mut self,
        bytes: &'a [u8],
        segments: &[ProgramHeader],
        section: &[u8],
        context: Ctx,
    ) -> Result<(), ElfError> {
        let entries = dynamic_entries(section, context);
        let value = |wanted| entries.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
        let table = match (value(DT_STRTAB), value(DT_STRSZ)) {
            (Some(address), Some(size)) => loaded_bytes(bytes, segments, address)
                .and_then(|bytes| bytes.get(..usize::try_from(size).ok()?))
                .ok_or(ElfError::StringTable)?,
            _ => &[],
        };
        let records = |address| {
            let bytes = loaded_bytes(bytes, segments, address).ok_or(ElfError::Versions)?;
            Ok(Records { bytes, names: table, context })
        };
        for &(tag, value) in &entries {
            let name = || text_at(table, value).ok_or(ElfError::Name);
            match tag {
                DT_NEEDED => self.needed.push((Link::Needed, name()?)),
                DT_FILTER => self.needed.push((Link::Filter, name()?)),
                DT_AUXILIARY => self.needed.push((Link::Auxiliary, name()?)),
                DT_AUDIT | DT_DEPAUDIT => self.audited_by.push(name()?),
                DT_SONAME => self.soname = Some(name()?),
                DT_RPATH => self.rpath = Some(name()?),
                DT_RUNPATH => self.runpath = Some(name()?),
                DT_FLAGS_1 => self.no_default_folders = value & DF_1_NODEFLIB != 0,
                DT_VERNEED => self.version_needs = records(value)?.needs()?,
                DT_VERDEF => self.versions = Some(records(value)?.definitions()?),
                _ => {}
            }
        }
        if self.runpath.is_some() {
            self.rpath = None;
        }
        if let Some(symbols) = value(DT_SYMTAB) {
            let loaded = |address| loaded_bytes(bytes, segments, address);
            let hashes = HashTables {
                gnu: value(DT_GNU_HASH).and_then(loaded),
                classic: value(DT_HASH).and_then(loaded),
            };
            let is_program = self.interpreter.is_some() || !self.identity.is_shared();
            self.imports = Imports::read(loaded(symbols), table, hashes, is_program, context);
        }
        Ok(())
    }
}

fn read_header(bytes: &[u8]) -> Result<(Header, Ctx), ElfError> {
    let header = goblin::elf::Elf::parse_header(bytes).map_err(|_| ElfError::Header)?;
    let container = header.container().map_err(|_| ElfError::Header)?;
    let order = header.endianness().map_err(|_| ElfError::Header)?;
    Ok((header, Ctx::new(container, order)))
}

fn check_section_headers(bytes: &[u8], header: &Header) -> Result<(), ElfError> {
    if header.e_shoff == 0 {
        return Ok(());
    }
    // A count of zero beside an offset means that the first section header holds the count: that one must be there.
    let size = u64::from(header.e_shentsize) * u64::from(header.e_shnum.max(1));
    range(header.e_shoff, size, bytes.len()).map(drop).ok_or(ElfError::SectionHeaders)
}

fn read_segments(bytes: &[u8], header: &Header, context: Ctx) -> Result<Vec<ProgramHeader>, ElfError> {
    let count = usize::from(header.e_phnum);
    if count == 0 {
        return Ok(Vec::new());
    }
    if usize::from(header.e_phentsize) != ProgramHeader::size(context) {
        return Err(ElfError::Header);
    }
    let offset = usize::try_from(header.e_phoff).map_err(|_| ElfError::ProgramHeaders)?;
    let segments =
        ProgramHeader::parse(bytes, offset, count, context).map_err(|_| ElfError::ProgramHeaders)?;
    for segment in segments.iter().filter(|segment| segment.p_type == PT_LOAD) {
        segment_bytes(bytes, segment)?;
    }
    Ok(segments)
}

fn segment_bytes<'a>(bytes: &'a [u8], segment: &ProgramHeader) -> Result<&'a [u8], ElfError> {
    let range = range(segment.p_offset, segment.p_filesz, bytes.len()).ok_or(ElfError::Segment)?;
    bytes.get(range).ok_or(ElfError::Segment)
}

/// What the file has for the loader from `address` to the end of the segment.
fn loaded_bytes<'a>(bytes: &'a [u8], segments: &[ProgramHeader], address: u64) -> Option<&'a [u8]> {
    segments.iter().filter(|segment| segment.p_type == PT_LOAD).find_map(|segment| {
        let within = address.checked_sub(segment.p_vaddr)?;
        let size = segment.p_filesz.checked_sub(within).filter(|size| *size > 0)?;
        let offset = segment.p_offset.checked_add(within)?;
        bytes.get(range(offset, size, bytes.len())?)
    })
}

fn range(offset: u64, size: u64, limit: usize) -> Option<Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    let end = usize::try_from(offset.checked_add(size)?).ok()?;
    (end <= limit).then_some(start..end)
}

/// Tags and values up to the end mark.
fn dynamic_entries(section: &[u8], context: Ctx) -> Vec<(u64, u64)> {
    let word = context.size();
    section
        .chunks_exact(2 * word)
        .map(|entry| (read_word(&entry[..word], context), read_word(&entry[word..], context)))
        .take_while(|(tag, _)| *tag != DT_NULL)
        .collect()
}

/// A word of 2, 4 or 8 bytes, as long as `bytes` is.
fn read_word(bytes: &[u8], context: Ctx) -> u64 {
    debug_assert!(bytes.len() <= 8);
    let push = |word: u64, byte: &u8| word << 8 | u64::from(*byte);
    if context.is_little_endian() { bytes.iter().rev().fold(0, push) } else { bytes.iter().fold(0, push) }
}

/// The text that starts at `offset` and ends before a NUL.
fn text_at(table: &[u8], offset: u64) -> Option<&[u8]> {
    let rest = table.get(usize::try_from(offset).ok()?..)?;
    let longest = &rest[..rest.len().min(LONGEST_TEXT)];
    memchr::memchr(0, longest).map(|end| &rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use testkit::elf::{Class, Elf, NODEFLIB, Order};

    const RELOCATABLE: u16 = 1;
    const ELFOSABI_FREEBSD: u8 = 9;

    fn shapes() -> Vec<(Class, Order)> {
        [Class::Bits32, Class::Bits64]
            .into_iter()
            .flat_map(|class| [Order::Little, Order::Big].map(|order| (class, order)))
            .collect()
    }

    fn full() -> Elf {
        Elf::library("libfull.so.1")
            .needs("libone.so.1")
            .needs("libtwo.so.2")
            .filter("libthree.so.3")
            .auxiliary("libfour.so.4")
            .audit("audit.so:other.so")
            .dependency_audit("third.so")
            .needs_version("libone.so.1", "ONE_1")
            .defines_version("FULL_1")
            .opens("[]")
            .rpath("/opt/r")
            .flags_1(NODEFLIB)
            .interpreter("/lib/ld.so.1")
            .payload("payload")
    }

    #[test]
    fn every_field_in_both_classes_and_orders() {
        for (class, order) in shapes() {
            let bytes = full().class(class).order(order).build();
            let object = Object::parse(&bytes).unwrap();
            assert_eq!(object.interpreter, Some(&b"/lib/ld.so.1"[..]), "{class:?} {order:?}");
            assert_eq!(object.soname, Some(&b"libfull.so.1"[..]));
            let needed = [
                (Link::Needed, &b"libone.so.1"[..]),
                (Link::Needed, b"libtwo.so.2"),
                (Link::Filter, b"libthree.so.3"),
                (Link::Auxiliary, b"libfour.so.4"),
            ];
            assert_eq!(object.needed, needed);
            assert_eq!(object.audited_by, [&b"audit.so:other.so"[..], b"third.so"]);
            assert_eq!(object.rpath, Some(&b"/opt/r"[..]));
            assert_eq!(object.runpath, None);
            assert!(object.no_default_folders);
            assert!(object.identity.is_loadable());
        }
    }

    #[test]
    fn a_runpath_overrules_an_rpath_beside_it() {
        let bytes = Elf::dynamic().rpath("/opt/r").runpath("/opt/u").build();
        let object = Object::parse(&bytes).unwrap();
        assert_eq!((object.rpath, object.runpath), (None, Some(&b"/opt/u"[..])));
    }

    #[test]
    fn static_programs_need_nothing() {
        for elf in [Elf::static_program(), Elf::dynamic()] {
            let bytes = elf.build();
            let object = Object::parse(&bytes).unwrap();
            assert_eq!((object.interpreter, object.needed.len()), (None, 0));
        }
    }

    #[test]
    fn what_no_loader_maps_needs_nothing() {
        for elf in [full().kind(RELOCATABLE), full().osabi(ELFOSABI_FREEBSD)] {
            let bytes = elf.build();
            let object = Object::parse(&bytes).unwrap();
            assert!(!object.identity.is_loadable());
            assert!(object.needed.is_empty());
        }
    }

    #[test]
    fn a_cut_anywhere_is_noticed() {
        for (class, order) in shapes() {
            let bytes = full().class(class).order(order).build();
            for length in 0..bytes.len() {
                assert!(Object::parse(&bytes[..length]).is_err(), "{class:?} {order:?} cut at {length}");
            }
        }
    }

    #[test]
    fn a_name_outside_of_the_string_table_is_damage() {
        let bytes = Elf::library("libx.so").build();
        let at = memchr::memmem::find(&bytes, b"libx.so\0").unwrap();
        let mut open = bytes.clone();
        open[at + 7] = b'!';
        assert_eq!(Object::parse(&open), Err(ElfError::Name));
    }

    proptest! {
        #[test]
        fn never_panics_on_noise(noise in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = Object::parse(&noise);
            let _ = Object::parse(&[&ELFMAG[..], &noise].concat());
        }

        #[test]
        fn never_panics_on_a_changed_object(
            shape in 0..4_usize,
            changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8),
        ) {
            let (class, order) = shapes()[shape];
            let mut bytes = full().class(class).order(order).build();
            for (at, byte) in changes {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            let _ = Object::parse(&bytes);
        }
    }
}

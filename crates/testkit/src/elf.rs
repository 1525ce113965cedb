//! ELF objects made in memory: small files with the headers, the dynamic section and the strings that a loader reads
//! before it maps anything (System V ABI, chapters 4 and 5), in both classes and byte orders.
//!
//! The layout is: file header, program headers, interpreter, dynamic string table, dynamic section, version needs and
//! definitions, symbols, notes, payload, section headers. A section header table of one empty entry ends the file, as in real
//! objects, so every cut loses something.

/// Word size of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// `ELFCLASS32`
    Bits32,
    /// `ELFCLASS64`
    Bits64,
}

/// Byte order of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `ELFDATA2LSB`
    Little,
    /// `ELFDATA2MSB`
    Big,
}

/// `EM_386`
pub const I386: u16 = 3;
/// `EM_PPC64`
pub const PPC64: u16 = 21;
/// `EM_S390`
pub const S390: u16 = 22;
/// `EM_ARM`
pub const ARM: u16 = 40;
/// `EM_X86_64`
pub const X86_64: u16 = 62;
/// `EM_AARCH64`
pub const AARCH64: u16 = 183;
/// `EM_RISCV`
pub const RISCV: u16 = 243;
/// `DF_1_NODEFLIB`: the loader's own folders are not searched for what this object needs.
pub const NODEFLIB: u64 = 0x800;

/// The file offset and the address of byte 0 differ by this, so a reader that takes one for the other fails.
const BASE: u64 = 0x1_0000;

const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const PT_NOTE: u64 = 4;
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
const DT_DEPAUDIT: u64 = 0x6fff_fefb;
const DT_AUDIT: u64 = 0x6fff_fefc;
const DT_FLAGS_1: u64 = 0x6fff_fffb;
const DT_VERDEF: u64 = 0x6fff_fffc;
const DT_VERDEFNUM: u64 = 0x6fff_fffd;
const DT_VERNEED: u64 = 0x6fff_fffe;
const DT_VERNEEDNUM: u64 = 0x6fff_ffff;
const DT_AUXILIARY: u64 = 0x7fff_fffd;
const DT_FILTER: u64 = 0x7fff_ffff;
const VER_FLG_WEAK: u16 = 2;
/// Sizes of `Verdef`, `Verdaux`, `Verneed` and `Vernaux`, the same in both classes.
const DEFINITION_SIZE: u32 = 20;
const DEFINITION_NAME_SIZE: u32 = 8;
const NEED_SIZE: u32 = 16;
const NEED_VERSION_SIZE: u32 = 16;

/// An ELF object to be made. Little-endian, 64 bits, x86-64 and System V unless said otherwise.
#[derive(Clone, Debug)]
pub struct Elf {
    class: Class,
    order: Order,
    machine: u16,
    osabi: u8,
    kind: u16,
    interpreter: Option<Vec<u8>>,
    /// Entries of the dynamic section that hold a string; `None` for an object without a dynamic section.
    strings: Option<Vec<(u64, Vec<u8>)>>,
    flags_1: u64,
    processor_flags: u32,
    needed_versions: Vec<NeededVersion>,
    versions: Vec<String>,
    imports: Vec<String>,
    exports: Vec<String>,
    notes: Vec<Note>,
    payload: Vec<u8>,
}

#[derive(Clone, Debug)]
struct NeededVersion {
    library: String,
    version: String,
    is_weak: bool,
}

#[derive(Clone, Debug)]
struct Note {
    owner: String,
    kind: u32,
    content: Vec<u8>,
}

impl Elf {
    /// A position-independent program that names its loader.
    pub fn program() -> Self {
        Self { interpreter: Some(b"/lib64/ld-linux-x86-64.so.2".to_vec()), ..Self::dynamic() }
    }

    /// A shared library with this soname.
    pub fn library(soname: &str) -> Self {
        Self::dynamic().with_string(DT_SONAME, soname)
    }

    /// A shared object without a soname, as native extensions are; also what a static-pie program looks like.
    pub fn dynamic() -> Self {
        Self { kind: ET_DYN, strings: Some(Vec::new()), ..Self::static_program() }
    }

    /// A static program: no loader and no dynamic section.
    pub fn static_program() -> Self {
        Self {
            class: Class::Bits64,
            order: Order::Little,
            machine: X86_64,
            osabi: 0,
            kind: ET_EXEC,
            interpreter: None,
            strings: None,
            flags_1: 0,
            processor_flags: 0,
            needed_versions: Vec::new(),
            versions: Vec::new(),
            imports: Vec::new(),
            exports: Vec::new(),
            notes: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// Names another loader.
    #[must_use]
    pub fn interpreter(mut self, path: &str) -> Self {
        self.interpreter = Some(path.into());
        self
    }

    /// Adds a needed library.
    #[must_use]
    pub fn needs(self, soname: &str) -> Self {
        self.with_string(DT_NEEDED, soname)
    }

    /// Adds a search path that serves the objects loaded by this one too.
    #[must_use]
    pub fn rpath(self, folders: &str) -> Self {
        self.with_string(DT_RPATH, folders)
    }

    /// Adds a search path that serves this object alone.
    #[must_use]
    pub fn runpath(self, folders: &str) -> Self {
        self.with_string(DT_RUNPATH, folders)
    }

    /// Names a library that is loaded for its symbols to stand in for those of this one, where it is there
    /// (`DT_AUXILIARY`).
    #[must_use]
    pub fn auxiliary(self, soname: &str) -> Self {
        self.with_string(DT_AUXILIARY, soname)
    }

    /// Names a library whose symbols this one only stands for (`DT_FILTER`).
    #[must_use]
    pub fn filter(self, soname: &str) -> Self {
        self.with_string(DT_FILTER, soname)
    }

    /// Names auditing libraries, with colons between them (`DT_AUDIT`).
    #[must_use]
    pub fn audit(self, sonames: &str) -> Self {
        self.with_string(DT_AUDIT, sonames)
    }

    /// Names auditing libraries for what this object needs (`DT_DEPAUDIT`).
    #[must_use]
    pub fn dependency_audit(self, sonames: &str) -> Self {
        self.with_string(DT_DEPAUDIT, sonames)
    }

    /// Adds a version that a needed library has to define. Versions of the same library stand together.
    #[must_use]
    pub fn needs_version(self, library: &str, version: &str) -> Self {
        self.with_needed_version(library, version, false)
    }

    /// Adds a version that a needed library may define (`VER_FLG_WEAK`).
    #[must_use]
    pub fn needs_version_weakly(self, library: &str, version: &str) -> Self {
        self.with_needed_version(library, version, true)
    }

    /// Adds a version that this library defines.
    #[must_use]
    pub fn defines_version(mut self, version: &str) -> Self {
        self.versions.push(version.to_owned());
        self
    }

    /// Adds a symbol that another object has to define.
    #[must_use]
    pub fn imports(mut self, symbol: &str) -> Self {
        self.strings.get_or_insert_default();
        self.imports.push(symbol.to_owned());
        self
    }

    /// Adds a symbol that this object defines.
    #[must_use]
    pub fn exports(mut self, symbol: &str) -> Self {
        self.strings.get_or_insert_default();
        self.exports.push(symbol.to_owned());
        self
    }

    /// Adds a note (`PT_NOTE`).
    #[must_use]
    pub fn note(mut self, owner: &str, kind: u32, content: impl AsRef<[u8]>) -> Self {
        self.notes.push(Note { owner: owner.to_owned(), kind, content: content.as_ref().to_vec() });
        self
    }

    /// Adds a note of libraries that the object opens at run time, as JSON (uapi-group: ELF dlopen metadata).
    #[must_use]
    pub fn opens(self, json: &str) -> Self {
        self.note("FDO", 0x407c_0c0a, format!("{json}\0"))
    }

    /// Sets `DT_FLAGS_1`.
    #[must_use]
    pub fn flags_1(mut self, flags: u64) -> Self {
        self.flags_1 = flags;
        self
    }

    /// Sets the word size.
    #[must_use]
    pub fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    /// Sets the byte order.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Sets the machine (`e_machine`).
    #[must_use]
    pub fn machine(mut self, machine: u16) -> Self {
        self.machine = machine;
        self
    }

    /// Sets the flags of the processor supplement (`e_flags`).
    #[must_use]
    pub fn processor_flags(mut self, flags: u32) -> Self {
        self.processor_flags = flags;
        self
    }

    /// Sets the ABI of the operating system (`EI_OSABI`).
    #[must_use]
    pub fn osabi(mut self, osabi: u8) -> Self {
        self.osabi = osabi;
        self
    }

    /// Sets the type (`e_type`).
    #[must_use]
    pub fn kind(mut self, kind: u16) -> Self {
        self.kind = kind;
        self
    }

    /// Adds bytes to the loaded segment: texts that a rule looks for inside a library.
    #[must_use]
    pub fn payload(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.payload.extend_from_slice(bytes.as_ref());
        self
    }

    fn with_string(mut self, tag: u64, text: &str) -> Self {
        self.strings.get_or_insert_default().push((tag, text.into()));
        self
    }

    fn with_needed_version(mut self, library: &str, version: &str, is_weak: bool) -> Self {
        self.strings.get_or_insert_default();
        self.needed_versions.push(NeededVersion {
            library: library.to_owned(),
            version: version.to_owned(),
            is_weak,
        });
        self
    }

    /// The bytes of the object.
    pub fn build(&self) -> Vec<u8> {
        let interpreter = self.interpreter.as_ref().map(|path| [path.as_slice(), b"\0"].concat());
        let dynamic = self.strings.as_deref().map(|strings| self.dynamic_section(strings));
        let notes = self.notes();
        let segments = 1
            + u64::from(interpreter.is_some())
            + u64::from(dynamic.is_some())
            + u64::from(!self.notes.is_empty());

        let interpreter_at = self.header_size() + segments * self.program_header_size();
        let table_at = interpreter_at + length(interpreter.as_deref());
        let dynamic = dynamic.unwrap_or_default();
        let dynamic_at = table_at + length(Some(&dynamic.table));
        let dynamic_size = self.words(2 * dynamic.entries.len());
        let needs_at = dynamic_at + dynamic_size;
        let definitions_at = needs_at + length(Some(&dynamic.needs));
        let symbols_at = definitions_at + length(Some(&dynamic.definitions));
        let hashes_at = symbols_at + length(Some(&dynamic.symbols));
        let notes_at = hashes_at + length(Some(&dynamic.hashes));
        let payload_at = notes_at + length(Some(&notes));
        let end = payload_at + length(Some(&self.payload));

        let mut out = self.writer();
        self.write_header(&mut out, segments, end);
        write_program_header(&mut out, PT_LOAD, 0, end);
        if let Some(path) = &interpreter {
            write_program_header(&mut out, PT_INTERP, interpreter_at, length(Some(path)));
        }
        if self.strings.is_some() {
            write_program_header(&mut out, PT_DYNAMIC, dynamic_at, dynamic_size);
        }
        if !self.notes.is_empty() {
            write_program_header(&mut out, PT_NOTE, notes_at, length(Some(&notes)));
        }
        out.bytes.extend(interpreter.unwrap_or_default());
        out.bytes.extend(dynamic.table);
        for (tag, value) in dynamic.entries {
            out.word(tag);
            out.word(match tag {
                DT_STRTAB => BASE + table_at,
                DT_VERNEED => BASE + needs_at,
                DT_VERDEF => BASE + definitions_at,
                DT_SYMTAB => BASE + symbols_at,
                DT_GNU_HASH => BASE + hashes_at,
                _ => value,
            });
        }
        out.bytes.extend(dynamic.needs);
        out.bytes.extend(dynamic.definitions);
        out.bytes.extend(dynamic.symbols);
        out.bytes.extend(dynamic.hashes);
        out.bytes.extend(notes);
        out.bytes.extend(&self.payload);
        out.bytes.extend(vec![0; usize::from(self.section_header_size())]);
        out.bytes
    }

    fn dynamic_section(&self, strings: &[(u64, Vec<u8>)]) -> DynamicSection {
        let mut table = vec![0];
        let mut entries = Vec::new();
        for (tag, text) in strings {
            entries.push((*tag, u64::from(add_text(&mut table, text))));
        }
        if self.flags_1 != 0 {
            entries.push((DT_FLAGS_1, self.flags_1));
        }
        let (needs, need_count) = self.version_needs(&mut table);
        if need_count != 0 {
            entries.extend([(DT_VERNEED, 0), (DT_VERNEEDNUM, need_count)]);
        }
        let definitions = self.version_definitions(&mut table);
        if !self.versions.is_empty() {
            let count = u64::try_from(self.versions.len()).expect("a count fits in 64 bits");
            entries.extend([(DT_VERDEF, 0), (DT_VERDEFNUM, count)]);
        }
        let (symbols, hashes) = self.symbols(&mut table);
        if !symbols.is_empty() {
            entries.extend([(DT_SYMTAB, 0), (DT_GNU_HASH, 0)]);
        }
        entries.extend([(DT_STRTAB, 0), (DT_STRSZ, length(Some(&table))), (DT_NULL, 0)]);
        DynamicSection { table, entries, needs, definitions, symbols, hashes }
    }

    /// The symbol table, and the hash table of what is exported; both are empty where there are no symbols.
    fn symbols(&self, table: &mut Vec<u8>) -> (Vec<u8>, Vec<u8>) {
        if self.imports.is_empty() && self.exports.is_empty() {
            return Default::default();
        }
        let mut symbols = self.writer();
        symbols.symbol(0, 0);
        for (names, section) in [(&self.imports, 0), (&self.exports, 1)] {
            for name in names {
                symbols.symbol(add_text(table, name.as_bytes()), section);
            }
        }
        let first = u32::try_from(1 + self.imports.len()).expect("few symbols");
        let mut hashes = self.writer();
        for number in [1, first, 1, 0] {
            hashes.int(number);
        }
        hashes.word(0);
        hashes.int(if self.exports.is_empty() { 0 } else { first });
        for (index, name) in self.exports.iter().enumerate() {
            // Bernstein's hash; its lowest bit ends the chain.
            let hash =
                name.bytes().fold(5381_u32, |hash, byte| hash.wrapping_mul(33).wrapping_add(byte.into()));
            hashes.int(hash & !1 | u32::from(index + 1 == self.exports.len()));
        }
        (symbols.bytes, hashes.bytes)
    }

    /// The version needs and the number of libraries in them.
    fn version_needs(&self, table: &mut Vec<u8>) -> (Vec<u8>, u64) {
        let groups: Vec<_> = self.needed_versions.chunk_by(|a, b| a.library == b.library).collect();
        let mut out = self.writer();
        for (index, group) in groups.iter().enumerate() {
            let count = u16::try_from(group.len()).expect("few versions");
            let next = NEED_SIZE + u32::from(count) * NEED_VERSION_SIZE;
            out.half(1);
            out.half(count);
            out.int(add_text(table, group[0].library.as_bytes()));
            out.int(NEED_SIZE);
            out.int(if index + 1 == groups.len() { 0 } else { next });
            for (index, needed) in group.iter().enumerate() {
                out.int(version_hash(&needed.version));
                out.half(if needed.is_weak { VER_FLG_WEAK } else { 0 });
                out.half(2);
                out.int(add_text(table, needed.version.as_bytes()));
                out.int(if index + 1 == group.len() { 0 } else { NEED_VERSION_SIZE });
            }
        }
        (out.bytes, u64::try_from(groups.len()).expect("a count fits in 64 bits"))
    }

    fn version_definitions(&self, table: &mut Vec<u8>) -> Vec<u8> {
        let mut out = self.writer();
        for (index, version) in self.versions.iter().enumerate() {
            out.half(1);
            out.half(0);
            out.half(u16::try_from(index + 1).expect("few versions"));
            out.half(1);
            out.int(version_hash(version));
            out.int(DEFINITION_SIZE);
            let is_last = index + 1 == self.versions.len();
            out.int(if is_last { 0 } else { DEFINITION_SIZE + DEFINITION_NAME_SIZE });
            out.int(add_text(table, version.as_bytes()));
            out.int(0);
        }
        out.bytes
    }

    fn notes(&self) -> Vec<u8> {
        let mut out = self.writer();
        for Note { owner, kind, content } in &self.notes {
            out.int(u32::try_from(owner.len() + 1).expect("a short name"));
            out.int(u32::try_from(content.len()).expect("a short note"));
            out.int(*kind);
            out.padded(&[owner.as_bytes(), b"\0"].concat());
            out.padded(content);
        }
        out.bytes
    }

    fn writer(&self) -> Writer {
        Writer { class: self.class, order: self.order, bytes: Vec::new() }
    }

    fn write_header(&self, out: &mut Writer, segments: u64, sections_at: u64) {
        let class = if self.class == Class::Bits64 { 2 } else { 1 };
        let order = if self.order == Order::Little { 1 } else { 2 };
        out.bytes.extend([0x7f, b'E', b'L', b'F', class, order, 1, self.osabi]);
        out.bytes.extend([0; 8]);
        out.half(self.kind);
        out.half(self.machine);
        out.int(1);
        out.word(0);
        out.word(self.header_size());
        out.word(sections_at);
        out.int(self.processor_flags);
        out.half(small(self.header_size()));
        out.half(small(self.program_header_size()));
        out.half(small(segments));
        out.half(self.section_header_size());
        out.half(1);
        out.half(0);
    }

    fn header_size(&self) -> u64 {
        if self.class == Class::Bits64 { 64 } else { 52 }
    }

    fn program_header_size(&self) -> u64 {
        if self.class == Class::Bits64 { 56 } else { 32 }
    }

    fn section_header_size(&self) -> u16 {
        if self.class == Class::Bits64 { 64 } else { 40 }
    }

    fn words(&self, count: usize) -> u64 {
        let size = if self.class == Class::Bits64 { 8 } else { 4 };
        size * u64::try_from(count).expect("a count fits in 64 bits")
    }
}

/// What the dynamic section consists of. The addresses of its parts are filled in later.
#[derive(Default)]
struct DynamicSection {
    table: Vec<u8>,
    /// Tags and values.
    entries: Vec<(u64, u64)>,
    needs: Vec<u8>,
    definitions: Vec<u8>,
    symbols: Vec<u8>,
    hashes: Vec<u8>,
}

/// Adds a text to a string table, and gives its place there.
fn add_text(table: &mut Vec<u8>, text: &[u8]) -> u32 {
    let at = u32::try_from(table.len()).expect("a small table");
    table.extend_from_slice(text);
    table.push(0);
    at
}

/// The hash of a name (System V ABI, chapter 5).
fn version_hash(name: &str) -> u32 {
    name.bytes().fold(0, |hash: u32, byte| {
        let hash = (hash << 4).wrapping_add(u32::from(byte));
        let high = hash & 0xf000_0000;
        (hash ^ (high >> 24)) & !high
    })
}

fn write_program_header(out: &mut Writer, kind: u64, offset: u64, size: u64) {
    const READ: u32 = 4;
    out.int(u32::try_from(kind).expect("segment types are small"));
    if out.class == Class::Bits64 {
        out.int(READ);
    }
    for word in [offset, BASE + offset, BASE + offset, size, size] {
        out.word(word);
    }
    if out.class == Class::Bits32 {
        out.int(READ);
    }
    out.word(1);
}

fn length(bytes: Option<&[u8]>) -> u64 {
    bytes.map_or(0, |bytes| u64::try_from(bytes.len()).expect("a length fits in 64 bits"))
}

fn small(value: u64) -> u16 {
    u16::try_from(value).expect("sizes and counts of the fixtures are small")
}

struct Writer {
    class: Class,
    order: Order,
    bytes: Vec<u8>,
}

impl Writer {
    fn half(&mut self, value: u16) {
        self.bytes.extend(match self.order {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        });
    }

    fn int(&mut self, value: u32) {
        self.bytes.extend(match self.order {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        });
    }

    /// Bytes, and zeros up to a multiple of four.
    fn padded(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// A function of this name, defined in this section; 0 for one that is not.
    fn symbol(&mut self, name: u32, section: u16) {
        const GLOBAL_FUNCTION: u8 = 0x12;
        self.int(name);
        match self.class {
            Class::Bits32 => {
                self.bytes.extend([0; 8]);
                self.bytes.extend([GLOBAL_FUNCTION, 0]);
                self.half(section);
            }
            Class::Bits64 => {
                self.bytes.extend([GLOBAL_FUNCTION, 0]);
                self.half(section);
                self.bytes.extend([0; 16]);
            }
        }
    }

    /// An address, offset or tag, in the word size of the object.
    fn word(&mut self, value: u64) {
        match (self.class, self.order) {
            (Class::Bits32, _) => self.int(u32::try_from(value).expect("32-bit fixtures hold 32-bit values")),
            (Class::Bits64, Order::Little) => self.bytes.extend(value.to_le_bytes()),
            (Class::Bits64, Order::Big) => self.bytes.extend(value.to_be_bytes()),
        }
    }
}

//! ELF objects made in memory: small files with the headers, the dynamic section and the strings that a loader reads
//! before it maps anything (System V ABI, chapters 4 and 5), in both classes and byte orders.
//!
//! The layout is: file header, program headers, interpreter, dynamic string table, dynamic section, payload, section
//! headers. A section header table of one empty entry ends the file, as in real objects, so every cut loses something.

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
/// `EM_X86_64`
pub const X86_64: u16 = 62;
/// `EM_AARCH64`
pub const AARCH64: u16 = 183;
/// `DF_1_NODEFLIB`: the loader's own folders are not searched for what this object needs.
pub const NODEFLIB: u64 = 0x800;

/// The file offset and the address of byte 0 differ by this, so a reader that takes one for the other fails.
const BASE: u64 = 0x1_0000;

const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
const DT_FLAGS_1: u64 = 0x6fff_fffb;

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
    payload: Vec<u8>,
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

    /// The bytes of the object.
    pub fn build(&self) -> Vec<u8> {
        let interpreter = self.interpreter.as_ref().map(|path| [path.as_slice(), b"\0"].concat());
        let (table, dynamic) = self.strings.as_deref().map(|strings| self.dynamic_section(strings)).unzip();
        let segments = 1 + u64::from(interpreter.is_some()) + u64::from(dynamic.is_some());

        let interpreter_at = self.header_size() + segments * self.program_header_size();
        let table_at = interpreter_at + length(interpreter.as_deref());
        let dynamic_at = table_at + length(table.as_deref());
        let payload_at = dynamic_at + dynamic.as_ref().map_or(0, |entries| self.words(2 * entries.len()));
        let end = payload_at + length(Some(&self.payload));

        let mut out = Writer { class: self.class, order: self.order, bytes: Vec::new() };
        self.write_header(&mut out, segments, end);
        write_program_header(&mut out, PT_LOAD, 0, end);
        if let Some(path) = &interpreter {
            write_program_header(&mut out, PT_INTERP, interpreter_at, length(Some(path)));
        }
        if let Some(entries) = &dynamic {
            write_program_header(&mut out, PT_DYNAMIC, dynamic_at, self.words(2 * entries.len()));
        }
        out.bytes.extend(interpreter.unwrap_or_default());
        out.bytes.extend(table.unwrap_or_default());
        for (tag, value) in dynamic.unwrap_or_default() {
            out.word(tag);
            out.word(if tag == DT_STRTAB { BASE + table_at } else { value });
        }
        out.bytes.extend(&self.payload);
        out.bytes.extend(vec![0; usize::from(self.section_header_size())]);
        out.bytes
    }

    /// The string table, and the entries as tag and value. The address of the table is filled in later.
    fn dynamic_section(&self, strings: &[(u64, Vec<u8>)]) -> (Vec<u8>, Vec<(u64, u64)>) {
        let mut table = vec![0];
        let mut entries = Vec::new();
        for (tag, text) in strings {
            entries.push((*tag, length(Some(&table))));
            table.extend_from_slice(text);
            table.push(0);
        }
        if self.flags_1 != 0 {
            entries.push((DT_FLAGS_1, self.flags_1));
        }
        entries.extend([(DT_STRTAB, 0), (DT_STRSZ, length(Some(&table))), (DT_NULL, 0)]);
        (table, entries)
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
        out.int(0);
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

    /// An address, offset or tag, in the word size of the object.
    fn word(&mut self, value: u64) {
        match (self.class, self.order) {
            (Class::Bits32, _) => self.int(u32::try_from(value).expect("32-bit fixtures hold 32-bit values")),
            (Class::Bits64, Order::Little) => self.bytes.extend(value.to_le_bytes()),
            (Class::Bits64, Order::Big) => self.bytes.extend(value.to_be_bytes()),
        }
    }
}

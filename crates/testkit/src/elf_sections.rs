//! Section headers for the objects of [`crate::elf`]: sections that are part of the program, which lie in its segment, and
//! others, whose bytes come behind it (System V ABI, chapter 4, "Sections").

const SHF_ALLOC: u64 = 2;
const SHT_STRTAB: u32 = 3;
/// From this number on a section needs the extended numbering of the first section header.
const SHN_LORESERVE: usize = 0xff00;
const SHN_XINDEX: u64 = 0xffff;

/// `SHT_PROGBITS`: data of the program, or of whoever knows the name.
pub const PROGBITS: u32 = 1;
/// `SHT_SYMTAB`
pub const SYMTAB: u32 = 2;
/// `SHT_STRTAB`
pub const STRTAB: u32 = SHT_STRTAB;
/// `SHT_RELA`
pub const RELA: u32 = 4;
/// `SHT_NOTE`
pub const NOTE: u32 = 7;
/// `SHT_NOBITS`: memory without bytes in the file.
pub const NOBITS: u32 = 8;

/// A section to be given to an object.
#[derive(Clone, Debug)]
pub struct Section {
    name: String,
    kind: u32,
    flags: u64,
    place: Place,
    link: u32,
    info: u32,
}

#[derive(Clone, Debug)]
enum Place {
    Inside(std::ops::Range<u64>),
    Behind(Vec<u8>),
}

impl Section {
    /// A section that is part of the program: these bytes of the object.
    pub fn allocated(name: &str, kind: u32, bytes: std::ops::Range<u64>) -> Self {
        let place = Place::Inside(bytes);
        Self { name: name.to_owned(), kind, flags: SHF_ALLOC, place, link: 0, info: 0 }
    }

    /// A section that is not: its bytes are put behind the segment.
    pub fn apart(name: &str, kind: u32, content: impl AsRef<[u8]>) -> Self {
        let place = Place::Behind(content.as_ref().to_vec());
        Self { name: name.to_owned(), kind, flags: 0, place, link: 0, info: 0 }
    }

    /// With the number of another section, and what else there is to say (`sh_link`, `sh_info`).
    #[must_use]
    pub fn links(mut self, link: u32, info: u32) -> Self {
        (self.link, self.info) = (link, info);
        self
    }
}

/// The object with these sections, numbered from 1, and a last one that holds their names, instead of its own section
/// headers.
pub fn with_sections(object: &[u8], sections: &[Section]) -> Vec<u8> {
    let form = Form { is_wide: object[4] == 2, is_big: object[5] == 2 };
    let (shoff, phentsize) = if form.is_wide { (40, 54) } else { (32, 42) };
    let mut out = object[..form.get(object, shoff)].to_vec();

    let mut names = vec![0];
    let mut headers = vec![[0; 8]];
    for Section { name, kind, flags, place, link, info } in sections {
        let (offset, size) = match place {
            Place::Inside(bytes) => (bytes.start, bytes.end - bytes.start),
            Place::Behind(content) => {
                let at = out.len();
                out.extend(content);
                (number(at), number(content.len()))
            }
        };
        headers.push([
            number(names.len()),
            (*kind).into(),
            *flags,
            0,
            offset,
            size,
            (*link).into(),
            (*info).into(),
        ]);
        names.extend(name.as_bytes());
        names.push(0);
    }
    let own_name = number(names.len());
    names.extend(b".shstrtab\0");
    headers.push([own_name, SHT_STRTAB.into(), 0, 0, number(out.len()), number(names.len()), 0, 0]);
    out.extend(names);
    out.resize(out.len().next_multiple_of(8), 0);

    let (count, last) = (headers.len(), headers.len() - 1);
    let is_large = count >= SHN_LORESERVE;
    if is_large {
        (headers[0][5], headers[0][6]) = (number(count), number(last));
    }
    let at = number(out.len());
    form.put(&mut out, shoff, form.word(), at);
    form.put(&mut out, phentsize + 6, 2, if is_large { 0 } else { number(count) });
    form.put(&mut out, phentsize + 8, 2, if is_large { SHN_XINDEX } else { number(last) });
    for header in headers {
        form.write_header(&mut out, header);
    }
    out
}

#[derive(Clone, Copy)]
struct Form {
    is_wide: bool,
    is_big: bool,
}

impl Form {
    fn word(self) -> usize {
        if self.is_wide { 8 } else { 4 }
    }

    fn get(self, bytes: &[u8], at: usize) -> usize {
        let field = &bytes[at..at + self.word()];
        let push = |value: usize, &byte: &u8| (value << 8) | usize::from(byte);
        if self.is_big { field.iter().fold(0, push) } else { field.iter().rev().fold(0, push) }
    }

    fn put(self, bytes: &mut [u8], at: usize, size: usize, value: u64) {
        let little = value.to_le_bytes();
        let field = &mut bytes[at..at + size];
        field.copy_from_slice(&little[..size]);
        if self.is_big {
            field.reverse();
        }
    }

    /// Name, type, flags, address, offset, size, link and info; alignment 1 and no entries follow.
    fn write_header(self, out: &mut Vec<u8>, fields: [u64; 8]) {
        let word = self.word();
        let sizes = [4, 4, word, word, word, word, 4, 4, word, word];
        for (size, value) in sizes.into_iter().zip(fields.into_iter().chain([1, 0])) {
            let at = out.len();
            out.resize(at + size, 0);
            self.put(out, at, size, value);
        }
    }
}

fn number(value: usize) -> u64 {
    u64::try_from(value).expect("a size fits in 64 bits")
}

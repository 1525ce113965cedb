//! Files without what nothing reads when they run.
//!
//! Ruby code goes without what its comments say ([`comments()`]), ELF objects without what no loader maps.
//!
//! [`symbols`] takes the bytes of an object and gives those of a smaller one. A *segment* is what a program header
//! names and a loader maps; a *section* is what a section header names. A section is *allocated* (`SHF_ALLOC`) where it
//! is part of the running program (System V ABI, chapter 4, "Sections").
//!
//! Invariants: no byte of a segment moves or changes, but for the three fields of the file header that say where the
//! section headers are; allocated sections keep their numbers, which dynamic symbols name; and what is not
//! understood stays as it is.

mod format;
mod ruby;
mod section;

pub use crate::ruby::comments;

use crate::format::{Format, Header};
use crate::section::{Kept, Names, Section};

/// Why an object was not looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StripError {
    /// The file header is cut, or says what none may say.
    #[error("cannot strip an ELF object: its file header is cut or malformed")]
    Header,
    /// The program headers are not all in the file, or have another size than the class gives them.
    #[error("cannot strip an ELF object: its program headers are malformed or past the end of the file")]
    ProgramHeaders,
    /// The section headers are not all in the file, or have another size than the class gives them.
    #[error("cannot strip an ELF object: its section headers are malformed or past the end of the file")]
    SectionHeaders,
    /// A segment or section is not all in the file.
    #[error("cannot strip an ELF object: a part of it is past the end of the file")]
    Contents,
}

/// The object without its symbol table, debug information, comments and other sections that are not part of the running
/// program.
///
/// `None` where the bytes stay as they are: no ELF object; one that is neither a program nor a shared object; one
/// without sections, or without anything to take away but a link to its debug information, so that an object
/// which was stripped before keeps its digest; one with a section that may be data of the program itself, or with bytes behind
/// everything that its headers name, as self-extracting programs have.
///
/// # Errors
/// An ELF object whose headers are damaged.
pub fn symbols(bytes: &[u8]) -> Result<Option<Vec<u8>>, StripError> {
    let Some(format) = Format::of(bytes)? else { return Ok(None) };
    let header = Header::read(bytes, format)?;
    if !header.is_loadable() || header.section_count == 0 {
        return Ok(None);
    }
    let segments_end = header.segments_end(bytes)?;
    let sections = section::read_all(bytes, &header)?;
    if has_appended_data(bytes, &header, segments_end, &sections) {
        return Ok(None);
    }
    let names = Names::new(bytes, header.names.and_then(|index| sections.get(index)));
    let mut gain = false;
    for (index, section) in sections.iter().enumerate() {
        match section.kept(names.of(section), Some(index) == header.names) {
            Kept::No => gain = true,
            Kept::Unknown => return Ok(None),
            Kept::Allocated | Kept::Replaced | Kept::NotAlone => {}
        }
    }
    Ok(gain.then(|| rewrite(bytes, &header, segments_end, &sections, &names)).flatten())
}

/// Whether something lies behind all that the headers name. Padding of zeros is nothing.
fn has_appended_data(bytes: &[u8], header: &Header, segments_end: usize, sections: &[Section]) -> bool {
    let table_end = header.sections_at + sections.len() * header.format.section_header_size();
    let ends = sections.iter().map(|section| section.contents.end);
    let end = ends.chain([segments_end, table_end]).max().unwrap_or(table_end);
    bytes.get(end..).is_some_and(|rest| rest.iter().any(|&byte| byte != 0))
}

/// The new object: the old one to the end of its segments, the names of the allocated sections, and their headers.
/// `None` where it would not be smaller.
fn rewrite(
    bytes: &[u8],
    header: &Header,
    segments_end: usize,
    sections: &[Section],
    names: &Names<'_>,
) -> Option<Vec<u8>> {
    let format = header.format;
    let allocated_end = sections.iter().filter(|section| section.is_allocated());
    let kept_end = allocated_end.map(|section| section.contents.end).fold(segments_end, usize::max);
    let last_allocated = sections.iter().rposition(Section::is_allocated).unwrap_or(0);
    let mut out = bytes.get(..kept_end)?.to_vec();

    let table = section::name_table(&sections[..=last_allocated], names, bytes.len() - kept_end)?;
    let table_at = out.len();
    out.extend(&table.bytes);
    out.resize(out.len().next_multiple_of(format.word()), 0);

    let headers_at = out.len();
    let count = last_allocated + 2;
    let is_gone = |index| sections.get(index).is_none_or(|section: &Section<'_>| !section.is_allocated());
    for (section, &name) in sections[..=last_allocated].iter().zip(&table.names) {
        // A section that goes leaves an empty header, so that those behind it keep their numbers.
        out.extend(if section.is_allocated() {
            section.header(format, name, is_gone)
        } else {
            vec![0; format.section_header_size()]
        });
    }
    out.extend(section::string_table_header(format, table.own_name, table_at, table.bytes.len()));
    header.write_section_fields(&mut out, headers_at, count, count - 1)?;
    (out.len() < bytes.len()).then_some(out)
}

#[cfg(test)]
mod tests;

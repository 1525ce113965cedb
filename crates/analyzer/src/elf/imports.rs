//! The symbols that an object takes from others: the undefined ones of its symbol table (System V ABI, chapter 4, "Symbol
//! Table"). The table does not say how long it is; the hash table beside it does. That of GNU (`DT_GNU_HASH`) has the
//! undefined symbols of a library in front of all that it finds; in a program, a function that it takes the address of may be
//! among these.

use goblin::container::Ctx;

use super::{read_word, text_at};

/// Where the symbols of an object are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Imports<'a> {
    /// It has no symbol table, as a static program.
    #[default]
    None,
    /// In this part of its symbol table.
    Table {
        /// Whole entries.
        symbols: &'a [u8],
        names: &'a [u8],
        context: Ctx,
    },
    /// Nothing tells where its symbol table ends.
    Unknown,
}

/// The hash tables of an object, each from its first byte to the end of its segment.
#[derive(Clone, Copy)]
pub(super) struct HashTables<'a> {
    pub(super) gnu: Option<&'a [u8]>,
    pub(super) classic: Option<&'a [u8]>,
}

impl<'a> Imports<'a> {
    /// Those in a symbol table that begins here.
    pub(super) fn read(
        table: Option<&'a [u8]>,
        names: &'a [u8],
        hashes: HashTables<'_>,
        is_program: bool,
        context: Ctx,
    ) -> Self {
        let symbols = hashes
            .count(is_program, context)
            .and_then(|count| table?.get(..count.checked_mul(symbol_size(context))?));
        symbols.map_or(Self::Unknown, |symbols| Self::Table { symbols, names, context })
    }

    /// The names, those that are not in the file left out. `None` where they are not known.
    pub(crate) fn names(self) -> Option<impl Iterator<Item = &'a [u8]>> {
        let (symbols, names, context) = match self {
            Self::None => (&[][..], &[][..], Ctx::default()),
            Self::Table { symbols, names, context } => (symbols, names, context),
            Self::Unknown => return None,
        };
        let section_at = if context.is_big() { 6 } else { 14 };
        let undefined = symbols
            .chunks_exact(symbol_size(context))
            .filter(move |symbol| read_word(&symbol[section_at..section_at + 2], context) == 0);
        Some(undefined.filter_map(move |symbol| text_at(names, read_word(&symbol[..4], context))))
    }
}

fn symbol_size(context: Ctx) -> usize {
    if context.is_big() { 24 } else { 16 }
}

impl HashTables<'_> {
    /// How many entries of the symbol table to look at.
    fn count(self, is_program: bool, context: Ctx) -> Option<usize> {
        match self.gnu {
            Some(table) if self.classic.is_none() && is_program => count_hashed(table, context),
            // Both have in the same place how many symbols there are, or how many stand before the others.
            table => field(self.classic.or(table)?, 1, context),
        }
    }
}

/// The last symbol that a table of GNU's form finds, and one more.
fn count_hashed(table: &[u8], context: Ctx) -> Option<usize> {
    let [buckets, first, filter] = [0, 1, 2].map(|index| field(table, index, context));
    let (buckets, first) = (buckets?, first?);
    let table = table.get(filter?.checked_mul(context.size())?.checked_add(16)?..)?;
    let starts = table.get(..buckets.checked_mul(4)?)?.chunks_exact(4);
    let last = starts.map(|start| read_word(start, context)).max().unwrap_or(0);
    let last = usize::try_from(last).ok()?;
    let Some(place) = last.checked_sub(first) else { return Some(first) };
    let chain = table.get(place.checked_add(buckets)?.checked_mul(4)?..)?.chunks_exact(4);
    // The lowest bit is the end of a chain.
    let behind = chain.take_while(|hash| read_word(hash, context) & 1 == 0).count();
    last.checked_add(behind)?.checked_add(1)
}

/// A field of 32 bits.
fn field(table: &[u8], index: usize, context: Ctx) -> Option<usize> {
    usize::try_from(read_word(table.get(4 * index..4 * index + 4)?, context)).ok()
}

#[cfg(test)]
mod tests {
    use testkit::elf::{Class, Elf, Order};

    use super::super::Object;

    fn names(bytes: &[u8]) -> Option<Vec<String>> {
        let object = Object::parse(bytes).unwrap();
        Some(object.imports.names()?.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
    }

    #[test]
    fn what_is_undefined_is_imported() {
        for class in [Class::Bits32, Class::Bits64] {
            for order in [Order::Little, Order::Big] {
                for object in [Elf::library("a.so"), Elf::program()] {
                    let object = object.imports("localtime").imports("").exports("setlocale").imports("open");
                    let bytes = object.class(class).order(order).build();
                    assert_eq!(names(&bytes).unwrap(), ["", "localtime", "", "open"], "{class:?} {order:?}");
                }
            }
        }
        assert_eq!(names(&Elf::program().build()).unwrap(), [""; 0]);
        assert_eq!(names(&Elf::program().exports("a").exports("b").build()).unwrap(), [""]);
    }

    #[test]
    fn a_table_without_an_end_is_not_guessed_at() {
        let mut bytes = Elf::library("a.so").imports("localtime").build();
        // Without its hash table.
        let tag = 0x6fff_fef5_u64.to_le_bytes();
        let at = memchr::memmem::find(&bytes, &tag).unwrap();
        bytes[at..at + 8].copy_from_slice(&0x6fff_0000_u64.to_le_bytes());
        assert_eq!(names(&bytes), None);
    }
}

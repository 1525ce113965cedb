//! Symbol versions: which ones an object needs of its libraries, and which ones it defines (LSB Core, symbol versioning;
//! the records are the same in both classes). The loader refuses a program where a library defines versions, but not one
//! that is needed.

use goblin::container::Ctx;

use super::{ElfError, read_word, text_at};

/// `VER_FLG_WEAK`
const WEAK: u64 = 2;
/// An index of a version has 15 bits, and both lists share the indices.
const MOST_VERSIONS: usize = 0x8000;

/// One version that an object needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VersionNeed<'a> {
    /// The library that has to define it, as `DT_NEEDED` names it.
    pub(crate) library: &'a [u8],
    pub(crate) version: &'a [u8],
    /// Whether the loader does not mind where it is not defined.
    pub(crate) is_weak: bool,
}

/// Records of 16- and 32-bit fields, and the names that they mean.
#[derive(Clone, Copy)]
pub(super) struct Records<'a> {
    /// From the first record on.
    pub(super) bytes: &'a [u8],
    /// The string table.
    pub(super) names: &'a [u8],
    pub(super) context: Ctx,
}

impl<'a> Records<'a> {
    /// `DT_VERNEED`: libraries, each with the versions needed of it.
    pub(super) fn needs(self) -> Result<Vec<VersionNeed<'a>>, ElfError> {
        let mut needs = Vec::new();
        let mut left = MOST_VERSIONS;
        self.each(0, 12, &mut left.clone(), |at| {
            let library = self.name(at, 4)?;
            let first = offset(at, self.field(at, 8, 4)?)?;
            self.each(first, 12, &mut left, |at| {
                let is_weak = self.field(at, 4, 2)? & WEAK != 0;
                needs.push(VersionNeed { library, version: self.name(at, 8)?, is_weak });
                Ok(())
            })
        })?;
        Ok(needs)
    }

    /// `DT_VERDEF`: versions, each with its own name first and those that it succeeds behind.
    pub(super) fn definitions(self) -> Result<Vec<&'a [u8]>, ElfError> {
        let mut definitions = Vec::new();
        self.each(0, 16, &mut MOST_VERSIONS.clone(), |at| {
            let first = offset(at, self.field(at, 12, 4)?)?;
            definitions.push(self.name(first, 0)?);
            Ok(())
        })?;
        Ok(definitions)
    }

    /// Goes through a list: each record has, at `next`, how far the next one is; none where that is zero.
    fn each(
        self,
        first: usize,
        next: usize,
        left: &mut usize,
        mut read: impl FnMut(usize) -> Result<(), ElfError>,
    ) -> Result<(), ElfError> {
        let mut at = first;
        loop {
            *left = left.checked_sub(1).ok_or(ElfError::Versions)?;
            read(at)?;
            match self.field(at, next, 4)? {
                0 => return Ok(()),
                step => at = offset(at, step)?,
            }
        }
    }

    fn name(self, at: usize, field: usize) -> Result<&'a [u8], ElfError> {
        text_at(self.names, self.field(at, field, 4)?).ok_or(ElfError::Name)
    }

    fn field(self, at: usize, field: usize, size: usize) -> Result<u64, ElfError> {
        let start = at.checked_add(field).ok_or(ElfError::Versions)?;
        let end = start.checked_add(size).ok_or(ElfError::Versions)?;
        self.bytes.get(start..end).map(|bytes| read_word(bytes, self.context)).ok_or(ElfError::Versions)
    }
}

fn offset(at: usize, step: u64) -> Result<usize, ElfError> {
    usize::try_from(step).ok().and_then(|step| at.checked_add(step)).ok_or(ElfError::Versions)
}

#[cfg(test)]
mod tests {
    use super::super::Object;
    use super::*;
    use proptest::prelude::*;
    use testkit::elf::{Class, Elf, Order};

    fn versioned() -> Elf {
        Elf::library("liba.so.1")
            .defines_version("liba.so.1")
            .defines_version("A_1.0")
            .defines_version("A_1.1")
            .needs("libb.so.1")
            .needs_version("libb.so.1", "B_1")
            .needs_version_weakly("libb.so.1", "B_2")
            .needs_version("libc.so.6", "GLIBC_2.2.5")
    }

    #[test]
    fn needs_and_definitions_in_both_classes_and_orders() {
        let need = |library: &'static str, version: &'static str, is_weak| VersionNeed {
            library: library.as_bytes(),
            version: version.as_bytes(),
            is_weak,
        };
        for class in [Class::Bits32, Class::Bits64] {
            for order in [Order::Little, Order::Big] {
                let bytes = versioned().class(class).order(order).build();
                let object = Object::parse(&bytes).unwrap();
                let definitions: [&[u8]; 3] = [b"liba.so.1", b"A_1.0", b"A_1.1"];
                assert_eq!(object.versions.as_deref(), Some(&definitions[..]), "{class:?} {order:?}");
                let needs = [
                    need("libb.so.1", "B_1", false),
                    need("libb.so.1", "B_2", true),
                    need("libc.so.6", "GLIBC_2.2.5", false),
                ];
                assert_eq!(object.version_needs, needs, "{class:?} {order:?}");
            }
        }
    }

    #[test]
    fn an_object_without_versions() {
        let bytes = Elf::library("liba.so.1").build();
        let object = Object::parse(&bytes).unwrap();
        assert_eq!((object.versions, object.version_needs), (None, vec![]));
    }

    #[test]
    fn a_list_that_leads_out_of_the_file_or_never_ends_is_damage() {
        let bytes = versioned().build();
        let first = memchr::memmem::find(&bytes, &[1, 0, 2, 0]).unwrap();
        let broken = |at: usize, value: u32| {
            let mut bytes = bytes.clone();
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            Object::parse(&bytes).map(drop)
        };
        assert_eq!(broken(first + 12, u32::MAX), Err(ElfError::Versions), "the next record");
        assert_eq!(broken(first + 8, u32::MAX), Err(ElfError::Versions), "the first version");
        assert_eq!(broken(first + 4, u32::MAX), Err(ElfError::Name), "the library");
        let zeros = vec![0; 0x8_0000];
        let names = [0];
        let context = Ctx::new(goblin::container::Container::Big, goblin::container::Endian::Little);
        let mut ones = zeros.clone();
        ones.iter_mut().skip(12).step_by(16).for_each(|byte| *byte = 16);
        assert_eq!(Records { bytes: &zeros, names: &names, context }.needs().map(|needs| needs.len()), Ok(1));
        assert_eq!(Records { bytes: &ones, names: &names, context }.needs(), Err(ElfError::Versions));
    }

    proptest! {
        #[test]
        fn never_panics(noise in proptest::collection::vec(any::<u8>(), 0..400), big in any::<bool>()) {
            let order = if big { goblin::container::Endian::Big } else { goblin::container::Endian::Little };
            let context = Ctx::new(goblin::container::Container::Big, order);
            let records = Records { bytes: &noise, names: &noise, context };
            let _ = records.needs();
            let _ = records.definitions();
        }
    }
}

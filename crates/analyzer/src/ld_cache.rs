//! `/etc/ld.so.cache`: which names the loader finds without a search, and where (glibc, `sysdeps/generic/dl-cache.h`).
//!
//! The folders that a loader was built with are searched without a cache: on Debian, the multiarch folders. Only
//! libraries in the other folders of `ld.so.conf` (`/usr/local/lib`) need one. Written is the format that glibc reads
//! since 2.2 and `ldconfig --format=new` makes: a header, entries in the loader's order from the last to the first, and
//! the texts that they point to. Better copies (glibc-hwcaps) are left out: a cache without them is valid.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use rootfs::{Filesystem, RootPath};
use schema::Architecture;

use crate::search::Search;

const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
/// Offsets count from the start of the header. Behind the magic: two counts, the byte order with its padding, the place
/// of extensions, and 12 unused bytes.
const HEADER_SIZE: usize = 48;
/// Flags, two offsets, the oldest kernel, and 8 bytes of processor features.
const ENTRY_SIZE: usize = 24;
const LITTLE_ENDIAN: u8 = 2;

/// A library that a loader finds by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Library {
    /// The name that programs need or open it by: its soname, or the name of a file or a link.
    pub name: Vec<u8>,
    /// Which loader finds it.
    pub architecture: Architecture,
    /// The file or the link that the loader opens.
    pub path: RootPath,
    /// Whether its folder is one of `ld.so.conf` that is not built into the loader, so that it is found by the cache
    /// alone.
    pub needs_cache: bool,
}

/// The libraries that the loaders of a tree find by name, sorted; for each name the one that is found first. In one folder,
/// that is the file or link of this very name, and not a link for linkers (`libz.so`) to a library of this soname.
pub fn libraries(tree: &dyn Filesystem) -> Vec<Library> {
    let search = Search::new(tree);
    let mut found = BTreeMap::new();
    for architecture in Architecture::ALL {
        for known in search.libraries(architecture) {
            let (path, needs_cache) = (known.path, known.by_configuration);
            for name in [Some(path.name().to_vec()), known.soname].into_iter().flatten() {
                let library = Library { name: name.clone(), architecture, path: path.clone(), needs_cache };
                let first = found.entry((name.clone(), architecture)).or_insert_with(|| library.clone());
                if path.name() == name && first.path.parent() == path.parent() {
                    *first = library;
                }
            }
        }
    }
    found.into_values().collect()
}

/// The bytes of a cache with these libraries. Those that do not fit into one (4 GiB of texts) are left out.
pub fn write(libraries: &[Library]) -> Vec<u8> {
    let mut libraries: Vec<&Library> = libraries.iter().collect();
    libraries.sort_by(|a, b| order(&b.name, &a.name).then_with(|| a.cmp(b)));
    libraries.dedup_by(|a, b| (&a.name, a.architecture) == (&b.name, b.architecture));

    let texts_at = HEADER_SIZE + libraries.len() * ENTRY_SIZE;
    let mut texts = Vec::new();
    let mut entries = Vec::new();
    let mut count = 0_u32;
    for library in libraries {
        let name_at = texts_at + texts.len();
        let path_at = name_at + library.name.len() + 1;
        let (Ok(name_at), Ok(path_at)) = (u32::try_from(name_at), u32::try_from(path_at)) else { break };
        for part in [flags(library.architecture), name_at, path_at, 0, 0, 0] {
            entries.extend(part.to_le_bytes());
        }
        texts.extend([library.name.as_slice(), b"\0", library.path.as_bytes(), b"\0"].concat());
        count += 1;
    }

    let mut out = MAGIC.to_vec();
    out.extend(count.to_le_bytes());
    out.extend(u32::try_from(texts.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.push(LITTLE_ENDIAN);
    out.resize(HEADER_SIZE, 0);
    out.extend(entries);
    out.extend(texts);
    out
}

/// A library of libc 6 (3), for this machine (`FLAG_X8664_LIB64`, `FLAG_AARCH64_LIB64`).
fn flags(architecture: Architecture) -> u32 {
    match architecture {
        Architecture::Amd64 => 0x0303,
        Architecture::Arm64 => 0x0a03,
    }
}

/// The order in which the loader searches: by bytes, but runs of digits by the number that they write, and a digit
/// behind everything else (`_dl_cache_libcmp`).
fn order(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (Some(first_a), Some(first_b)) = (a.first(), b.first()) else {
            return a.len().cmp(&b.len());
        };
        match (first_a.is_ascii_digit(), first_b.is_ascii_digit()) {
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (true, true) => {
                let (number_a, rest_a) = split_number(a);
                let (number_b, rest_b) = split_number(b);
                let by_number = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b));
                if by_number != Ordering::Equal {
                    return by_number;
                }
                (a, b) = (rest_a, rest_b);
            }
            (false, false) if first_a != first_b => return first_a.cmp(first_b),
            (false, false) => (a, b) = (&a[1..], &b[1..]),
        }
    }
}

/// The digits at the start, without leading zeros, and the rest.
fn split_number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let start = text[..end].iter().position(|byte| *byte != b'0').unwrap_or(end);
    (&text[start..end], &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{path, tree};
    use testkit::elf::{AARCH64, Elf};

    fn library(name: &str, at: &str) -> Library {
        let architecture = Architecture::Amd64;
        Library { name: name.into(), architecture, path: path(at), needs_cache: false }
    }

    /// What a loader finds for a name, by its binary search over the bytes of a cache.
    fn look_up(cache: &[u8], name: &str) -> Option<String> {
        let int = |at: usize| u32::from_le_bytes(cache[at..at + 4].try_into().unwrap()) as usize;
        let text = |at: usize| {
            let end = at + memchr::memchr(0, &cache[at..]).unwrap();
            std::str::from_utf8(&cache[at..end]).unwrap()
        };
        let (mut left, mut right) = (0, int(MAGIC.len()));
        while left < right {
            let middle = usize::midpoint(left, right);
            let entry = HEADER_SIZE + middle * ENTRY_SIZE;
            match order(name.as_bytes(), text(int(entry + 4)).as_bytes()) {
                Ordering::Equal => return Some(text(int(entry + 8)).to_owned()),
                Ordering::Less => left = middle + 1,
                Ordering::Greater => right = middle,
            }
        }
        None
    }

    #[test]
    fn every_name_is_found_where_it_lies() {
        let names =
            ["libz.so.1", "libz.so", "liba.so.9", "liba.so.10", "libssl.so.3", "libssl.so.1.1", "ld.so.2"];
        let libraries: Vec<_> = names.iter().map(|name| library(name, &format!("/opt/{name}"))).collect();
        let cache = write(&libraries);
        for name in names {
            assert_eq!(look_up(&cache, name), Some(format!("/opt/{name}")), "{name}");
        }
        assert_eq!(look_up(&cache, "libnone.so"), None);
        let mut reversed = libraries;
        reversed.reverse();
        assert_eq!(write(&reversed), cache);
    }

    #[test]
    fn the_header_counts_what_follows() {
        let cache = write(&[library("liba.so.1", "/opt/liba.so.1")]);
        assert!(cache.starts_with(b"glibc-ld.so.cache1.1\x01\0\0\0\x19\0\0\0\x02\0\0\0"));
        assert_eq!(cache.len(), HEADER_SIZE + ENTRY_SIZE + 25);
        assert_eq!(cache[HEADER_SIZE..HEADER_SIZE + 4], [3, 3, 0, 0]);
        assert_eq!(write(&[]).len(), HEADER_SIZE);
    }

    #[test]
    fn names_are_ordered_as_the_loader_orders_them() {
        let ordered = ["liba", "liba.so", "liba.so.2", "liba.so.10", "libb", "lib0"];
        for (at, a) in ordered.iter().enumerate() {
            for (other, b) in ordered.iter().enumerate() {
                assert_eq!(order(a.as_bytes(), b.as_bytes()), at.cmp(&other), "{a} {b}");
            }
        }
        assert_eq!(order(b"lib01", b"lib1"), Ordering::Equal);
    }

    #[test]
    fn libraries_of_a_tree_by_name() {
        let arm = Elf::library("libarm.so.1").machine(AARCH64).build();
        let tree = tree(&[
            ("/etc/ld.so.conf", b"include ld.so.conf.d/*.conf".to_vec()),
            ("/etc/ld.so.conf.d/a.conf", b"/usr/local/lib\n/usr/lib".to_vec()),
            ("/usr/lib/libz.so.1", b"-> libz.so.1.3".to_vec()),
            ("/usr/lib/libz.so.1.3", Elf::library("libz.so.1").build()),
            ("/usr/lib/libffi.so", b"-> libffi.so.8.1".to_vec()),
            ("/usr/lib/libffi.so.8", b"-> libffi.so.8.1".to_vec()),
            ("/usr/lib/libffi.so.8.1", Elf::library("libffi.so.8").build()),
            ("/usr/lib/readme", b"text".to_vec()),
            ("/usr/lib/libscript.so", b"INPUT(libz.so.1)".to_vec()),
            ("/usr/local/lib/libz.so.1", Elf::library("libz.so.1").build()),
            ("/usr/local/lib/libarm.so.1", arm),
            ("/usr/local/lib/libplain.so", Elf::library("libruby.so.3").build()),
        ]);
        let listing: Vec<_> = libraries(&tree)
            .iter()
            .map(|library| {
                let Library { name, architecture, path, needs_cache } = library;
                format!("{} {architecture} {path} {needs_cache}", String::from_utf8_lossy(name))
            })
            .collect();
        assert_eq!(
            listing,
            [
                "libarm.so.1 arm64 /usr/local/lib/libarm.so.1 true",
                "libffi.so amd64 /usr/lib/libffi.so false",
                "libffi.so.8 amd64 /usr/lib/libffi.so.8 false",
                "libffi.so.8.1 amd64 /usr/lib/libffi.so.8.1 false",
                "libplain.so amd64 /usr/local/lib/libplain.so true",
                "libruby.so.3 amd64 /usr/local/lib/libplain.so true",
                "libz.so.1 amd64 /usr/local/lib/libz.so.1 true",
                "libz.so.1.3 amd64 /usr/lib/libz.so.1.3 false",
            ]
        );
    }
}

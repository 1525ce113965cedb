//! The dynamic loader of a program: whose it is, and what it says of itself. What a loader was built with are texts in its
//! file; where the tree has the file, these texts count, and otherwise the customs of the machine.

use rootfs::{Filesystem, Kind, Resolved};

use crate::abi::{Abi, Customs};
use crate::elf::{Link, Object};
use crate::search::resolve_text;

/// A loader of glibc has four folders built in at most.
const MOST_BUILT_IN: usize = 16;
/// The first release without the folders that [`Customs::legacy_hwcaps`] names (its NEWS for 2.37).
const WITHOUT_LEGACY_HWCAPS: (u32, u32) = (2, 37);
/// Beginnings of names that musl's loader takes for itself: all of libc is one file with it.
const MUSL_RESERVED: [&[u8]; 7] =
    [b"libc.", b"libpthread.", b"librt.", b"libm.", b"libdl.", b"libutil.", b"libxnet."];
const MUSL_LOADER: &[u8] = b"ld-musl-";

/// Which C library a loader belongs to, which decides about its rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Libc {
    /// ld.so(8)
    Glibc,
    /// musl's `ldso/dynlink.c`, described in its manual.
    Musl,
}

/// One loader.
#[derive(Debug)]
pub(crate) struct Loader {
    pub(crate) abi: Abi,
    pub(crate) libc: Libc,
    /// Its path, as a program names it.
    path: Vec<u8>,
    /// Its file, where the tree has one.
    pub(crate) file: Option<Resolved>,
    soname: Option<Vec<u8>>,
    /// The folders that it was built with.
    pub(crate) folders: Vec<Vec<u8>>,
    /// What `$LIB` stands for.
    lib: Vec<u8>,
    /// Folders below `glibc-hwcaps`, the best processors first.
    pub(crate) hwcaps: Vec<Vec<u8>>,
    /// As in [`Customs::legacy_hwcaps`].
    pub(crate) legacy_hwcaps: &'static [(&'static str, bool)],
    /// The file that lists its folders: `ld.so.conf`, through the cache that is made of it, or musl's `.path` file, which
    /// stands in place of what is built in.
    pub(crate) configuration: Vec<u8>,
}

/// A folder of a search path, as text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) folder: Vec<u8>,
    /// Whether the loader looks there on every processor.
    pub(crate) is_for_all: bool,
}

/// The loader that an object is loaded by: the one that it names, or the one that its libraries belong to, or the one that
/// the tree has. Gives the path and whose loader it is.
pub(crate) fn choose(tree: &dyn Filesystem, object: &Object<'_>) -> (Vec<u8>, Libc) {
    if let Some(path) = object.interpreter {
        let is_musl = file_name(path).starts_with(MUSL_LOADER);
        return (path.to_vec(), if is_musl { Libc::Musl } else { Libc::Glibc });
    }
    let customs = object.identity.abi.customs();
    let glibc = customs.map(|customs| customs.glibc.as_bytes().to_vec()).unwrap_or_default();
    let musl = customs.map(|customs| format!("/lib/ld-musl-{}.so.1", customs.musl).into_bytes());
    let names = || object.needed.iter().filter(|(link, _)| *link == Link::Needed).map(|(_, name)| *name);
    let is_there = |path: &[u8]| resolve_text(tree, path).is_some();
    let is_of_musl = |name: &[u8]| name == b"libc.so" || name.starts_with(b"libc.musl-");
    match musl {
        Some(musl)
            if names().any(is_of_musl)
                || (names().all(|name| name != b"libc.so.6") && !is_there(&glibc) && is_there(&musl)) =>
        {
            (musl, Libc::Musl)
        }
        _ => (glibc, Libc::Glibc),
    }
}

impl Loader {
    /// The loader at a path for objects of this ABI.
    pub(crate) fn new(tree: &dyn Filesystem, abi: Abi, path: &[u8], libc: Libc) -> Self {
        let file = resolve_text(tree, path);
        let entry = file.as_ref().and_then(|file| tree.get(&file.path));
        let bytes = match entry.map(|entry| &entry.kind) {
            Some(Kind::File(file)) => Some(&*file.content),
            _ => None,
        };
        let soname = bytes.and_then(|bytes| Object::parse(bytes).ok()?.soname.map(<[u8]>::to_vec));
        let customs = abi.customs();
        let folders = match libc {
            Libc::Glibc => glibc_folders(bytes, customs),
            Libc::Musl => musl_folders(bytes),
        };
        let first = folders.first().map(Vec::as_slice).unwrap_or_default();
        let first = first.strip_suffix(b"/").unwrap_or(first);
        let lib = first.strip_prefix(b"/usr/").or(first.strip_prefix(b"/")).unwrap_or_default().to_vec();
        let has_legacy_hwcaps = libc == Libc::Glibc
            && bytes.is_some_and(|bytes| release(bytes).is_none_or(|one| one < WITHOUT_LEGACY_HWCAPS));
        Self {
            abi,
            libc,
            path: path.to_vec(),
            file,
            soname,
            folders,
            lib,
            hwcaps: if libc == Libc::Glibc { hwcaps(bytes, customs) } else { Vec::new() },
            legacy_hwcaps: customs
                .filter(|_| has_legacy_hwcaps)
                .map(|customs| customs.legacy_hwcaps)
                .unwrap_or_default(),
            configuration: match libc {
                Libc::Glibc => glibc_configuration(bytes),
                Libc::Musl => musl_configuration(path),
            },
        }
    }

    /// Whether a library of this name is the loader itself, which is there before any search.
    pub(crate) fn is_itself(&self, name: &[u8]) -> bool {
        let is_named = match self.libc {
            Libc::Glibc => name == self.soname.as_deref().unwrap_or(file_name(&self.path)),
            Libc::Musl => MUSL_RESERVED.iter().any(|reserved| name.starts_with(reserved)),
        };
        is_named || name == self.path
    }

    /// The folders of an RPATH or a RUNPATH of an object that lies in `origin`: separated by colons. Relative folders
    /// depend on where a program is started, and are passed over.
    pub(crate) fn search_path(&self, text: &[u8], origin: &[u8]) -> Vec<Written> {
        let folders = match self.libc {
            Libc::Glibc => {
                text.split(|&byte| byte == b':').flat_map(|folder| self.expand(folder, origin)).collect()
            }
            Libc::Musl => musl_search_path(text, origin),
        };
        folders.into_iter().filter(|written| written.folder.starts_with(b"/")).collect()
    }

    /// The name of a needed library, with what its tokens stand for; `None` where one stands for nothing.
    pub(crate) fn library_name(&self, name: &[u8], origin: &[u8]) -> Option<Vec<u8>> {
        match self.libc {
            Libc::Glibc => self.expand(name, origin).pop().map(|written| written.folder),
            Libc::Musl => Some(name.to_vec()),
        }
    }

    /// Puts in what glibc puts in for its tokens (ld.so(8), dynamic string tokens): for each processor that has a name of
    /// its own, and for all others at the end.
    fn expand(&self, text: &[u8], origin: &[u8]) -> Vec<Written> {
        let platforms = self.abi.customs().map(|customs| customs.platforms).unwrap_or_default();
        let Some((oldest, newer)) = platforms.split_first() else {
            return self.substitute(text, origin, None).map(Written::for_all).into_iter().collect();
        };
        let Some(for_all) = self.substitute(text, origin, Some(oldest)) else { return Vec::new() };
        let better = newer.iter().rev().filter_map(|platform| self.substitute(text, origin, Some(platform)));
        let better = better.filter(|folder| *folder != for_all);
        let mut written: Vec<_> = better.map(|folder| Written { folder, is_for_all: false }).collect();
        written.push(Written::for_all(for_all));
        written
    }

    fn substitute(&self, mut text: &[u8], origin: &[u8], platform: Option<&str>) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        while let Some(at) = memchr::memchr(b'$', text) {
            out.extend_from_slice(&text[..at]);
            let rest = &text[at + 1..];
            let (token, after) = split_token(rest);
            match token {
                b"ORIGIN" => out.extend_from_slice(origin),
                b"LIB" => out.extend_from_slice(&self.lib),
                b"PLATFORM" => out.extend_from_slice(platform?.as_bytes()),
                _ => {
                    out.push(b'$');
                    text = rest;
                    continue;
                }
            }
            text = after;
        }
        out.extend_from_slice(text);
        Some(out)
    }
}

impl Written {
    fn for_all(folder: Vec<u8>) -> Self {
        Self { folder, is_for_all: true }
    }
}

/// The release of glibc in `GNU C Library (...) stable release version 2.31.` of libc, or the like of its loader (from 2.33
/// on).
pub(crate) fn release(bytes: &[u8]) -> Option<(u32, u32)> {
    const BEFORE: &[u8] = b" release version ";
    let start = memchr::memmem::find(bytes, BEFORE)? + BEFORE.len();
    let text = &bytes[start..bytes.len().min(start + 16)];
    let mut numbers = text
        .split(|byte| !byte.is_ascii_digit())
        .map(|number| std::str::from_utf8(number).ok()?.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// What the loader says, or the folders of Debian and of others where there is no loader to ask.
fn glibc_folders(bytes: Option<&[u8]>, customs: Option<&Customs>) -> Vec<Vec<u8>> {
    bytes.and_then(folders_in_glibc).unwrap_or_else(|| {
        let own = customs.map(|customs| [format!("lib/{}", customs.multiarch), customs.lib.to_owned()]);
        let mut names: Vec<String> = own.into_iter().flatten().chain(["lib".to_owned()]).collect();
        names.dedup();
        names.iter().flat_map(|lib| [format!("/{lib}/"), format!("/usr/{lib}/")]).map(Into::into).collect()
    })
}

/// A loader of glibc holds its folders as texts that start and end with a slash, one behind the other: the most of them
/// where there are several such rows, as the end of a row looks like another.
fn folders_in_glibc(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let row = |before: usize| -> Vec<Vec<u8>> {
        let is_folder = |text: &&[u8]| text.len() > 1 && text.starts_with(b"/") && text.ends_with(b"/");
        let texts = bytes.get(before + 1..).unwrap_or_default().split(|&byte| byte == 0);
        texts.take(MOST_BUILT_IN).take_while(is_folder).map(<[u8]>::to_vec).collect()
    };
    let longest = |start: &[u8]| {
        let rows = memchr::memmem::find_iter(bytes, start).map(row).filter(|row| row.len() > 1);
        rows.reduce(|longest, row| if row.len() > longest.len() { row } else { longest })
    };
    longest(b"\0/lib").or_else(|| longest(b"\0/usr/lib"))
}

/// A loader of glibc holds the names of its folders below `glibc-hwcaps` as one text, from 2.33 on.
fn hwcaps(bytes: Option<&[u8]>, customs: Option<&Customs>) -> Vec<Vec<u8>> {
    let known = customs.map(|customs| customs.hwcaps).unwrap_or_default();
    let Some(oldest) = known.last() else { return Vec::new() };
    match bytes {
        None => known.iter().map(|name| name.as_bytes().to_vec()).collect(),
        Some(bytes) => text_ending_with(bytes, oldest.as_bytes())
            .map(|text| text.split(|&byte| byte == b':').map(<[u8]>::to_vec).collect())
            .unwrap_or_default(),
    }
}

/// The loader names its cache; `ldconfig` of the same build reads its folders from the file beside it.
fn glibc_configuration(bytes: Option<&[u8]>) -> Vec<u8> {
    let cache = bytes.and_then(|bytes| text_ending_with(bytes, b"/ld.so.cache"));
    let folder = cache.and_then(|path| path.strip_suffix(b"/ld.so.cache")).unwrap_or(b"/etc");
    [folder, b"/ld.so.conf"].concat()
}

/// The prefix that musl was installed to is two names above its loader.
fn musl_configuration(path: &[u8]) -> Vec<u8> {
    let parent = |path: &[u8]| memchr::memrchr(b'/', path).unwrap_or(0);
    let folder = &path[..parent(path)];
    let prefix = &folder[..parent(folder)];
    let name = file_name(path);
    let machine = name.strip_prefix(MUSL_LOADER).unwrap_or(name);
    let machine = machine.split(|&byte| byte == b'.').next().unwrap_or(machine);
    [prefix, b"/etc/", MUSL_LOADER, machine, b".path"].concat()
}

fn musl_folders(bytes: Option<&[u8]>) -> Vec<Vec<u8>> {
    let built_in = bytes.and_then(|bytes| text_ending_with(bytes, b":/usr/lib"));
    split_musl_path(built_in.unwrap_or(b"/lib:/usr/local/lib:/usr/lib")).map(<[u8]>::to_vec).collect()
}

/// Folders as musl separates them.
pub(crate) fn split_musl_path(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| matches!(byte, b':' | b'\n')).filter(|folder| !folder.is_empty())
}

/// musl knows `$ORIGIN` alone, and nothing of a search path with another token.
fn musl_search_path(text: &[u8], origin: &[u8]) -> Vec<Written> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'$', rest) {
        out.extend_from_slice(&rest[..at]);
        let token = &rest[at..];
        let Some(after) = token.strip_prefix(b"$ORIGIN").or(token.strip_prefix(b"${ORIGIN}")) else {
            return Vec::new();
        };
        out.extend_from_slice(origin);
        rest = after;
    }
    out.extend_from_slice(rest);
    split_musl_path(&out).map(|folder| Written::for_all(folder.to_vec())).collect()
}

/// The text between two NULs that ends like this.
fn text_ending_with<'b>(bytes: &'b [u8], end: &[u8]) -> Option<&'b [u8]> {
    memchr::memmem::find_iter(bytes, &[end, b"\0"].concat()).find_map(|at| {
        let start = memchr::memrchr(0, &bytes[..at])? + 1;
        bytes.get(start..at + end.len())
    })
}

/// The name of a token and the text behind it: `ORIGIN` of `ORIGIN/lib` and of `{ORIGIN}/lib`.
fn split_token(text: &[u8]) -> (&[u8], &[u8]) {
    if let Some(inside) = text.strip_prefix(b"{")
        && let Some(end) = memchr::memchr(b'}', inside)
    {
        return (&inside[..end], &inside[end + 1..]);
    }
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let end = text.iter().position(|byte| !is_name(byte)).unwrap_or(text.len());
    text.split_at(end)
}

fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::tree;
    use proptest::prelude::*;
    use testkit::elf::{AARCH64, Elf};

    #[test]
    fn releases() {
        for (text, wanted) in [
            ("stable release version 2.41.\n", Some((2, 41))),
            ("stable release version 2.31", Some((2, 31))),
            ("stable release version 2", None),
            ("stable release version x.1", None),
            ("stable release version 99999999999.1", None),
            ("version 2.41", None),
        ] {
            assert_eq!(release(text.as_bytes()), wanted, "{text}");
        }
    }

    /// What a loader of this file says of itself.
    fn of_file(path: &str, libc: Libc, file: &Elf) -> Loader {
        let bytes = file.build();
        let abi = Object::parse(&bytes).unwrap().identity.abi;
        Loader::new(&tree(&[(path, bytes)]), abi, path.as_bytes(), libc)
    }

    fn glibc(texts: &str) -> Loader {
        let path = "/lib64/ld-linux-x86-64.so.2";
        of_file(path, Libc::Glibc, &Elf::library("ld-linux-x86-64.so.2").payload(texts))
    }

    fn absent(elf: &Elf) -> Loader {
        let bytes = elf.build();
        let object = Object::parse(&bytes).unwrap();
        let tree = tree::<&str>(&[]);
        let (path, libc) = choose(&tree, &object);
        Loader::new(&tree, object.identity.abi, &path, libc)
    }

    fn texts(list: &[Vec<u8>]) -> Vec<&str> {
        list.iter().map(|text| std::str::from_utf8(text).unwrap()).collect()
    }

    #[test]
    fn what_a_loader_was_built_with() {
        for (layout, lib) in [
            ("/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/", "lib/x86_64-linux-gnu"),
            ("/lib64/\0/usr/lib64/", "lib64"),
            ("/usr/lib/\0/usr/lib64/", "lib"),
            ("/libx32/\0/usr/libx32/\0/lib/\0/usr/lib/", "libx32"),
        ] {
            let loader = glibc(&format!("text\0{layout}\0more\0"));
            assert_eq!(texts(&loader.folders), layout.split('\0').collect::<Vec<_>>());
            let found = loader.search_path(b"/opt/$LIB:/opt/${LIB}x", b"/bin");
            let folders: Vec<_> = found.into_iter().map(|written| written.folder).collect();
            assert_eq!(texts(&folders), [format!("/opt/{lib}"), format!("/opt/{lib}x")]);
        }
        // As in Debian's loader for armhf: what stands before the first row ends it in no NUL.
        let row = "/lib/arm/\0/usr/lib/arm/\0/lib/\0/usr/lib/\0";
        let twice = glibc(&format!("\u{1}{row}\u{19}\0{row}"));
        assert_eq!(texts(&twice.folders), ["/lib/arm/", "/usr/lib/arm/", "/lib/", "/usr/lib/"]);
        let said = glibc("\0x86-64-v5:x86-64-v4:x86-64-v3:x86-64-v2\0 stable release version 2.41.\0");
        assert_eq!(texts(&said.hwcaps), ["x86-64-v5", "x86-64-v4", "x86-64-v3", "x86-64-v2"]);
        assert!(said.legacy_hwcaps.is_empty());
        let old = glibc("\0stable release version 2.36.\0");
        assert!(old.hwcaps.is_empty() && !old.legacy_hwcaps.is_empty());
        assert!(!glibc("").legacy_hwcaps.is_empty(), "loaders before 2.33 do not say their version");
        assert_eq!(old.configuration, b"/etc/ld.so.conf");
        assert_eq!(glibc("\0/opt/g/etc/ld.so.cache\0").configuration, b"/opt/g/etc/ld.so.conf");
    }

    #[test]
    fn what_is_taken_for_granted_without_a_loader() {
        let amd64 = absent(&Elf::program());
        let folders = ["/lib/x86_64-linux-gnu/", "/usr/lib/x86_64-linux-gnu/", "/lib64/", "/usr/lib64/"];
        assert_eq!(texts(&amd64.folders), [&folders[..], &["/lib/", "/usr/lib/"]].concat());
        assert_eq!(texts(&amd64.hwcaps), ["x86-64-v4", "x86-64-v3", "x86-64-v2"]);
        let unknown = absent(&Elf::dynamic().machine(0x7777));
        assert_eq!(texts(&unknown.folders), ["/lib/", "/usr/lib/"]);
        assert!(absent(&Elf::dynamic().machine(AARCH64)).hwcaps.is_empty());
    }

    #[test]
    fn a_token_that_stands_for_several_things() {
        let folders = |loader: &Loader, text: &str| {
            let written = loader.search_path(text.as_bytes(), b"/bin");
            let text = |one: Written| (String::from_utf8(one.folder).unwrap(), one.is_for_all);
            written.into_iter().map(text).collect::<Vec<_>>()
        };
        let amd64 = absent(&Elf::program());
        assert_eq!(
            folders(&amd64, "/opt/$PLATFORM:/a"),
            [
                ("/opt/xeon_phi".into(), false),
                ("/opt/haswell".into(), false),
                ("/opt/x86_64".into(), true),
                ("/a".into(), true)
            ]
        );
        let riscv = absent(&Elf::dynamic().machine(testkit::elf::RISCV).processor_flags(5));
        assert_eq!(folders(&riscv, "/opt/$PLATFORM:/a"), [("/a".into(), true)], "its kernel gives no name");
        let name = |text: &str| amd64.library_name(text.as_bytes(), b"/bin");
        assert_eq!(name("${ORIGIN}/liba.so"), Some(b"/bin/liba.so".to_vec()));
        assert_eq!(name("liba.so"), Some(b"liba.so".to_vec()));
        assert_eq!(name("/$PLATFORM/liba.so"), Some(b"/x86_64/liba.so".to_vec()));
        assert_eq!(riscv.library_name(b"/$PLATFORM/liba.so", b"/bin"), None);
    }

    #[test]
    fn what_musl_was_built_with() {
        let musl = |path: &str, texts: &str| of_file(path, Libc::Musl, &Elf::dynamic().payload(texts));
        let usual = musl("/lib/ld-musl-x86_64.so.1", "");
        assert_eq!(usual.configuration, b"/etc/ld-musl-x86_64.path");
        assert_eq!(texts(&usual.folders), ["/lib", "/usr/local/lib", "/usr/lib"]);
        let own = musl("/opt/m/lib/ld-musl-armhf.so.1", "\0/opt/m/lib:/usr/lib\0");
        assert_eq!(own.configuration, b"/opt/m/etc/ld-musl-armhf.path");
        assert_eq!(texts(&own.folders), ["/opt/m/lib", "/usr/lib"]);
        let folders = |text: &str| {
            let written = usual.search_path(text.as_bytes(), b"/bin");
            written.into_iter().map(|one| String::from_utf8(one.folder).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(folders("$ORIGIN/../a\n/b:${ORIGIN}x:c"), ["/bin/../a", "/b", "/binx"]);
        assert_eq!(folders("/a:/b/$LIB"), Vec::<String>::new(), "another token spoils all");
        for (name, wanted) in [
            ("libc.so", true),
            ("libc.musl-x86_64.so.1", true),
            ("libpthread.so.0", true),
            ("libm.so.6", true),
            ("/lib/ld-musl-x86_64.so.1", true),
            ("libcrypto.so.3", false),
            ("libmagic.so.1", false),
            ("ld-musl-x86_64.so.1", false),
        ] {
            assert_eq!(usual.is_itself(name.as_bytes()), wanted, "{name}");
        }
    }

    #[test]
    fn whose_loader_an_object_has() {
        let with = |there: &[&str], elf: Elf| {
            let files: Vec<_> = there.iter().map(|path| (*path, "")).collect();
            let bytes = elf.build();
            let (path, libc) = choose(&tree(&files), &Object::parse(&bytes).unwrap());
            (String::from_utf8(path).unwrap(), libc)
        };
        let (glibc, musl) = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1");
        let library = || Elf::library("liba.so");
        for (there, elf, wanted, libc) in [
            (&[][..], Elf::program().interpreter("/x/ld-musl-arm.so.1"), "/x/ld-musl-arm.so.1", Libc::Musl),
            (&[], Elf::program().interpreter("/x/ld.so"), "/x/ld.so", Libc::Glibc),
            (&[], library(), glibc, Libc::Glibc),
            (&[musl], library(), musl, Libc::Musl),
            (&[musl, glibc], library(), glibc, Libc::Glibc),
            (&[musl, glibc], library().needs("libc.musl-x86_64.so.1"), musl, Libc::Musl),
            (&[musl, glibc], library().needs("libc.so"), musl, Libc::Musl),
            (&[musl], library().needs("libc.so.6"), glibc, Libc::Glibc),
        ] {
            assert_eq!(with(there, elf), (wanted.to_owned(), libc), "{there:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(
            path in proptest::collection::vec(any::<u8>(), 0..40),
            texts in proptest::collection::vec(any::<u8>(), 0..300),
            name in "[$A-Z{}/:]{0,30}",
        ) {
            for libc in [Libc::Glibc, Libc::Musl] {
                let file = Elf::dynamic().payload([&texts[..], b"\0/lib", &texts, b"\0x86-64-v2\0"].concat()).build();
                let tree = tree(&[("/ld", file.clone())]);
                let abi = Object::parse(&file).unwrap().identity.abi;
                for path in [path.as_slice(), b"/ld"] {
                    let loader = Loader::new(&tree, abi, path, libc);
                    let _ = loader.search_path(name.as_bytes(), path);
                    let _ = loader.library_name(path, name.as_bytes());
                    let _ = loader.is_itself(path);
                }
            }
        }
    }
}

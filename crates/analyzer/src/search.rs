//! Where the loader looks for a library (ld.so(8)): the folders of the objects in play, those of `ld.so.conf`, and those
//! that it was built with.
//!
//! A *folder* is real; the links that lead to it from the place as written are kept beside it. A *place* is what a search
//! found: the baseline file, and the better copies for newer processors beside or before it. `ld.so.cache` is never
//! read: what ldconfig would have written there follows from `ld.so.conf` and the tree.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use rootfs::{Filesystem, Kind, Resolved, RootPath};
use schema::Architecture;

use crate::elf::{Abi, Identity, Object};
use crate::ld_so_conf::{self, Line};
use crate::pattern;

/// Where ldconfig reads its folders from.
const LD_SO_CONF: &str = "/etc/ld.so.conf";
/// glibc's limit is its stack; no system nests more than once.
const MOST_CONF_FILES: usize = 1000;
/// A loader has four folders built in at most.
const MOST_BUILT_IN: usize = 16;

/// A folder that is searched.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    path: RootPath,
    /// The links on the way to it.
    pub(crate) links: Vec<RootPath>,
    /// `glibc-hwcaps/x86-64-v3` and the like below it.
    hwcaps: Vec<RootPath>,
    /// Whether only `ld.so.conf` names it: then the loader finds it through `ld.so.cache` alone.
    pub(crate) by_configuration: bool,
}

/// Where a library is.
#[derive(Debug)]
pub(crate) struct Place {
    /// `None` where the library was named by its path.
    pub(crate) folder: Option<Arc<Folder>>,
    /// The file that every processor can run.
    pub(crate) file: Resolved,
    /// Copies for newer processors, which the loader takes there instead.
    pub(crate) better: Vec<Resolved>,
}

/// A library that lies in a folder of `ld.so.conf` or of the loader.
pub(crate) struct KnownLibrary {
    /// The file or link in the folder.
    pub(crate) path: RootPath,
    pub(crate) soname: Option<Vec<u8>>,
    /// As in [`Folder`].
    pub(crate) by_configuration: bool,
}

/// Why a library was not found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// Nothing fits; a file of that name may be for another architecture.
    Absent { other_architecture: Option<RootPath> },
    /// The loader comes to this file first and gives up.
    Unusable { candidate: RootPath },
}

/// What a search gives.
pub(crate) type Found = Result<Arc<Place>, Miss>;

/// The library folders of one tree, and what was found there so far.
pub(crate) struct Search<'t> {
    tree: &'t dyn Filesystem,
    configured: Vec<Resolved>,
    /// `ld.so.conf` and the files that it includes, with the links that lead to them.
    pub(crate) configuration: Vec<RootPath>,
    built_in: Mutex<BTreeMap<Abi, Arc<BuiltIn>>>,
    found: Mutex<HashMap<Question, Found>>,
}

/// What is looked for in the folders of `ld.so.conf` and of the loader.
type Question = (Abi, Vec<u8>, Defaults);

/// Whether an object's needs are looked for in the folders that the loader was built with (`DF_1_NODEFLIB`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Defaults {
    Searched,
    Skipped,
}

/// What a loader was built with, with the folders of `ld.so.conf` before it.
#[derive(Debug)]
struct BuiltIn {
    folders: Vec<Arc<Folder>>,
    /// What `$LIB` stands for.
    lib: Vec<u8>,
}

enum Candidate {
    Absent,
    OtherArchitecture,
    Unusable,
    Fits(Resolved),
}

impl<'t> Search<'t> {
    pub(crate) fn new(tree: &'t dyn Filesystem) -> Self {
        let mut reader =
            Configuration { tree, folders: Vec::new(), files: BTreeSet::new(), links: BTreeSet::new() };
        if let Ok(path) = RootPath::parse(LD_SO_CONF) {
            reader.read(&path);
        }
        Self {
            tree,
            configured: reader.folders,
            configuration: reader.links.into_iter().chain(reader.files).collect(),
            built_in: Mutex::default(),
            found: Mutex::default(),
        }
    }

    /// Looks for a library in folders of objects first, then in those of `ld.so.conf` and of the loader. A name with a
    /// slash is a path.
    pub(crate) fn find(&self, abi: Abi, name: &[u8], first: &[Arc<Folder>], defaults: Defaults) -> Found {
        if name.contains(&b'/') {
            return self.at_path(abi, name);
        }
        if is_loader(abi, name) {
            return self.at_path(abi, loader_path(abi).unwrap_or_default().as_bytes());
        }
        match self.in_folders(abi, name, first) {
            Err(Miss::Absent { other_architecture }) => {
                let found = self.in_known_folders(abi, name, defaults);
                match (found, other_architecture) {
                    (Err(Miss::Absent { other_architecture: None }), other_architecture) => {
                        Err(Miss::Absent { other_architecture })
                    }
                    (found, _) => found,
                }
            }
            found => found,
        }
    }

    /// What lies in the folders of `ld.so.conf` and of the loader for an architecture, in the order of a search: shared
    /// objects by the names that ldconfig takes (`lib*.so*` and `ld-*.so*`).
    pub(crate) fn libraries(&self, architecture: Architecture) -> Vec<KnownLibrary> {
        let abi = Abi::of(architecture);
        let is_named = |path: &RootPath| {
            let name = path.name();
            (name.starts_with(b"lib") || name.starts_with(b"ld-"))
                && memchr::memmem::find(name, b".so").is_some()
        };
        let mut libraries = Vec::new();
        for folder in &self.built_in(abi).folders {
            for (path, _) in self.tree.children(&folder.path).filter(|(path, _)| is_named(path)) {
                if let Candidate::Fits(file) = self.candidate(abi, &folder.path, path.name()) {
                    let soname = self.object(&file.path).and_then(|object| object.soname.map(<[u8]>::to_vec));
                    let by_configuration = folder.by_configuration;
                    libraries.push(KnownLibrary { path: path.clone(), soname, by_configuration });
                }
            }
        }
        libraries
    }

    fn object(&self, path: &RootPath) -> Option<Object<'t>> {
        match &self.tree.get(path)?.kind {
            Kind::File(file) => Object::parse(&file.content).ok(),
            _ => None,
        }
    }

    fn in_known_folders(&self, abi: Abi, name: &[u8], defaults: Defaults) -> Found {
        let key = (abi, name.to_vec(), defaults);
        if let Some(found) = lock(&self.found).get(&key) {
            return found.clone();
        }
        let folders: Vec<_> = self.built_in(abi).folders.clone();
        let searched = |folder: &&Arc<Folder>| defaults == Defaults::Searched || folder.by_configuration;
        let folders: Vec<_> = folders.iter().filter(searched).cloned().collect();
        let found = self.in_folders(abi, name, &folders);
        lock(&self.found).insert(key, found.clone());
        found
    }

    fn in_folders(&self, abi: Abi, name: &[u8], folders: &[Arc<Folder>]) -> Found {
        let mut other_architecture = None;
        let mut better = Vec::new();
        for folder in folders {
            for subfolder in &folder.hwcaps {
                if let Candidate::Fits(file) = self.candidate(abi, subfolder, name) {
                    better.push(file);
                }
            }
            match self.candidate(abi, &folder.path, name) {
                Candidate::Absent => {}
                Candidate::OtherArchitecture => {
                    other_architecture = other_architecture.or(folder.path.join(name).ok());
                }
                Candidate::Unusable => {
                    let candidate = folder.path.join(name).unwrap_or_else(|_| folder.path.clone());
                    return Err(Miss::Unusable { candidate });
                }
                Candidate::Fits(file) => {
                    return Ok(Arc::new(Place { folder: Some(Arc::clone(folder)), file, better }));
                }
            }
        }
        Err(Miss::Absent { other_architecture })
    }

    fn at_path(&self, abi: Abi, path: &[u8]) -> Found {
        let absent = Miss::Absent { other_architecture: None };
        if !path.starts_with(b"/") {
            return Err(absent);
        }
        let Some(file) = resolve_text(self.tree, path) else { return Err(absent) };
        let candidate = file.path.clone();
        match self.judge(abi, file) {
            Candidate::Fits(file) => Ok(Arc::new(Place { folder: None, file, better: Vec::new() })),
            Candidate::OtherArchitecture => Err(Miss::Absent { other_architecture: Some(candidate) }),
            Candidate::Unusable => Err(Miss::Unusable { candidate }),
            Candidate::Absent => Err(absent),
        }
    }

    fn candidate(&self, abi: Abi, folder: &RootPath, name: &[u8]) -> Candidate {
        let Ok(path) = folder.join(name) else { return Candidate::Absent };
        if self.tree.get(&path).is_none() {
            return Candidate::Absent;
        }
        self.tree.resolve(&path).map_or(Candidate::Absent, |file| self.judge(abi, file))
    }

    /// The loader passes over objects of another class or machine, and gives up at anything else that does not fit.
    fn judge(&self, abi: Abi, file: Resolved) -> Candidate {
        let Some(Kind::File(content)) = self.tree.get(&file.path).map(|entry| &entry.kind) else {
            return Candidate::Absent;
        };
        match Identity::read(&content.content) {
            Ok(identity) if !identity.abi.is_same_machine(abi) => Candidate::OtherArchitecture,
            Ok(identity) if identity.abi == abi && identity.is_loadable() => Candidate::Fits(file),
            _ => Candidate::Unusable,
        }
    }

    /// The folders of an RPATH or a RUNPATH: separated by colons, with `$ORIGIN` for the folder of the object, `$LIB` and
    /// `$PLATFORM`. Relative folders depend on where a program is started, and are passed over.
    pub(crate) fn folders_of_object(&self, abi: Abi, folders: &[u8], object: &RootPath) -> Vec<Arc<Folder>> {
        let origin = object.parent().unwrap_or_else(RootPath::root);
        folders
            .split(|&byte| byte == b':')
            .filter_map(|text| self.substitute(abi, text, &origin))
            .filter(|text| text.starts_with(b"/"))
            .filter_map(|text| self.folder(resolve_text(self.tree, &text)?, false))
            .collect()
    }

    /// Puts in what the loader puts in for its tokens; `None` where it has nothing to put in.
    fn substitute(&self, abi: Abi, mut text: &[u8], origin: &RootPath) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        while let Some(at) = memchr::memchr(b'$', text) {
            out.extend_from_slice(&text[..at]);
            let rest = &text[at + 1..];
            let (token, after) = split_token(rest);
            match token {
                b"ORIGIN" => out.extend_from_slice(origin.as_bytes()),
                b"LIB" => out.extend_from_slice(&self.built_in(abi).lib),
                b"PLATFORM" => out.extend_from_slice(platform(abi)?),
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

    fn folder(&self, resolved: Resolved, by_configuration: bool) -> Option<Arc<Folder>> {
        let Resolved { path, links } = resolved;
        if !self.tree.get(&path)?.is_directory() {
            return None;
        }
        let subfolders = path.join("glibc-hwcaps").ok()?;
        let hwcaps = self
            .tree
            .children(&subfolders)
            .filter(|(_, entry)| entry.is_directory())
            .map(|(path, _)| path.clone())
            .collect();
        Some(Arc::new(Folder { path, links, hwcaps, by_configuration }))
    }

    fn built_in(&self, abi: Abi) -> Arc<BuiltIn> {
        if let Some(known) = lock(&self.built_in).get(&abi) {
            return Arc::clone(known);
        }
        let names = self.built_in_names(abi);
        let real: Vec<Resolved> = names.iter().filter_map(|name| resolve_text(self.tree, name)).collect();
        let mut folders: Vec<Arc<Folder>> = Vec::new();
        for (resolved, configured) in
            self.configured.iter().map(|one| (one, true)).chain(real.iter().map(|one| (one, false)))
        {
            let only_configured = configured && !real.iter().any(|built_in| built_in.path == resolved.path);
            if !folders.iter().any(|known| known.path == resolved.path) {
                folders.extend(self.folder(resolved.clone(), only_configured));
            }
        }
        let lib =
            names.first().and_then(|name| name.strip_prefix(b"/")?.strip_suffix(b"/")).unwrap_or_default();
        let known = Arc::new(BuiltIn { folders, lib: lib.to_vec() });
        lock(&self.built_in).insert(abi, Arc::clone(&known));
        known
    }

    /// What the tree's own loader says, or Debian's folders where there is no loader to ask.
    fn built_in_names(&self, abi: Abi) -> Vec<Vec<u8>> {
        let read = || {
            let path = self.tree.resolve(&RootPath::parse(loader_path(abi)?).ok()?).ok()?.path;
            match &self.tree.get(&path)?.kind {
                Kind::File(file) => folders_in_loader(&file.content),
                _ => None,
            }
        };
        read().unwrap_or_else(|| {
            let triplet = abi.architecture().map(Architecture::triplet);
            let multiarch =
                triplet.map(|triplet| [format!("/lib/{triplet}/"), format!("/usr/lib/{triplet}/")]);
            let plain = ["/lib/", "/usr/lib/"].map(str::to_owned);
            multiarch.into_iter().flatten().chain(plain).map(String::into_bytes).collect()
        })
    }
}

/// A loader of glibc holds its folders as texts that start and end with a slash, one behind the other.
fn folders_in_loader(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut ends_before = memchr::memmem::find_iter(bytes, b"\0/lib");
    ends_before.find_map(|end| {
        let texts: Vec<Vec<u8>> = bytes
            .get(end + 1..)?
            .split(|&byte| byte == 0)
            .take(MOST_BUILT_IN)
            .take_while(|text| text.len() > 1 && text.starts_with(b"/") && text.ends_with(b"/"))
            .map(<[u8]>::to_vec)
            .collect();
        (texts.len() > 1).then_some(texts)
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

/// Where the ABI puts the loader (System V ABI, processor supplements).
fn loader_path(abi: Abi) -> Option<&'static str> {
    Some(match abi.architecture()? {
        Architecture::Amd64 => "/lib64/ld-linux-x86-64.so.2",
        Architecture::Arm64 => "/lib/ld-linux-aarch64.so.1",
    })
}

/// Whether a needed library is the loader itself, which is there before any search.
fn is_loader(abi: Abi, name: &[u8]) -> bool {
    loader_path(abi).and_then(|path| path.rsplit('/').next()).is_some_and(|loader| loader.as_bytes() == name)
}

/// What the kernel calls the processor (`AT_PLATFORM`, getauxval(3)).
fn platform(abi: Abi) -> Option<&'static [u8]> {
    Some(match abi.architecture()? {
        Architecture::Amd64 => b"x86_64",
        Architecture::Arm64 => b"aarch64",
    })
}

/// Follows a path as a file writes it, from the root on.
pub(crate) fn resolve_text(tree: &dyn Filesystem, text: &[u8]) -> Option<Resolved> {
    resolve_from(tree, &RootPath::root(), text)
}

/// Follows a path as a file in `folder` writes it: with `..`, which leads to the folder that holds the real one. What is
/// passed and left again by `..` must be there too, and stands among the links, but for the folder itself and those above.
pub(crate) fn resolve_from(tree: &dyn Filesystem, folder: &RootPath, text: &[u8]) -> Option<Resolved> {
    let start = if text.starts_with(b"/") { RootPath::root() } else { folder.clone() };
    let mut at = Resolved { path: start, links: Vec::new() };
    for component in text.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                let above = at.path.parent().unwrap_or_else(RootPath::root);
                let left = std::mem::replace(&mut at.path, above);
                at.links.extend((!folder.starts_with(&left)).then_some(left));
            }
            name => {
                let next = tree.resolve(&at.path.join(name).ok()?).ok()?;
                at.path = next.path;
                at.links.extend(next.links);
            }
        }
    }
    Some(at)
}

/// A panic elsewhere leaves a memo whole: every entry is put in at once.
fn lock<T>(memo: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    memo.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads `ld.so.conf` with its includes.
struct Configuration<'t> {
    tree: &'t dyn Filesystem,
    folders: Vec<Resolved>,
    files: BTreeSet<RootPath>,
    links: BTreeSet<RootPath>,
}

impl Configuration<'_> {
    fn read(&mut self, path: &RootPath) {
        let Ok(file) = self.tree.resolve(path) else { return };
        let Some(Kind::File(content)) = self.tree.get(&file.path).map(|entry| &entry.kind) else { return };
        if self.files.len() == MOST_CONF_FILES || !self.files.insert(file.path) {
            return;
        }
        self.links.extend(file.links);
        let base = path.parent().unwrap_or_else(RootPath::root);
        for line in ld_so_conf::parse(&content.content) {
            match line {
                Line::Folder(folder) => self.folders.extend(resolve_text(self.tree, folder)),
                Line::Include(pattern) => self.include(&base, pattern),
            }
        }
    }

    fn include(&mut self, base: &RootPath, pattern: &[u8]) {
        let pattern = String::from_utf8_lossy(pattern);
        let absolute =
            if pattern.starts_with('/') { pattern.into_owned() } else { format!("{base}/{pattern}") };
        for path in pattern::expand(self.tree, &absolute).unwrap_or_default().paths {
            self.read(&path);
        }
    }
}

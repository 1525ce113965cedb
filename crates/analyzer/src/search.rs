//! Where the loader looks for a library (ld.so(8)): the folders of the objects in play, those that are configured, and those
//! that it was built with.
//!
//! A *folder* is real; the links that lead to it from the place as written are kept beside it. A *place* is what a search
//! found: the baseline file, and the better copies for newer processors beside or before it. A *system* is a loader with
//! the folders that it looks into for every program. `ld.so.cache` is never read: what ldconfig would have written there
//! follows from `ld.so.conf` and the tree.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use rootfs::{Filesystem, Kind, Resolved, RootPath};
use schema::Architecture;

use crate::abi::Abi;
use crate::elf::{Identity, Object};
use crate::ld_so_conf::{self, Line};
use crate::loader::{self, Libc, Loader, split_musl_path};
use crate::memo::{Memo, remember};
use crate::pattern;

/// glibc's limit is its stack; no system nests more than once.
const MOST_CONF_FILES: usize = 1000;
/// Folders of old hardware capabilities lie in one another, each name once.
const DEEPEST_LEGACY_HWCAPS: usize = 5;

/// A folder that is searched.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) path: RootPath,
    /// The links on the way to it.
    pub(crate) links: Vec<RootPath>,
    /// Folders below it that are searched before, such as `glibc-hwcaps/x86-64-v3`.
    inner: Vec<Inner>,
    /// Whether every processor's loader looks there.
    is_for_all: bool,
    /// Whether only the configuration names it. Then glibc's loader finds it through `ld.so.cache` alone.
    pub(crate) by_configuration: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    path: RootPath,
    is_for_all: bool,
}

/// A file that a name led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Library {
    pub(crate) file: Resolved,
    /// The folder of the name that it was found by, which `$ORIGIN` means: not that of the file behind a link.
    pub(crate) origin: RootPath,
}

/// Where a library is.
#[derive(Debug)]
pub(crate) struct Place {
    /// `None` where the library was named by its path.
    pub(crate) folder: Option<Arc<Folder>>,
    /// What every processor can run.
    pub(crate) library: Library,
    /// Copies for newer processors, which the loader takes there instead.
    pub(crate) better: Vec<Library>,
}

/// A library that lies in a folder that a loader looks into for every program.
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

/// The loaders of one tree, and what is known of its objects so far.
pub(crate) struct Search<'t> {
    tree: &'t dyn Filesystem,
    systems: Memo<(Abi, Vec<u8>), Arc<System>>,
    objects: Memo<RootPath, Option<Arc<Object<'t>>>>,
}

/// A loader, the folders that it looks into for every program, and what was found there so far.
pub(crate) struct System {
    pub(crate) loader: Loader,
    folders: Vec<Arc<Folder>>,
    /// The files that the folders are configured in, with the links that lead to them.
    pub(crate) configuration: Vec<RootPath>,
    found: Memo<(Vec<u8>, Defaults), Found>,
}

/// Whether an object's needs are looked for in the folders that the loader was built with (`DF_1_NODEFLIB`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Defaults {
    Searched,
    Skipped,
}

enum Candidate {
    Absent,
    OtherArchitecture,
    Unusable,
    Fits(Resolved),
}

impl<'t> Search<'t> {
    pub(crate) fn new(tree: &'t dyn Filesystem) -> Self {
        Self { tree, systems: Mutex::default(), objects: Mutex::default() }
    }

    /// The object at a real path, where there is a whole one.
    pub(crate) fn object(&self, path: &RootPath) -> Option<Arc<Object<'t>>> {
        remember(&self.objects, path, || match &self.tree.get(path)?.kind {
            Kind::File(file) => Object::parse(&file.content).ok().map(Arc::new),
            _ => None,
        })
    }

    /// The loader of an object.
    pub(crate) fn system_of(&self, object: &Object<'_>) -> Arc<System> {
        let (path, libc) = loader::choose(self.tree, object);
        self.system(object.identity.abi, path, libc)
    }

    fn system(&self, abi: Abi, path: Vec<u8>, libc: Libc) -> Arc<System> {
        let key = (abi, path);
        remember(&self.systems, &key, || {
            Arc::new(System::new(self.tree, Loader::new(self.tree, abi, &key.1, libc)))
        })
    }

    /// Looks for a library in folders of objects first, then in those of the loader. A name with a slash is a path.
    pub(crate) fn find(
        &self,
        system: &System,
        name: &[u8],
        first: &[Arc<Folder>],
        defaults: Defaults,
    ) -> Found {
        let loader = &system.loader;
        if loader.is_itself(name) {
            return loader_itself(loader);
        }
        if name.contains(&b'/') {
            return self.at_path(loader, name);
        }
        let mut better = Vec::new();
        let other_architecture = match self.in_folders(loader, name, first, &mut better) {
            Ok((folder, library)) => {
                return Ok(Arc::new(Place { folder: Some(folder), library, better }));
            }
            Err(Miss::Absent { other_architecture }) => other_architecture,
            Err(miss) => return Err(miss),
        };
        match self.in_known_folders(system, name, defaults) {
            Ok(place) if better.is_empty() => Ok(place),
            Ok(place) => {
                better.extend_from_slice(&place.better);
                let (folder, library) = (place.folder.clone(), place.library.clone());
                Ok(Arc::new(Place { folder, library, better }))
            }
            Err(Miss::Absent { other_architecture: None }) => Err(Miss::Absent { other_architecture }),
            Err(miss) => Err(miss),
        }
    }

    /// The folders of an RPATH or a RUNPATH of an object that lies in `origin`.
    pub(crate) fn folders_of_object(
        &self,
        loader: &Loader,
        text: &[u8],
        origin: &RootPath,
    ) -> Vec<Arc<Folder>> {
        let written = loader.search_path(text, origin.as_bytes());
        let folder = |one: loader::Written| {
            let resolved = resolve_text(self.tree, &one.folder)?;
            folder(self.tree, loader, resolved, one.is_for_all, false)
        };
        written.into_iter().filter_map(folder).collect()
    }

    /// What lies in the folders that a loader looks into for every program, in the order of a search: shared objects by the
    /// names that ldconfig takes.
    pub(crate) fn libraries(&self, architecture: Architecture) -> Vec<KnownLibrary> {
        let abi = Abi::of(architecture);
        let Some(customs) = abi.customs() else { return Vec::new() };
        let system = self.system(abi, customs.glibc.as_bytes().to_vec(), Libc::Glibc);
        let mut libraries = Vec::new();
        for folder in &system.folders {
            let named = self.tree.children(&folder.path).filter(|(path, _)| is_listed(path.name()));
            for (path, _) in named {
                if let Candidate::Fits(file) = self.candidate(&system.loader, &folder.path, path.name()) {
                    let soname = self.object(&file.path).and_then(|object| object.soname.map(<[u8]>::to_vec));
                    let by_configuration = folder.by_configuration;
                    libraries.push(KnownLibrary { path: path.clone(), soname, by_configuration });
                }
            }
        }
        libraries
    }

    fn in_known_folders(&self, system: &System, name: &[u8], defaults: Defaults) -> Found {
        let key = (name.to_vec(), defaults);
        remember(&system.found, &key, || {
            let is_searched = |folder: &&Arc<Folder>| {
                // A musl loader knows no such flag, and takes any name.
                system.loader.libc == Libc::Musl
                    || if folder.by_configuration { is_listed(name) } else { defaults == Defaults::Searched }
            };
            let folders: Vec<_> = system.folders.iter().filter(is_searched).cloned().collect();
            let mut better = Vec::new();
            let (folder, library) = self.in_folders(&system.loader, name, &folders, &mut better)?;
            // The cache prefers a copy for the processor, in whatever folder it lies.
            let behind = folders.iter().skip_while(|one| !Arc::ptr_eq(one, &folder)).skip(1);
            for Inner { path, .. } in behind.flat_map(|folder| &folder.inner) {
                if let Candidate::Fits(file) = self.candidate(&system.loader, path, name) {
                    better.push(Library { file, origin: path.clone() });
                }
            }
            Ok(Arc::new(Place { folder: Some(folder), library, better }))
        })
    }

    /// Looks through folders up to the file that every processor can run, past copies for some of them.
    fn in_folders(
        &self,
        loader: &Loader,
        name: &[u8],
        folders: &[Arc<Folder>],
        better: &mut Vec<Library>,
    ) -> Result<(Arc<Folder>, Library), Miss> {
        let mut miss = Miss::Absent { other_architecture: None };
        for folder in folders {
            let by_cache = loader.libc == Libc::Glibc && folder.by_configuration;
            let inner = folder.inner.iter().map(|inner| (&inner.path, inner.is_for_all && folder.is_for_all));
            for (path, is_for_all) in inner.chain([(&folder.path, folder.is_for_all)]) {
                let candidate = || path.join(name).unwrap_or_else(|_| path.clone());
                match self.candidate(loader, path, name) {
                    Candidate::Fits(file) if by_cache && !self.is_listed_as(&candidate(), &file.path) => {}
                    Candidate::Fits(file) if is_for_all => {
                        return Ok((Arc::clone(folder), Library { file, origin: path.clone() }));
                    }
                    Candidate::Fits(file) => better.push(Library { file, origin: path.clone() }),
                    Candidate::OtherArchitecture if miss == (Miss::Absent { other_architecture: None }) => {
                        miss = Miss::Absent { other_architecture: Some(candidate()) };
                    }
                    Candidate::Unusable if *path == folder.path && is_for_all => {
                        let unusable = Miss::Unusable { candidate: candidate() };
                        if !by_cache {
                            return Err(unusable);
                        }
                        // ldconfig passes over it, and so the loader never hears of it.
                        miss = unusable;
                    }
                    _ => {}
                }
            }
        }
        Err(miss)
    }

    /// Whether ldconfig lists a library under the name of this file or link: under its soname, and under that of a link for
    /// the link editor too.
    fn is_listed_as(&self, path: &RootPath, file: &RootPath) -> bool {
        let Some(object) = self.object(file) else { return true };
        let (Some(soname), name) = (object.soname, path.name()) else { return true };
        name == soname || (path != file && name.ends_with(b".so") && soname.starts_with(name))
    }

    fn at_path(&self, loader: &Loader, path: &[u8]) -> Found {
        let absent = Miss::Absent { other_architecture: None };
        let folder = &path[..memchr::memrchr(b'/', path).unwrap_or(0)];
        // A relative path depends on where a program is started.
        let found = path.starts_with(b"/").then(|| resolve_text(self.tree, path)).flatten();
        let (Some(file), Some(folder)) = (found, resolve_text(self.tree, folder)) else { return Err(absent) };
        let candidate = file.path.clone();
        match self.judge(loader, file) {
            Candidate::Fits(file) => {
                let library = Library { file, origin: folder.path };
                Ok(Arc::new(Place { folder: None, library, better: Vec::new() }))
            }
            Candidate::OtherArchitecture => Err(Miss::Absent { other_architecture: Some(candidate) }),
            Candidate::Unusable => Err(Miss::Unusable { candidate }),
            Candidate::Absent => Err(absent),
        }
    }

    fn candidate(&self, loader: &Loader, folder: &RootPath, name: &[u8]) -> Candidate {
        let Ok(path) = folder.join(name) else { return Candidate::Absent };
        if self.tree.get(&path).is_none() {
            return Candidate::Absent;
        }
        self.tree.resolve(&path).map_or(Candidate::Absent, |file| self.judge(loader, file))
    }

    /// glibc's loader passes over objects of another class or machine, and gives up at anything else that does not fit, in
    /// the order of this function. musl's gives up at the first file that is none for it.
    fn judge(&self, loader: &Loader, file: Resolved) -> Candidate {
        let Some(Kind::File(content)) = self.tree.get(&file.path).map(|entry| &entry.kind) else {
            return Candidate::Absent;
        };
        let Ok(identity) = Identity::read(&content.content) else { return Candidate::Unusable };
        let (abi, wanted) = (identity.abi, loader.abi);
        let passed_over =
            if loader.libc == Libc::Musl { Candidate::Unusable } else { Candidate::OtherArchitecture };
        if abi.bits != wanted.bits {
            passed_over
        } else if abi.order != wanted.order || !identity.is_of_linux() {
            Candidate::Unusable
        } else if !abi.is_same_machine(wanted) {
            passed_over
        } else if identity.is_shared() {
            Candidate::Fits(file)
        } else {
            Candidate::Unusable
        }
    }
}

impl System {
    fn new(tree: &dyn Filesystem, loader: Loader) -> Self {
        let real: Vec<Resolved> = loader.folders.iter().filter_map(|name| resolve_text(tree, name)).collect();
        let (configured, configuration) = configured(tree, &loader);
        // musl's file stands in place of what is built in, even an empty one.
        let is_replaced = loader.libc == Libc::Musl && !configuration.is_empty();
        let built_in = if is_replaced { &[] } else { real.as_slice() };
        let mut folders: Vec<Arc<Folder>> = Vec::new();
        for (resolved, is_configured) in
            configured.iter().map(|one| (one, true)).chain(built_in.iter().map(|one| (one, false)))
        {
            let by_configuration =
                is_configured && !real.iter().any(|built_in| built_in.path == resolved.path);
            if !folders.iter().any(|known| known.path == resolved.path) {
                folders.extend(folder(tree, &loader, resolved.clone(), true, by_configuration));
            }
        }
        Self { loader, folders, configuration, found: Mutex::default() }
    }
}

fn loader_itself(loader: &Loader) -> Found {
    let Some(file) = &loader.file else { return Err(Miss::Absent { other_architecture: None }) };
    let origin = file.path.parent().unwrap_or_else(RootPath::root);
    let library = Library { file: file.clone(), origin };
    Ok(Arc::new(Place { folder: None, library, better: Vec::new() }))
}

/// The folders that are configured for a loader, and the files that say so with the links that lead to them.
fn configured(tree: &dyn Filesystem, loader: &Loader) -> (Vec<Resolved>, Vec<RootPath>) {
    let mut reader =
        Configuration { tree, folders: Vec::new(), files: BTreeSet::new(), links: BTreeSet::new() };
    match loader.libc {
        Libc::Glibc => {
            if let Ok(path) = RootPath::parse(&loader.configuration) {
                reader.read(&path);
            }
        }
        Libc::Musl => {
            if let Some(file) = resolve_text(tree, &loader.configuration)
                && let Some(Kind::File(content)) = tree.get(&file.path).map(|entry| &entry.kind)
            {
                let folders = split_musl_path(&content.content).filter(|folder| folder.starts_with(b"/"));
                reader.folders.extend(folders.filter_map(|folder| resolve_text(tree, folder)));
                reader.files.insert(file.path);
                reader.links.extend(file.links);
            }
        }
    }
    (reader.folders, reader.links.into_iter().chain(reader.files).collect())
}

fn folder(
    tree: &dyn Filesystem,
    loader: &Loader,
    resolved: Resolved,
    is_for_all: bool,
    by_configuration: bool,
) -> Option<Arc<Folder>> {
    let Resolved { path, links } = resolved;
    if !tree.get(&path)?.is_directory() {
        return None;
    }
    let is_folder = |path: &RootPath| tree.get(path).is_some_and(rootfs::Entry::is_directory);
    let hwcaps = path.join(b"glibc-hwcaps").ok().filter(|path| is_folder(path));
    let mut inner: Vec<Inner> = hwcaps
        .iter()
        .flat_map(|hwcaps| loader.hwcaps.iter().filter_map(|name| hwcaps.join(name).ok()))
        .filter(|path| is_folder(path))
        .map(|path| Inner { path, is_for_all: false })
        .collect();
    add_legacy(&is_folder, &path, loader.legacy_hwcaps, true, DEEPEST_LEGACY_HWCAPS, &mut inner);
    Some(Arc::new(Folder { path, links, inner, is_for_all, by_configuration }))
}

/// Adds the folders named after what processors can do: the deepest first, each with the names that come later in one with
/// a name that comes earlier.
fn add_legacy(
    is_folder: &impl Fn(&RootPath) -> bool,
    folder: &RootPath,
    names: &[(&str, bool)],
    is_for_all: bool,
    depth: usize,
    inner: &mut Vec<Inner>,
) {
    for (index, (name, has_every_processor)) in names.iter().enumerate() {
        if let Ok(path) = folder.join(name.as_bytes())
            && depth > 0
            && is_folder(&path)
        {
            let is_for_all = is_for_all && *has_every_processor;
            add_legacy(is_folder, &path, &names[index + 1..], is_for_all, depth - 1, inner);
            inner.push(Inner { path, is_for_all });
        }
    }
}

/// Whether ldconfig takes a file of this name for a library (ldconfig(8)).
fn is_listed(name: &[u8]) -> bool {
    (name.starts_with(b"lib") || name.starts_with(b"ld-")) && memchr::memmem::find(name, b".so").is_some()
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

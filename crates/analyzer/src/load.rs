//! What the loader maps for one object: the object, what it needs, what that needs, in the loader's order (breadth
//! first, dlopen(3)); then what these objects say they open themselves. A library that is loaded already serves every later
//! need of its name, wherever it lies.

use std::collections::HashMap;
use std::sync::Arc;

use rootfs::{Kind, RootPath};

use crate::elf::{self, Link, Object, Opened, Priority};
use crate::loader::Libc;
use crate::scope::Scope;
use crate::search::{Defaults, Folder, Found, Library, Miss, Place, System, resolve_text};

/// Libraries that glibc's loader loads into every program (ld.so(8)).
const PRELOAD: &[u8] = b"/etc/ld.so.preload";

/// The objects loaded for one object, and the needs that led to them.
pub(crate) struct Load<'t> {
    /// `None` where the object is none that is loaded.
    pub(crate) system: Option<Arc<System>>,
    objects: Vec<Loaded<'t>>,
    by_name: HashMap<Vec<u8>, Arc<Place>>,
    /// The needs followed for this object, those of the program that opened it not among them.
    pub(crate) needs: Vec<Needed>,
    /// Versions that a loaded object needs and its library does not define.
    pub(crate) missing_versions: Vec<MissingVersion>,
    /// Objects with a note of what they open that cannot be read.
    pub(crate) unreadable_notes: Vec<RootPath>,
    /// Whether the list of preloaded libraries was read.
    pub(crate) preloads: Option<RootPath>,
}

/// One need of one object.
pub(crate) struct Needed {
    /// The object that needs it, or the list of preloaded libraries.
    pub(crate) by: RootPath,
    pub(crate) name: Vec<u8>,
    pub(crate) way: Way,
    pub(crate) found: Found,
}

/// How a library comes to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Linked(Link),
    Preloaded,
    /// Into a world of its own, with the libraries that it needs (rtld-audit(7)).
    Auditing,
    /// By the object itself, for a feature.
    Opened {
        feature: Option<String>,
        priority: Priority,
    },
}

/// A version that is not there.
pub(crate) struct MissingVersion {
    pub(crate) by: RootPath,
    /// The library as the object needs it.
    pub(crate) name: Vec<u8>,
    pub(crate) library: RootPath,
    pub(crate) version: Vec<u8>,
}

#[derive(Clone)]
struct Loaded<'t> {
    path: RootPath,
    /// What `$ORIGIN` means for it.
    origin: RootPath,
    /// `None` for a damaged one, which is a finding of its own visit.
    object: Option<Arc<Object<'t>>>,
    /// Folders that serve the object and what it loads.
    rpath: Vec<Arc<Folder>>,
    /// Folders that its own needs are looked for in first.
    own: Vec<Arc<Folder>>,
    /// The object that loaded this one, by its place among the objects.
    loader: Option<usize>,
}

impl<'t> Load<'t> {
    /// Loads a program, or any object for itself.
    pub(crate) fn program(scope: &Scope<'t>, path: &RootPath) -> Self {
        let object = scope.search.object(path);
        let system = object.as_ref().map(|object| scope.search.system_of(object));
        let mut load = Self {
            system,
            objects: Vec::new(),
            by_name: HashMap::new(),
            needs: Vec::new(),
            missing_versions: Vec::new(),
            unreadable_notes: Vec::new(),
            preloads: None,
        };
        load.follow(scope, path, None);
        load
    }

    /// Loads an object that a program opens at run time.
    pub(crate) fn opened_by(scope: &Scope<'t>, program: &RootPath, path: &RootPath) -> Self {
        let program = scope.program(program);
        let Self { system: Some(system), objects, by_name, .. } = &*program else {
            return Self::program(scope, path);
        };
        if scope.search.object(path).is_none_or(|object| object.identity.abi != system.loader.abi) {
            return Self::program(scope, path);
        }
        let mut load = Self {
            system: Some(Arc::clone(system)),
            objects: objects.clone(),
            by_name: by_name.clone(),
            needs: Vec::new(),
            missing_versions: Vec::new(),
            unreadable_notes: Vec::new(),
            preloads: None,
        };
        load.follow(scope, path, Some(0));
        load
    }

    fn follow(&mut self, scope: &Scope<'t>, path: &RootPath, loader: Option<usize>) {
        let Some(system) = self.system.clone() else { return };
        let first = self.objects.len();
        let origin = path.parent().unwrap_or_else(RootPath::root);
        self.push(scope, &system, path, origin, loader);
        if loader.is_none() {
            self.preload(scope, &system);
            self.follow_audits(scope, &system);
        }
        let (mut linked, mut noted) = (first, first);
        while noted < self.objects.len() {
            if linked < self.objects.len() {
                self.follow_links(scope, &system, linked);
                linked += 1;
            } else {
                self.follow_notes(scope, &system, noted);
                noted += 1;
            }
        }
        if system.loader.libc == Libc::Glibc {
            self.check_versions(scope, first);
        }
    }

    fn push(
        &mut self,
        scope: &Scope<'t>,
        system: &System,
        path: &RootPath,
        origin: RootPath,
        loader: Option<usize>,
    ) {
        let index = self.objects.len();
        let object = scope.search.object(path);
        let folders = |text: Option<&[u8]>| {
            text.map(|text| scope.search.folders_of_object(&system.loader, text, &origin)).unwrap_or_default()
        };
        let (rpath, runpath) = object.as_ref().map_or((None, None), |one| (one.rpath, one.runpath));
        // musl does not tell the two apart.
        let is_inherited = runpath.is_none() || system.loader.libc == Libc::Musl;
        let rpath = folders(if is_inherited { rpath.or(runpath) } else { None });
        let own = if is_inherited { Vec::new() } else { folders(runpath) };
        self.objects.push(Loaded { path: path.clone(), origin, object, rpath, own, loader });
        if is_inherited {
            self.objects[index].own = self.inherited(index);
        }
        if system.loader.libc == Libc::Glibc
            && let Some(soname) = self.objects[index].object.as_ref().and_then(|object| object.soname)
            && !self.by_name.contains_key(soname)
        {
            let file = rootfs::Resolved { path: path.clone(), links: Vec::new() };
            let library = Library { file, origin: self.objects[index].origin.clone() };
            let place = Place { folder: None, library, better: Vec::new() };
            self.by_name.insert(soname.to_vec(), Arc::new(place));
        }
    }

    /// The RPATHs from an object up to the program.
    fn inherited(&self, index: usize) -> Vec<Arc<Folder>> {
        let up = std::iter::successors(self.objects.get(index), |object| self.objects.get(object.loader?));
        up.flat_map(|object| object.rpath.iter().cloned()).collect()
    }

    fn find(&self, scope: &Scope<'t>, system: &System, index: usize, name: &[u8]) -> Found {
        let Loaded { object, origin, own, .. } = &self.objects[index];
        let Some(name) = system.loader.library_name(name, origin.as_bytes()) else {
            return Err(Miss::Absent { other_architecture: None });
        };
        if let Some(place) = self.by_name.get(&name) {
            return Ok(Arc::clone(place));
        }
        let skips = object.as_ref().is_some_and(|object| object.no_default_folders);
        let defaults = if skips { Defaults::Skipped } else { Defaults::Searched };
        scope.search.find(system, &name, own, defaults)
    }

    fn follow_links(&mut self, scope: &Scope<'t>, system: &System, index: usize) {
        let Some(object) = self.objects[index].object.clone() else { return };
        for &(link, name) in &object.needed {
            if link == Link::Needed || system.loader.libc == Libc::Glibc {
                let found = self.find(scope, system, index, name);
                self.take(scope, system, index, name, Way::Linked(link), found);
            }
        }
    }

    fn follow_notes(&mut self, scope: &Scope<'t>, system: &System, index: usize) {
        let Some(object) = self.objects[index].object.clone() else { return };
        for content in &object.opened {
            let Some(list) = elf::read_opened(content) else {
                self.unreadable_notes.push(self.objects[index].path.clone());
                continue;
            };
            for Opened { names, feature, priority } in list {
                let way = Way::Opened { feature, priority };
                let mut searched =
                    names.iter().map(|name| (name, self.find(scope, system, index, name.as_bytes())));
                let first = searched.find_map(|(name, found)| Some((name, found.ok()?)));
                match first {
                    Some((name, place)) => self.take(scope, system, index, name.as_bytes(), way, Ok(place)),
                    None => {
                        let absent = Err(Miss::Absent { other_architecture: None });
                        self.take(scope, system, index, names.join(" or ").as_bytes(), way, absent);
                    }
                }
            }
        }
    }

    /// What is loaded into every program, between it and its own needs.
    fn preload(&mut self, scope: &Scope<'t>, system: &System) {
        let is_program = self.objects[0].object.as_ref().is_some_and(|object| object.interpreter.is_some());
        if system.loader.libc != Libc::Glibc || !is_program {
            return;
        }
        let Some(list) = resolve_text(scope.tree, PRELOAD) else { return };
        let is_dropped = list.links.iter().chain([&list.path]).any(|path| scope.drops.taking(path).is_some());
        let Some(Kind::File(file)) = scope.tree.get(&list.path).map(|entry| &entry.kind) else { return };
        if is_dropped {
            return;
        }
        let lines = file.content.split(|&byte| byte == b'\n');
        let listed = lines.filter_map(|line| line.split(|&byte| byte == b'#').next());
        let names = listed.flat_map(|line| line.split(|byte| matches!(byte, b' ' | b'\t' | b':')));
        self.preloads = Some(list.path.clone());
        for name in names.filter(|name| !name.is_empty()) {
            let found = self.find(scope, system, 0, name);
            self.take(scope, system, 0, name, Way::Preloaded, found);
            if let Some(need) = self.needs.last_mut() {
                need.by = list.path.clone();
            }
        }
    }

    fn follow_audits(&mut self, scope: &Scope<'t>, system: &System) {
        let Some(object) = self.objects[0].object.clone() else { return };
        if system.loader.libc != Libc::Glibc || object.interpreter.is_none() {
            return;
        }
        for name in object.audited_by.iter().flat_map(|names| names.split(|&byte| byte == b':')) {
            if !name.is_empty() {
                let found = scope.search.find(system, name, &self.objects[0].rpath, Defaults::Searched);
                self.take(scope, system, 0, name, Way::Auditing, found);
            }
        }
    }

    /// Notes a need, and loads what was found.
    fn take(
        &mut self,
        scope: &Scope<'t>,
        system: &System,
        index: usize,
        name: &[u8],
        way: Way,
        found: Found,
    ) {
        if let Ok(place) = &found
            && way != Way::Auditing
        {
            self.add(scope, system, name, place, index);
        }
        self.needs.push(Needed { by: self.objects[index].path.clone(), name: name.to_vec(), way, found });
    }

    /// Loads what was found, unless it is loaded or dropped.
    fn add(&mut self, scope: &Scope<'t>, system: &System, name: &[u8], place: &Arc<Place>, loader: usize) {
        // What musl's loader was given a path of is found by no other name.
        let is_remembered = system.loader.libc == Libc::Glibc || !name.contains(&b'/');
        if is_remembered && self.by_name.insert(name.to_vec(), Arc::clone(place)).is_some() {
            return;
        }
        for Library { file, origin } in std::iter::once(&place.library).chain(&place.better) {
            let is_loaded = self.objects.iter().any(|object| object.path == file.path);
            let is_dropped =
                file.links.iter().chain([&file.path]).any(|path| scope.drops.taking(path).is_some());
            if !is_loaded && !is_dropped {
                if system.loader.libc == Libc::Glibc
                    && let Some(soname) = scope.search.object(&file.path).and_then(|object| object.soname)
                {
                    self.by_name.entry(soname.to_vec()).or_insert_with(|| Arc::clone(place));
                }
                self.push(scope, system, &file.path, origin.clone(), Some(loader));
            }
        }
    }

    /// Every version that an object needs has to be defined by its library, unless the library defines none or the need is
    /// weak.
    fn check_versions(&mut self, scope: &Scope<'t>, first: usize) {
        for Loaded { path, object, .. } in &self.objects[first..] {
            let needs = object.iter().flat_map(|object| &object.version_needs).filter(|need| !need.is_weak);
            for need in needs {
                let Some(place) = self.by_name.get(need.library) else { continue };
                for library in std::iter::once(&place.library).chain(&place.better) {
                    let library = &library.file.path;
                    let object = scope.search.object(library);
                    let Some(versions) = object.as_ref().and_then(|object| object.versions.as_ref()) else {
                        continue;
                    };
                    if !versions.contains(&need.version) {
                        self.missing_versions.push(MissingVersion {
                            by: path.clone(),
                            name: need.library.to_vec(),
                            library: library.clone(),
                            version: need.version.to_vec(),
                        });
                    }
                }
            }
        }
    }
}

//! What the loader maps for one object: the object, what it needs, what that needs, in the loader's order (breadth
//! first, dlopen(3)). A library that is loaded already serves every later need of its name, wherever it lies.

use std::collections::HashMap;
use std::sync::Arc;

use rootfs::{Kind, RootPath};

use crate::elf::Object;
use crate::scope::Scope;
use crate::search::{Defaults, Folder, Miss, Place};

/// The objects loaded for one object, and the needs that led to them.
pub(crate) struct Load {
    objects: Vec<Loaded>,
    by_name: HashMap<Vec<u8>, Arc<Place>>,
    /// The needs followed for this object, those of the program that opened it not among them.
    pub(crate) needs: Vec<Needed>,
}

/// One need of one object.
pub(crate) struct Needed {
    /// The object that needs it.
    pub(crate) by: RootPath,
    pub(crate) name: Vec<u8>,
    pub(crate) found: Result<Arc<Place>, Miss>,
}

struct Loaded {
    path: RootPath,
    /// Folders that serve the object and what it loads.
    rpath: Vec<Arc<Folder>>,
    /// The object that loaded this one, by its place among the objects.
    loader: Option<usize>,
}

impl Load {
    /// Loads a program, or any object for itself.
    pub(crate) fn program(scope: &Scope<'_>, path: &RootPath) -> Self {
        let mut load = Self { objects: Vec::new(), by_name: HashMap::new(), needs: Vec::new() };
        load.follow(scope, path, None);
        load
    }

    /// Loads an object that a program opens at run time.
    pub(crate) fn opened_by(scope: &Scope<'_>, program: &RootPath, path: &RootPath) -> Self {
        let Self { objects, by_name, .. } = &*scope.program(program);
        let objects = objects.iter().map(|one| Loaded {
            path: one.path.clone(),
            rpath: one.rpath.clone(),
            loader: one.loader,
        });
        let mut load = Self { objects: objects.collect(), by_name: by_name.clone(), needs: Vec::new() };
        load.follow(scope, path, Some(0));
        load
    }

    fn follow(&mut self, scope: &Scope<'_>, path: &RootPath, loader: Option<usize>) {
        let mut next = self.objects.len();
        self.objects.push(Loaded { path: path.clone(), rpath: Vec::new(), loader });
        while next < self.objects.len() {
            self.follow_needs(scope, next);
            next += 1;
        }
    }

    fn follow_needs(&mut self, scope: &Scope<'_>, index: usize) {
        let path = self.objects[index].path.clone();
        let Some(Kind::File(file)) = scope.tree.get(&path).map(|entry| &entry.kind) else { return };
        // A damaged object is a finding of its own visit.
        let Ok(object) = Object::parse(&file.content) else { return };
        let abi = object.identity.abi;
        let folders = |text: Option<&[u8]>| {
            text.map(|text| scope.search.folders_of_object(abi, text, &path)).unwrap_or_default()
        };
        self.objects[index].rpath = folders(object.rpath);
        let own = if object.runpath.is_some() { folders(object.runpath) } else { self.inherited(index) };
        let defaults = if object.no_default_folders { Defaults::Skipped } else { Defaults::Searched };
        for name in object.needed {
            let found = match self.by_name.get(name) {
                Some(place) => Ok(Arc::clone(place)),
                None => scope.search.find(abi, name, &own, defaults),
            };
            if let Ok(place) = &found {
                self.add(scope, name, place, index);
            }
            self.needs.push(Needed { by: path.clone(), name: name.to_vec(), found });
        }
    }

    /// The RPATHs from an object up to the program.
    fn inherited(&self, index: usize) -> Vec<Arc<Folder>> {
        let up = std::iter::successors(self.objects.get(index), |object| self.objects.get(object.loader?));
        up.flat_map(|object| object.rpath.iter().cloned()).collect()
    }

    /// Loads what was found, unless it is loaded or dropped.
    fn add(&mut self, scope: &Scope<'_>, name: &[u8], place: &Arc<Place>, loader: usize) {
        if self.by_name.insert(name.to_vec(), Arc::clone(place)).is_some() {
            return;
        }
        for file in std::iter::once(&place.file).chain(&place.better) {
            let is_loaded = self.objects.iter().any(|object| object.path == file.path);
            let is_dropped =
                file.links.iter().chain([&file.path]).any(|path| scope.drops.taking(path).is_some());
            if !is_loaded && !is_dropped {
                self.objects.push(Loaded {
                    path: file.path.clone(),
                    rpath: Vec::new(),
                    loader: Some(loader),
                });
                self.name_by_soname(scope, &file.path, place);
            }
        }
    }

    /// A loaded library serves needs of its soname too.
    fn name_by_soname(&mut self, scope: &Scope<'_>, path: &RootPath, place: &Arc<Place>) {
        if let Some(Kind::File(file)) = scope.tree.get(path).map(|entry| &entry.kind)
            && let Ok(Object { soname: Some(soname), .. }) = Object::parse(&file.content)
        {
            self.by_name.entry(soname.to_vec()).or_insert_with(|| Arc::clone(place));
        }
    }
}

//! The result as a tree: what the closure has, less what a base has, with what was asked for besides.

use std::collections::{BTreeMap, HashMap};

use analyzer::{Closure, ld_cache};
use anyhow::{Context, bail};
use rootfs::{Entry, File, Filesystem, Inode, Kind, LiveRoot, Metadata, Origin, RootPath, Tree};

use crate::job::Job;
use crate::minus::Bases;

/// The loader's cache (ld.so(8)).
const CACHE: &str = "/etc/ld.so.cache";

/// What a result has and how it came about.
#[derive(Debug)]
pub(crate) struct Bundle {
    pub(crate) tree: Tree,
    /// Bytes of symbols and debug information that were taken out.
    pub(crate) stripped: u64,
    /// Objects that could not be stripped, and why.
    pub(crate) unstripped: Vec<(RootPath, strip::StripError)>,
}

/// The paths of a closure that the result has: those that no base has.
pub(crate) fn kept<'c>(
    filesystem: &'c dyn Filesystem,
    closure: &'c Closure,
    bases: &'c Bases,
) -> impl Iterator<Item = (&'c RootPath, &'c Entry)> {
    let entries = closure.entries.keys().filter_map(|path| Some((path, filesystem.get(path)?)));
    entries.filter(|(path, entry)| !bases.have(path, entry))
}

/// Makes the result.
pub(crate) fn make(live: &LiveRoot, closure: &Closure, bases: &Bases, job: &Job) -> anyhow::Result<Bundle> {
    let paths = kept(live, closure, bases).map(|(path, _)| path.clone());
    let mut tree = live.select(paths).context("cannot read what the result is made of")?;
    if let Some(target) = &job.install_to {
        install(&mut tree, closure, &job.programs, target)?;
    }
    if let Some(cache) = loader_cache(live, closure, &tree) {
        let path = RootPath::parse(CACHE)?;
        if tree.get(&path).is_none() {
            tree.insert(path, Entry::file(Metadata::root(0o644), cache, Origin::default()))?;
        }
    }
    for folder in &job.folders {
        make_folder(&mut tree, folder)?;
    }
    let mut bundle = Bundle { tree, stripped: 0, unstripped: Vec::new() };
    if job.strip {
        bundle.strip();
    }
    Ok(bundle)
}

/// Where programs are installed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InstallTo {
    /// The one program gets this path.
    Path(RootPath),
    /// Each program goes into this folder.
    Folder(RootPath),
}

impl InstallTo {
    /// Where a program goes that is called `name`.
    pub(crate) fn place(&self, name: &[u8]) -> anyhow::Result<RootPath> {
        Ok(match self {
            Self::Path(path) => path.clone(),
            Self::Folder(folder) => folder.join(name)?,
        })
    }
}

/// Moves the programs. One that something else needs where it is stays there too, as a hard link.
fn install(tree: &mut Tree, closure: &Closure, programs: &[RootPath], to: &InstallTo) -> anyhow::Result<()> {
    if programs.len() != 1 && matches!(to, InstallTo::Path(_)) {
        bail!("cannot install {} programs to one path: end it with a slash for a folder", programs.len());
    }
    for program in programs {
        let target = in_tree(tree, &to.place(program.name())?);
        let Ok(resolved) = tree.resolve(program) else { continue };
        let Some(entry) = tree.get(&resolved.path).filter(|entry| !entry.is_directory()).cloned() else {
            bail!("cannot install {program} to {target}: it is a folder");
        };
        for path in resolved.links.iter().chain([&resolved.path]) {
            let is_program = path == program || path == &resolved.path;
            let reasons = closure.entries.get(path).into_iter().flatten();
            let is_needed = reasons
                .filter_map(|reason| reason.from.as_ref())
                .any(|from| !resolved.links.contains(from) && from != &resolved.path);
            if is_program && !is_needed && *path != target {
                tree.remove(path);
            }
        }
        tree.insert(target, entry)?;
    }
    Ok(())
}

/// Makes a folder that is not there yet.
fn make_folder(tree: &mut Tree, folder: &RootPath) -> anyhow::Result<()> {
    let folder = in_tree(tree, folder);
    match tree.get(&folder) {
        Some(entry) if entry.is_directory() => Ok(()),
        _ => Ok(tree.insert(folder, Entry::directory(Metadata::root(0o755), Origin::default()))?),
    }
}

/// The real place of a path that may not be there: links of the folders that are there are followed.
fn in_tree(tree: &Tree, path: &RootPath) -> RootPath {
    let mut missing = Vec::new();
    let mut at = path.clone();
    loop {
        if let Ok(resolved) = tree.resolve(&at) {
            let join = |real: RootPath, name: &Vec<u8>| real.join(name).unwrap_or_else(|_| path.clone());
            return missing.iter().rev().fold(resolved.path, join);
        }
        missing.push(at.name().to_vec());
        match at.parent() {
            Some(parent) => at = parent,
            None => return path.clone(),
        }
    }
}

/// A cache for the libraries of the tree, where the loader would not find all of them without one.
fn loader_cache(live: &LiveRoot, closure: &Closure, tree: &Tree) -> Option<Vec<u8>> {
    let built_in = |folder: &RootPath| {
        let folder = folder.as_bytes();
        let folder = folder.strip_prefix(b"/usr").unwrap_or(folder);
        folder.starts_with(b"/lib") && memchr::memchr_iter(b'/', folder).count() <= 2
    };
    let is_elsewhere = |path: &RootPath| path.parent().is_some_and(|folder| !built_in(&folder));
    let needed = |path: &RootPath| {
        closure.entries.get(path).is_some_and(|reasons| reasons.iter().any(|reason| reason.rule == "elf"))
    };
    if !closure.entries.keys().any(|path| is_elsewhere(path) && needed(path)) {
        return None;
    }
    let mut libraries = ld_cache::libraries(live);
    libraries.retain(|library| tree.get(&library.path).is_some());
    libraries.iter().any(|library| library.needs_cache).then(|| ld_cache::write(&libraries))
}

impl Bundle {
    /// Strips each object once, so that hard links stay what they are.
    fn strip(&mut self) {
        let mut done: HashMap<Inode, Option<File>> = HashMap::new();
        let mut changed = BTreeMap::new();
        for (path, entry) in self.tree.iter() {
            let Kind::File(file) = &entry.kind else { continue };
            let new = done.entry(file.inode).or_insert_with(|| match strip::symbols(&file.content) {
                Ok(new) => {
                    let new = new?;
                    self.stripped += (file.content.len() - new.len()) as u64;
                    Some(File::new(new))
                }
                Err(error) => {
                    self.unstripped.push((path.clone(), error));
                    None
                }
            });
            if let Some(new) = new {
                let kind = Kind::File(new.clone());
                changed.insert(path.clone(), Entry { kind, ..entry.clone() });
            }
        }
        for (path, entry) in changed {
            self.tree.insert(path, entry).expect("a file takes the place of a file");
        }
    }
}

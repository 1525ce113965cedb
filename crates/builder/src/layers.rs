//! From a stack to the layers of an image: what of the tree is kept, why, and in which layer.
//!
//! A layer of `image.toml` is the closure of its roots, less what the layers below have. Its roots alone decide what is
//! in it, so images that have its packages alike have it alike.

use std::collections::{BTreeMap, BTreeSet};

use analyzer::{Closure, Request};
use rootfs::{Entry, RootPath, Tree};
use schema::image::{ImageSpec, LayerSpec};
use schema::lock::PackageKey;

use crate::stack::{Package, Stack};
use crate::status;

/// Where a package says under which licence it is (Debian Policy 12.5).
const DOCUMENTATION: &str = "/usr/share/doc";

/// What an image keeps of a stack.
#[derive(Debug)]
pub(crate) struct Selection<'a> {
    /// What the analyzer was asked for all layers together.
    pub request: Request,
    /// Its answer.
    pub closure: Closure,
    /// The layers, lowest first.
    pub layers: Vec<SelectedLayer<'a>>,
}

/// One layer's files.
#[derive(Debug)]
pub(crate) struct SelectedLayer<'a> {
    /// What `image.toml` says of it.
    pub spec: &'a LayerSpec,
    /// Its files, the records of its packages among them.
    pub tree: Tree,
}

/// Chooses what an image keeps.
pub(crate) fn select<'a>(stack: &Stack<'_>, spec: &'a ImageSpec) -> Selection<'a> {
    let mut lower = Tree::new();
    let mut closure = Closure::default();
    let mut request = Request::default();
    let mut layers = Vec::with_capacity(spec.layers.len());
    for (position, layer) in spec.layers.iter().enumerate() {
        request = request_for(&stack.tree, spec, &spec.layers[..=position]);
        let grown = closure_with_licences(stack, &mut request);
        let added = grown.entries.keys().filter(|path| !closure.entries.contains_key(*path)).cloned();
        let mut tree = stack.tree.select(added);
        let whole = stack.tree.select(grown.entries.keys().cloned());
        for (path, record) in status::records(contributors(stack, &grown).into_values(), &whole) {
            if lower.get(&path) != Some(&record) {
                tree.insert(path.clone(), record.clone()).expect("status.d is a folder that no package has");
                lower.insert(path, record).expect("the same folder");
            }
        }
        layers.push(SelectedLayer { spec: layer, tree });
        closure = grown;
    }
    Selection { request, closure, layers }
}

/// What the analyzer is asked for some of an image's layers on a tree.
fn request_for(tree: &Tree, spec: &ImageSpec, layers: &[LayerSpec]) -> Request {
    let roots = layers.iter().flat_map(|layer| {
        let roots = layer.roots.iter().filter(|root| !root.optional || analyzer::matches(tree, &root.path));
        let roots = roots.map(|root| (&root.path, &root.why));
        roots.chain(layer.files.iter().map(|file| (&file.path, &file.why)))
    });
    let drop = spec
        .drop
        .iter()
        .filter(|drop| drop.shadowed_by.as_ref().is_none_or(|pattern| analyzer::matches(tree, pattern)));
    Request {
        roots: roots
            .map(|(path, why)| analyzer::Root { pattern: path.clone(), reason: why.clone() })
            .collect(),
        drop: drop
            .map(|drop| analyzer::Drop {
                name: drop.name.clone(),
                globs: drop.paths.clone(),
                reason: drop.why.clone(),
            })
            .collect(),
    }
}

/// The closure of a request, which grows by the copyright file of each package that gave a file.
fn closure_with_licences(stack: &Stack<'_>, request: &mut Request) -> Closure {
    let mut known: BTreeSet<PackageKey> = BTreeSet::new();
    loop {
        let closure = analyzer::analyze(&stack.tree, request);
        // A licence may be a link into the documentation of another package, which then gives a file too.
        let new: Vec<PackageKey> =
            contributors(stack, &closure).into_keys().filter(|key| !known.contains(key)).cloned().collect();
        if new.is_empty() {
            return closure;
        }
        for key in new {
            let path = format!("{DOCUMENTATION}/{}/copyright", key.name);
            if analyzer::matches(&stack.tree, &path) {
                let reason = format!("the licence of {}, which gave a file", key.name);
                request.roots.push(analyzer::Root { pattern: path, reason });
            }
            known.insert(key);
        }
    }
}

/// The packages that gave a file or a link to a closure.
pub(crate) fn contributors<'a>(
    stack: &Stack<'a>,
    closure: &Closure,
) -> BTreeMap<&'a PackageKey, &'a Package> {
    kept(stack, closure)
        .filter(|(_, entry)| !entry.is_directory())
        .filter_map(|(_, entry)| stack.package(entry))
        .map(|package| (&package.key, package))
        .collect()
}

/// The entries of a closure.
pub(crate) fn kept<'s>(
    stack: &'s Stack<'_>,
    closure: &'s Closure,
) -> impl Iterator<Item = (&'s RootPath, &'s Entry)> {
    closure.entries.keys().filter_map(|path| Some((path, stack.tree.get(path)?)))
}

//! What is in images and why, path by path: [`Explanation`](crate::explain::Explanation)s of all paths at once, for a
//! report. An image is analyzed as for a build, and nothing of it is written.

use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeMap, HashMap, HashSet};

use analyzer::Reason;
use rayon::prelude::*;
use rootfs::{Entry, Inode, Kind, RootPath, Tree};
use schema::Digest;
use schema::listing::{DroppedEntry, LayerListing, ListedEntry, ListedKind, Listing};
use schema::lock::Lock;

use crate::base_image::BaseImage;
use crate::check::TreeFault;
use crate::contents::{Step, Underlays};
use crate::layers::{self, Selection};
use crate::observer::Observer;
use crate::plan::Target;
use crate::stack::Stack;
use crate::{BuildError, Builder, explain, packages_of};

/// What one step brought, and the files of the image so far.
struct Listed {
    listing: Listing,
    image: Tree,
}

impl Builder {
    /// What is in the images of targets and why, in the order given. What targets have alike is analyzed once.
    ///
    /// # Errors
    /// When packages cannot be had or make no tree.
    pub fn listings(
        &mut self,
        targets: &[Target],
        observer: &dyn Observer,
    ) -> Result<Vec<Listing>, BuildError> {
        let lock = self.locked(targets, observer)?;
        let mut underlays = Underlays::new();
        let mut groups: BTreeMap<Digest, Vec<usize>> = BTreeMap::new();
        for (place, target) in targets.iter().enumerate() {
            let steps = self.steps(&lock, target)?;
            for step in &steps {
                self.fetch(&lock, &packages_of(&lock, &step.set)?, observer)?;
                self.bring_underlay(&lock, target, step, &mut underlays, observer)?;
            }
            groups.entry(steps.first().expect("an image has layers").key).or_default().push(place);
        }
        let groups: Vec<Vec<usize>> = groups.into_values().collect();
        let listed: Vec<Result<Vec<(usize, Listing)>, BuildError>> = groups
            .into_par_iter()
            .map(|places| {
                let mut known = HashMap::new();
                let mut list =
                    |place: usize| Ok((place, self.listing(&lock, &underlays, &targets[place], &mut known)?));
                places.into_iter().map(&mut list).collect()
            })
            .collect();
        let listed = listed.into_iter().collect::<Result<Vec<_>, _>>()?;
        let in_order: BTreeMap<usize, Listing> = listed.into_iter().flatten().collect();
        Ok(in_order.into_values().collect())
    }

    /// What is in the image of a target; `known` are the steps that others have had, by their digests.
    fn listing(
        &self,
        lock: &Lock,
        underlays: &Underlays,
        target: &Target,
        known: &mut HashMap<Digest, Listed>,
    ) -> Result<Listing, BuildError> {
        let mut lower = Tree::new();
        let mut whole = Listing { layers: Vec::new(), dropped: Vec::new() };
        for step in self.steps(lock, target)? {
            let Listed { listing, image } = match known.entry(step.key) {
                Occupied(listed) => listed.into_mut(),
                Vacant(place) => place.insert(self.list(lock, underlays, target, &step, lower)?),
            };
            lower = image.clone();
            whole.layers.extend(listing.layers.iter().cloned());
            whole.dropped.extend(listing.dropped.iter().cloned());
        }
        let kept: HashSet<&String> =
            whole.layers.iter().flat_map(|layer| &layer.entries).map(|entry| &entry.path).collect();
        // What one step left out, another may have brought.
        whole.dropped.retain(|entry| !kept.contains(&entry.path));
        whole.dropped.sort_by(|one, other| one.path.cmp(&other.path));
        whole.dropped.dedup_by(|one, other| one.path == other.path);
        Ok(whole)
    }

    fn list(
        &self,
        lock: &Lock,
        underlays: &Underlays,
        target: &Target,
        step: &Step<'_>,
        lower: Tree,
    ) -> Result<Listed, BuildError> {
        if let Some(base) = underlays.base_alone(step) {
            let failed = |source| BuildError::Layer { image: target.to_string(), source };
            return Ok(Listed { listing: base_listing(base).map_err(failed)?, image: base.tree.clone() });
        }
        let opened = self.opened(lock, step, underlays)?;
        let stack = self.stack(target, step, (&opened, underlays), lower)?;
        let selection = layers::select(&stack, step.policy(&self.spec().shrink));
        let listing = listing(&stack, &selection);
        Ok(Listed { listing, image: selection.image })
    }
}

/// What is in the layers of an image that a row stands on.
fn base_listing(base: &BaseImage) -> Result<Listing, TreeFault> {
    let layers = base.layers().map(|layer| {
        let (name, tree) = layer?;
        let mut inodes = HashSet::new();
        let entries = tree.iter().map(|(path, entry)| ListedEntry {
            path: text(path),
            kind: kind(entry, &mut inodes),
            package: base.package(path).map(|package| package.key.name.clone()),
            because: explain::IN_BASE.to_owned(),
            from: None,
        });
        Ok(LayerListing { name, entries: entries.collect() })
    });
    Ok(Listing { layers: layers.collect::<Result<_, TreeFault>>()?, dropped: Vec::new() })
}

fn kind(entry: &Entry, inodes: &mut HashSet<Inode>) -> ListedKind {
    match &entry.kind {
        Kind::Directory => ListedKind::Folder,
        Kind::Symlink(_) => ListedKind::Symlink,
        Kind::File(file) if inodes.insert(file.inode) => ListedKind::File(file.content.len() as u64),
        Kind::File(_) => ListedKind::HardLink,
    }
}

fn listing(stack: &Stack<'_>, selection: &Selection<'_>) -> Listing {
    let ways = selection.closure.ways();
    let layers = selection.layers.iter().map(|layer| {
        let mut inodes = HashSet::new();
        let entries = layer.tree.iter().map(|(path, entry)| {
            let (because, from) = match ways.get(path) {
                Some(Reason { because, from, .. }) => (because.to_string(), from.as_ref().map(text)),
                None => (explain::because(selection, path, layer.spec.installed).to_owned(), None),
            };
            let package = stack.tree.get(path).and_then(|entry| stack.package(entry));
            let package = package.map(|package| package.key.name.clone());
            ListedEntry { path: text(path), kind: kind(entry, &mut inodes), package, because, from }
        });
        LayerListing { name: layer.spec.name.clone(), entries: entries.collect() }
    });
    let rules = &selection.request.drop;
    let dropped = selection.closure.dropped.iter().filter(|(path, _)| {
        let is_folder = |entry: &Entry| entry.is_directory();
        !stack.tree.get(path).is_some_and(is_folder)
    });
    let dropped =
        dropped.map(|(path, rule)| DroppedEntry { path: text(path), rule: rules[*rule].name.clone() });
    Listing { layers: layers.collect(), dropped: dropped.collect() }
}

/// A path as people read it.
fn text(path: &RootPath) -> String {
    String::from_utf8_lossy(path.as_bytes()).into_owned()
}

//! Making the files of an image smaller without changing what they do: the rules in `[[shrink]]` of `image.toml`.
//!
//! The analysis is over when this begins, so a rule never changes what an image keeps, only how many bytes it takes. The
//! image's own tree is analysed again afterwards, as every image's is. Files that are hard links of one another are
//! changed together, and each once.

use std::collections::{BTreeMap, HashMap};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use rayon::prelude::*;
use rootfs::{Entry, File, Inode, Kind, RootPath, Tree};
use schema::image::{Shrink, ShrinkHow};
use schema::run::ShrinkRecord;

/// The rules of an image, and what they did so far.
#[derive(Debug)]
pub(crate) struct Shrinker<'a> {
    rules: Vec<(&'a Shrink, GlobSet)>,
    /// What became of each file that a rule looked at.
    seen: HashMap<Inode, Option<Smaller>>,
    /// The paths of those that changed.
    changed: BTreeMap<RootPath, Change>,
}

/// A file that a rule made smaller.
#[derive(Debug, Clone)]
struct Smaller {
    file: File,
    rule: usize,
    saved: u64,
}

/// What a rule did to the file at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// The place of the rule in the image's description.
    rule: usize,
    /// The bytes that it took away.
    pub(crate) saved: u64,
}

impl<'a> Shrinker<'a> {
    /// With these rules; the first that matches a file has it.
    pub(crate) fn new(rules: &'a [Shrink]) -> Self {
        let with_globs = |rule: &'a Shrink| {
            let mut set = GlobSetBuilder::new();
            for pattern in &rule.paths {
                let glob = GlobBuilder::new(pattern.as_str()).literal_separator(true).build();
                set.add(glob.expect("a description has valid patterns only"));
            }
            (rule, set.build().expect("each pattern of it is valid"))
        };
        Self { rules: rules.iter().map(with_globs).collect(), seen: HashMap::new(), changed: BTreeMap::new() }
    }

    /// Makes the files of a tree smaller. Those that were in an earlier tree become the very same as there.
    pub(crate) fn apply(&mut self, tree: &mut Tree) {
        let mut new: Vec<(Inode, usize, File)> = Vec::new();
        for (path, entry) in tree.iter() {
            if let Kind::File(file) = &entry.kind
                && let Some(rule) = self.rule_for(path)
                && !self.seen.contains_key(&file.inode)
            {
                self.seen.insert(file.inode, None);
                new.push((file.inode, rule, file.clone()));
            }
        }
        let smaller = new.into_par_iter().map(|(inode, rule, file)| (inode, self.smaller(rule, &file)));
        let smaller: Vec<_> = smaller.collect();
        self.seen.extend(smaller);

        let replaced: Vec<(RootPath, Entry, Change)> = tree
            .iter()
            .filter_map(|(path, entry)| {
                let Kind::File(file) = &entry.kind else { return None };
                let Smaller { file, rule, saved } = self.seen.get(&file.inode)?.clone()?;
                let entry = Entry { kind: Kind::File(file), ..entry.clone() };
                Some((path.clone(), entry, Change { rule, saved }))
            })
            .collect();
        for (path, entry, change) in replaced {
            tree.insert(path.clone(), entry).expect("a file stands there already");
            self.changed.insert(path, change);
        }
    }

    fn rule_for(&self, path: &RootPath) -> Option<usize> {
        let text = String::from_utf8_lossy(path.as_bytes());
        self.rules.iter().position(|(_, globs)| globs.is_match(&*text))
    }

    fn smaller(&self, rule: usize, file: &File) -> Option<Smaller> {
        let content = match self.rules[rule].0.how {
            // A damaged object is a finding of the analysis, and stays as it is here.
            ShrinkHow::Strip => strip::symbols(&file.content).ok().flatten(),
            ShrinkHow::Comments => strip::comments(&file.content),
        }?;
        let saved = (file.content.len() - content.len()) as u64;
        Some(Smaller { file: File::new(content), rule, saved })
    }

    /// Whether a rule changed the file at a path, and how.
    pub(crate) fn change(&self, path: &RootPath) -> Option<(&'a Shrink, Change)> {
        let change = *self.changed.get(path)?;
        Some((self.rules[change.rule].0, change))
    }

    /// What each rule saved: of those that saved anything.
    pub(crate) fn records(&self) -> Vec<ShrinkRecord> {
        let mut records: Vec<ShrinkRecord> = Vec::new();
        for (position, (rule, _)) in self.rules.iter().enumerate() {
            let changes = self.seen.values().flatten().filter(|smaller| smaller.rule == position);
            let (files, saved) = changes.fold((0, 0), |(files, saved), one| (files + 1, saved + one.saved));
            if files > 0 {
                records.push(ShrinkRecord { name: rule.name.clone(), why: rule.why.clone(), files, saved });
            }
        }
        records
    }
}

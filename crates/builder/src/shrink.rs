//! Making the files of an image smaller without changing what they do: the rules in `[[shrink]]` of `image.toml`.
//!
//! The analysis is over when this begins, so a rule never changes what an image keeps, only how many bytes it takes. The
//! image's own tree is analysed again afterwards, as every image's is. Files that are hard links of one another are
//! changed together, and each once.

use std::collections::{BTreeMap, HashMap};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use rayon::prelude::*;
use rootfs::{Entry, File, Inode, Kind, Metadata, RootPath, Tree};
use schema::Digest;
use schema::image::{Shrink, ShrinkHow};
use schema::run::ShrinkRecord;

/// The rules of an image, and what they did so far.
#[derive(Debug)]
pub(crate) struct Shrinker<'a> {
    rules: Vec<(&'a Shrink, GlobSet)>,
    /// What became of each file that a rule looked at.
    seen: HashMap<Inode, Option<Smaller>>,
    /// Files that became links of others.
    linked: Vec<Smaller>,
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
    /// With these rules, for a Ruby that was installed to `prefix`; of those that match a file, the first that can make it smaller does.
    pub(crate) fn new(rules: &'a [Shrink], prefix: &str) -> Self {
        let with_globs = |rule: &'a Shrink| {
            let mut set = GlobSetBuilder::new();
            for pattern in &rule.paths {
                let glob = GlobBuilder::new(&pattern.for_prefix(prefix)).literal_separator(true).build();
                set.add(glob.expect("a description has valid patterns only"));
            }
            (rule, set.build().expect("each pattern of it is valid"))
        };
        Self {
            rules: rules.iter().map(with_globs).collect(),
            seen: HashMap::new(),
            linked: Vec::new(),
            changed: BTreeMap::new(),
        }
    }

    /// Makes the files of a tree smaller. Those that were in an earlier tree become the very same as there.
    pub(crate) fn apply(&mut self, tree: &mut Tree) {
        let mut new: HashMap<Inode, (&RootPath, &File)> = HashMap::new();
        for (path, entry) in tree.iter() {
            if let Kind::File(file) = &entry.kind
                && !self.seen.contains_key(&file.inode)
            {
                new.entry(file.inode).or_insert((path, file));
            }
        }
        let smaller: Vec<_> =
            new.into_par_iter().map(|(inode, (path, file))| (inode, self.smaller(path, file))).collect();
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
        self.put(tree, replaced);
    }

    fn smaller(&self, path: &RootPath, file: &File) -> Option<Smaller> {
        self.matching(path).find_map(|(rule, Shrink { how, .. })| {
            let content = match how {
                // A damaged object is a finding of the analysis, and stays as it is here.
                ShrinkHow::Strip => strip::symbols(&file.content).ok().flatten(),
                ShrinkHow::Comments => strip::comments(&file.content),
                ShrinkHow::Link => None,
            }?;
            let saved = (file.content.len() - content.len()) as u64;
            Some(Smaller { file: File::new(content), rule, saved })
        })
    }

    /// Makes files of one layer that have the same bytes, rights and owner hard links of the first of them.
    pub(crate) fn link(&mut self, tree: &mut Tree) {
        let mut first: HashMap<(Digest, u32, u32, u32), File> = HashMap::new();
        let mut linked: Vec<(RootPath, Entry, Change)> = Vec::new();
        for (path, entry) in tree.iter() {
            let Kind::File(file) = &entry.kind else { continue };
            let Some(rule) =
                self.matching(path).find(|(_, rule)| rule.how == ShrinkHow::Link).map(|(at, _)| at)
            else {
                continue;
            };
            let Metadata { mode, uid, gid, .. } = entry.metadata;
            let same =
                first.entry((Digest::of(&file.content), mode, uid, gid)).or_insert_with(|| file.clone());
            if same.inode != file.inode {
                let saved = file.content.len() as u64;
                let smaller = Smaller { file: same.clone(), rule, saved };
                let entry = Entry { kind: Kind::File(same.clone()), ..entry.clone() };
                linked.push((path.clone(), entry, Change { rule, saved }));
                self.linked.push(smaller);
            }
        }
        self.put(tree, linked);
    }

    fn put(&mut self, tree: &mut Tree, replaced: Vec<(RootPath, Entry, Change)>) {
        for (path, entry, change) in replaced {
            tree.insert(path.clone(), entry).expect("a file stands there already");
            self.changed.insert(path, change);
        }
    }

    /// The rules for a path, by their places.
    fn matching(&self, path: &RootPath) -> impl Iterator<Item = (usize, &'a Shrink)> {
        let text = String::from_utf8_lossy(path.as_bytes());
        let matching = self.rules.iter().enumerate().filter(|(_, (_, globs))| globs.is_match(&*text));
        matching.map(|(at, (rule, _))| (at, *rule)).collect::<Vec<_>>().into_iter()
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
            let changes =
                self.seen.values().flatten().chain(&self.linked).filter(|smaller| smaller.rule == position);
            let (files, saved) = changes.fold((0, 0), |(files, saved), one| (files + 1, saved + one.saved));
            if files > 0 {
                records.push(ShrinkRecord { name: rule.name.clone(), why: rule.why.clone(), files, saved });
            }
        }
        records
    }
}

#[cfg(test)]
mod tests {
    use rootfs::Origin;
    use schema::image::ImageSpec;

    use super::*;

    const RULES: &str = r#"
name = "tiny"
packages = []
layers = [{ name = "all", roots = [] }]

[about]
description = "x"
source = "x"
vendor = "x"

[config]
user = "0:0"
working-directory = "/"
command = []
environment = {}

[[shrink]]
name = "symbols"
how = "strip"
paths = ["/lib/**"]
why = "no loader maps them"

[[shrink]]
name = "comments"
how = "comments"
paths = ["/lib/**/*.rb"]
why = "nobody reads them here"

[[shrink]]
name = "once"
how = "link"
paths = ["/doc/*"]
why = "the same text"
"#;

    fn path(text: &str) -> RootPath {
        RootPath::parse(text).unwrap()
    }

    fn tree(files: &[(&str, &str, u32)]) -> Tree {
        let mut tree = Tree::new();
        for (at, text, mode) in files {
            let entry = Entry::file(Metadata::root(*mode), text.as_bytes().to_vec(), Origin::default());
            tree.insert(path(at), entry).unwrap();
        }
        tree
    }

    fn file<'t>(tree: &'t Tree, at: &str) -> &'t File {
        match &tree.get(&path(at)).unwrap().kind {
            Kind::File(file) => file,
            _ => panic!("{at} is no file"),
        }
    }

    #[test]
    fn each_rule_does_its_part_and_says_what_it_saved() {
        let spec = ImageSpec::parse("image.toml", RULES).unwrap();
        let mut shrinker = Shrinker::new(&spec.shrink, "/usr");
        let mut tree = tree(&[
            ("/lib/a/b.rb", "a # says\n", 0o644),
            ("/opt/c.rb", "a # says\n", 0o644),
            ("/doc/1", "licence", 0o644),
            ("/doc/2", "licence", 0o644),
            ("/doc/3", "licence", 0o600),
        ]);
        shrinker.apply(&mut tree);
        shrinker.link(&mut tree);

        assert_eq!(&*file(&tree, "/lib/a/b.rb").content, b"a\n");
        assert_eq!(&*file(&tree, "/opt/c.rb").content, b"a # says\n");
        assert_eq!(file(&tree, "/doc/1").inode, file(&tree, "/doc/2").inode);
        assert_ne!(file(&tree, "/doc/1").inode, file(&tree, "/doc/3").inode, "rights differ");
        let saved = shrinker.records().into_iter().map(|record| (record.name, record.files, record.saved));
        assert_eq!(saved.collect::<Vec<_>>(), [("comments".to_owned(), 1, 7), ("once".to_owned(), 1, 7)]);
        let change = |at| shrinker.change(&path(at)).map(|(rule, change)| (&*rule.name, change.saved));
        assert_eq!(change("/lib/a/b.rb"), Some(("comments", 7)));
        assert_eq!(change("/doc/2"), Some(("once", 7)));
        assert_eq!(change("/doc/1"), None);
    }

    #[test]
    fn a_file_is_the_same_in_every_tree() {
        let spec = ImageSpec::parse("image.toml", RULES).unwrap();
        let mut shrinker = Shrinker::new(&spec.shrink, "/usr");
        let mut first = tree(&[("/lib/b.rb", "a # says\n", 0o644)]);
        let mut second = first.clone();
        shrinker.apply(&mut first);
        shrinker.apply(&mut second);
        assert_eq!(file(&first, "/lib/b.rb").inode, file(&second, "/lib/b.rb").inode);
        assert_eq!(shrinker.records()[0].files, 1);
    }
}

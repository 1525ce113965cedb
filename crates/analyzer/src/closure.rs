//! The answer: which paths are needed, why, and what is wrong.
//!
//! A *reason* says which rule brought a path in, and for which other path. Reasons lead from every kept path back to a
//! root; the shortest such way is its *chain*.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use rootfs::RootPath;

use crate::finding::Finding;

/// What a tree must keep for the roots to work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closure {
    /// Every kept path with its reasons, at least one, in order. Folders above kept paths are among them; the root
    /// itself is not. Every path is real: it exists in the tree, and none of its parents is a link.
    pub entries: BTreeMap<RootPath, Vec<Reason>>,
    /// Paths that would have been kept, with the index of the [`Drop`](crate::Drop) that took each.
    pub dropped: BTreeMap<RootPath, usize>,
    /// Needs that are not met, and files that cannot be read, in order.
    pub findings: Vec<Finding>,
}

/// Why a path is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason {
    /// The path that needs it; `None` for a root.
    pub from: Option<RootPath>,
    /// The name of the rule, as `elf`.
    pub rule: &'static str,
    /// What it is for the path that needs it, as `NEEDED libyaml-0.so.2`; for a root, why that is wanted.
    pub because: Arc<str>,
}

/// One step of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// A kept path.
    pub path: RootPath,
    /// Why it is kept. The path that this names comes next.
    pub reason: Reason,
}

impl Closure {
    /// The shortest way from a kept path back to a root; between equally short ones, the first by reason. `None` for a
    /// path that is not kept.
    pub fn chain(&self, path: &RootPath) -> Option<Vec<Step>> {
        let mut ways: VecDeque<Vec<Step>> = VecDeque::from([Vec::new()]);
        let mut seen = BTreeSet::from([path]);
        while let Some(way) = ways.pop_front() {
            let at = way.last().map_or(Some(path), |step| step.reason.from.as_ref())?;
            let extended = |reason: &Reason| {
                let step = Step { path: at.clone(), reason: reason.clone() };
                way.iter().cloned().chain([step]).collect::<Vec<_>>()
            };
            let reasons = self.entries.get(at)?;
            if let Some(root) = reasons.iter().find(|reason| reason.from.is_none()) {
                return Some(extended(root));
            }
            for reason in reasons {
                if let Some(from) = &reason.from
                    && seen.insert(self.entries.get_key_value(from)?.0)
                {
                    ways.push_back(extended(reason));
                }
            }
        }
        None
    }
}

impl Closure {
    /// For every kept path the first step of a shortest way back to a root: followed from path to path, they are as long
    /// as its [chain](Self::chain). Paths that no way leads back from are not in it.
    pub fn ways(&self) -> BTreeMap<&RootPath, &Reason> {
        let mut needed: BTreeMap<&RootPath, Vec<(&RootPath, &Reason)>> = BTreeMap::new();
        let mut ways = BTreeMap::new();
        let mut reached = VecDeque::new();
        for (path, reasons) in &self.entries {
            if let Some(root) = reasons.iter().find(|reason| reason.from.is_none()) {
                ways.insert(path, root);
                reached.push_back(path);
            }
            for reason in reasons {
                if let Some(from) = &reason.from {
                    needed.entry(from).or_default().push((path, reason));
                }
            }
        }
        while let Some(from) = reached.pop_front() {
            for (path, reason) in needed.remove(from).unwrap_or_default() {
                if let Entry::Vacant(way) = ways.entry(path) {
                    way.insert(reason);
                    reached.push_back(path);
                }
            }
        }
        ways
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.from {
            None => write!(out, "root: {}", self.because),
            Some(from) => write!(out, "{} of {from}", self.because),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RootPath {
        RootPath::parse(text).unwrap()
    }

    fn reason(from: Option<&str>) -> Reason {
        Reason { from: from.map(path), rule: "test", because: "part".into() }
    }

    fn closure(entries: &[(&str, &[Option<&str>])]) -> Closure {
        let entries = entries
            .iter()
            .map(|(at, from)| (path(at), from.iter().map(|from| reason(*from)).collect()))
            .collect();
        Closure { entries, dropped: BTreeMap::new(), findings: Vec::new() }
    }

    #[test]
    fn a_chain_is_the_shortest_way_to_a_root() {
        let closure = closure(&[
            ("/root", &[None]),
            ("/a", &[Some("/root"), Some("/loop")]),
            ("/b", &[Some("/a")]),
            ("/c", &[Some("/b"), Some("/a")]),
            ("/loop", &[Some("/loop"), Some("/other")]),
            ("/other", &[Some("/loop")]),
        ]);
        let chain = |at| {
            let steps = closure.chain(&path(at))?;
            Some(steps.iter().map(|step| step.path.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(chain("/root").unwrap(), ["/root"]);
        assert_eq!(chain("/c").unwrap(), ["/c", "/a", "/root"]);
        assert_eq!(chain("/loop"), None);
        assert_eq!(chain("/none"), None);

        let ways = closure.ways();
        for path in closure.entries.keys() {
            let steps = std::iter::successors(Some(path), |path| ways.get(*path)?.from.as_ref()).count();
            let chain = closure.chain(path).map(|chain| chain.len());
            assert_eq!(ways.contains_key(path).then_some(steps), chain, "{path}");
        }
    }

    #[test]
    fn reasons_read_well() {
        assert_eq!(reason(None).to_string(), "root: part");
        assert_eq!(reason(Some("/usr/bin/ruby")).to_string(), "part of /usr/bin/ruby");
    }
}

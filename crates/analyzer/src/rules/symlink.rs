//! A link needs what it leads to, and the links on the way there.

use std::sync::Arc;

use rootfs::{Kind, ResolveError, RootPath};

use super::Rule;
use crate::engine::{Answer, Strength, Visit, escaped};
use crate::finding::FindingKind;
use crate::scope::Scope;
use crate::search::resolve_from;

pub(super) struct Symlink;

impl Rule for Symlink {
    fn name(&self) -> &'static str {
        "symlink"
    }

    fn apply(&self, scope: &Scope<'_>, visit: &Visit<'_>, answer: &mut Answer<'_>) {
        let Kind::Symlink(target) = visit.kind else { return };
        let reason = self.reason(visit, "link target");
        let folder = visit.path.parent().unwrap_or_else(RootPath::root);
        // The tree knows how many links are too many; the text, which folders it leads through.
        let known = scope.tree.resolve(visit.path);
        let because = match known {
            Err(ResolveError::TooManyLinks { .. }) => "link target, since links lead on and on".into(),
            _ => Arc::clone(&reason.because),
        };
        match known.ok().and_then(|_| resolve_from(scope.tree, &folder, target)) {
            Some(resolved) => answer.resolved(resolved, visit.role.clone(), reason, Strength::Hard),
            None => answer.find(reason.from, FindingKind::NotFound { path: escaped(target), because }),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{closure_of, tree};

    #[test]
    fn a_link_brings_its_target_and_the_links_between() {
        let tree = tree(&[
            ("/a", "-> dir/b"),
            ("/dir", "-> real"),
            ("/real/b", "-> ../c"),
            ("/c", ""),
            ("/other", ""),
        ]);
        assert_eq!(
            closure_of(&tree, &["/a"]),
            [
                "/a: root: wanted",
                "/c: root: wanted",
                "/c: link target of /a",
                "/c: link target of /real/b",
                "/dir: root: wanted",
                "/dir: link target of /a",
                "/real: link target of /dir",
                "/real/b: root: wanted",
                "/real/b: link target of /a",
            ]
        );
    }

    #[test]
    fn a_folder_that_a_target_passes_and_leaves_must_be_there() {
        let tree = tree(&[("/x/a", "-> ../left/../x/./../b"), ("/left/", ""), ("/b", "")]);
        assert_eq!(
            closure_of(&tree, &["/x/*"]),
            [
                "/b: root: wanted",
                "/b: link target of /x/a",
                "/left: link target of /x/a",
                "/x: folder of /x/a",
                "/x/a: root: wanted",
            ]
        );
    }

    #[test]
    fn a_link_to_nothing_is_a_finding() {
        let endless = ", since links lead on and on";
        for (target, more) in [("none", ""), ("/none", ""), ("a", endless), ("file/below", "")] {
            let tree = tree(&[("/a/a", format!("-> {target}").as_str()), ("/a/file", "")]);
            assert_eq!(
                closure_of(&tree, &["/a/*"]),
                [
                    "/a: folder of /a/a",
                    "/a/a: root: wanted",
                    "/a/file: root: wanted",
                    &format!("! /a/a: cannot find {target}, its link target{more}"),
                ]
            );
        }
    }
}

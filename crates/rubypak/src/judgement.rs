//! What follows from a finding: whether the result may be written with it.

use analyzer::{Closure, Finding, FindingKind, Severity};
use rootfs::RootPath;

use crate::minus::Bases;

/// What follows from a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing is written.
    Unmet,
    /// It cannot be told without running the program.
    Undecided,
    /// It is known and taken, because of this.
    Accepted(String),
}

/// A finding with what follows from it.
#[derive(Debug)]
pub(crate) struct Judged<'c> {
    pub(crate) finding: &'c Finding,
    pub(crate) key: String,
    pub(crate) verdict: Verdict,
}

/// What may be wrong without stopping anything.
pub(crate) struct Tolerance<'a> {
    /// Keys that are accepted; a `*` in one stands for anything.
    pub(crate) keys: &'a [String],
    /// Names of the drops that a person asked for.
    pub(crate) excludes: &'a [String],
    /// What is there in the end without being in the result.
    pub(crate) bases: &'a Bases,
}

impl Tolerance<'_> {
    /// Judges every finding of a closure, in its order.
    pub(crate) fn judge<'c>(&self, closure: &'c Closure) -> Vec<Judged<'c>> {
        let judge = |finding: &'c Finding| {
            let key = finding.key();
            let verdict = self.verdict(finding, &key);
            Judged { finding, key, verdict }
        };
        closure.findings.iter().map(judge).collect()
    }

    /// Accepted keys that no finding has: a mistake, or something that was mended.
    pub(crate) fn unused<'a>(&'a self, judged: &[Judged<'_>]) -> Vec<&'a String> {
        let is_used = |key: &&String| judged.iter().any(|one| is_match(key.as_bytes(), one.key.as_bytes()));
        self.keys.iter().filter(|key| !is_used(key)).collect()
    }

    fn verdict(&self, finding: &Finding, key: &str) -> Verdict {
        if self.keys.iter().any(|accepted| is_match(accepted.as_bytes(), key.as_bytes())) {
            return Verdict::Accepted("--accept".to_owned());
        }
        match &finding.kind {
            FindingKind::Dropped { by, .. } if self.excludes.contains(by) => Verdict::Accepted(by.clone()),
            FindingKind::NotFound { path, .. } if self.is_in_base(path) => {
                Verdict::Accepted("--minus: the base has it".to_owned())
            }
            _ => match finding.severity() {
                Severity::Unmet => Verdict::Unmet,
                Severity::Undecided => Verdict::Undecided,
            },
        }
    }

    fn is_in_base(&self, path: &str) -> bool {
        path.starts_with('/') && RootPath::parse(path).is_ok_and(|path| self.bases.have_path(&path))
    }
}

/// The findings that stop everything.
pub(crate) fn unmet<'j, 'c>(judged: &'j [Judged<'c>]) -> impl Iterator<Item = &'j Judged<'c>> {
    judged.iter().filter(|judged| judged.verdict == Verdict::Unmet)
}

/// Whether a text is what a pattern says, in which `*` stands for anything.
fn is_match(pattern: &[u8], text: &[u8]) -> bool {
    let mut parts = pattern.split(|&byte| byte == b'*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match memchr::memmem::find(rest, part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, wanted) in [
            ("a:/b", "a:/b", true),
            ("a:/b", "a:/bc", false),
            ("a:*", "a:/b/c", true),
            ("*", "", true),
            ("a*", "ab", true),
            ("a*b*d", "a-b-c-d", true),
            ("a*b*d", "a-c-d", false),
            ("ab*b", "ab", false),
            ("a:/*:/b", "a:/*:/b", true),
        ] {
            assert_eq!(is_match(pattern.as_bytes(), text.as_bytes()), wanted, "{pattern} {text}");
        }
    }
}

//! What has to hold before an image may leave: nothing that was found missing is passed over, neither in the distro's
//! tree nor in the image's own.

use std::collections::BTreeMap;

use analyzer::{Closure, Finding, Severity};
use globset::GlobBuilder;
use schema::image::Accept;
use schema::run::AcceptRecord;

/// Needs that are not met, and not accepted either.
#[derive(Debug, thiserror::Error)]
pub enum FindingsError {
    /// In the tree that the packages make.
    #[error("the packages of {image} do not have everything it needs:\n{}", listed(findings))]
    Packages {
        /// The image.
        image: String,
        /// What is missing.
        findings: Vec<Finding>,
    },
    /// In the image, though the packages had it.
    #[error("{image} does not have everything it needs:\n{}", listed(findings))]
    Image {
        /// The image.
        image: String,
        /// What is missing.
        findings: Vec<Finding>,
    },
    /// `accept` names a finding that is none.
    #[error("`{pattern}` is not a pattern for findings")]
    Pattern {
        /// As it was written.
        pattern: String,
        /// What is wrong with it.
        source: globset::Error,
    },
}

fn listed(findings: &[Finding]) -> String {
    let lines: Vec<String> =
        findings.iter().map(|finding| format!("  {finding}\n    (its key is `{}`)", finding.key())).collect();
    lines.join("\n")
}

impl FindingsError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Packages { .. } => Some(
                "add the package that has it to `packages` in image.toml, or accept the finding by its key in \
                 `[[accept]]`, with a reason"
                    .to_owned(),
            ),
            Self::Image { .. } => Some("a rule in `[[drop]]` of image.toml takes what something else needs".to_owned()),
            Self::Pattern { .. } => None,
        }
    }
}

/// What is to be said of the findings of an image that may leave.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Those that `image.toml` accepts.
    pub(crate) accepted: Vec<AcceptRecord>,
    /// Those that depend on what a program does when it runs, and that `image.toml` does not speak of.
    pub(crate) undecided: Vec<String>,
}

/// Judges the findings of a closure.
///
/// # Errors
/// The unmet needs that nobody accepts.
pub(crate) fn judge(
    closure: &Closure,
    accepts: &[Accept],
    refuse: impl FnOnce(Vec<Finding>) -> FindingsError,
) -> Result<Verdict, FindingsError> {
    let mut globs = BTreeMap::new();
    for accept in accepts {
        let pattern = || accept.finding.clone();
        let glob = GlobBuilder::new(&accept.finding)
            .build()
            .map_err(|source| FindingsError::Pattern { pattern: pattern(), source })?;
        globs.insert(pattern(), (glob.compile_matcher(), accept));
    }
    let reason = |finding: &Finding| -> Option<&Accept> {
        globs.values().find(|(glob, _)| glob.is_match(finding.key())).map(|(_, accept)| *accept)
    };
    let mut verdict = Verdict::default();
    let mut refused = Vec::new();
    for finding in &closure.findings {
        match reason(finding) {
            Some(accept) => {
                let record = AcceptRecord { finding: finding.to_string(), why: accept.why.clone() };
                verdict.accepted.push(record);
            }
            None if finding.severity() == Severity::Undecided => verdict.undecided.push(finding.to_string()),
            None => refused.push(finding.clone()),
        }
    }
    if refused.is_empty() { Ok(verdict) } else { Err(refuse(refused)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use analyzer::FindingKind;

    fn finding(kind: FindingKind) -> Finding {
        Finding { file: None, line: None, kind }
    }

    #[test]
    fn an_unmet_need_refuses_an_undecided_one_is_told() {
        let unmet = || finding(FindingKind::ProgramNotFound { name: "ruby".into() });
        let undecided = || finding(FindingKind::OptionalLibraryNotFound { name: "libfido2.so.1".into() });
        let accept = |glob: &str| Accept { finding: glob.into(), why: "known".into() };
        let accept_both = [accept("program-*"), accept("optional-*")];
        for (findings, accepts, wanted) in [
            (vec![], &[][..], Ok((0, 0))),
            (vec![unmet(), undecided()], &[], Err(1)),
            (vec![unmet(), undecided()], &accept_both[1..], Err(1)),
            (vec![unmet(), undecided()], &accept_both[..1], Ok((1, 1))),
            (vec![unmet(), undecided()], &accept_both, Ok((2, 0))),
        ] {
            let closure = Closure { findings, ..Closure::default() };
            let refuse = |findings| FindingsError::Image { image: String::new(), findings };
            let found = match judge(&closure, accepts, refuse) {
                Ok(Verdict { accepted, undecided }) => Ok((accepted.len(), undecided.len())),
                Err(FindingsError::Image { findings, .. }) => Err(findings.len()),
                Err(error) => panic!("{error}"),
            };
            assert_eq!(found, wanted);
        }
    }
}

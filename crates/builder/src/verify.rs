//! What has to hold before an image may leave: nothing that was found missing is passed over, neither in the distro's
//! tree nor in the image's own.

use std::collections::BTreeMap;

use analyzer::{Closure, Finding};
use globset::GlobBuilder;
use schema::image::{Accept, ImageSpec};
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

/// The findings of a closure that `image.toml` accepts, or else those that it does not.
///
/// # Errors
/// The findings that nobody accepts.
pub(crate) fn accepted(
    closure: &Closure,
    spec: &ImageSpec,
    refuse: impl FnOnce(Vec<Finding>) -> FindingsError,
) -> Result<Vec<AcceptRecord>, FindingsError> {
    let mut accepts = BTreeMap::new();
    for accept in &spec.accept {
        let pattern = || accept.finding.clone();
        let glob = GlobBuilder::new(&accept.finding)
            .build()
            .map_err(|source| FindingsError::Pattern { pattern: pattern(), source })?;
        accepts.insert(pattern(), (glob.compile_matcher(), accept));
    }
    let reason = |finding: &Finding| -> Option<&Accept> {
        accepts.values().find(|(glob, _)| glob.is_match(finding.key())).map(|(_, accept)| *accept)
    };
    let mut records = Vec::new();
    let mut refused = Vec::new();
    for finding in &closure.findings {
        match reason(finding) {
            Some(accept) => {
                records.push(AcceptRecord { finding: finding.to_string(), why: accept.why.clone() });
            }
            None => refused.push(finding.clone()),
        }
    }
    if refused.is_empty() { Ok(records) } else { Err(refuse(refused)) }
}

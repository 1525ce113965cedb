//! How a program of this project ends that could not do what it was asked: with an error as people read it, and a status.
//! What failed comes first, then why, then what to do next.

/// The exit status of a program that could not run; 1 is for what ran, and is not as it should be.
pub const COULD_NOT_RUN: u8 = 2;

/// An error, its causes and the next step as lines, without the end of the last.
pub fn describe(error: &anyhow::Error, hint: Option<&str>) -> String {
    let mut lines = vec![format!("error: {error}")];
    let mut said = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Some errors say their cause in their own sentence.
        if !said.contains(&cause) {
            lines.push(format!("  because: {}", cause.replace('\n', "\n  ")));
        }
        said = cause;
    }
    if let Some(hint) = hint {
        lines.push(format!("hint: {hint}"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::describe;

    #[test]
    fn what_failed_why_and_what_to_do() {
        let error = anyhow!("no such file\nat all")
            .context("cannot read: no such file\nat all")
            .context("cannot build");
        assert_eq!(
            describe(&error, Some("look for it")),
            "error: cannot build\n  because: cannot read: no such file\n  at all\nhint: look for it"
        );
        assert_eq!(describe(&anyhow!("alone"), None), "error: alone");
    }
}

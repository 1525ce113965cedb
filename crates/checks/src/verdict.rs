//! Whether an outcome is what a check expects.

use schema::image::Check;
use schema::run::CheckOutcome;

use crate::engine::{Ending, Outcome};
use crate::suite::Subject;

/// How much of each output the record of a check has, from its end, in bytes.
const SHOWN: usize = 4096;

/// Compares an outcome with what the check expects of its subject. A check that warns has failed: what is left out of an image
/// may be missed with a word on standard error alone.
pub(crate) fn verdict(check: &Check, subject: &Subject<'_>, outcome: &Outcome) -> CheckOutcome {
    let lacks = || {
        let wanted = fill_in(check.output.as_deref()?, subject);
        let output = String::from_utf8_lossy(&outcome.stdout);
        (!has(&output, &wanted)).then(|| format!("standard output has no `{wanted}`"))
    };
    let warns =
        || (!outcome.stderr.is_empty()).then(|| "it passes, but for warnings on standard error".to_owned());
    let fault = fault(outcome).map(|fault| format!("it {fault}"));
    match fault.or_else(lacks).or_else(warns) {
        None => CheckOutcome::Passed { output: end(&outcome.stdout) },
        Some(message) => failed(message, outcome),
    }
}

/// A failure with the ends of both outputs.
pub(crate) fn failed(message: String, outcome: &Outcome) -> CheckOutcome {
    CheckOutcome::Failed { message, output: end(&outcome.stdout), errors: end(&outcome.stderr) }
}

/// How a command ended, unless it ended well.
pub(crate) fn fault(outcome: &Outcome) -> Option<String> {
    match &outcome.ending {
        Ending::Exited(0) => None,
        Ending::Exited(status) => Some(format!("ended with status {status}")),
        Ending::Signaled(signal) => Some(format!("was ended by signal {signal}")),
        Ending::TimedOut => Some("took too long".to_owned()),
        Ending::NotStarted(why) => Some(format!("did not start: {why}")),
        Ending::PastLimit(what) => Some(format!("took too much {what}")),
    }
}

fn fill_in(output: &str, subject: &Subject<'_>) -> String {
    let Subject { ruby, uid, yjit, gems: _ } = subject;
    let yjit = match yjit {
        Some(true) => "with YJIT",
        Some(false) => "without YJIT",
        None => "YJIT",
    };
    let series: Vec<&str> = ruby.splitn(3, '.').take(2).collect();
    let output = output.replace("{ruby}", ruby).replace("{series}", &series.join("."));
    output.replace("{uid}", &uid.to_string()).replace("{yjit}", yjit)
}

/// Whether `output` has `wanted`, numbers being whole: `3.3.1` is not in `3.3.14`.
fn has(output: &str, wanted: &str) -> bool {
    let digit = |text: Option<char>| text.is_some_and(|letter| letter.is_ascii_digit());
    output.match_indices(wanted).any(|(start, found)| {
        let cut_in = |inner: Option<char>, outer: Option<char>| digit(inner) && digit(outer);
        !cut_in(found.chars().next(), output[..start].chars().next_back())
            && !cut_in(found.chars().next_back(), output[start + found.len()..].chars().next())
    })
}

fn end(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(SHOWN)..]).into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::gems::GemPackages;

    fn outcome(ending: Ending, stdout: &str) -> Outcome {
        Outcome { ending, stdout: stdout.into(), stderr: Vec::new(), duration: Duration::ZERO }
    }

    fn check(output: Option<&str>) -> Check {
        Check {
            name: "ruby -v".to_owned(),
            proves: "it starts".to_owned(),
            command: vec!["ruby".to_owned(), "-v".to_owned()],
            script: None,
            environment: std::collections::BTreeMap::new(),
            output: output.map(str::to_owned),
            gems: false,
            only: Vec::new(),
            except: Vec::new(),
            time_limit: 60,
        }
    }

    fn verdict_of(check: &Check, yjit: Option<bool>, outcome: &Outcome) -> CheckOutcome {
        let gems = GemPackages::new([]).unwrap();
        verdict(check, &Subject { ruby: "3.3.1", uid: 65532, yjit, gems: &gems }, outcome)
    }

    #[test]
    fn a_ruby_has_yjit_where_it_should_and_nowhere_else() {
        let (with, without) = ("this Ruby is with YJIT\n", "this Ruby is without YJIT\n");
        for (yjit, output, passes) in [
            (Some(true), with, true),
            (Some(true), without, false),
            (Some(false), with, false),
            (Some(false), without, true),
            (None, with, true),
            (None, without, true),
            (None, "", false),
        ] {
            let verdict = verdict_of(&check(Some("{yjit}")), yjit, &outcome(Ending::Exited(0), output));
            assert_eq!(
                matches!(verdict, CheckOutcome::Passed { .. }),
                passes,
                "{yjit:?}, {output}: {verdict:?}"
            );
        }
    }

    #[test]
    fn output_is_compared_by_whole_numbers() {
        for (wanted, output, passes) in [
            (None, "", true),
            (Some("ruby {ruby}"), "ruby 3.3.1 (2024)\n", true),
            (Some("ruby {ruby}"), "ruby 3.3.1p9\n", true),
            (Some("ruby {ruby}"), "ruby 3.3.14\n", false),
            (Some("{ruby}"), "13.3.1\n", false),
            (Some("{ruby}"), "13.3.1, no: 3.3.1\n", true),
            (Some("ruby{series} -v"), "ruby3.3 -v", true),
            (Some("Bundler version "), "Bundler version 2.5.22\n", true),
            (Some("ruby"), "", false),
        ] {
            let verdict = verdict_of(&check(wanted), None, &outcome(Ending::Exited(0), output));
            let passed = CheckOutcome::Passed { output: output.to_owned() };
            assert_eq!(verdict == passed, passes, "{wanted:?} in {output:?}: {verdict:?}");
        }
    }

    #[test]
    fn a_failure_says_how_it_ended() {
        for (ending, says) in [
            (Ending::Exited(0), "standard output has no `3.3.1`"),
            (Ending::Exited(1), "it ended with status 1"),
            (Ending::Signaled(6), "it was ended by signal 6"),
            (Ending::TimedOut, "it took too long"),
            (Ending::NotStarted("no such file".to_owned()), "it did not start: no such file"),
            (Ending::PastLimit("memory"), "it took too much memory"),
        ] {
            let outcome = Outcome { stderr: b"oh".to_vec(), ..outcome(ending, "hello") };
            let wanted = CheckOutcome::Failed {
                message: says.to_owned(),
                output: "hello".to_owned(),
                errors: "oh".to_owned(),
            };
            assert_eq!(verdict_of(&check(Some("{ruby}")), None, &outcome), wanted);
        }
    }

    #[test]
    fn a_check_that_warns_has_failed() {
        let outcome = Outcome { stderr: b"oh".to_vec(), ..outcome(Ending::Exited(0), "ruby 3.3.1") };
        let wanted = CheckOutcome::Failed {
            message: "it passes, but for warnings on standard error".to_owned(),
            output: "ruby 3.3.1".to_owned(),
            errors: "oh".to_owned(),
        };
        assert_eq!(verdict_of(&check(Some("ruby {ruby}")), None, &outcome), wanted);
    }

    #[test]
    fn only_the_end_of_much_output_is_shown() {
        let long = "x".repeat(SHOWN) + "世界";
        let CheckOutcome::Failed { output, .. } = failed(String::new(), &outcome(Ending::TimedOut, &long))
        else {
            panic!("a failure");
        };
        assert!(output.ends_with("x世界"));
        assert_eq!(output.len(), SHOWN);
    }
}

//! All checks of an image, and how they are run: side by side, those that install gems after the gem source is made.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rayon::prelude::*;
use schema::Digest;
use schema::image::{Check, ImageSpec};
use schema::run::{CheckOutcome, CheckRecord};
use serde::Serialize;

use crate::engine::{Engine, Outcome, Run};
use crate::error::{EngineError, SuiteError};
use crate::gems::{GemPackages, SERVE, with_data};
use crate::verdict::{failed, fault, verdict};

/// Time enough to make gems of a few packages.
const GEM_SOURCE_TIME_LIMIT: Duration = Duration::from_mins(1);

/// The checks of an image's description, with the text of their scripts.
#[derive(Debug, Clone, Serialize)]
pub struct Suite {
    checks: Vec<Prepared>,
    gem_source: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
struct Prepared {
    check: Check,
    script: Option<String>,
}

/// What is checked.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The full version of the Ruby that the image should have.
    pub ruby: &'a str,
    /// The number of the image's user.
    pub uid: u32,
    /// Whether the Ruby should have YJIT, where that is known.
    pub yjit: Option<bool>,
    /// What the gems are made of that checks install.
    pub gems: &'a GemPackages,
}

impl Suite {
    /// Reads the scripts of a description's checks, which are in `folder`, beside the description.
    ///
    /// # Errors
    /// A script that is not there, or a check that wants gems where the description has none.
    pub fn read(folder: &Path, image: &ImageSpec) -> Result<Self, SuiteError> {
        let script = |check: &str, path: &str| {
            fs_err::read_to_string(folder.join(path))
                .map_err(|source| SuiteError::Script { check: check.to_owned(), source })
        };
        let mut checks = Vec::new();
        for check in &image.checks {
            if check.gems && image.gems.is_none() {
                return Err(SuiteError::NoGems { check: check.name.clone() });
            }
            let script = check.script.as_deref().map(|path| script(&check.name, path)).transpose()?;
            checks.push(Prepared { check: check.clone(), script });
        }
        let gem_source =
            image.gems.as_ref().map(|gems| script("the gem source", &gems.script)).transpose()?;
        Ok(Self { checks, gem_source })
    }

    /// The checks that are for an image of these variants and options.
    #[must_use]
    pub fn of(&self, names: &[&str]) -> Self {
        let checks = self.checks.iter().filter(|prepared| prepared.check.is_for(names));
        Self { checks: checks.cloned().collect(), gem_source: self.gem_source.clone() }
    }

    /// Changes with everything that decides how these checks run and what they expect.
    pub fn digest(&self) -> Digest {
        let text = serde_json::to_vec(&(self, SERVE)).expect("checks are strings and numbers");
        Digest::of(&text)
    }

    /// The records of an image that nothing here can run, for this reason.
    pub fn not_run(&self, why: &str) -> Vec<CheckRecord> {
        let outcome = CheckOutcome::NotRun { why: why.to_owned() };
        self.checks.iter().map(|prepared| prepared.ended(outcome.clone(), Duration::ZERO)).collect()
    }

    /// Runs every check in a container of its own, as many at once as there are threads. `done` is told of each as it
    /// ends; the records are in the order of the description.
    ///
    /// # Errors
    /// The first thing that the engine could not do. A check that failed is no error.
    pub fn run(
        &self,
        engine: &dyn Engine,
        subject: &Subject<'_>,
        done: &(dyn Fn(&CheckRecord) + Sync),
    ) -> Result<Vec<CheckRecord>, EngineError> {
        let (with_gems, plain): (Vec<_>, Vec<_>) =
            self.checks.iter().enumerate().partition(|(_, prepared)| prepared.check.gems);
        let run_all = |checks: &[(usize, &Prepared)], source: Option<&GemSource>| {
            let run = |&(index, prepared): &(usize, &Prepared)| {
                let record = prepared.record(engine, subject, source)?;
                done(&record);
                Ok((index, record))
            };
            checks.par_iter().map(run).collect::<Result<Vec<_>, EngineError>>()
        };
        let (plain, with_gems) = rayon::join(
            || run_all(&plain, None),
            || {
                if with_gems.is_empty() {
                    return Ok(Vec::new());
                }
                run_all(&with_gems, Some(&self.gem_source(engine, subject.gems)?))
            },
        );
        let mut records = plain?;
        records.extend(with_gems?);
        records.sort_by_key(|(index, _)| *index);
        Ok(records.into_iter().map(|(_, record)| record).collect())
    }

    fn gem_source(&self, engine: &dyn Engine, packages: &GemPackages) -> Result<GemSource, EngineError> {
        let script = self.gem_source.as_deref().unwrap_or_default();
        let outcome = engine.run(&Run {
            command: RUBY.to_vec(),
            environment: &BTreeMap::new(),
            stdin: packages.input_of(script),
            time_limit: GEM_SOURCE_TIME_LIMIT,
        })?;
        let nothing = || outcome.stdout.is_empty().then(|| "wrote nothing".to_owned());
        Ok(match fault(&outcome).or_else(nothing) {
            None => GemSource::Made(outcome.stdout),
            Some(fault) => {
                let message = format!("there is no gem source: the script that makes it {fault}");
                GemSource::Failed(failed(message, &Outcome { stdout: Vec::new(), ..outcome }))
            }
        })
    }
}

/// What reads a script from standard input.
const RUBY: [&str; 2] = ["ruby", "-"];

/// What came of making a gem source.
enum GemSource {
    /// A tar of it.
    Made(Vec<u8>),
    /// Every check that wants it has failed by this.
    Failed(CheckOutcome),
}

impl Prepared {
    fn record(
        &self,
        engine: &dyn Engine,
        subject: &Subject<'_>,
        source: Option<&GemSource>,
    ) -> Result<CheckRecord, EngineError> {
        let script = self.script.as_deref().unwrap_or_default();
        let stdin = match source {
            Some(GemSource::Failed(outcome)) => return Ok(self.ended(outcome.clone(), Duration::ZERO)),
            Some(GemSource::Made(tar)) => with_data(&format!("{SERVE}{script}"), tar),
            None => script.into(),
        };
        let command = match self.script {
            Some(_) => RUBY.to_vec(),
            None => self.check.command.iter().map(String::as_str).collect(),
        };
        let outcome = engine.run(&Run {
            command,
            environment: &self.check.environment,
            stdin,
            time_limit: Duration::from_secs(self.check.time_limit.into()),
        })?;
        Ok(self.ended(verdict(&self.check, subject, &outcome), outcome.duration))
    }

    fn ended(&self, outcome: CheckOutcome, duration: Duration) -> CheckRecord {
        CheckRecord {
            name: self.check.name.clone(),
            proves: self.check.proves.clone(),
            outcome,
            milliseconds: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::engine::Ending;

    const IMAGE: &str = r#"
name = "ruby"
packages = []
gems = { packages = ["ruby-rack"], script = "source.rb" }
about = { description = "", source = "", licenses = "", vendor = "" }
config = { user = "0:0", working-directory = "/", command = ["irb"], environment = {} }
layers = [{ name = "base", roots = [] }]

[[checks]]
name = "version"
proves = "it starts"
command = ["ruby", "-v"]
output = "ruby {ruby}"

[[checks]]
name = "install"
proves = "gems install"
script = "install.rb"
gems = true

[[checks]]
name = "zone"
proves = "zones are there"
script = "zone.rb"
environment = { TZ = "UTC" }
time-limit = 7
"#;

    /// Answers by command and input; keeps what it was asked for.
    struct Scripted {
        answer: fn(&Run<'_>) -> Result<Outcome, EngineError>,
        asked: Mutex<Vec<String>>,
    }

    impl Scripted {
        fn new(answer: fn(&Run<'_>) -> Result<Outcome, EngineError>) -> Self {
            Self { answer, asked: Mutex::default() }
        }

        /// What was run, sorted, for checks run side by side.
        fn asked(self) -> Vec<String> {
            let mut asked = self.asked.into_inner().unwrap();
            asked.sort();
            asked
        }
    }

    impl Engine for Scripted {
        fn run(&self, run: &Run<'_>) -> Result<Outcome, EngineError> {
            let stdin = String::from_utf8_lossy(&run.stdin).replace(SERVE, "<serve>").replace('\0', "");
            let said = format!(
                "{} in {:?} {} s: {stdin}",
                run.command.join(" "),
                run.environment,
                run.time_limit.as_secs()
            );
            self.asked.lock().unwrap().push(said);
            (self.answer)(run)
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is what an engine answers")]
    fn said(status: i32, stdout: &str) -> Result<Outcome, EngineError> {
        Ok(Outcome {
            ending: Ending::Exited(status),
            stdout: stdout.into(),
            stderr: Vec::new(),
            duration: Duration::from_millis(5),
        })
    }

    fn suite() -> (tempfile::TempDir, Suite) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("source.rb", "make"), ("install.rb", "install"), ("zone.rb", "zone")] {
            fs_err::write(folder.path().join(name), text).unwrap();
        }
        let suite = Suite::read(folder.path(), &ImageSpec::parse("image.toml", IMAGE).unwrap()).unwrap();
        (folder, suite)
    }

    fn run(engine: &Scripted) -> Result<Vec<CheckRecord>, EngineError> {
        let gems = GemPackages::new([]).unwrap();
        let done = Mutex::new(Vec::new());
        let records = suite().1.run(
            engine,
            &Subject { ruby: "3.3.8", uid: 65532, yjit: None, gems: &gems },
            &|record| {
                done.lock().unwrap().push(record.name.clone());
            },
        )?;
        let mut done = done.into_inner().unwrap();
        done.sort();
        assert_eq!(done, ["install", "version", "zone"]);
        Ok(records)
    }

    #[test]
    fn every_check_runs_as_it_is_described() {
        let engine = Scripted::new(|run| match run.stdin.as_slice() {
            stdin if stdin.starts_with(b"make") => said(0, "the source"),
            _ => said(0, "ruby 3.3.8"),
        });
        let records = run(&engine).unwrap();
        let names: Vec<&str> = records.iter().map(|record| record.name.as_str()).collect();
        assert_eq!(names, ["version", "install", "zone"]);
        assert!(records.iter().all(|record| record.passed() && record.milliseconds == 5));
        assert_eq!(
            engine.asked(),
            [
                "ruby - in {\"TZ\": \"UTC\"} 7 s: zone",
                "ruby - in {} 60 s: <serve>install\n__END__\nthe source",
                "ruby - in {} 60 s: make\n__END__\n",
                "ruby -v in {} 60 s: ",
            ]
        );
    }

    #[test]
    fn a_failed_check_is_a_record() {
        let records = run(&Scripted::new(|run| match run.stdin.as_slice() {
            b"zone" => said(1, ""),
            _ => said(0, "ruby 2.7.4"),
        }))
        .unwrap();
        let messages: Vec<_> = records.iter().map(message).collect();
        assert_eq!(
            messages,
            [Some("standard output has no `ruby 3.3.8`"), None, Some("it ended with status 1")]
        );
    }

    #[test]
    fn without_a_gem_source_only_the_checks_that_want_gems_fail() {
        let broken = |run: &Run<'_>| match run.stdin.as_slice() {
            stdin if stdin.starts_with(b"make") => said(1, "no gems here"),
            _ => said(0, "ruby 3.3.8"),
        };
        let silent = |run: &Run<'_>| match run.stdin.as_slice() {
            stdin if stdin.starts_with(b"make") => said(0, ""),
            _ => said(0, "ruby 3.3.8"),
        };
        for (engine, says) in [
            (Scripted::new(broken), "there is no gem source: the script that makes it ended with status 1"),
            (Scripted::new(silent), "there is no gem source: the script that makes it wrote nothing"),
        ] {
            let records = run(&engine).unwrap();
            assert_eq!(records.iter().map(message).collect::<Vec<_>>(), [None, Some(says), None]);
        }
    }

    #[test]
    fn a_check_that_nothing_can_run_is_no_pass() {
        let records = suite().1.not_run("no emulator");
        assert_eq!(records.iter().map(message).collect::<Vec<_>>(), [Some("no emulator"); 3]);
        assert!(records.iter().all(|record| !record.passed()));
    }

    #[test]
    fn an_engine_that_cannot_run_is_an_error() {
        let error = run(&Scripted::new(|_| Err(EngineError::User("nobody".to_owned())))).unwrap_err();
        assert_eq!(error.to_string(), "cannot run as user `nobody`: expected two numbers, as `65532:65532`");
    }

    #[test]
    fn an_image_has_the_checks_that_are_for_it() {
        let (folder, _) = suite();
        let scoped = IMAGE
            .replace("name = \"install\"", "name = \"install\"\nexcept = [\"debug\"]")
            .replace("name = \"zone\"", "name = \"zone\"\nonly = [\"debug\", \"fast\"]");
        let variants = "\n[[variants]]\nname = \"plain\"\nwhy = \"\"\n[[variants]]\nname = \"debug\"\nwhy = \"\"\n\
                        [[options]]\nname = \"fast\"\nwhy = \"\"\n";
        let spec = ImageSpec::parse("image.toml", &format!("{scoped}{variants}")).unwrap();
        let suite = Suite::read(folder.path(), &spec).unwrap();
        for (names, wanted) in [
            (&["plain"][..], &["version", "install"][..]),
            (&["debug"], &["version", "zone"]),
            (&["fast", "plain"], &["version", "install", "zone"]),
        ] {
            let of = suite.of(names);
            let found: Vec<&str> = of.checks.iter().map(|prepared| prepared.check.name.as_str()).collect();
            assert_eq!(found, wanted, "{names:?}");
        }
    }

    fn message(record: &CheckRecord) -> Option<&str> {
        match &record.outcome {
            CheckOutcome::Passed { .. } => None,
            CheckOutcome::Failed { message, .. } | CheckOutcome::NotRun { why: message } => Some(message),
        }
    }

    #[test]
    fn a_suite_that_cannot_run_is_refused() {
        let (folder, _) = suite();
        let read = |text: &str| {
            Suite::read(folder.path(), &ImageSpec::parse("image.toml", text).unwrap())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            read(&IMAGE.replace("\"install.rb\"", "\"other.rb\"")),
            "cannot read the script of check `install`"
        );
        assert_eq!(
            read(&IMAGE.lines().filter(|line| !line.starts_with("gems = {")).collect::<Vec<_>>().join("\n")),
            "check `install` installs gems, and the image's description has no `gems`"
        );
    }

    #[test]
    fn the_digest_changes_with_every_part() {
        let (folder, first) = suite();
        let read = |text: &str| {
            Suite::read(folder.path(), &ImageSpec::parse("image.toml", text).unwrap()).unwrap().digest()
        };
        assert_eq!(read(IMAGE), first.digest());
        assert_ne!(read(&IMAGE.replace("time-limit = 7", "time-limit = 8")), first.digest());
        for script in ["zone.rb", "source.rb"] {
            let before = read(IMAGE);
            fs_err::write(folder.path().join(script), "changed").unwrap();
            assert_ne!(read(IMAGE), before, "{script}");
        }
    }
}

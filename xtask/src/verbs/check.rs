//! `check`: the checks of images that are built.

use builder::check::{Emulated, EngineKind};
use builder::plan::Target;
use builder::rounds::Outcome;
use builder::selection::Architectures;
use schema::run::{CheckOutcome, ImageRecord, RunRecord, VERSION};

use super::session::{self, Settings};
use crate::cli::CheckFlags;
use crate::ending::Ending;
use crate::printer::Printer;

/// Runs the checks. What is not built yet is built.
pub(crate) fn check(flags: &CheckFlags, printer: &Printer) -> anyhow::Result<Ending> {
    let mut builder = session::builder(Settings::from(&flags.packages))?;
    let architectures = Architectures::only_or_host(flags.arch);
    let selection = session::selection(&flags.images, &flags.kinds, architectures);
    let targets = builder.plan(&selection)?;
    let engine = EngineKind::from(flags.engine);
    let Outcome { built, checks } = builder.build(&targets, Some((engine, Emulated::Every)), printer)?;
    let record = match engine {
        EngineKind::Sandbox => builder.write_record(&targets, &built, checks)?,
        // The record says how images do where they were built; another engine is looked at in passing.
        EngineKind::Container(_) => {
            let images = built.into_iter().zip(checks.unwrap_or_default());
            let images = images.map(|(built, checks)| ImageRecord { checks, ..built.record }).collect();
            RunRecord { version: VERSION, images }
        }
    };
    Ok(summary(&targets, &record, printer))
}

/// What failed of the targets, how many passed, and what was not run.
pub(super) fn summary(targets: &[Target], record: &RunRecord, printer: &Printer) -> Ending {
    let mut ending = Ending::Good;
    for target in targets {
        let is_its =
            |image: &&ImageRecord| image.name == target.name && image.architecture == target.architecture;
        let Some(record) = record.images.iter().find(is_its) else { continue };
        for check in &record.checks {
            if let CheckOutcome::Failed { message, output, errors } = &check.outcome {
                ending = Ending::Bad;
                printer.error(format_args!("FAILED {target}: {}\n  {message}", check.name));
                for (name, text) in [("output", output), ("errors", errors)] {
                    if !text.trim().is_empty() {
                        printer.error(format_args!(
                            "  {name}:\n    {}",
                            text.trim_end().replace('\n', "\n    ")
                        ));
                    }
                }
            }
        }
        let (passed, all) = (record.checks_passed(), record.checks.len());
        let not_run: Vec<_> = record.checks_not_run().collect();
        match not_run.first() {
            Some((_, why)) => {
                printer.line(format_args!("{target}: {} of {all} checks not run: {why}", not_run.len()));
            }
            None => printer.line(format_args!("{target}: {passed} of {all} checks passed")),
        }
    }
    ending
}

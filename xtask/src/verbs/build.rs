//! `build-all` and `build`: images, their checks, and the report.

use builder::Builder;
use builder::check::{Emulated, EngineKind};
use builder::rounds::Outcome;
use builder::selection::{Architectures, Kinds};
use schema::reference::Repository;

use super::session::{self, Settings};
use super::{check, report};
use crate::cli::{BuildAllFlags, BuildFlags, BuildOptions};
use crate::ending::Ending;
use crate::printer::Printer;
use crate::transfer::Transfer;

/// Every image, or those that match.
pub(crate) fn all(flags: &BuildAllFlags, printer: &Printer) -> anyhow::Result<Ending> {
    build(&flags.patterns, &flags.build, printer)
}

/// Some of the images.
pub(crate) fn some(flags: &BuildFlags, printer: &Printer) -> anyhow::Result<Ending> {
    build(&flags.images, &flags.build, printer)
}

fn build(patterns: &[String], options: &BuildOptions, printer: &Printer) -> anyhow::Result<Ending> {
    if let Some(jobs) = options.jobs {
        rayon::ThreadPoolBuilder::new().num_threads(jobs.get()).build_global()?;
    }
    let settings = Settings {
        release: options.release,
        keep: options.keep.clone(),
        keep_failed: options.keep_failed,
        cache_from: options.cache_from.clone(),
        ..Settings::from(&options.packages)
    };
    let mut builder = session::builder(settings)?;
    let architectures = Architectures::only_or_matrix(options.arch);
    let selection = session::selection(patterns, &options.kinds, architectures);
    let is_usual = selection.patterns.is_empty()
        && selection.rows.is_empty()
        && [&selection.variants, &selection.groups].into_iter().all(|kinds| *kinds == Kinds::Usual)
        && options.arch.is_none();
    let targets = builder.plan(&selection)?;
    let engine = (!options.no_check).then_some((EngineKind::Sandbox, Emulated::FirstVariants));
    let outcome = builder.build(&targets, engine, printer);
    // What was compiled is worth sharing, whatever went wrong later.
    let shared = options.cache_to.as_ref().map(|to| share(&builder, to, printer)).transpose();
    let Outcome { built, checks } = outcome?;
    shared?;
    let record = builder.write_record(&targets, &built, checks)?;
    if options.no_check {
        return Ok(Ending::Good);
    }
    // The table shows the whole matrix as it is described: anything else leaves it alone.
    if is_usual && options.keep.is_empty() {
        report::write(&builder, &record, printer)?;
    }
    Ok(check::summary(&targets, &record, printer))
}

/// Puts what was made into a cache that others read.
fn share(builder: &Builder, to: &Repository, printer: &Printer) -> anyhow::Result<()> {
    let count = {
        let transfer = Transfer::new(printer, "sharing");
        builder.share(to, &transfer)?
    };
    printer.line(format_args!("shared {count} results with {to}"));
    Ok(())
}

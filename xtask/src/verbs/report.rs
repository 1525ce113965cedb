//! `report`: the table of sizes in the README.

use std::collections::BTreeSet;

use anyhow::Context;
use builder::Builder;
use builder::selection::Selection;
use fs_err as fs;
use report::{Published, SIZES};
use schema::run::RunRecord;

use super::session::{self, Settings};
use crate::cli::ReportFlags;
use crate::ending::Ending;
use crate::printer::Printer;

const README: &str = "README.md";

/// Writes the table, or says whether it is what the last run gives.
pub(crate) fn report(flags: &ReportFlags, printer: &Printer) -> anyhow::Result<Ending> {
    let builder = session::builder(Settings::default())?;
    let record = builder.last_record()?.context("nothing was built yet: run `cargo xtask build-all`")?;
    if !flags.check {
        write(&builder, &record, printer)?;
        return Ok(Ending::Good);
    }
    let (before, after) = pages(&builder, &record)?;
    if before == after {
        return Ok(Ending::Good);
    }
    printer.error(format_args!(
        "{README} does not have the sizes of the last run\nhint: run `cargo xtask report`"
    ));
    Ok(Ending::Bad)
}

/// Writes the table where it differs.
pub(super) fn write(builder: &Builder, record: &RunRecord, printer: &Printer) -> anyhow::Result<()> {
    let (before, after) = pages(builder, record)?;
    if before != after {
        builder::replace::replace(&builder.project().root.join(README), &after)?;
        printer.line(format_args!("wrote the table of sizes in {README}"));
    }
    Ok(())
}

/// The README as it is, and as it should be: with the images that a run over the matrix makes.
fn pages(builder: &Builder, record: &RunRecord) -> anyhow::Result<(String, String)> {
    let project = builder.project();
    let file = format!("images/{}/published.toml", project.matrix.image);
    let published = Published::parse(&file, &fs::read_to_string(project.root.join(&file))?)?;
    let before = fs::read_to_string(project.root.join(README))?;
    let usual: BTreeSet<String> =
        builder.plan(&Selection::default())?.into_iter().map(|target| target.name).collect();
    let images = record.images.iter().filter(|image| usual.contains(&image.name)).cloned().collect();
    let usual = RunRecord { version: record.version, images };
    let after = report::splice(&before, &SIZES, &report::table(&usual, &published))?;
    Ok((before, after))
}

//! `report`: the table of sizes in the README, and the picture above it; or a site.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use builder::Builder;
use builder::selection::Selection;
use fs_err as fs;
use report::{Published, SIZES};
use schema::run::{ImageRecord, RunRecord};

use super::session::{self, Settings};
use crate::cli::ReportFlags;
use crate::ending::Ending;
use crate::printer::Printer;

const README: &str = "README.md";
const CHART: &str = "docs/sizes.svg";

/// A file of the project that is made from the run record, or a part of which is.
struct Page {
    /// Relative to the project.
    path: &'static str,
    /// What is made.
    made: &'static str,
    /// The whole file as it should be.
    text: String,
}

/// Writes the pages, or says which are not what the last run gives.
pub(crate) fn report(flags: &ReportFlags, printer: &Printer) -> anyhow::Result<Ending> {
    let mut builder = session::builder(Settings::default())?;
    let record = builder.last_record()?.context("nothing was built yet: run `cargo xtask build-all`")?;
    if let Some(folder) = &flags.html {
        let published = published(&builder)?;
        builder.write_site(folder, &record, &published, printer)?;
        printer.line(format_args!("wrote {}", folder.join("index.html").display()));
        return Ok(Ending::Good);
    }
    if !flags.check {
        write(&builder, &record, printer)?;
        return Ok(Ending::Good);
    }
    let stale = stale(&builder, &record)?;
    for (_, page) in &stale {
        let Page { path, made, .. } = page;
        printer.error(format_args!(
            "{path} does not have {made} of the last run\nhint: run `cargo xtask report`"
        ));
    }
    Ok(if stale.is_empty() { Ending::Good } else { Ending::Bad })
}

/// Writes the pages that differ.
pub(super) fn write(builder: &Builder, record: &RunRecord, printer: &Printer) -> anyhow::Result<()> {
    for (file, Page { path, made, text }) in stale(builder, record)? {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        builder::replace::replace(&file, text)?;
        printer.line(format_args!("wrote {made} in {path}"));
    }
    Ok(())
}

/// The pages that are not as they should be, with their places.
fn stale(builder: &Builder, record: &RunRecord) -> anyhow::Result<Vec<(PathBuf, Page)>> {
    let mut stale = Vec::new();
    for page in pages(builder, record)? {
        let file = builder.project().root.join(page.path);
        if !file.exists() || fs::read_to_string(&file)? != page.text {
            stale.push((file, page));
        }
    }
    Ok(stale)
}

/// The pages as they should be: with the images that a run over the matrix makes.
fn pages(builder: &Builder, record: &RunRecord) -> anyhow::Result<[Page; 2]> {
    let published = published(builder)?;
    let readme = fs::read_to_string(builder.project().root.join(README))?;

    let usual: BTreeMap<String, bool> = builder
        .plan(&Selection::default())?
        .into_iter()
        .map(|target| (target.name.clone(), target.is_first_variant()))
        .collect();
    let images: Vec<ImageRecord> =
        record.images.iter().filter(|image| usual.contains_key(&image.name)).cloned().collect();
    let plain: Vec<ImageRecord> = images.iter().filter(|image| usual[&image.name]).cloned().collect();

    let table = report::table(&RunRecord { version: record.version, images }, &published);
    Ok([
        Page { path: README, made: "the table of sizes", text: report::splice(&readme, &SIZES, &table)? },
        Page { path: CHART, made: "the picture of the sizes", text: report::chart(&plain, &published) },
    ])
}

/// The sizes that others publish.
fn published(builder: &Builder) -> anyhow::Result<Vec<Published>> {
    let project = builder.project();
    let file = format!("images/{}/published.toml", project.matrix.image);
    Ok(Published::parse(&file, &fs::read_to_string(project.root.join(&file))?)?)
}

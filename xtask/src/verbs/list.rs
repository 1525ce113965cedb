//! `list`: the images of the matrix, or the jobs to build them on several machines.

use builder::Builder;
use builder::jobs::Strategy;
use builder::selection::{Architectures, Kinds, Selection};
use schema::Digest;
use serde::Serialize;

use super::session::{self, Settings};
use crate::cli::ListFlags;
use crate::ending::Ending;
use crate::printer::Printer;

#[derive(Serialize)]
struct Listed {
    name: String,
    references: Vec<String>,
    variant: String,
    /// It is built where it is asked for, and not with the whole matrix.
    on_demand: bool,
    /// The group that its row is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    ruby: String,
    distro: String,
    architecture: String,
    /// The digest of its manifest, once it is built.
    manifest: Option<Digest>,
}

/// Lists them, as lines or as JSON.
pub(crate) fn list(flags: &ListFlags, printer: &Printer) -> anyhow::Result<Ending> {
    let builder = session::builder(Settings::default())?;
    if flags.jobs {
        return jobs(&builder, flags, printer);
    }
    let architectures = Architectures::only_or_host(flags.arch);
    let targets = builder.plan(&Selection { architectures, ..Selection::every() })?;
    let manifests = builder.manifests(&targets)?;
    let listed: Vec<Listed> = targets
        .iter()
        .zip(manifests)
        .map(|(target, manifest)| {
            // Until the lock says which, it is the series.
            let locked = builder.locked_version(target);
            let ruby = locked.unwrap_or_else(|| target.row.ruby.to_string());
            Listed {
                name: target.name.clone(),
                references: target.references(&ruby),
                variant: builder.variant(target).to_owned(),
                on_demand: target.is_on_demand(),
                group: target.row.group.clone(),
                ruby,
                distro: target.row.distro.clone(),
                architecture: target.architecture.to_string(),
                manifest,
            }
        })
        .collect();
    if flags.json {
        printer.result(serde_json::to_string_pretty(&listed)?);
        return Ok(Ending::Good);
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["IMAGE", "RUBY", "DISTRO", "ARCHITECTURE", "MANIFEST", "ALSO"]);
    for image in listed {
        let also = image.references[1..].join(" ");
        let manifest = image.manifest.map_or_else(|| "not built".to_owned(), shortened);
        table.add_row([image.name, image.ruby, image.distro, image.architecture, manifest, also]);
    }
    printer.result(table);
    Ok(Ending::Good)
}

/// Lists jobs. As JSON they are one line, as a workflow hands it on from one job to the next.
fn jobs(builder: &Builder, flags: &ListFlags, printer: &Printer) -> anyhow::Result<Ending> {
    let jobs = builder.jobs(&Kinds::named(&flags.groups))?;
    if flags.json {
        printer.result(serde_json::to_string(&Strategy { include: jobs })?);
        return Ok(Ending::Good);
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["ROW", "ARCHITECTURE", "RUNNER", "GROUP"]);
    for job in jobs {
        let (runner, group) = (job.runner.unwrap_or_default(), job.group.unwrap_or_default());
        table.add_row([job.row, job.architecture.to_string(), runner, group]);
    }
    printer.result(table);
    Ok(Ending::Good)
}

/// Enough of a digest to tell images apart by eye.
fn shortened(digest: Digest) -> String {
    let mut text = digest.to_string();
    text.truncate("sha256:".len() + 12);
    text
}

//! `list`: the images of the matrix.

use builder::plan::Selection;
use serde::Serialize;

use super::session::{self, Settings};
use crate::cli::ListFlags;
use crate::ending::Ending;
use crate::printer::Printer;

#[derive(Serialize)]
struct Listed {
    name: String,
    references: Vec<String>,
    ruby: String,
    distro: String,
    architecture: String,
}

/// Lists them, as lines or as JSON.
pub(crate) fn list(flags: &ListFlags, printer: &Printer) -> anyhow::Result<Ending> {
    let builder = session::builder(Settings::default())?;
    let targets = builder.plan(&Selection::default())?;
    let listed: Vec<Listed> = targets
        .iter()
        .map(|target| {
            // Until the lock says which, it is the series.
            let locked = builder.locked_version(target);
            let ruby = locked.unwrap_or_else(|| target.row.ruby.to_string());
            Listed {
                name: target.name.clone(),
                references: target.references(&ruby),
                ruby,
                distro: target.row.distro.clone(),
                architecture: target.architecture.to_string(),
            }
        })
        .collect();
    if flags.json {
        printer.result(serde_json::to_string_pretty(&listed)?);
        return Ok(Ending::Good);
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["IMAGE", "RUBY", "DISTRO", "ARCHITECTURE", "ALSO"]);
    for image in listed {
        let also = image.references[1..].join(" ");
        table.add_row([image.name, image.ruby, image.distro, image.architecture, also]);
    }
    printer.result(table);
    Ok(Ending::Good)
}

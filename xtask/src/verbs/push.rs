//! `push`: images into a registry.

use std::collections::BTreeMap;

use builder::selection::Selection;
use oci::Layout;
use oci::document::Descriptor;
use registry::{PushPlan, Pushed, Registry, TagChange};

use super::session::{self, Settings};
use crate::cli::PushFlags;
use crate::ending::Ending;
use crate::printer::{Printer, megabytes};
use crate::transfer::Transfer;

/// Sends what the repository does not have, then sets the tags.
pub(crate) fn push(flags: &PushFlags, printer: &Printer) -> anyhow::Result<Ending> {
    let builder = session::builder(Settings::default())?;
    let layout = builder.layout()?;
    let names = names(&builder, &flags.images)?;
    let access = session::RegistryAccess::new(&flags.destination.plain_http)?;
    let registry = access.registry();
    let plan = registry.plan_push(&layout, &names, &flags.destination.to, &flags.destination.mount_from)?;
    if flags.dry_run {
        plan.tags.iter().for_each(|change| printer.result(told(change)));
        printer.line(would(&plan));
        return Ok(Ending::Good);
    }
    let pushed = carry_out(&registry, &layout, &plan, printer)?;
    plan.tags.iter().for_each(|change| printer.result(told(change)));
    printer.line(did(&pushed));
    Ok(Ending::Good)
}

/// Does what a plan says.
pub(super) fn carry_out(
    registry: &Registry<'_>,
    layout: &Layout,
    plan: &PushPlan,
    printer: &Printer,
) -> anyhow::Result<Pushed> {
    let transfer = Transfer::new(printer, "sending");
    Ok(registry.push(layout, plan, &transfer)?)
}

/// Every name of the images that are meant, and what it leads to.
fn names(
    builder: &builder::Builder,
    patterns: &[String],
) -> anyhow::Result<BTreeMap<oci::Reference, Descriptor>> {
    let selection = Selection { patterns: patterns.to_vec(), ..Selection::default() };
    let mut names = BTreeMap::new();
    for target in builder.plan(&selection)? {
        let ruby = builder.locked_version(&target).unwrap_or_else(|| target.row.ruby.to_string());
        for reference in target.references(&ruby) {
            let descriptor = builder.images(&reference)?.descriptor;
            names.insert(reference.parse()?, descriptor);
        }
    }
    Ok(names)
}

/// A tag, and what becomes of it.
pub(super) fn told(change: &TagChange) -> String {
    let TagChange { reference, before, after, .. } = change;
    match before {
        _ if change.is_done() => format!("{reference} {after}, as before"),
        Some(before) => format!("{reference} {before} -> {after}"),
        None => format!("{reference} (new) -> {after}"),
    }
}

pub(super) fn would(plan: &PushPlan) -> String {
    let mounted = plan.missing.iter().filter(|(_, from)| from.is_some()).count();
    let sent = blobs(plan.missing.len() - mounted);
    let there = plan.there;
    format!("would send {sent} ({}), mount {mounted}; {there} are there", megabytes(plan.bytes()))
}

pub(super) fn did(pushed: &Pushed) -> String {
    let Pushed { sent, bytes, mounted, there, documents } = *pushed;
    match (sent + mounted + documents, there) {
        (0, _) => "everything was there already".to_owned(),
        _ => format!("sent {} ({}), mounted {mounted}; {there} were there", blobs(sent), megabytes(bytes)),
    }
}

fn blobs(count: usize) -> String {
    if count == 1 { "1 blob".to_owned() } else { format!("{count} blobs") }
}

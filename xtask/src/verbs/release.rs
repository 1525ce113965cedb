//! `release`: checked images into a registry, under every tag.

use std::path::Path;

use builder::selection::Architectures;

use super::push;
use super::session::{self, Settings};
use crate::cli::ReleaseFlags;
use crate::ending::Ending;
use crate::printer::Printer;
use crate::transfer::Transfer;

/// Shows what every tag would lead to, or sends what is missing and sets the tags.
pub(crate) fn release(flags: &ReleaseFlags, printer: &Printer) -> anyhow::Result<Ending> {
    let builder = session::builder(Settings::default())?;
    let selection = session::selection(&flags.images, &flags.kinds, Architectures::Matrix);
    let release = builder.release(&selection, &flags.unchecked)?;
    let layout = builder.layout()?;
    let access = session::RegistryAccess::new(&flags.destination.plain_http)?;
    let registry = access.registry();
    let (to, others) = (&flags.destination.to, &flags.destination.mount_from);
    let plan = registry.plan_push(&layout, &release.names(), to, others)?;
    // Before the tags move: the notes tell of what they led to.
    if let Some(file) = &flags.notes {
        let notes = {
            let transfer = Transfer::new(printer, "fetching");
            builder.release_notes(&release, &plan, &registry, &transfer)?
        };
        if is_output(file) {
            printer.result(notes.trim_end());
        } else {
            builder::replace::replace(&std::path::absolute(file)?, notes)?;
            printer.line(format_args!("wrote the notes to {}", file.display()));
        }
    }
    let pushed = flags.push.then(|| push::carry_out(&registry, &layout, &plan, printer)).transpose()?;
    for change in &plan.tags {
        // Notes on standard output are alone there.
        match &flags.notes {
            Some(file) if is_output(file) => printer.line(push::told(change)),
            _ => printer.result(push::told(change)),
        }
    }
    match pushed {
        Some(pushed) => printer.line(push::did(&pushed)),
        None => {
            printer.line(push::would(&plan));
            printer.line("nothing was sent: `--push` does it");
        }
    }
    Ok(Ending::Good)
}

fn is_output(file: &Path) -> bool {
    file == Path::new("-")
}

//! `export`: an image handed on.

use oci::export::{self, Existing};
use oci::{Layout, Reference};
use rootfs::Ownership;

use crate::cli::{ExportFlags, ExportFormat};
use crate::ending::Ending;
use crate::environment;
use crate::printer::Printer;

/// Writes the image in the form that was asked for.
pub(crate) fn export(flags: &ExportFlags, printer: &Printer) -> anyhow::Result<Ending> {
    let layout = Layout::open(&environment::project_root()?.join("dist/oci"))?;
    let image = layout.resolve(&flags.image)?;
    let references: Vec<Reference> = layout
        .references()?
        .into_iter()
        .filter(|(_, descriptor)| descriptor.digest == image.descriptor.digest)
        .map(|(reference, _)| reference)
        .collect();
    let existing = if flags.force { Existing::Replace } else { Existing::Refuse };
    match flags.format {
        ExportFormat::Oci => export::oci_layout(&image, &references, &flags.output, existing)?,
        ExportFormat::DockerArchive => export::docker_archive(&image, &references, &flags.output, existing)?,
        ExportFormat::Dir => {
            let ownership = if environment::is_root() { Ownership::Preserve } else { Ownership::Ignore };
            export::directory(&image, &flags.output, existing, ownership)?;
        }
    }
    printer.line(format_args!("wrote {} to {}", flags.image, flags.output.display()));
    Ok(Ending::Good)
}

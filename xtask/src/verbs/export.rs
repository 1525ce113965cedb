//! `export`: an image handed on.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, bail};
use oci::export::{self, Existing};
use oci::{Image, Part, Prefer, Reference};
use rootfs::{Ownership, RootPath};

use super::session::{self, Settings};
use crate::cli::{CompressionName, ExportFlags, ExportFormat};
use crate::ending::Ending;
use crate::environment;
use crate::printer::Printer;

/// Every image has the records of its packages here: a folder that has them too is one of its files.
const RECORDS: &str = "/var/lib/dpkg/status.d";

/// Writes the image in the form that was asked for.
pub(crate) fn export(flags: &ExportFlags, printer: &Printer) -> anyhow::Result<Ending> {
    if flags.compression.is_some() && !matches!(flags.format, ExportFormat::Oci) {
        bail!("`--compression` is for an OCI layout: the layers of the other forms are not compressed");
    }
    let builder = session::builder(Settings::default())?;
    let images = builder.images(&flags.image)?;
    let references = builder.names_of(&flags.image)?;
    let image = || builder.image(&flags.image, flags.arch);
    if flags.output == Path::new("-") {
        return stream(flags, &image()?, &references);
    }
    let existing = if flags.force { Existing::Replace } else { Existing::Refuse };
    match flags.format {
        ExportFormat::Oci => {
            let part = Part { architecture: flags.arch, compression: flags.compression.map(prefer) };
            export::oci_layout(&images, part, &references, &flags.output, existing)?;
        }
        ExportFormat::DockerArchive => {
            export::docker_archive(&image()?, &references, &flags.output, existing)?;
        }
        ExportFormat::Dir => {
            let ownership = if environment::is_root() { Ownership::Preserve } else { Ownership::Ignore };
            let records = RootPath::parse(RECORDS).expect("a constant path");
            export::directory(&image()?, &flags.output, existing, ownership, &records)?;
        }
    }
    printer.line(format_args!("wrote {} to {}", flags.image, flags.output.display()));
    Ok(Ending::Good)
}

fn prefer(name: CompressionName) -> Prefer {
    match name {
        CompressionName::Gzip => Prefer::Gzip,
        CompressionName::Zstd => Prefer::Zstd,
    }
}

/// Writes an archive to standard output.
fn stream(flags: &ExportFlags, image: &Image, references: &[Reference]) -> anyhow::Result<Ending> {
    if !matches!(flags.format, ExportFormat::DockerArchive) {
        bail!("only a docker-archive goes to standard output: name a folder for the other forms");
    }
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        bail!("standard output is a terminal: send it to a file or a program, as in `| docker load`");
    }
    export::stream_docker_archive(image, references, &mut out)?;
    out.flush().context("cannot write the archive")?;
    Ok(Ending::Good)
}

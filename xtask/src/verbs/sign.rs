//! `sign`: signatures and attestations of what was released.

use builder::provenance::Origin;
use builder::selection::Architectures;
use builder::signing::Signing;
use schema::Architecture;

use super::session::{self, Settings};
use crate::cli::SignFlags;
use crate::ending::Ending;
use crate::printer::Printer;

/// Signs every image by its digest, and attests what is in it and where it comes from.
pub(crate) fn sign(flags: &SignFlags, printer: &Printer) -> anyhow::Result<Ending> {
    let builder = session::builder(Settings::default())?;
    let selection = session::selection(&flags.images, &flags.kinds, Architectures::Matrix);
    // Whether it may be released was asked when it was.
    let release = builder.release(&selection, &Architecture::ALL)?;
    let origin = Origin {
        source: flags.source.clone(),
        commit: flags.commit.clone(),
        builder: flags.builder.clone(),
        invocation: flags.invocation.clone(),
    };
    let signing =
        Signing { release: &release, repository: &flags.to, origin: &origin, arguments: &flags.arguments };
    builder.sign(&signing, &|image| {
        printer.result(format_args!("signed {}@{} ({})", flags.to, image.index.digest, image.name));
    })?;
    Ok(Ending::Good)
}

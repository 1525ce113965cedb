//! `load`: an image into a container engine.

use super::session::{self, Settings};
use crate::cli::LoadFlags;
use crate::ending::Ending;
use crate::printer::Printer;

/// Hands it over, and says which names it has there.
pub(crate) fn load(flags: &LoadFlags, printer: &Printer) -> anyhow::Result<Ending> {
    let builder = session::builder(Settings::default())?;
    let tool = flags.engine.into();
    for name in builder.load(&flags.image, flags.arch, tool)? {
        printer.result(format_args!("{tool} has {name}"));
    }
    Ok(Ending::Good)
}

//! `update`: newer packages.

use builder::LockUse;

use super::session::{self, Settings};
use crate::cli::UpdateFlags;
use crate::ending::Ending;
use crate::printer::Printer;

/// Resolves every distro anew, and shows what changes.
pub(crate) fn update(flags: &UpdateFlags, printer: &Printer) -> anyhow::Result<Ending> {
    let mirror = session::mirror(&flags.mirror);
    let mut builder = session::builder(Settings { mirror, lock: LockUse::Replace, ..Settings::default() })?;
    printer.result(builder.update(flags.dry_run, printer)?);
    Ok(Ending::Good)
}

//! `part`: builds that are spread over several machines.

use super::push;
use super::session::{self, RegistryAccess, Settings};
use crate::cli::{PartJoinFlags, PartPushFlags, PartVerb};
use crate::ending::Ending;
use crate::printer::Printer;
use crate::transfer::Transfer;

/// Hands a part on, or joins several.
pub(crate) fn part(verb: &PartVerb, printer: &Printer) -> anyhow::Result<Ending> {
    match verb {
        PartVerb::Push(flags) => push_part(flags, printer),
        PartVerb::Join(flags) => join(flags, printer),
    }
}

fn push_part(flags: &PartPushFlags, printer: &Printer) -> anyhow::Result<Ending> {
    let builder = session::builder(Settings::default())?;
    let access = RegistryAccess::new(&flags.plain_http)?;
    let pushed = {
        let transfer = Transfer::new(printer, "sending");
        builder.push_part(&flags.to, &access.registry(), &transfer)?
    };
    printer.line(push::did(&pushed));
    Ok(Ending::Good)
}

fn join(flags: &PartJoinFlags, printer: &Printer) -> anyhow::Result<Ending> {
    let builder = session::builder(Settings::default())?;
    let access = RegistryAccess::new(&flags.plain_http)?;
    let joined = {
        let transfer = Transfer::new(printer, "fetching");
        builder.join_parts(&flags.parts, &access.registry(), &transfer)?
    };
    for image in joined {
        printer.result(format_args!("joined {} for {}", image.name, image.architecture));
    }
    Ok(Ending::Good)
}

//! `diff`: what differs between two images or two runs.

use builder::Builder;
use builder::compare::{CompareError, Loose, Operand, described_run};
use cache::Store;
use diff::Comparison;
use schema::Architecture;
use schema::reference::Reference;

use super::session::{self, Settings};
use crate::cli::{DiffFlags, DiffFormat};
use crate::ending::Ending;
use crate::environment;
use crate::printer::Printer;
use crate::transfer::Transfer;

/// Prints what differs; ends badly where something does, as diff(1).
pub(crate) fn diff(flags: &DiffFlags, printer: &Printer) -> anyhow::Result<Ending> {
    let builder = session::builder(Settings::default())?;
    let sides = (Operand::parse(&flags.before)?, Operand::parse(&flags.after)?);
    let comparison = match &sides {
        (Operand::Run(before), Operand::Run(after)) => {
            Comparison::of_runs(&described_run(before)?, &described_run(after)?)
        }
        (Operand::Run(_), _) | (_, Operand::Run(_)) => {
            return Err(CompareError::Kinds.into());
        }
        (before, after) => {
            let before = image(&builder, before, flags, printer)?;
            Comparison::of_images(&before, &image(&builder, after, flags, printer)?)
        }
    };
    let text = match flags.format {
        DiffFormat::Text => comparison.text(),
        DiffFormat::Markdown => comparison.markdown(),
        DiffFormat::Json => comparison.json(),
    };
    printer.result(text.trim_end());
    Ok(if comparison.is_same() { Ending::Good } else { Ending::Bad })
}

fn image(
    builder: &Builder,
    operand: &Operand,
    flags: &DiffFlags,
    printer: &Printer,
) -> anyhow::Result<diff::Image> {
    if let Operand::Registry(reference) = operand {
        return pulled(reference, flags, printer);
    }
    let image = builder.described(operand, flags.arch)?;
    Ok(image.expect("an operand that is no run and of no registry is an image here"))
}

/// An image of a registry; its blobs stay in the cache.
fn pulled(reference: &Reference, flags: &DiffFlags, printer: &Printer) -> anyhow::Result<diff::Image> {
    let store = Store::open(&environment::cache_folder()?)?;
    let access = session::RegistryAccess::new(&flags.plain_http)?;
    let registry = access.registry();
    let architecture = flags.arch.map_or_else(environment::host, Ok::<Architecture, _>)?;
    let pulled = {
        let transfer = Transfer::new(printer, "fetching");
        registry.pull(&store, reference, architecture, &transfer)?
    };
    Ok(Loose::of(reference.to_string(), &pulled).describe()?)
}

//! `run`: a command in an image.

use checks::Ending as CommandEnding;

use super::session::{self, Settings};
use crate::cli::RunFlags;
use crate::ending::Ending;
use crate::environment;
use crate::printer::Printer;

/// The status of a command that a signal ended is this and the signal's number, as a shell tells it.
const SIGNALED: i32 = 128;

/// Runs it with the image's user, folder and environment, and ends with its status.
pub(crate) fn run(flags: &RunFlags, printer: &Printer) -> anyhow::Result<Ending> {
    let builder = session::builder(Settings::default())?;
    let terminal = environment::terminal();
    let engine = flags.engine.into();
    let ended = builder.run(&flags.image, flags.arch, engine, &flags.command, terminal.as_deref())?;
    let status = match ended {
        CommandEnding::Exited(status) => status,
        CommandEnding::Signaled(signal) => SIGNALED + signal,
        CommandEnding::TimedOut => anyhow::bail!("the command took longer than a day"),
        CommandEnding::PastLimit(what) => {
            anyhow::bail!("the command took more {what} than a sandbox gives")
        }
        CommandEnding::NotStarted(why) => anyhow::bail!("cannot start the command: {why}"),
    };
    printer.finish();
    Ok(Ending::Status(u8::try_from(status).unwrap_or(u8::MAX)))
}

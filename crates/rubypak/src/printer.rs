//! What people see: results on standard output; what happens, and what is wrong, on standard error.

use std::fmt::Display;
use std::io::{self, Write};

use crate::cli::{Cli, LogLevel};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Quiet,
    Usual,
    Verbose,
}

/// Prints for one run.
pub(crate) struct Printer {
    level: Level,
}

#[expect(clippy::unused_self, reason = "what is said, and where, is up to the printer alone")]
impl Printer {
    pub(crate) fn new(cli: &Cli) -> Self {
        let level = match cli.magicpak.log_level {
            _ if cli.quiet => Level::Quiet,
            _ if cli.verbose => Level::Verbose,
            Some(LogLevel::Off | LogLevel::Error) => Level::Quiet,
            Some(LogLevel::Info | LogLevel::Debug) => Level::Verbose,
            Some(LogLevel::Warn) | None => Level::Usual,
        };
        Self { level }
    }

    pub(crate) fn is_verbose(&self) -> bool {
        self.level == Level::Verbose
    }

    /// Lets `write` put a result on standard output, for people or programs.
    pub(crate) fn result(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let mut out = io::BufWriter::with_capacity(64 << 10, io::stdout().lock());
        match write(&mut out).and_then(|()| out.flush()) {
            // Whoever reads has read enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// Something that is of interest to who asks for more.
    pub(crate) fn detail(&self, text: impl Display) {
        if self.level >= Level::Verbose {
            self.error(text);
        }
    }

    /// Something on the way.
    pub(crate) fn line(&self, text: impl Display) {
        if self.level >= Level::Usual {
            self.error(text);
        }
    }

    /// Something that went wrong; said even when quiet.
    pub(crate) fn error(&self, text: impl Display) {
        // There is nobody left to tell where this fails.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// Bytes as people compare images: in millions.
#[expect(clippy::cast_precision_loss, reason = "it is shown with one decimal")]
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// A number with the word for what is counted: `1 file`, `2 files`.
pub(crate) fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

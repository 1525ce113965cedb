//! How it ends: the exit status, and an error as people read it: what failed, why, and what to do next. An error is
//! shown here and nowhere else.

use std::error::Error;
use std::process::ExitCode;

use crate::output::OutputError;
use crate::printer::Printer;

/// How a run ended that could do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All is well.
    Good,
    /// A need is not met, or a test failed. What it is was printed.
    Bad,
}

/// An error with what to do about it.
#[derive(Debug)]
pub(crate) struct Advice {
    pub(crate) problem: String,
    pub(crate) hint: String,
}

impl std::fmt::Display for Advice {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.problem)
    }
}

impl Error for Advice {}

/// 0 for good, 1 for bad, 2 for what could not run.
pub(crate) fn exit_code(ending: anyhow::Result<Ending>, printer: &Printer) -> ExitCode {
    match ending {
        Ok(Ending::Good) => ExitCode::SUCCESS,
        Ok(Ending::Bad) => ExitCode::from(1),
        Err(error) => {
            // What was put in front of another error is found by the whole alone.
            let advice = error.downcast_ref::<Advice>().map(|advice| advice.hint.clone());
            let hint = advice.or_else(|| error.chain().find_map(hint));
            printer.error(::ending::describe(&error, hint.as_deref()));
            ExitCode::from(::ending::COULD_NOT_RUN)
        }
    }
}

/// The next step, from whichever error knows one.
fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    let output = error.downcast_ref::<OutputError>().and_then(OutputError::hint);
    let root = || error.downcast_ref::<rootfs::OpenError>().and_then(rootfs::OpenError::hint);
    let directory = || error.downcast_ref::<rootfs::DirectoryError>().and_then(rootfs::DirectoryError::hint);
    let layout = || error.downcast_ref::<oci::LayoutError>().and_then(oci::LayoutError::hint);
    let sandbox = || error.downcast_ref::<sandbox::SandboxError>().and_then(sandbox::SandboxError::hint);
    output.or_else(root).or_else(directory).or_else(layout).or_else(sandbox)
}

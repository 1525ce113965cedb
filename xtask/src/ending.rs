//! How a verb ends: its exit status, and an error as people read it: what failed, why, and what to do next. An error is
//! shown here and nowhere else.

use std::error::Error;
use std::process::ExitCode;

use crate::printer::Printer;

/// How a verb ended that could do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All is well.
    Good,
    /// A check failed, or a generated file is not what it should be. What it is was printed.
    Bad,
    /// A command that was run for somebody ended with this status.
    Status(u8),
}

/// 0 for good, 1 for bad, 2 for what could not run.
pub(crate) fn exit_code(ending: anyhow::Result<Ending>, printer: &Printer) -> ExitCode {
    match ending {
        Ok(Ending::Good) => ExitCode::SUCCESS,
        Ok(Ending::Bad) => ExitCode::from(1),
        Ok(Ending::Status(status)) => ExitCode::from(status),
        Err(error) => {
            let hint = error.chain().find_map(hint);
            printer.error(::ending::describe(&error, hint.as_deref()));
            ExitCode::from(::ending::COULD_NOT_RUN)
        }
    }
}

/// The next step, from whichever error knows one.
fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    macro_rules! first_of {
        ($($kind:ty),* $(,)?) => {
            None$(.or_else(|| error.downcast_ref::<$kind>().and_then(<$kind>::hint)))*
        };
    }
    first_of![
        builder::BuildError,
        builder::compare::CompareError,
        builder::parts::PartError,
        builder::project::ProjectError,
        builder::release::ReleaseError,
        builder::selection::PlanError,
        builder::signing::SigningError,
        builder::site::SiteError,
        oci::LayoutError,
        oci::export::ExportError,
        registry::RegistryError,
        report::ReportError,
        sandbox::SandboxError,
    ]
}

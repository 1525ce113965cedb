//! `why`: the reasons for a file in an image.

use std::os::unix::ffi::OsStrExt;

use builder::selection::{Architectures, Selection};
use rootfs::RootPath;

use super::session::{self, Settings};
use crate::cli::WhyFlags;
use crate::ending::Ending;
use crate::printer::Printer;

/// Prints the chain back to a root, or what keeps the file out; the latter ends badly, for scripts.
pub(crate) fn why(flags: &WhyFlags, printer: &Printer) -> anyhow::Result<Ending> {
    let mut builder = session::builder(Settings::from(&flags.packages))?;
    let architectures = Architectures::only_or_host(flags.arch);
    let selection = Selection { patterns: vec![flags.image.clone()], architectures, ..Selection::default() };
    let targets = builder.plan(&selection)?;
    let path = RootPath::parse(flags.path.as_bytes())?;
    let mut ending = Ending::Good;
    for target in &targets {
        let explanation = builder.explain(target, &path, printer)?;
        if targets.len() > 1 {
            printer.result(format_args!("{target}:"));
        }
        printer.result(&explanation);
        if !explanation.verdict.is_kept() {
            ending = Ending::Bad;
        }
    }
    Ok(ending)
}

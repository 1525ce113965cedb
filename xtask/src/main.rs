//! The command line of distroless-ruby: flags in [`cli`], a module a verb in [`verbs`], and one place each for what is
//! printed ([`printer`]) and for how it ends ([`ending`]). What is done is done by the libraries.

mod cli;
mod ending;
mod environment;
mod printer;
mod transfer;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Verb};
use crate::printer::Printer;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if matches!(cli.verb, Verb::SandboxInit) {
        // Before any thread starts: its namespaces are made for a process that has one.
        sandbox::init_main();
    }
    let printer = Printer::new(cli.output.quiet);
    let ending = match cli.verb {
        Verb::BuildAll(flags) => verbs::build::all(&flags, &printer),
        Verb::Build(flags) => verbs::build::some(&flags, &printer),
        Verb::Check(flags) => verbs::check::check(&flags, &printer),
        Verb::List(flags) => verbs::list::list(&flags, &printer),
        Verb::Why(flags) => verbs::why::why(&flags, &printer),
        Verb::Run(flags) => verbs::run::run(&flags, &printer),
        Verb::Load(flags) => verbs::load::load(&flags, &printer),
        Verb::Export(flags) => verbs::export::export(&flags, &printer),
        Verb::Push(flags) => verbs::push::push(&flags, &printer),
        Verb::Release(flags) => verbs::release::release(&flags, &printer),
        Verb::Part(verb) => verbs::part::part(&verb, &printer),
        Verb::Sign(flags) => verbs::sign::sign(&flags, &printer),
        Verb::Diff(flags) => verbs::diff::diff(&flags, &printer),
        Verb::Report(flags) => verbs::report::report(&flags, &printer),
        Verb::Update(flags) => verbs::update::update(&flags, &printer),
        Verb::SandboxInit => unreachable!("handled above"),
    };
    printer.finish();
    ending::exit_code(ending, &printer)
}

//! `rubypak`: the files that a program needs, and nothing else, out of a root filesystem.
//!
//! Flags are in [`cli`]; [`job`] makes them into what is to be done; [`steps`] does it, with a module for each output
//! and report; [`printer`] says what people see, and [`ending`] how it ends. What a program needs is found by the
//! library `analyzer`.

mod bundle;
mod cli;
mod ending;
mod job;
mod json;
mod judgement;
mod locate;
mod minus;
mod output;
mod packages;
mod passing;
mod printer;
mod running;
mod steps;
mod surroundings;
mod tree_view;
mod why;
mod words;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::printer::Printer;

/// What the first process of a sandbox is started with. It is told from a root of this name by being the only word: a
/// root never is.
const SANDBOX_INIT: &str = "sandbox-init";

fn main() -> ExitCode {
    let words = surroundings::arguments();
    if words.len() == 2 && words[1] == SANDBOX_INIT {
        // Before any thread starts: its namespaces are made for a process that has one.
        sandbox::init_main();
    }
    let cli = Cli::parse_from(words);
    let printer = Printer::new(&cli);
    let ending = steps::run(&cli, &printer);
    passing::yield_to_signal();
    ending::exit_code(ending, &printer)
}

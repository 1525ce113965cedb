//! The flags, and nothing else: what they mean is up to [`crate::job`].
//!
//! magicpak's whole command line is among them, so that a Dockerfile which calls it needs one word changed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

const AFTER_HELP: &str = "\
Examples:
  rubypak \"$(which ruby)\" /bundle              what ruby needs, into the folder /bundle
  rubypak ruby gem /app -o bundle.tar          two programs of PATH and a folder, into a tar
  rubypak --tree ruby                          which object needs which
  rubypak --why /etc/ssl/certs ruby            why a file is needed
  rubypak --root rootfs --json ruby            a root filesystem in a folder, as JSON
  rubypak ruby /bundle --trace -- ruby app.rb  what a run of app.rb opens, too

Exit status: 0 where every need is met; 1 where one is not, or a test failed; 2 where it could not run.";

/// Finds the files that programs need, and puts them, and nothing else, into a folder, a tar or the layer of an image.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags")]
#[command(name = "rubypak", version, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// Programs, scripts, folders or globs, then the output; a bare name is looked up in PATH. With --output,
    /// --dry-run, --json, --tree or --why there is no output among them
    #[arg(value_name = "ROOT... OUTPUT", required = true)]
    pub(crate) paths: Vec<OsString>,

    /// Where the result goes: a folder, a `.tar`, a `.oci` layout, or `-` for a tar on standard output
    #[arg(long, short, value_name = "OUTPUT", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,
    /// The form of the output, instead of what its name says
    #[arg(long, value_enum, help_heading = "Output")]
    pub(crate) format: Option<Format>,
    /// Replace an output that is there: a file, or a folder that an earlier run made
    #[arg(long, help_heading = "Output")]
    pub(crate) force: bool,
    /// Write nothing, and say what would be written
    #[arg(long, short = 'n', help_heading = "Output")]
    pub(crate) dry_run: bool,
    /// Print a report with every file and its reasons as JSON
    #[arg(long, conflicts_with_all = ["tree", "why"], help_heading = "Output")]
    pub(crate) json: bool,
    /// Print which object needs which
    #[arg(long, conflicts_with = "why", help_heading = "Output")]
    pub(crate) tree: bool,
    /// Print why a path is needed, or what keeps it out
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    pub(crate) why: Option<OsString>,

    /// The root filesystem to look at
    #[arg(long, value_name = "DIR", default_value = "/", help_heading = "What is taken")]
    pub(crate) root: PathBuf,
    /// Take what matches too, with all that it needs
    #[arg(long, short, value_name = "GLOB", help_heading = "What is taken")]
    pub(crate) include: Vec<OsString>,
    /// Leave out what matches, with what only that needs
    #[arg(long, short, value_name = "GLOB", help_heading = "What is taken")]
    pub(crate) exclude: Vec<String>,
    /// Leave out what a base image has already: a folder with its files, or a list with one path a line
    #[arg(long, value_name = "DIR|LIST", help_heading = "What is taken")]
    pub(crate) minus: Vec<PathBuf>,
    /// Make a folder in the result, from its root on
    #[arg(long, value_name = "PATH", help_heading = "What is taken")]
    pub(crate) mkdir: Vec<OsString>,
    /// Put the programs that are roots here instead: a new path from the result's root on, or a folder where it ends with
    /// a slash
    #[arg(long, short = 'r', value_name = "PATH", help_heading = "What is taken")]
    pub(crate) install_to: Option<OsString>,
    /// Take only what is loaded when the roots start: interpreters, libraries and links, nothing that is opened by name
    #[arg(long, help_heading = "What is taken")]
    pub(crate) loaded: bool,
    /// Take symbols and debug information out of ELF objects
    #[arg(long, help_heading = "What is taken")]
    pub(crate) strip: bool,
    /// Go on without a need that is not met: its key is printed with it, and `*` stands for anything
    #[arg(long, value_name = "KEY", help_heading = "What is taken")]
    pub(crate) accept: Vec<String>,

    /// Run the command behind `--`, and take every file that it used
    #[arg(long, requires = "command", help_heading = "Running")]
    pub(crate) trace: bool,
    /// Run this command too, and take every file that it used
    #[arg(long, value_name = "COMMAND", help_heading = "Running")]
    pub(crate) trace_command: Vec<String>,
    /// Run the first root, and take every file that it used
    #[arg(long, short, help_heading = "Running")]
    pub(crate) dynamic: bool,
    /// An argument of the first root for --dynamic
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, help_heading = "Running")]
    pub(crate) dynamic_arg: Vec<OsString>,
    /// What a traced command reads from standard input
    #[arg(long, value_name = "TEXT", help_heading = "Running")]
    pub(crate) dynamic_stdin: Option<String>,
    /// Run a command in the result before it is written; the first root where none is given
    #[arg(long, short, value_name = "COMMAND", num_args = 0..=1, require_equals = true, help_heading = "Running")]
    #[expect(clippy::option_option, reason = "--test alone and --test=COMMAND are both meant")]
    pub(crate) test: Option<Option<String>>,
    /// The command of --test
    #[arg(long, value_name = "COMMAND", help_heading = "Running")]
    pub(crate) test_command: Option<String>,
    /// What the test reads from standard input
    #[arg(long, value_name = "TEXT", help_heading = "Running")]
    pub(crate) test_stdin: Option<String>,
    /// What the test has to print, white space around it aside
    #[arg(long, value_name = "TEXT", help_heading = "Running")]
    pub(crate) test_stdout: Option<String>,
    /// A program that gives a test a shell and its tools, where its command needs them and the result has none
    #[arg(long, value_name = "PATH", help_heading = "Running")]
    pub(crate) busybox: Option<OsString>,
    /// What stands between a command and this machine
    #[arg(long, value_enum, value_name = "HOW", help_heading = "Running")]
    pub(crate) confine: Option<Confine>,
    /// Seconds that each command may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60, help_heading = "Running")]
    pub(crate) time_limit: u64,

    /// Say more: every file and why it is there
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// Say only what went wrong
    #[arg(long, short, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) magicpak: Magicpak,

    /// The command of --trace
    #[arg(value_name = "COMMAND", last = true)]
    pub(crate) command: Vec<OsString>,
}

/// What magicpak takes and has no other meaning here.
#[derive(Debug, clap::Args)]
pub(crate) struct Magicpak {
    /// As magicpak's: Info and Debug say more, Error and Off say less
    #[arg(long, value_enum, value_name = "LEVEL", hide_short_help = true, help_heading = "As in magicpak")]
    pub(crate) log_level: Option<LogLevel>,
    /// Taken and not done: the layers of an image are compressed
    #[arg(long, short, hide_short_help = true, help_heading = "As in magicpak")]
    pub(crate) compress: bool,
    /// Taken with --compress
    #[arg(long, value_name = "PATH", hide_short_help = true, help_heading = "As in magicpak")]
    pub(crate) upx: Option<OsString>,
    /// Taken with --compress
    #[arg(
        long,
        value_name = "ARG",
        allow_hyphen_values = true,
        hide_short_help = true,
        help_heading = "As in magicpak"
    )]
    pub(crate) upx_arg: Vec<OsString>,
    /// As --upx-arg
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, hide = true)]
    pub(crate) upx_option: Vec<OsString>,
    /// Taken and not needed: no C compiler is
    #[arg(long, value_name = "PATH", hide_short_help = true, help_heading = "As in magicpak")]
    pub(crate) cc: Option<OsString>,
    /// Taken and not needed: nothing is ever loaded
    #[arg(long, alias = "noload", hide_short_help = true, help_heading = "As in magicpak")]
    pub(crate) experimental_noload_resolver: bool,
}

/// The form of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A folder, as the root of a filesystem
    Dir,
    /// A tar
    Tar,
    /// An OCI image layout with an image of one layer
    OciLayer,
}

/// What stands between a command and this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Confine {
    /// Namespaces of its own; nothing that it writes stays
    Sandbox,
    /// For a build stage, where no namespace can be made: a test runs in a chroot, a traced command right here
    Stage,
}

/// magicpak's levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
}

impl Cli {
    /// Whether flags are used that mean the same to magicpak alone, which never asked for namespaces.
    pub(crate) fn is_magicpak(&self) -> bool {
        let magicpak = &self.magicpak;
        matches!(self.test, Some(None))
            || self.dynamic
            || self.busybox.is_some()
            || magicpak.log_level.is_some()
            || magicpak.compress
            || magicpak.cc.is_some()
            || magicpak.experimental_noload_resolver
    }
}

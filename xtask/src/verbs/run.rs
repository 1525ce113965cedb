//! `run`: a command in an image, in the sandbox.

use std::time::Duration;

use oci::Layout;
use sandbox::{Command, Output, Program, Root, Status, Stdin};

use super::session::{self, Settings};
use crate::cli::{RunFlags, SANDBOX_INIT};
use crate::ending::Ending;

/// A command that a person started ends when the person wants.
const TIME_LIMIT: Duration = Duration::from_hours(24);

/// Runs it with the image's user, folder and environment, and ends with its status.
pub(crate) fn run(flags: &RunFlags) -> anyhow::Result<Ending> {
    let builder = session::builder(Settings::default())?;
    let layout = Layout::open(&builder.project().root.join("dist/oci"))?;
    let image = layout.resolve(&flags.image)?;
    let execution = &image.config.config;
    let mut words = flags.command.iter().cloned();
    let mut default = execution.cmd.iter().map(std::ffi::OsString::from);
    let program = words.next().or_else(|| default.next());
    let Some(program) = program else { anyhow::bail!("{} has no command of its own: name one", flags.image) };
    let args = if flags.command.is_empty() { default.collect() } else { words.collect() };
    let (uid, gid) = user(&execution.user)?;
    let mut command = Command::new(program);
    command.args = args;
    command.env = execution
        .env
        .iter()
        .filter_map(|variable| variable.split_once('='))
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    command.cwd = execution.working_dir.clone().into();
    (command.uid, command.gid) = (uid, gid);
    command.stdin = Stdin::Inherit;
    command.output = Output::Inherit;
    command.limits.time = TIME_LIMIT;
    let root = Root { layers: builder.unpacked(&flags.image, &image)? };
    let outcome = sandbox::run(&Program::current_executable(SANDBOX_INIT), &root, &command, |_| ())?;
    Ok(Ending::Status(match outcome.status {
        Status::Exited(status) => u8::try_from(status).unwrap_or(u8::MAX),
        // As a shell tells it.
        Status::Signaled(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        Status::TimedOut | Status::OutOfMemory | Status::TooManyProcesses => u8::MAX,
    }))
}

fn user(text: &str) -> anyhow::Result<(u32, u32)> {
    let (user, group) = text.split_once(':').unwrap_or((text, text));
    Ok((user.parse()?, group.parse()?))
}

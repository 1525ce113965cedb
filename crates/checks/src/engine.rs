//! What an engine is asked for and what it answers.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::EngineError;

/// One image that can be run, each time in a container of its own that is gone afterwards.
///
/// The container has the image's user, folder and environment, no network but its loopback, and its time is limited.
pub trait Engine: Sync {
    /// Runs one command to its end.
    ///
    /// # Errors
    /// The engine could not run anything. Whatever a command does, a command that is not there included, is an
    /// [`Outcome`].
    fn run(&self, run: &Run<'_>) -> Result<Outcome, EngineError>;
}

/// A command to run in an image.
#[derive(Debug, Clone)]
pub struct Run<'a> {
    /// The program, by path or by name, and its arguments; all of them arguments where the image has an entry point.
    pub command: Vec<&'a str>,
    /// Environment beside the image's own.
    pub environment: &'a BTreeMap<String, String>,
    /// What it reads.
    pub stdin: Vec<u8>,
    /// After this it is ended with all that it started.
    pub time_limit: Duration,
}

/// How a run went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How the command ended.
    pub ending: Ending,
    /// All that it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
    /// How long it took.
    pub duration: Duration,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
    /// It took too long.
    TimedOut,
    /// It never began: the image has no such program, or not what the program needs to start. With the engine's words.
    NotStarted(String),
    /// It wanted more of something than it may have.
    PastLimit(&'static str),
}

//! What people see: results on standard output, progress and errors on standard error. On a terminal progress is a bar
//! for the download and a line for each image at work; elsewhere it is plain lines; with `--quiet` there is none.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::Duration;

use builder::observer::{Event, Observer, Stage};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Prints for one verb.
pub(crate) struct Printer {
    quiet: bool,
    /// On a terminal alone.
    bars: Option<Bars>,
    /// Of a download that was announced: bytes that are still to come.
    fetching: Mutex<Option<ProgressBar>>,
}

struct Bars {
    all: MultiProgress,
    images: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Printer {
    pub(crate) fn new(quiet: bool) -> Self {
        let terminal = io::stderr().is_terminal() && !quiet;
        let bars = terminal.then(|| Bars { all: MultiProgress::new(), images: Mutex::new(BTreeMap::new()) });
        Self { quiet, bars, fetching: Mutex::new(None) }
    }

    /// A result, for people or programs.
    pub(crate) fn result(&self, text: impl Display) {
        self.suspended(|| {
            // Whoever reads may have read enough.
            let _ = writeln!(io::stdout(), "{text}");
        });
    }

    /// Something on the way.
    pub(crate) fn line(&self, text: impl Display) {
        if !self.quiet {
            self.error(text);
        }
    }

    /// Something that went wrong; said even when quiet.
    pub(crate) fn error(&self, text: impl Display) {
        self.suspended(|| {
            // There is nobody left to tell.
            let _ = writeln!(io::stderr(), "{text}");
        });
    }

    /// Shows a bar below the others, on a terminal.
    pub(crate) fn add_bar(&self, bar: ProgressBar) -> Option<ProgressBar> {
        self.bars.as_ref().map(|bars| bars.all.add(bar))
    }

    /// Takes every bar away.
    pub(crate) fn finish(&self) {
        if let Some(bars) = &self.bars {
            // A terminal that is gone has no bars to clear.
            let _ = bars.all.clear();
        }
    }

    /// Runs `print` while no bar is drawn.
    fn suspended(&self, print: impl FnOnce()) {
        match &self.bars {
            Some(bars) => bars.all.suspend(print),
            None => print(),
        }
    }

    fn start_download(&self, verb: &str, what: &str, bytes: u64) {
        match &self.bars {
            None => self.line(format_args!("{verb} {what}, {}", megabytes(bytes))),
            Some(bars) => {
                let style = ProgressStyle::with_template(
                    "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
                )
                .expect("a constant template");
                let bar = bars.all.add(ProgressBar::new(bytes).with_style(style));
                bar.set_message(format!("{verb} {what}"));
                *lock(&self.fetching) = Some(bar);
            }
        }
    }

    fn stage(&self, image: &str, stage: Stage) {
        self.at_work(image, name_of(stage));
    }

    /// On a terminal: what somebody is doing.
    fn at_work(&self, image: &str, doing: &str) {
        let Some(bars) = &self.bars else { return };
        let mut images = lock(&bars.images);
        let bar = images.entry(image.to_owned()).or_insert_with(|| {
            let style = ProgressStyle::with_template("{spinner} {wide_msg}").expect("a constant template");
            let bar = bars.all.add(ProgressBar::new_spinner().with_style(style));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        bar.set_message(format!("{image}: {doing}"));
    }

    fn done(&self, image: &str) {
        if let Some(bars) = &self.bars
            && let Some(bar) = lock(&bars.images).remove(image)
        {
            bar.finish_and_clear();
        }
    }
}

impl Observer for Printer {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Resolving { distro } => self.line(format_args!("resolving the packages of {distro}")),
            Event::Relocked(change) => self.line(change),
            Event::Fetching { packages: 1, bytes } => self.start_download("fetching", "1 package", *bytes),
            Event::Fetching { packages, bytes } => {
                self.start_download("fetching", &format!("{packages} packages"), *bytes);
            }
            Event::Fetched { bytes } | Event::Pulled { bytes } => {
                if let Some(bar) = &*lock(&self.fetching) {
                    bar.inc(*bytes);
                }
            }
            Event::FetchingDone | Event::PullingDone => {
                if let Some(bar) = lock(&self.fetching).take() {
                    bar.finish_and_clear();
                }
            }
            Event::Pulling { image, bytes } => self.start_download("pulling", &image.to_string(), *bytes),
            Event::Compiling { ruby, changes: None } => {
                self.line(format_args!("compiling {ruby}, which takes some minutes, once"));
            }
            Event::Compiling { ruby, changes: Some(changes) } => {
                self.line(format_args!("compiling {ruby} again: {changes}"));
            }
            Event::Compiles { ruby, line } => self.at_work(ruby, line),
            Event::Compiled { ruby, seconds } => {
                self.done(ruby);
                self.line(format_args!("compiled {ruby} in {}:{:02} minutes", seconds / 60, seconds % 60));
            }
            Event::Stage { image, stage } => self.stage(image, *stage),
            Event::Built { image, manifest, disk, pull, zstd, undecided, unchanged } => {
                self.done(image);
                let verb = if *unchanged { "unchanged" } else { "built" };
                let zstd = zstd.map(|zstd| format!(" ({} in zstd)", megabytes(zstd))).unwrap_or_default();
                self.line(format_args!(
                    "{verb} {image}: {} on disk, {} to pull{zstd}, {manifest}",
                    megabytes(*disk),
                    megabytes(*pull)
                ));
                if *undecided > 0 {
                    let findings = if *undecided == 1 { "finding depends" } else { "findings depend" };
                    self.line(format_args!(
                        "{image}: {undecided} {findings} on what programs do when they run (`undecided` in run.json)"
                    ));
                }
            }
            Event::CheckingDone { image } => self.done(image),
            Event::Checked { image, check, passed, milliseconds } => {
                let outcome = if *passed { "passed" } else { "FAILED" };
                self.line(format_args!("{outcome} {image}: {check} ({milliseconds} ms)"));
            }
        }
    }
}

fn name_of(stage: Stage) -> &'static str {
    match stage {
        Stage::Stacking => "stacking its packages",
        Stage::Analyzing => "computing its closure",
        Stage::Packing => "packing its layers",
        Stage::Verifying => "verifying it on its own tree",
        Stage::Checking => "running its checks",
    }
}

/// Bytes as people compare images: in millions.
#[expect(clippy::cast_precision_loss, reason = "it is shown with one decimal")]
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// A printer that a panicking thread was using goes on printing.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

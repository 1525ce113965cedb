//! Blobs on their way from or to a registry: on a terminal a bar for all of them and one for each that moves, elsewhere a
//! line at the beginning.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use registry::{Event, Progress};
use schema::Digest;

use crate::printer::{Printer, megabytes};

/// Shows the transfers of one push or pull.
pub(crate) struct Transfer<'a> {
    printer: &'a Printer,
    /// What is done: `sending`.
    verb: &'static str,
    bars: Mutex<Bars>,
}

#[derive(Default)]
struct Bars {
    all: Option<ProgressBar>,
    blobs: BTreeMap<Digest, ProgressBar>,
}

impl<'a> Transfer<'a> {
    pub(crate) fn new(printer: &'a Printer, verb: &'static str) -> Self {
        Self { printer, verb, bars: Mutex::default() }
    }

    /// A bar, on a terminal.
    fn bar(&self, template: &str, size: u64) -> Option<ProgressBar> {
        let style = ProgressStyle::with_template(template).expect("a constant template");
        self.printer.add_bar(ProgressBar::new(size).with_style(style))
    }

    fn bars(&self) -> MutexGuard<'_, Bars> {
        self.bars.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Transfer<'_> {
    fn tell(&self, event: &Event<'_>) {
        let mut bars = self.bars();
        match *event {
            Event::Begin { blobs: 0, .. } => {}
            Event::Begin { blobs, bytes } => {
                let blobs = if blobs == 1 { "1 blob".to_owned() } else { format!("{blobs} blobs") };
                bars.all = self.bar("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}", bytes);
                match &bars.all {
                    Some(bar) => bar.set_message(format!("{} {blobs}", self.verb)),
                    None => self.printer.line(format_args!("{} {blobs}, {}", self.verb, megabytes(bytes))),
                }
            }
            Event::Blob { digest, size } => {
                if let Some(bar) = self.bar("  {msg} {wide_bar} {bytes}/{total_bytes}", size) {
                    bar.set_message(digest.hex()[..12].to_owned());
                    bars.blobs.insert(*digest, bar);
                }
            }
            Event::Bytes { digest, count } => {
                bars.all.iter().chain(bars.blobs.get(digest)).for_each(|bar| bar.inc(count));
            }
            Event::Done { digest, .. } => {
                if let Some(bar) = bars.blobs.remove(digest) {
                    bar.finish_and_clear();
                }
            }
        }
    }
}

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        let Bars { all, blobs } = std::mem::take(&mut *self.bars());
        all.into_iter().chain(blobs.into_values()).for_each(|bar| bar.finish_and_clear());
    }
}

//! The runs that a site knows, for how sizes went: a file beside the pages, which the next report adds to.

use schema::run::{ImageRecord, RunRecord};
use schema::{Architecture, Digest};
use serde::{Deserialize, Serialize};

use crate::error::ReportError;

/// Runs, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// The runs, each with images other than the one before.
    pub runs: Vec<PastRun>,
}

/// What a run made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastRun {
    /// The day of its packages: `2026-11-20`.
    pub date: String,
    /// The images.
    pub images: Vec<PastImage>,
}

/// What is kept of an image; sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastImage {
    /// Its name with its main tag.
    pub name: String,
    /// Its architecture.
    pub architecture: Architecture,
    /// The version of its Ruby.
    pub ruby: String,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The bytes of its files.
    pub disk: u64,
    /// What a pull brings in gzip.
    pub pull: u64,
    /// What a pull brings in zstd, where it has that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zstd: Option<u64>,
}

impl History {
    /// Reads what [`render`](Self::render) wrote.
    ///
    /// # Errors
    /// A text that is no such file.
    pub fn parse(text: &str) -> Result<Self, ReportError> {
        serde_json::from_str(text).map_err(ReportError::History)
    }

    /// The text of the file.
    pub fn render(&self) -> String {
        let mut text = serde_json::to_string(self).expect("strings and numbers can be written as JSON");
        text.push('\n');
        text
    }

    /// With a run at the end: none if the last one made the same images, in place of the last one if that was of the same
    /// day.
    #[must_use]
    pub fn with(mut self, date: &str, run: &RunRecord) -> Self {
        let images: Vec<PastImage> = run.images.iter().map(PastImage::of).collect();
        match self.runs.last_mut() {
            Some(last) if last.images == images => {}
            Some(last) if last.date == date => last.images = images,
            _ => self.runs.push(PastRun { date: date.to_owned(), images }),
        }
        self
    }

    /// An image in every run that has it, with the day of that.
    pub(crate) fn of<'a>(&'a self, image: &'a ImageRecord) -> impl Iterator<Item = (&'a str, &'a PastImage)> {
        let is_it = |past: &&PastImage| past.name == image.name && past.architecture == image.architecture;
        self.runs.iter().filter_map(move |run| Some((&*run.date, run.images.iter().find(is_it)?)))
    }
}

impl PastImage {
    fn of(image: &ImageRecord) -> Self {
        Self {
            name: image.name.clone(),
            architecture: image.architecture,
            ruby: image.ruby.clone(),
            manifest: image.manifest,
            disk: image.disk,
            pull: image.pull,
            zstd: image.zstd,
        }
    }
}

#[cfg(test)]
mod tests {
    use schema::run::VERSION;

    use super::*;
    use crate::fixture;

    fn run(disk: u64) -> RunRecord {
        let image = ImageRecord { disk, ..fixture::image("ruby:3.3-trixie", &[]) };
        RunRecord { version: VERSION, images: vec![image] }
    }

    #[test]
    fn a_run_that_changed_something_is_added() {
        let history = History::default().with("2026-11-01", &run(1)).with("2026-11-02", &run(1));
        let history = history.with("2026-11-03", &run(2)).with("2026-11-03", &run(3));
        let runs: Vec<_> = history.runs.iter().map(|run| (&*run.date, run.images[0].disk)).collect();
        assert_eq!(runs, [("2026-11-01", 1), ("2026-11-03", 3)]);
        assert_eq!(History::parse(&history.render()).unwrap(), history);
        let image = &run(0).images[0];
        assert_eq!(history.of(image).map(|(date, past)| (date, past.disk)).collect::<Vec<_>>(), runs);
        let other = ImageRecord { architecture: Architecture::Arm64, ..image.clone() };
        assert_eq!(history.of(&other).count(), 0);
    }

    #[test]
    fn another_file_is_no_history() {
        for text in ["", "[]", "{}", "{\"runs\":[{\"date\":\"\",\"images\":[],\"more\":1}]}"] {
            assert!(matches!(History::parse(text), Err(ReportError::History(_))), "{text}");
        }
    }
}

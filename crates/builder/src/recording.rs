//! The run record on disk: what the last runs made of each image of the matrix.

use std::collections::BTreeMap;

use fs_err as fs;
use schema::Architecture;
use schema::run::{CheckRecord, ImageRecord, RunRecord, VERSION};

use crate::build::Built;
use crate::plan::{self, Target};
use crate::replace::replace;
use crate::{BuildError, Builder};

/// Its name, in the folder of images and records.
pub(crate) const RECORD: &str = "run.json";

/// What tells the images of a record apart.
type Key = (String, Architecture);

fn key(image: &ImageRecord) -> Key {
    (image.name.clone(), image.architecture)
}

fn keyed(image: ImageRecord) -> (Key, ImageRecord) {
    (key(&image), image)
}

impl Builder {
    /// Puts what a run made into the record: in place of what it had of the same targets, or of everything where the run
    /// was over the whole matrix. An image that did not change keeps the checks that it had, unless there are new ones.
    ///
    /// # Errors
    /// When the record cannot be read or written.
    pub fn write_record(
        &self,
        targets: &[Target],
        built: &[Built],
        checks: Option<Vec<Vec<CheckRecord>>>,
    ) -> Result<RunRecord, BuildError> {
        let _lock = self.store.lock("run-record")?;
        // One that cannot be read is of another version or damaged: what this run made is recorded all the same.
        let before = self.last_record().ok().flatten().map(|record| record.images).unwrap_or_default();
        let mut images: BTreeMap<Key, ImageRecord> = before.into_iter().map(keyed).collect();
        let new = with_checks(built, checks, &images);
        if self.is_whole(targets) {
            images.clear();
        }
        images.extend(new.into_iter().map(keyed));
        let record = RunRecord { version: VERSION, images: self.in_order(images) };

        let path = self.options.dist.join(RECORD);
        let text = record.render();
        if !fs::read_to_string(&path).is_ok_and(|there| there == text) {
            replace(&path, text)?;
        }
        Ok(record)
    }

    /// The record, where there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn last_record(&self) -> Result<Option<RunRecord>, BuildError> {
        match fs::read_to_string(self.options.dist.join(RECORD)) {
            Ok(text) => Ok(Some(RunRecord::parse(&text)?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(BuildError::RecordFile(error)),
        }
    }

    /// In the order of the matrix, and without what is not of it any more.
    fn in_order(&self, images: BTreeMap<Key, ImageRecord>) -> Vec<ImageRecord> {
        let names = plan::names(&self.project.matrix, self.spec());
        let mut images: Vec<(usize, ImageRecord)> =
            images.into_values().filter_map(|image| Some((*names.get(&image.name)?, image))).collect();
        images.sort_by_key(|(place, image)| (*place, image.architecture));
        images.into_iter().map(|(_, image)| image).collect()
    }
}

fn with_checks(
    built: &[Built],
    checks: Option<Vec<Vec<CheckRecord>>>,
    before: &BTreeMap<Key, ImageRecord>,
) -> Vec<ImageRecord> {
    let kept = |record: &ImageRecord| {
        let same = before.get(&key(record)).filter(|before| before.manifest == record.manifest);
        same.map(|before| before.checks.clone()).unwrap_or_default()
    };
    let records = built.iter().map(|built| built.record.clone());
    match checks {
        Some(checks) => {
            records.zip(checks).map(|(record, checks)| ImageRecord { checks, ..record }).collect()
        }
        None => records.map(|record| ImageRecord { checks: kept(&record), ..record }).collect(),
    }
}

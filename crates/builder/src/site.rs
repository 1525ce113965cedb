//! The report as a static site, in a folder.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use fs_err as fs;
use report::site::{self, HISTORY, History, SiteImage};
use report::{Published, ReportError};
use schema::Architecture;
use schema::listing::{ListedKind, Listing};
use schema::run::{ImageRecord, RunRecord};

use crate::observer::Observer;
use crate::plan::Target;
use crate::replace::{ReplaceError, replace};
use crate::selection::{Architectures, PlanError, Selection};
use crate::{BuildError, Builder};

/// Where a site has what its pages load, below its folder.
const DATA: &str = "data";

/// A site that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The images of the record are not in the matrix.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// What is in the images cannot be told.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The record is of what the project made before it changed.
    #[error("{image} was built from something else than what the project says now")]
    Outdated {
        /// The image.
        image: String,
    },
    /// The folder is in use for something else.
    #[error("{folder} has files, and is no site")]
    NoSite {
        /// The folder.
        folder: String,
    },
    /// The runs of the site so far cannot be read.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The folder cannot be written to.
    #[error("cannot write the site")]
    Io(#[from] io::Error),
    /// One of its files cannot be written.
    #[error(transparent)]
    Replace(#[from] ReplaceError),
}

impl SiteError {
    /// What to do next, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Build(error) => error.hint(),
            Self::Report(error) => error.hint(),
            Self::Outdated { .. } => Some("run `cargo xtask build-all`".to_owned()),
            Self::NoSite { .. } => {
                Some("name a folder that is new, empty, or has an earlier site".to_owned())
            }
            Self::Plan(_) | Self::Io(_) | Self::Replace(_) => None,
        }
    }
}

impl Builder {
    /// Writes a site about the images of a record into a folder, in place of an earlier one, whose runs it keeps.
    ///
    /// # Errors
    /// A folder with other files, a record of other images than the matrix has now, and whatever keeps their contents
    /// from being read or the site from being written.
    pub fn write_site(
        &mut self,
        folder: &Path,
        record: &RunRecord,
        published: &[Published],
        observer: &dyn Observer,
    ) -> Result<(), SiteError> {
        let history = history(folder)?.with(&self.date(), record);
        let images = self.recorded(record)?;
        let targets: Vec<Target> = images.iter().map(|(_, target)| target.clone()).collect();
        let listings = self.listings(&targets, observer)?;
        let mut shown = Vec::with_capacity(images.len());
        for ((record, target), listing) in images.iter().zip(&listings) {
            if !is_of(listing, record) {
                return Err(SiteError::Outdated { image: target.to_string() });
            }
            shown.push(SiteImage { record, listing, is_charted: target.is_first_variant() });
        }
        write(folder, &site::site(&shown, published, &history))
    }

    /// The images of a record with their targets.
    fn recorded<'r>(&self, record: &'r RunRecord) -> Result<Vec<(&'r ImageRecord, Target)>, SiteError> {
        let mut targets = BTreeMap::new();
        for architecture in [Architecture::Amd64, Architecture::Arm64] {
            let selection =
                Selection { architectures: Architectures::Only(architecture), ..Selection::every() };
            let planned = self.plan(&selection)?.into_iter();
            targets.extend(planned.map(|target| ((target.name.clone(), architecture), target)));
        }
        let target = |image: &'r ImageRecord| {
            let target = targets.remove(&(image.name.clone(), image.architecture));
            target
                .map(|target| (image, target))
                .ok_or_else(|| SiteError::Outdated { image: image.name.clone() })
        };
        record.images.iter().map(target).collect()
    }

    /// The day of the newest packages.
    fn date(&self) -> String {
        let suites = self.project.lock.iter().flat_map(|lock| &lock.suites);
        let newest = suites.map(|suite| suite.date).max();
        newest.map_or_else(String::new, |date| date.strftime("%F").to_string())
    }
}

/// Whether this is what a record measured.
fn is_of(listing: &Listing, record: &ImageRecord) -> bool {
    let bytes = |kind| match kind {
        ListedKind::File(bytes) => bytes,
        ListedKind::Folder | ListedKind::HardLink | ListedKind::Symlink => 0,
    };
    let listed = listing.layers.iter().map(|layer| {
        let disk: u64 = layer.entries.iter().map(|entry| bytes(entry.kind)).sum();
        (&layer.name, disk)
    });
    listed.eq(record.layers.iter().map(|layer| (&layer.name, layer.disk)))
}

/// The runs of the site that is there; none where there is no site yet.
fn history(folder: &Path) -> Result<History, SiteError> {
    match fs::read_to_string(folder.join(HISTORY)) {
        Ok(text) => Ok(History::parse(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let has_files = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
            if has_files {
                return Err(SiteError::NoSite { folder: folder.display().to_string() });
            }
            Ok(History::default())
        }
        Err(error) => Err(error.into()),
    }
}

/// Writes the files, and removes pages and data of an earlier site that this one does not have.
fn write(folder: &Path, files: &BTreeMap<String, String>) -> Result<(), SiteError> {
    fs::create_dir_all(folder.join(DATA))?;
    // With the runs first, so that the folder is known for a site from then on.
    replace(&folder.join(HISTORY), &files[HISTORY])?;
    for (path, text) in files {
        replace(&folder.join(path), text)?;
    }
    for (below, ending) in [("", "html"), (DATA, "js")] {
        for entry in fs::read_dir(folder.join(below))? {
            let path = entry?.path();
            let is_ours = path
                .strip_prefix(folder)
                .ok()
                .and_then(Path::to_str)
                .is_some_and(|path| files.contains_key(path));
            if path.extension().is_some_and(|found| found == ending) && !is_ours {
                fs::remove_file(path)?;
            }
        }
    }
    Ok(())
}

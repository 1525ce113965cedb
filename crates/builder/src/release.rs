//! What may be released, and under which tags: images that are built for every architecture of their row and that passed
//! their checks. An image is one index; its tags are every name that the project gives it, and `latest` for the first row.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write;

use diff::Comparison;
use oci::document::Descriptor;
use registry::{Fault, Progress, PushPlan, Registry, RegistryError};
use schema::reference::Reference;
use schema::run::{CheckOutcome, ImageRecord};
use schema::{Architecture, Digest};

use crate::compare::Loose;
use crate::plan::Target;
use crate::selection::{PlanError, Selection};
use crate::{BuildError, Builder};

/// Images that are fit to be released.
#[derive(Debug)]
pub struct Release {
    /// In the order of the matrix.
    pub images: Vec<ReleasedImage>,
}

/// One image: what its tags lead to.
#[derive(Debug)]
pub struct ReleasedImage {
    /// Its name with its main tag.
    pub name: oci::Reference,
    /// Every name that it gets, the main one among them.
    pub names: Vec<oci::Reference>,
    /// The index of its manifests.
    pub index: Descriptor,
    /// What is known of it, for each architecture.
    pub records: Vec<ImageRecord>,
}

/// Why an image is not released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// The image.
    pub image: String,
    /// What is wrong.
    pub why: String,
}

/// What cannot be released.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// Nothing is meant.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The layout or the record cannot be read.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// What the registry has cannot be told.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The name of an image is none in a registry.
    #[error(transparent)]
    Reference(#[from] schema::reference::ReferenceError),
    /// Some images are not fit.
    #[error("cannot release {}", Listed(.0))]
    Unfit(Vec<Unfit>),
}

impl ReleaseError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Plan(error) => error.hint(),
            Self::Build(error) => error.hint(),
            Self::Registry(error) => error.hint(),
            Self::Reference(_) => None,
            Self::Unfit(_) => Some(
                "build and check them, on a machine for each architecture or with an emulator; \
                 `--unchecked ARCHITECTURE` releases what was not checked for it"
                    .to_owned(),
            ),
        }
    }
}

/// One unfit image in the sentence, several in lines of their own.
struct Listed<'a>(&'a [Unfit]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [Unfit { image, why }] => write!(formatter, "{image}: {why}"),
            several => {
                write!(formatter, "{} images", several.len())?;
                several.iter().try_for_each(|Unfit { image, why }| write!(formatter, "\n  {image}: {why}"))
            }
        }
    }
}

impl Release {
    /// What each name is to lead to.
    pub fn names(&self) -> BTreeMap<oci::Reference, Descriptor> {
        let names = |image: &ReleasedImage| {
            let index = image.index.clone();
            image.names.clone().into_iter().map(move |name| (name, index.clone()))
        };
        self.images.iter().flat_map(names).collect()
    }
}

impl Builder {
    /// The images of a selection, each with all that is built of it. Checks need not have been run for the architectures
    /// in `unchecked`.
    ///
    /// # Errors
    /// Images that are not built, or whose checks failed or were not run, all of them at once.
    pub fn release(
        &self,
        selection: &Selection,
        unchecked: &[Architecture],
    ) -> Result<Release, ReleaseError> {
        let targets = self.plan(selection)?;
        let manifests = self.manifests(&targets)?;
        let records = self.last_record()?.map(|record| record.images).unwrap_or_default();
        let (mut images, mut unfit) = (Vec::<ReleasedImage>::new(), Vec::new());
        for (target, manifest) in targets.iter().zip(manifests) {
            match fit(target, manifest, &records, unchecked.contains(&target.architecture)) {
                Ok(record) => self.add(&mut images, target, record)?,
                Err(why) => unfit.push(Unfit { image: full_name(target), why }),
            }
        }
        if unfit.is_empty() {
            unfit = self.scattered(&images)?;
        }
        if unfit.is_empty() { Ok(Release { images }) } else { Err(ReleaseError::Unfit(unfit)) }
    }

    /// Adds what is known of a target to the image of its name.
    fn add(
        &self,
        images: &mut Vec<ReleasedImage>,
        target: &Target,
        record: &ImageRecord,
    ) -> Result<(), BuildError> {
        if let Some(image) = images.iter_mut().find(|image| image.name.as_str() == target.name) {
            image.records.push(record.clone());
            return Ok(());
        }
        let parsed = |name: &String| name.parse().expect("names are made of words of the matrix");
        images.push(ReleasedImage {
            name: parsed(&target.name),
            names: target.release_references(&record.ruby).iter().map(parsed).collect(),
            index: self.images(&target.name)?.descriptor,
            records: vec![record.clone()],
        });
        Ok(())
    }

    /// The images that do not have all of their names in the layout: what is there for one architecture is of another
    /// Ruby than what is there for the other.
    fn scattered(&self, images: &[ReleasedImage]) -> Result<Vec<Unfit>, BuildError> {
        let known = self.layout()?.references()?;
        let mut unfit = Vec::new();
        for ReleasedImage { name, index, records, .. } in images {
            let names = records.iter().flat_map(|record| &record.references);
            let other = names.into_iter().find(|name| {
                known.get(name.as_str()).is_none_or(|descriptor| descriptor.digest != index.digest)
            });
            if let Some(other) = other {
                let why =
                    format!("{other} is not the same, so it was built for one architecture alone since");
                unfit.push(Unfit { image: name.to_string(), why });
            }
        }
        Ok(unfit)
    }

    /// What changes for those who use the images, in Markdown: the tags, and what differs from what the main tags lead to
    /// in the registry.
    ///
    /// # Errors
    /// A registry that cannot be read, or an image that is damaged.
    pub fn release_notes(
        &self,
        release: &Release,
        plan: &PushPlan,
        registry: &Registry<'_>,
        progress: &dyn Progress,
    ) -> Result<String, ReleaseError> {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for image in &release.images {
            let tag = image.name.repository_and_tag().map_or(image.name.as_str(), |(_, tag)| tag);
            let change = plan.tags.iter().find(|change| change.reference.tag() == Some(tag));
            let there = change.and_then(|change| Some(change.reference.repository().at(change.before?)));
            for record in &image.records {
                let name = format!("{} for {}", image.name, record.architecture);
                let old = match &there {
                    Some(reference) => self.manifest_of(registry, reference, record.architecture)?,
                    None => None,
                };
                match (&there, old) {
                    (_, Some(digest)) if digest == record.manifest => {
                        let same = || diff::Image {
                            name: name.clone(),
                            manifest: Some(digest),
                            ..diff::Image::default()
                        };
                        before.push(same());
                        after.push(same());
                        continue;
                    }
                    (Some(reference), Some(_)) => {
                        let pulled = registry.pull(&self.store, reference, record.architecture, progress)?;
                        let described = Loose::of(name.clone(), &pulled).describe();
                        before.push(described.map_err(BuildError::Compare)?);
                    }
                    _ => {}
                }
                let new = self.image(image.name.as_str(), Some(record.architecture))?;
                after.push(crate::compare::describe(name, &new)?);
            }
        }
        let comparison = Comparison::of_runs(&before, &after);
        Ok(format!("{}\n## What changed\n\n{}", table(release), comparison.markdown()))
    }

    /// The manifest for an architecture that a reference leads to; none where there is none for it.
    fn manifest_of(
        &self,
        registry: &Registry<'_>,
        reference: &Reference,
        architecture: Architecture,
    ) -> Result<Option<Digest>, RegistryError> {
        match registry.resolve(&self.store, reference, architecture) {
            Err(error) if matches!(*error.fault, Fault::NoArchitecture { .. }) => Ok(None),
            resolved => resolved.map(Some),
        }
    }
}

/// What is known of a target that may be released, or why it may not.
fn fit<'r>(
    target: &Target,
    manifest: Option<Digest>,
    records: &'r [ImageRecord],
    may_be_unchecked: bool,
) -> Result<&'r ImageRecord, String> {
    let Some(manifest) = manifest else { return Err("it is not built".to_owned()) };
    let is_its = |record: &&ImageRecord| {
        record.name == target.name
            && record.architecture == target.architecture
            && record.manifest == manifest
    };
    let Some(record) = records.iter().find(is_its) else {
        return Err("the record of the last run has another image".to_owned());
    };
    let is_failed = |outcome: &CheckOutcome| matches!(outcome, CheckOutcome::Failed { .. });
    let failed = record.checks.iter().filter(|check| is_failed(&check.outcome));
    let failed: Vec<&str> = failed.map(|check| check.name.as_str()).collect();
    if !failed.is_empty() {
        return Err(format!("failed: {}", failed.join(", ")));
    }
    if may_be_unchecked {
        return Ok(record);
    }
    if record.checks.is_empty() {
        return Err("its checks were not run".to_owned());
    }
    match record.checks_not_run().next() {
        Some((_, why)) => Err(format!("not checked: {why}")),
        None => Ok(record),
    }
}

fn full_name(target: &Target) -> String {
    format!("{} for {}", target.name, target.architecture)
}

/// The tags of each image, and its digest.
fn table(release: &Release) -> String {
    let mut text = "## Images\n\n| Tags | Digest |\n|---|---|\n".to_owned();
    for ReleasedImage { names, index, .. } in &release.images {
        let tags = names.iter().map(|name| {
            let tag = name.repository_and_tag().map_or(name.as_str(), |(_, tag)| tag);
            format!("`{tag}`")
        });
        let tags = tags.collect::<Vec<_>>().join(", ");
        writeln!(text, "| {tags} | `{}` |", index.digest).expect("writing to a text never fails");
    }
    text
}

//! Builds that are spread over several machines: each hands its *part* on through a registry, and one joins them.
//!
//! A part is an index: of the manifests that a machine built, each annotated with the name of its image, of the documents
//! about them, and of an artifact that has the machine's run record. Everything in it is named by its digest. Joined, parts
//! make the layout and the record that one machine would have made that built everything.

use std::collections::BTreeMap;

use oci::document::{Annotations, Descriptor};
use oci::{Layout, LayoutError, NewBlob, NewDocument, NewIndex, Prefer, Writer, annotation, media_type};
use registry::{Progress, Pushed, Registry, RegistryError};
use schema::reference::Reference;
use schema::run::{ImageRecord, RunRecord, RunRecordError, VERSION};

use crate::build::Built;
use crate::plan::Target;
use crate::recording::RECORD;
use crate::selection::{PlanError, Selection};
use crate::{BuildError, Builder};

/// What the artifact is that has the run record.
const RUN: &str = "application/vnd.distroless-ruby.run+json";

/// What keeps a part from being handed on or joined.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// The layout, the record or the matrix is at fault.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The layout cannot be read or written.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The images are not of the matrix.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The registry is at fault.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Nothing was built.
    #[error("there is nothing to hand on: the last run built no image")]
    Nothing,
    /// The record and the layout do not belong together.
    #[error("the layout has another {image} than the record of the last run")]
    Outdated {
        /// The image.
        image: String,
    },
    /// What a reference leads to is no part.
    #[error("{reference} is no part of a build: {what}")]
    NoPart {
        /// The reference.
        reference: String,
        /// What is missing or too much.
        what: String,
    },
    /// Its run record is none.
    #[error("cannot read the run record of {reference}")]
    Record {
        /// The reference.
        reference: String,
        /// Why.
        source: RunRecordError,
    },
}

impl PartError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Build(error) => error.hint(),
            Self::Layout(error) => error.hint(),
            Self::Plan(error) => error.hint(),
            Self::Registry(error) => error.hint(),
            Self::Nothing | Self::Outdated { .. } => Some("run `cargo xtask build-all`".to_owned()),
            Self::NoPart { .. } | Self::Record { .. } => {
                Some("name what `cargo xtask part push` of the same project and matrix sent".to_owned())
            }
        }
    }
}

impl Builder {
    /// Sends what the last run made of this machine's images under one tag, for another machine to join.
    ///
    /// # Errors
    /// Nothing that was built, or a registry that does not take it.
    pub fn push_part(
        &self,
        to: &Reference,
        registry: &Registry<'_>,
        progress: &dyn Progress,
    ) -> Result<Pushed, PartError> {
        let record = self.last_record()?.filter(|record| !record.images.is_empty());
        let record = record.ok_or(PartError::Nothing)?;
        let layout = self.layout()?;
        // Held until it is sent: nothing in the layout names the part.
        let writer = layout.writer()?;
        let index = put_part(&layout, &writer, &record)?;
        let name = format!("part:{}", to.tag().unwrap_or("latest"));
        let name = name.parse().expect("a tag is a word");
        let names = BTreeMap::from([(name, index)]);
        let plan = registry.plan_push(&layout, &names, to.repository(), &[])?;
        let pushed = registry.push(&layout, &plan, progress)?;
        drop(writer);
        layout.remove_unreferenced()?;
        Ok(pushed)
    }

    /// Brings the parts that were pushed elsewhere, and names their images in the layout beside those that are there;
    /// the record and the documents about them too. Gives the images.
    ///
    /// # Errors
    /// A part that is damaged or of another project, or a registry that cannot be read. No image has a new name then.
    pub fn join_parts(
        &self,
        parts: &[Reference],
        registry: &Registry<'_>,
        progress: &dyn Progress,
    ) -> Result<Vec<ImageRecord>, PartError> {
        let layout = Layout::create(&self.options.dist.join("oci"))?;
        let writer = layout.writer()?;
        let all = self.plan(&Selection::every())?;
        let (mut targets, mut built) = (Vec::new(), Vec::new());
        for reference in parts {
            let root = registry.bring(&self.store, &writer, reference, progress)?;
            for image in read_part(&layout, reference, &root)? {
                targets.push(target_of(&all, reference, &image.record)?);
                built.push(image);
            }
        }
        self.name(&layout, &writer, &built.iter().collect::<Vec<_>>(), false)?;
        let checks = built.iter().map(|built| built.record.checks.clone()).collect();
        self.write_record(&targets, &built, Some(checks))?;
        drop(writer);
        layout.remove_unreferenced()?;
        Ok(built.into_iter().map(|built| built.record).collect())
    }
}

/// Puts the index of a part into the layout, where it has no name.
fn put_part(layout: &Layout, writer: &Writer<'_>, record: &RunRecord) -> Result<Descriptor, PartError> {
    let mut manifests: Vec<Descriptor> = Vec::new();
    let mut documents: Vec<Descriptor> = Vec::new();
    let referrers = layout.referrers()?;
    for image in &record.images {
        let outdated = || PartError::Outdated { image: image.name.clone() };
        let index = layout.resolve(&image.name)?;
        if index.image(image.architecture, Prefer::Gzip)?.descriptor.digest != image.manifest {
            return Err(outdated());
        }
        let is_its = |manifest: &&Descriptor| {
            manifest.platform.as_ref().is_some_and(|platform| platform.is_linux(image.architecture))
        };
        for manifest in index.images.iter().filter(is_its) {
            documents.extend(referrers.of(&manifest.digest).map(|one| one.descriptor.clone()));
            let mut manifest = manifest.clone();
            manifest.annotations.insert(annotation::REF_NAME.to_owned(), image.name.clone());
            manifests.push(manifest);
        }
    }
    let artifact = NewDocument::new(RUN, RECORD, NewBlob::new(record.render().into_bytes()));
    writer.put_document(&artifact)?;
    let named = manifests.into_iter().chain(documents).chain([artifact.descriptor]);
    let index = NewIndex::new(named, Annotations::new());
    writer.put_index(&index)?;
    writer.publish()?;
    Ok(index.descriptor)
}

/// The images of a part that is in the layout.
fn read_part(layout: &Layout, reference: &Reference, root: &Descriptor) -> Result<Vec<Built>, PartError> {
    let no_part = |what: &str| PartError::NoPart { reference: reference.to_string(), what: what.to_owned() };
    if root.media_type != media_type::INDEX {
        return Err(no_part("it is no index"));
    }
    let listed = layout.listed(root)?;
    let (mut run, mut referrers) = (None, Vec::new());
    let mut images: BTreeMap<String, Vec<Descriptor>> = BTreeMap::new();
    for mut descriptor in listed {
        if let Some(name) = descriptor.annotations.remove(annotation::REF_NAME) {
            images.entry(name).or_default().push(descriptor);
        } else if descriptor.artifact_type.as_deref() == Some(RUN) {
            run = Some(descriptor);
        } else {
            let referrer = layout.referrer(descriptor)?;
            referrers.push(referrer.ok_or_else(|| no_part("it has something that is about no image"))?);
        }
    }
    let run = layout.manifest(&run.ok_or_else(|| no_part("it has no run record"))?)?;
    let [document] = run.layers.as_slice() else { return Err(no_part("its run record is not one document")) };
    let text = String::from_utf8_lossy(&layout.blob(document)?).into_owned();
    let RunRecord { version: VERSION, images: records } = RunRecord::parse(&text)
        .map_err(|source| PartError::Record { reference: reference.to_string(), source })?
    else {
        return Err(no_part("its run record is of another version"));
    };
    let mut built = Vec::new();
    for record in records {
        let of_image = images.get(&record.name).into_iter().flatten().filter(|manifest| {
            manifest.platform.as_ref().is_some_and(|platform| platform.is_linux(record.architecture))
        });
        let (first, others): (Vec<&Descriptor>, Vec<&Descriptor>) =
            of_image.partition(|manifest| manifest.digest == record.manifest);
        let (Some(&first), zstd) = (first.first(), others.first().copied()) else {
            return Err(no_part(&format!("it does not have {} for {}", record.name, record.architecture)));
        };
        let subjects: Vec<_> = [first].into_iter().chain(zstd).map(|manifest| manifest.digest).collect();
        let about = referrers.iter().filter(|one| subjects.contains(&one.subject));
        let annotations = layout.image(first.clone())?.manifest.annotations;
        built.push(Built {
            descriptor: first.clone(),
            zstd: zstd.cloned(),
            referrers: about.cloned().collect(),
            annotations,
            record,
        });
    }
    Ok(built)
}

/// The target that a record is of, which has to have the same names.
fn target_of(all: &[Target], reference: &Reference, record: &ImageRecord) -> Result<Target, PartError> {
    let is_its = |target: &&Target| {
        target.name == record.name
            && target.architecture == record.architecture
            && target.references(&record.ruby) == record.references
    };
    let found = all.iter().find(is_its).cloned();
    found.ok_or_else(|| PartError::NoPart {
        reference: reference.to_string(),
        what: format!("the matrix has no {} for {}", record.name, record.architecture),
    })
}

//! What a layout has into a repository.
//!
//! The order makes what is seen whole at any moment: blobs, manifests of images, what refers to them, indexes, and at
//! last every tag. Killed before that, nothing that has a name changed; run again, what is there is not sent again.

use std::collections::{BTreeMap, BTreeSet};

use oci::document::Descriptor;
use oci::{Contents, Layout, Referrer, media_type};
use schema::Digest;
use schema::reference::{Reference, Repository};

use crate::access::Scope;
use crate::connection::{CONNECTIONS, Place, Registry};
use crate::error::{Fault, RegistryError};
use crate::hosts::Endpoint;
use crate::parallel;
use crate::progress::{BlobProgress, Event, Outcome, Progress};
use crate::referrers::{self, Listed};

/// What a push would do, found out without changing anything.
#[derive(Debug, Clone)]
pub struct PushPlan {
    /// Every tag, in the order of their names.
    pub tags: Vec<TagChange>,
    /// Blobs that the repository does not have; from which other one of the registry, where it has them there.
    pub missing: Vec<(Descriptor, Option<String>)>,
    /// Blobs that it has.
    pub there: usize,
    /// Manifests and indexes that it does not have, of referrers too.
    pub documents: Vec<Descriptor>,
    contents: Contents,
    lists: BTreeMap<Digest, Listed>,
    repository: Repository,
}

/// What a tag leads to, before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagChange {
    /// The tag, with its repository.
    pub reference: Reference,
    /// What it leads to now, where it is there.
    pub before: Option<Digest>,
    /// What it is to lead to.
    pub after: Digest,
    media_type: String,
}

/// What a push did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pushed {
    /// Blobs that were sent.
    pub sent: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that the registry had in another repository.
    pub mounted: usize,
    /// Blobs that were there.
    pub there: usize,
    /// Manifests and indexes that were sent, tags among them.
    pub documents: usize,
}

impl TagChange {
    /// Whether it is as it should be.
    pub fn is_done(&self) -> bool {
        self.before == Some(self.after)
    }
}

impl PushPlan {
    /// The bytes that would be sent; of those that are mounted none, if the registry agrees.
    pub fn bytes(&self) -> u64 {
        self.missing.iter().filter(|(_, from)| from.is_none()).map(|(blob, _)| blob.size).sum()
    }
}

/// A repository that is pushed to.
pub(crate) struct Destination {
    endpoint: Endpoint,
    scope: Scope,
    path: String,
}

impl Destination {
    pub(crate) fn place(&self) -> Place<'_> {
        Place { endpoint: &self.endpoint, repository: &self.path, scope: &self.scope }
    }
}

impl Registry<'_> {
    /// What it takes to have what `names` lead to in a layout in a repository, under the same tags. Blobs are taken
    /// from `others`, repositories of the same registry, where these have them.
    ///
    /// # Errors
    /// A layout that is damaged; a name without a tag, or two that would have the same; a registry that cannot be reached
    /// or does not let us.
    pub fn plan_push(
        &self,
        layout: &Layout,
        names: &BTreeMap<oci::Reference, Descriptor>,
        to: &Repository,
        others: &[Repository],
    ) -> Result<PushPlan, RegistryError> {
        self.plan(layout, names, to, others).map_err(RegistryError::push(to))
    }

    /// Does what a plan says.
    ///
    /// # Errors
    /// A layout that is damaged, or a registry that refuses something. No tag was changed then, unless setting them
    /// failed.
    pub fn push(
        &self,
        layout: &Layout,
        plan: &PushPlan,
        progress: &dyn Progress,
    ) -> Result<Pushed, RegistryError> {
        self.carry_out(layout, plan, progress).map_err(RegistryError::push(&plan.repository))
    }

    pub(crate) fn destination(&self, to: &Repository, others: &[String]) -> Destination {
        Destination {
            endpoint: self.hosts.endpoint(to.registry()),
            scope: Scope::push(to.path(), others.iter().map(String::as_str)),
            path: to.path().to_owned(),
        }
    }

    fn plan(
        &self,
        layout: &Layout,
        names: &BTreeMap<oci::Reference, Descriptor>,
        to: &Repository,
        others: &[Repository],
    ) -> Result<PushPlan, Fault> {
        if self.client.is_offline() {
            return Err(Fault::Offline { what: to.to_string() });
        }
        let others = others.iter().filter(|other| other.registry() == to.registry() && *other != to);
        let others: Vec<String> = others.map(|other| other.path().to_owned()).collect();
        let wanted = tags(names, to)?;
        let contents = layout.contents(names.values().cloned())?;
        let destination = self.destination(to, &others);
        let place = destination.place();

        // The first request alone, so that one token is asked for.
        let mut tags = Vec::with_capacity(wanted.len());
        let head = |change: &TagChange| self.tag(place, change.reference.tag().unwrap_or_default());
        let (first, rest) = wanted.split_at(wanted.len().min(1));
        for part in [first, rest] {
            let before = parallel::each(CONNECTIONS, part, head)?;
            let changes = part.iter().zip(before);
            tags.extend(changes.map(|(change, before)| TagChange { before, ..change.clone() }));
        }
        let blobs: Vec<&Descriptor> = contents.blobs.values().collect();
        let found = parallel::each(CONNECTIONS, &blobs, |blob| {
            if self.has_blob(place, &blob.digest)? {
                return Ok(None);
            }
            Ok::<_, Fault>(Some(self.mountable(place, &blob.digest, &others).cloned()))
        })?;
        let missing = blobs.iter().zip(found).filter_map(|(blob, from)| Some(((*blob).clone(), from?)));
        let mut missing: Vec<(Descriptor, Option<String>)> = missing.collect();
        // The largest first: it decides when all of them are there.
        missing.sort_by_key(|(blob, _)| std::cmp::Reverse(blob.size));

        let documents: Vec<&Descriptor> =
            contents.documents.iter().chain(contents.referrers.iter().map(|one| &one.descriptor)).collect();
        let have = parallel::each(CONNECTIONS, &documents, |document| {
            self.tag(place, &document.digest.to_string()).map(|found| found.is_some())
        })?;
        let documents =
            documents.iter().zip(have).filter(|(_, have)| !have).map(|(document, _)| (*document).clone());
        let documents = documents.collect();

        let subjects: BTreeSet<Digest> = contents.referrers.iter().map(|one| one.subject).collect();
        let subjects: Vec<Digest> = subjects.into_iter().collect();
        let lists = parallel::each(CONNECTIONS, &subjects, |subject| self.listed(place, subject))?;
        Ok(PushPlan {
            tags,
            there: blobs.len() - missing.len(),
            missing,
            documents,
            lists: subjects.into_iter().zip(lists).collect(),
            contents,
            repository: to.clone(),
        })
    }

    fn carry_out(&self, layout: &Layout, plan: &PushPlan, progress: &dyn Progress) -> Result<Pushed, Fault> {
        let from: BTreeSet<&String> = plan.missing.iter().filter_map(|(_, from)| from.as_ref()).collect();
        let from: Vec<String> = from.into_iter().cloned().collect();
        let destination = self.destination(&plan.repository, &from);
        let place = destination.place();
        let mut pushed = self.put_blobs(layout, place, plan, progress)?;

        let missing: BTreeSet<Digest> = plan.documents.iter().map(|document| document.digest).collect();
        let put = |document: &&Descriptor| -> Result<(), Fault> {
            let bytes = layout.blob(document)?;
            self.put_document(place, &document.digest.to_string(), &document.media_type, &bytes)
        };
        let is_missing = |document: &&Descriptor| missing.contains(&document.digest);
        let (indexes, images): (Vec<&Descriptor>, Vec<&Descriptor>) = plan
            .contents
            .documents
            .iter()
            .filter(is_missing)
            .partition(|document| document.media_type == media_type::INDEX);
        let about = plan.contents.referrers.iter().map(|one| &one.descriptor).filter(is_missing);
        let about: Vec<&Descriptor> = about.collect();
        pushed.documents += parallel::each(CONNECTIONS, &images, put)?.len();
        pushed.documents += parallel::each(CONNECTIONS, &about, put)?.len();
        pushed.documents += self.put_lists(place, plan)?;
        // An index may be in another one, which then stands after it.
        indexes.iter().try_for_each(put)?;
        pushed.documents += indexes.len();

        let tags: Vec<&TagChange> = plan.tags.iter().filter(|change| !change.is_done()).collect();
        let bytes = tags.iter().map(|change| {
            let document = plan.contents.documents.iter().find(|document| document.digest == change.after);
            layout.blob(document.expect("every name leads to a document of the contents"))
        });
        // Read before the first is set.
        let bytes = bytes.collect::<Result<Vec<_>, _>>()?;
        for (change, bytes) in tags.iter().zip(bytes) {
            let tag = change.reference.tag().unwrap_or_default();
            self.put_document(place, tag, &change.media_type, &bytes)?;
        }
        pushed.documents += tags.len();
        Ok(pushed)
    }

    fn put_blobs(
        &self,
        layout: &Layout,
        place: Place<'_>,
        plan: &PushPlan,
        progress: &dyn Progress,
    ) -> Result<Pushed, Fault> {
        let PushPlan { missing, there, .. } = plan;
        let bytes = missing.iter().map(|(blob, _)| blob.size).sum();
        progress.tell(&Event::Begin { blobs: missing.len(), bytes });
        let outcomes = parallel::each(CONNECTIONS, missing, |(blob, from)| {
            let Descriptor { digest, size, .. } = *blob;
            progress.tell(&Event::Blob { digest: &digest, size });
            let content = layout.blob(blob)?;
            let told = BlobProgress::new(digest, progress);
            let outcome = self.put_blob(place, digest, &content, from.as_deref(), &told)?;
            told.done(size, outcome);
            Ok::<_, Fault>((size, outcome))
        })?;
        let mut pushed = Pushed { there: *there, ..Pushed::default() };
        for (size, outcome) in outcomes {
            match outcome {
                Outcome::Moved => {
                    pushed.sent += 1;
                    pushed.bytes += size;
                }
                Outcome::Mounted => pushed.mounted += 1,
                Outcome::There => pushed.there += 1,
            }
        }
        Ok(pushed)
    }

    /// Lists referrers where the registry does not do so itself, and says how many lists it took.
    fn put_lists(&self, place: Place<'_>, plan: &PushPlan) -> Result<usize, Fault> {
        let mut count = 0;
        for (subject, listed) in &plan.lists {
            let Listed::ByTag(index) = listed else { continue };
            let about: Vec<&Referrer> =
                plan.contents.referrers.iter().filter(|one| one.subject == *subject).collect();
            if let Some((descriptor, bytes)) = referrers::joined(index.clone(), &about) {
                self.put_document(place, &referrers::tag_of(subject), &descriptor.media_type, &bytes)?;
                count += 1;
            }
        }
        Ok(count)
    }
}

/// The tags that names become.
fn tags(names: &BTreeMap<oci::Reference, Descriptor>, to: &Repository) -> Result<Vec<TagChange>, Fault> {
    let mut tags: BTreeMap<String, (&oci::Reference, TagChange)> = BTreeMap::new();
    for (name, descriptor) in names {
        let tag = name.repository_and_tag().map_or(name.as_str(), |(_, tag)| tag);
        let reference = to.tagged(tag)?;
        let (after, media_type) = (descriptor.digest, descriptor.media_type.clone());
        let change = TagChange { reference, before: None, after, media_type };
        if let Some((first, before)) = tags.insert(tag.to_owned(), (name, change))
            && before.after != after
        {
            let (first, second) = (first.to_string(), name.to_string());
            return Err(Fault::SameTag { first, second, tag: tag.to_owned() });
        }
    }
    Ok(tags.into_values().map(|(_, change)| change).collect())
}

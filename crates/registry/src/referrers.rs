//! Documents about an image in a registry: in the list that the registry keeps itself, or where it keeps none in an index
//! under a tag that is made of the subject's digest (OCI distribution specification, "Listing Referrers" and "Referrers
//! Tag Schema").

use cache::{Method, Request};
use oci::Referrer;
use oci::document::{self, Descriptor, Index};
use oci::media_type;
use schema::Digest;

use crate::connection::{Place, Registry};
use crate::error::Fault;
use crate::manifests::DOCUMENT_LIMIT;

/// What a registry lists about one subject.
#[derive(Debug, Clone)]
pub(crate) enum Listed {
    /// By itself.
    ByRegistry,
    /// In an index under a tag that whoever pushes keeps.
    ByTag(Index),
}

/// The tag of the index about a subject.
pub(crate) fn tag_of(subject: &Digest) -> String {
    format!("sha256-{}", subject.hex())
}

impl Registry<'_> {
    /// What is listed about a subject, and by whom.
    pub(crate) fn listed(&self, place: Place<'_>, subject: &Digest) -> Result<Listed, Fault> {
        let url = place.url(&format!("referrers/{subject}"));
        let request = Request {
            headers: vec![("accept", media_type::INDEX.to_owned())],
            limit: DOCUMENT_LIMIT,
            ..Request::new(Method::Get, &url)
        };
        let answer = self.send(place, &request)?;
        // A registry that knows nothing of referrers may also find the address wrong, or answer with a page.
        let knows = answer.status == 200
            && answer.header("content-type").is_some_and(|form| form.starts_with(media_type::INDEX));
        if knows {
            return Ok(Listed::ByRegistry);
        }
        if matches!(answer.status, 401 | 403 | 429 | 500..) {
            return Err(self.denied(place, &answer));
        }
        match self.document(place, &tag_of(subject), None) {
            Ok(document) => Ok(Listed::ByTag(document.index()?)),
            Err(fault) if fault.is_not_found() => Ok(Listed::ByTag(Index::new(Vec::new()))),
            Err(fault) => Err(fault),
        }
    }
}

/// The index with these referrers of a subject; none where it has all of them already.
pub(crate) fn joined(mut index: Index, referrers: &[&Referrer]) -> Option<(Descriptor, Vec<u8>)> {
    let before = index.manifests.len();
    for Referrer { descriptor, .. } in referrers {
        if !index.manifests.iter().any(|listed| listed.digest == descriptor.digest) {
            index.manifests.push(descriptor.clone());
        }
    }
    if index.manifests.len() == before {
        return None;
    }
    index.media_type = Some(media_type::INDEX.to_owned());
    let bytes = document::canonical(&index);
    Some((Descriptor::of(media_type::INDEX, &bytes), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_grows_by_what_is_new() {
        let referrer = |content: &str| Referrer {
            descriptor: Descriptor::of(media_type::MANIFEST, content.as_bytes()),
            subject: Digest::of(b"subject"),
            title: None,
        };
        let (one, two) = (referrer("one"), referrer("two"));
        let (_, bytes) = joined(Index::new(Vec::new()), &[&one]).expect("a new one");
        let index: Index = document::parse(&bytes).unwrap();
        assert!(joined(index.clone(), &[&one]).is_none());
        let (_, bytes) = joined(index, &[&one, &two]).expect("another new one");
        let index: Index = document::parse(&bytes).unwrap();
        assert_eq!(index.manifests, [one.descriptor, two.descriptor]);
    }
}

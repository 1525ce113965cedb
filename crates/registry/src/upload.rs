//! A blob into a repository: not at all where it is there, by a word where the registry has it elsewhere, and otherwise
//! in one piece (OCI distribution specification, "Pushing Blobs": "POST then PUT", "Mounting a blob from another
//! repository").

use cache::{Method, Request, Upload};
use schema::Digest;

use crate::access::Scope;
use crate::api::ERROR_LIMIT;
use crate::connection::{Place, Registry, Stop};
use crate::error::Fault;
use crate::progress::{BlobProgress, Outcome};

impl Registry<'_> {
    /// Whether a repository has this blob.
    pub(crate) fn has_blob(&self, place: Place<'_>, digest: &Digest) -> Result<bool, Fault> {
        let url = place.url(&format!("blobs/{digest}"));
        let answer = self.expect(place, &Request::new(Method::Head, &url), &[200, 404])?;
        Ok(answer.status == 200)
    }

    /// The first of these other repositories that has the blob, and lets us see it.
    pub(crate) fn mountable<'b>(
        &self,
        place: Place<'_>,
        digest: &Digest,
        others: &'b [String],
    ) -> Option<&'b String> {
        others.iter().filter(|other| *other != place.repository).find(|other| {
            let scope = Scope::pull(other);
            // Where it cannot be told, the blob is sent.
            self.has_blob(Place { repository: other, scope: &scope, ..place }, digest).unwrap_or(false)
        })
    }

    /// Puts a blob into a repository that does not have it. `from` is another one that does.
    pub(crate) fn put_blob(
        &self,
        place: Place<'_>,
        digest: Digest,
        bytes: &[u8],
        from: Option<&str>,
        progress: &BlobProgress<'_>,
    ) -> Result<Outcome, Fault> {
        let url = place.url("blobs/uploads/");
        let outcome = self.client.attempts(&url, || {
            match self.try_put_blob(place, &url, digest, bytes, from, progress) {
                Ok(outcome) => Ok(Ok(outcome)),
                Err(Stop::Lasting(fault)) => Ok(Err(fault)),
                Err(Stop::Passing(fault)) => Err(fault),
            }
        });
        outcome.unwrap_or_else(|failure| Err(Fault::Unreachable(failure)))
    }

    fn try_put_blob(
        &self,
        place: Place<'_>,
        url: &str,
        digest: Digest,
        bytes: &[u8],
        from: Option<&str>,
        progress: &BlobProgress<'_>,
    ) -> Result<Outcome, Stop> {
        let mount = from.map(|from| format!("{url}?mount={digest}&from={from}"));
        let nothing = Upload { bytes: &[], progress: &() };
        let start = Request {
            body: Some(nothing),
            limit: ERROR_LIMIT,
            ..Request::new(Method::Post, mount.as_deref().unwrap_or(url))
        };
        let session = self.send_once(place, &start)?;
        match session.status {
            201 if from.is_some() => return Ok(Outcome::Mounted),
            202 => {}
            _ => return Err(self.denied(place, &session).into()),
        }
        let location = session.location().map_err(Stop::Passing)?;
        let separator = if location.contains('?') { '&' } else { '?' };
        let location = format!("{location}{separator}digest={digest}");
        let put = Request {
            headers: vec![("content-type", "application/octet-stream".to_owned())],
            body: Some(Upload { bytes, progress: &progress.attempt() }),
            limit: ERROR_LIMIT,
            ..Request::new(Method::Put, &location)
        };
        let done = self.send_once(place, &put)?;
        if done.status != 201 {
            return Err(self.denied(place, &done).into());
        }
        match done.header("docker-content-digest") {
            Some(found) if found != digest.to_string() => {
                Err(Fault::StoredOther { expected: digest, found: found.to_owned() }.into())
            }
            _ => Ok(Outcome::Moved),
        }
    }

    /// Puts a manifest or an index, under its digest or a tag.
    pub(crate) fn put_document(
        &self,
        place: Place<'_>,
        name: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        let url = place.url(&format!("manifests/{name}"));
        let request = Request {
            headers: vec![("content-type", media_type.to_owned())],
            body: Some(Upload { bytes, progress: &() }),
            limit: ERROR_LIMIT,
            ..Request::new(Method::Put, &url)
        };
        self.expect(place, &request, &[201]).map(drop)
    }
}

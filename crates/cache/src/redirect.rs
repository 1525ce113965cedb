//! Where a redirect leads, and where it may not lead.

use ureq::http::Uri;

use crate::fault::{Fault, shown};

/// How many redirects are followed, one after another.
pub(crate) const MOST: usize = 5;

/// The address that `location`, as a server at `from` gave it, stands for (RFC 3986, section 5.2).
///
/// A connection that was protected stays protected: from `https` to `http` it does not go.
pub(crate) fn follow(from: &str, location: &str) -> Result<String, Fault> {
    let refuse = |reason| Fault::Redirect { target: shown(location), reason };
    let uri: Uri = from.parse().map_err(|_| refuse("from an address that is none"))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(refuse("from an address that is none"));
    };
    let target = if location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = uri.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    let target_uri: Uri = target.parse().map_err(|_| refuse("which is no address"))?;
    match target_uri.scheme_str() {
        Some("https") => Ok(target),
        Some("http") if scheme == "http" => Ok(target),
        Some("http") => Err(refuse("where the connection would not be protected any more")),
        _ => Err(refuse("which is neither http nor https")),
    }
}

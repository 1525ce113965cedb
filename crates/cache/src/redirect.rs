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

/// Whether two addresses have the same origin (RFC 6454, section 5). A port that is not written is the scheme's own.
pub fn same_origin(one: &str, other: &str) -> bool {
    let origin = |address: &str| {
        let uri: Uri = address.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        Some((scheme, uri.host()?.to_ascii_lowercase(), port))
    };
    origin(one).is_some_and(|one| Some(one) == origin(other))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn locations_are_understood() {
        let from = "http://host.example:8080/debian/pool/a.deb?x=1";
        for (location, target) in [
            ("http://other.example/b.deb", "http://other.example/b.deb"),
            ("https://other.example/b.deb", "https://other.example/b.deb"),
            ("//other.example/b.deb", "http://other.example/b.deb"),
            ("/b.deb?y=2", "http://host.example:8080/b.deb?y=2"),
            ("b.deb", "http://host.example:8080/debian/pool/b.deb"),
            ("", "http://host.example:8080/debian/pool/"),
        ] {
            assert_eq!(follow(from, location).unwrap(), target, "{location}");
        }
        assert_eq!(follow("https://host.example", "b.deb").unwrap(), "https://host.example/b.deb");
    }

    #[test]
    fn some_are_not_followed() {
        for (from, location, message) in [
            (
                "https://host.example/a",
                "http://user:secret@host.example/a",
                "redirected to `http://host.example/a`, where the connection would not be protected any more",
            ),
            (
                "http://host.example/a",
                "file:///etc/passwd",
                "redirected to `file:///etc/passwd`, which is no address",
            ),
            (
                "http://host.example/a",
                "ftp://b/c",
                "redirected to `ftp://b/c`, which is neither http nor https",
            ),
            ("http://host.example/a", "http://", "redirected to `http://`, which is no address"),
            ("http://host.example/a", "/with space", "redirected to `/with space`, which is no address"),
        ] {
            assert_eq!(follow(from, location).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let one = "https://host.example/a?b";
        for same in ["https://host.example/c", "https://HOST.example:443/a"] {
            assert!(same_origin(one, same), "{same}");
        }
        for other in
            ["http://host.example/a", "https://host.example:5000/a", "https://a.host.example/a", "a", ""]
        {
            assert!(!same_origin(one, other), "{other}");
        }
        assert!(!same_origin("", ""));
    }

    proptest! {
        #[test]
        fn no_location_panics_or_leaves_the_protected(location in ".*") {
            if let Ok(target) = follow("https://host.example/a/b", &location) {
                prop_assert!(target.starts_with("https://"), "{}", target);
            }
        }
    }
}

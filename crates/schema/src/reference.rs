//! Names of images in registries, as `docker.io/library/ruby:3.4-trixie` or `ghcr.io/team/ruby@sha256:…`.
//!
//! The grammar of repositories and tags is that of the OCI distribution specification ("Pulling manifests"). What stands
//! before the first `/` is a registry where it has a dot, a port, or is `localhost`; otherwise the registry is Docker
//! Hub, and a repository of one word is one of its official images, as Docker understands names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Digest, name};

/// The registry of names that have none.
pub const DOCKER_HUB: &str = "docker.io";
/// Where Docker Hub has its official images.
const OFFICIAL: &str = "library";
/// The tag of names that have neither tag nor digest.
const LATEST: &str = "latest";
const TAG_LIMIT: usize = 128;

/// A repository of a registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    registry: String,
    path: String,
}

/// An image in a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    repository: Repository,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text that names no image or repository in a registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no name in a registry: {what}")]
pub struct ReferenceError {
    text: String,
    what: &'static str,
}

impl Repository {
    /// The host of the registry, with its port where it has one: `docker.io`, `localhost:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The name in the registry: `library/ruby`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What a tag names in this repository.
    ///
    /// # Errors
    /// A text that is no tag.
    pub fn tagged(&self, tag: &str) -> Result<Reference, ReferenceError> {
        let what = "a tag has at most 128 letters, digits and `_.-`, and starts with none of `.-`";
        let wrong = || ReferenceError { text: format!("{self}:{tag}"), what };
        is_tag(tag).then_some(()).ok_or_else(wrong)?;
        Ok(Reference { repository: self.clone(), tag: Some(tag.to_owned()), digest: None })
    }

    /// What a digest names in this repository.
    pub fn at(&self, digest: Digest) -> Reference {
        Reference { repository: self.clone(), tag: None, digest: Some(digest) }
    }
}

impl Reference {
    /// Where it is.
    pub const fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Its tag. With a digest beside it, it is a remark for people.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of its manifest or index.
    pub const fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The same image, whatever becomes of its tag.
    #[must_use]
    pub fn pinned(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let wrong = |what| ReferenceError { text: text.to_owned(), what };
        let (registry, path) = match text.split_once('/') {
            Some((first, rest)) if is_registry(first) => (first, rest.to_owned()),
            _ if text.contains('/') => (DOCKER_HUB, text.to_owned()),
            _ => (DOCKER_HUB, format!("{OFFICIAL}/{text}")),
        };
        let registry = if registry == "index.docker.io" { DOCKER_HUB } else { registry };
        let path = match path.split_once('/') {
            None if registry == DOCKER_HUB => format!("{OFFICIAL}/{path}"),
            _ => path,
        };
        is_host(registry).then_some(()).ok_or_else(|| wrong("its registry is no host"))?;
        let grammar = "a repository consists of lower-case letters and digits, joined by one of `.`, `_`, `__`, `-` and `/`";
        name::is_registry_path(&path).then_some(()).ok_or_else(|| wrong(grammar))?;
        Ok(Self { registry: registry.to_owned(), path })
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let wrong = |what| ReferenceError { text: text.to_owned(), what };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let digest: Digest =
                    digest.parse().map_err(|_| wrong("what follows `@` is no SHA-256 digest"))?;
                (name, Some(digest))
            }
            None => (text, None),
        };
        // A colon before the last slash is that of a port.
        let tag_at = name.rfind(':').filter(|&colon| name.rfind('/').is_none_or(|slash| slash < colon));
        let (name, tag) = tag_at.map_or((name, None), |colon| (&name[..colon], Some(&name[colon + 1..])));
        let repository: Repository = name
            .parse()
            .map_err(|error: ReferenceError| ReferenceError { text: text.to_owned(), ..error })?;
        let tag = tag.map(|tag| repository.tagged(tag)).transpose()?.and_then(|tagged| tagged.tag);
        let tag = tag.or_else(|| digest.is_none().then(|| LATEST.to_owned()));
        Ok(Self { repository, tag, digest })
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.registry, self.path)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repository.fmt(formatter)?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(formatter, "@{digest}"))
    }
}

/// Whether the first part of a name is a registry and no repository.
fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':', '['])
}

/// A host name, an IPv4 address or an IPv6 one in brackets, with a port or without.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rfind(':').filter(|colon| !text[*colon..].contains(']')) {
        Some(colon) => (&text[..colon], Some(&text[colon + 1..])),
        None => (text, None),
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_address = |text: &str| text.parse::<std::net::Ipv6Addr>().is_ok();
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    in_brackets.map_or_else(|| host.split('.').all(is_label), is_address) && port.is_none_or(is_port)
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let starts = text.bytes().next().is_some_and(is_word);
    starts && text.len() <= TAG_LIMIT && text.bytes().all(|byte| is_word(byte) || b".-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn what_is_left_out_is_dockers_default() {
        for (text, whole) in [
            ("ruby", "docker.io/library/ruby:latest"),
            ("ruby:3.4-trixie", "docker.io/library/ruby:3.4-trixie"),
            ("docker.io/ruby", "docker.io/library/ruby:latest"),
            ("index.docker.io/library/ruby", "docker.io/library/ruby:latest"),
            ("team/ruby:3", "docker.io/team/ruby:3"),
            ("localhost/ruby", "localhost/ruby:latest"),
            ("localhost:5000/a/b/c:1_2", "localhost:5000/a/b/c:1_2"),
            ("127.0.0.1:5000/ruby", "127.0.0.1:5000/ruby:latest"),
            ("[::1]:5000/ruby", "[::1]:5000/ruby:latest"),
            ("[::1]/ruby", "[::1]/ruby:latest"),
            ("ghcr.io/team/a__b-c.d:UPPER", "ghcr.io/team/a__b-c.d:UPPER"),
            ("gcr.io/a---b", "gcr.io/a---b:latest"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), whole, "{text}");
        }
        let pinned = format!("ruby@{DIGEST}").parse::<Reference>().unwrap();
        assert_eq!((pinned.tag(), pinned.digest()), (None, Some(DIGEST.parse().unwrap())));
        let both = format!("docker.io/library/ruby:3@{DIGEST}");
        assert_eq!(both.parse::<Reference>().unwrap().to_string(), both);
        let tagged = "ruby:3".parse::<Reference>().unwrap();
        assert_eq!(tagged.pinned(DIGEST.parse().unwrap()).to_string(), both);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, says) in [
            ("", "a repository consists of"),
            ("Ruby", "a repository consists of"),
            ("ghcr.io/", "a repository consists of"),
            ("ghcr.io/a//b", "a repository consists of"),
            ("ghcr.io/a/../b", "a repository consists of"),
            ("ghcr.io/a___b", "a repository consists of"),
            ("ghcr.io/a._b", "a repository consists of"),
            ("ghcr.io:x/a", "its registry is no host"),
            ("ghcr.io:70000/a", "its registry is no host"),
            ("-a.io/a", "its registry is no host"),
            ("user@ghcr.io/a", "no SHA-256 digest"),
            ("[::g]/a", "its registry is no host"),
            ("ruby:", "a tag has"),
            ("ruby:.a", "a tag has"),
            ("ruby:a b", "a tag has"),
            ("ruby@sha256:00", "no SHA-256 digest"),
            ("https://ghcr.io/a", "no host"),
        ] {
            let error = text.parse::<Reference>().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        assert!(format!("ruby:{}", "a".repeat(128)).parse::<Reference>().is_ok());
        assert!(format!("ruby:{}", "a".repeat(129)).parse::<Reference>().is_err());
    }

    #[test]
    fn a_repository_has_tags_and_digests() {
        let repository: Repository = "localhost:5000/ruby".parse().unwrap();
        assert_eq!((repository.registry(), repository.path()), ("localhost:5000", "ruby"));
        assert_eq!(repository.tagged("3").unwrap().to_string(), "localhost:5000/ruby:3");
        assert_eq!(
            repository.at(DIGEST.parse().unwrap()).to_string(),
            format!("localhost:5000/ruby@{DIGEST}")
        );
        assert!(repository.tagged("a/b").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_is_written_is_read(text in "[a-zA-Z0-9:/@._\\[\\]é -]{0,40}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference);
            }
        }
    }
}

//! Docker's `config.json` and Podman's `auth.json`: the credentials in them, and the helpers that they name.
//!
//! An entry of `auths` is named by a host, by a host and the beginning of a repository (containers-auth.json(5)), or as
//! Docker's first registry was, by an address: `https://index.docker.io/v1/`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fs_err as fs;
use schema::reference::DOCKER_HUB;
use serde::Deserialize;

use crate::credentials::{Credential, CredentialError};

/// What Docker Hub's credentials are kept under.
const DOCKER_HUB_SERVER: &str = "https://index.docker.io/v1/";
/// Other names of Docker Hub that entries have.
const DOCKER_HUB_NAMES: [&str; 3] = ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

/// What is read of the file.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

impl DockerConfig {
    /// Reads a file; none where it is not there.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, CredentialError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CredentialError::Read(error)),
        };
        let parsed = serde_json::from_slice(&bytes);
        parsed.map(Some).map_err(|source| CredentialError::Malformed { path: path.to_owned(), source })
    }

    /// The helper that knows this registry's credential.
    pub(crate) fn helper(&self, registry: &str) -> Option<&str> {
        let own = self.cred_helpers.iter().find(|(name, _)| host_and_path(name) == registry);
        own.map(|(_, helper)| helper).or(self.creds_store.as_ref()).map(String::as_str)
    }

    /// The credential in the file itself; of several the one that is for the most of the repository's name.
    pub(crate) fn credential(
        &self,
        file: &Path,
        registry: &str,
        path: &str,
    ) -> Result<Option<Credential>, CredentialError> {
        let whole = format!("{registry}/{path}");
        let is_for = |name: &str| whole.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
        let entries = self.auths.iter().map(|(key, entry)| (host_and_path(key), key, entry));
        let best = entries
            .filter(|(name, _, _)| is_for(name) || *name == whole)
            .max_by_key(|(name, key, _)| (name.len(), std::cmp::Reverse(key.len())));
        let Some((_, key, entry)) = best else { return Ok(None) };
        entry.credential().map_err(|()| CredentialError::Entry { path: file.to_owned(), host: key.clone() })
    }
}

impl Entry {
    /// None where it says nothing: Docker leaves such where a helper has the credential.
    fn credential(&self) -> Result<Option<Credential>, ()> {
        if !self.registrytoken.is_empty() {
            return Ok(Some(Credential::RegistryToken(self.registrytoken.clone())));
        }
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credential::IdentityToken(self.identitytoken.clone())));
        }
        if self.auth.is_empty() {
            let Self { username, password, .. } = self;
            let is_there = !username.is_empty() || !password.is_empty();
            return Ok(
                is_there.then(|| Credential::Password { user: username.clone(), password: password.clone() })
            );
        }
        let pair = BASE64_STANDARD.decode(self.auth.trim()).map_err(drop)?;
        let pair = String::from_utf8(pair).map_err(drop)?;
        let (user, password) = pair.split_once(':').ok_or(())?;
        // Docker pads passwords with NULs.
        let password = password.trim_end_matches('\0');
        Ok(Some(Credential::Password { user: user.to_owned(), password: password.to_owned() }))
    }
}

/// What helpers know a registry by.
pub(crate) fn server(registry: &str) -> String {
    if registry == DOCKER_HUB { DOCKER_HUB_SERVER.to_owned() } else { registry.to_owned() }
}

/// The name of an entry without scheme and version of the API.
fn host_and_path(key: &str) -> &str {
    let key = key.split_once("://").map_or(key, |(_, rest)| rest).trim_end_matches('/');
    let key = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key);
    if DOCKER_HUB_NAMES.contains(&key) { DOCKER_HUB } else { key }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn config(text: &str) -> DockerConfig {
        serde_json::from_str(text).unwrap()
    }

    /// The user that an entry was found for.
    fn user(config: &DockerConfig, registry: &str, path: &str) -> Option<String> {
        match config.credential(Path::new("config.json"), registry, path).unwrap()? {
            Credential::Password { user, .. } => Some(user),
            other => Some(format!("{other:?}")),
        }
    }

    #[test]
    fn the_entry_for_the_most_of_a_name_is_taken() {
        let entry =
            |user: &str| format!("{{\"auth\":\"{}\"}}", BASE64_STANDARD.encode(format!("{user}:p:w\0")));
        let text = format!(
            r#"{{"auths":{{"https://index.docker.io/v1/":{},"one.example":{},"one.example/team":{},"https://two.example:5000/v2/":{},
                "three.example":{{}},"four.example":{{"identitytoken":"t"}},"five.example":{{"username":"five","password":""}}}},
                "other":1}}"#,
            entry("hub"),
            entry("one"),
            entry("team"),
            entry("two"),
        );
        let config = config(&text);
        for (registry, path, expected) in [
            ("docker.io", "library/ruby", Some("hub")),
            ("one.example", "ruby", Some("one")),
            ("one.example", "team/ruby", Some("team")),
            ("one.example", "team", Some("team")),
            ("one.example", "teams/ruby", Some("one")),
            ("two.example:5000", "ruby", Some("two")),
            ("two.example", "ruby", None),
            ("three.example", "ruby", None),
            ("four.example", "ruby", Some("IdentityToken")),
            ("five.example", "ruby", Some("five")),
            ("example", "ruby", None),
        ] {
            assert_eq!(user(&config, registry, path).as_deref(), expected, "{registry}/{path}");
        }
        let found = config.credential(Path::new("x"), "one.example", "ruby").unwrap();
        assert_eq!(found, Some(Credential::Password { user: "one".into(), password: "p:w".into() }));
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_named() {
        for auth in ["%", "dXNlcg==", "/w=="] {
            let config = config(&format!(r#"{{"auths":{{"one.example":{{"auth":"{auth}"}}}}}}"#));
            let error = config.credential(Path::new("config.json"), "one.example", "a").unwrap_err();
            assert!(error.to_string().contains("`one.example` in `config.json`"), "{error}");
        }
    }

    #[test]
    fn helpers_of_one_registry_go_before_that_of_all() {
        let config = config(r#"{"credsStore":"all","credHelpers":{"https://one.example":"own"}}"#);
        assert_eq!(config.helper("one.example"), Some("own"));
        assert_eq!(config.helper("two.example"), Some("all"));
        assert_eq!(DockerConfig::default().helper("two.example"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"[{}"auths:,.=]{0,40}"#) {
            if let Ok(config) = serde_json::from_str::<DockerConfig>(&text) {
                let _ = config.credential(Path::new("x"), "one.example", "a");
            }
        }
    }
}

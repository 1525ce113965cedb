//! Who we are to a registry: what the caller gives, what Docker's configuration has, and what credential helpers know.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use crate::docker_config::{self, DockerConfig};

/// What a helper may say, in bytes.
const HELPER_LIMIT: u64 = 64 << 10;

/// What we prove with who we are. Shown without its secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user and a password, or what stands for one, such as a personal access token.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that the token service takes for new ones (OAuth 2.0's refresh token).
    IdentityToken(String),
    /// A token for the registry itself.
    RegistryToken(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Password { .. } => "Password",
            Self::IdentityToken(_) => "IdentityToken",
            Self::RegistryToken(_) => "RegistryToken",
        })
    }
}

/// The value of `Authorization` for a user and a password (RFC 7617).
pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

/// Where credentials are looked for: given ones first, then each file in its order.
#[derive(Debug, Clone, Default)]
pub struct Keychain {
    given: BTreeMap<String, Credential>,
    files: Vec<PathBuf>,
    helpers: Vec<PathBuf>,
}

/// Credentials that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A file that cannot be read.
    #[error("cannot read credentials")]
    Read(#[source] io::Error),
    /// A file that is no configuration of Docker's.
    #[error("cannot read credentials from `{}`: it is not the JSON that is expected there", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// An entry that says nothing.
    #[error("cannot read the credentials for `{host}` in `{}`: `auth` is no user and password in base64", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The entry.
        host: String,
    },
    /// A helper that is named and not there.
    #[error("cannot find the credential helper `{helper}`, which `{}` names for `{host}`", path.display())]
    NoHelper {
        /// The file that names it.
        path: PathBuf,
        /// Its program.
        helper: String,
        /// The registry.
        host: String,
    },
    /// A helper that failed.
    #[error("the credential helper `{helper}` failed for `{host}`: {said}")]
    Helper {
        /// Its program.
        helper: String,
        /// The registry.
        host: String,
        /// What it said, or what came of it.
        said: String,
    },
}

impl CredentialError {
    /// The next step for the person who reads it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoHelper { .. } => Some("install it, or take it out of that file".to_owned()),
            Self::Malformed { .. } | Self::Entry { .. } => Some("log in anew with `docker login`".to_owned()),
            Self::Read(_) | Self::Helper { .. } => None,
        }
    }
}

impl Keychain {
    /// With this credential for a registry, which goes before what files have.
    #[must_use]
    pub fn given(mut self, registry: &str, credential: Credential) -> Self {
        self.given.insert(registry.to_owned(), credential);
        self
    }

    /// With a file in the form of Docker's `config.json` or of Podman's `auth.json`. One that is not there has nothing.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(path.into());
        self
    }

    /// With the folders that credential helpers are looked for in.
    #[must_use]
    pub fn helper_folders(mut self, folders: impl IntoIterator<Item = PathBuf>) -> Self {
        self.helpers.extend(folders);
        self
    }

    /// The credential for a repository of a registry; none is no error.
    pub(crate) fn find(&self, registry: &str, path: &str) -> Result<Option<Credential>, CredentialError> {
        if let Some(given) = self.given.get(registry) {
            return Ok(Some(given.clone()));
        }
        for file in &self.files {
            let Some(config) = DockerConfig::read(file)? else { continue };
            if let Some(helper) = config.helper(registry)
                && let Some(credential) = self.ask(file, helper, registry)?
            {
                return Ok(Some(credential));
            }
            if let Some(credential) = config.credential(file, registry, path)? {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }

    /// What a helper knows (the protocol of docker-credential-helpers: the registry on standard input, JSON on standard
    /// output).
    fn ask(&self, file: &Path, helper: &str, registry: &str) -> Result<Option<Credential>, CredentialError> {
        let program = format!("docker-credential-{helper}");
        let host = docker_config::server(registry);
        let found = self.helpers.iter().map(|folder| folder.join(&program)).find(|path| path.is_file());
        let Some(found) = found.filter(|_| !helper.contains('/')) else {
            return Err(CredentialError::NoHelper { path: file.to_owned(), helper: program, host });
        };
        let failed =
            |said: String| CredentialError::Helper { helper: program.clone(), host: host.clone(), said };
        let (said, succeeded) = run(&found, &host).map_err(|error| failed(error.to_string()))?;
        if !succeeded {
            let said = String::from_utf8_lossy(&said).trim().to_owned();
            // The words are part of the protocol.
            let unknown = said.contains("credentials not found") || said.contains("no credentials");
            return if unknown { Ok(None) } else { Err(failed(said)) };
        }
        let answer: HelperAnswer =
            serde_json::from_slice(&said).map_err(|_| failed("it answered with no JSON".to_owned()))?;
        Ok(match answer {
            HelperAnswer { username, secret } if username == "<token>" => {
                Some(Credential::IdentityToken(secret))
            }
            HelperAnswer { username, secret } if username.is_empty() && secret.is_empty() => None,
            HelperAnswer { username, secret } => {
                Some(Credential::Password { user: username, password: secret })
            }
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// What a helper wrote, and whether it succeeded.
fn run(program: &Path, host: &str) -> io::Result<(Vec<u8>, bool)> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // It may ask a person something.
        .stderr(Stdio::inherit())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // One that does not read has its answer ready.
        let _ = input.write_all(host.as_bytes());
    }
    let mut said = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(HELPER_LIMIT).read_to_end(&mut said)?;
    }
    Ok((said, child.wait()?.success()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A folder with a configuration and a helper.
    fn folder(config: &str, helper: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("config.json"), config).unwrap();
        let program = folder.path().join("docker-credential-test");
        fs_err::write(&program, helper).unwrap();
        fs_err::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
        folder
    }

    fn keychain(folder: &tempfile::TempDir) -> Keychain {
        Keychain::default()
            .file(folder.path().join("missing.json"))
            .file(folder.path().join("config.json"))
            .helper_folders([folder.path().to_owned()])
    }

    fn password(user: &str, password: &str) -> Credential {
        Credential::Password { user: user.to_owned(), password: password.to_owned() }
    }

    #[test]
    fn given_credentials_go_before_files() {
        let folder = folder(r#"{"auths":{"one.example":{"auth":"dXNlcjpwYXNz"}}}"#, "");
        let keychain = keychain(&folder);
        assert_eq!(keychain.find("one.example", "a").unwrap(), Some(password("user", "pass")));
        assert_eq!(keychain.find("two.example", "a").unwrap(), None);
        let keychain = keychain.given("one.example", password("other", "word"));
        assert_eq!(keychain.find("one.example", "a").unwrap(), Some(password("other", "word")));
        assert_eq!(format!("{keychain:?}").matches("word").count(), 1, "of `Password` alone");
    }

    #[test]
    fn a_helper_is_asked_for_its_registry() {
        let config =
            r#"{"credHelpers":{"one.example":"test"},"auths":{"two.example":{"auth":"dXNlcjpwYXNz"}}}"#;
        let helper = "#!/bin/sh\nread host\n[ \"$1\" = get ] && echo \"{\\\"ServerURL\\\":\\\"$host\\\",\\\"Username\\\":\\\"$host\\\",\\\"Secret\\\":\\\"s\\\"}\"\n";
        let folder = folder(config, helper);
        assert_eq!(keychain(&folder).find("one.example", "a").unwrap(), Some(password("one.example", "s")));
        assert_eq!(keychain(&folder).find("two.example", "a").unwrap(), Some(password("user", "pass")));
    }

    #[test]
    fn a_store_is_asked_for_every_registry_and_docker_hub_by_its_old_name() {
        let helper = "#!/bin/sh\nread host\ncase $host in\nhttps://index.docker.io/v1/) echo '{\"Username\":\"<token>\",\"Secret\":\"t\"}';;\none.example) echo credentials not found in native keychain; exit 1;;\n*) echo broken; exit 1;;\nesac\n";
        let folder =
            folder(r#"{"credsStore":"test","auths":{"one.example":{"auth":"dXNlcjpwYXNz"}}}"#, helper);
        let keychain = keychain(&folder);
        assert_eq!(keychain.find("docker.io", "a").unwrap(), Some(Credential::IdentityToken("t".to_owned())));
        assert_eq!(keychain.find("one.example", "a").unwrap(), Some(password("user", "pass")));
        let error = keychain.find("two.example", "a").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the credential helper `docker-credential-test` failed for `two.example`: broken"
        );
    }

    #[test]
    fn a_helper_that_is_not_there_is_named_with_the_file() {
        let folder = folder(r#"{"credsStore":"gone"}"#, "");
        let error = keychain(&folder).find("one.example", "a").unwrap_err();
        assert!(error.to_string().contains("`docker-credential-gone`, which `"), "{error}");
        assert!(error.hint().is_some());
    }
}

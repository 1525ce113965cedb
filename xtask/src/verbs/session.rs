//! What every verb begins with: the project around the current folder, and a builder for it.

use anyhow::Context;
use builder::selection::{Architectures, Kinds, Selection};
use builder::{Builder, LockUse, Options};
use cache::Client;
use registry::{Hosts, Keychain, Registry};
use schema::matrix::Mirror;
use schema::reference::Repository;

use crate::cli::{KindOptions, MirrorOptions, PackageOptions, SANDBOX_INIT};
use crate::environment;

/// This very program, where it lies (proc(5)).
const PROGRAM: &str = "/proc/self/exe";

/// What a verb may set.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) lock: LockUse,
    pub(super) offline: bool,
    pub(super) release: bool,
    pub(super) keep: Vec<String>,
    pub(super) keep_failed: bool,
    pub(super) mirror: Option<Mirror>,
    pub(super) cache_from: Option<Repository>,
}

/// The images that match the patterns, of the kinds that are asked for.
pub(super) fn selection(patterns: &[String], kinds: &KindOptions, architectures: Architectures) -> Selection {
    Selection {
        patterns: patterns.to_vec(),
        architectures,
        variants: Kinds::named(&kinds.variants),
        groups: Kinds::named(&kinds.groups),
        rows: kinds.rows.clone(),
    }
}

impl From<&PackageOptions> for Settings {
    fn from(options: &PackageOptions) -> Self {
        Self {
            lock: if options.locked { LockUse::Keep } else { LockUse::Complete },
            offline: options.offline,
            release: false,
            keep: Vec::new(),
            keep_failed: false,
            mirror: mirror(&options.mirror),
            cache_from: None,
        }
    }
}

/// The security archive is beside the main one on every public mirror, under its name with `-security` at the end.
pub(super) fn mirror(options: &MirrorOptions) -> Option<Mirror> {
    let main = options.mirror.as_deref()?.trim_end_matches('/').to_owned();
    let security = options.security_mirror.clone().unwrap_or_else(|| format!("{main}-security"));
    Some(Mirror { main, security })
}

/// A builder for the project.
pub(super) fn builder(settings: Settings) -> anyhow::Result<Builder> {
    let root = environment::project_root()?;
    let options = Options {
        cache: environment::cache_folder()?,
        dist: root.join("dist"),
        host: environment::host()?,
        lock: settings.lock,
        release: settings.release,
        keep: settings.keep,
        mirror: settings.mirror,
        apt_sources: environment::apt_sources()?,
        client: environment::client_options(settings.offline),
        keychain: environment::keychain(),
        cache_from: settings.cache_from,
        program: PROGRAM.into(),
        keep_failed: settings.keep_failed,
        sandbox: sandbox::Program::current_executable(SANDBOX_INIT),
        programs: environment::program_folders(),
    };
    Ok(Builder::open(&root, options)?)
}

/// How registries are reached, and who we are to them.
pub(super) struct RegistryAccess {
    client: Client,
    hosts: Hosts,
    keychain: Keychain,
}

impl RegistryAccess {
    /// With the logins of the machine; to the hosts of `plain_http` without TLS.
    pub(super) fn new(plain_http: &[String]) -> anyhow::Result<Self> {
        Ok(Self {
            client: Client::new(environment::client_options(false)).context("cannot use the proxy")?,
            hosts: plain_http.iter().fold(Hosts::default(), |hosts, host| hosts.plain_http(host)),
            keychain: environment::keychain(),
        })
    }

    pub(super) fn registry(&self) -> Registry<'_> {
        Registry::new(&self.client, &self.hosts, &self.keychain)
    }
}

//! What a verb takes from its surroundings: folders, variables, the machine's apt. The libraries are given values.
#![expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use fs_err as fs;
use registry::Keychain;
use schema::Architecture;

/// Where apt has its sources (sources.list(5)).
const APT: &str = "/etc/apt";

/// The folder of the project: the nearest one upwards that has a matrix.
pub(crate) fn project_root() -> anyhow::Result<PathBuf> {
    let here = env::current_dir().context("cannot tell the current folder")?;
    match here.ancestors().find(|folder| folder.join(builder::project::MATRIX).is_file()) {
        Some(root) => Ok(root.to_owned()),
        None => bail!("there is no {} in {} or above it", builder::project::MATRIX, here.display()),
    }
}

/// Where the cache is: `DISTROLESS_RUBY_CACHE`, or below the user's cache folder (XDG Base Directory Specification).
pub(crate) fn cache_folder() -> anyhow::Result<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(folder) = env::var_os("DISTROLESS_RUBY_CACHE").filter(|value| !value.is_empty()) {
        return std::path::absolute(folder).context("cannot tell the folder of DISTROLESS_RUBY_CACHE");
    }
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("distroless-ruby"))
        .context("cannot tell where the cache is: set DISTROLESS_RUBY_CACHE to a folder")
}

/// The architecture of this machine.
pub(crate) fn host() -> anyhow::Result<Architecture> {
    Architecture::host().context("this machine has neither of the architectures amd64 and arm64")
}

/// Proxies, as every program takes them.
pub(crate) fn client_options(offline: bool) -> cache::Options {
    let variable = |names: [&str; 2]| names.iter().find_map(|name| env::var(name).ok());
    let no_proxy = variable(["no_proxy", "NO_PROXY"]).unwrap_or_default();
    cache::Options {
        // HTTP_PROXY in capitals could come from a request's header where this runs in a web server (httpoxy).
        http_proxy: env::var("http_proxy").ok(),
        https_proxy: variable(["https_proxy", "HTTPS_PROXY"]),
        no_proxy: no_proxy
            .split(',')
            .map(|host| host.trim().to_owned())
            .filter(|host| !host.is_empty())
            .collect(),
        offline,
        ..cache::Options::default()
    }
}

/// Where logins to registries are: the files of Podman's `REGISTRY_AUTH_FILE`, of Docker, and of Podman
/// (containers-auth.json(5)); and the programs on the `PATH` that they name.
pub(crate) fn keychain() -> Keychain {
    let folder = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let docker = folder("DOCKER_CONFIG").or_else(|| folder("HOME").map(|home| home.join(".docker")));
    let files = [
        folder("REGISTRY_AUTH_FILE"),
        docker.map(|folder| folder.join("config.json")),
        folder("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
    ];
    let keychain = files.into_iter().flatten().fold(Keychain::default(), Keychain::file);
    keychain.helper_folders(program_folders())
}

/// The kind of the terminal that a person sits at (environ(7), `TERM`), where both standard input and output are one.
pub(crate) fn terminal() -> Option<OsString> {
    let sits = io::stdin().is_terminal() && io::stdout().is_terminal();
    sits.then(|| env::var_os("TERM").filter(|kind| !kind.is_empty()).unwrap_or_else(|| "xterm".into()))
}

/// The folders of the `PATH`.
pub(crate) fn program_folders() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).filter(|folder| folder.is_absolute()).collect()
}

/// The texts of the machine's apt sources, in the order in which apt reads them; none where there is no apt.
pub(crate) fn apt_sources() -> anyhow::Result<Vec<(PathBuf, String)>> {
    let mut files = vec![Path::new(APT).join("sources.list")];
    if let Ok(folder) = fs::read_dir(Path::new(APT).join("sources.list.d")) {
        let mut parts: Vec<PathBuf> = folder.filter_map(|entry| Some(entry.ok()?.path())).collect();
        parts.retain(|path| {
            path.extension().is_some_and(|extension| extension == "list" || extension == "sources")
        });
        parts.sort();
        files.extend(parts);
    }
    let mut texts = Vec::new();
    for file in files {
        match fs::read_to_string(&file) {
            Ok(text) => texts.push((file, text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context("cannot read the sources of apt"),
        }
    }
    Ok(texts)
}

/// Whether this is root, who may give files to others.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

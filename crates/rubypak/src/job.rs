//! What is to be done, from the flags: nothing of it needs the command line any more.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use analyzer::{Closure, Drop, Reach, Request, Root, Wanted};
use anyhow::{Context, bail};
use fs_err as fs;
use rootfs::{Filesystem, RootPath};

use crate::bundle::InstallTo;
use crate::cli::Cli;
use crate::locate::{self, Locator};
use crate::output::Target;
use crate::surroundings;

/// What is to be done.
pub(crate) struct Job {
    pub(crate) request: Request,
    /// The files and folders that the roots name, in their order; globs are not among them.
    pub(crate) programs: Vec<RootPath>,
    /// The names of the drops that were asked for.
    pub(crate) excludes: Vec<String>,
    /// Folders to be made that the root does not have.
    pub(crate) folders: Vec<RootPath>,
    pub(crate) install_to: Option<InstallTo>,
    pub(crate) strip: bool,
    pub(crate) target: Option<Target>,
    pub(crate) why: Option<RootPath>,
    /// Whether the root is the one that this program runs in.
    pub(crate) is_own_root: bool,
    /// The folder that relative paths, and commands, start at.
    pub(crate) folder: RootPath,
}

impl Job {
    pub(crate) fn new(cli: &Cli, filesystem: &dyn Filesystem) -> anyhow::Result<Self> {
        let is_own_root = is_own_root(&cli.root);
        let folder = match is_own_root {
            true => RootPath::parse(surroundings::current_folder()?.as_os_str().as_bytes())?,
            false => RootPath::root(),
        };
        let reach = if cli.loaded { Reach::Loaded } else { Reach::Everything };
        let mut request = Request { reach, commands: true, ..Request::default() };
        let own: Vec<RootPath> = match is_own_root {
            true => surroundings::search_path()
                .iter()
                .filter_map(|folder| RootPath::parse(folder.as_os_str().as_bytes()).ok())
                .collect(),
            false => Vec::new(),
        };
        if !own.is_empty() {
            request.search_path = own;
        }
        let search_path = request.search_path.clone();
        let locator = Locator { filesystem, folder: folder.clone(), search_path: &search_path };
        let result = Locator { folder: RootPath::root(), ..locator };

        let (roots, output) = positionals(cli)?;
        let target = output.map(|output| Target::new(output, cli.format, cli.force)).transpose()?;
        let mut programs = Vec::new();
        for text in roots {
            let wanted = locator.root(text.as_bytes())?;
            let is_glob = matches!(&wanted, Wanted::Pattern(pattern) if pattern.contains('/'));
            programs.extend(locator.file(&wanted).filter(|_| !is_glob));
            request.roots.push(Root { wanted, reason: "named on the command line".to_owned() });
        }
        for glob in &cli.include {
            let wanted = locator.files(glob.as_bytes())?;
            request.roots.push(Root { wanted, reason: format!("--include {}", glob.display()) });
        }
        let mut folders = Vec::new();
        for text in &cli.mkdir {
            let path = result.path(text.as_bytes())?;
            if filesystem.resolve(&path).is_ok_and(|real| is_directory(filesystem, &real.path)) {
                // With the rights that it has there.
                request.roots.push(Root::alone(path, format!("--mkdir {}", text.display())));
            } else {
                request.roots.extend(way_to(filesystem, &path, &format!("--mkdir {}", text.display())));
                folders.push(path);
            }
        }
        let excludes: Vec<String> = cli.exclude.iter().map(|glob| format!("--exclude {glob}")).collect();
        request.drop =
            cli.exclude.iter().zip(&excludes).map(|(glob, name)| drop(filesystem, glob, name)).collect();
        let install_to = cli.install_to.as_deref().map(|text| install_to(&result, text)).transpose()?;
        if let (Some(InstallTo::Path(path) | InstallTo::Folder(path)), Some(text)) =
            (&install_to, &cli.install_to)
        {
            request.roots.extend(way_to(filesystem, path, &format!("--install-to {}", text.display())));
        }
        let why = cli.why.as_ref().map(|path| locator.path(path.as_bytes())).transpose()?;
        Ok(Self {
            request,
            programs,
            excludes,
            folders,
            install_to,
            strip: cli.strip,
            target,
            why,
            is_own_root,
            folder,
        })
    }

    /// The excludes that keep nothing out of the closure: a mistake, or not needed.
    pub(crate) fn idle_excludes<'a>(&'a self, closure: &'a Closure) -> impl Iterator<Item = &'a String> {
        let is_used = |at: usize| closure.dropped.values().any(|drop| *drop == at);
        self.excludes.iter().enumerate().filter(move |(at, _)| !is_used(*at)).map(|(_, name)| name)
    }
}

/// Roots and output. Without a flag that says otherwise the last word is the output, as with `cp`.
fn positionals(cli: &Cli) -> anyhow::Result<(&[std::ffi::OsString], Option<&OsStr>)> {
    let only_roots = cli.output.is_some() || cli.dry_run || cli.json || cli.tree || cli.why.is_some();
    if only_roots {
        return Ok((&cli.paths, cli.output.as_deref().map(Path::as_os_str)));
    }
    match cli.paths.split_last() {
        Some((output, roots)) if !roots.is_empty() => Ok((roots, Some(output))),
        _ => bail!(crate::ending::Advice {
            problem: "cannot tell where the result goes: one word is a root or an output, not both"
                .to_owned(),
            hint: "name an output behind the roots, or ask for --dry-run, --json, --tree or --why".to_owned(),
        }),
    }
}

/// A glob that is not bound to the root matches at any depth. One that is may lead through links: drops are of real paths.
fn drop(filesystem: &dyn Filesystem, glob: &str, name: &str) -> Drop {
    let anchored = if glob.starts_with('/') { glob.to_owned() } else { format!("/**/{glob}") };
    let real = real_glob(filesystem, &anchored).filter(|real| *real != anchored);
    let globs = std::iter::once(anchored).chain(real).collect();
    Drop { name: name.to_owned(), globs, reason: "asked for".to_owned() }
}

/// The glob with the folders before its first wildcard, or before the name of what it means, as they really are.
fn real_glob(filesystem: &dyn Filesystem, glob: &str) -> Option<String> {
    let wildcard = glob.find(locate::WILDCARDS).unwrap_or(glob.len());
    let (folder, rest) = glob.split_at(glob[..wildcard].rfind('/')?);
    let real = filesystem.resolve(&RootPath::parse(folder).ok()?).ok()?.path;
    let real = std::str::from_utf8(real.as_bytes()).ok()?.trim_end_matches('/');
    // What is called by a name with a wildcard in it cannot be written as a glob of its own.
    (!real.contains(locate::WILDCARDS)).then(|| format!("{real}{rest}"))
}

fn install_to(locator: &Locator<'_>, text: &OsStr) -> anyhow::Result<InstallTo> {
    let path = locator.path(text.as_bytes()).context("cannot read the path of --install-to")?;
    let is_folder = text.as_bytes().ends_with(b"/") || is_directory(locator.filesystem, &path);
    Ok(if is_folder { InstallTo::Folder(path) } else { InstallTo::Path(path) })
}

/// The folders of a new path that are there already: with the links among them, it goes where it would go in the root.
fn way_to(filesystem: &dyn Filesystem, path: &RootPath, reason: &str) -> Option<Root> {
    let mut above = std::iter::once(path.clone()).chain(path.ancestors());
    let there =
        above.find(|path| filesystem.resolve(path).is_ok_and(|real| is_directory(filesystem, &real.path)));
    there.filter(|path| !path.is_root()).map(|path| Root::alone(path, reason))
}

fn is_directory(filesystem: &dyn Filesystem, path: &RootPath) -> bool {
    filesystem.get(path).is_some_and(rootfs::Entry::is_directory)
}

fn is_own_root(root: &Path) -> bool {
    root == Path::new("/") || fs::canonicalize(root).is_ok_and(|root| root == Path::new("/"))
}

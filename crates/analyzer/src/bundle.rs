//! Applications that Bundler runs: a folder with a `Gemfile.lock` names the gems that must be installed, and where.

use std::collections::BTreeSet;

use rootfs::{Filesystem, Kind, RootPath};

use crate::closure::Reason;
use crate::engine::{Answer, Role, Strength};
use crate::finding::FindingKind;
use crate::gemfile_lock::{Lock, Source};
use crate::gems::{self, Gems};
use crate::ruby::{Holds, Ruby};
use crate::ruby_source::{Call, Certainty, Text};
use crate::scope::Scope;

/// The name that reasons carry.
const RULE: &str = "bundle";

/// The files that describe an application, by the names that Bundler takes, with the lock of each.
const FILES: [(&str, &str); 2] = [("Gemfile", "Gemfile.lock"), ("gems.rb", "gems.locked")];

/// One application.
pub(crate) struct Application {
    folder: RootPath,
    gemfile: RootPath,
    lock: RootPath,
    /// Where Bundler installs for this application alone.
    pub(crate) homes: Vec<RootPath>,
    text: String,
}

/// Where the gems of a Ruby are installed.
pub(crate) fn homes(ruby: &Ruby) -> impl Iterator<Item = RootPath> {
    let gems = ruby.folders.iter().filter(|folder| folder.holds == Holds::Gems);
    gems.map(|folder| folder.path.clone())
}

/// Whether a file says which gems an application uses.
pub(crate) fn is_gemfile(path: &RootPath) -> bool {
    FILES.iter().any(|(gemfile, _)| path.name() == gemfile.as_bytes())
}

/// The applications that roots are, or lie in: in the folder, beside the script, or above its `bin`.
pub(crate) fn applications(
    tree: &dyn Filesystem,
    ruby: Option<&Ruby>,
    named: &BTreeSet<RootPath>,
) -> Vec<Application> {
    let mut folders = BTreeSet::new();
    for path in named {
        if tree.get(path).is_some_and(rootfs::Entry::is_directory) {
            folders.insert(path.clone());
        } else if let Some(folder) = path.parent() {
            let is_for_programs = matches!(folder.name(), b"bin" | b"exe" | b"script");
            folders.extend(folder.parent().filter(|_| is_for_programs));
            folders.insert(folder);
        }
    }
    folders.into_iter().filter_map(|folder| Application::read(tree, ruby, folder)).collect()
}

impl Application {
    fn read(tree: &dyn Filesystem, ruby: Option<&Ruby>, folder: RootPath) -> Option<Self> {
        let (gemfile, lock, text) = FILES.iter().find_map(|(gemfile, lock)| {
            let lock = folder.join(lock.as_bytes()).ok()?;
            let text = text_of(tree, &lock)?;
            Some((folder.join(gemfile.as_bytes()).ok()?, lock, text))
        })?;
        let version = ruby.map(|ruby| ruby.version.as_str()).unwrap_or_default();
        let below = |home: &str| {
            let path = if home.starts_with('/') { home.to_owned() } else { format!("{folder}/{home}") };
            let path = RootPath::parse(format!("{path}/ruby/{version}")).ok()?;
            tree.get(&path).is_some().then_some(path)
        };
        let configured = folder.join(b".bundle/config").ok().and_then(|path| text_of(tree, &path));
        let configured = configured.as_deref().and_then(bundle_path).unwrap_or("vendor/bundle");
        let homes: BTreeSet<RootPath> =
            [configured, "vendor/bundle", "/usr/local/bundle"].into_iter().filter_map(below).collect();
        Some(Self { folder, gemfile, lock, homes: homes.into_iter().collect(), text })
    }

    /// The full names of the gems that are locked.
    pub(crate) fn full_names(&self) -> BTreeSet<Vec<u8>> {
        let gems = Lock::parse(&self.text).gems;
        gems.iter().map(|gem| format!("{}-{}", gem.name, gem.version).into_bytes()).collect()
    }

    /// The `lib` of each gem that is a folder of the application.
    pub(crate) fn load_folders(&self, tree: &dyn Filesystem) -> Vec<RootPath> {
        let gems = Lock::parse(&self.text).gems;
        let folders = gems.iter().filter_map(|gem| match gem.source {
            Source::Path(path) => self.below(path)?.join(b"lib").ok(),
            _ => None,
        });
        folders.filter(|folder| tree.get(folder).is_some()).collect()
    }

    fn below(&self, path: &str) -> Option<RootPath> {
        Text::FromFile(format!("/{path}").into_bytes()).path(&self.folder)
    }

    /// Takes the lock and the gems that it names, or says which are missing.
    pub(crate) fn answer(&self, scope: &Scope<'_>, gems: &Gems, role: &Role, answer: &mut Answer<'_>) {
        let lock = Lock::parse(&self.text);
        let named = self.named(scope);
        let indispensable = lock.indispensable(named.as_ref());
        let reason =
            |because: &str| Reason { from: Some(self.lock.clone()), rule: RULE, because: because.into() };
        if lock.gems.is_empty() || scope.drops.taking(&self.lock).is_some() {
            return;
        }
        // Whoever runs an application through Bundler needs both; they stand beside a root.
        for path in [&self.gemfile, &self.lock] {
            if scope.tree.get(path).is_some() {
                let reason = Reason { from: None, rule: RULE, because: "gems of the application".into() };
                answer.real(path.clone(), Role::Own, reason, Strength::Soft);
            }
        }
        let mut missing = BTreeSet::new();
        let mut present = BTreeSet::new();
        for gem in &lock.gems {
            let version = gem.version.split_once('-').map_or(gem.version, |(version, _)| version);
            let (found, files) = match &gem.source {
                Source::Path(path) => {
                    (self.below(path).is_some_and(|path| scope.tree.get(&path).is_some()), Vec::new())
                }
                Source::Git(folder) => {
                    let folder = self.repository(scope, folder);
                    (folder.is_some(), folder.into_iter().collect())
                }
                Source::Gem => match gems.home_of(gem.name, version) {
                    Some((full_name, home)) if self.homes.contains(home) => {
                        (true, gems::parts(scope.tree, home, full_name))
                    }
                    found => (found.is_some(), Vec::new()),
                },
            };
            let because = reason(&format!("gem {}", gem.name));
            for path in files {
                let below = scope.tree.descendants(&path).map(|(path, _)| path.clone());
                for path in std::iter::once(path.clone()).chain(below) {
                    answer.real(path, role.clone(), because.clone(), Strength::Soft);
                }
            }
            if found {
                present.insert((gem.name, version));
            } else {
                missing.insert((gem.name, version, gem.line));
            }
        }
        for (name, version, line) in missing {
            // Of the platforms of a gem, one is enough.
            if !present.contains(&(name, version)) {
                let is_certain = indispensable.contains(name);
                let kind = FindingKind::GemNotFound { name: format!("{name} {version}"), is_certain };
                answer.find_at(&self.lock, Some(line), kind);
            }
        }
    }

    fn repository(&self, scope: &Scope<'_>, folder: &str) -> Option<RootPath> {
        let mut paths =
            self.homes.iter().filter_map(|home| home.join(format!("bundler/gems/{folder}").as_bytes()).ok());
        paths.find(|path| scope.tree.get(path).is_some())
    }

    /// The gems that the Gemfile names outside of groups and conditions; `None` where there is no Gemfile to read.
    fn named(&self, scope: &Scope<'_>) -> Option<BTreeSet<String>> {
        let Kind::File(file) = &scope.tree.get(&self.gemfile)?.kind else { return None };
        let source = scope.source(&self.gemfile, &file.content);
        if source.problem.is_some() {
            return None;
        }
        let mentions = source.mentions.iter();
        let gems =
            mentions.filter(|mention| mention.call == Call::Gem && mention.certainty == Certainty::Always);
        let names = gems.flat_map(|mention| &mention.names).filter_map(|text| match text {
            Text::Plain(name) => String::from_utf8(name.clone()).ok(),
            Text::FromFile(_) => None,
        });
        Some(names.collect())
    }
}

fn text_of(tree: &dyn Filesystem, path: &RootPath) -> Option<String> {
    match &tree.get(path)?.kind {
        Kind::File(file) => Some(String::from_utf8_lossy(&file.content).into_owned()),
        _ => None,
    }
}

/// `BUNDLE_PATH: "vendor/bundle"` of Bundler's settings.
fn bundle_path(settings: &str) -> Option<&str> {
    let value = settings.lines().find_map(|line| line.strip_prefix("BUNDLE_PATH:"))?;
    let value = value.trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then_some(value)
}

//! The text of a `Gemfile.lock`: which gems Bundler chose, from where, and what each depends on.
//!
//! Sections start at the margin (`GEM`, `PATH`, `GIT`, `DEPENDENCIES`); a source has its settings two blanks in, its
//! gems four, and what a gem depends on six (`Bundler::LockfileParser`). What has another form is passed over.

use std::collections::{BTreeMap, BTreeSet};

/// A real one has some hundreds.
const MOST_GEMS: usize = 20_000;

/// What a lock says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lock<'a> {
    pub(crate) gems: Vec<Locked<'a>>,
    /// What the Gemfile asks for, by name.
    wanted: Vec<&'a str>,
}

/// One gem of a lock.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Locked<'a> {
    pub(crate) name: &'a str,
    /// With the platform behind it, where it is for one: `1.16.0-x86_64-linux`.
    pub(crate) version: &'a str,
    pub(crate) source: Source<'a>,
    /// Counted from 1.
    pub(crate) line: u32,
    dependencies: Vec<&'a str>,
}

/// Where a gem is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source<'a> {
    /// A server of gems.
    Gem,
    /// A folder, from the place of the lock.
    Path(&'a str),
    /// A repository, with the name that its folder gets: `rails-0123456789ab`.
    Git(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Gem,
    Path,
    Git,
    Dependencies,
    Other,
}

impl<'a> Lock<'a> {
    /// Reads a lock.
    pub(crate) fn parse(text: &'a str) -> Self {
        let mut lock = Self::default();
        let mut section = Section::Other;
        let (mut remote, mut revision) = ("", "");
        for (number, line) in (1..).zip(text.lines()) {
            let content = line.trim_start_matches(' ');
            match (line.len() - content.len(), section) {
                (_, _) if content.is_empty() => {}
                (0, _) => {
                    section = section_of(content);
                    (remote, revision) = ("", "");
                }
                (2, Section::Dependencies) => {
                    lock.wanted.extend(name_and_version(content).map(|(name, _)| name));
                }
                (2, Section::Gem | Section::Path | Section::Git) => {
                    if let Some(value) = content.strip_prefix("remote: ") {
                        remote = value;
                    } else if let Some(value) = content.strip_prefix("revision: ") {
                        revision = value;
                    }
                }
                (4, Section::Gem | Section::Path | Section::Git) if lock.gems.len() < MOST_GEMS => {
                    let source = match section {
                        Section::Path => Source::Path(remote),
                        Section::Git => Source::Git(folder_of_repository(remote, revision)),
                        _ => Source::Gem,
                    };
                    if let Some((name, Some(version))) = name_and_version(content) {
                        let dependencies = Vec::new();
                        lock.gems.push(Locked { name, version, source, line: number, dependencies });
                    }
                }
                (6, Section::Gem | Section::Path | Section::Git) => {
                    if let (Some(gem), Some((name, _))) = (lock.gems.last_mut(), name_and_version(content)) {
                        gem.dependencies.push(name);
                    }
                }
                _ => {}
            }
        }
        lock
    }

    /// The gems that an application cannot do without: those that its Gemfile names for every use, and what these depend
    /// on. All that the lock names for want of a Gemfile.
    pub(crate) fn indispensable(&self, named: Option<&BTreeSet<String>>) -> BTreeSet<&'a str> {
        let mut dependencies: BTreeMap<&str, Vec<&'a str>> = BTreeMap::new();
        for gem in &self.gems {
            dependencies.entry(gem.name).or_default().extend(&gem.dependencies);
        }
        let is_named = |name: &&'a str| named.is_none_or(|named| named.contains(*name));
        let mut open: Vec<&'a str> = self.wanted.iter().copied().filter(is_named).collect();
        let mut found = BTreeSet::new();
        while let Some(name) = open.pop() {
            if found.insert(name) {
                open.extend(dependencies.get(name).into_iter().flatten());
            }
        }
        found
    }
}

fn section_of(line: &str) -> Section {
    match line {
        "GEM" => Section::Gem,
        "PATH" => Section::Path,
        "GIT" => Section::Git,
        "DEPENDENCIES" => Section::Dependencies,
        _ => Section::Other,
    }
}

/// `rack (3.0.8)`, `rack (>= 2)`, `rack`, `rack!`
fn name_and_version(text: &str) -> Option<(&str, Option<&str>)> {
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    let name = name.trim_end_matches('!');
    let is_name = !name.is_empty()
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let version = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map(|(version, _)| version);
    let version = version.filter(|version| !version.contains(['/', '\0']));
    is_name.then_some((name, version))
}

/// As `Bundler::Source::Git#install_path` makes it.
fn folder_of_repository(remote: &str, revision: &str) -> String {
    let name = remote.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
    let name = name.strip_suffix(".git").unwrap_or(name);
    format!("{name}-{}", revision.get(..12).unwrap_or(revision))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOCK: &str = "GIT\n  remote: ssh://host/a/tool.git\n  revision: 0123456789abcdef\n  specs:\n    tool (1.0)\n\nPATH\n  remote: engines/shop\n  specs:\n    shop (0.1)\n      rack (>= 2)\n\nGEM\n  remote: somewhere\n  specs:\n    nokogiri (1.16.0-x86_64-linux)\n      racc (~> 1.4)\n    racc (1.7.3)\n    rack (3.0.8)\n    debug (1.9.1)\n\nPLATFORMS\n  x86_64-linux\n\nDEPENDENCIES\n  debug\n  nokogiri (~> 1.16)\n  shop!\n\nBUNDLED WITH\n   2.5.3\n";

    #[test]
    fn gems_with_their_sources() {
        let lock = Lock::parse(LOCK);
        let gems: Vec<_> =
            lock.gems.iter().map(|gem| (gem.name, gem.version, gem.source.clone(), gem.line)).collect();
        assert_eq!(
            gems,
            [
                ("tool", "1.0", Source::Git("tool-0123456789ab".into()), 5),
                ("shop", "0.1", Source::Path("engines/shop"), 10),
                ("nokogiri", "1.16.0-x86_64-linux", Source::Gem, 16),
                ("racc", "1.7.3", Source::Gem, 18),
                ("rack", "3.0.8", Source::Gem, 19),
                ("debug", "1.9.1", Source::Gem, 20),
            ]
        );
    }

    #[test]
    fn what_an_application_cannot_do_without() {
        let lock = Lock::parse(LOCK);
        let all = |named: Option<&[&str]>| {
            let named = named.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            lock.indispensable(named.as_ref()).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(all(None), ["debug", "nokogiri", "racc", "rack", "shop"]);
        assert_eq!(all(Some(&["nokogiri", "other"])), ["nokogiri", "racc"]);
        assert_eq!(all(Some(&[])), [""; 0]);
    }

    #[test]
    fn a_cut_anywhere_gives_less_but_no_panic() {
        for length in 0..LOCK.len() {
            let lock = Lock::parse(&LOCK[..length]);
            assert!(lock.gems.len() <= 6);
        }
    }

    proptest! {
        #[test]
        fn never_panics(lines in proptest::collection::vec("( {0,7}(GEM|PATH|GIT|DEPENDENCIES|remote: .{0,5}|revision: .{0,14}|[a-z]{1,3} \\(.{0,4}\\)|.{0,9}))", 0..20)) {
            let text = lines.join("\n");
            let lock = Lock::parse(&text);
            let _ = lock.indispensable(None);
        }
    }
}

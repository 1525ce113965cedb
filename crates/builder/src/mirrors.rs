//! Where packages come from: the mirror that a person named, or that of the machine's apt, then the snapshot service.

use std::collections::BTreeMap;

use debian::mirror::{self, AptSources, Mirror};
use jiff::{SignedDuration, Timestamp};
use schema::lock::{Lock, LockedPackage};

use crate::{BuildError, Builder};

/// How long after an index the snapshot service surely has what the index lists: it looks at the archives a few times a
/// day, and what they took out is there for longer.
const SNAPSHOT_DELAY: SignedDuration = SignedDuration::from_hours(24);

/// The mirrors of one project, the best first.
#[derive(Debug)]
pub(crate) struct Mirrors {
    live: Vec<Mirror>,
    /// Whether the snapshot service may be asked: an archive of one's own is not on it.
    snapshot: bool,
    /// When each suite was locked.
    dates: BTreeMap<String, Timestamp>,
    security: Vec<String>,
    now: Timestamp,
}

impl Mirrors {
    /// Every address that a locked package may be at.
    pub(crate) fn addresses(&self, package: &LockedPackage) -> Vec<String> {
        let snapshot = self.dates.get(&package.suite).filter(|_| self.snapshot);
        let snapshot = snapshot.map(|date| {
            let surely = date.checked_add(SNAPSHOT_DELAY).unwrap_or(self.now);
            mirror::snapshot(surely.min(self.now))
        });
        let secure = self.security.contains(&package.suite);
        let base = |mirror: &Mirror| match secure {
            true => mirror.security.clone(),
            false => Some(mirror.debian.clone()),
        };
        let bases = self.live.iter().chain(&snapshot).filter_map(base);
        bases.map(|base| format!("{base}/{}", package.path)).collect()
    }

    /// Every address that a path of the main archive may be at, whose suite is not known.
    pub(crate) fn addresses_of(&self, path: &str) -> Vec<String> {
        self.current().iter().map(|mirror| format!("{}/{path}", mirror.debian)).collect()
    }

    /// The address of a suite at the snapshot service, as it was when it was locked.
    fn snapshot_of(&self, suite: &str) -> Option<String> {
        let date = self.dates.get(suite)?;
        let surely = date.checked_add(SNAPSHOT_DELAY).unwrap_or(*date);
        let mirror = mirror::snapshot(surely);
        if self.security.iter().any(|name| name == suite) { mirror.security } else { Some(mirror.debian) }
    }

    /// Where suites are as they are now.
    pub(crate) fn current(&self) -> Vec<Mirror> {
        let snapshot = self.snapshot.then(|| mirror::snapshot(self.now));
        self.live.iter().cloned().chain(snapshot).collect()
    }
}

impl Builder {
    /// Where the packages of a distro come from, as apt reads it (sources.list(5)): the mirror that the matrix names, or
    /// the snapshot service as of when each suite was locked. So what is installed later fits what is there, and the same
    /// lock gives the same text on every machine.
    pub(crate) fn apt_sources(&self, lock: &Lock, distro: &str) -> Result<String, BuildError> {
        let distro = &self.project.matrix.distros[distro];
        let named = self.project.matrix.mirror.as_ref();
        let mirrors = Mirrors { live: Vec::new(), snapshot: true, ..self.mirrors(lock)? };
        let mut text =
            "# Where the packages of this image come from, as they were when these were chosen.\n".to_owned();
        let suites = distro.suites.iter().map(|suite| (suite, false));
        for (suite, secure) in suites.chain(distro.security.iter().map(|suite| (suite, true))) {
            let line = match named {
                Some(named) => {
                    let address = if secure { &named.security } else { &named.main };
                    format!("deb {address} {suite} main\n")
                }
                None => match mirrors.snapshot_of(suite) {
                    // An index of then is past its end now.
                    Some(address) => format!("deb [check-valid-until=no] {address} {suite} main\n"),
                    None => continue,
                },
            };
            text.push_str(&line);
        }
        Ok(text)
    }

    /// The mirrors, with the snapshot service as it was when each suite was locked.
    pub(crate) fn mirrors(&self, lock: &Lock) -> Result<Mirrors, BuildError> {
        let named = self.options.mirror.as_ref().or(self.project.matrix.mirror.as_ref());
        let live = match named {
            Some(named) => {
                vec![Mirror { debian: named.main.clone(), security: Some(named.security.clone()) }]
            }
            None => {
                let texts = self.options.apt_sources.iter().map(|(file, text)| {
                    match file.extension().is_some_and(|extension| extension == "sources") {
                        true => AptSources::Deb822(text),
                        false => AptSources::OneLine(text),
                    }
                });
                mirror::mirrors(texts).map_err(BuildError::AptSources)?
            }
        };
        let distros = self.project.matrix.distros.values();
        Ok(Mirrors {
            live,
            snapshot: named.is_none(),
            dates: lock.suites.iter().map(|suite| (suite.name.clone(), suite.date)).collect(),
            security: distros.flat_map(|distro| distro.security.iter().cloned()).collect(),
            now: self.now,
        })
    }
}

#[cfg(test)]
mod tests {
    use schema::Digest;

    use super::*;

    fn mirrors(live: &[(&str, Option<&str>)], snapshot: bool) -> Mirrors {
        let mirror = |(main, security): &(&str, Option<&str>)| Mirror {
            debian: (*main).to_owned(),
            security: security.map(str::to_owned),
        };
        Mirrors {
            live: live.iter().map(mirror).collect(),
            snapshot,
            dates: BTreeMap::from([
                ("trixie".to_owned(), "2026-11-21T09:15:44Z".parse().unwrap()),
                ("trixie-security".to_owned(), "2026-11-23T20:00:00Z".parse().unwrap()),
            ]),
            security: vec!["trixie-security".to_owned()],
            now: "2026-11-24T07:30:00Z".parse().unwrap(),
        }
    }

    /// The addresses, without what is common to all of the snapshot service.
    fn addresses(mirrors: &Mirrors, suite: &str) -> Vec<String> {
        let package = LockedPackage {
            suite: suite.to_owned(),
            path: "pool/x.deb".to_owned(),
            size: 1,
            digest: Digest::of(b"x"),
        };
        let short = |address: String| match address.split_once("/archive/") {
            Some((_, rest)) => rest.to_owned(),
            None => address,
        };
        mirrors.addresses(&package).into_iter().map(short).collect()
    }

    #[test]
    fn a_package_is_at_the_mirrors_of_its_archive_then_at_the_snapshot_of_its_suite() {
        let all = mirrors(&[("http://one", Some("http://one-security")), ("http://two", None)], true);
        assert_eq!(
            addresses(&all, "trixie"),
            ["http://one/pool/x.deb", "http://two/pool/x.deb", "debian/20261122T091544Z/pool/x.deb"]
        );
        // The snapshot of a suite that was locked today is that of now.
        assert_eq!(
            addresses(&all, "trixie-security"),
            ["http://one-security/pool/x.deb", "debian-security/20261124T073000Z/pool/x.deb"]
        );
        assert_eq!(addresses(&all, "unknown"), ["http://one/pool/x.deb", "http://two/pool/x.deb"]);
    }

    #[test]
    fn suites_are_read_as_they_are_now_and_a_named_mirror_is_all_there_is() {
        let without_apt = mirrors(&[], true).current();
        assert_eq!(without_apt, [mirror::snapshot("2026-11-24T07:30:00Z".parse().unwrap())]);
        let named = mirrors(&[("http://one", None)], false);
        assert_eq!(named.current().len(), 1);
        assert_eq!(addresses(&named, "trixie"), ["http://one/pool/x.deb"]);
    }
}

//! From wish lists to locked packages. What the lock has is taken as it is; a distro with a wish that the lock does not
//! know is resolved anew as a whole, so that the images of one distro always share their packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schema::image::ImageSpec;
use schema::lock::{ImageKey, Lock, LockedPackage, LockedSuite, PackageKey, SetKey, TarballKey};
use schema::matrix::{ImageName, Matrix, Source, Tarball};
use schema::{Architecture, Digest};

use crate::BuildError;
use crate::plan::{self, Target};
use crate::selection::Architectures;

/// What one target asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wish {
    /// For the image.
    pub image: SetKey,
    /// For the image and the gems of its checks.
    pub gems: SetKey,
    /// For what options and variants put on the image.
    pub additions: BTreeSet<SetKey>,
    /// For the root that its Ruby is compiled in, if it is.
    pub compile: Option<SetKey>,
}

impl Wish {
    fn of(target: &Target, spec: &ImageSpec) -> Self {
        let additions = target.additions(spec).into_iter().map(|(_, addition)| addition);
        let additions = additions.filter(|addition| !addition.layers.is_empty());
        Self {
            image: target.image_set(spec),
            gems: target.gem_set(spec),
            additions: additions.map(|addition| target.addition_set(spec, addition)).collect(),
            compile: target.compile_set(spec),
        }
    }

    fn sets(&self) -> impl Iterator<Item = &SetKey> {
        [&self.image, &self.gems].into_iter().chain(&self.additions).chain(&self.compile)
    }
}

/// A distro on one architecture: what is resolved as a whole.
pub type Base = (String, Architecture);

/// What resolving a base came to.
#[derive(Debug, Clone, Default)]
pub struct Resolution {
    /// The suites that it was resolved in.
    pub suites: BTreeSet<LockedSuite>,
    /// The packages of each set.
    pub sets: BTreeMap<SetKey, BTreeMap<PackageKey, LockedPackage>>,
}

/// The wishes of every target of a matrix, by what is resolved as a whole.
pub fn wishes(targets: &[Target], spec: &ImageSpec) -> BTreeMap<Base, BTreeSet<Wish>> {
    let mut wishes: BTreeMap<Base, BTreeSet<Wish>> = BTreeMap::new();
    for target in targets {
        let base = (target.row.distro.clone(), target.architecture);
        wishes.entry(base).or_default().insert(Wish::of(target, spec));
    }
    wishes
}

/// The bases with a wish that a lock does not answer.
pub fn unanswered(lock: &Lock, wishes: &BTreeMap<Base, BTreeSet<Wish>>) -> Vec<Base> {
    let answers = |wish: &Wish| wish.sets().all(|set| lock.sets.contains_key(set));
    wishes.iter().filter(|(_, wishes)| !wishes.iter().all(answers)).map(|(base, _)| base.clone()).collect()
}

/// The tarball in a source package that a Ruby of that version is compiled from, if it is in one, and the suite of that.
pub fn tarball_key<'m>(matrix: &'m Matrix, version: &str) -> Option<(TarballKey, &'m str)> {
    match matrix.tarballs.get(version)? {
        Tarball::Pinned { .. } => None,
        Tarball::SourcePackage { package, suite } => {
            Some((TarballKey { package: package.clone(), version: version.to_owned() }, suite))
        }
    }
}

/// What a lock has of the tarball in a source package that a Ruby of that version is compiled from.
///
/// # Errors
/// One that is not locked yet.
pub fn locked_tarball<'l>(
    matrix: &Matrix,
    lock: &'l Lock,
    version: &str,
) -> Result<&'l LockedPackage, BuildError> {
    let locked = tarball_key(matrix, version).and_then(|(key, _)| lock.tarballs.get(&key));
    locked.ok_or_else(|| BuildError::TarballNotLocked { version: version.to_owned() })
}

/// The tarballs of a matrix that its rows are compiled from and a lock has to know, with the suites that they are in.
pub fn tarballs(matrix: &Matrix) -> BTreeMap<TarballKey, &str> {
    let versions = matrix.rows.iter().filter_map(|row| match &row.source {
        Source::Tarball(compiled) => Some(compiled.version.as_str()),
        Source::Package(_) | Source::Image(_) => None,
    });
    versions.filter_map(|version| tarball_key(matrix, version)).collect()
}

/// Puts what a base was resolved to in place of what the lock had of it.
pub fn replace(lock: &mut Lock, (distro, architecture): &Base, resolution: Resolution) {
    lock.sets.retain(|key, _| key.distro != *distro || key.architecture != *architecture);
    let names: BTreeSet<&String> = resolution.suites.iter().map(|suite| &suite.name).collect();
    lock.suites.retain(|suite| !names.contains(&suite.name));
    lock.suites.extend(resolution.suites.iter().cloned());
    for (key, packages) in resolution.sets {
        lock.sets.insert(key, packages.keys().cloned().collect());
        lock.packages.extend(packages);
    }
}

/// Takes out what no row of the matrix wants on any architecture: a lock serves the machines of all of them.
pub fn tidy(lock: &mut Lock, matrix: &Matrix, spec: &ImageSpec) {
    let mut wanted = BTreeSet::new();
    for architecture in Architecture::ALL {
        for target in plan::targets(matrix, spec, architecture, Architectures::Only(architecture)) {
            wanted.extend(Wish::of(&target, spec).sets().cloned());
        }
    }
    lock.retain(&wanted);
    let tarballs = tarballs(matrix);
    lock.tarballs.retain(|key, _| tarballs.contains_key(key));
    let of_distros = matrix.distros.values().flat_map(|distro| distro.suites.iter().chain(&distro.security));
    let suites: BTreeSet<&str> = of_distros.map(String::as_str).chain(tarballs.into_values()).collect();
    lock.suites.retain(|suite| suites.contains(suite.name.as_str()));
    let images: Vec<&ImageName> =
        matrix.rows.iter().flat_map(|row| row.source.image().into_iter().chain(&row.base)).collect();
    lock.images.retain(|key, _| images.contains(&&key.image));
}

/// How two locks differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockChange {
    /// The packages whose version differs, by distro and architecture.
    pub packages: BTreeMap<Base, Vec<PackageChange>>,
    /// The images whose digest differs: what it was, and what it is.
    pub images: BTreeMap<ImageKey, (Option<Digest>, Option<Digest>)>,
    /// The tarballs whose digest differs.
    pub tarballs: BTreeSet<TarballKey>,
}

/// A package whose version differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageChange {
    /// Its name.
    pub name: String,
    /// The version it had, if it was there.
    pub before: Option<String>,
    /// The version it has, if it is there.
    pub after: Option<String>,
}

impl LockChange {
    /// What it takes from `before` to `after`.
    pub fn between(before: &Lock, after: &Lock) -> Self {
        let images = images_between(before, after);
        let tarballs = before.tarballs.keys().chain(after.tarballs.keys());
        let digest = |lock: &Lock, key| lock.tarballs.get(key).map(|tarball| tarball.digest);
        let tarballs = tarballs.filter(|key| digest(before, key) != digest(after, key)).cloned().collect();
        let (before, after) = (versions(before), versions(after));
        let bases: BTreeSet<&Base> = before.keys().chain(after.keys()).collect();
        let mut packages = BTreeMap::new();
        for base in bases {
            let none = BTreeMap::new();
            let (old, new) = (before.get(base).unwrap_or(&none), after.get(base).unwrap_or(&none));
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let changes: Vec<PackageChange> = names
                .into_iter()
                .filter(|name| old.get(*name) != new.get(*name))
                .map(|name| PackageChange {
                    name: name.clone(),
                    before: old.get(name).cloned(),
                    after: new.get(name).cloned(),
                })
                .collect();
            if !changes.is_empty() {
                packages.insert(base.clone(), changes);
            }
        }
        Self { packages, images, tarballs }
    }

    /// Whether the locks have the same packages, images and tarballs.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.images.is_empty() && self.tarballs.is_empty()
    }
}

fn images_between(before: &Lock, after: &Lock) -> BTreeMap<ImageKey, (Option<Digest>, Option<Digest>)> {
    let keys: BTreeSet<&ImageKey> = before.images.keys().chain(after.images.keys()).collect();
    let digest = |lock: &Lock, key| lock.images.get(key).map(|image| image.digest);
    let changes = keys.into_iter().map(|key| (key.clone(), (digest(before, key), digest(after, key))));
    changes.filter(|(_, (before, after))| before != after).collect()
}

fn versions(lock: &Lock) -> BTreeMap<Base, BTreeMap<String, String>> {
    let mut versions: BTreeMap<Base, BTreeMap<String, String>> = BTreeMap::new();
    for (key, packages) in &lock.sets {
        let base = versions.entry((key.distro.clone(), key.architecture)).or_default();
        base.extend(packages.iter().map(|package| (package.name.clone(), package.version.clone())));
    }
    versions
}

impl fmt::Display for LockChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return write!(formatter, "the lock has the same packages as before");
        }
        let mut between = "";
        for ((distro, architecture), changes) in &self.packages {
            write!(formatter, "{between}locked {distro} {architecture}:")?;
            between = "\n";
            if changes.iter().all(|change| change.before.is_none()) {
                write!(formatter, " {} packages", changes.len())?;
                continue;
            }
            for PackageChange { name, before, after } in changes {
                let version =
                    |version: &Option<String>| version.clone().unwrap_or_else(|| "(none)".to_owned());
                write!(formatter, "\n  {name} {} -> {}", version(before), version(after))?;
            }
        }
        for (ImageKey { image, architecture }, (before, after)) in &self.images {
            write!(formatter, "{between}locked {image} {architecture}:")?;
            between = "\n";
            match (before, after) {
                (Some(before), Some(after)) => write!(formatter, " {before} -> {after}")?,
                (None, Some(after)) => write!(formatter, " {after}")?,
                (_, None) => write!(formatter, " (none)")?,
            }
        }
        for TarballKey { package, version } in &self.tarballs {
            write!(
                formatter,
                "{between}locked the tarball of Ruby {version} in the source package {package}"
            )?;
            between = "\n";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::lock::LockedImage;

    fn key(distro: &str, want: &str) -> SetKey {
        SetKey {
            distro: distro.to_owned(),
            architecture: Architecture::Amd64,
            wants: BTreeSet::from([want.to_owned()]),
        }
    }

    fn resolution(sets: &[(SetKey, &[(&str, &str)])]) -> Resolution {
        let package = |&(name, version): &(&str, &str)| {
            let key = PackageKey {
                name: name.to_owned(),
                version: version.to_owned(),
                architecture: "amd64".to_owned(),
            };
            let at = LockedPackage {
                suite: "suite".to_owned(),
                path: format!("{name}.deb"),
                size: 1,
                digest: Digest::of(version.as_bytes()),
            };
            (key, at)
        };
        let sets = sets.iter().map(|(key, packages)| (key.clone(), packages.iter().map(package).collect()));
        Resolution { suites: BTreeSet::new(), sets: sets.collect() }
    }

    fn base(distro: &str) -> Base {
        (distro.to_owned(), Architecture::Amd64)
    }

    #[test]
    fn a_base_is_replaced_as_a_whole_and_others_stay() {
        let mut lock = Lock::default();
        replace(
            &mut lock,
            &base("trixie"),
            resolution(&[(key("trixie", "ruby"), &[("libc6", "1"), ("ruby", "1")])]),
        );
        replace(&mut lock, &base("bookworm"), resolution(&[(key("bookworm", "ruby"), &[("ruby", "0")])]));
        let before = lock.clone();
        replace(
            &mut lock,
            &base("trixie"),
            resolution(&[(key("trixie", "jruby"), &[("libc6", "2"), ("java", "1")])]),
        );
        assert_eq!(
            lock.sets.keys().cloned().collect::<Vec<_>>(),
            [key("bookworm", "ruby"), key("trixie", "jruby")]
        );
        insta::assert_snapshot!(LockChange::between(&before, &lock), @r"
        locked trixie amd64:
          java (none) -> 1
          libc6 1 -> 2
          ruby 1 -> (none)
        ");
        assert!(LockChange::between(&lock, &lock).is_empty());
    }

    #[test]
    fn an_image_changes_by_its_digest() {
        let lock = |digest: Option<&[u8]>| {
            let key = ImageKey {
                image: ImageName::Registry("ruby:3.4".parse().unwrap()),
                architecture: Architecture::Amd64,
            };
            let found = |bytes| LockedImage { digest: Digest::of(bytes), rubies: BTreeSet::new() };
            Lock { images: digest.map(|bytes| (key, found(bytes))).into_iter().collect(), ..Lock::default() }
        };
        let change = |before, after| LockChange::between(&lock(before), &lock(after)).to_string();
        insta::assert_snapshot!(change(None, Some(b"1")), @"locked docker.io/library/ruby:3.4 amd64: sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b");
        insta::assert_snapshot!(change(Some(b"1"), Some(b"2")), @"locked docker.io/library/ruby:3.4 amd64: sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b -> sha256:d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35");
        insta::assert_snapshot!(change(Some(b"1"), None), @"locked docker.io/library/ruby:3.4 amd64: (none)");
        assert!(LockChange::between(&lock(Some(b"1")), &lock(Some(b"1"))).is_empty());
    }

    #[test]
    fn another_tarball_is_told() {
        let key = TarballKey { package: "ruby3.3".to_owned(), version: "3.3.8".to_owned() };
        let with = |digest: &[u8]| {
            let at = LockedPackage {
                suite: "trixie".to_owned(),
                path: "pool/ruby3.3_3.3.8.orig.tar.xz".to_owned(),
                size: 1,
                digest: Digest::of(digest),
            };
            Lock { tarballs: BTreeMap::from([(key.clone(), at)]), ..Lock::default() }
        };
        assert!(LockChange::between(&with(b"a"), &with(b"a")).is_empty());
        let told = "locked the tarball of Ruby 3.3.8 in the source package ruby3.3";
        for (before, after) in [(Lock::default(), with(b"a")), (with(b"a"), with(b"b"))] {
            assert_eq!(LockChange::between(&before, &after).to_string(), told);
        }
    }

    #[test]
    fn a_first_lock_is_counted_and_not_listed() {
        let mut lock = Lock::default();
        replace(
            &mut lock,
            &base("trixie"),
            resolution(&[(key("trixie", "ruby"), &[("libc6", "1"), ("ruby", "1")])]),
        );
        insta::assert_snapshot!(LockChange::between(&Lock::default(), &lock), @"locked trixie amd64: 2 packages");
    }

    #[test]
    fn a_base_with_one_unknown_wish_is_unanswered() {
        let mut lock = Lock::default();
        replace(
            &mut lock,
            &base("trixie"),
            resolution(&[(key("trixie", "ruby"), &[]), (key("trixie", "gems"), &[])]),
        );
        let wish = |image: &str| Wish {
            image: key("trixie", image),
            gems: key("trixie", "gems"),
            additions: BTreeSet::new(),
            compile: None,
        };
        let wishes = |images: &[&str]| {
            BTreeMap::from([(
                base("trixie"),
                images.iter().map(|image| wish(image)).collect::<BTreeSet<_>>(),
            )])
        };
        assert!(unanswered(&lock, &wishes(&["ruby"])).is_empty());
        assert_eq!(unanswered(&lock, &wishes(&["ruby", "jruby"])), [base("trixie")]);
    }
}

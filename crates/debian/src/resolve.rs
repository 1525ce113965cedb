//! Choosing packages: what is wanted and everything that it depends on.
//!
//! Greedy, and the same for the same universe: a need is met by what is chosen already, or else by its first
//! alternative that is there, or else that alternative's first provider. As with apt, what a package takes is chosen
//! in full before the package's next need is looked at. `Pre-Depends` and `Depends` count, recommendations do not.
//! Nothing is tried again in another way: a need that cannot be met is an error that tells who has it. `Conflicts` and
//! `Breaks` are not looked at, as nothing is installed.

use std::collections::BTreeMap;
use std::fmt;

use crate::packages::FieldError;
use crate::relation::{Alternative, Relation};
use crate::universe::{Candidate, PackageRecord, Universe};

/// Why packages could not be chosen.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// A need that no package meets.
    #[error("cannot find a package for `{need}`{}: {shortfall}", Wanted(.wanted_by))]
    Unmet {
        /// The need, as written.
        need: String,
        /// The package that has it, the one that wants that package, and so on; empty for what was asked for.
        wanted_by: Vec<String>,
        /// What there is instead.
        shortfall: Shortfall,
    },
    /// A package whose fields are missing or malformed.
    #[error("cannot use the package {package}{}", Wanted(.wanted_by))]
    Package {
        /// The package.
        package: String,
        /// As for `Unmet`.
        wanted_by: Vec<String>,
        /// What is wrong with it.
        source: FieldError,
    },
}

/// What there is in place of what is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shortfall {
    /// No suite has a package of the name, nor one that provides it.
    Unknown,
    /// There is one, but not in the version or for the architecture that is needed.
    Other {
        /// The package.
        package: String,
        /// The highest version of it.
        version: String,
        /// The suite that has it.
        suite: String,
    },
}

impl ResolveError {
    /// The next step for the person who reads it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unmet { wanted_by, shortfall: Shortfall::Unknown, .. } if wanted_by.is_empty() => {
                Some("is the name right, and does the distro in matrix.toml have all of its suites?".into())
            }
            Self::Unmet { .. } => {
                Some("the suites of the distro do not fit each other: is one missing, or is the mirror being updated?".into())
            }
            Self::Package { .. } => None,
        }
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => out.write_str("no suite has it"),
            Self::Other { package, version, suite } => write!(out, "{suite} has {package} {version}"),
        }
    }
}

/// Who wants something, in the words of an error.
struct Wanted<'a>(&'a [String]);

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(index, package)| {
            write!(out, "{} {package}", if index == 0 { ", which is needed by" } else { ", needed by" })
        })
    }
}

/// Chooses the packages that `wanted` takes: each one's dependencies before it, where they do not go in circles.
///
/// # Errors
/// When a need cannot be met, or a package that takes part has malformed fields.
pub fn resolve(universe: &Universe<'_>, wanted: &[Relation<'_>]) -> Result<Vec<PackageRecord>, ResolveError> {
    let mut resolver = Resolver { universe, chosen: BTreeMap::new(), complete: Vec::new() };
    let wanted =
        wanted.iter().map(|relation| resolver.meet(relation, None)).collect::<Result<Vec<_>, _>>()?;
    for name in wanted {
        resolver.complete(name)?;
    }
    resolver.complete.iter().map(|name| resolver.record(name)).collect()
}

struct Resolver<'u> {
    universe: &'u Universe<'u>,
    chosen: BTreeMap<&'u str, Chosen<'u>>,
    /// The chosen packages whose needs are met, in the order in which that came to be.
    complete: Vec<&'u str>,
}

struct Chosen<'u> {
    candidate: Candidate<'u>,
    /// The first package that needed it.
    wanted_by: Option<&'u str>,
    /// Whether its needs are met or being met.
    visited: bool,
}

/// A chosen package, and those of its needs that are still to be met.
struct Visit<'u> {
    name: &'u str,
    needs: std::vec::IntoIter<Relation<'u>>,
}

impl<'u> Resolver<'u> {
    /// Meets the needs of a chosen package, those of what meets them, and so on. The walk keeps its own stack, as its
    /// depth is up to the archive.
    fn complete(&mut self, name: &'u str) -> Result<(), ResolveError> {
        let mut stack = Vec::from_iter(self.visit(name)?);
        while let Some(Visit { name, needs }) = stack.last_mut() {
            let name = *name;
            if let Some(need) = needs.next() {
                let met_by = self.meet(&need, Some(name))?;
                stack.extend(self.visit(met_by)?);
            } else {
                self.complete.push(name);
                stack.pop();
            }
        }
        Ok(())
    }

    /// The needs of a chosen package, the first time that they are asked for.
    fn visit(&mut self, name: &'u str) -> Result<Option<Visit<'u>>, ResolveError> {
        let Some(chosen) = self.chosen.get_mut(name).filter(|chosen| !chosen.visited) else {
            return Ok(None);
        };
        chosen.visited = true;
        let needs = chosen.candidate.package.needs();
        let needs = needs.map_err(|source| self.malformed(name, Some(name), source))?;
        Ok(Some(Visit { name, needs: needs.into_iter() }))
    }

    /// Meets one need and gives the name of the package that does.
    fn meet(&mut self, relation: &Relation<'_>, wanted_by: Option<&'u str>) -> Result<&'u str, ResolveError> {
        let mut first = None;
        for alternative in &relation.alternatives {
            for candidate in self.ways(alternative, wanted_by)? {
                let name = candidate.package.name();
                if self.chosen.contains_key(name) {
                    return Ok(name);
                }
                first = first.or(Some(candidate));
            }
        }
        let Some(candidate) = first else { return Err(self.unmet(relation, wanted_by)) };
        let name = candidate.package.name();
        self.chosen.insert(name, Chosen { candidate, wanted_by, visited: false });
        Ok(name)
    }

    /// The packages that meet an alternative, the preferred one first.
    fn ways(
        &self,
        alternative: &Alternative<'_>,
        wanted_by: Option<&'u str>,
    ) -> Result<Vec<Candidate<'u>>, ResolveError> {
        let providers = self.universe.providers(alternative);
        let providers = providers.map_err(|(package, source)| self.malformed(&package, wanted_by, source))?;
        Ok(self.universe.named(alternative).into_iter().chain(providers).collect())
    }

    fn record(&self, name: &'u str) -> Result<PackageRecord, ResolveError> {
        let chosen = &self.chosen[name];
        chosen.candidate.record().map_err(|source| self.malformed(name, chosen.wanted_by, source))
    }

    fn unmet(&self, relation: &Relation<'_>, wanted_by: Option<&str>) -> ResolveError {
        let there =
            relation.alternatives.iter().find_map(|alternative| self.universe.candidate(alternative.package));
        let shortfall = there.map_or(Shortfall::Unknown, |candidate| Shortfall::Other {
            package: candidate.package.name().to_owned(),
            version: candidate.version.to_string(),
            suite: candidate.suite.name.clone(),
        });
        ResolveError::Unmet { need: relation.to_string(), wanted_by: self.chain(wanted_by), shortfall }
    }

    fn malformed(&self, package: &str, wanted_by: Option<&str>, source: FieldError) -> ResolveError {
        let mut wanted_by = self.chain(wanted_by);
        wanted_by.retain(|name| name != package);
        ResolveError::Package { package: package.to_owned(), wanted_by, source }
    }

    /// A package, the one that wants it, and so on up to what was asked for.
    fn chain(&self, from: Option<&str>) -> Vec<String> {
        let links =
            std::iter::successors(from, |name| self.chosen.get(name).and_then(|chosen| chosen.wanted_by));
        links.map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use rootfs::Content;
    use schema::Architecture;

    use super::*;
    use crate::packages::Index;
    use crate::suite::{ArchiveName, Suite};
    use crate::universe::SuiteIndex;

    /// Suites by name, each with packages as `name version; Field: value; ...`.
    fn indexes(suites: &[(&str, &[&str])]) -> Vec<SuiteIndex> {
        let suites = suites.iter().map(|(name, packages)| {
            let text: String = packages.iter().map(|package| paragraph(package)).collect();
            SuiteIndex {
                suite: Suite {
                    name: (*name).to_owned(),
                    archive: ArchiveName::Main,
                    components: vec!["main".to_owned()],
                    archived: false,
                    seen: None,
                },
                date: Timestamp::UNIX_EPOCH,
                release: schema::Digest::of(b""),
                components: vec![Index::parse(Content::from(text.into_bytes())).unwrap()],
            }
        });
        suites.collect()
    }

    fn resolve_in(suites: &[(&str, &[&str])], wanted: &str) -> Result<Vec<PackageRecord>, ResolveError> {
        let indexes = indexes(suites);
        resolve(&Universe::new(&indexes, Architecture::Amd64), &Relation::parse_all(wanted).unwrap())
    }

    fn paragraph(package: &str) -> String {
        let (head, fields) = package.split_once(';').unwrap_or((package, ""));
        let (name, version) = head.split_once(' ').unwrap();
        let sha256 = schema::Digest::of(package.as_bytes()).hex();
        let architecture = if fields.contains("Architecture") { "" } else { "Architecture: amd64\n" };
        let fields: String = fields
            .split(';')
            .map(str::trim)
            .filter(|field| !field.is_empty())
            .flat_map(|field| [field, "\n"])
            .collect();
        format!(
            "Package: {name}\nVersion: {version}\n{fields}{architecture}Filename: pool/{name}.deb\nSize: 1\n\
             SHA256: {sha256}\n\n"
        )
    }

    /// The chosen packages, as `name version`.
    fn choose(suites: &[(&str, &[&str])], wanted: &str) -> Result<Vec<String>, String> {
        let records = resolve_in(suites, wanted).map_err(|error| chain(&error))?;
        Ok(records.into_iter().map(|record| format!("{} {}", record.name, record.version)).collect())
    }

    fn chain(error: &dyn std::error::Error) -> String {
        let errors = std::iter::successors(Some(error), |error| error.source());
        errors.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }

    #[test]
    fn the_first_way_that_is_there_is_taken() {
        let cases: [(&str, &[&str], &str, &[&str]); 14] = [
            ("in order", &["a 1; Depends: b, c", "b 1; Depends: c", "c 1"], "a", &["c 1", "b 1", "a 1"]),
            ("pre-depends count", &["a 1; Pre-Depends: b", "b 1"], "a", &["b 1", "a 1"]),
            ("recommends do not", &["a 1; Recommends: b", "b 1"], "a", &["a 1"]),
            ("circles end", &["a 1; Depends: b", "b 1; Depends: a"], "a", &["b 1", "a 1"]),
            ("second alternative", &["a 1; Depends: x | b", "b 1"], "a", &["b 1", "a 1"]),
            ("version decides", &["a 1; Depends: b (>= 2) | c", "b 1", "c 1"], "a", &["c 1", "a 1"]),
            ("chosen one is enough", &["a 1; Depends: b | c", "b 1", "c 1"], "c, a", &["c 1", "a 1"]),
            (
                "chosen one's own needs are met first",
                &["a 1; Depends: b, m", "b 1; Depends: c", "c 1; Provides: m", "m 1"],
                "a",
                &["c 1", "b 1", "a 1"],
            ),
            (
                "wanted ones are chosen before any need is met",
                &["a 1; Depends: b | c", "b 1", "c 1; Depends: d", "d 1"],
                "a, c",
                &["d 1", "c 1", "a 1"],
            ),
            ("real before provider", &["a 1; Depends: m", "p 1; Provides: m", "m 1"], "a", &["m 1", "a 1"]),
            (
                "provider by priority",
                &["a 1; Depends: m", "p 1; Provides: m", "q 1; Provides: m; Priority: important"],
                "a",
                &["q 1", "a 1"],
            ),
            (
                "provider by name",
                &["a 1; Depends: m", "q 1; Provides: m", "p 1; Provides: m"],
                "a",
                &["p 1", "a 1"],
            ),
            (
                "versioned provider",
                &[
                    "a 1; Depends: m (>= 2)",
                    "p 1; Provides: m",
                    "q 1; Provides: m (= 1)",
                    "r 1; Provides: m (= 2)",
                ],
                "a",
                &["r 1", "a 1"],
            ),
            (
                "any architecture by consent",
                &["a 1; Depends: b:any | c:any | d:amd64", "b 1", "c 1; Multi-Arch: allowed"],
                "a",
                &["c 1", "a 1"],
            ),
        ];
        for (case, packages, wanted, chosen) in cases {
            assert_eq!(choose(&[("trixie", packages)], wanted).unwrap(), chosen, "{case}");
        }
    }

    #[test]
    fn the_highest_version_of_all_suites_counts() {
        let suites: [(&str, &[&str]); 3] = [
            ("trixie", &["a 1; Depends: b", "b 1", "c 3; Architecture: all"]),
            ("trixie-updates", &["b 1.1", "c 3"]),
            ("trixie-security", &["b 1.1", "b 1.2", "b 1.1~rc1", "c 9; Architecture: arm64"]),
        ];
        let records = resolve_in(&suites, "a, c").unwrap();
        let shown: Vec<_> = records
            .iter()
            .map(|record| format!("{} {} {}", record.name, record.version, record.suite))
            .collect();
        assert_eq!(shown, ["b 1.2 trixie-security", "a 1 trixie", "c 3 trixie"]);
        assert_eq!((records[0].filename.as_str(), records[2].architecture.as_str()), ("pool/b.deb", "all"));
    }

    #[test]
    fn only_the_highest_version_provides() {
        let suites: [(&str, &[&str]); 2] = [("trixie", &["p 1; Provides: m"]), ("trixie-updates", &["p 2"])];
        assert!(choose(&suites, "m").is_err());
    }

    #[test]
    fn a_need_that_cannot_be_met_names_who_has_it() {
        let cases: [(&[&str], &str, &str); 5] = [
            (&[], "ruby", "cannot find a package for `ruby`: no suite has it"),
            (
                &["ruby 1; Depends: ruby3.3", "ruby3.3 1; Depends: libruby (>= 2) | x", "libruby 1"],
                "ruby",
                "cannot find a package for `libruby (>= 2) | x`, which is needed by ruby3.3, needed by ruby: trixie has libruby 1",
            ),
            (
                &["a 1; Depends: b:arm64", "b 1"],
                "a",
                "cannot find a package for `b:arm64`, which is needed by a: trixie has b 1",
            ),
            (
                &["a 1; Depends: b [amd64]", "b 1"],
                "a",
                "cannot use the package a: its `Depends` is malformed: `b [amd64]` is not a relation such as `ruby (>= 3.1) | ruby3.3:any`",
            ),
            (
                &["a 1; Depends: b", "b 1; Filename: ../b"],
                "a",
                "cannot use the package b, which is needed by a: its `Filename` is `../b`, which is no path in an archive",
            ),
        ];
        for (packages, wanted, error) in cases {
            assert_eq!(choose(&[("trixie", packages)], wanted).unwrap_err(), error);
        }
    }

    #[test]
    fn a_long_chain_takes_no_stack() {
        let packages: Vec<String> =
            (0..20_000).map(|index| format!("p{index} 1; Depends: p{}", index + 1)).collect();
        let mut packages: Vec<&str> = packages.iter().map(String::as_str).collect();
        packages.push("p20000 1");
        let chosen = choose(&[("trixie", &packages)], "p0").unwrap();
        assert_eq!((chosen.len(), chosen[0].as_str()), (20_001, "p20000 1"));
    }
}

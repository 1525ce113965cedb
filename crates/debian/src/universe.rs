//! The universe: what there is to choose from, over all suites that a distro consists of.
//!
//! Of each name the highest version counts, the *candidate*, as with apt when all suites have the same priority.
//! Where two suites have the same version, the one that was given first has it.

use jiff::Timestamp;
use schema::{Architecture, Digest};

use crate::packages::{FieldError, Index, Package};
use crate::relation::{Alternative, Provision};
use crate::suite::Suite;
use crate::version::Version;

/// The packages of one suite, from an index that was verified.
#[derive(Debug)]
pub struct SuiteIndex {
    /// The suite.
    pub suite: Suite,
    /// When its release file was made.
    pub date: Timestamp,
    /// The digest of that file, with its signature.
    pub release: Digest,
    /// The packages of each component, in the order of `suite.components`.
    pub(crate) components: Vec<Index>,
}

/// The packages of one architecture, over several suites.
#[derive(Debug)]
pub struct Universe<'a> {
    suites: Vec<&'a SuiteIndex>,
    architecture: Architecture,
}

/// Everything it takes to fetch a package and to say where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageRecord {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture, or `all`.
    pub architecture: String,
    /// Where its file is below the address of a mirror.
    pub filename: String,
    /// How many bytes the file has.
    pub size: u64,
    /// Their digest.
    pub sha256: Digest,
    /// The suite that it comes from.
    pub suite: String,
}

/// A package that may be chosen: the highest version of its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'u> {
    pub(crate) package: Package<'u>,
    pub(crate) version: Version<'u>,
    pub(crate) suite: &'u Suite,
}

impl Candidate<'_> {
    pub(crate) fn record(&self) -> Result<PackageRecord, FieldError> {
        let (filename, size, sha256) = self.package.file()?;
        Ok(PackageRecord {
            name: self.package.name().to_owned(),
            version: self.version.as_str().to_owned(),
            architecture: self.package.architecture()?.to_owned(),
            filename: filename.to_owned(),
            size,
            sha256,
            suite: self.suite.name.clone(),
        })
    }
}

impl<'a> Universe<'a> {
    /// Joins the suites of a distro, all of them read for `architecture`.
    pub fn new(suites: impl IntoIterator<Item = &'a SuiteIndex>, architecture: Architecture) -> Self {
        Self { suites: suites.into_iter().collect(), architecture }
    }

    /// The highest version of a package. What has no version or is for another architecture does not count.
    pub(crate) fn candidate(&self, name: &str) -> Option<Candidate<'_>> {
        let packages =
            self.indexes().flat_map(|(suite, index)| index.named(name).map(move |package| (suite, package)));
        // `max_by` gives the last of equals: reversed, that is the first.
        let candidates =
            packages.filter_map(|(suite, package)| self.eligible(suite, package)).collect::<Vec<_>>();
        candidates.into_iter().rev().max_by_key(|candidate| candidate.version)
    }

    /// The candidates that provide a name and, by that, meet `alternative`, the preferred one first: by their
    /// priority (Debian policy, section 2.5), then by name.
    pub(crate) fn providers(
        &self,
        alternative: &Alternative<'_>,
    ) -> Result<Vec<Candidate<'_>>, (String, FieldError)> {
        let mut names: Vec<&str> = self
            .indexes()
            .flat_map(|(_, index)| index.providing(alternative.package))
            .map(Package::name)
            .collect();
        names.sort_unstable();
        names.dedup();
        let mut providers = Vec::new();
        for name in names {
            let Some(candidate) = self.candidate(name) else { continue };
            let provisions = candidate.package.provisions().map_err(|error| (name.to_owned(), error))?;
            let meets = |provision: &Provision<'_>| {
                provision.package == alternative.package && alternative.accepts_provision(provision.version)
            };
            if self.qualifies(candidate.package, alternative) && provisions.iter().any(meets) {
                providers.push(candidate);
            }
        }
        providers.sort_by_key(|candidate| priority(candidate.package));
        Ok(providers)
    }

    /// The package of that very name, if its candidate meets `alternative`.
    pub(crate) fn named(&self, alternative: &Alternative<'_>) -> Option<Candidate<'_>> {
        let candidate = self.candidate(alternative.package)?;
        (alternative.accepts(candidate.version) && self.qualifies(candidate.package, alternative))
            .then_some(candidate)
    }

    /// Whether a package is one for what follows the colon: `any` asks for its consent (Debian policy, section 7.1;
    /// Multiarch specification), and everything here is of one architecture.
    fn qualifies(&self, package: Package<'_>, alternative: &Alternative<'_>) -> bool {
        match alternative.qualifier {
            None | Some("native") => true,
            Some("any") => package.allows_any_architecture(),
            Some(architecture) => architecture == self.architecture.name(),
        }
    }

    fn eligible<'u>(&self, suite: &'u Suite, package: Package<'u>) -> Option<Candidate<'u>> {
        let architecture = package.architecture().ok()?;
        let version = package.version().ok()?;
        let fits = architecture == "all" || architecture == self.architecture.name();
        fits.then_some(Candidate { package, version, suite })
    }

    fn indexes(&self) -> impl Iterator<Item = (&'a Suite, &'a Index)> {
        self.suites.iter().flat_map(|suite| suite.components.iter().map(|index| (&suite.suite, index)))
    }
}

fn priority(package: Package<'_>) -> usize {
    const ORDER: [&str; 5] = ["required", "important", "standard", "optional", "extra"];
    let priority = package.field("Priority").unwrap_or("optional");
    ORDER.iter().position(|known| *known == priority).unwrap_or(ORDER.len())
}

//! What lets requests through: the rights that are asked for, and what was given for them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use crate::hosts::Endpoint;

/// A token is taken for ended this long before it is: the request still has to get there.
const MARGIN: Duration = Duration::from_secs(10);

/// Rights to repositories, each as `repository:library/ruby:pull` (the token authentication of Docker's registry,
/// "Token Scope").
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scope(BTreeSet<String>);

impl Scope {
    /// To read a repository.
    pub(crate) fn pull(repository: &str) -> Self {
        Self(BTreeSet::from([format!("repository:{repository}:pull")]))
    }

    /// To read and write a repository, and to read others that blobs are mounted from.
    pub(crate) fn push<'a>(repository: &str, mounted: impl IntoIterator<Item = &'a str>) -> Self {
        let others = mounted.into_iter().filter(|other| *other != repository);
        let others = others.map(|other| format!("repository:{other}:pull"));
        Self(others.chain([format!("repository:{repository}:pull,push")]).collect())
    }

    /// With what a registry asks for, which may know rights of its own.
    pub(crate) fn with(&self, asked: Option<&str>) -> Self {
        let mut all = self.0.clone();
        // What we ask for holds what it asks for.
        let covered = |asked: &str| {
            let resource = asked.rsplit_once(':').map_or(asked, |(resource, _)| resource);
            all.iter().any(|own| own.rsplit_once(':').is_some_and(|(own, _)| own == resource))
        };
        let more: Vec<String> = asked
            .into_iter()
            .flat_map(str::split_whitespace)
            .filter(|one| !covered(one))
            .map(str::to_owned)
            .collect();
        all.extend(more);
        Self(all)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
    }
}

/// What was given.
#[derive(Clone)]
pub(crate) struct Access {
    /// The value of `Authorization`.
    pub(crate) value: String,
    /// When it ends; never where it is a password.
    until: Option<Instant>,
}

impl Access {
    /// For good.
    pub(crate) const fn lasting(value: String) -> Self {
        Self { value, until: None }
    }

    /// For this long from now on.
    pub(crate) fn passing(value: String, lifetime: Duration) -> Self {
        let safe = lifetime.saturating_sub(MARGIN).max(lifetime / 2);
        Self { value, until: Instant::now().checked_add(safe) }
    }

    fn holds(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

/// What was given so far, by registry and rights.
#[derive(Default)]
pub(crate) struct Accesses(BTreeMap<(String, Scope), Access>);

impl Accesses {
    /// What lets through now.
    pub(crate) fn get(&self, endpoint: &Endpoint, scope: &Scope) -> Option<&str> {
        let access = self.0.get(&(endpoint.origin.clone(), scope.clone()))?;
        access.holds().then_some(access.value.as_str())
    }

    pub(crate) fn put(&mut self, endpoint: &Endpoint, scope: &Scope, access: Access) {
        self.0.insert((endpoint.origin.clone(), scope.clone()), access);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::Hosts;

    #[test]
    fn rights_are_joined_with_those_that_are_asked_for() {
        let pull = Scope::pull("ruby");
        assert_eq!(pull.with(Some("repository:ruby:pull")).to_string(), "repository:ruby:pull");
        assert_eq!(pull.with(Some("aws")).to_string(), "aws repository:ruby:pull");
        assert_eq!(pull.with(None), pull);
        assert_eq!(
            Scope::push("ruby", ["other", "ruby"]).with(Some("repository:ruby:pull")).to_string(),
            "repository:other:pull repository:ruby:pull,push"
        );
    }

    #[test]
    fn what_ended_lets_nobody_through() {
        let endpoint = Hosts::default().endpoint("one.example");
        let scope = Scope::pull("ruby");
        let mut accesses = Accesses::default();
        accesses.put(&endpoint, &scope, Access::passing("Bearer a".into(), Duration::from_mins(5)));
        assert_eq!(accesses.get(&endpoint, &scope), Some("Bearer a"));
        assert_eq!(accesses.get(&endpoint, &Scope::pull("other")), None);
        assert_eq!(accesses.get(&Hosts::default().endpoint("two.example"), &scope), None);
        accesses.put(&endpoint, &scope, Access::passing("Bearer b".into(), Duration::ZERO));
        assert_eq!(accesses.get(&endpoint, &scope), None);
        accesses.put(&endpoint, &scope, Access::lasting("Basic c".into()));
        assert_eq!(accesses.get(&endpoint, &scope), Some("Basic c"));
    }
}

//! What goes into a compile, by names that people know: its digest names the result, and two of them side by side say why
//! a Ruby is compiled again.

use std::collections::BTreeMap;
use std::fmt;

use schema::{Digest, Hasher};
use serde::{Deserialize, Serialize};

/// How many changes are told one by one.
const TOLD: usize = 5;

/// Everything that decides what a compile comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Inputs(BTreeMap<String, Input>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Input {
    /// A version or the like, where it has one.
    shown: String,
    digest: Digest,
}

impl Inputs {
    /// With this input, which has a value that says all.
    pub(crate) fn value(&mut self, name: &str, value: &str) {
        self.insert(name, value, Digest::of(value.as_bytes()));
    }

    /// With this input, which has that digest and is called so.
    pub(crate) fn insert(&mut self, name: &str, shown: &str, digest: Digest) {
        self.0.insert(name.to_owned(), Input { shown: shown.to_owned(), digest });
    }

    /// What the result is known by.
    pub(crate) fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        for (name, input) in &self.0 {
            hasher.field(name.as_bytes());
            hasher.field(input.digest.as_bytes());
        }
        hasher.finish()
    }

    /// How they differ from earlier ones.
    pub(crate) fn since(&self, earlier: &Self) -> Changes {
        let mut changes = Vec::new();
        for (name, input) in &self.0 {
            match earlier.0.get(name) {
                None => changes.push(format!("{name} is new")),
                Some(before) if before.digest == input.digest => {}
                Some(before) if before.shown == input.shown => changes.push(format!("{name} is another one")),
                Some(before) => changes.push(format!("{name}: {} -> {}", before.shown, input.shown)),
            }
        }
        let gone = earlier.0.keys().filter(|name| !self.0.contains_key(*name));
        changes.extend(gone.map(|name| format!("{name} is gone")));
        Changes(changes)
    }
}

/// How inputs differ, as people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes(Vec<String>);

impl fmt::Display for Changes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(changes) = self;
        if changes.is_empty() {
            // The result is not in the cache any more.
            return formatter.write_str("nothing has changed");
        }
        let told = &changes[..changes.len().min(TOLD)];
        formatter.write_str(&told.join(", "))?;
        match changes.len() - told.len() {
            0 => Ok(()),
            more => write!(formatter, ", and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(packages: &[(&str, &str, &[u8])], yjit: &str) -> Inputs {
        let mut inputs = Inputs::default();
        inputs.value("YJIT", yjit);
        for (name, version, bytes) in packages {
            inputs.insert(&format!("package {name}"), version, Digest::of(bytes));
        }
        inputs
    }

    #[test]
    fn what_has_changed_is_told() {
        let before = inputs(&[("gcc", "12", b"gcc12"), ("make", "4", b"make"), ("sed", "1", b"sed")], "yes");
        for (after, wanted) in [
            (before.clone(), "nothing has changed"),
            (
                inputs(&[("gcc", "12", b"gcc12"), ("make", "4", b"make"), ("sed", "1", b"sed")], "no"),
                "YJIT: yes -> no",
            ),
            (
                inputs(&[("gcc", "13", b"gcc13"), ("make", "4", b"again"), ("tar", "1", b"tar")], "yes"),
                "package gcc: 12 -> 13, package make is another one, package tar is new, package sed is gone",
            ),
            (
                inputs(&[("a", "", b""), ("b", "", b""), ("c", "", b""), ("d", "", b"")], "yes"),
                "package a is new, package b is new, package c is new, package d is new, package gcc is gone, and 2 more",
            ),
        ] {
            assert_eq!(after.since(&before).to_string(), wanted);
            assert_eq!(after.digest() == before.digest(), after == before, "{wanted}");
        }
    }

    #[test]
    fn what_is_kept_of_them_is_the_same_again() {
        let inputs = inputs(&[("gcc", "12", b"gcc12")], "yes");
        let json = serde_json::to_vec(&inputs).unwrap();
        assert_eq!(serde_json::from_slice::<Inputs>(&json).unwrap(), inputs);
    }
}

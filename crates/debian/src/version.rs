//! Versions of packages and their order (Debian policy, section 5.6.12; deb-version(7)).
//!
//! A version is `[epoch:]upstream[-revision]`. Every text has a place in the order, so that comparing cannot fail.

use std::cmp::Ordering;
use std::fmt;

/// A version, as written. Two that are written differently may be equal: `1.0` and `1.00` are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version<'a>(&'a str);

impl<'a> Version<'a> {
    /// Takes a version as it is written.
    pub(crate) const fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The version as it is written.
    pub(crate) const fn as_str(self) -> &'a str {
        self.0
    }

    /// Epoch, upstream version and revision. A version without a revision has an empty one, which equals `0`.
    fn parts(self) -> (&'a str, &'a str, &'a str) {
        let (epoch, rest) = self.0.split_once(':').unwrap_or(("", self.0));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (epoch, upstream, revision)
    }
}

impl fmt::Display for Version<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.0)
    }
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let (epoch, upstream, revision) = self.parts();
        let (other_epoch, other_upstream, other_revision) = other.parts();
        compare_part(epoch, other_epoch)
            .then_with(|| compare_part(upstream, other_upstream))
            .then_with(|| compare_part(revision, other_revision))
    }
}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version<'_> {}

/// Compares by turns a stretch of non-digits and a stretch of digits. A part that ended goes on as nothing, and no
/// digits count as zero.
fn compare_part(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    while !left.is_empty() || !right.is_empty() {
        let [left_word, right_word] =
            [&mut left, &mut right].map(|part| split_while(part, |byte| !byte.is_ascii_digit()));
        let [left_number, right_number] =
            [&mut left, &mut right].map(|part| split_while(part, |byte| byte.is_ascii_digit()));
        let order =
            compare_words(left_word, right_word).then_with(|| compare_numbers(left_number, right_number));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

fn split_while<'a>(text: &mut &'a [u8], belongs: impl Fn(u8) -> bool) -> &'a [u8] {
    let end = text.iter().position(|byte| !belongs(*byte)).unwrap_or(text.len());
    let (taken, rest) = text.split_at(end);
    *text = rest;
    taken
}

/// `~` comes before the end, the end before letters, letters before anything else.
fn compare_words(left: &[u8], right: &[u8]) -> Ordering {
    let rank = |word: &[u8], index: usize| match word.get(index).copied() {
        Some(b'~') => (0, 0),
        None => (1, 0),
        Some(letter) if letter.is_ascii_alphabetic() => (2, letter),
        Some(other) => (3, other),
    };
    (0..left.len().max(right.len()))
        .map(|index| rank(left, index).cmp(&rank(right, index)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Compares numbers of any length.
fn compare_numbers(mut left: &[u8], mut right: &[u8]) -> Ordering {
    split_while(&mut left, |digit| digit == b'0');
    split_while(&mut right, |digit| digit == b'0');
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;
    use crate::reference::run_if_there;

    const TABLE: [(&str, Ordering, &str); 22] = [
        ("1.0", Ordering::Equal, "1.00"),
        ("1.0", Ordering::Equal, "1.0-0"),
        ("0:1", Ordering::Equal, "1"),
        ("1", Ordering::Less, "1:0"),
        ("2:1", Ordering::Less, "10:1"),
        ("1.9", Ordering::Less, "1.10"),
        ("1.0~rc1", Ordering::Less, "1.0"),
        ("1.0~~", Ordering::Less, "1.0~"),
        ("1.0~~a", Ordering::Less, "1.0~"),
        ("1.0a", Ordering::Less, "1.0+"),
        ("1.0", Ordering::Less, "1.0a"),
        ("1.0a", Ordering::Less, "1.0b"),
        ("1.0Z", Ordering::Less, "1.0a"),
        ("1-2", Ordering::Less, "1-2+deb13u1"),
        ("1-2~deb12u1", Ordering::Less, "1-2"),
        ("1-1-2", Ordering::Greater, "1-1"),
        ("3.3.8-2", Ordering::Greater, "3.3.8-1"),
        ("1.1.1+dfsg-1", Ordering::Equal, "1.1.1+dfsg0-1"),
        ("1.1.1+dfsg-1", Ordering::Less, "1.1.1+dfsg1-1"),
        ("99999999999999999999999", Ordering::Greater, "99999999999999999999998"),
        ("0001", Ordering::Equal, "1"),
        ("7.6p2-4", Ordering::Greater, "7.6-0"),
    ];

    #[test]
    fn the_order_is_that_of_the_policy() {
        for (left, order, right) in TABLE {
            assert_eq!(Version::new(left).cmp(&Version::new(right)), order, "{left} {right}");
            assert_eq!(Version::new(right).cmp(&Version::new(left)), order.reverse(), "{right} {left}");
        }
    }

    #[test]
    fn dpkg_agrees_on_the_table() {
        let versions: Vec<_> = TABLE.iter().flat_map(|(left, _, right)| [*left, *right]).collect();
        for pair in versions.windows(2) {
            if assert_dpkg_agrees(pair[0], pair[1]).is_none() {
                return;
            }
        }
    }

    /// Asks dpkg, where there is one, for the order of two versions.
    fn assert_dpkg_agrees(left: &str, right: &str) -> Option<()> {
        let relation = match Version::new(left).cmp(&Version::new(right)) {
            Ordering::Less => "lt",
            Ordering::Equal => "eq",
            Ordering::Greater => "gt",
        };
        let output = run_if_there(Command::new("dpkg").args(["--compare-versions", left, relation, right]))?;
        assert!(output.status.success(), "{left} {relation} {right}");
        Some(())
    }

    /// Versions as archives have them, with few characters, so that they share beginnings.
    const SHAPE: &str = "([0-2]:)?[0-2][02a.~+Z]{0,6}(-[02a.~+]{1,4})?";

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        #[test]
        fn dpkg_agrees_on_any_two(left in SHAPE, right in SHAPE) {
            assert_dpkg_agrees(&left, &right);
        }
    }

    proptest! {
        #[test]
        fn the_order_is_one(versions in prop::collection::vec("[0-2a~+.:-]{0,8}", 3)) {
            let [a, b, c] = [0, 1, 2].map(|index| Version::new(&versions[index]));
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            prop_assert_eq!(a.cmp(&a), Ordering::Equal);
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
        }
    }
}

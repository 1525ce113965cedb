//! The rules. Each answers for one path at a time: this file also needs these paths, because of that. A rule knows
//! nothing of the others; what one brings in, all of them see.

mod certificates;
mod elf;
mod glibc;
mod opened;
mod openssl;
mod ruby;
mod shebang;
mod symlink;
mod terminal;
mod timezone;

use std::sync::Arc;

use crate::closure::Reason;
use crate::engine::{Answer, Visit};
use crate::request::Reach;
use crate::scope::Scope;

/// One rule.
pub(crate) trait Rule: Sync {
    /// The name that reasons carry.
    fn name(&self) -> &'static str;

    /// Says what a path needs.
    fn apply(&self, scope: &Scope<'_>, visit: &Visit<'_>, answer: &mut Answer<'_>);

    /// The reason for something that the visited path needs.
    fn reason(&self, visit: &Visit<'_>, because: impl Into<Arc<str>>) -> Reason
    where
        Self: Sized,
    {
        Reason { from: Some(visit.path.clone()), rule: self.name(), because: because.into() }
    }
}

/// The rules of a reach.
pub(crate) fn rules(reach: Reach) -> &'static [&'static dyn Rule] {
    match reach {
        Reach::Everything => &RULES,
        Reach::Loaded => &LOADING,
    }
}

/// The rules that hold for every program.
const LOADING: [&dyn Rule; 3] = [&symlink::Symlink, &elf::Elf, &shebang::Shebang];

/// Every rule.
const RULES: [&dyn Rule; 10] = [
    &symlink::Symlink,
    &elf::Elf,
    &shebang::Shebang,
    &ruby::Ruby,
    &opened::Opened,
    &glibc::Glibc,
    &openssl::OpenSsl,
    &certificates::Certificates,
    &timezone::TimeZone,
    &terminal::Terminal,
];

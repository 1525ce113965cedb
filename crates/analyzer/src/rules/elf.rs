//! An ELF program needs its loader, an ELF object its needed libraries, and those theirs (ld.so(8)); and what an object
//! says that it opens itself.
//!
//! Libraries are followed here to the end, for one object that is opened at a time: whose RPATHs count, and which
//! library is loaded already, depends on what was opened before.

use std::sync::Arc;

use rootfs::Resolved;

use super::Rule;
use crate::closure::Reason;
use crate::elf::{Link, Object, Priority};
use crate::engine::{Answer, Role, Strength, Visit, escaped};
use crate::finding::FindingKind;
use crate::load::{Load, Needed, Way};
use crate::scope::Scope;
use crate::search::Miss;

pub(super) struct Elf;

impl Rule for Elf {
    fn name(&self) -> &'static str {
        "elf"
    }

    fn apply(&self, scope: &Scope<'_>, visit: &Visit<'_>, answer: &mut Answer<'_>) {
        match &visit.object {
            None => {}
            Some(Err(error)) => answer.find(Some(visit.path.clone()), FindingKind::Damaged(*error)),
            Some(Ok(object)) => self.follow(scope, visit, object, answer),
        }
    }
}

impl Elf {
    fn follow(&self, scope: &Scope<'_>, visit: &Visit<'_>, object: &Object<'_>, answer: &mut Answer<'_>) {
        if let Some(loader) = object.interpreter
            && visit.is_first
        {
            answer.text(loader, self.reason(visit, "interpreter"), Strength::Hard);
        }
        let load = match visit.role {
            Role::Needed => return,
            Role::Own => scope.program(visit.path),
            Role::OpenedBy(program) => Arc::new(Load::opened_by(scope, program, visit.path)),
        };
        if let Some(list) = &load.preloads {
            let list = Resolved { path: list.clone(), links: Vec::new() };
            answer.resolved(
                list,
                Role::Own,
                self.reason(visit, "list of preloaded libraries"),
                Strength::Hard,
            );
        }
        for need in &load.needs {
            self.answer(&load, need, answer);
        }
        for missing in &load.missing_versions {
            let (name, version) = (escaped(&missing.name), escaped(&missing.version));
            let library = missing.library.clone();
            answer.find(Some(missing.by.clone()), FindingKind::VersionNotFound { name, version, library });
        }
        for path in &load.unreadable_notes {
            answer.find(Some(path.clone()), FindingKind::UnreadableNote);
        }
    }

    fn answer(&self, load: &Load<'_>, need: &Needed, answer: &mut Answer<'_>) {
        let name = escaped(&need.name);
        let strength = strength(&need.way);
        let because = because(&need.way, &name).into();
        let reason = Reason { from: Some(need.by.clone()), rule: self.name(), because };
        match &need.found {
            Ok(place) => {
                let role = if need.way == Way::Auditing { Role::Own } else { Role::Needed };
                answer.place(place, load.system.as_deref(), &role, &reason, strength);
            }
            Err(_) if strength == Strength::Soft => {
                answer.find(reason.from, FindingKind::OptionalLibraryNotFound { name });
            }
            Err(Miss::Absent { other_architecture }) => {
                let other_architecture = other_architecture.clone();
                answer.find(reason.from, FindingKind::LibraryNotFound { name, other_architecture });
            }
            Err(Miss::Unusable { candidate }) => {
                let candidate = candidate.clone();
                answer.find(reason.from, FindingKind::LibraryUnusable { name, candidate });
            }
        }
    }
}

/// The loader goes on without a library that only stands in for another, and says so where one to preload or to watch it is
/// not there. What an object opens itself is as important as it says.
fn strength(way: &Way) -> Strength {
    match way {
        Way::Linked(Link::Auxiliary)
        | Way::Opened { priority: Priority::Recommended | Priority::Suggested, .. } => Strength::Soft,
        Way::Linked(Link::Needed | Link::Filter)
        | Way::Preloaded
        | Way::Auditing
        | Way::Opened { priority: Priority::Required, .. } => Strength::Hard,
    }
}

fn because(way: &Way, name: &str) -> String {
    match way {
        Way::Linked(Link::Needed) => format!("NEEDED {name}"),
        Way::Linked(Link::Filter) => format!("FILTER {name}"),
        Way::Linked(Link::Auxiliary) => format!("AUXILIARY {name}"),
        Way::Preloaded => format!("preloaded {name}"),
        Way::Auditing => format!("AUDIT {name}"),
        Way::Opened { feature: Some(feature), priority } => {
            format!("dlopen {name} for {feature}, {}", priority.name())
        }
        Way::Opened { feature: None, priority } => format!("dlopen {name}, {}", priority.name()),
    }
}

#[cfg(test)]
mod at_run_time;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod tests;

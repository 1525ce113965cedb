//! An ELF program needs its loader, an ELF object its needed libraries, and those theirs (ld.so(8)).
//!
//! Libraries are followed here to the end, for one object that is opened at a time: whose RPATHs count, and which
//! library is loaded already, depends on what was opened before.

use std::sync::Arc;

use super::Rule;
use crate::closure::Reason;
use crate::elf::Object;
use crate::engine::{Answer, Role, Strength, Visit, escaped};
use crate::finding::FindingKind;
use crate::load::{Load, Needed};
use crate::scope::Scope;
use crate::search::{Miss, Place};

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
        for need in &load.needs {
            self.answer(scope, need, answer);
        }
    }

    fn answer(&self, scope: &Scope<'_>, need: &Needed, answer: &mut Answer<'_>) {
        let name = escaped(&need.name);
        let because = format!("NEEDED {name}").into();
        let reason = Reason { from: Some(need.by.clone()), rule: self.name(), because };
        match &need.found {
            Ok(place) => answer_place(scope, place, &reason, answer),
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

fn answer_place(scope: &Scope<'_>, place: &Place, reason: &Reason, answer: &mut Answer<'_>) {
    if let Some(folder) = &place.folder {
        answer.on_the_way(&folder.links, reason, Strength::Hard);
        if folder.by_configuration {
            // An image has such a library found by the cache that is made of these.
            answer.on_the_way(&scope.search.configuration, reason, Strength::Soft);
        }
    }
    answer.resolved(place.file.clone(), Role::Needed, reason.clone(), Strength::Hard);
    for copy in &place.better {
        answer.resolved(copy.clone(), Role::Needed, reason.clone(), Strength::Soft);
    }
}

#[cfg(test)]
mod tests;

//! The worklist: from the roots on, each generation of newly reached paths is put before every rule, in parallel, and
//! what the rules answer is the next generation. Answers are taken in the order in which their paths were reached, and walks
//! give theirs in order, so the number of threads makes no difference. What a walk saw of a file goes along with its path.

use std::collections::{BTreeMap, BTreeSet, hash_map};
use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use rayon::prelude::*;
use rootfs::{Entry, Fault, Filesystem, Kind, Resolved, RootPath};

use crate::closure::{Closure, Reason};
use crate::elf::{ElfError, Object};
use crate::finding::{Finding, FindingKind, Severity};
use crate::libc_use::LibcUse;
use crate::nature::Nature;
use crate::pattern::{self, BadPattern, Drops, Expansion};
use crate::request::{Reach, Request, Root, Wanted};
use crate::rules::{Rule, rules};
use crate::scope::Scope;
use crate::scripts::Scripts;
use crate::search::{Place, System, resolve_text};
use crate::walk;

/// How the soname of a C library starts that the rules know.
pub(crate) const LIBC: &[u8] = b"libc.so.";

/// What a program has inside that reads time zones itself.
const ZONES: &[u8] = b"/zoneinfo";

/// How many visits of one generation a thread takes at least. What is loaded when a few programs start is found before a
/// thread has started.
const fn batch(reach: Reach) -> usize {
    match reach {
        Reach::Everything => 4,
        Reach::Loaded => 64,
    }
}

/// How an ELF object comes to be loaded, which decides where its needs are looked for. The links that lead to it have the
/// same role; for other files it says nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    /// For itself: a program, or an object that some program may open.
    Own,
    /// Opened at run time by this program, whose libraries are loaded by then.
    OpenedBy(RootPath),
    /// Together with an object that needs it, whose visit has followed its needs already.
    Needed,
}

/// One path, as the rules see it.
pub(crate) struct Visit<'t> {
    pub(crate) path: &'t RootPath,
    pub(crate) kind: &'t Kind,
    /// Whether this is a file that may be executed.
    pub(crate) is_executable: bool,
    pub(crate) role: &'t Role,
    /// What the file is, if it is one.
    pub(crate) nature: Nature,
    /// The ELF object that the file is, if it is one.
    pub(crate) object: Option<Result<Object<'t>, ElfError>>,
    /// Whether the path was visited in no other role before.
    pub(crate) is_first: bool,
    /// For a C library: what the closure was found to use of it since its last visit.
    pub(crate) uses: LibcUse,
}

/// Whether something goes wrong without what is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strength {
    /// It does: a finding where it is not there, or dropped.
    Hard,
    /// A Ruby does: a finding where the closure has one.
    ForRuby,
    /// It is taken where it is there.
    Soft,
}

/// A path that a rule, or the request, brings in.
pub(crate) struct Reached<'t> {
    path: RootPath,
    /// What was seen on the way to it.
    seen: Option<Seen<'t>>,
    role: Role,
    reason: Reason,
    /// A folder link that many needs pass: its first reason is enough.
    is_on_the_way: bool,
}

/// What a walk saw at a path.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'t> {
    pub(crate) entry: &'t Entry,
    pub(crate) nature: Nature,
}

/// What the rules say about one visit.
pub(crate) struct Answer<'s> {
    scope: &'s Scope<'s>,
    /// What was visited: where it stands in what is kept, and what it is.
    visited: Option<(usize, Nature)>,
    reached: Vec<Reached<'s>>,
    dropped: Vec<(RootPath, usize)>,
    findings: Vec<Finding>,
    /// What is wrong only if there is a Ruby.
    findings_for_ruby: Vec<Finding>,
    /// Whether the visit is that of a Ruby.
    is_ruby: bool,
    /// What the visited object uses of the C library.
    uses: LibcUse,
    /// The C library that was visited for the first time.
    libc: Option<(RootPath, Role)>,
}

impl Visit<'_> {
    /// The object that the file is, where it is a whole one.
    pub(crate) fn whole_object(&self) -> Option<&Object<'_>> {
        self.object.as_ref()?.as_ref().ok()
    }

    /// The bytes of the library, where the file is one whose soname starts like this.
    pub(crate) fn library(&self, soname: &[u8]) -> Option<&[u8]> {
        match self.kind {
            Kind::File(file) if self.whole_object()?.soname?.starts_with(soname) => Some(&file.content),
            _ => None,
        }
    }
}

impl<'s> Answer<'s> {
    pub(crate) fn new(scope: &'s Scope<'s>) -> Self {
        Self {
            scope,
            visited: None,
            reached: Vec::new(),
            dropped: Vec::new(),
            findings: Vec::new(),
            findings_for_ruby: Vec::new(),
            is_ruby: false,
            uses: LibcUse::NOTHING,
            libc: None,
        }
    }

    /// The root filesystem that is answered for.
    pub(crate) fn tree(&self) -> &'s dyn Filesystem {
        self.scope.tree
    }

    /// Takes a path that is known to exist and to be real.
    pub(crate) fn real(&mut self, path: RootPath, role: Role, reason: Reason, strength: Strength) {
        let resolved = Resolved { path, links: Vec::new() };
        self.resolved(resolved, role, reason, strength);
    }

    /// Takes a path that a walk came to, which is real then.
    pub(crate) fn seen(&mut self, path: &RootPath, seen: Seen<'s>, role: &Role, reason: &Reason) {
        if !self.drops_any([path].into_iter(), reason, Strength::Soft) {
            self.reach(path.clone(), Some(seen), role.clone(), reason.clone(), false);
        }
    }

    /// Takes a path with the links that lead to it, unless any of them is dropped.
    pub(crate) fn resolved(&mut self, resolved: Resolved, role: Role, reason: Reason, strength: Strength) {
        let Resolved { path, links } = resolved;
        if !self.drops_any(links.iter().chain([&path]), &reason, strength) {
            for link in links {
                self.reach(link, None, role.clone(), reason.clone(), false);
            }
            self.reach(path, None, role, reason, false);
        }
    }

    /// Takes the links to a folder that is searched.
    pub(crate) fn on_the_way(&mut self, links: &[RootPath], reason: &Reason, strength: Strength) {
        if !self.drops_any(links.iter(), reason, strength) {
            for link in links {
                self.reach(link.clone(), None, Role::Own, reason.clone(), true);
            }
        }
    }

    /// Takes what a path as a file writes it leads to.
    pub(crate) fn text(&mut self, text: &[u8], reason: Reason, strength: Strength) {
        if let Some(resolved) = resolve_text(self.scope.tree, text) {
            self.resolved(resolved, Role::Own, reason, strength);
        } else {
            let kind = FindingKind::NotFound { path: escaped(text), because: reason.because };
            self.miss(reason.from, kind, strength);
        }
    }

    /// Takes what a path leads to, and everything below it where that is a folder.
    pub(crate) fn below(&mut self, text: &[u8], reason: &Reason, strength: Strength) {
        let Some(folder) = self.folder(text, reason, strength) else { return };
        let below = walk::looking_below(
            self.scope.tree,
            &folder,
            |_| true,
            |path| Some(Nature::told_by(path.name())),
            Nature::of_shown,
        );
        for (path, entry, nature) in below {
            self.seen(path, Seen { entry, nature }, &Role::Own, reason);
        }
    }

    /// As [`below`](Self::below), for files that a library reads as data, whatever they are: nobody looks into them.
    pub(crate) fn data_below(&mut self, text: &[u8], reason: &Reason, strength: Strength) {
        let Some(folder) = self.folder(text, reason, strength) else { return };
        for (path, entry) in walk::below(self.scope.tree, &folder, |_| true) {
            self.seen(path, Seen { entry, nature: Nature::Other }, &Role::Own, reason);
        }
    }

    /// Takes what a path leads to; gives it, unless that is dropped.
    fn folder(&mut self, text: &[u8], reason: &Reason, strength: Strength) -> Option<RootPath> {
        let dropped = self.dropped.len();
        self.text(text, reason.clone(), strength);
        let folder = resolve_text(self.scope.tree, text)?.path;
        (self.dropped.len() == dropped).then_some(folder)
    }

    /// Takes a library that a search in this system found, with the links to its folder and the better copies.
    pub(crate) fn place(
        &mut self,
        place: &Place,
        system: Option<&System>,
        role: &Role,
        reason: &Reason,
        strength: Strength,
    ) {
        if let Some(folder) = &place.folder {
            self.on_the_way(&folder.links, reason, strength);
            if folder.by_configuration
                && let Some(system) = system
            {
                // An image has such a library found by the cache that is made of these.
                self.on_the_way(&system.configuration, reason, Strength::Soft);
            }
        }
        self.resolved(place.library.file.clone(), role.clone(), reason.clone(), strength);
        for copy in &place.better {
            self.resolved(copy.file.clone(), role.clone(), reason.clone(), Strength::Soft);
        }
    }

    /// Reports something about a line of a file.
    pub(crate) fn find_at(&mut self, file: &RootPath, line: Option<u32>, kind: FindingKind) {
        self.findings.push(Finding { file: Some(file.clone()), line, kind });
    }

    /// Reports something that is wrong.
    pub(crate) fn find(&mut self, file: Option<RootPath>, kind: FindingKind) {
        self.findings.push(Finding { file, line: None, kind });
    }

    /// Reports a need that is not met, where it is one.
    pub(crate) fn miss(&mut self, file: Option<RootPath>, kind: FindingKind, strength: Strength) {
        match strength {
            Strength::Hard => self.find(file, kind),
            Strength::ForRuby => self.findings_for_ruby.push(Finding { file, line: None, kind }),
            Strength::Soft => {}
        }
    }

    /// Notes that the closure has a Ruby.
    pub(crate) fn note_ruby(&mut self) {
        self.is_ruby = true;
    }

    fn reach(
        &mut self,
        path: RootPath,
        seen: Option<Seen<'s>>,
        role: Role,
        reason: Reason,
        is_on_the_way: bool,
    ) {
        if !path.is_root() {
            self.reached.push(Reached { path, seen, role, reason, is_on_the_way });
        }
    }

    /// Whether the request drops any of the paths.
    fn drops_any<'p>(
        &mut self,
        paths: impl Iterator<Item = &'p RootPath>,
        reason: &Reason,
        strength: Strength,
    ) -> bool {
        for path in paths {
            if let Some(index) = self.scope.drops.taking(path) {
                self.dropped.push((path.clone(), index));
                let by = self.scope.drops.name(index).to_owned();
                let because = Arc::clone(&reason.because);
                let kind = FindingKind::Dropped { path: path.clone(), by, because };
                self.miss(reason.from.clone(), kind, strength);
                return true;
            }
        }
        false
    }
}

/// Says which paths of a root filesystem the roots need, and why.
///
/// Pure: the same files and the same request give the same closure, with any number of threads. Nothing that is read is
/// run, loaded or linked.
pub fn analyze(tree: &dyn Filesystem, request: &Request) -> Closure {
    match request.reach {
        // Threads walk through folders, and this is one of them: no other waits for it, nor it for them to wake up.
        Reach::Everything => rayon::scope(|_| follow(tree, request)),
        Reach::Loaded => follow(tree, request),
    }
}

fn follow(tree: &dyn Filesystem, request: &Request) -> Closure {
    let (drops, bad_patterns) = Drops::new(&request.drop);
    let mut scope = Scope::new(tree, drops, &request.search_path);
    let rules = rules(request.reach);
    let named = match request.reach {
        Reach::Everything => Some(named_by(&scope, &request.roots)),
        Reach::Loaded => None,
    };
    if let Some(named) = named.as_ref().filter(|_| request.commands) {
        scope.commanding.clone_from(named);
    }
    let (scope, mut scripts) = (scope, named.map(Scripts::new));
    let mut work = Work::default();
    let mut answers = vec![answer_request(&scope, &request.roots, bad_patterns)];
    loop {
        let mut generation = work.take(answers);
        generation.extend(work.visits_of_libc(&scope, generation.is_empty()));
        let answer = |next: &Next<'_>| next.answer(&scope, rules);
        answers = if generation.is_empty() {
            match scripts.as_mut().and_then(|scripts| scripts.answer(&scope, &work.kept)) {
                Some(answer) => vec![answer],
                None => return work.finish(tree.faults()),
            }
        } else if generation.len() <= batch(request.reach) {
            generation.iter().map(answer).collect()
        } else {
            generation.par_iter().with_min_len(batch(request.reach)).map(answer).collect()
        };
    }
}

fn answer_request<'s>(scope: &'s Scope<'s>, roots: &[Root], bad_patterns: Vec<BadPattern>) -> Answer<'s> {
    let mut answer = Answer::new(scope);
    for (pattern, problem) in bad_patterns {
        answer.find(None, FindingKind::BadPattern { pattern, problem });
    }
    for root in roots {
        answer_root(scope, root, &mut answer);
    }
    answer
}

/// The real paths that the roots lead to: what lies below a folder is wanted too, but not by its name.
fn named_by(scope: &Scope<'_>, roots: &[Root]) -> BTreeSet<RootPath> {
    let expanded = roots.iter().filter_map(|root| expand(scope, &root.wanted).ok());
    let paths = expanded.flat_map(|(expansion, _)| expansion.paths);
    paths.filter_map(|path| Some(scope.tree.resolve(&path).ok()?.path)).collect()
}

fn answer_root(scope: &Scope<'_>, Root { wanted, reason }: &Root, answer: &mut Answer<'_>) {
    let reason = Reason { from: None, rule: "root", because: reason.as_str().into() };
    let (expansion, strength) = match expand(scope, wanted) {
        Ok(expanded) => expanded,
        Err(kind) => return answer.find(None, kind),
    };
    let Expansion { links, paths } = expansion;
    let (reached, findings) = (answer.reached.len(), answer.findings.len());
    for path in paths {
        if scope.tree.resolve(&path).is_err() {
            if scope.tree.get(&path).is_some() {
                answer.real(path, Role::Own, reason.clone(), strength);
            }
        } else if let Wanted::Alone(_) = wanted {
            answer.text(path.as_bytes(), reason.clone(), strength);
        } else {
            answer.below(path.as_bytes(), &reason, strength);
        }
    }
    if answer.reached.len() > reached {
        answer.on_the_way(&links, &reason, strength);
    } else if answer.findings.len() == findings {
        let pattern = match wanted {
            Wanted::Path(path) | Wanted::Alone(path) => path.to_string(),
            Wanted::Pattern(pattern) => pattern.clone(),
        };
        answer.find(None, FindingKind::RootNotFound { pattern });
    }
}

/// The paths that are wanted. A path that is written out must not be dropped; what a glob meets may be.
fn expand(scope: &Scope<'_>, wanted: &Wanted) -> Result<(Expansion, Strength), FindingKind> {
    let pattern = match wanted {
        Wanted::Path(path) | Wanted::Alone(path) => {
            return Ok((Expansion::of(path.clone()), Strength::Hard));
        }
        Wanted::Pattern(pattern) => pattern,
    };
    let is_glob = pattern::is_glob(pattern);
    if !is_glob && !pattern.is_empty() && !pattern.contains('/') {
        let path = scope.find_program(pattern.as_bytes());
        let path = path.ok_or_else(|| FindingKind::ProgramNotFound { name: pattern.clone() })?;
        return Ok((Expansion::of(path), Strength::Hard));
    }
    let expansion = pattern::expand(scope.tree, pattern)
        .map_err(|problem| FindingKind::BadPattern { pattern: pattern.clone(), problem })?;
    Ok((expansion, if is_glob { Strength::Soft } else { Strength::Hard }))
}

/// A path that was reached in a role for the first time.
struct Next<'t> {
    /// Where it stands in what is kept.
    place: usize,
    path: RootPath,
    /// What is there, where that was seen on the way to it.
    entry: Option<&'t Entry>,
    /// What the file is, where that is known.
    nature: Option<Nature>,
    role: Role,
    is_first: bool,
    /// As of [`Visit`].
    uses: LibcUse,
}

impl Next<'_> {
    fn answer<'s>(&self, scope: &'s Scope<'s>, rules: &[&dyn Rule]) -> Answer<'s> {
        let mut answer = Answer::new(scope);
        let Some(entry) = self.entry.or_else(|| scope.tree.get(&self.path)) else { return answer };
        let nature = match &entry.kind {
            Kind::File(file) => self.nature.unwrap_or_else(|| Nature::of(self.path.name(), &file.content)),
            Kind::Directory | Kind::Symlink(_) => Nature::Other,
        };
        answer.visited = Some((self.place, nature));
        let object = match &entry.kind {
            Kind::File(file) if nature == Nature::Object => Some(Object::parse(&file.content)),
            _ => None,
        };
        let visit = Visit {
            path: &self.path,
            kind: &entry.kind,
            is_executable: entry.metadata.mode & 0o111 != 0,
            role: &self.role,
            nature,
            object,
            is_first: self.is_first,
            uses: self.uses,
        };
        if let Some(object) = visit.whole_object().filter(|_| self.is_first) {
            answer.uses = LibcUse::of(object, &self.role);
            answer.libc = visit.library(LIBC).map(|_| (self.path.clone(), self.role.clone()));
        }
        for rule in rules {
            rule.apply(scope, &visit, &mut answer);
        }
        answer
    }
}

#[derive(Default)]
struct Work {
    /// What is kept, in the order in which it was reached.
    kept: Vec<Kept>,
    /// Where each path stands in it.
    places: HashMap<RootPath, usize>,
    dropped: BTreeMap<RootPath, usize>,
    findings: Vec<Finding>,
    findings_for_ruby: Vec<Finding>,
    has_ruby: bool,
    /// The C libraries, each with what it was told of its use.
    libcs: Vec<(RootPath, Role, LibcUse)>,
    uses: LibcUse,
    /// How much of what is kept was searched for time zones.
    searched: usize,
}

/// A path that is kept.
pub(crate) struct Kept {
    pub(crate) path: RootPath,
    /// What the file is, by the time that it was visited.
    pub(crate) nature: Option<Nature>,
    pub(crate) reasons: Vec<Reason>,
    /// The role in which it was visited first.
    role: Role,
    /// The others; few paths have any.
    further_roles: Vec<Role>,
}

impl Work {
    /// Notes the answers, and gives back what they reached for the first time.
    fn take<'s>(&mut self, answers: Vec<Answer<'s>>) -> Vec<Next<'s>> {
        let mut generation = Vec::new();
        // At once: in a large root, a map that grows step by step hashes every path again and again.
        let reached = answers.iter().map(|answer| answer.reached.len()).sum();
        self.places.reserve(reached);
        self.kept.reserve(reached);
        for answer in answers {
            if let Some((place, nature)) = answer.visited {
                self.kept[place].nature = Some(nature);
            }
            self.dropped.extend(answer.dropped);
            self.findings.extend(answer.findings);
            self.findings_for_ruby.extend(answer.findings_for_ruby);
            self.has_ruby |= answer.is_ruby;
            self.uses |= answer.uses;
            self.libcs.extend(answer.libc.map(|(path, role)| (path, role, LibcUse::NOTHING)));
            generation.extend(answer.reached.into_iter().filter_map(|reached| self.reach(reached)));
        }
        generation
    }

    /// Notes why a path is kept; tells what has to be visited because of that.
    fn reach<'s>(&mut self, reached: Reached<'s>) -> Option<Next<'s>> {
        let Reached { path, seen, role, reason, is_on_the_way } = reached;
        let (entry, nature) = (seen.map(|seen| seen.entry), seen.map(|seen| seen.nature));
        let place = match self.places.entry(path.clone()) {
            hash_map::Entry::Occupied(place) => *place.get(),
            hash_map::Entry::Vacant(vacant) => {
                let place = *vacant.insert(self.kept.len());
                let (next, reasons) = (path.clone(), vec![reason]);
                self.kept.push(Kept { path, nature, reasons, role: role.clone(), further_roles: Vec::new() });
                let uses = LibcUse::NOTHING;
                return Some(Next { place, path: next, entry, nature, role, is_first: true, uses });
            }
        };
        let kept = &mut self.kept[place];
        if !is_on_the_way {
            kept.reasons.push(reason);
        }
        let is_known = kept.role == role || kept.further_roles.contains(&role);
        (!is_known).then(|| {
            kept.further_roles.push(role.clone());
            let (nature, uses) = (kept.nature.or(nature), LibcUse::NOTHING);
            Next { place, path, entry, nature, role, is_first: false, uses }
        })
    }

    /// Further visits of the C libraries of which more is used than they were told; `is_last`, where nothing else is left to
    /// visit.
    fn visits_of_libc(&mut self, scope: &Scope<'_>, is_last: bool) -> Vec<Next<'static>> {
        if self.has_ruby {
            self.uses |= LibcUse::OF_RUBY;
        } else if !is_last {
            // More of what it uses comes to light with each visit; of a Ruby, nearly all is known.
            return Vec::new();
        }
        if is_last && !self.libcs.is_empty() && !self.uses.has(LibcUse::TIME_ZONES) && self.reads_zones(scope)
        {
            self.uses |= LibcUse::TIME_ZONES;
        }
        let mut visits = Vec::new();
        for (path, role, told) in &mut self.libcs {
            let uses = self.uses.without(*told);
            if uses != LibcUse::NOTHING {
                *told = self.uses;
                let place = self.places[path];
                let (path, role, nature) = (path.clone(), role.clone(), self.kept[place].nature);
                visits.push(Next { place, path, entry: None, nature, role, is_first: false, uses });
            }
        }
        visits
    }

    /// Whether any object that was not searched yet reads time zones itself, as libraries for dates do.
    fn reads_zones(&mut self, scope: &Scope<'_>) -> bool {
        let rest = &self.kept[self.searched..];
        self.searched = self.kept.len();
        rest.iter().any(|kept| {
            if kept.nature != Some(Nature::Object) {
                return false;
            }
            let Some(Kind::File(file)) = scope.tree.get(&kept.path).map(|entry| &entry.kind) else {
                return false;
            };
            let is_of_libc = || Object::parse(&file.content).is_ok_and(|object| LibcUse::is_of_libc(&object));
            memchr::memmem::find(&file.content, ZONES).is_some() && !is_of_libc()
        })
    }

    fn finish(mut self, faults: Vec<Fault>) -> Closure {
        for Kept { reasons, .. } in &mut self.kept {
            reasons.sort_unstable();
            reasons.dedup();
        }
        self.findings.retain(|finding| match &finding.kind {
            // Unless the folder is there for its own sake, with all that it holds.
            FindingKind::ConversionsLeftOut { folder } => !self.places.contains_key(folder),
            _ => true,
        });
        let mut entries = self.kept.into_iter().map(|Kept { path, reasons, .. }| (path, reasons)).collect();
        add_folders(&mut entries);
        if self.has_ruby {
            self.findings.append(&mut self.findings_for_ruby);
        }
        self.findings.extend(faults.into_iter().map(Finding::from));
        self.findings.sort_unstable();
        self.findings.dedup();
        // What is unmet in one place is not undecided there too.
        let place = |finding: &Finding| finding.line.map(|line| (finding.file.clone(), line));
        let unmet = self.findings.iter().filter(|finding| finding.severity() == Severity::Unmet);
        let unmet: HashSet<_> = unmet.filter_map(place).collect();
        self.findings.retain(|finding| {
            finding.severity() == Severity::Unmet
                || place(finding).is_none_or(|place| !unmet.contains(&place))
        });
        Closure { entries, dropped: self.dropped, findings: self.findings }
    }
}

/// Adds the folders above the entries, each for the first entry that it holds.
fn add_folders(entries: &mut BTreeMap<RootPath, Vec<Reason>>) {
    let mut folders: BTreeMap<RootPath, RootPath> = BTreeMap::new();
    let mut last = RootPath::root();
    for path in entries.keys() {
        // Most paths follow one from the same folder.
        if last.holds(path) {
            continue;
        }
        let mut child = path.clone();
        last = child.parent().unwrap_or_else(RootPath::root);
        while let Some(folder) = child.parent() {
            if folder.is_root() || entries.contains_key(&folder) || folders.contains_key(&folder) {
                break;
            }
            folders.insert(folder.clone(), child);
            child = folder;
        }
    }
    for (folder, child) in folders {
        let reason = Reason { from: Some(child), rule: "folder", because: "folder".into() };
        entries.insert(folder, vec![reason]);
    }
}

/// The text of bytes for a finding, without loss.
pub(crate) fn escaped(text: &[u8]) -> String {
    rootfs::Escaped::from(text).to_string()
}

#[cfg(test)]
mod tests;

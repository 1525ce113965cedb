//! What the Ruby programs among the roots load: `require`, `require_relative` and `load` are followed from file to file,
//! through `$LOAD_PATH` of the Ruby in the closure and the gems that are installed.
//!
//! A file is *known* to be loaded if it is a root by name, or if a known file loads it in any case; it is *possible* that
//! any other is: what lies below a folder that is a root, what is loaded in a method or behind a condition. Something
//! that a known file needs in any case and that is not there is unmet; everything else that is not there is undecided.
//!
//! All scripts are taken for one program: what one adds to `$LOAD_PATH` serves all. The standard library is not entered:
//! it is kept as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;
use rootfs::{Kind, Resolved, RootPath};

use crate::bundle::{self, Application};
use crate::closure::Reason;
use crate::engine::{Answer, Kept, Role, Strength, escaped};
use crate::finding::FindingKind;
use crate::gems::Gems;
use crate::nature::Nature;
use crate::opening;
use crate::ruby::{Holds, Ruby, is_rbconfig};
use crate::ruby_source::{Call, Certainty, Mention, Problem, Source, Text};
use crate::scope::Scope;

/// The name that reasons carry.
const RULE: &str = "script";

/// Features that are part of the interpreter itself, and no files (`rb_provide`).
const BUILT_IN: [&[u8]; 6] = [b"enumerator", b"thread", b"rational", b"complex", b"fiber", b"ruby2_keywords"];

/// Whether it is certain that a file is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Known,
    Possible,
}

/// The scripts of one analysis.
pub(crate) struct Scripts {
    /// The paths that roots lead to.
    named: BTreeSet<RootPath>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was looked at so far.
    Unseen,
    /// The Ruby that the scripts are for was brought in.
    WithInterpreter,
    Followed,
}

impl Scripts {
    /// For the real paths that the roots of the request lead to.
    pub(crate) fn new(named: BTreeSet<RootPath>) -> Self {
        Self { named, state: State::Unseen }
    }

    /// What the scripts among the kept paths need besides; `None` where all was said.
    pub(crate) fn answer<'s>(&mut self, scope: &'s Scope<'s>, kept: &[Kept]) -> Option<Answer<'s>> {
        if self.state == State::Followed {
            return None;
        }
        let ruby = ruby_of(scope, kept);
        let homes = ruby.as_deref().map(|ruby| bundle::homes(ruby).collect()).unwrap_or_default();
        let applications = bundle::applications(scope.tree, ruby.as_deref(), &self.named);
        let start = self.start(kept, ruby.as_deref(), &applications);
        let lost =
            (ruby.is_none() && self.state == State::Unseen).then(|| without_interpreter(scope, &start));
        let Some(first) = lost.flatten() else {
            self.state = State::Followed;
            if start.is_empty() && applications.is_empty() {
                return None;
            }
            let mut graph = Graph::new(scope, ruby, homes, &applications);
            graph.applications(&applications);
            graph.follow(start);
            return Some(graph.finish());
        };
        self.state = State::WithInterpreter;
        let mut answer = Answer::new(scope);
        let reason = Reason { from: Some(first.clone()), rule: RULE, because: "interpreter".into() };
        match scope.find_program(b"ruby") {
            Some(path) => answer.text(path.as_bytes(), reason, Strength::Hard),
            None => answer.find_at(first, None, FindingKind::ProgramNotFound { name: "ruby".into() }),
        }
        Some(answer)
    }

    /// The scripts that are roots. Those in folders of a Ruby or of installed gems only where they are named: a library is
    /// no program.
    fn start(
        &self,
        kept: &[Kept],
        ruby: Option<&Ruby>,
        applications: &[Application],
    ) -> BTreeMap<RootPath, Level> {
        let libraries = ruby.into_iter().flat_map(|ruby| ruby.folders.iter().map(|folder| &folder.path));
        let homes = applications.iter().flat_map(|application| application.homes.iter());
        let libraries: Vec<&RootPath> = libraries.chain(homes).collect();
        let roots = kept.iter().filter(|kept| kept.reasons.iter().any(|reason| reason.from.is_none()));
        let scripts = roots.filter_map(|Kept { path, nature, .. }| {
            let level = if self.named.contains(path) { Level::Known } else { Level::Possible };
            let is_library = || libraries.iter().any(|folder| path.starts_with(folder));
            let is_program =
                matches!(nature, Some(Nature::Ruby { .. })) && (level == Level::Known || !is_library());
            is_program.then(|| (path.clone(), level))
        });
        scripts.collect()
    }
}

/// The first script that is named and says nothing of the interpreter that it is for: one that does has it already.
fn without_interpreter<'p>(scope: &Scope<'_>, start: &'p BTreeMap<RootPath, Level>) -> Option<&'p RootPath> {
    let says_nothing = |path: &RootPath| match scope.tree.get(path).map(|entry| &entry.kind) {
        Some(Kind::File(file)) => file.content.glance(2, |start| start != b"#!"),
        _ => false,
    };
    start.iter().find(|(path, level)| **level == Level::Known && says_nothing(path)).map(|(path, _)| path)
}

/// The Ruby of a closure: of several, the one that is found by its name.
fn ruby_of(scope: &Scope<'_>, kept: &[Kept]) -> Option<Arc<Ruby>> {
    let mut configurations: Vec<&RootPath> =
        kept.iter().map(|kept| &kept.path).filter(|path| is_rbconfig(path)).collect();
    configurations.sort_unstable();
    let rubies: Vec<Arc<Ruby>> = configurations.into_iter().filter_map(|path| scope.ruby(path)).collect();
    let usual =
        scope.find_program(b"ruby").and_then(|path| scope.tree.resolve(&path).ok()).map(|found| found.path);
    let is_usual = |ruby: &&Arc<Ruby>| ruby.program.is_some() && ruby.program == usual;
    rubies.iter().find(is_usual).or(rubies.first()).cloned()
}

struct Graph<'s> {
    scope: &'s Scope<'s>,
    ruby: Option<Arc<Ruby>>,
    gems: Gems,
    /// Folders that scripts add to `$LOAD_PATH`.
    load_path: BTreeSet<RootPath>,
    levels: BTreeMap<RootPath, Level>,
    next: BTreeMap<RootPath, Level>,
    /// What was not found: the file and the place among its mentions.
    missing: BTreeSet<(RootPath, usize)>,
    answer: Answer<'s>,
}

impl<'s> Graph<'s> {
    fn new(
        scope: &'s Scope<'s>,
        ruby: Option<Arc<Ruby>>,
        mut homes: Vec<RootPath>,
        applications: &[Application],
    ) -> Self {
        let mut preferred = BTreeSet::new();
        for application in applications {
            homes.extend(application.homes.iter().cloned());
            preferred.extend(application.full_names());
        }
        let gems = Gems::find(scope.tree, &homes, &preferred);
        Self {
            scope,
            ruby,
            gems,
            load_path: BTreeSet::new(),
            levels: BTreeMap::new(),
            next: BTreeMap::new(),
            missing: BTreeSet::new(),
            answer: Answer::new(scope),
        }
    }

    /// The gems that applications have locked.
    fn applications(&mut self, applications: &[Application]) {
        let role = self.role();
        for application in applications {
            self.load_path.extend(application.load_folders(self.scope.tree));
            application.answer(self.scope, &self.gems, &role, &mut self.answer);
        }
    }

    fn follow(&mut self, start: BTreeMap<RootPath, Level>) {
        self.next = start;
        loop {
            let folders = self.load_path.len();
            while !self.next.is_empty() {
                self.follow_generation();
            }
            if self.load_path.len() == folders {
                return;
            }
            // A folder that was added later may have what was not found before.
            for (path, index) in std::mem::take(&mut self.missing) {
                if let Some(mention) =
                    self.source(&path).and_then(|source| source.mentions.get(index).cloned())
                {
                    self.load(&path, index, &mention);
                }
            }
        }
    }

    fn follow_generation(&mut self) {
        let next = std::mem::take(&mut self.next);
        let is_new =
            |(path, level): &(RootPath, Level)| self.levels.get(path).is_none_or(|known| level < known);
        let files: Vec<(RootPath, Level)> = next.into_iter().filter(is_new).collect();
        let sources: Vec<Option<Arc<Source>>> = files.par_iter().map(|(path, _)| self.source(path)).collect();
        self.levels.extend(files.iter().cloned());
        let read =
            || files.iter().zip(&sources).filter_map(|((path, _), source)| Some((path, source.as_ref()?)));
        for (path, source) in read() {
            let added = source.mentions.iter().filter(|mention| mention.call == Call::LoadPath);
            let folders = added.flat_map(|mention| &mention.names).filter_map(|text| text.path(path));
            self.load_path.extend(folders);
        }
        for (path, source) in read() {
            for (index, mention) in source.mentions.iter().enumerate() {
                self.load(path, index, mention);
            }
        }
    }

    /// What a file names.
    fn source(&self, path: &RootPath) -> Option<Arc<Source>> {
        match &self.scope.tree.get(path)?.kind {
            Kind::File(file) => Some(self.scope.source(path, &file.content)),
            _ => None,
        }
    }

    /// Takes what a mention loads, or notes that it is not there.
    fn load(&mut self, file: &RootPath, index: usize, mention: &Mention) {
        let [text] = mention.names.as_slice() else { return };
        if !matches!(mention.call, Call::Require | Call::Load) || is_built_in(text) {
            return;
        }
        let Some(found) = self.find(file, mention.call, text) else {
            self.missing.insert((file.clone(), index));
            return;
        };
        let level = self.level_below(file, mention);
        let strength = if level == Level::Known { Strength::Hard } else { Strength::Soft };
        let because = format!("{} {}", mention.word, opening::name(text)).into();
        let reason = Reason { from: Some(file.clone()), rule: RULE, because };
        let is_dropped =
            found.links.iter().chain([&found.path]).any(|path| self.scope.drops.taking(path).is_some());
        if !is_dropped && self.is_followed(&found.path) {
            let known = self.next.entry(found.path.clone()).or_insert(level);
            *known = level.min(*known);
        }
        self.answer.resolved(found, self.role(), reason, strength);
    }

    fn level_below(&self, file: &RootPath, mention: &Mention) -> Level {
        let is_known = self.levels.get(file) == Some(&Level::Known) && mention.certainty == Certainty::Always;
        if is_known { Level::Known } else { Level::Possible }
    }

    /// Compiled libraries have no source, and the standard library is kept as a whole.
    fn is_followed(&self, path: &RootPath) -> bool {
        let mut holders = self.ruby.iter().flat_map(|ruby| &ruby.folders);
        let holder = holders.find(|folder| path.starts_with(&folder.path));
        let is_standard = holder.is_some_and(|folder| match folder.holds {
            Holds::Library | Holds::Compiled => true,
            // Debian keeps its RubyGems there.
            Holds::Vendor => {
                let below = &path.as_bytes()[folder.path.as_bytes().len()..];
                below.starts_with(b"/rubygems") || below.starts_with(b"/bundler")
            }
            Holds::Site | Holds::Gems => false,
        });
        !path.name().ends_with(b".so") && !is_standard
    }

    fn role(&self) -> Role {
        let program = self.ruby.as_ref().and_then(|ruby| ruby.program.clone());
        program.map_or(Role::Own, Role::OpenedBy)
    }

    /// The file that is loaded.
    fn find(&self, file: &RootPath, call: Call, text: &Text) -> Option<Resolved> {
        let names = |feature: &[u8]| names_of(call, feature);
        if let Some(path) = text.path(file) {
            let folder = path.parent()?;
            return names(path.name()).iter().find_map(|name| self.file(&folder, name));
        }
        let Text::Plain(feature) = text else { return None };
        let ruby = self.ruby.iter().flat_map(|ruby| in_order(ruby));
        // A library is run with its own `lib` on the path, by whoever runs it.
        let own = file.ancestors().filter(|folder| matches!(folder.name(), b"lib" | b"test" | b"spec"));
        let own: Vec<RootPath> = own.collect();
        let folders: Vec<&RootPath> =
            self.load_path.iter().chain(ruby).chain(self.gems.folders_for(feature)).chain(&own).collect();
        let names = names(feature);
        names.iter().find_map(|name| folders.iter().find_map(|folder| self.file(folder, name)))
    }

    fn file(&self, folder: &RootPath, name: &[u8]) -> Option<Resolved> {
        let found = self.scope.tree.resolve(&folder.join(name).ok()?).ok()?;
        matches!(self.scope.tree.get(&found.path)?.kind, Kind::File(_)).then_some(found)
    }

    /// Says what is wrong with the files that were followed.
    fn finish(mut self) -> Answer<'s> {
        for (path, level) in std::mem::take(&mut self.levels) {
            let Some(source) = self.source(&path) else { continue };
            if let Some(Problem { line, message }) = source.problem.clone() {
                let kind = FindingKind::NotRuby { problem: message, is_loaded: level == Level::Known };
                self.answer.find_at(&path, line, kind);
            }
            for (index, mention) in source.mentions.iter().enumerate() {
                let is_missing = self.missing.contains(&(path.clone(), index));
                let is_certain = level == Level::Known && mention.certainty == Certainty::Always;
                if mention.certainty != Certainty::Never
                    && let Some(kind) = self.judge(&path, mention, is_missing, is_certain)
                {
                    self.answer.find_at(&path, Some(mention.line), kind);
                }
            }
        }
        self.answer
    }

    fn judge(
        &self,
        file: &RootPath,
        mention: &Mention,
        is_missing: bool,
        is_certain: bool,
    ) -> Option<FindingKind> {
        match (mention.call, mention.names.as_slice()) {
            (Call::Library | Call::FfiLibrary, names) => {
                // Elsewhere the rule for libraries that are opened says it.
                let program = self.ruby.as_ref()?.program.as_ref()?;
                let is_missing = is_certain && !names.is_empty();
                if !is_missing || opening::find(self.scope, program, file, mention).is_some() {
                    return None;
                }
                Some(FindingKind::LibraryNotFound { name: opening::names(mention), other_architecture: None })
            }
            (Call::Require | Call::Load, []) => Some(FindingKind::Computed { call: mention.word }),
            (Call::Require | Call::Load, _) => {
                let name = opening::names(mention);
                // Without a Ruby, that is what is missing. A file that is loaded by its name may be found from the folder that
                // a program is started in.
                let is_certain = is_certain && mention.call == Call::Require;
                (is_missing && self.ruby.is_some()).then_some(FindingKind::FeatureNotFound {
                    name,
                    call: mention.word,
                    is_certain,
                })
            }
            (Call::Gem, [Text::Plain(name)]) if !bundle::is_gemfile(file) && !self.gems.has(name) => {
                Some(FindingKind::GemNotFound { name: escaped(name), is_certain })
            }
            // A folder that is not there need not be searched; a Gemfile is judged by its lock.
            (Call::LoadPath | Call::Gem, _) => None,
        }
    }
}

fn is_built_in(text: &Text) -> bool {
    let Text::Plain(name) = text else { return false };
    let stem = name.strip_suffix(b".rb").or_else(|| name.strip_suffix(b".so")).unwrap_or(name);
    BUILT_IN.contains(&stem)
}

/// The names of the files that a feature may be (`rb_require`).
fn names_of(call: Call, feature: &[u8]) -> Vec<Vec<u8>> {
    let is_whole = call == Call::Load || feature.ends_with(b".rb") || feature.ends_with(b".so");
    if is_whole {
        return vec![feature.to_vec()];
    }
    let compiled = feature.strip_suffix(b".o").unwrap_or(feature);
    vec![[feature, b".rb"].concat(), [compiled, b".so"].concat()]
}

/// The folders of a Ruby as `$LOAD_PATH` has them.
fn in_order(ruby: &Ruby) -> impl Iterator<Item = &RootPath> {
    let kinds = [Holds::Site, Holds::Vendor, Holds::Library, Holds::Compiled];
    kinds.into_iter().flat_map(|holds| {
        ruby.folders.iter().filter(move |folder| folder.holds == holds).map(|folder| &folder.path)
    })
}

#[cfg(test)]
mod tests;

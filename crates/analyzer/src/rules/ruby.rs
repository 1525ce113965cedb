//! A Ruby needs its `rbconfig.rb`, and with that what `require` and RubyGems find by themselves: the standard library,
//! encodings, native extensions, gems. Native extensions are opened by the program, so each has its needs followed.

use std::sync::Arc;

use rootfs::{Kind, RootPath};

use super::Rule;
use crate::closure::Reason;
use crate::elf::is_elf;
use crate::engine::{Answer, Role, Strength, Visit};
use crate::ruby::{Holds, LibraryFolder, Ruby as Installation};
use crate::scope::Scope;

pub(super) struct Ruby;

impl Rule for Ruby {
    fn name(&self) -> &'static str {
        "ruby"
    }

    fn apply(&self, scope: &Scope<'_>, visit: &Visit<'_>, answer: &mut Answer<'_>) {
        if !visit.is_first {
            return;
        }
        for ruby in &scope.rubies {
            if [&ruby.program, &ruby.library].contains(&&Some(visit.path.clone())) {
                let reason = self.reason(visit, "configuration");
                answer.real(ruby.rbconfig.clone(), Role::Own, reason, Strength::Hard);
            }
            if ruby.rbconfig == *visit.path {
                self.bring_folders(scope, visit, ruby, answer);
            }
        }
    }
}

impl Ruby {
    fn bring_folders(
        &self,
        scope: &Scope<'_>,
        visit: &Visit<'_>,
        ruby: &Installation,
        answer: &mut Answer<'_>,
    ) {
        let reasons = Reasons::new(|because| self.reason(visit, because));
        let program = ruby.program.as_ref().or(ruby.library.as_ref());
        for (index, folder) in ruby.folders.iter().enumerate() {
            let inside = &ruby.folders[..index];
            let own = std::iter::once((&folder.path, None));
            let below = scope.tree.descendants(&folder.path).map(|(path, entry)| (path, Some(&entry.kind)));
            for (path, kind) in own.chain(below) {
                if inside.iter().any(|inner| path.starts_with(&inner.path))
                    || is_of_another_version(ruby, folder, path)
                {
                    continue;
                }
                let is_object = matches!(kind, Some(Kind::File(file)) if is_elf(&file.content));
                let role = match program {
                    Some(program) if is_object => Role::OpenedBy(program.clone()),
                    _ => Role::Own,
                };
                answer.real(path.clone(), role, reasons.of(folder, path, is_object), Strength::Soft);
            }
        }
    }
}

/// The reasons for what a Ruby's folders hold, each made once.
struct Reasons {
    library: Reason,
    encoding: Reason,
    extension: Reason,
    vendor: Reason,
    site: Reason,
    gem: Reason,
    gem_extension: Reason,
}

impl Reasons {
    fn new(reason: impl Fn(Arc<str>) -> Reason) -> Self {
        Self {
            library: reason("standard library".into()),
            encoding: reason("encoding".into()),
            extension: reason("native extension".into()),
            vendor: reason("vendor library".into()),
            site: reason("site library".into()),
            gem: reason("gem folder".into()),
            gem_extension: reason("native extension of a gem".into()),
        }
    }

    fn of(&self, folder: &LibraryFolder, path: &RootPath, is_object: bool) -> Reason {
        let reason = match (folder.holds, is_object) {
            (Holds::Compiled, true) if is_encoding(folder, path) => &self.encoding,
            (Holds::Gems, true) => &self.gem_extension,
            (_, true) => &self.extension,
            (Holds::Compiled | Holds::Library, false) => &self.library,
            (Holds::Vendor, false) => &self.vendor,
            (Holds::Site, false) => &self.site,
            (Holds::Gems, false) => &self.gem,
        };
        reason.clone()
    }
}

/// Whether a path lies in the folder `enc` of the compiled part.
fn is_encoding(folder: &LibraryFolder, path: &RootPath) -> bool {
    path.as_bytes()[folder.path.as_bytes().len()..].starts_with(b"/enc/")
}

/// The folders of distributor and site hold a folder for each version of Ruby beside what all versions share.
fn is_of_another_version(ruby: &Installation, folder: &LibraryFolder, path: &RootPath) -> bool {
    if !matches!(folder.holds, Holds::Vendor | Holds::Site) {
        return false;
    }
    let mut below = path.as_bytes()[folder.path.as_bytes().len()..].split(|&byte| byte == b'/');
    let first = below.nth(1).unwrap_or_default();
    let is_version = first.contains(&b'.') && first.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    is_version && first != ruby.version.as_bytes()
}

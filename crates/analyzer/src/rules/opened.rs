//! Ruby source may open shared libraries by name. Which, its text tells, where it does not compute the name. A file of a
//! library folder may never be loaded: what it would open is taken where it is there, and where it is not, that decides
//! nothing.

use rootfs::{Kind, RootPath};

use super::Rule;
use crate::engine::{Answer, Role, Strength, Visit};
use crate::finding::FindingKind;
use crate::nature::Nature;
use crate::opening;
use crate::ruby_source::{Call, Certainty, Problem};
use crate::scope::Scope;

pub(super) struct Opened;

impl Rule for Opened {
    fn name(&self) -> &'static str {
        "opened"
    }

    fn apply(&self, scope: &Scope<'_>, visit: &Visit<'_>, answer: &mut Answer<'_>) {
        let Kind::File(file) = visit.kind else { return };
        if !visit.is_first || visit.nature != (Nature::Ruby { may_open_libraries: true }) {
            return;
        }
        let Some(program) = program_of(scope, visit, &file.content) else { return };
        let source = scope.source(visit.path, &file.content);
        if let Some(Problem { line, message }) = source.problem.clone() {
            let kind = FindingKind::NotRuby { problem: message, is_loaded: false };
            answer.find_at(visit.path, line, kind);
        }
        for mention in &source.mentions {
            if !matches!(mention.call, Call::Library | Call::FfiLibrary) {
                continue;
            }
            let found = opening::find(scope, &program, visit.path, mention);
            match found {
                Some((place, system)) => {
                    let reason =
                        self.reason(visit, format!("library opened by name ({})", opening::names(mention)));
                    let role = Role::OpenedBy(program.clone());
                    answer.place(&place, Some(&system), &role, &reason, Strength::Soft);
                }
                None if mention.certainty == Certainty::Never => {}
                None if mention.names.is_empty() => {
                    let kind = FindingKind::Computed { call: mention.word };
                    answer.find_at(visit.path, Some(mention.line), kind);
                }
                None => answer.find_at(visit.path, Some(mention.line), opening::missing(mention)),
            }
        }
    }
}

/// The Ruby that a script is for: the one whose folder it lies in, or the one that its first line names, or the one that
/// is found by its name.
fn program_of(scope: &Scope<'_>, visit: &Visit<'_>, content: &[u8]) -> Option<RootPath> {
    match visit.role {
        Role::OpenedBy(program) => Some(program.clone()),
        Role::Own | Role::Needed => scope.interpreter(content),
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{closure_of, tree};
    use testkit::elf::Elf;

    const CONFIG: &str = "CONFIG[\"ruby_version\"] = \"3.1.0\"\nCONFIG[\"rubyarchdir\"] = \"/lib/ruby/3.1.0\"\n\
        CONFIG[\"bindir\"] = \"/bin\"\nCONFIG[\"ruby_install_name\"] = \"ruby\"\n";

    fn ruby_with(files: &[(&str, Vec<u8>)]) -> Vec<String> {
        let ruby = [
            ("/lib/ruby/3.1.0/rbconfig.rb", CONFIG.into()),
            ("/bin/ruby", Elf::dynamic().build()),
            ("/lib/ruby/3.1.0/set.rb", b"require 'fiddle'".to_vec()),
        ];
        closure_of(&tree(&[&ruby[..], files].concat()), &["/bin/ruby"])
    }

    /// The lines that speak of libraries, and the findings.
    fn libraries(found: &[String]) -> Vec<&str> {
        let lines = found.iter().map(String::as_str);
        lines.filter(|line| line.contains("by name") || line.starts_with("! ")).collect()
    }

    #[test]
    fn what_a_library_opens_is_taken_where_it_is_there() {
        let source = "module Sodium\n  extend FFI::Library\n  ffi_lib ['nothing', 'sodium']\n  ffi_lib 'absent'\n\
            ffi_lib compute\n  begin\n  ffi_lib 'soft'\n  rescue LoadError\n  end\nend\n";
        let found = ruby_with(&[
            ("/lib/ruby/3.1.0/sodium.rb", source.into()),
            ("/lib/libsodium.so", b"-> libsodium.so.23".to_vec()),
            ("/lib/libsodium.so.23", Elf::library("libsodium.so.23").needs("libm.so.6").build()),
            ("/lib/libm.so.6", Elf::library("libm.so.6").build()),
        ]);
        assert_eq!(
            libraries(&found),
            [
                "/lib/libsodium.so: library opened by name (nothing or sodium) of /lib/ruby/3.1.0/sodium.rb",
                "/lib/libsodium.so.23: library opened by name (nothing or sodium) of /lib/ruby/3.1.0/sodium.rb",
                "! /lib/ruby/3.1.0/sodium.rb:4: may open the library absent, which is not there",
                "! /lib/ruby/3.1.0/sodium.rb:5: calls ffi_lib with a name that it computes",
            ]
        );
        assert!(found.contains(&"/lib/libm.so.6: NEEDED libm.so.6 of /lib/libsodium.so.23".to_owned()));
    }

    #[test]
    fn reline_opens_the_first_curses_library_that_there_is() {
        let reline = "def names\n  case RUBY_PLATFORM\n  when /darwin/\n    %w[libcurses.dylib]\n  else\n\
            %w[libncursesw.so libcursesw.so libncurses.so]\n  end\nend\n\
            names.find { |name| Fiddle::Handle.new(name) rescue nil }\n";
        let terminfo = ("/lib/ruby/3.1.0/reline/terminfo.rb", reline.into());
        let libraries_there = [
            // A script for the linker, which cannot be opened.
            ("/lib/libncursesw.so", b"INPUT(libncursesw.so.6)".to_vec()),
            ("/lib/libncurses.so", b"-> libncurses.so.6".to_vec()),
            ("/lib/libncurses.so.6", Elf::library("libncurses.so.6").build()),
        ];
        let found = ruby_with(&[&[terminfo.clone()][..], &libraries_there].concat());
        let places: Vec<_> =
            libraries(&found).iter().filter_map(|line| Some(line.split_once(':')?.0)).collect();
        assert_eq!(places, ["/lib/libncurses.so", "/lib/libncurses.so.6"]);
        assert!(libraries(&ruby_with(&[terminfo])).is_empty(), "without any, reline does without");
    }

    #[test]
    fn a_script_opens_libraries_as_its_interpreter_would() {
        let tree = tree(&[
            ("/app", b"#!/bin/ruby\nFiddle.dlopen('liba.so')\n".to_vec()),
            ("/bin/ruby", Elf::dynamic().build()),
            ("/lib/liba.so", Elf::library("liba.so").build()),
        ]);
        let wanted = "/lib/liba.so: library opened by name (liba.so) of /app";
        assert!(closure_of(&tree, &["/app"]).contains(&wanted.to_owned()));
    }
}

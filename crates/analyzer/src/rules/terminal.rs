//! Line editors read descriptions of terminals (terminfo(5)), and Ruby's reline opens a curses library by its
//! unversioned name, where there is one.

use rootfs::RootPath;

use super::Rule;
use crate::engine::{Answer, Role, Strength, Visit};
use crate::scope::Scope;
use crate::search::Defaults;

/// Where Debian's ncurses looks, in its order.
const DESCRIPTIONS: [&str; 3] = ["/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo"];

/// What `Reline::Terminfo` tries, in its order: the first that opens is taken.
const CURSES: [&[u8]; 4] = [b"libncursesw.so", b"libcursesw.so", b"libncurses.so", b"libcurses.so"];

pub(super) struct Terminal;

impl Rule for Terminal {
    fn name(&self) -> &'static str {
        "terminal"
    }

    fn apply(&self, scope: &Scope<'_>, visit: &Visit<'_>, answer: &mut Answer<'_>) {
        if let Role::OpenedBy(program) = visit.role
            && visit.path.as_bytes().ends_with(b"/reline/terminfo.rb")
        {
            self.curses(scope, visit, program, answer);
        }
        if visit.is_first && (visit.library(b"libtinfo").is_some() || visit.library(b"libncurses").is_some())
        {
            for path in DESCRIPTIONS {
                answer.below(path.as_bytes(), &self.reason(visit, "terminal descriptions"), Strength::Soft);
            }
        }
    }
}

impl Terminal {
    fn curses(&self, scope: &Scope<'_>, visit: &Visit<'_>, program: &RootPath, answer: &mut Answer<'_>) {
        let Some(program) = scope.search.object(program) else { return };
        let system = scope.search.system_of(&program);
        let find = |name: &&[u8]| scope.search.find(&system, name, &[], Defaults::Searched).ok();
        if let Some(place) = CURSES.iter().find_map(find) {
            let reason = self.reason(visit, "curses library");
            answer.resolved(place.library.file.clone(), visit.role.clone(), reason, Strength::Soft);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{closure_of, tree};
    use testkit::elf::Elf;

    #[test]
    fn descriptions_come_with_the_library_that_reads_them() {
        for soname in ["libtinfo.so.6", "libncursesw.so.6"] {
            let tree = tree(&[
                ("/opt/library", Elf::library(soname).build()),
                ("/lib/terminfo/x/xterm", Vec::new()),
                ("/usr/share/terminfo/v/vt100", Vec::new()),
            ]);
            let found = closure_of(&tree, &["/opt/library"]);
            for path in ["/lib/terminfo/x/xterm", "/usr/share/terminfo/v/vt100"] {
                assert!(found.contains(&format!("{path}: terminal descriptions of /opt/library")), "{path}");
            }
        }
    }

    #[test]
    fn reline_opens_the_first_curses_library_that_there_is() {
        let config = "CONFIG[\"ruby_version\"] = \"3.1.0\"\nCONFIG[\"rubyarchdir\"] = \"/lib/ruby/3.1.0\"\n\
            CONFIG[\"bindir\"] = \"/bin\"\nCONFIG[\"ruby_install_name\"] = \"ruby\"\n";
        let ruby = [
            ("/lib/ruby/3.1.0/rbconfig.rb", config.into()),
            ("/lib/ruby/3.1.0/reline/terminfo.rb", Vec::new()),
            ("/bin/ruby", Elf::dynamic().build()),
        ];
        let libraries = [
            // A script for the linker, which cannot be opened.
            ("/lib/libncursesw.so", b"INPUT(libncursesw.so.6)".to_vec()),
            ("/lib/libncurses.so", b"-> libncurses.so.6".to_vec()),
            ("/lib/libncurses.so.6", Elf::library("libncurses.so.6").build()),
        ];
        let curses = |tree: &rootfs::Tree| {
            let found = closure_of(tree, &["/bin/ruby"]);
            assert!(!found.iter().any(|line| line.starts_with("! ")), "{found:?}");
            let suffix = ": curses library of /lib/ruby/3.1.0/reline/terminfo.rb";
            found.iter().filter_map(|line| line.strip_suffix(suffix)).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(
            curses(&tree(&[&ruby[..], &libraries].concat())),
            ["/lib/libncurses.so", "/lib/libncurses.so.6"]
        );
        assert!(curses(&tree(&ruby)).is_empty(), "without any, reline does without");
    }
}

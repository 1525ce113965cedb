//! Line editors read descriptions of terminals (terminfo(5)).

use super::Rule;
use crate::engine::{Answer, Strength, Visit};
use crate::scope::Scope;

/// Where Debian's ncurses looks, in its order.
const DESCRIPTIONS: [&str; 3] = ["/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo"];

pub(super) struct Terminal;

impl Rule for Terminal {
    fn name(&self) -> &'static str {
        "terminal"
    }

    fn apply(&self, _: &Scope<'_>, visit: &Visit<'_>, answer: &mut Answer<'_>) {
        if visit.is_first && (visit.library(b"libtinfo").is_some() || visit.library(b"libncurses").is_some())
        {
            for path in DESCRIPTIONS {
                answer.data_below(
                    path.as_bytes(),
                    &self.reason(visit, "terminal descriptions"),
                    Strength::Soft,
                );
            }
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
}

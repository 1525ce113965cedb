//! A script that may be executed needs its interpreter, and with `env` the program that is looked up (execve(2)).

use rootfs::Kind;

use super::Rule;
use crate::engine::{Answer, Strength, Visit, escaped};
use crate::finding::FindingKind;
use crate::nature::Nature;
use crate::scope::Scope;
use crate::shebang::{self, KERNEL_LIMIT};

pub(super) struct Shebang;

impl Rule for Shebang {
    fn name(&self) -> &'static str {
        "shebang"
    }

    fn apply(&self, scope: &Scope<'_>, visit: &Visit<'_>, answer: &mut Answer<'_>) {
        let Kind::File(file) = visit.kind else { return };
        if !visit.is_first || !visit.is_executable || visit.nature == Nature::Object {
            return;
        }
        file.content.glance(KERNEL_LIMIT, |start| {
            let Some(shebang) = shebang::parse(start) else { return };
            answer.text(shebang.interpreter, self.reason(visit, "shebang"), Strength::Hard);
            if let Some(name) = shebang.program {
                self.look_up(scope, visit, name, answer);
            }
        });
    }
}

impl Shebang {
    fn look_up(&self, scope: &Scope<'_>, visit: &Visit<'_>, name: &[u8], answer: &mut Answer<'_>) {
        let reason = self.reason(visit, format!("shebang program {}", escaped(name)));
        if name.contains(&b'/') {
            return answer.text(name, reason, Strength::Hard);
        }
        match scope.find_program(name) {
            Some(path) => answer.text(path.as_bytes(), reason, Strength::Hard),
            None => answer.find(reason.from, FindingKind::ProgramNotFound { name: escaped(name) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{closure_of, path, tree};
    use rootfs::{Entry, Metadata, Origin};

    #[test]
    fn env_brings_itself_and_the_program_first_in_the_path() {
        let tree = tree(&[
            ("/usr/bin/gem", "#!/usr/bin/env ruby\n"),
            ("/usr/bin/env", ""),
            ("/usr/bin/ruby", "-> ruby3.3"),
            ("/usr/bin/ruby3.3", ""),
            ("/bin/ruby", ""),
        ]);
        assert_eq!(
            closure_of(&tree, &["/usr/bin/gem"]),
            [
                "/usr: folder of /usr/bin",
                "/usr/bin: folder of /usr/bin/env",
                "/usr/bin/env: shebang of /usr/bin/gem",
                "/usr/bin/gem: root: wanted",
                "/usr/bin/ruby: shebang program ruby of /usr/bin/gem",
                "/usr/bin/ruby3.3: shebang program ruby of /usr/bin/gem",
                "/usr/bin/ruby3.3: link target of /usr/bin/ruby",
            ]
        );
    }

    #[test]
    fn what_is_not_there_is_a_finding() {
        for (script, wanted) in [
            ("#!/usr/local/bin/ruby\n", "cannot find /usr/local/bin/ruby, its shebang"),
            ("#!/env ruby\n", "cannot find the program ruby"),
            ("#!/env /opt/ruby\n", "cannot find /opt/ruby, its shebang program /opt/ruby"),
            ("#!/env ruby -w\n", "cannot find the program ruby -w"),
        ] {
            let tree = tree(&[("/script", script), ("/env", "")]);
            let found = closure_of(&tree, &["/script"]);
            assert_eq!(found.last().unwrap(), &format!("! /script: {wanted}"));
        }
    }

    #[test]
    fn a_script_that_may_not_be_executed_needs_nothing() {
        let mut tree = tree::<&str>(&[]);
        let entry = Entry::file(Metadata::root(0o644), b"#!/none\n".to_vec(), Origin::default());
        tree.insert(path("/library.rb"), entry).unwrap();
        assert_eq!(closure_of(&tree, &["/library.rb"]), ["/library.rb: root: wanted"]);
    }
}

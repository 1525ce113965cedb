//! `--tree`: programs, and under each what it needs to be loaded, in the manner of ldd's successors. What was shown
//! once is not opened again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use analyzer::Closure;
use rootfs::{Filesystem, Kind, RootPath};

use crate::judgement::{Judged, Verdict};

/// The rules whose needs are those of loading a program.
const LOADING: [&str; 2] = ["elf", "shebang"];

/// What one file needs: the needs as the file names them, and the file that meets each.
type Needs<'c> = BTreeMap<&'c RootPath, BTreeSet<(&'c str, &'c RootPath)>>;

/// Writes the trees of the roots, then those of what is opened at run time and loaded by nothing that was shown.
pub(crate) fn write(
    filesystem: &dyn Filesystem,
    closure: &Closure,
    judged: &[Judged<'_>],
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut view =
        View { needs: needs(filesystem, closure), missing: missing(judged), shown: BTreeSet::new(), out };
    let is_interesting = |path: &RootPath| {
        view.needs.contains_key(path) || view.missing.contains_key(path) || is_program(filesystem, path)
    };
    let interesting: Vec<_> = closure
        .entries
        .iter()
        .filter(|(path, _)| is_file(filesystem, path) && is_interesting(path))
        .collect();
    let (roots, opened): (Vec<_>, Vec<_>) =
        interesting.into_iter().partition(|(_, reasons)| reasons.iter().any(|reason| reason.from.is_none()));
    for (path, _) in roots {
        view.root(path, "")?;
    }
    // What is opened before what it loads.
    for is_loaded in [false, true] {
        for (path, reasons) in &opened {
            if is_loaded == reasons.iter().any(|reason| LOADING.contains(&reason.rule))
                && !view.shown.contains(path)
            {
                let because = reasons.first().map_or_else(String::new, |reason| format!(" ({reason})"));
                view.root(path, &because)?;
            }
        }
    }
    Ok(())
}

struct View<'c, 'o> {
    needs: Needs<'c>,
    /// What is wrong, by the file that it is wrong with.
    missing: BTreeMap<&'c RootPath, Vec<String>>,
    shown: BTreeSet<&'c RootPath>,
    out: &'o mut dyn Write,
}

impl<'c> View<'c, '_> {
    fn root(&mut self, path: &'c RootPath, note: &str) -> io::Result<()> {
        if self.shown.insert(path) {
            writeln!(self.out, "{path}{note}")?;
            return self.below(path);
        }
        writeln!(self.out, "{path}{note} (already shown)")
    }

    /// Writes what a file needs, as deep as it goes: the depth is not bound by this program's stack.
    fn below(&mut self, path: &'c RootPath) -> io::Result<()> {
        let mut open = vec![(String::new(), self.lines(path))];
        while let Some((indent, lines)) = open.last_mut() {
            let Some(line) = lines.pop() else {
                open.pop();
                continue;
            };
            let is_last = lines.is_empty();
            let indent = indent.clone();
            write!(self.out, "{indent}{}", if is_last { "└── " } else { "├── " })?;
            match line {
                Line::Missing(text) => writeln!(self.out, "{text}")?,
                Line::Need(label, target) => {
                    write!(self.out, "{label} => {target}")?;
                    if self.shown.insert(target) {
                        writeln!(self.out)?;
                        let deeper = if is_last { "    " } else { "│   " };
                        open.push((indent + deeper, self.lines(target)));
                    } else if self.needs.contains_key(target) {
                        writeln!(self.out, " (already shown)")?;
                    } else {
                        writeln!(self.out)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The lines below a file, the first one last.
    fn lines(&self, path: &RootPath) -> Vec<Line<'c>> {
        let needs = self.needs.get(path).into_iter().flatten();
        let mut lines: Vec<_> = needs.map(|&(label, target)| Line::Need(label, target)).collect();
        lines.extend(self.missing.get(path).into_iter().flatten().cloned().map(Line::Missing));
        lines.reverse();
        lines
    }
}

enum Line<'c> {
    Need(&'c str, &'c RootPath),
    Missing(String),
}

/// Needs are kept with links and with what these lead to; the latter is what is loaded.
fn needs<'c>(filesystem: &dyn Filesystem, closure: &'c Closure) -> Needs<'c> {
    let mut needs = Needs::new();
    for (path, reasons) in &closure.entries {
        if !is_file(filesystem, path) {
            continue;
        }
        for reason in reasons.iter().filter(|reason| LOADING.contains(&reason.rule)) {
            if let Some(from) = &reason.from {
                let label = reason.because.strip_prefix("NEEDED ").unwrap_or(&reason.because);
                needs.entry(from).or_default().insert((label, path));
            }
        }
    }
    needs
}

fn missing<'c>(judged: &[Judged<'c>]) -> BTreeMap<&'c RootPath, Vec<String>> {
    let mut missing: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for Judged { finding, verdict, .. } in judged {
        if let Some(file) = &finding.file
            && *verdict != Verdict::Undecided
        {
            missing.entry(file).or_default().push(finding.kind.to_string());
        }
    }
    missing
}

fn is_file(filesystem: &dyn Filesystem, path: &RootPath) -> bool {
    filesystem.get(path).is_some_and(|entry| matches!(entry.kind, Kind::File(_)))
}

fn is_program(filesystem: &dyn Filesystem, path: &RootPath) -> bool {
    filesystem
        .get(path)
        .is_some_and(|entry| matches!(&entry.kind, Kind::File(file) if file.content.starts_with(b"\x7fELF")))
}

//! `--why`: the reasons for a path, back to a root, or what keeps it out.

use std::io::{self, Write};

use analyzer::{Closure, Request};
use rootfs::{Filesystem, RootPath};

/// Writes the shortest chain from a path to a root; says whether the path is kept.
pub(crate) fn explain(
    filesystem: &dyn Filesystem,
    request: &Request,
    closure: &Closure,
    asked: &RootPath,
    out: &mut dyn Write,
) -> io::Result<bool> {
    let is_kept = |path: &RootPath| closure.entries.contains_key(path);
    let mut path = asked.clone();
    if !is_kept(&path)
        && !closure.dropped.contains_key(&path)
        && let Ok(resolved) = filesystem.resolve(asked)
        && resolved.path != path
    {
        path = resolved.path;
        writeln!(out, "{asked} leads to {path}")?;
    }
    if let Some(chain) = closure.chain(&path) {
        writeln!(out, "{path} is needed")?;
        for (depth, step) in chain.iter().enumerate() {
            writeln!(out, "{:1$}{2}", "", 2 * (depth + 1), step.reason)?;
        }
        return Ok(true);
    }
    let drop = closure.dropped.get(&path).and_then(|index| request.drop.get(*index));
    match drop {
        Some(drop) => writeln!(out, "{path} is needed, and left out by `{}`", drop.name)?,
        None if filesystem.get(&path).is_some() => {
            writeln!(out, "{path} is not needed: nothing leads to it from a root")?;
        }
        None => writeln!(out, "{path} is not there")?,
    }
    Ok(false)
}

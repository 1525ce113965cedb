//! The table of levels in `docs/architecture.md` against the manifests: every crate of the workspace stands in it, and
//! depends on strictly lower ones.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, MetadataCommand, Package};
use fs_err as fs;

use crate::program::workspace;

/// A place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Numbered(u8),
    /// For tests alone: below everything, and no dependency of what is built.
    Development,
}

#[test]
fn crates_depend_on_strictly_lower_levels() {
    let levels = levels();
    let packages = packages();
    assert!(
        levels.keys().eq(packages.keys()),
        "{:?} in the table, {:?} in the workspace",
        levels.keys(),
        packages.keys()
    );
    for (name, package) in &packages {
        for dependency in &package.dependencies {
            let Some(&below) = levels.get(&dependency.name) else { continue };
            let for_tests = dependency.kind == DependencyKind::Development;
            let allowed = match (levels[name], below) {
                (Level::Development, _) => false,
                (Level::Numbered(_), Level::Development) => for_tests,
                (Level::Numbered(own), Level::Numbered(other)) => other < own,
            };
            assert!(allowed, "{name} may not depend on {} ({})", dependency.name, dependency.kind);
        }
    }
}

/// The table: a row has its level in the first column and the crate in the second.
fn levels() -> BTreeMap<String, Level> {
    let text = fs::read_to_string(workspace().join("docs/architecture.md")).expect("the map");
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let level = match cells.next()? {
            "dev" => Level::Development,
            number => Level::Numbered(number.parse().ok()?),
        };
        Some((cells.next()?.trim_matches('`').to_owned(), level))
    });
    rows.collect()
}

fn packages() -> BTreeMap<String, Package> {
    let mut command = MetadataCommand::new();
    command.current_dir(workspace()).no_deps();
    let metadata = command.exec().expect("cargo reads the workspace");
    metadata.packages.into_iter().map(|package| (package.name.to_string(), package)).collect()
}

//! Nothing needs root. Run by root, these are run once more for a user who owns a project and a cache, and nothing else;
//! run by an ordinary user, every other test has shown it already.

use std::os::unix::fs::MetadataExt;

use fs_err as fs;

use crate::checks::{GREETS, mirror, project};
use crate::project::files_below;
use crate::skip;

const NOBODY: u32 = 65534;

#[test]
fn an_ordinary_user_builds_the_same_image_and_starts_it() {
    if fs::metadata("/proc/self").expect("it is there").uid() != 0 {
        return;
    }
    let mirror = mirror();
    let by_root = project(&mirror, &[GREETS]);
    by_root.build();
    let mut project = project(&mirror, &[GREETS]);
    project.give_to(NOBODY);
    let number = NOBODY.to_string();
    let setpriv = ["setpriv", "--reuid", &number, "--regid", &number, "--clear-groups", "--no-new-privs"];
    let run = |arguments: &[&str]| project.outcome(&mut project.command_through(&setpriv, arguments));

    run(&["build-all", "--no-check"]).good();
    assert_eq!(project.images(), by_root.images());
    let files = project.folder().join("files").display().to_string();
    run(&["export", "tiny:3.3", "--format", "dir", "--output", &files]).good();
    for (path, _) in files_below(project.folder()) {
        assert_eq!(fs::symlink_metadata(&path).unwrap().uid(), NOBODY, "{}", path.display());
    }

    let checked = run(&["build-all"]);
    if checked.status == Some(2) && checked.errors.contains("use another engine") {
        return skip("an image started by an ordinary user", &checked.errors);
    }
    assert!(checked.good().errors.contains("1 of 1 checks passed"));
    assert_eq!(run(&["run", "tiny:3.3", "--", "fail"]).status, Some(7));
}

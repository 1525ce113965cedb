//! The lock: when it is written, when it may not change, and what happens when a mirror goes on without it.

use fs_err as fs;
use testkit::archive::Suite;
use testkit::web::Reply;

use crate::mirror::{Mirror, NEXT_DAY, libyaml, place, ruby, suite, with};
use crate::project::Project;

#[test]
fn with_locked_the_lock_has_to_be_there_and_to_fit() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    let locked = || project.run(&["build-all", "--no-check", "--locked"]);
    insta::assert_snapshot!(locked(), @"
    status 2
    -- errors
    error: matrix.lock does not have the packages that the matrix asks for on trixie amd64, and may not change
    hint: run `cargo xtask update`, or leave `--locked` out
    ");
    assert!(!project.root.join("matrix.lock").exists());
    assert!(mirror.server.requests().is_empty());
    project.build();
    locked().good();

    let lock = project.read("matrix.lock");
    project.edit("images/tiny/image.toml", "\"tzdata\"]", "\"tzdata\", \"libyaml-0-2\"]");
    insta::assert_snapshot!(locked(), @"
    status 2
    -- errors
    error: matrix.lock does not have the packages that the matrix asks for on trixie amd64, and may not change
    hint: run `cargo xtask update`, or leave `--locked` out
    ");
    assert_eq!(project.read("matrix.lock"), lock);
}

#[test]
fn offline_nothing_is_asked_for() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    let offline = || project.run(&["build-all", "--no-check", "--offline"]);
    insta::assert_snapshot!(offline(), @"
    status 2
    -- errors
    resolving the packages of trixie
    error: cannot read the suite trixie
      because: cannot download [mirror]/debian/dists/trixie/InRelease: offline, and it is not in the cache
    hint: run once without `--offline`
    ");
    assert!(mirror.server.requests().is_empty());

    project.build();
    let asked = mirror.server.requests().len();
    fs::remove_dir_all(project.root.join("dist")).unwrap();
    offline().good();

    fs::remove_dir_all(&project.cache).unwrap();
    fs::remove_dir_all(project.root.join("dist")).unwrap();
    insta::assert_snapshot!(offline(), @"
    status 2
    -- errors
    error: cannot fetch package base-files 13
      because: cannot download [mirror]/debian/pool/main/base-files_13_amd64.deb: offline, and it is not in the cache
    hint: run once without `--offline`
    ");
    assert_eq!(mirror.server.requests().len(), asked);
}

#[test]
fn a_lock_that_is_damaged_or_of_another_version_is_refused() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    project.build();
    let lock = project.read("matrix.lock");
    project.write("matrix.lock", &lock[..lock.len() / 2]);
    let cut = project.run(&["build-all", "--no-check"]);
    assert_eq!(cut.status, Some(2), "{cut}");
    assert!(cut.errors.starts_with("error: matrix.lock:"), "{cut}");
    project.write("matrix.lock", &lock.replacen("version = 1", "version = 999", 1));
    insta::assert_snapshot!(project.run(&["build-all", "--no-check"]), @"
    status 2
    -- errors
    error: matrix.lock: this is version 999 of the lock's format, and version 1 is read here: remove the file and run `cargo xtask update`
    ");
}

#[test]
fn a_package_that_has_left_the_mirror_is_resolved_anew_and_shown() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    project.build();
    let lock = project.read("matrix.lock");
    fs::remove_dir_all(&project.cache).unwrap();
    fs::remove_dir_all(project.root.join("dist")).unwrap();
    mirror.publish(&newer_yaml());
    mirror.script(&place(&ruby("3.3"), "libyaml-0-2"), [Reply::Status(404)]);

    insta::assert_snapshot!(project.run(&["build-all", "--no-check", "--locked"]), @"
    status 2
    -- errors
    fetching 7 packages, 0.0 MB
    error: cannot fetch package libyaml-0-2 0.2.5-2
      because: cannot find [mirror]/debian/pool/main/libyaml-0-2_0.2.5-2_amd64.deb
    hint: it has left the mirror: `cargo xtask update` resolves its distro anew
    ");
    assert_eq!(project.read("matrix.lock"), lock);
    assert!(project.images().is_empty());

    insta::assert_snapshot!(project.run(&["build-all", "--no-check"]), @"
    status 0
    -- errors
    fetching 1 package, 0.0 MB
    resolving the packages of trixie
    locked trixie amd64:
      libyaml-0-2 0.2.5-2 -> 0.2.5-3
    fetching 1 package, 0.0 MB
    built tiny:3.3-trixie: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    ");
    assert!(project.read("matrix.lock").contains("0.2.5-3"));
    project.run(&["build-all", "--no-check", "--locked"]).good();
}

#[test]
fn update_takes_what_is_newer_and_a_dry_run_only_says_so() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    project.build();
    let lock = project.read("matrix.lock");
    insta::assert_snapshot!(project.run(&["update"]), @"
    status 0
    -- output
    the lock has the same packages as before
    -- errors
    resolving the packages of trixie
    ");
    assert_eq!(project.read("matrix.lock"), lock);

    mirror.publish(&newer_yaml());
    project.build();
    assert_eq!(project.read("matrix.lock"), lock, "what is locked stays as it is");
    insta::assert_snapshot!(project.run(&["update", "--dry-run"]), @"
    status 0
    -- output
    locked trixie amd64:
      libyaml-0-2 0.2.5-2 -> 0.2.5-3
    -- errors
    resolving the packages of trixie
    ");
    assert_eq!(project.read("matrix.lock"), lock);
    insta::assert_snapshot!(project.run(&["update"]), @"
    status 0
    -- output
    locked trixie amd64:
      libyaml-0-2 0.2.5-2 -> 0.2.5-3
    -- errors
    resolving the packages of trixie
    ");
    insta::assert_snapshot!(project.run(&["build-all", "--no-check"]), @"
    status 0
    -- errors
    fetching 1 package, 0.0 MB
    built tiny:3.3-trixie: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    ");
    project.run(&["build-all", "--no-check", "--locked"]).good();
}

#[test]
fn a_fix_from_the_security_archive_comes_first() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    project.build();
    mirror.publish_security(&suite("trixie-security", [libyaml("0.2.5-2+deb13u1")]).date(NEXT_DAY));
    insta::assert_snapshot!(project.run(&["update"]), @"
    status 0
    -- output
    locked trixie amd64:
      libyaml-0-2 0.2.5-2 -> 0.2.5-2+deb13u1
    -- errors
    resolving the packages of trixie
    ");
    project.build();
    let asked = mirror.server.requests().into_iter().map(|request| request.target);
    let from_security: Vec<_> = asked.filter(|target| target.starts_with("/debian-security/pool/")).collect();
    assert_eq!(from_security, ["/debian-security/pool/main/libyaml-0-2_0.2.5-2+deb13u1_amd64.deb"]);
}

/// `trixie` a day later, with another revision of a library.
fn newer_yaml() -> Suite {
    suite("trixie", with(ruby("3.3"), libyaml("0.2.5-3"))).date(NEXT_DAY)
}

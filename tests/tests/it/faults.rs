//! What goes wrong around a build. Whatever it is: one error that says what and where, status 2, no image with a name
//! and no file half written; and once the fault is gone the same cache and the same folder give what undisturbed ones
//! give.
//!
//! A server that hangs is not here, as the program waits half a minute for it: the tests of `crates/cache` have that,
//! with a shorter patience.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use fs_err as fs;
use testkit::deb::Package;
use testkit::elf::Elf;
use testkit::tar::Member;
use testkit::web::Reply;

use crate::build::two_distros;
use crate::mirror::{Mirror, NEXT_DAY, good_files, libyaml, package, place, ruby, suite, with};
use crate::program::Outcome;
use crate::project::{Project, files_below};

const IN_RELEASE: &str = "dists/trixie/InRelease";

#[test]
fn a_flipped_byte_in_what_the_archive_signed() {
    let [text, signature, index, package] = disturbed([
        &|mirror| flip(mirror, IN_RELEASE, b"Codename"),
        &|mirror| flip(mirror, IN_RELEASE, b"-----BEGIN PGP SIGNATURE-----\n\n"),
        &|mirror| indexes(mirror, &Reply::Altered),
        &|mirror| mirror.script(&place(&ruby("3.3"), "tzdata"), [Reply::Altered]),
    ]);
    insta::assert_snapshot!(text, @"
    status 2
    -- errors
    resolving the packages of trixie
    error: cannot read the suite trixie
      because: [mirror]/debian/dists/trixie/InRelease is not to be trusted
      because: it has no good signature: by key 49869D1697CAD862E3EB200F19678776BA025BDA, it does not fit the text
    hint: use another mirror; if the archive has keys of its own, name them as `keyring` of the distro in matrix.toml
    ");
    insta::assert_snapshot!(signature, @"
    status 2
    -- errors
    resolving the packages of trixie
    error: cannot read the suite trixie
      because: [mirror]/debian/dists/trixie/InRelease is not to be trusted
      because: it is no signed text
      because: data ends too early
    hint: use another mirror; if the archive has keys of its own, name them as `keyring` of the distro in matrix.toml
    ");
    insta::assert_snapshot!(index, @"
    status 2
    -- errors
    resolving the packages of trixie
    error: cannot read the suite trixie
      because: cannot download [mirror]/debian/dists/trixie/main/binary-amd64/by-hash/SHA256/[digest]: expected sha256:[digest], but the bytes are sha256:[digest]; nor [mirror]/debian/dists/trixie/main/binary-amd64/Packages.xz: expected sha256:[digest], but the bytes are sha256:[digest]
    hint: the server, or something in between, changes files: try another mirror
    ");
    insta::assert_snapshot!(package, @"
    status 2
    -- errors
    resolving the packages of trixie
    locked trixie amd64: 7 packages
    fetching 7 packages, 0.0 MB
    error: cannot fetch package tzdata 2026b
      because: cannot download [mirror]/debian/pool/main/tzdata_2026b_amd64.deb: expected sha256:[digest], but the bytes are sha256:[digest]
    hint: the server, or something in between, changes files: try another mirror
    ");
}

#[test]
fn a_server_that_answers_badly() {
    let tzdata = || place(&ruby("3.3"), "tzdata");
    let [cut, longer, broken, missing_release, missing_index] = disturbed([
        &|mirror| mirror.script(&tzdata(), [Reply::Truncated(3), Reply::Truncated(0)]),
        &|mirror| mirror.script(&tzdata(), [Reply::Longer]),
        &|mirror| mirror.script(&tzdata(), [Reply::Status(500)]),
        &|mirror| mirror.script(IN_RELEASE, [Reply::Status(404)]),
        &|mirror| indexes(mirror, &Reply::Status(404)),
    ]);
    insta::assert_snapshot!(cut, @"
    status 2
    -- errors
    resolving the packages of trixie
    locked trixie amd64: 7 packages
    fetching 7 packages, 0.0 MB
    error: cannot fetch package tzdata 2026b
      because: cannot download [mirror]/debian/pool/main/tzdata_2026b_amd64.deb: the connection ended after 3 of 712 bytes (4 attempts)
    hint: is the network up, and is a proxy needed? What was downloaded so far is kept: run it again
    ");
    insta::assert_snapshot!(longer, @"
    status 2
    -- errors
    resolving the packages of trixie
    locked trixie amd64: 7 packages
    fetching 7 packages, 0.0 MB
    error: cannot fetch package tzdata 2026b
      because: cannot download [mirror]/debian/pool/main/tzdata_2026b_amd64.deb: expected 712 bytes, but the server has 713
    hint: the server, or something in between, changes files: try another mirror
    ");
    insta::assert_snapshot!(broken, @"
    status 2
    -- errors
    resolving the packages of trixie
    locked trixie amd64: 7 packages
    fetching 7 packages, 0.0 MB
    error: cannot fetch package tzdata 2026b
      because: cannot download [mirror]/debian/pool/main/tzdata_2026b_amd64.deb: the server answered with status 500 (4 attempts)
    hint: the server is in trouble: run it again later, or try another mirror
    ");
    insta::assert_snapshot!(missing_release, @"
    status 2
    -- errors
    resolving the packages of trixie
    error: cannot read the suite trixie
      because: cannot find [mirror]/debian/dists/trixie/InRelease
    hint: is the name of the suite right, and does the mirror have it?
    ");
    insta::assert_snapshot!(missing_index, @"
    status 2
    -- errors
    resolving the packages of trixie
    error: cannot read the suite trixie
      because: cannot find [mirror]/debian/dists/trixie/main/binary-amd64/by-hash/SHA256/[digest]; nor [mirror]/debian/dists/trixie/main/binary-amd64/Packages.xz
    hint: the index and the files of the server do not match: is it being updated?
    ");
}

#[test]
fn passing_faults_pass() {
    let mirror = Mirror::start();
    let place = |name| place(&ruby("3.3"), name);
    mirror.script(&place("tzdata"), [Reply::Status(503), Reply::Good]);
    mirror.script(&place("ruby"), [Reply::Truncated(100), Reply::Good]);
    mirror.script(&place("libc6"), [Reply::Reset(10), Reply::Good]);
    let project = Project::new(&mirror);
    project.build();
    assert_eq!(project.images(), Project::undisturbed(&mirror));
}

#[test]
fn an_expired_index_is_refused_unless_its_distro_is_archived() {
    let mirror = Mirror::start();
    let expired = suite("trixie", ruby("3.3")).valid_until("Sun, 22 Nov 2026 00:00:00 UTC");
    mirror.publish(&expired);
    let project = Project::new(&mirror);
    insta::assert_snapshot!(refused(&project, &["build-all", "--no-check"]), @"
    status 2
    -- errors
    resolving the packages of trixie
    error: cannot read the suite trixie
      because: [mirror]/debian/dists/trixie/InRelease is refused
      because: it was valid until 2026-11-22T00:00:00Z
    hint: the mirror is behind, or the clock is wrong: use another mirror; if nobody updates the suite any more, mark its distro as archived in matrix.toml
    ");
    project.edit("matrix.toml", "keyring =", "archived = true\nkeyring =");
    project.build();
}

#[test]
fn an_index_older_than_the_one_seen_is_refused() {
    let mirror = Mirror::start();
    mirror.publish(&suite("trixie", with(ruby("3.3"), libyaml("0.2.5-3"))).date(NEXT_DAY));
    let project = Project::new(&mirror);
    project.build();
    let before = (project.images(), project.read("matrix.lock"));
    mirror.publish(&suite("trixie", ruby("3.3")));
    let outcome = project.run(&["update"]);
    insta::assert_snapshot!(outcome, @"
    status 2
    -- errors
    resolving the packages of trixie
    error: cannot read the suite trixie
      because: [mirror]/debian/dists/trixie/InRelease is refused
      because: it is dated 2026-11-21T00:00:00Z, but one of 2026-11-22T00:00:00Z was seen before
    hint: the mirror is behind: wait for it, or use another one
    ");
    assert_eq!((project.images(), project.read("matrix.lock")), before);
}

#[test]
fn a_package_that_reaches_for_more_than_an_image() {
    let tail = || libyaml("0.2.5-2");
    let hostile = [
        tail().member(Member::file("./usr/../../../etc/cron.d/evil", "x")),
        tail().member(Member::file("/etc/cron.d/evil", "x")),
        tail().member(Member::symlink("./usr/lib/evil", "../../../../etc")),
        tail().member(Member::hard_link("./usr/lib/evil", "../../etc/shadow")),
        tail().member(Member::new(b'3', "./dev/sda")),
        tail().member(Member::new(b'6', "./run/pipe")),
        tail().member(Member::file("./usr/lib/huge", "x").claim_size(1 << 40)),
        tail().member(Member::file("./usr/lib/broken", "x").break_checksum()),
    ];
    let outcomes: Vec<String> = hostile.into_iter().map(hostile_package).collect();
    insta::assert_snapshot!(outcomes.join("\n\n"), @r#"
    status 2
    -- errors
    resolving the packages of trixie
    locked trixie amd64: 7 packages
    fetching 7 packages, 0.0 MB
    error: cannot build tiny:3.3-trixie
      because: cannot read the files of package libyaml-0-2 0.2.5-2
      because: cannot accept the archive member "./usr/../../../etc/cron.d/evil" (its header is at byte 3072): its name has a `..`

    status 2
    -- errors
    resolving the packages of trixie
    locked trixie amd64: 7 packages
    fetching 7 packages, 0.0 MB
    error: cannot build tiny:3.3-trixie
      because: cannot read the files of package libyaml-0-2 0.2.5-2
      because: cannot accept the archive member "/etc/cron.d/evil" (its header is at byte 3072): its name is absolute

    status 2
    -- errors
    resolving the packages of trixie
    locked trixie amd64: 7 packages
    fetching 7 packages, 0.0 MB
    error: cannot build tiny:3.3-trixie
      because: cannot read the files of package libyaml-0-2 0.2.5-2
      because: cannot accept the archive member "./usr/lib/evil" (its header is at byte 3072): it links to ../../../../etc, which is outside the root

    status 2
    -- errors
    resolving the packages of trixie
    locked trixie amd64: 7 packages
    fetching 7 packages, 0.0 MB
    error: cannot build tiny:3.3-trixie
      because: cannot read the files of package libyaml-0-2 0.2.5-2
      because: cannot accept the archive member "./usr/lib/evil" (its header is at byte 3072): it is a hard link to ../../etc/shadow, which is outside the root

    status 2
    -- errors
    resolving the packages of trixie
    locked trixie amd64: 7 packages
    fetching 7 packages, 0.0 MB
    error: cannot build tiny:3.3-trixie
      because: cannot read the files of package libyaml-0-2 0.2.5-2
      because: cannot accept the archive member "./dev/sda" (its header is at byte 3072): it is a character device

    status 2
    -- errors
    resolving the packages of trixie
    locked trixie amd64: 7 packages
    fetching 7 packages, 0.0 MB
    error: cannot build tiny:3.3-trixie
      because: cannot read the files of package libyaml-0-2 0.2.5-2
      because: cannot accept the archive member "./run/pipe" (its header is at byte 3072): it is a FIFO

    status 2
    -- errors
    resolving the packages of trixie
    locked trixie amd64: 7 packages
    fetching 7 packages, 0.0 MB
    error: cannot build tiny:3.3-trixie
      because: cannot read the files of package libyaml-0-2 0.2.5-2
      because: cannot accept the archive member "./usr/lib/huge" (its header is at byte 3072): it claims 1099511627776 bytes, but the archive has 1536 left

    status 2
    -- errors
    resolving the packages of trixie
    locked trixie amd64: 7 packages
    fetching 7 packages, 0.0 MB
    error: cannot build tiny:3.3-trixie
      because: cannot read the files of package libyaml-0-2 0.2.5-2
      because: cannot accept the archive member "./usr/lib/broken" (its header is at byte 3072): its header has a wrong checksum
    "#);
}

#[test]
fn an_object_cut_anywhere_and_a_library_that_is_missing() {
    let whole = Elf::library("libyaml-0.so.2").needs("libc.so.6").build();
    let cut = |length: usize| {
        let path = "usr/lib/x86_64-linux-gnu/libyaml-0.so.2";
        package("libyaml-0-2", "0.2.5-2")
            .field("Depends", "libc6")
            .member(Member::file(format!("./{path}"), &whole[..length]))
    };
    insta::assert_snapshot!(hostile_package(cut(whole.len() / 2)), @"
    status 2
    -- errors
    resolving the packages of trixie
    locked trixie amd64: 7 packages
    fetching 7 packages, 0.0 MB
    error: the packages of tiny:3.3-trixie do not have everything it needs:
      /usr/lib/x86_64-linux-gnu/libyaml-0.so.2: damaged ELF object: the section headers reach past the end of the file
        (its key is `damaged:/usr/lib/x86_64-linux-gnu/libyaml-0.so.2`)
    hint: add the package that has it to `packages` in image.toml, or accept the finding by its key in `[[accept]]`, with a reason
    ");
    insta::assert_snapshot!(hostile_package(cut(whole.len() - 1)), @"
    status 2
    -- errors
    resolving the packages of trixie
    locked trixie amd64: 7 packages
    fetching 7 packages, 0.0 MB
    error: the packages of tiny:3.3-trixie do not have everything it needs:
      /usr/lib/x86_64-linux-gnu/libyaml-0.so.2: damaged ELF object: the section headers reach past the end of the file
        (its key is `damaged:/usr/lib/x86_64-linux-gnu/libyaml-0.so.2`)
    hint: add the package that has it to `packages` in image.toml, or accept the finding by its key in `[[accept]]`, with a reason
    ");
    let missing = package("libyaml-0-2", "0.2.5-2").field("Depends", "libc6");
    insta::assert_snapshot!(hostile_package(missing), @"
    status 2
    -- errors
    resolving the packages of trixie
    locked trixie amd64: 7 packages
    fetching 7 packages, 0.0 MB
    error: the packages of tiny:3.3-trixie do not have everything it needs:
      /usr/lib/x86_64-linux-gnu/ruby/3.3.0/psych.so: cannot find the library libyaml-0.so.2
        (its key is `library-not-found:/usr/lib/x86_64-linux-gnu/ruby/3.3.0/psych.so:libyaml-0.so.2`)
    hint: add the package that has it to `packages` in image.toml, or accept the finding by its key in `[[accept]]`, with a reason
    ");
}

#[test]
fn a_finding_may_be_accepted_with_a_reason() {
    let mirror = Mirror::start();
    mirror.publish(&suite("trixie", with(ruby("3.3"), package("libyaml-0-2", "0.2.5-2"))));
    let project = Project::new(&mirror);
    refused(&project, &["build-all", "--no-check"]);
    let image = project.read("images/tiny/image.toml");
    let accept =
        "[[accept]]\nfinding = \"library-not-found:*/psych.so:libyaml-0.so.2\"\nwhy = \"no YAML here\"\n";
    project.write("images/tiny/image.toml", &format!("{image}\n{accept}"));
    project.build();
    let record: serde_json::Value = serde_json::from_str(&project.read("dist/run.json")).unwrap();
    insta::assert_snapshot!(record["images"][0]["accepted"], @r#"[{"finding":"/usr/lib/x86_64-linux-gnu/ruby/3.3.0/psych.so: cannot find the library libyaml-0.so.2","why":"no YAML here"}]"#);
}

#[test]
fn a_rule_that_drops_what_something_needs() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    let image = project.read("images/tiny/image.toml");
    project.edit("images/tiny/image.toml", "/usr/lib/ruby/*/rdoc", "/usr/lib/*/libyaml*");
    insta::assert_snapshot!(refused(&project, &["build-all", "--no-check"]), @"
    status 2
    -- errors
    resolving the packages of trixie
    locked trixie amd64: 7 packages
    fetching 7 packages, 0.0 MB
    error: the packages of tiny:3.3-trixie do not have everything it needs:
      /usr/lib/x86_64-linux-gnu/ruby/3.3.0/psych.so: needs /usr/lib/x86_64-linux-gnu/libyaml-0.so.2 (NEEDED libyaml-0.so.2), which `pages` drops
        (its key is `dropped:/usr/lib/x86_64-linux-gnu/ruby/3.3.0/psych.so:/usr/lib/x86_64-linux-gnu/libyaml-0.so.2`)
    hint: add the package that has it to `packages` in image.toml, or accept the finding by its key in `[[accept]]`, with a reason
    ");
    project.write("images/tiny/image.toml", &image);
    project.build();
    assert_eq!(project.images(), Project::undisturbed(&mirror));
}

#[test]
fn when_one_image_fails_none_of_the_run_gets_a_name_and_older_ones_keep_theirs() {
    let mirror = two_distros();
    let project = Project::with_matrix(&mirror, &[("3.3", "trixie"), ("3.1", "bookworm")]);
    let packages = with(ruby("3.1"), package("libyaml-0-2", "0.2.5-1"));
    mirror.publish(&suite("bookworm", packages));
    refused(&project, &["build-all", "--no-check"]);

    project.run(&["build", "*-trixie", "--no-check"]).good();
    let images = project.images();
    let outcome = project.run(&["build-all", "--no-check"]);
    assert_one_error(&outcome);
    assert_eq!(project.images(), images);
    mirror.publish(&suite("bookworm", ruby("3.1")).date(NEXT_DAY));
    project.run(&["update"]).good();
    project.build();
    assert_eq!(project.images().len(), 6);
}

#[test]
fn a_damaged_cache_or_layout_is_made_good() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    project.build();
    let images = project.images();
    for folder in [project.cache.clone(), project.root.join("dist/oci/blobs")] {
        let files: Vec<_> = files_below(&folder).into_keys().collect();
        assert!(!files.is_empty());
        for file in files {
            // A file that an earlier repair took away is no more.
            let Ok(bytes) = fs::read(&file) else { continue };
            if bytes.is_empty() {
                continue;
            }
            fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
            fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
            if folder == project.cache {
                fs::remove_dir_all(project.root.join("dist")).unwrap();
            }
            project.build();
            assert_eq!(project.images(), images, "{}", file.display());
            project.assert_whole();
        }
    }
}

#[test]
fn a_full_disk_at_any_moment() {
    let mirror = Mirror::start();
    let good = Project::new(&mirror);
    good.build();
    for (folder, step) in [("cache", 16), ("project/dist", 4)] {
        let mut failures = 0;
        for size in (4..).step_by(step) {
            let project = Project::new(&mirror);
            let Some([first, second]) = on_a_small_disk(&project, folder, size) else {
                return crate::skip("a full disk", "no tmpfs in a user namespace is to be had here");
            };
            assert_eq!(second.index, good.read("dist/oci/index.json"), "{}", second.outcome);
            if first.outcome.status == Some(0) {
                break;
            }
            failures += 1;
            assert_one_error(&first.outcome);
            assert!(first.outcome.errors.contains("No space left on device"), "{}", first.outcome);
            assert!(!first.index.contains("sha256"), "no image has a name: {}", first.outcome);
        }
        assert!(failures > 3, "{failures} in {folder}");
    }
}

/// A run where a folder is on a disk of its own, and what the layout's index was after it.
struct SmallDiskRun {
    outcome: Outcome,
    index: String,
}

/// A build with one of the project's folders on a disk of so many KiB, and another after the disk has grown. None where
/// this machine does not let us have such a disk.
fn on_a_small_disk(project: &Project, folder: &str, kibibytes: u32) -> Option<[SmallDiskRun; 2]> {
    let place = project.folder().join(folder);
    fs::create_dir_all(&place).expect("the place of the disk");
    let script = r#"
        mount -t tmpfs -o size="$SIZE"k small "$PLACE" || exit
        for run in first second; do
            "$@" 2>"$OUT/$run.errors"; echo $? >"$OUT/$run.status"
            cat dist/oci/index.json >"$OUT/$run.index"
            mount -o remount,size=64m small "$PLACE" || exit
        done"#;
    let mut command = project.command_through(
        &["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"],
        &["build-all", "--no-check"],
    );
    command.env("PLACE", &place).env("SIZE", kibibytes.to_string()).env("OUT", project.folder());
    project.outcome(&mut command);
    let file = |name: String| fs::read_to_string(project.folder().join(name)).ok();
    let run = |name: &str| {
        let status = file(format!("{name}.status"))?.trim().parse().ok();
        let outcome = Outcome { status, output: String::new(), errors: file(format!("{name}.errors"))? };
        Some(SmallDiskRun { outcome, index: file(format!("{name}.index"))? })
    };
    Some([run("first")?, run("second")?])
}

/// What came of a build from mirrors disturbed in these ways, all at once; each is undone after.
fn disturbed<const N: usize>(faults: [&(dyn Fn(&Mirror) + Sync); N]) -> [String; N] {
    thread::scope(|scope| {
        let running = faults.map(|disturb| {
            scope.spawn(move || {
                let mirror = Mirror::start();
                disturb(&mirror);
                let project = Project::new(&mirror);
                let outcome = refused(&project, &["build-all", "--no-check"]);
                mirror.repair();
                project.build();
                assert_eq!(project.images(), Project::undisturbed(&mirror));
                outcome
            })
        });
        running.map(|thread| thread.join().expect("no test failed in it"))
    })
}

/// What came of a build with this package in place of the good one; a newer one follows after.
fn hostile_package(package: Package) -> String {
    let mirror = Mirror::start();
    mirror.publish(&suite("trixie", with(ruby("3.3"), package)));
    let project = Project::new(&mirror);
    let outcome = refused(&project, &["build-all", "--no-check"]);
    mirror.publish(&suite("trixie", with(ruby("3.3"), libyaml("0.2.5-3"))).date(NEXT_DAY));
    project.run(&["update"]).good();
    project.build();
    assert_eq!(project.images(), Project::undisturbed(&mirror));
    outcome
}

/// What is said by a verb that has to fail, without a trace in the layout.
#[track_caller]
fn refused(project: &Project, arguments: &[&str]) -> String {
    let outcome = project.run(arguments);
    assert_one_error(&outcome);
    assert_eq!(project.images(), BTreeMap::new());
    project.assert_whole();
    outcome.to_string()
}

#[track_caller]
fn assert_one_error(outcome: &Outcome) {
    assert_eq!(outcome.status, Some(2), "{outcome}");
    let errors = outcome.errors.lines().filter(|line| line.starts_with("error:")).count();
    assert_eq!(errors, 1, "{outcome}");
}

/// Flips the byte after `text` in a file of the mirror.
fn flip(mirror: &Mirror, path: &str, text: &[u8]) {
    let mut bytes = good_files()[path].clone();
    let place = bytes.windows(text.len()).position(|window| window == text).expect("the text is there");
    bytes[place + text.len()] ^= 1;
    mirror.server.page(&format!("/debian/{path}"), bytes);
}

/// Says what happens to requests for the index of packages, by its digest and by its name.
fn indexes(mirror: &Mirror, reply: &Reply) {
    let files = good_files();
    for path in files.keys().filter(|path| path.contains("/binary-amd64/")) {
        mirror.script(path, [reply.clone()]);
    }
}

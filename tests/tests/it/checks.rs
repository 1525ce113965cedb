//! Images that are started: their checks, the report of them, and `run`.

use fs_err as fs;

use crate::mirror::{Mirror, package, program, ruby, suite};
use crate::native;
use crate::project::Project;

/// A mirror whose `trixie` has two programs that run.
pub(crate) fn mirror() -> Mirror {
    let mirror = Mirror::start();
    let hello = package("hello", "1")
        .member(program("usr/bin/hello", native::says("hello from Ruby 3.3.8\n", 0)))
        .member(program("usr/bin/fail", native::says("no\n", 7)));
    mirror.publish(&suite("trixie", ruby("3.3").into_iter().chain([hello])));
    mirror
}

/// A project whose image has the two programs, and these checks.
pub(crate) fn project(mirror: &Mirror, checks: &[(&str, &str)]) -> Project {
    let project = Project::new(mirror);
    let image = "images/tiny/image.toml";
    project.edit(image, "\"tzdata\"]", "\"tzdata\", \"hello\"]");
    let roots = "{ path = \"/usr/bin/hello\", why = \"greets\" },\n    { path = \"/usr/bin/fail\", why = \"fails\" },";
    project.edit(image, "{ path = \"/usr/bin/ruby\"", &format!("{roots}\n    {{ path = \"/usr/bin/ruby\""));
    let checks = checks
        .iter()
        .map(|(name, rest)| format!("\n[[checks]]\nname = \"{name}\"\nproves = \"it\"\n{rest}\n"));
    project.write(image, &(project.read(image) + &checks.collect::<Vec<_>>().concat()));
    project
}

/// A check that passes.
pub(crate) const GREETS: (&str, &str) = ("greets", "command = [\"hello\"]\noutput = \"Ruby {ruby}\"");

#[test]
fn what_is_checked_is_in_the_report_and_is_not_checked_again() {
    let mirror = mirror();
    let project = project(&mirror, &[GREETS]);
    insta::assert_snapshot!(project.run(&["build-all"]), @"
    status 0
    -- errors
    resolving the packages of trixie
    locked trixie amd64: 8 packages
    fetching 8 packages, 0.0 MB
    built tiny:3.3-trixie: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    passed tiny:3.3-trixie: greets (… ms)
    wrote the table of sizes in README.md
    wrote the picture of the sizes in docs/sizes.svg
    tiny:3.3-trixie: 1 of 1 checks passed
    ");
    insta::assert_snapshot!(project.read("README.md"), @"
    # Tiny

    <!-- sizes:begin -->
    | Image                | Architecture | Ruby  |  On disk | To pull, gzip | To pull, zstd | Files | Packages | Checks passed |
    |----------------------|--------------|-------|---------:|--------------:|--------------:|------:|---------:|--------------:|
    | **tiny:3.3-trixie**  | amd64        | 3.3.8 |   0.0 MB |        0.0 MB |        0.0 MB |    39 |        8 |        1 of 1 |
    | large:1 <sup>1</sup> | amd64        | 3.3   | 900.0 MB |             - |             - |     - |        - |             - |

    MB are 10^6 bytes. On disk: the files of the unpacked image. To pull: the compressed layers and the configuration.
    Sizes of others are as published, not measured here:
    <sup>1</sup> [its record](https://example.org/large), 2026-09.
    <!-- sizes:end -->

    The end.
    ");
    insta::assert_snapshot!(project.run(&["build-all"]), @"
    status 0
    -- errors
    unchanged tiny:3.3-trixie: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    tiny:3.3-trixie: 1 of 1 checks passed
    ");
    insta::assert_snapshot!(project.run(&["check"]), @"
    status 0
    -- errors
    unchanged tiny:3.3-trixie: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    tiny:3.3-trixie: 1 of 1 checks passed
    ");
    project.run(&["report", "--check"]).good();

    project.edit("README.md", "MB", "GB");
    insta::assert_snapshot!(project.run(&["report", "--check"]), @"
    status 1
    -- errors
    README.md does not have the table of sizes of the last run
    hint: run `cargo xtask report`
    ");
    insta::assert_snapshot!(project.run(&["report"]), @"
    status 0
    -- errors
    wrote the table of sizes in README.md
    ");
    project.run(&["report", "--check"]).good();
    project.edit("docs/sizes.svg", "tiny:3.3-trixie", "tiny:3.1-bookworm");
    insta::assert_snapshot!(project.run(&["report", "--check"]), @"
    status 1
    -- errors
    docs/sizes.svg does not have the picture of the sizes of the last run
    hint: run `cargo xtask report`
    ");
    project.run(&["report"]).good();
    project.run(&["report", "--check"]).good();
    project.edit("README.md", "<!-- sizes:end -->", "");
    insta::assert_snapshot!(project.run(&["report", "--check"]), @"
    status 2
    -- errors
    error: cannot find the line `<!-- sizes:end -->`
    hint: the page needs each of the two lines once; what is between them is generated
    ");
}

#[test]
fn a_check_that_fails_says_what_came_and_ends_with_status_1() {
    let mirror = mirror();
    let project = project(
        &mirror,
        &[
            GREETS,
            ("says goodbye", "command = [\"hello\"]\noutput = \"goodbye\""),
            ("ends well", "command = [\"fail\"]"),
            ("is there", "command = [\"nothing\"]"),
        ],
    );
    insta::assert_snapshot!(project.run(&["build-all", "--quiet"]), @"
    status 1
    -- errors
    FAILED tiny:3.3-trixie: says goodbye
      standard output has no `goodbye`
      output:
        hello from Ruby 3.3.8
    FAILED tiny:3.3-trixie: ends well
      it ended with status 7
      output:
        no
    FAILED tiny:3.3-trixie: is there
      it did not start: cannot execute `nothing` for the sandbox: No such file or directory (os error 2)
    ");
    assert!(project.read("README.md").contains("1 of 4"));
    // What failed is tried again.
    assert_eq!(project.run(&["check", "3.3", "--quiet"]).status, Some(1));
}

#[test]
fn a_report_of_nothing() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    insta::assert_snapshot!(project.run(&["report"]), @"
    status 2
    -- errors
    error: nothing was built yet: run `cargo xtask build-all`
    ");
}

#[test]
fn run_starts_a_command_and_ends_as_it_does() {
    let mirror = mirror();
    let project = project(&mirror, &[]);
    insta::assert_snapshot!(project.run(&["run", "tiny:3.3", "--", "hello"]), @"
    status 2
    -- errors
    error: cannot find an image layout: there is no file `oci-layout` (image layout `[project]/dist/oci`)
    hint: build an image first
    ");
    project.build();
    insta::assert_snapshot!(project.run(&["run", "tiny:3.3", "--", "hello"]), @"
    status 0
    -- output
    hello from Ruby 3.3.8
    ");
    insta::assert_snapshot!(project.run(&["run", "tiny:3.3", "--", "fail"]), @"
    status 7
    -- output
    no
    ");
    insta::assert_snapshot!(project.run(&["run", "tiny:3.3", "--", "nothing"]), @"
    status 2
    -- errors
    error: cannot run tiny:3.3
      because: cannot run a command of the image in the sandbox
      because: cannot execute `nothing` for the sandbox: No such file or directory (os error 2)
    hint: the program, the interpreter of its #! line or its dynamic loader is not in the root
    ");
    insta::assert_snapshot!(project.run(&["run", "tiny:3.4", "--", "hello"]), @"
    status 2
    -- errors
    error: cannot find an image with the reference `tiny:3.4` (image layout `[project]/dist/oci`)
    hint: there is tiny:3.3, tiny:3.3-trixie, tiny:3.3.8-trixie
    ");
}

#[test]
fn a_layer_that_was_damaged_since_is_not_started() {
    let mirror = mirror();
    let project = project(&mirror, &[]);
    project.build();
    let manifest = project.document(&project.index("tiny:3.3-trixie")["manifests"][0]["digest"]);
    let digest = manifest["layers"][0]["digest"].as_str().unwrap().replace(':', "/");
    let layer = project.root.join("dist/oci/blobs").join(digest);
    let mut bytes = fs::read(&layer).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&layer, bytes).unwrap();
    insta::assert_snapshot!(project.run(&["run", "tiny:3.3", "--", "hello"]), @"
    status 2
    -- errors
    error: the blob sha256:[digest] is damaged: its bytes have the digest sha256:[digest] (image layout `[project]/dist/oci`)
    hint: build all images again: what is damaged is written anew
    ");
    project.build();
    project.run(&["run", "tiny:3.3", "--", "hello"]).good();
}

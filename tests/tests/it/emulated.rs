//! Images for another machine: their checks where an emulator is installed and where none is, `run`, and what is recorded.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use fs_err as fs;
use serde_json::Value;
use testkit::archive::Suite;
use testkit::elf;

use crate::mirror::{Mirror, for_arm64, package, program, ruby, suite};
use crate::native;
use crate::program::Outcome;
use crate::project::Project;
use crate::skip;

/// A project for both architectures, with a program of each that a check starts.
fn project() -> (Mirror, Project) {
    let mirror = Mirror::empty();
    let foreign = elf::Elf::static_program().machine(elf::AARCH64).build();
    let hello = |bytes| vec![package("hello", "1").member(program("usr/bin/hello", bytes))];
    let host = ruby("3.3").into_iter().chain(hello(native::says("hello\n", 0)));
    let other = ruby("3.3").into_iter().chain(hello(foreign));
    mirror.publish(&suite("trixie", host.chain(for_arm64(other.collect()))).architecture("arm64"));
    mirror.publish_security(&Suite::new("trixie-security").architecture("arm64"));
    let project = Project::new(&mirror);
    project.edit("matrix.toml", "[\"amd64\"]", "[\"amd64\", \"arm64\"]");
    let image = "images/tiny/image.toml";
    project.edit(image, "\"tzdata\"]", "\"tzdata\", \"hello\"]");
    let root = "{ path = \"/usr/bin/hello\", why = \"greets\" },\n    { path = \"/usr/bin/ruby\"";
    project.edit(image, "{ path = \"/usr/bin/ruby\"", root);
    let check =
        "\n[[checks]]\nname = \"greets\"\nproves = \"it\"\ncommand = [\"hello\"]\noutput = \"hello\"\n";
    project.write(image, &(project.read(image) + check));
    (mirror, project)
}

/// Runs a verb where the programs of this folder are all that there are.
fn run(project: &Project, programs: &str, arguments: &[&str]) -> Outcome {
    let folder = project.folder().join(programs);
    project.outcome(project.command(arguments).env("PATH", folder))
}

/// The outcomes of the only check of each image in the record.
fn recorded(project: &Project) -> Vec<String> {
    let record: Value = serde_json::from_str(&project.read("dist/run.json")).expect("JSON");
    let images = record["images"].as_array().expect("a list");
    let line = |image: &Value| {
        let outcome = &image["checks"][0]["outcome"];
        let why = outcome["why"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
        format!(
            "{} {}{why}",
            image["architecture"].as_str().expect("a text"),
            outcome["outcome"].as_str().expect("a text")
        )
    };
    images.iter().map(line).collect()
}

#[test]
fn without_an_emulator_checks_are_not_run_and_the_record_says_so() {
    let (_mirror, project) = project();
    project.build();
    insta::assert_snapshot!(run(&project, "none", &["build-all"]), @"
    status 0
    -- errors
    unchanged tiny:3.3-trixie: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    unchanged tiny:3.3-trixie for arm64: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    passed tiny:3.3-trixie: greets (… ms)
    wrote the table of sizes in README.md
    wrote the picture of the sizes in docs/sizes.svg
    tiny:3.3-trixie: 1 of 1 checks passed
    tiny:3.3-trixie for arm64: 1 of 1 checks not run: this machine is of amd64, and has no static qemu-aarch64
    ");
    insta::assert_snapshot!(recorded(&project).join("\n"), @"
    amd64 passed
    arm64 not-run: this machine is of amd64, and has no static qemu-aarch64
    ");
    let readme = project.read("README.md");
    let cells = |line: &str| {
        line.contains("arm64").then(|| line.rsplit('|').nth(1).map(|cell| cell.trim().to_owned()))
    };
    assert_eq!(
        readme.lines().filter_map(cells).collect::<Vec<_>>(),
        [Some("not run".to_owned())],
        "{readme}"
    );
    insta::assert_snapshot!(run(&project, "none", &["run", "tiny:3.3", "--arch", "arm64", "--", "hello"]), @"
    status 2
    -- errors
    error: cannot run tiny:3.3
      because: cannot run the image here
      because: this machine is of amd64, and has no static qemu-aarch64
    hint: install QEMU's user mode: Debian's package is qemu-user-static
    ");
}

#[test]
fn an_emulator_on_the_path_runs_the_checks_of_the_other_machine() {
    let (_mirror, project) = project();
    project.build();
    let emulator: PathBuf = project.folder().join("programs/qemu-aarch64-static");
    fs::create_dir_all(emulator.parent().expect("a folder")).expect("a folder");
    fs::write(&emulator, native::says("hello from another machine\n", 0)).expect("an emulator");
    fs::set_permissions(&emulator, PermissionsExt::from_mode(0o755)).expect("its mode");
    let outcome = run(&project, "programs", &["run", "tiny:3.3", "--arch", "arm64", "--", "hello"]);
    if outcome.errors.contains("Linux 6.7") {
        return skip("emulated checks", &outcome.errors);
    }
    insta::assert_snapshot!(outcome, @"
    status 0
    -- output
    hello from another machine
    ");
    insta::assert_snapshot!(run(&project, "programs", &["check", "--arch", "arm64"]), @"
    status 0
    -- errors
    unchanged tiny:3.3-trixie for arm64: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    passed tiny:3.3-trixie for arm64: greets (… ms)
    tiny:3.3-trixie for arm64: 1 of 1 checks passed
    ");
    run(&project, "programs", &["build-all"]).good();
    assert_eq!(recorded(&project), ["amd64 passed", "arm64 passed"]);
    // What passed is known, also where there is no emulator.
    run(&project, "none", &["build-all"]).good();
    assert_eq!(recorded(&project), ["amd64 passed", "arm64 passed"]);
    run(&project, "programs", &["report", "--check"]).good();
}

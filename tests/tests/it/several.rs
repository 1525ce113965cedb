//! Builds on several machines, one for each architecture, that one joins and releases. The machines are folders here, and
//! a real registry is all that they share.

use std::process::Stdio;

use testkit::docker_registry::DockerRegistry;

use crate::mirror::Mirror;
use crate::program::Outcome;
use crate::project::Project;

fn project(mirror: &Mirror) -> Project {
    let project = Project::new(mirror);
    project.edit("matrix.toml", "[\"amd64\"]", "[\"amd64\", \"arm64\"]");
    project
}

fn run(project: &Project, server: &DockerRegistry, arguments: &[&str]) -> Outcome {
    let arguments: Vec<String> =
        arguments.iter().map(|argument| argument.replace("REGISTRY", server.host())).collect();
    let mut outcome = project.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    for text in [&mut outcome.output, &mut outcome.errors] {
        *text = text.replace(server.host(), "[registry]");
    }
    outcome
}

#[test]
fn joined_parts_are_what_one_machine_would_have_made() {
    let mirror = Mirror::for_amd64_and_arm64();
    let server = DockerRegistry::start();
    let whole = project(&mirror);
    whole.build();

    let last = project(&mirror);
    last.write("matrix.lock", &whole.read("matrix.lock"));
    for architecture in ["amd64", "arm64"] {
        let machine = project(&mirror);
        machine.write("matrix.lock", &whole.read("matrix.lock"));
        machine.run(&["build-all", "--no-check", "--locked", "--arch", architecture]).good();
        let to = format!("REGISTRY/parts:{architecture}");
        let told = run(&machine, &server, &["part", "push", "--to", &to]).good();
        assert!(told.errors.contains("sent "), "{told}");
        machine.assert_whole();
    }
    let join = ["part", "join", "REGISTRY/parts:amd64", "REGISTRY/parts:arm64"];
    insta::assert_snapshot!(run(&last, &server, &join), @"
    status 0
    -- output
    joined tiny:3.3-trixie for amd64
    joined tiny:3.3-trixie for arm64
    -- errors
    fetching 9 blobs, 0.0 MB
    fetching 8 blobs, 0.0 MB
    ");
    assert_eq!(last.products(), whole.products(), "every blob, document and record");
    last.assert_whole();
    run(&last, &server, &join).good();
    assert_eq!(last.products(), whole.products(), "again is as good as once");

    let release = ["release", "--to", "REGISTRY/tiny", "--unchecked", "amd64", "--unchecked", "arm64"];
    run(&last, &server, &[&release[..], &["--mount-from", "REGISTRY/parts", "--push"]].concat()).good();
    insta::assert_snapshot!(run(&whole, &server, &release), @"
    status 0
    -- output
    [registry]/tiny:3.3 sha256:[digest], as before
    [registry]/tiny:3.3-trixie sha256:[digest], as before
    [registry]/tiny:3.3.8-trixie sha256:[digest], as before
    [registry]/tiny:latest sha256:[digest], as before
    -- errors
    would send 0 blobs (0.0 MB), mount 0; 15 are there
    nothing was sent: `--push` does it
    ");
}

#[test]
fn what_is_no_part_is_not_joined() {
    let mirror = Mirror::for_amd64_and_arm64();
    let server = DockerRegistry::start();
    let machine = project(&mirror);
    insta::assert_snapshot!(run(&machine, &server, &["part", "push", "--to", "REGISTRY/parts:one"]), @"
    status 2
    -- errors
    error: there is nothing to hand on: the last run built no image
    hint: run `cargo xtask build-all`
    ");
    insta::assert_snapshot!(run(&machine, &server, &["part", "join", "REGISTRY/parts:one"]), @"
    status 2
    -- errors
    error: cannot pull `[registry]/parts:one`
      because: http://[registry]/v2/parts/manifests/one was not found (MANIFEST_UNKNOWN: manifest unknown)
    hint: check the name and the tag
    ");
    machine.build();
    run(&machine, &server, &["push", "--to", "REGISTRY/tiny"]).good();
    insta::assert_snapshot!(run(&machine, &server, &["part", "join", "REGISTRY/tiny:3.3"]), @"
    status 2
    -- errors
    error: [registry]/tiny:3.3 is no part of a build: it has something that is about no image
    hint: name what `cargo xtask part push` of the same project and matrix sent
    ");
    run(&machine, &server, &["part", "push", "--to", "REGISTRY/parts:one"]).good();
    let other = project(&mirror);
    other.edit("matrix.toml", "[\"amd64\", \"arm64\"]", "[\"amd64\"]");
    insta::assert_snapshot!(run(&other, &server, &["part", "join", "REGISTRY/parts:one"]), @"
    status 2
    -- errors
    fetching 16 blobs, 0.1 MB
    error: [registry]/parts:one is no part of a build: the matrix has no tiny:3.3-trixie for arm64
    hint: name what `cargo xtask part push` of the same project and matrix sent
    ");
    assert!(other.images().is_empty());
}

/// Killed while it pulls, nothing has a name; repeated, everything.
#[test]
fn killed_while_parts_are_joined_and_repeated_it_is_right() {
    let mirror = Mirror::for_amd64_and_arm64();
    let server = DockerRegistry::start();
    let machine = project(&mirror);
    machine.build();
    run(&machine, &server, &["part", "push", "--to", "REGISTRY/parts:one"]).good();
    let part = format!("{}/parts:one", server.host());
    let mut killed = 0;
    for moment in [1, 3, 6, 10, 15, 21] {
        let last = project(&mirror);
        let before = server.log().len();
        let mut join = last.command(&["part", "join", &part]);
        let mut join = join.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
        while server.log().len() < before + moment && join.try_wait().expect("it can be waited for").is_none()
        {
            std::thread::yield_now();
        }
        join.kill().expect("it can be killed");
        killed += usize::from(join.wait().expect("it ends").code().is_none());
        let there = last.images();
        assert!(there.is_empty() || there == machine.images(), "killed after {moment} requests");
        run(&last, &server, &["part", "join", "REGISTRY/parts:one"]).good();
        assert_eq!(last.products(), machine.products(), "killed after {moment} requests");
    }
    assert!(killed > 2, "{killed} were killed in time");
}

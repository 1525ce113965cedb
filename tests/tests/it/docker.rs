//! The real image under a real engine: Ruby 3.3 on trixie, loaded into Docker, run there, and checked there. It needs a
//! Docker daemon, and a cache with the real packages, as `cargo xtask build-all` leaves it; the network is not used.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::real::{self, outcome};
use crate::skip;

/// Under a name of its own: a person may have another image called `ruby`.
const NAME: &str = "distroless-ruby-under-test";
const IMAGE: &str = "distroless-ruby-under-test:3.3-trixie";
const WHAT: &str = "the image in Docker";

#[test]
fn the_image_runs_and_passes_its_checks_in_docker() {
    if let Err(why) = docker(&["ps", "--quiet"]) {
        return skip(WHAT, &format!("no Docker daemon answers: {why}"));
    }
    let project = real::project(NAME);
    let run = |arguments: &[&str]| real::run(project.path(), arguments);
    if let Err(why) = real::build(project.path(), IMAGE) {
        return skip(WHAT, &why);
    }
    killed_while_it_is_loaded(project.path());
    let loaded = run(&["load", IMAGE]).expect("Docker takes it");
    assert!(loaded.contains(&format!("Docker has {IMAGE}\n")), "{loaded}");

    let ruby =
        |arguments: &[&str]| docker(&[&["run", "--rm", "--network", "none", IMAGE][..], arguments].concat());
    let version = ruby(&["ruby", "-v"]).expect("it starts");
    assert!(version.starts_with("ruby 3.3."), "{version}");
    let script =
        "require 'openssl'; require 'psych'; puts [Process.uid, Encoding.default_external, ENV['GEM_HOME']]";
    let facts = ruby(&["ruby", "-e", script]).expect("it loads its extensions");
    assert_eq!(facts, "65532\nUTF-8\n/usr/local/bundle\n");
    assert!(ruby(&["sh", "-c", "true"]).is_err(), "there is no shell");

    let said = run(&["run", IMAGE, "--engine", "docker", "--", "ruby", "-e", "puts $$, Process.uid"]);
    assert_eq!(said.expect("it runs in Docker"), "1\n65532\n");
    let ended = run(&["run", IMAGE, "--engine", "docker", "--", "ruby", "-e", "abort 'enough'"]);
    assert!(ended.expect_err("it ends with its own status").contains("enough"));

    let checks = run(&["check", IMAGE, "--engine", "docker", "--offline", "--locked"]);
    checks.expect("every check passes in Docker");
    let tags = docker(&["image", "ls", "--quiet", NAME]).expect("its tags");
    let tags: Vec<&str> = tags.lines().collect();
    docker(&[&["image", "rm", "--force"], tags.as_slice()].concat()).expect("the image goes");
}

/// Killed half-way, Docker has nothing of that name, or all of it.
fn killed_while_it_is_loaded(project: &Path) {
    for wait in [5, 50, 200] {
        let mut command = real::command(project, &["load", IMAGE]);
        let mut load =
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
        thread::sleep(Duration::from_millis(wait));
        load.kill().expect("it can be killed");
        load.wait().expect("it ends");
        let there = docker(&["image", "ls", "--quiet", NAME]).expect("its tags");
        let ruby = || docker(&["run", "--rm", "--network", "none", IMAGE, "ruby", "-v"]);
        assert!(there.is_empty() || ruby().is_ok(), "half of the image is there");
    }
}

/// Runs a command of Docker. Gives standard output, or what was said when it failed.
pub(crate) fn docker(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(arguments).output().map_err(|error| error.to_string())?;
    outcome(output)
}

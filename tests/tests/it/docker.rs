//! The real image under a real engine: Ruby 3.3 on trixie, loaded into Docker, run there, and checked there. It needs a
//! Docker daemon, and a cache with the real packages, as `cargo xtask build-all` leaves it; the network is not used.

use std::path::Path;
use std::process::{Command, Output};

use fs_err as fs;
use tempfile::TempDir;

use crate::program::{workspace, xtask};
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
    let project = copy_of_project();
    let run = |arguments: &[&str]| {
        let command = Command::new(xtask()).args(arguments).current_dir(project.path()).output();
        outcome(command.expect("the program starts"))
    };
    if let Err(why) = run(&["build", IMAGE, "--no-check", "--offline", "--locked"]) {
        return skip(WHAT, &format!("it was not built on this machine: run `cargo xtask build-all`\n{why}"));
    }
    let archive = project.path().join("ruby.tar").display().to_string();
    run(&["export", IMAGE, "--format", "docker-archive", "--output", &archive]).expect("it is exported");
    let loaded = docker(&["load", "--quiet", "--input", &archive]).expect("Docker takes the archive");
    assert!(loaded.contains(IMAGE), "{loaded}");

    let ruby =
        |arguments: &[&str]| docker(&[&["run", "--rm", "--network", "none", IMAGE][..], arguments].concat());
    let version = ruby(&["ruby", "-v"]).expect("it starts");
    assert!(version.starts_with("ruby 3.3."), "{version}");
    let script =
        "require 'openssl'; require 'psych'; puts [Process.uid, Encoding.default_external, ENV['GEM_HOME']]";
    let facts = ruby(&["ruby", "-e", script]).expect("it loads its extensions");
    assert_eq!(facts, "65532\nUTF-8\n/usr/local/bundle\n");
    assert!(ruby(&["sh", "-c", "true"]).is_err(), "there is no shell");

    let checks = run(&["check", IMAGE, "--engine", "docker", "--offline", "--locked"]);
    checks.expect("every check passes in Docker");
    let tags = docker(&["image", "ls", "--quiet", NAME]).expect("its tags");
    let tags: Vec<&str> = tags.lines().collect();
    docker(&[&["image", "rm", "--force"], tags.as_slice()].concat()).expect("the image goes");
}

/// What the real project is made of, in a folder where nothing disturbs it.
fn copy_of_project() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for file in ["matrix.toml", "matrix.lock"] {
        fs::copy(workspace().join(file), folder.path().join(file)).expect("a copy");
    }
    copy(&workspace().join("images"), &folder.path().join("images"));
    let image = folder.path().join("images/ruby/image.toml");
    let text = fs::read_to_string(&image).expect("its description");
    let renamed = text.replacen("name = \"ruby\"", &format!("name = \"{NAME}\""), 1);
    fs::write(&image, renamed).expect("its description under another name");
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder of the project") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("its type").is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a copy");
        }
    }
}

fn docker(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(arguments).output().map_err(|error| error.to_string())?;
    outcome(output)
}

/// Standard output, or what was said when it failed.
fn outcome(output: Output) -> Result<String, String> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

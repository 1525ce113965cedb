//! A cache in a real registry that machines share: two folders stand for two machines, and the second one compiles and
//! packs nothing.

use std::path::Path;
use std::process::Stdio;

use fs_err as fs;
use testkit::docker_registry::DockerRegistry;

use crate::program::Outcome;
use crate::project::Project;
use crate::tarballs::{mirror, project};

fn build(project: &Project, server: &DockerRegistry, flags: &[&str]) -> Outcome {
    let cache = format!("{}/tiny-cache", server.host());
    let flags = flags.iter().flat_map(|flag| [*flag, &cache]);
    let arguments: Vec<&str> =
        ["build-all", "--no-check", "--row", "3.4-trixie"].into_iter().chain(flags).collect();
    let mut outcome = project.run(&arguments);
    outcome.errors = outcome.errors.replace(server.host(), "[registry]");
    outcome
}

#[test]
fn a_second_machine_compiles_and_fetches_nothing() {
    let mirror = mirror();
    let server = DockerRegistry::start();
    let first = project(&mirror);
    let told = build(&first, &server, &["--cache-from", "--cache-to"]).good().errors;
    assert!(told.contains("compiled Ruby 3.4.5 for trixie"), "{told}");
    assert!(told.lines().any(|line| line.starts_with("shared ") && !line.starts_with("shared 0")), "{told}");

    let second = project(&mirror);
    second.write("matrix.lock", &first.read("matrix.lock"));
    let before = mirror.server.requests().len();
    insta::assert_snapshot!(build(&second, &server, &["--cache-from", "--cache-to"]), @"
    status 0
    -- errors
    built tiny:3.4-trixie: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    shared 0 results with [registry]/tiny-cache
    ");
    assert_eq!(second.images(), first.images());
    second.assert_whole();
    assert_eq!(mirror.server.requests().len(), before, "the mirror is asked for nothing");
    // What came is the machine's own from then on.
    drop(server);
    second.edit("images/tiny/image.toml", "LANG = \"C.UTF-8\"", "LANG = \"C\"");
    second.run(&["build-all", "--no-check", "--row", "3.4-trixie", "--offline"]).good();
}

/// Killed while it gives to the shared cache or takes from it, a machine's next run is right, and so is everybody else's.
#[test]
fn killed_while_it_shares_the_next_run_is_right() {
    let mirror = mirror();
    let first = project(&mirror);
    let whole = DockerRegistry::start();
    build(&first, &whole, &["--cache-to"]).good();
    let given = whole.log().len();
    for (flag, requests) in [("--cache-to", given), ("--cache-from", 6)] {
        for count in (1..requests).step_by(requests.div_ceil(4)) {
            let server = if flag == "--cache-to" { &DockerRegistry::start() } else { &whole };
            let cache = format!("{}/tiny-cache", server.host());
            let second = project(&mirror);
            second.write("matrix.lock", &first.read("matrix.lock"));
            server.whole_log();
            let before = server.log().len();
            let arguments = ["build-all", "--no-check", "--row", "3.4-trixie", flag, &cache];
            let mut run = second.command(&arguments);
            let mut run = run.stderr(Stdio::null()).spawn().expect("the program starts");
            while server.log().len() < before + count && run.try_wait().expect("it waits").is_none() {
                std::thread::yield_now();
            }
            run.kill().expect("it can be killed");
            run.wait().expect("it ends");
            // Somebody else, with what is there.
            let third = project(&mirror);
            third.write("matrix.lock", &first.read("matrix.lock"));
            for project in [&second, &third] {
                build(project, server, &["--cache-from", "--cache-to"]).good();
                assert_eq!(project.images(), first.images(), "{flag}, killed after {count} requests");
                project.assert_whole();
            }
        }
    }
}

#[test]
fn what_comes_from_it_is_verified() {
    let mirror = mirror();
    let server = DockerRegistry::start();
    let first = project(&mirror);
    build(&first, &server, &["--cache-to"]).good();
    let large = |path: &Path| fs::metadata(path).expect("a file").len() > 1000;
    let mut blobs = Vec::new();
    files(&server.storage().join("storage"), &mut blobs);
    for path in blobs.iter().filter(|path| path.ends_with("data") && large(path)) {
        let mut bytes = fs::read(path).expect("a blob");
        *bytes.last_mut().expect("a byte") ^= 1;
        fs::write(path, bytes).expect("a blob");
    }
    let second = project(&mirror);
    let outcome = build(&second, &server, &["--cache-from"]);
    assert_eq!(outcome.status, Some(2), "{outcome}");
    assert!(outcome.errors.contains("cannot take results from [registry]/tiny-cache"), "{outcome}");
    assert!(second.images().is_empty());
}

#[test]
fn a_cache_that_cannot_be_reached_is_told() {
    let mirror = mirror();
    let server = DockerRegistry::start();
    let cache = format!("{}/tiny-cache", server.host());
    drop(server);
    let project = project(&mirror);
    let outcome = project.run(&["build-all", "--no-check", "--cache-from", &cache]);
    assert_eq!(outcome.status, Some(2), "{outcome}");
    assert!(outcome.errors.contains("cannot take results from"), "{outcome}");
}

fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

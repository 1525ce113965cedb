//! The real image under the real Podman: loaded, run and checked there, and pulled from a registry, each in a storage of the
//! test's own. It needs root, and a cache with the real packages, as `cargo xtask build-all` leaves it; the network is not
//! used.

use std::path::Path;
use std::process::Command;

use fs_err as fs;
use tempfile::TempDir;
use testkit::docker_registry::DockerRegistry;

use crate::docker::pushed;
use crate::real::{self, outcome};
use crate::skip;

const NAME: &str = "distroless-ruby-in-podman";
const IMAGE: &str = "distroless-ruby-in-podman:3.3-trixie";

/// Without more, Podman takes as many files and processes as a kernel has: root of a container or of a small machine may not
/// (`CAP_SYS_RESOURCE`). Ruby wants few.
const LIMITS: &str = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";

/// Podman with a storage of its own, which goes when this is dropped.
struct Podman {
    folder: TempDir,
}

impl Podman {
    /// One that has nothing, or why there is none.
    fn start() -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = folder.path().display();
        let storage = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{place}/storage\"\nrunroot = \"{place}/run\"\n"
        );
        fs::write(folder.path().join("storage.conf"), storage).expect("its settings");
        fs::write(folder.path().join("containers.conf"), LIMITS).expect("its settings");
        let podman = Self { folder };
        podman.run(&["image", "ls"]).map(|_| podman)
    }

    /// A command that knows this Podman alone.
    fn known_to(&self, mut command: Command) -> Command {
        command.env("CONTAINERS_STORAGE_CONF", self.folder.path().join("storage.conf"));
        command.env("CONTAINERS_CONF", self.folder.path().join("containers.conf"));
        command
    }

    /// Runs a command of Podman. Gives standard output, or what was said when it failed.
    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = self.known_to(Command::new("podman"));
        outcome(command.args(arguments).output().map_err(|error| error.to_string())?)
    }

    /// A verb in a project, which finds this Podman.
    fn verb(&self, project: &Path, arguments: &[&str]) -> Command {
        self.known_to(real::command(project, arguments))
    }

    /// Runs one.
    fn run_verb(&self, project: &Path, arguments: &[&str]) -> Result<String, String> {
        outcome(self.verb(project, arguments).output().expect("the program starts"))
    }
}

/// A Podman, and a project with the image; or why they are not there.
fn prepared() -> Result<(Podman, TempDir), String> {
    let podman = Podman::start().map_err(|why| format!("there is no Podman: {why}"))?;
    let project = real::project(NAME);
    real::build(project.path(), IMAGE)?;
    Ok((podman, project))
}

impl Drop for Podman {
    fn drop(&mut self) {
        // The folder goes, with whatever stays in it.
        let _ = self.run(&["image", "rm", "--all", "--force"]);
    }
}

#[test]
fn the_image_runs_and_passes_its_checks_in_podman() {
    let (podman, project) = match prepared() {
        Ok(prepared) => prepared,
        Err(why) => return skip("the image in Podman", &why),
    };
    let run = |arguments: &[&str]| podman.run_verb(project.path(), arguments);
    let ruby = |image: &str| podman.run(&["run", "--rm", "--network", "none", image, "ruby", "-v"]);
    // One name comes after the other; the first one may lead to a whole image alone.
    let look = || {
        let tags = podman.run(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", NAME]).expect("tags");
        tags.lines().next().map(ruby).transpose().expect("a whole image, where there is one");
    };
    // What a killed program began to hand over, Podman may be busy with for a moment more.
    let forget = || drop(podman.run(&["image", "rm", "--all", "--force"]));
    let load = || podman.verb(project.path(), &["load", IMAGE, "--engine", "podman"]);
    real::kill_at_moments(load, forget, look);
    let loaded = run(&["load", IMAGE, "--engine", "podman"]).expect("Podman takes it");
    assert!(loaded.contains(&format!("Podman has {IMAGE}\n")), "{loaded}");
    let version = ruby(IMAGE).expect("it starts");
    assert!(version.starts_with("ruby 3.3."), "{version}");

    let said = run(&["run", IMAGE, "--engine", "podman", "--", "ruby", "-e", "puts $$, Process.uid"]);
    assert_eq!(said.expect("it runs in Podman"), "1\n65532\n");
    let ended = run(&["run", IMAGE, "--engine", "podman", "--", "ruby", "-e", "abort 'enough'"]);
    assert!(ended.expect_err("it ends with its own status").contains("enough"));

    let checks = run(&["check", IMAGE, "--engine", "podman", "--offline", "--locked"]);
    checks.expect("every check passes in Podman");
    let left = podman.run(&["container", "ls", "--all", "--quiet"]).expect("its containers");
    let tags = podman.run(&["image", "ls", "--quiet", "localhost/distroless-ruby-check"]);
    assert_eq!((left.as_str(), tags.as_deref()), ("", Ok("")), "what it made for the checks is gone");
}

#[test]
fn podman_and_skopeo_find_a_pushed_image_in_gzip_and_in_zstd() {
    let (podman, project) = match prepared() {
        Ok(prepared) => prepared,
        Err(why) => return skip("a pushed image in Podman", &why),
    };
    let server = DockerRegistry::start();
    let [gzip, zstd] = pushed(project.path(), IMAGE, &server);
    let pull = |image: &str| podman.run(&["pull", "--quiet", "--tls-verify=false", image]).expect("a pull");
    let asked_for =
        |digest: &str| server.whole_log().contains(&format!("GET /v2/team/ruby/manifests/{digest} 200"));

    // The mark of zstd is known from Podman 5 on. Debian 12 has Podman 4, which takes the first one for its machine.
    let version = podman.run(&["version", "--format", "{{.Client.Version}}"]).expect("a version");
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).expect("a number");
    let (taken, other) = if major < 5 { (&gzip, &zstd) } else { (&zstd, &gzip) };
    let tag = format!("{}/team/ruby:3.3-trixie", server.host());
    pull(&tag);
    assert!(asked_for(taken) && !asked_for(other), "{:#?}", server.whole_log());

    // What skopeo found in the index under the mark of zstd is in zstd, and either one runs.
    let by_digest = |digest: &str| format!("{}/team/ruby@{digest}", server.host());
    for (digest, compression) in [(&gzip, "gzip"), (&zstd, "zstd")] {
        let image = format!("docker://{}", by_digest(digest));
        let told = Command::new("skopeo").args(["inspect", "--raw", "--tls-verify=false", &image]).output();
        let told = outcome(told.expect("skopeo starts")).expect("a manifest");
        assert_eq!(told.matches(&format!("tar+{compression}\"")).count(), 2, "{told}");
        pull(&by_digest(digest));
        let ruby = ["run", "--rm", "--network", "none", &by_digest(digest), "ruby", "-v"];
        assert!(podman.run(&ruby).expect("it starts").starts_with("ruby 3.3."));
        podman.run(&["image", "rm", "--all", "--force"]).expect("it goes");
    }
}

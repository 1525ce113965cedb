//! The real image under a real engine: Ruby 3.3 on trixie, loaded into Docker, run there, and checked there. It needs a
//! Docker daemon, and a cache with the real packages, as `cargo xtask build-all` leaves it; the network is not used.

use std::path::Path;
use std::process::Command;

use fs_err as fs;
use testkit::docker_registry::DockerRegistry;
use testkit::web::Server;

use crate::example::{gem_packages, gem_source};
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

#[test]
fn a_pushed_image_is_pulled_in_gzip_and_built_upon() {
    const WHAT: &str = "a pushed image in Docker";
    if let Err(why) = docker(&["ps", "--quiet"]) {
        return skip(WHAT, &format!("no Docker daemon answers: {why}"));
    }
    let project = real::project("distroless-ruby-pushed");
    // Docker does not ask again for a manifest that it had from anywhere: here is one of this run alone.
    let description = project.path().join("images/ruby/image.toml");
    let text = fs::read_to_string(&description).expect("its description");
    let own = format!("[config.environment]\nTEST = \"{}\"", project.path().display());
    fs::write(&description, text.replacen("[config.environment]", &own, 1)).expect("another description");
    if let Err(why) = real::build(project.path(), "distroless-ruby-pushed:3.3-trixie") {
        return skip(WHAT, &why);
    }
    let Some(gems) = gem_packages(true) else {
        return skip(WHAT, "the packages of its gems are not in the cache: run `cargo xtask build-all`");
    };
    let server = DockerRegistry::start();
    let [gzip, zstd] = pushed(project.path(), "distroless-ruby-pushed:3.3-trixie", &server);
    let image = format!("{}/team/ruby:3.3-trixie", server.host());
    docker(&["pull", "--quiet", &image]).expect("Docker pulls it");
    let log = server.whole_log();
    let asked_for = |digest: &str| log.contains(&format!("GET /v2/team/ruby/manifests/{digest} 200"));
    assert!(asked_for(&gzip) && !asked_for(&zstd), "{log:#?}");

    let source = Server::start();
    for (path, bytes) in gem_source(&gems, &image) {
        source.page(&path, bytes);
    }
    let context = project.path().join("context");
    fs::create_dir(&context).expect("a folder");
    fs::write(context.join("gemrc"), format!(":sources:\n- {}\n", source.url("/"))).expect("a file");
    let dockerfile = format!(
        "FROM {image}\nCOPY gemrc /srv/gemrc\nENV GEMRC=/srv/gemrc\nRUN [\"gem\", \"install\", \"sinatra\"]\n"
    );
    fs::write(context.join("Dockerfile"), dockerfile).expect("a file");
    let application = format!("distroless-ruby-pushed:{}", std::process::id());
    // The source is on this machine's loopback.
    let place = context.display().to_string();
    let said = docker(&["build", "--network", "host", "--force-rm", "--tag", &application, &place]);
    let script = "require 'sinatra/base'; gem = Gem.loaded_specs['sinatra']; \
                  puts Process.uid, File.stat(gem.full_gem_path).uid, gem.base_dir";
    let ruby = docker(&["run", "--rm", "--network", "none", &application, "ruby", "-e", script]);
    for image in [&application, &image] {
        // What was not built is not there.
        let _ = docker(&["image", "rm", "--force", image]);
    }
    said.expect("the article's line works");
    assert_eq!(ruby.as_deref(), Ok("65532\n65532\n/usr/local/bundle\n"));
}

/// Pushes an image to `team/ruby` of a registry. Gives the digests of its manifests for this machine in gzip and in zstd, as
/// skopeo finds them.
pub(crate) fn pushed(project: &Path, image: &str, server: &DockerRegistry) -> [String; 2] {
    let repository = format!("{}/team/ruby", server.host());
    real::run(project, &["push", image, "--to", &repository]).expect("the registry takes it");
    let tag = format!("docker://{repository}:{}", image.rsplit_once(':').expect("a tag").1);
    let index = Command::new("skopeo").args(["inspect", "--raw", "--tls-verify=false", &tag]).output();
    let index = outcome(index.expect("skopeo starts: it is the Debian package of that name"));
    let index: serde_json::Value = serde_json::from_str(&index.expect("an index")).expect("JSON");
    [None, Some("true")].map(|mark| {
        let is_meant = |manifest: &&serde_json::Value| {
            let marked = manifest["annotations"]["io.github.containers.compression.zstd"].as_str();
            manifest["platform"]["architecture"] == *real::host() && marked == mark
        };
        let manifests = index["manifests"].as_array().expect("a list").iter();
        let manifest = manifests.clone().find(is_meant).expect("one for this machine");
        manifest["digest"].as_str().expect("a digest").to_owned()
    })
}

/// Killed half-way, Docker has nothing of that name, or all of it.
fn killed_while_it_is_loaded(project: &Path) {
    let names = ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", NAME];
    let tags = || docker(&names).expect("its tags");
    let forget = || {
        let tags = tags();
        let tags: Vec<&str> = tags.lines().collect();
        // What a killed program began to hand over, Docker may be busy with for a moment more.
        let _ = docker(&[&["image", "rm", "--force"], tags.as_slice()].concat());
    };
    let ruby = |image: &str| docker(&["run", "--rm", "--network", "none", image, "ruby", "-v"]);
    // One name comes after the other; the first one may lead to a whole image alone.
    let look = || {
        tags().lines().next().map(ruby).transpose().expect("a whole image, where there is one");
    };
    real::kill_at_moments(|| real::command(project, &["load", IMAGE]), forget, look);
}

/// Runs a command of Docker. Gives standard output, or what was said when it failed.
pub(crate) fn docker(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(arguments).output().map_err(|error| error.to_string())?;
    outcome(output)
}

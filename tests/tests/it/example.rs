//! The Dockerfile for users in `images/examples`, with a real engine: the application is built in the image for building,
//! runs in the plain one, and answers. It needs a Docker daemon, and a cache with the real packages, those of the image
//! for building among them; the network is not used.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cache::Store;
use checks::GemPackages;
use fs_err as fs;
use rootfs::{Dialect, Kind, Layer, Limits, Origin, Tree};
use schema::Architecture;
use schema::lock::Lock;

use crate::docker::docker;
use crate::program::workspace;
use crate::real::{self, outcome};
use crate::skip;

/// Under a name of its own: a person may have another image called `ruby`.
const NAME: &str = "distroless-ruby-example";
const IMAGES: [&str; 2] = ["distroless-ruby-example:3.3-trixie-dev", "distroless-ruby-example:3.3-trixie"];
const WHAT: &str = "the example in Docker";
const APPLICATION: &str = "distroless-ruby-example-application";
/// What the build stage is labelled with, to be found again.
const LABEL: &str = "distroless-ruby.example";
/// Time enough for a server to start.
const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn an_application_is_built_in_one_image_and_runs_in_the_other() {
    if let Err(why) = docker(&["ps", "--quiet"]) {
        return skip(WHAT, &format!("no Docker daemon answers: {why}"));
    }
    let project = real::project(NAME);
    for image in IMAGES {
        if let Err(why) = real::build(project.path(), image) {
            return skip(WHAT, &why);
        }
    }
    let Some(gems) = gem_packages() else {
        return skip(WHAT, "the packages of its gems are not in the cache: run `cargo xtask build-all`");
    };
    for image in IMAGES {
        load(project.path(), image);
    }
    let folder = project.path().join("images/examples/sinatra");
    put_gems(&gems, &folder.join("vendor/cache"));
    let dockerfile = fs::read_to_string(folder.join("Dockerfile")).expect("a Dockerfile");
    let labelled = dockerfile.replacen("WORKDIR", &format!("LABEL {LABEL}=\"\"\nWORKDIR"), 1);
    fs::write(folder.join("Dockerfile"), labelled).expect("a copy with a label");
    let argument = |name: &str, value: &str| format!("{name}={value}");
    let ruby = argument("RUBY", IMAGES[1]);
    let install = argument("BUNDLE_INSTALL", "bundle install --no-cache --local");
    let folder = folder.display().to_string();
    let build =
        ["build", "--network", "none", "--tag", APPLICATION, "--build-arg", &ruby, "--build-arg", &install];
    docker(&[&build[..], &[&folder]].concat()).expect("it is built");

    let run = ["run", "--detach", "--rm", "--network", "none", "--name", APPLICATION, APPLICATION];
    docker(&run).expect("it starts");
    let answer = answer();
    let shell = docker(&["exec", APPLICATION, "sh", "-c", "true"]);
    docker(&["kill", APPLICATION]).expect("it ends");
    docker(&["image", "rm", "--force", APPLICATION]).expect("the application goes");
    docker(&["image", "prune", "--force", "--filter", &format!("label={LABEL}")]).expect("the stage goes");
    let tags = docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", NAME]).expect("their tags");
    docker(&[&["image", "rm", "--force"][..], &tags.lines().collect::<Vec<_>>()].concat())
        .expect("the images go");
    assert_eq!(answer.as_deref(), Ok("The answer is 42.\n"));
    assert!(shell.is_err(), "it runs without a shell");
}

/// What the application says, asked from inside of its container: it has no other network.
fn answer() -> Result<String, String> {
    let script = "require 'net/http'; print Net::HTTP.get(URI('http://127.0.0.1:4567/'))";
    let begun = Instant::now();
    loop {
        match docker(&["exec", APPLICATION, "ruby", "-e", script]) {
            Err(why) if begun.elapsed() > PATIENCE => return Err(why),
            // Until it listens, a request is refused; every one takes the time that a Ruby takes to start.
            Err(_) => {}
            answer => return answer,
        }
    }
}

/// Hands an image to Docker.
pub(crate) fn load(project: &Path, image: &str) {
    let mut export = Command::new(crate::program::xtask());
    export.args(["export", image, "--format", "docker-archive", "--output", "-"]).current_dir(project);
    let mut export = export.stdout(Stdio::piped()).spawn().expect("the program starts");
    let archive = export.stdout.take().expect("it is piped");
    let load =
        Command::new("docker").args(["load", "--quiet"]).stdin(archive).output().expect("Docker starts");
    assert!(export.wait().expect("it ends").success(), "{image} is exported");
    outcome(load).expect("Docker takes the archive");
}

/// The packages of the gems that checks install, which are no part of an image.
pub(crate) fn gem_packages() -> Option<GemPackages> {
    let lock = fs::read_to_string(workspace().join("matrix.lock")).expect("the lock");
    let lock = Lock::parse("matrix.lock", &lock).expect("a lock");
    let host = Architecture::host().expect("an architecture that images are built for");
    let sets = || lock.sets.keys().filter(|set| set.distro == "trixie" && set.architecture == host);
    let gems = sets().find(|set| set.wants.contains("ruby-sinatra"))?;
    let image =
        sets().find(|set| set.wants.is_subset(&gems.wants) && set.wants.contains("ruby") && *set != gems)?;
    let image = &lock.sets[image];
    let store = Store::open(&real::cache()).expect("the cache");
    let mut packages = Vec::new();
    for key in lock.sets[gems].iter().filter(|key| !image.contains(*key)) {
        let data = store.derived("deb-data", &lock.packages[key].digest).expect("the cache is readable")?;
        packages.push((key.name.as_str(), data.content().clone()));
    }
    Some(GemPackages::new(packages).expect("packages"))
}

/// Makes gems of packages, with the image's own Ruby, and puts them where Bundler looks for gems of the application.
fn put_gems(packages: &GemPackages, folder: &Path) {
    let script = fs::read_to_string(workspace().join("images/ruby/checks/gem-source.rb")).expect("a script");
    let mut make = Command::new("docker");
    make.args(["run", "--rm", "--interactive", "--network", "none", IMAGES[1], "ruby", "-"]);
    let mut make =
        make.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let input = packages.input_of(&script);
    let mut stdin = make.stdin.take().expect("it is piped");
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let source = make.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads all");
    assert!(source.status.success(), "{}", String::from_utf8_lossy(&source.stderr));
    let source = Layer::parse(source.stdout.into(), Dialect::Oci, Limits::default()).expect("a tar");
    let mut tree = Tree::new();
    tree.stack(&source, Origin::default()).expect("a tree");
    fs::create_dir_all(folder).expect("a folder");
    for (path, entry) in tree.iter() {
        if let Kind::File(file) = &entry.kind
            && path.name().ends_with(b".gem")
        {
            let name = std::str::from_utf8(path.name()).expect("a name");
            fs::write(folder.join(name), &*file.content).expect("a gem");
        }
    }
}

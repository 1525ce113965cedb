//! The Dockerfile for users in `images/examples`, with a real engine: the application is built in an image like the official
//! one, or in ours for building, runs in the plain one, and answers. It needs a Docker daemon, and a cache with the real
//! packages, those of the image for building among them, and the compiled Ruby; the network is not used.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cache::Store;
use checks::GemPackages;
use fs_err as fs;
use rootfs::{Dialect, Entry, Kind, Layer, Limits, Origin, RootPath, Tree};
use schema::Architecture;
use schema::lock::{Lock, SetKey};

use crate::docker::docker;
use crate::program::workspace;
use crate::real;
use crate::skip;

/// What the build stage is labelled with, to be found again.
const LABEL: &str = "distroless-ruby.example";
/// Time enough for a server to start.
const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn an_application_is_built_in_one_image_and_runs_in_the_other() {
    // Under names of their own: a person may have another image called `ruby`.
    let project = real::project("distroless-ruby-example");
    let build = (project.path(), "distroless-ruby-example:3.3-trixie-dev");
    works("the example in Docker", build, (project.path(), "distroless-ruby-example:3.3-trixie"));
}

#[test]
fn a_bundle_with_an_extension_that_the_official_image_built_runs_in_ours() {
    // What stands for it: the same Ruby in the same place, with all that a compile installs.
    let official = real::official("distroless-ruby-official");
    let project = real::project("distroless-ruby-bundle");
    let build = (official.path(), "distroless-ruby-official:3.4-trixie-dev");
    let run = (project.path(), "distroless-ruby-bundle:3.4-trixie");
    works("a bundle of the official image in Docker", build, run);
}

/// Whether the example works, built in one image of a project and run in another; it is skipped where that cannot be tried.
fn works(what: &str, build: (&Path, &str), run: (&Path, &str)) {
    if let Err(why) = docker(&["ps", "--quiet"]) {
        return skip(what, &format!("no Docker daemon answers: {why}"));
    }
    let _turn = real::one_for_building();
    for (project, image) in [build, run] {
        if let Err(why) = real::build(project, image) {
            return skip(what, &why);
        }
    }
    let Some(gems) = gem_packages(run.1.contains(":3.3")) else {
        return skip(what, "the packages of its gems are not in the cache: run `cargo xtask build-all`");
    };
    for (project, image) in [build, run] {
        load(project, image);
    }
    real::forget(build.0);
    let folder = run.0.join("images/examples/sinatra");
    put_gems(&gems, run.1, &folder.join("vendor/cache"));
    // Of each test its own: they run side by side.
    let application = &format!("{}-application", run.1.replace(':', "-"));
    let label = format!("{LABEL}={application}");
    let dockerfile = fs::read_to_string(folder.join("Dockerfile")).expect("a Dockerfile");
    let labelled = dockerfile.replacen("WORKDIR", &format!("LABEL {label}\nWORKDIR"), 1);
    fs::write(folder.join("Dockerfile"), labelled).expect("a copy with a label");
    let arguments = [
        format!("BUILD={}", build.1),
        format!("RUBY={}", run.1),
        "BUNDLE_INSTALL=bundle install --no-cache --local".to_owned(),
    ];
    let folder = folder.display().to_string();
    let mut command = vec!["build", "--network", "none", "--tag", application];
    command.extend(arguments.iter().flat_map(|argument| ["--build-arg", argument]));
    command.push(&folder);
    docker(&command).expect("it is built");

    let start = ["run", "--detach", "--rm", "--network", "none", "--name", application, application];
    docker(&start).expect("it starts");
    let answer = answer(application);
    let shell = docker(&["exec", application, "sh", "-c", "true"]);
    docker(&["kill", application]).expect("it ends");
    docker(&["image", "rm", "--force", application]).expect("the application goes");
    docker(&["image", "prune", "--force", "--filter", &format!("label={label}")]).expect("the stage goes");
    for (_, image) in [build, run] {
        let (repository, _) = image.split_once(':').expect("a tag");
        let tags = ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository];
        let tags = docker(&tags).expect("their tags");
        let tags: Vec<&str> = tags.lines().collect();
        if !tags.is_empty() {
            docker(&[&["image", "rm", "--force"][..], &tags].concat()).expect("the images go");
        }
    }
    assert_eq!(answer.as_deref(), Ok("The answer is 42.\n"));
    assert!(shell.is_err(), "it runs without a shell");
}

/// What the application says, asked from inside of its container: it has no other network.
fn answer(application: &str) -> Result<String, String> {
    let script = "require 'net/http'; print Net::HTTP.get(URI('http://127.0.0.1:4567/'))";
    let begun = Instant::now();
    loop {
        match docker(&["exec", application, "ruby", "-e", script]) {
            Err(why) if begun.elapsed() > PATIENCE => return Err(why),
            // Until it listens, a request is refused; every one takes the time that a Ruby takes to start.
            Err(_) => {}
            answer => return answer,
        }
    }
}

/// Hands an image to Docker.
pub(crate) fn load(project: &Path, image: &str) {
    real::run(project, &["load", image]).expect("Docker takes the image");
}

/// The packages of the gems that checks install, which are no part of an image: of one on trixie whose Ruby is Debian's, or of
/// one whose Ruby is compiled, which comes with fewer gems.
pub(crate) fn gem_packages(is_packaged: bool) -> Option<GemPackages> {
    let lock = fs::read_to_string(workspace().join("matrix.lock")).expect("the lock");
    let lock = Lock::parse("matrix.lock", &lock).expect("a lock");
    let host = Architecture::host().expect("an architecture that images are built for");
    let sets = || lock.sets.keys().filter(|set| set.distro == "trixie" && set.architecture == host);
    let has = |set: &SetKey, package: &str| set.wants.contains(package);
    let is_of_gems = |set: &&SetKey| has(set, "ruby-sinatra");
    // Of those of the row with and without options, the one without.
    let gems = sets().filter(is_of_gems).filter(|set| has(set, "ruby") == is_packaged);
    let gems = gems.min_by_key(|set| set.wants.len())?;
    let below = sets().filter(|set| set.wants.is_subset(&gems.wants) && !is_of_gems(set));
    let image = below.max_by_key(|set| set.wants.len())?;
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
fn put_gems(packages: &GemPackages, image: &str, folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    for (path, bytes) in gem_source(packages, image) {
        if let Some(name) = path.strip_prefix("/gems/") {
            fs::write(folder.join(name), bytes).expect("a gem");
        }
    }
}

/// The files of a gem source with the gems of packages, made with the Ruby of an image in Docker, by their paths.
pub(crate) fn gem_source(packages: &GemPackages, image: &str) -> Vec<(String, Vec<u8>)> {
    let script = fs::read_to_string(workspace().join("images/ruby/checks/gem-source.rb")).expect("a script");
    let mut make = Command::new("docker");
    make.args(["run", "--rm", "--interactive", "--network", "none", image, "ruby", "-"]);
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
    let file = |(path, entry): (&RootPath, &Entry)| match &entry.kind {
        Kind::File(file) => Some((path.to_string(), file.content.to_vec())),
        _ => None,
    };
    tree.iter().filter_map(file).collect()
}

//! The Dockerfile of the article that began all this, with one word changed: `rubypak` in place of magicpak, and none of the
//! copies by hand that were behind it. What it makes is checked as an image of our own is. It needs a Docker daemon, a
//! C compiler for the static program, and a cache with the real packages, those of the image for building among them;
//! the network is not used.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use checks::{Ending, Engine, EngineError, Outcome, Run, Subject, Suite};
use fs_err as fs;
use oci::{Layout, Prefer};
use schema::Architecture;
use schema::image::ImageSpec;

use crate::docker::docker;
use crate::example::{gem_packages, load};
use crate::program::{without_package, workspace};
use crate::real::{self, outcome};
use crate::skip;

/// Under a name of its own: a person may have another image called `ruby`.
const NAME: &str = "distroless-ruby-article";
const BUILD: &str = "distroless-ruby-article:3.3-trixie-dev";
const PLAIN: &str = "distroless-ruby-article:3.3-trixie";
/// What the article starts its image from: files that every program may want, and no Ruby.
const BASE: &str = "distroless-ruby-article:base";
const MADE: &str = "distroless-ruby-article:made";
const WHAT: &str = "the article's Dockerfile";
/// What the build stage is labelled with, to be found again.
const LABEL: &str = "distroless-ruby.article";

/// For an image with nothing else in it, and for one on a base.
const CHECKS: [(&str, &[&str]); 2] = [
    ("scratch", &["ruby -v", "standard library", "encodings"]),
    (BASE, &["ruby -v", "gem install sinatra", "sinatra", "standard library", "encodings", "irb", "tls"]),
];

#[test]
fn one_word_is_changed_and_nothing_is_copied_by_hand() {
    if let Err(why) = docker(&["ps", "--quiet"]) {
        return skip(WHAT, &format!("no Docker daemon answers: {why}"));
    }
    let project = real::project(NAME);
    for image in [BUILD, PLAIN] {
        if let Err(why) = real::build(project.path(), image) {
            return skip(WHAT, &why);
        }
    }
    let Some(gems) = gem_packages(true) else {
        return skip(WHAT, "the packages of its gems are not in the cache: run `cargo xtask build-all`");
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    put_program(folder.path());
    let _turn = real::one_for_building();
    load(project.path(), BUILD);
    import_base(project.path(), folder.path());
    real::forget(project.path());
    let version = docker(&["run", "--rm", BUILD, "ruby", "-e", "print RUBY_VERSION"]).expect("its version");

    for (base, names) in CHECKS {
        let dockerfile = format!(
            "FROM {BUILD} AS ruby\nLABEL {LABEL}=\"\"\nCOPY rubypak /usr/bin/rubypak\n\
             RUN /usr/bin/rubypak -v $(which ruby) /bundle\n\n\
             FROM {base}\nCOPY --from=ruby /bundle /.\nCMD [\"/usr/bin/ruby\", \"-v\"]\n"
        );
        fs::write(folder.path().join("Dockerfile"), dockerfile).expect("a Dockerfile");
        let path = folder.path().display().to_string();
        docker(&["build", "--network", "none", "--tag", MADE, &path]).expect("it is built");
        let said = docker(&["run", "--rm", MADE]).expect("it runs");
        assert!(said.starts_with(&format!("ruby {version}")), "{said}");
        assert!(docker(&["run", "--rm", MADE, "sh", "-c", "true"]).is_err(), "there is no shell");

        let subject = Subject { ruby: &version, uid: 0, yjit: None, gems: &gems };
        let records = suite(names).run(&Made, &subject, &|_| {}).expect("Docker runs it");
        assert_eq!(records.len(), names.len(), "every check is there");
        for record in records {
            assert!(record.passed(), "on {base}: {record:#?}");
        }
        docker(&["image", "rm", "--force", MADE]).expect("it goes, before the next one of that name");
    }
    let tags = docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", NAME]).expect("their tags");
    docker(&[&["image", "rm", "--force"][..], &tags.lines().collect::<Vec<_>>()].concat())
        .expect("the images go");
    docker(&["image", "prune", "--force", "--filter", &format!("label={LABEL}")]).expect("the stage goes");
}

/// Puts the static program beside the Dockerfile.
fn put_program(folder: &Path) {
    let mut command = Command::new(workspace().join(".ci/static"));
    without_package(&mut command).arg(folder);
    outcome(command.output().expect("a shell")).expect("it is built and runs in an empty root");
}

/// An image of what Rubies of a distro share: no Ruby, and nothing of its own libraries but those for TLS.
fn import_base(project: &Path, folder: &Path) {
    let layout = Layout::open(&project.join("dist/oci")).expect("a layout");
    let images = layout.resolve(PLAIN).expect("the image");
    let host = Architecture::host().expect("an architecture that images are built for");
    let image = images.image(host, Prefer::Gzip).expect("the image");
    let tar = image.layer_tar(image.layers.first().expect("a layer")).expect("its tar");
    let file = folder.join("base.tar");
    fs::write(&file, &*tar).expect("a copy");
    docker(&["import", &file.display().to_string(), BASE]).expect("Docker takes it");
    fs::remove_file(file).expect("it goes");
}

/// Some of the checks of our own images.
fn suite(names: &[&str]) -> Suite {
    let file = workspace().join("images/ruby/image.toml");
    let text = fs::read_to_string(&file).expect("its description");
    let mut image = ImageSpec::parse("image.toml", &text).expect("a description");
    image.checks.retain(|check| names.contains(&check.name.as_str()));
    Suite::read(file.parent().expect("a folder"), &image).expect("its scripts")
}

/// The image that was made, in Docker.
struct Made;

impl Engine for Made {
    fn run(&self, run: &Run<'_>) -> Result<Outcome, EngineError> {
        let begun = Instant::now();
        let mut command = Command::new("timeout");
        command.arg(run.time_limit.as_secs().to_string());
        command.args(["docker", "run", "--rm", "--interactive", "--network", "none"]);
        // As the article's reader runs it, but for what our own images say themselves.
        let environment = [("GEM_HOME", "/usr/local/bundle"), ("LANG", "C.UTF-8")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        for (name, value) in run.environment.clone().into_iter().chain(environment) {
            command.args(["--env", &format!("{name}={value}")]);
        }
        command.arg(MADE).args(&run.command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("timeout, of coreutils");
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = run.stdin.clone();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().expect("it ends");
        // A command may end without having read it all.
        let _ = writer.join().expect("no panic");
        let ending = match output.status.code() {
            Some(124) => Ending::TimedOut,
            status => Ending::Exited(status.unwrap_or(-1)),
        };
        Ok(Outcome { ending, stdout: output.stdout, stderr: output.stderr, duration: begun.elapsed() })
    }
}

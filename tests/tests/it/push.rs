//! Images into a real registry: what is said, what is there afterwards, and what a killed push leaves to see.

use std::process::{Command, Stdio};

use testkit::docker_registry::{DockerRegistry, PASSWORD, USER};
use testkit::web::{Answer, Reply, Server};

use crate::mirror::Mirror;
use crate::program::Outcome;
use crate::project::Project;

/// Where images are pushed to.
const REPOSITORY: &str = "team/tiny";

fn pushed(project: &Project, server: &DockerRegistry, arguments: &[&str]) -> Outcome {
    let to = format!("{}/{REPOSITORY}", server.host());
    let mut outcome = project.run(&[&["push", "--to", &to], arguments].concat());
    for text in [&mut outcome.output, &mut outcome.errors] {
        *text = text.replace(server.host(), "[registry]");
    }
    outcome
}

/// The digest that a tag leads to, as skopeo sees it; none where there is no such tag.
pub(crate) fn tagged(server: &DockerRegistry, repository: &str, tag: &str) -> Option<String> {
    let image = format!("docker://{}/{repository}:{tag}", server.host());
    let output = Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false", &image])
        .output()
        .expect("skopeo starts: it is the Debian package of that name");
    let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&output.stdout));
    output.status.success().then(|| format!("sha256:{digest}"))
}

#[test]
fn images_are_pushed_once_and_their_tags_follow() {
    let mirror = Mirror::start();
    let (project, server) = (Project::new(&mirror), DockerRegistry::start());
    project.build();
    insta::assert_snapshot!(pushed(&project, &server, &["--dry-run"]), @"
    status 0
    -- output
    [registry]/team/tiny:3.3 (new) -> sha256:[digest]
    [registry]/team/tiny:3.3-trixie (new) -> sha256:[digest]
    [registry]/team/tiny:3.3.8-trixie (new) -> sha256:[digest]
    -- errors
    would send 8 blobs (0.0 MB), mount 0; 0 are there
    ");
    assert_eq!(tagged(&server, REPOSITORY, "3.3"), None);
    insta::assert_snapshot!(pushed(&project, &server, &[]), @"
    status 0
    -- output
    [registry]/team/tiny:3.3 (new) -> sha256:[digest]
    [registry]/team/tiny:3.3-trixie (new) -> sha256:[digest]
    [registry]/team/tiny:3.3.8-trixie (new) -> sha256:[digest]
    -- errors
    sending 8 blobs, 0.0 MB
    sent 8 blobs (0.0 MB), mounted 0; 0 were there
    ");
    for (name, digest) in project.images() {
        let tag = name.strip_prefix("tiny:").expect("the name of an image");
        assert_eq!(tagged(&server, REPOSITORY, tag), Some(digest));
    }
    insta::assert_snapshot!(pushed(&project, &server, &["3.3"]), @"
    status 0
    -- output
    [registry]/team/tiny:3.3 sha256:[digest], as before
    [registry]/team/tiny:3.3-trixie sha256:[digest], as before
    [registry]/team/tiny:3.3.8-trixie sha256:[digest], as before
    -- errors
    everything was there already
    ");

    // Another image under the same names: what did not change stays, and tags move.
    project.edit(
        "images/tiny/image.toml",
        "command = [\"/usr/bin/ruby\"]",
        "command = [\"/usr/bin/ruby\", \"-v\"]",
    );
    project.build();
    insta::assert_snapshot!(pushed(&project, &server, &["--dry-run"]), @"
    status 0
    -- output
    [registry]/team/tiny:3.3 sha256:[digest] -> sha256:[digest]
    [registry]/team/tiny:3.3-trixie sha256:[digest] -> sha256:[digest]
    [registry]/team/tiny:3.3.8-trixie sha256:[digest] -> sha256:[digest]
    -- errors
    would send 3 blobs (0.0 MB), mount 0; 5 are there
    ");
    pushed(&project, &server, &[]).good();
    assert_eq!(tagged(&server, REPOSITORY, "3.3"), project.images().get("tiny:3.3").cloned());
}

#[test]
fn logins_of_docker_are_used() {
    let mirror = Mirror::start();
    let (project, server) = (Project::new(&mirror), DockerRegistry::with_password());
    project.build();
    insta::assert_snapshot!(pushed(&project, &server, &[]), @"
    status 2
    -- errors
    error: cannot push `[registry]/team/tiny`
      because: the registry does not allow it: http://[registry]/v2/team/tiny/manifests/3.3
    hint: log in with `docker login`, or check the name: some registries deny what they do not have
    ");
    let auth = base64(&format!("{USER}:{PASSWORD}"));
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, server.host());
    project.write("../home/.docker/config.json", &config);
    pushed(&project, &server, &[]).good();
}

#[test]
fn what_was_not_built_is_not_pushed() {
    let mirror = Mirror::start();
    let (project, server) = (Project::new(&mirror), DockerRegistry::start());
    insta::assert_snapshot!(pushed(&project, &server, &[]), @"
    status 2
    -- errors
    error: cannot find an image layout: there is no file `oci-layout` (image layout `[project]/dist/oci`)
    hint: build an image first
    ");
    project.build();
    insta::assert_snapshot!(project.run(&["push", "--to", "Registry/"]), @"
    status 2
    -- errors
    error: invalid value 'Registry/' for '--to <REGISTRY/REPOSITORY>': `Registry/` is no name in a registry: a repository consists of lower-case letters and digits, joined by one of `.`, `_`, `__`, `-` and `/`

    For more information, try '--help'.
    ");
}

/// What a person may rely on who pays for traffic: the registry's own log has no upload.
#[test]
fn a_repeated_push_sends_nothing() {
    let mirror = Mirror::start();
    let (project, server) = (Project::new(&mirror), DockerRegistry::start());
    project.build();
    pushed(&project, &server, &[]).good();
    let sent = uploads(&server);
    assert!(sent.len() > 10, "{sent:?}");
    pushed(&project, &server, &[]).good();
    project.run(&["push", "--to", &format!("{}/{REPOSITORY}", server.host()), "3.3"]).good();
    assert_eq!(uploads(&server), sent);
}

/// The requests in a registry's log that change something.
fn uploads(server: &DockerRegistry) -> Vec<String> {
    let is_reading = |line: &String| line.starts_with("GET ") || line.starts_with("HEAD ");
    server.whole_log().into_iter().filter(|line| !is_reading(line)).collect()
}

/// Killed at any moment, a release is repeated, and right then: with the real registry, where a name is there or not.
#[test]
fn killed_and_repeated_it_is_right() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    project.build();
    let images = project.images();
    for moment in [1, 4, 9, 14, 20, 26] {
        let server = DockerRegistry::start();
        let to = format!("{}/{REPOSITORY}", server.host());
        let mut command = project.command(&["push", "--to", &to]);
        let mut push =
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
        while server.log().len() < moment && push.try_wait().expect("it can be waited for").is_none() {
            std::thread::yield_now();
        }
        push.kill().expect("it can be killed");
        push.wait().expect("it ends");
        for (name, digest) in &images {
            let tag = name.strip_prefix("tiny:").expect("the name of an image");
            let there = tagged(&server, REPOSITORY, tag);
            assert!(there.as_ref().is_none_or(|there| there == digest), "killed after {moment} requests");
        }
        pushed(&project, &server, &[]).good();
        for (name, digest) in &images {
            let tag = name.strip_prefix("tiny:").expect("the name of an image");
            assert_eq!(
                tagged(&server, REPOSITORY, tag).as_ref(),
                Some(digest),
                "killed after {moment} requests"
            );
        }
    }
}

/// Killed after any request of a push, no tag is there, and the next push is right. The registry is one that only
/// remembers: what it was asked says what anybody would see.
#[test]
fn killed_before_its_end_nothing_is_visible() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    project.build();
    let whole = counting();
    push_to(&project, &whole).wait().expect("it ends");
    let requests = whole.requests().len();
    let tags = |server: &Server| {
        let asked = server.requests();
        asked
            .iter()
            .filter(|one| one.method == "PUT" && one.target.starts_with("/v2/tiny/manifests/3"))
            .count()
    };
    assert_eq!(tags(&whole), 3);
    for count in (1..requests - 3).step_by(4) {
        let server = counting();
        let mut push = push_to(&project, &server);
        server.wait_for_requests(count);
        push.kill().expect("it can be killed");
        push.wait().expect("it ends");
        assert!(tags(&server) == 0 || server.requests().len() > requests - 3, "killed after request {count}");
    }
}

/// A registry that has nothing and takes everything.
fn counting() -> Server {
    let server = Server::start();
    let session = Answer::new(202).header("Location", "/session");
    server.script("POST /v2/tiny/blobs/uploads/", [Reply::Answer(session)]);
    server.script("PUT", [Reply::Answer(Answer::new(201))]);
    server
}

fn push_to(project: &Project, server: &Server) -> std::process::Child {
    let to = format!("{}/tiny", server.url("").trim_start_matches("http://"));
    let mut command = project.command(&["push", "--to", &to]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
}

fn base64(text: &str) -> String {
    base64::Engine::encode(&base64::prelude::BASE64_STANDARD, text)
}

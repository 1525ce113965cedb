//! Images into a real registry: what is said, what is there afterwards, and what a killed push leaves to see.

use std::process::{Command, Stdio};

use testkit::docker_registry::{DockerRegistry, PASSWORD, USER};
use testkit::web::{Answer, Reply, Server};

use crate::mirror::Mirror;
use crate::program::Outcome;
use crate::project::Project;

fn pushed(project: &Project, server: &DockerRegistry, arguments: &[&str]) -> Outcome {
    let to = format!("{}/team/tiny", server.host());
    let mut outcome = project.run(&[&["push", "--to", &to], arguments].concat());
    for text in [&mut outcome.output, &mut outcome.errors] {
        *text = text.replace(server.host(), "[registry]");
    }
    outcome
}

/// The digest that a tag leads to, as skopeo sees it; none where there is no such tag.
fn tagged(server: &DockerRegistry, tag: &str) -> Option<String> {
    let image = format!("docker://{}/team/tiny:{tag}", server.host());
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
    assert_eq!(tagged(&server, "3.3"), None);
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
        assert_eq!(tagged(&server, tag), Some(digest));
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
    assert_eq!(tagged(&server, "3.3"), project.images().get("tiny:3.3").cloned());
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
    error: `Registry/` is no name in a registry: a repository consists of lower-case letters and digits, joined by one of `.`, `_`, `__`, `-` and `/`
    ");
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

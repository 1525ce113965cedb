//! Releases signed with the real cosign, by a key pair, in a real registry: what `sign` made, `cosign verify` finds.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use testkit::docker_registry::DockerRegistry;

use crate::checks::{GREETS, mirror, project};
use crate::skip;

/// cosign in a folder, with nothing but its keys and this registry.
fn cosign(folder: &Path, arguments: &[&str]) -> std::io::Result<Output> {
    let mut command = Command::new("cosign");
    command.args(arguments).current_dir(folder).env("COSIGN_PASSWORD", "a password").env("HOME", folder);
    command.output()
}

/// What cosign says when it is content.
#[track_caller]
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("it is text")
}

#[test]
fn what_was_released_is_signed_and_attested() {
    let keys = tempfile::tempdir().expect("a temporary folder");
    match cosign(keys.path(), &["generate-key-pair"]) {
        Ok(output) => said(&output),
        Err(error) => return skip("signatures", &format!("cosign does not start: {error}")),
    };
    let mirror = mirror();
    let server = DockerRegistry::start();
    let project = project(&mirror, &[GREETS]);
    project.run(&["build-all"]).good();
    let to = format!("{}/tiny", server.host());
    project.run(&["release", "--to", &to, "--push"]).good();

    let key = keys.path().join("cosign.key").display().to_string();
    let sign = |more: &[&str]| {
        let origin = [
            "--source",
            "git+https://example.org/tiny",
            "--commit",
            "0123",
            "--builder",
            "https://example.org/me",
        ];
        let own = ["--", "--key", &key, "--tlog-upload=false", "--allow-http-registry"];
        let mut command = project.command(&[&["sign", "--to", &to][..], &origin, more, &own].concat());
        project.outcome(command.env("COSIGN_PASSWORD", "a password"))
    };
    let mut outcome = sign(&[]);
    outcome.output = outcome.output.replace(server.host(), "[registry]");
    insta::assert_snapshot!(outcome, @"
    status 0
    -- output
    signed [registry]/tiny@sha256:[digest] (tiny:3.3-trixie)
    ");
    // Again is as good as once.
    sign(&["--invocation", "https://example.org/run/2"]).good();

    let known = ["--key", "cosign.pub", "--insecure-ignore-tlog", "--allow-http-registry"];
    let verify = |arguments: &[&str], image: &str| {
        cosign(keys.path(), &[arguments, &known, &[image]].concat()).expect("cosign starts")
    };
    let tag = format!("{to}:latest");
    let signatures: Value = serde_json::from_str(&said(&verify(&["verify"], &tag))).expect("JSON");
    let signed = signatures[0]["critical"]["image"]["docker-manifest-digest"].clone();
    assert_eq!(signed, Value::from(project.images()["tiny:3.3"].clone()));

    let manifests = project.index("tiny:3.3")["manifests"].as_array().expect("a list").clone();
    assert_eq!(manifests.len(), 2, "gzip and zstd");
    for manifest in manifests {
        let image = format!("{to}@{}", manifest["digest"].as_str().expect("a digest"));
        said(&verify(&["verify"], &image));
        for kind in ["slsaprovenance1", "spdxjson", "cyclonedx"] {
            let attested = said(&verify(&["verify-attestation", "--type", kind], &image));
            assert_eq!(attested.lines().count(), 1, "what was attested before is replaced");
            let envelope: Value = serde_json::from_str(&attested).expect("JSON");
            let payload = base64::Engine::decode(
                &base64::prelude::BASE64_STANDARD,
                envelope["payload"].as_str().expect("a text"),
            );
            let statement: Value = serde_json::from_slice(&payload.expect("base64")).expect("JSON");
            let digest = statement["subject"][0]["digest"]["sha256"].as_str().expect("a text").to_owned();
            assert!(image.ends_with(&digest), "{image} and {digest}");
            if kind == "slsaprovenance1" {
                insta::allow_duplicates! {
                    insta::assert_snapshot!(origin_of(&statement["predicate"]), @r#"
                    {"architecture":"amd64","image":"tiny:3.3-trixie"}
                    {"builder":{"id":"https://example.org/me"},"metadata":{"invocationID":"https://example.org/run/2"}}
                    git+https://example.org/tiny by ["gitCommit"]
                    matrix.lock by ["sha256"]
                    pool/main/base-files_13_amd64.deb by ["sha256"]
                    pool/main/hello_1_amd64.deb by ["sha256"]
                    pool/main/libc6_2.41-12_amd64.deb by ["sha256"]
                    pool/main/libruby3.3_3.3.8-2_amd64.deb by ["sha256"]
                    pool/main/libyaml-0-2_0.2.5-2_amd64.deb by ["sha256"]
                    pool/main/ruby_3.3_amd64.deb by ["sha256"]
                    pool/main/ruby3.3_3.3.8-2_amd64.deb by ["sha256"]
                    pool/main/tzdata_2026b_amd64.deb by ["sha256"]
                    "#);
                }
            }
        }
    }

    // What somebody else pushed is not signed.
    project.edit("images/tiny/image.toml", "LANG = \"C.UTF-8\"", "LANG = \"C\"");
    project.run(&["build-all"]).good();
    project.run(&["release", "--to", &to, "--push"]).good();
    assert!(!verify(&["verify"], &tag).status.success());
}

/// What a provenance says, in lines.
fn origin_of(predicate: &Value) -> String {
    let definition = &predicate["buildDefinition"];
    let dependencies = definition["resolvedDependencies"].as_array().expect("a list").iter();
    let dependencies = dependencies.map(|one| {
        let name = one.get("uri").or(one.get("name")).and_then(Value::as_str).expect("a name");
        let kinds: Vec<&String> = one["digest"].as_object().expect("an object").keys().collect();
        format!("{name} by {kinds:?}")
    });
    let lines = [definition["externalParameters"].to_string(), predicate["runDetails"].to_string()];
    lines.into_iter().chain(dependencies).collect::<Vec<_>>().join("\n")
}

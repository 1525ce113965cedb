//! What a person is shown of the differences between images, runs and registries.

use fs_err as fs;
use testkit::archive::Suite;
use testkit::docker_registry::DockerRegistry;

use crate::mirror::{Mirror, NEXT_DAY, libyaml, ruby, suite, with};
use crate::project::Project;

/// A variant with a file of its own, and another configuration.
const VARIANTS: &str = r#"
[[variants]]
name = "nonroot"
why = "plain"

[[variants]]
name = "debug"
why = "more"
user = "0:0"
environment = { LEVEL = "debug" }

[[variants.layers]]
name = "debug"
roots = []
files = [{ path = "/etc/motd", link = "passwd", why = "a link" }, { path = "/srv", folder = true, mode = "0700", owner = 65532, why = "a folder" }]
"#;

fn project(mirror: &Mirror) -> Project {
    let project = Project::new(mirror);
    let image = project.read("images/tiny/image.toml");
    project.write("images/tiny/image.toml", &format!("{image}{VARIANTS}"));
    project.build();
    project
}

#[test]
fn images_of_the_layout() {
    let project = project(&Mirror::start());
    insta::assert_snapshot!(project.run(&["diff", "3.3-trixie", "3.3-trixie-debug"]), @r#"
    status 1
    -- output
    ~ 3.3-trixie -> 3.3-trixie-debug
      on disk: 4,418 bytes
      to pull: 3,751 -> 4,045 bytes (+294)
      configuration: 1 added, 1 changed
        ~ user=65532:65532 -> 0:0
        + variable LEVEL=debug
      files: 2 added
        + /etc/motd: link to passwd
        + /srv: folder, 0700, 65532:65532
    "#);
    insta::assert_snapshot!(project.run(&["diff", "3.3", "3.3-trixie"]), @r#"
    status 0
    -- output
    = 3.3 and 3.3-trixie: nothing differs
    "#);
    insta::assert_snapshot!(project.run(&["diff", "3.3", "oci:dist/oci:tiny:3.3-debug", "--format", "markdown"]), @r#"
    status 1
    -- output
    ### `3.3` → `tiny:3.3-debug`

    On disk: 4,418 bytes. To pull: 3,751 -> 4,045 bytes (+294).

    configuration: 1 added, 1 changed

    ```diff
    ! user=65532:65532 -> 0:0
    + variable LEVEL=debug
    ```

    files: 2 added

    ```diff
    + /etc/motd: link to passwd
    + /srv: folder, 0700, 65532:65532
    ```
    "#);
    let json = project.run(&["diff", "3.3", "3.3-debug", "--format", "json"]).output;
    let json = json.trim_start_matches(|letter| letter != '{');
    let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let names = json["images"][0]["files"].as_array().expect("a list").iter();
    let names: Vec<_> = names.map(|file| file["name"].as_str().expect("a path")).collect();
    assert_eq!(names, ["/etc/motd", "/srv"]);
}

#[test]
fn two_runs_of_which_the_second_has_newer_packages() {
    let mirror = Mirror::start();
    let project = project(&mirror);
    let before = project.folder().join("before");
    fs::rename(project.root.join("dist"), &before).expect("it can be moved");
    let newer = with(ruby("3.3"), libyaml("0.2.6-1"));
    mirror.publish(&suite("trixie", newer).date(NEXT_DAY));
    mirror.publish_security(&Suite::new("trixie-security").date(NEXT_DAY));
    project.run(&["update"]).good();
    project.build();
    let before = before.display().to_string();
    let record = format!("{before}/run.json");
    insta::assert_snapshot!(project.run(&["diff", &before, "dist"]), @r#"
    status 1
    -- output
    ~ tiny:3.3-trixie for amd64
      on disk: 4,418 bytes
      to pull: 3,751 -> 3,753 bytes (+2)
      packages: 1 changed
        ~ libyaml-0-2 0.2.5-2 -> 0.2.6-1
      files: 1 changed
        ~ /var/lib/dpkg/status.d/libyaml-0-2: other content of 73 bytes
    ~ tiny:3.3-trixie-debug for amd64
      on disk: 4,418 bytes
      to pull: 4,045 -> 4,047 bytes (+2)
      packages: 1 changed
        ~ libyaml-0-2 0.2.5-2 -> 0.2.6-1
      files: 1 changed
        ~ /var/lib/dpkg/status.d/libyaml-0-2: other content of 73 bytes
    "#);
    insta::assert_snapshot!(project.run(&["diff", &record, "dist/run.json"]), @r#"
    status 1
    -- output
    ~ tiny:3.3-trixie for amd64
      on disk: 4,418 bytes
      to pull: 3,751 -> 3,753 bytes (+2)
      packages: 1 changed
        ~ libyaml-0-2 0.2.5-2 -> 0.2.6-1
      gems: not compared, as one side does not tell
      configuration: not compared, as one side does not tell
      files: not compared, as one side does not tell
    ~ tiny:3.3-trixie-debug for amd64
      on disk: 4,418 bytes
      to pull: 4,045 -> 4,047 bytes (+2)
      packages: 1 changed
        ~ libyaml-0-2 0.2.5-2 -> 0.2.6-1
      gems: not compared, as one side does not tell
      configuration: not compared, as one side does not tell
      files: not compared, as one side does not tell
    "#);
    assert_eq!(project.run(&["diff", "dist", "dist"]).status, Some(0));
}

#[test]
fn an_image_of_a_registry() {
    let (project, server) = (project(&Mirror::start()), DockerRegistry::start());
    let host = server.host();
    project.run(&["push", "--to", &format!("{host}/team/tiny")]).good();
    let pushed = format!("docker://{host}/team/tiny:3.3");
    let diff = |with: &str| {
        let mut outcome = project.run(&["diff", &pushed, with]);
        outcome.output = outcome.output.replace(host, "[registry]");
        outcome
    };
    insta::assert_snapshot!(diff("3.3"), @r#"
    status 0
    -- output
    = [registry]/team/tiny:3.3 and 3.3: nothing differs
    -- errors
    fetching 3 blobs, 0.0 MB
    "#);
    insta::assert_snapshot!(diff("3.3-debug"), @r#"
    status 1
    -- output
    ~ [registry]/team/tiny:3.3 -> 3.3-debug
      on disk: 4,418 bytes
      to pull: 3,751 -> 4,045 bytes (+294)
      configuration: 1 added, 1 changed
        ~ user=65532:65532 -> 0:0
        + variable LEVEL=debug
      files: 2 added
        + /etc/motd: link to passwd
        + /srv: folder, 0700, 65532:65532
    -- errors
    fetching 3 blobs, 0.0 MB
    "#);
}

#[test]
fn what_cannot_be_compared() {
    let project = project(&Mirror::start());
    let cases: [&[&str]; 4] =
        [&["3.3", "dist"], &["oci:dist", "3.3"], &["docker://UPPER", "3.3"], &["images", "dist"]];
    let said = cases.map(|sides| project.run(&[&["diff"], sides].concat()).to_string());
    insta::assert_snapshot!(said.join("\n"), @r#"
    status 2
    -- errors
    error: cannot compare an image with all images of a run
    hint: name two images, or two folders of runs
    status 2
    -- errors
    error: cannot tell the image's name in `oci:dist`
    hint: write it as `oci:FOLDER:NAME`
    status 2
    -- errors
    error: `docker://UPPER` is no reference to a registry
      because: `UPPER` is no name in a registry: a repository consists of lower-case letters and digits, joined by one of `.`, `_`, `__`, `-` and `/`
    hint: write it as `docker://REGISTRY/NAME:TAG`
    status 2
    -- errors
    error: cannot read the run record of images
      because: failed to open file `images/run.json`: No such file or directory (os error 2)
    hint: a folder of a run has `run.json` and `oci` in it, as `dist`
    "#);
}

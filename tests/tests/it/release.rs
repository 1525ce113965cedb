//! Releases into a real registry: what is refused, what would change, which tags there are afterwards, and the notes.

use testkit::docker_registry::DockerRegistry;

use crate::checks::{GREETS, mirror, project};
use crate::mirror::Mirror;
use crate::program::Outcome;
use crate::project::Project;

fn released(project: &Project, server: &DockerRegistry, arguments: &[&str]) -> Outcome {
    let to = format!("{}/tiny", server.host());
    let mut outcome = project.run(&[&["release", "--to", &to], arguments].concat());
    for text in [&mut outcome.output, &mut outcome.errors] {
        *text = text.replace(server.host(), "[registry]");
    }
    outcome
}

#[test]
fn what_did_not_pass_its_checks_is_refused() {
    let mirror = mirror();
    let server = DockerRegistry::start();
    let fails = ("ends well", "command = [\"fail\"]");
    let project = project(&mirror, &[GREETS, fails]);
    insta::assert_snapshot!(released(&project, &server, &["--push"]), @"
    status 2
    -- errors
    error: cannot release tiny:3.3-trixie for amd64: it is not built
    hint: build and check them, on a machine for each architecture or with an emulator; `--unchecked ARCHITECTURE` releases what was not checked for it
    ");
    project.build();
    insta::assert_snapshot!(released(&project, &server, &["--push"]), @"
    status 2
    -- errors
    error: cannot release tiny:3.3-trixie for amd64: its checks were not run
    hint: build and check them, on a machine for each architecture or with an emulator; `--unchecked ARCHITECTURE` releases what was not checked for it
    ");
    assert_eq!(project.run(&["check"]).status, Some(1));
    insta::assert_snapshot!(released(&project, &server, &["--push", "--unchecked", "amd64"]), @"
    status 2
    -- errors
    error: cannot release tiny:3.3-trixie for amd64: failed: ends well
    hint: build and check them, on a machine for each architecture or with an emulator; `--unchecked ARCHITECTURE` releases what was not checked for it
    ");
    project.edit("images/tiny/image.toml", "command = [\"fail\"]", "command = [\"hello\"]");
    project.run(&["check"]).good();
    released(&project, &server, &["--push"]).good();
}

#[test]
fn every_architecture_is_released_or_none() {
    let mirror = Mirror::for_amd64_and_arm64();
    let server = DockerRegistry::start();
    let project = Project::new(&mirror);
    project.edit("matrix.toml", "[\"amd64\"]", "[\"amd64\", \"arm64\"]");
    project.run(&["build-all", "--arch", "amd64", "--no-check"]).good();
    insta::assert_snapshot!(released(&project, &server, &["--unchecked", "amd64", "--unchecked", "arm64"]), @"
    status 2
    -- errors
    error: cannot release tiny:3.3-trixie for arm64: it is not built
    hint: build and check them, on a machine for each architecture or with an emulator; `--unchecked ARCHITECTURE` releases what was not checked for it
    ");
    project.run(&["build-all", "--arch", "arm64", "--no-check"]).good();
    insta::assert_snapshot!(released(&project, &server, &["--unchecked", "arm64"]), @"
    status 2
    -- errors
    error: cannot release tiny:3.3-trixie for amd64: its checks were not run
    hint: build and check them, on a machine for each architecture or with an emulator; `--unchecked ARCHITECTURE` releases what was not checked for it
    ");
    released(&project, &server, &["--unchecked", "amd64", "--unchecked", "arm64", "--push"]).good();
}

#[test]
fn every_tag_is_set_and_the_notes_tell_what_changed() {
    let mirror = mirror();
    let server = DockerRegistry::start();
    let project = project(&mirror, &[GREETS]);
    project.run(&["build-all"]).good();
    insta::assert_snapshot!(released(&project, &server, &["--notes", "-"]), @"
    status 0
    -- output
    ## Images

    | Tags | Digest |
    |---|---|
    | `3.3-trixie`, `3.3.8-trixie`, `3.3`, `latest` | `sha256:[digest]` |

    ## What changed

    ### `tiny:3.3-trixie for amd64` was added
    -- errors
    [registry]/tiny:3.3 (new) -> sha256:[digest]
    [registry]/tiny:3.3-trixie (new) -> sha256:[digest]
    [registry]/tiny:3.3.8-trixie (new) -> sha256:[digest]
    [registry]/tiny:latest (new) -> sha256:[digest]
    would send 8 blobs (0.0 MB), mount 0; 0 are there
    nothing was sent: `--push` does it
    ");
    insta::assert_snapshot!(released(&project, &server, &["--push"]), @"
    status 0
    -- output
    [registry]/tiny:3.3 (new) -> sha256:[digest]
    [registry]/tiny:3.3-trixie (new) -> sha256:[digest]
    [registry]/tiny:3.3.8-trixie (new) -> sha256:[digest]
    [registry]/tiny:latest (new) -> sha256:[digest]
    -- errors
    sending 8 blobs, 0.0 MB
    sent 8 blobs (0.0 MB), mounted 0; 0 were there
    ");
    insta::assert_snapshot!(released(&project, &server, &["--push", "--notes", "-"]), @"
    status 0
    -- output
    ## Images

    | Tags | Digest |
    |---|---|
    | `3.3-trixie`, `3.3.8-trixie`, `3.3`, `latest` | `sha256:[digest]` |

    ## What changed

    Nothing differs in `tiny:3.3-trixie for amd64`.
    -- errors
    [registry]/tiny:3.3 sha256:[digest], as before
    [registry]/tiny:3.3-trixie sha256:[digest], as before
    [registry]/tiny:3.3.8-trixie sha256:[digest], as before
    [registry]/tiny:latest sha256:[digest], as before
    everything was there already
    ");

    project.edit("images/tiny/image.toml", "LANG = \"C.UTF-8\"", "LANG = \"C\"");
    project.run(&["build-all"]).good();
    insta::assert_snapshot!(released(&project, &server, &["--push", "--notes", "notes.md"]), @"
    status 0
    -- output
    [registry]/tiny:3.3 sha256:[digest] -> sha256:[digest]
    [registry]/tiny:3.3-trixie sha256:[digest] -> sha256:[digest]
    [registry]/tiny:3.3.8-trixie sha256:[digest] -> sha256:[digest]
    [registry]/tiny:latest sha256:[digest] -> sha256:[digest]
    -- errors
    fetching 3 blobs, 0.0 MB
    wrote the notes to notes.md
    sending 3 blobs, 0.0 MB
    sent 3 blobs (0.0 MB), mounted 0; 5 were there
    ");
    let index = project.images()["tiny:3.3"].clone();
    insta::assert_snapshot!(project.read("notes.md").replace(&index, "[index]"), @"
    ## Images

    | Tags | Digest |
    |---|---|
    | `3.3-trixie`, `3.3.8-trixie`, `3.3`, `latest` | `[index]` |

    ## What changed

    ### `tiny:3.3-trixie for amd64`

    On disk: 4,879 bytes. To pull: 3,983 -> 3,977 bytes (-6).

    configuration: 1 changed

    ```diff
    ! variable LANG=C.UTF-8 -> C
    ```
    ");
    assert_eq!(crate::push::tagged(&server, "tiny", "latest"), Some(index));
}

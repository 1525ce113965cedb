//! What is exported, read by other programs: umoci, Docker, and skopeo on the way to it. Skopeo alone is in
//! `architectures`.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;

use crate::docker::docker;
use crate::mirror::Mirror;
use crate::project::{Project, files_below};
use crate::real::outcome;
use crate::skip;

/// Of its own: a person may have another image called `tiny`.
const REPOSITORY: &str = "distroless-ruby-exported";
const NAME: &str = "distroless-ruby-exported:3.3-trixie";

/// A project with this image.
fn project(mirror: &Mirror) -> Project {
    let project = Project::new(mirror);
    project.edit("images/tiny/image.toml", "name = \"tiny\"", &format!("name = \"{REPOSITORY}\""));
    project.build();
    project
}

/// An export of the image, and where it is.
fn export(project: &Project, output: &str, arguments: &[&str]) -> PathBuf {
    let output = project.folder().join(output);
    let path = output.display().to_string();
    project.run(&[&["export", NAME, "--output", &path], arguments].concat()).good();
    output
}

/// The files below a folder, by their paths in it, with their bytes.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let inside = |path: PathBuf| path.strip_prefix(folder).expect("below it").to_owned();
    files_below(folder).into_iter().map(|(path, (_, bytes))| (inside(path), bytes)).collect()
}

#[test]
fn umoci_unpacks_a_layout_with_one_image() {
    const WHAT: &str = "a layout in umoci";
    let umoci = |arguments: &[&str]| {
        outcome(Command::new("umoci").args(arguments).output().map_err(|error| error.to_string())?)
    };
    if let Err(why) = umoci(&["--version"]) {
        return skip(WHAT, &format!("it does not run: {why}"));
    }
    let mirror = Mirror::start();
    let project = project(&mirror);
    let wanted = files(&export(&project, "files", &["--format", "dir"]));
    let bundle = project.folder().join("bundle");
    let unpack = |layout: &Path| {
        let image = format!("{}:{NAME}", layout.display());
        umoci(&["unpack", "--rootless", "--image", &image, &bundle.display().to_string()])
    };
    // It knows one image under a name, and no zstd.
    let both = export(&project, "both", &["--format", "oci"]);
    assert!(unpack(&both).expect_err("there are two").contains("ambiguous"));
    let one = export(&project, "one", &["--format", "oci", "--arch", "amd64", "--compression", "gzip"]);
    unpack(&one).expect("umoci unpacks it");
    assert_eq!(files(&bundle.join("rootfs")), wanted);
    let config = fs::read_to_string(bundle.join("config.json")).expect("how to run it");
    let config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    assert_eq!(config["process"]["args"], serde_json::json!(["/usr/bin/ruby"]));
}

#[test]
fn docker_takes_an_archive_a_folder_and_a_layout_through_skopeo() {
    const WHAT: &str = "exports in Docker";
    if let Err(why) = docker(&["ps", "--quiet"]) {
        return skip(WHAT, &format!("no Docker daemon answers: {why}"));
    }
    let mirror = Mirror::start();
    let project = project(&mirror);
    let folder = export(&project, "files", &["--format", "dir"]);
    let wanted = files(&folder);

    let archive = export(&project, "archive.tar", &["--format", "docker-archive"]).display().to_string();
    docker(&["load", "--quiet", "--input", &archive]).expect("Docker loads it");
    assert_eq!(taken(&project, "loaded", NAME), wanted);

    let layout = export(&project, "layout", &["--format", "oci"]).display().to_string();
    // Skopeo does not look for the daemon where Docker does.
    let host =
        docker(&["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]).expect("its address");
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["copy", "--quiet", "--dest-daemon-host", host.trim()]);
    let copied = format!("{REPOSITORY}:copied");
    skopeo.args([format!("oci:{layout}:{NAME}"), format!("docker-daemon:{copied}")]);
    outcome(skopeo.output().expect("skopeo starts: it is the Debian package of that name")).expect("a copy");
    assert_eq!(taken(&project, "copied", &copied), wanted);

    let tar = project.folder().join("files.tar");
    let mut command = Command::new("tar");
    command.arg("--create").arg("--file").arg(&tar).arg("--directory").arg(&folder).arg(".");
    outcome(command.output().expect("tar starts")).expect("a tar");
    let imported = format!("{REPOSITORY}:imported");
    docker(&["import", &tar.display().to_string(), &imported]).expect("Docker imports it");
    assert_eq!(taken(&project, "imported", &imported), wanted);

    let tags = docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", REPOSITORY]).expect("tags");
    let tags: Vec<&str> = tags.lines().collect();
    docker(&[&["image", "rm", "--force"], tags.as_slice()].concat()).expect("the images go");
}

/// The files of an image in Docker, without those that Docker makes in every container.
fn taken(project: &Project, output: &str, image: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let output = project.folder().join(output);
    let container = docker(&["create", image, "/usr/bin/ruby"]).expect("a container");
    let container = container.trim();
    docker(&["cp", &format!("{container}:/."), &output.display().to_string()]).expect("its files");
    docker(&["container", "rm", container]).expect("the container goes");
    let mut files = files(&output);
    let made = [".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"];
    files.retain(|(path, _)| !made.iter().any(|made| path == Path::new(made)));
    files
}

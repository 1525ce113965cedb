//! One name for every machine and every compression: what it leads to, what a run for one machine leaves of the others,
//! and whether other programs read it.

use std::path::Path;
use std::process::Command;

use fs_err as fs;
use serde_json::Value;

use crate::mirror::Mirror;
use crate::project::{Project, files_below};
use crate::skip;

const NAME: &str = "tiny:3.3-trixie";
const ZSTD: &str = "io.github.containers.compression.zstd";

/// A project whose row is for both architectures.
fn project(mirror: &Mirror) -> Project {
    let project = Project::new(mirror);
    project.edit("matrix.toml", "[\"amd64\"]", "[\"amd64\", \"arm64\"]");
    project
}

/// What a name leads to, a line for each image.
fn listed(project: &Project) -> Vec<String> {
    let index = project.index(NAME);
    let manifests = index["manifests"].as_array().expect("a list");
    let line = |entry: &Value| {
        let manifest = project.document(&entry["digest"]);
        let config = project.document(&manifest["config"]["digest"]);
        assert_eq!(entry["platform"]["architecture"], config["architecture"]);
        let layers = manifest["layers"].as_array().expect("a list");
        assert!(layers.iter().all(|layer| layer["mediaType"] == layers[0]["mediaType"]));
        let compression =
            layers[0]["mediaType"].as_str().expect("a text").rsplit_once('+').expect("it has one").1;
        let mark = if entry["annotations"][ZSTD] == "true" { ", marked" } else { "" };
        format!("{} {compression}{mark}", config["architecture"].as_str().expect("a text"))
    };
    manifests.iter().map(line).collect()
}

#[test]
fn a_name_leads_to_every_architecture_in_both_compressions() {
    let mirror = Mirror::for_amd64_and_arm64();
    let project = project(&mirror);
    let mut build = project.command(&["build-all", "--no-check"]);
    insta::assert_snapshot!(project.outcome(build.env("RAYON_NUM_THREADS", "1")), @"
    status 0
    -- errors
    resolving the packages of trixie
    locked trixie amd64: 7 packages
    locked trixie arm64: 7 packages
    fetching 14 packages, 0.0 MB
    built tiny:3.3-trixie: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    built tiny:3.3-trixie for arm64: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    ");
    let names: Vec<_> = project.images().into_keys().collect();
    assert_eq!(names, ["tiny:3.3", "tiny:3.3-trixie", "tiny:3.3.8-trixie"]);
    insta::assert_snapshot!(listed(&project).join("\n"), @"
    amd64 gzip
    arm64 gzip
    amd64 zstd, marked
    arm64 zstd, marked
    ");

    let index = project.index(NAME);
    let configs = |number: usize| project.document(&index["manifests"][number]["digest"])["config"].clone();
    assert_eq!([configs(0), configs(1)], [configs(2), configs(3)], "the same images in either compression");

    let record: Value = serde_json::from_str(&project.read("dist/run.json")).unwrap();
    let images = record["images"].as_array().unwrap();
    for (image, manifest) in images.iter().zip(index["manifests"].as_array().unwrap()) {
        assert_eq!(image["name"], NAME);
        assert_eq!(image["architecture"], manifest["platform"]["architecture"]);
        assert_eq!(image["manifest"], manifest["digest"]);
        assert!(image["zstd"].as_u64() > Some(0) && image["zstd"] != image["pull"]);
    }
    assert_eq!(images.len(), 2);

    let before = files_below(&project.root);
    project.build();
    assert!(files_below(&project.root) == before, "a second run writes nothing");
}

#[test]
fn one_compression_is_a_choice() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    let text = project.read("matrix.toml");
    for (compression, wanted) in [("gzip", "amd64 gzip"), ("zstd", "amd64 zstd, marked")] {
        project.write("matrix.toml", &format!("compression = \"{compression}\"\n{text}"));
        project.build();
        assert_eq!(listed(&project), [wanted]);
        let record: Value = serde_json::from_str(&project.read("dist/run.json")).unwrap();
        assert_eq!(record["images"][0].get("zstd"), None);
    }
}

#[test]
fn a_run_for_one_machine_leaves_the_others() {
    let mirror = Mirror::for_amd64_and_arm64();
    let whole = project(&mirror);
    whole.build();
    let parts = project(&mirror);
    parts.run(&["build", NAME, "--arch", "arm64", "--no-check"]).good();
    assert_eq!(listed(&parts), ["arm64 gzip", "arm64 zstd, marked"]);
    parts.run(&["build", NAME, "--arch", "amd64", "--no-check"]).good();
    assert_eq!(listed(&parts), listed(&whole));
    parts.build();
    assert_eq!(parts.images(), whole.images());
    let before = files_below(&parts.root);
    for architecture in ["amd64", "arm64"] {
        parts.run(&["build", NAME, "--arch", architecture, "--no-check"]).good();
    }
    assert!(files_below(&parts.root) == before, "there is nothing to write");

    // What the matrix does not name any more goes with a run over all of it.
    parts.edit("matrix.toml", "[\"amd64\", \"arm64\"]", "[\"amd64\"]");
    parts.build();
    assert_eq!(listed(&parts), ["amd64 gzip", "amd64 zstd, marked"]);
}

#[test]
fn a_row_may_be_for_other_architectures_than_the_rest() {
    let mirror = Mirror::for_amd64_and_arm64();
    let project = project(&mirror);
    let source = "source = { package = \"ruby\" }";
    project.edit("matrix.toml", source, &format!("{source}\narchitectures = [\"arm64\"]"));
    project.build();
    assert_eq!(listed(&project), ["arm64 gzip", "arm64 zstd, marked"]);
    insta::assert_snapshot!(project.run(&["build", NAME, "--arch", "amd64"]), @"
    status 2
    -- errors
    error: no image is called `tiny:3.3-trixie`
    hint: every row names other architectures than this one
    ");
    project.run(&["update"]).good();
    let lock = project.read("matrix.lock");
    assert!(!lock.contains("architecture = \"amd64\""), "{lock}");
}

#[test]
fn verbs_are_about_one_machine() {
    let mirror = Mirror::for_amd64_and_arm64();
    let project = project(&mirror);
    project.build();
    insta::assert_snapshot!(project.run(&["list", "--arch", "arm64"]), @"
    status 0
    -- output
     IMAGE            RUBY   DISTRO  ARCHITECTURE  MANIFEST             ALSO
     tiny:3.3-trixie  3.3.8  trixie  arm64         sha256:c505f5032f85  tiny:3.3.8-trixie tiny:3.3
    ");
    insta::assert_snapshot!(project.run(&["why", NAME, "/var/lib/dpkg/status.d/ruby", "--arch", "arm64"]), @"
    status 0
    -- output
    /var/lib/dpkg/status.d/ruby is in the layer `ruby`: it is the record of a package that gave a file
    ");
    let export = |format: &str, architecture: &str, name: &str| {
        let output = project.folder().join(name);
        let path = output.display().to_string();
        project.run(&["export", NAME, "--format", format, "--arch", architecture, "--output", &path]).good();
        output
    };
    for architecture in ["amd64", "arm64"] {
        let files = export("dir", architecture, architecture);
        let record = fs::read_to_string(files.join("var/lib/dpkg/status.d/ruby")).unwrap();
        assert!(record.contains(&format!("Architecture: {architecture}\n")), "{record}");
        let archive =
            fs::read(export("docker-archive", architecture, &format!("{architecture}.tar"))).unwrap();
        let archive = String::from_utf8_lossy(&archive);
        assert!(archive.contains(&format!("{{\"architecture\":\"{architecture}\"")), "its configuration");
    }

    project.run(&["build-all", "--arch", "amd64", "--no-check"]).good();
    project.edit("matrix.toml", "[\"amd64\", \"arm64\"]", "[\"amd64\"]");
    project.build();
    let output = project.folder().join("none").display().to_string();
    let missing = ["export", NAME, "--format", "dir", "--arch", "arm64", "--output", &output];
    insta::assert_snapshot!(project.run(&missing), @"
    status 2
    -- errors
    error: cannot find an image for arm64 under `tiny:3.3-trixie` (image layout `[project]/dist/oci`)
    hint: there is one for amd64
    ");
}

/// Skopeo copies from what is exported, for each machine, without a network.
#[test]
fn skopeo_reads_what_is_exported() {
    const WHAT: &str = "exports in skopeo";
    let skopeo = |arguments: &[&str]| {
        let output = Command::new("skopeo").args(arguments).output().map_err(|error| error.to_string())?;
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    };
    if let Err(why) = skopeo(&["--version"]) {
        return skip(WHAT, &format!("it does not run: {why}"));
    }
    let mirror = Mirror::for_amd64_and_arm64();
    let project = project(&mirror);
    project.build();
    let place = |name: &str| project.folder().join(name).display().to_string();
    let export = |arguments: &[&str], output: &str| {
        project.run(&[&["export", NAME, "--output", output], arguments].concat()).good();
    };
    let index = project.index(NAME);
    let config = |manifest: &Value| project.document(&manifest["digest"])["config"]["digest"].clone();
    let manifests = index["manifests"].as_array().unwrap();

    let layout = place("layout");
    export(&["--format", "oci"], &layout);
    for manifest in &manifests[..2] {
        let architecture = manifest["platform"]["architecture"].as_str().unwrap();
        let wanted = config(manifest);
        // It takes one of the two manifests for that machine.
        let copy = place(&format!("copy-{architecture}"));
        let from = format!("oci:{layout}:{NAME}");
        skopeo(&["copy", "--override-arch", architecture, &from, &format!("dir:{copy}")]).unwrap();
        assert_eq!(copied(&copy)["config"]["digest"], wanted, "{architecture}");

        let part = place(&format!("layout-{architecture}"));
        export(&["--format", "oci", "--arch", architecture], &part);
        let copy = place(&format!("copy-of-part-{architecture}"));
        let from = format!("oci:{part}:{NAME}");
        skopeo(&["copy", "--override-arch", architecture, &from, &format!("dir:{copy}")]).unwrap();
        assert_eq!(copied(&copy)["config"]["digest"], wanted, "{architecture}");

        let archive = place(&format!("{architecture}.tar"));
        export(&["--format", "docker-archive", "--arch", architecture], &archive);
        let told = skopeo(&["inspect", &format!("docker-archive:{archive}:{NAME}")]).unwrap();
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["Architecture"], *architecture);
    }
    let all = place("copy-of-all");
    skopeo(&["copy", "--all", &format!("oci:{layout}:{NAME}"), &format!("dir:{all}")]).unwrap();
    assert_eq!(copied(&all), index, "every image of it");
}

/// The document that skopeo wrote to a folder.
fn copied(folder: &str) -> Value {
    let bytes = fs::read(Path::new(folder).join("manifest.json")).expect("a manifest");
    serde_json::from_slice(&bytes).expect("JSON")
}

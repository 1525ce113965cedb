//! With the real skopeo at the other end: what it pushed is pulled, and what is pushed it reads.

use std::path::Path;
use std::process::Command;

use oci::media_type;
use schema::Architecture;
use schema::reference::Repository;
use testkit::docker_registry::DockerRegistry;

use crate::fixture::{Place, files, layout, stacked};

fn skopeo(arguments: &[&str]) -> String {
    let output = Command::new("skopeo")
        .args(arguments)
        .output()
        .expect("skopeo starts: it is the Debian package of that name");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn source(folder: &Path) -> String {
    format!("oci:{}:ruby:3.4-trixie", folder.display())
}

#[test]
fn what_skopeo_pushed_is_pulled_for_every_machine() {
    let (server, place) = (DockerRegistry::start(), Place::new());
    let folder = place.folder.path().join("oci");
    layout(&folder);
    let to = format!("docker://{}/many:1", server.host());
    skopeo(&["copy", "--quiet", "--all", "--dest-tls-verify=false", &source(&folder), &to]);
    for (architecture, machine) in [(Architecture::Amd64, "amd64"), (Architecture::Arm64, "arm64")] {
        let pulled = place.pull_for(&format!("{}/many:1", server.host()), architecture).unwrap();
        assert_eq!(files(&pulled), stacked(machine));
        assert_eq!(pulled.config.config.user, "65532");
    }
}

#[test]
fn every_form_and_compression_of_skopeo_is_understood() {
    let place = Place::new();
    let folder = place.folder.path().join("oci");
    layout(&folder);
    for (name, options, expected) in [
        ("docker", &["--format", "v2s2"][..], media_type::DOCKER_LAYER_GZIP),
        ("zstd", &["--dest-compress-format", "zstd", "--dest-compress"], media_type::LAYER_ZSTD),
        ("gzip", &[], media_type::LAYER_GZIP),
    ] {
        // One of its own: skopeo would take layers that it knows to be in another form.
        let server = DockerRegistry::start();
        let to = format!("docker://{}/one:{name}", server.host());
        let arguments = ["copy", "--quiet", "--override-arch", "arm64", "--dest-tls-verify=false"];
        // From a folder of plain tars, so that it compresses them itself.
        let plain = place.folder.path().join(name).display().to_string();
        skopeo(
            &[&arguments[..4], &["--dest-decompress", &source(&folder), &format!("dir:{plain}")]].concat(),
        );
        skopeo(&[&arguments[..], options, &[&format!("dir:{plain}"), &to]].concat());
        let pulled = place.pull_for(&format!("{}/one:{name}", server.host()), Architecture::Arm64).unwrap();
        assert_eq!(pulled.layers[0].descriptor.media_type, expected, "{name}");
        assert_eq!(files(&pulled), stacked("arm64"), "{name}");
    }
}

#[test]
fn what_is_pushed_skopeo_reads() {
    let (server, place) = (DockerRegistry::start(), Place::new());
    let layout = layout(&place.folder.path().join("oci"));
    let to: Repository = format!("{}/team/ruby", server.host()).parse().unwrap();
    let registry = place.registry();
    let plan = registry.plan_push(&layout, &layout.references().unwrap(), &to, &[]).unwrap();
    registry.push(&layout, &plan, &()).unwrap();
    let raw = skopeo(&["inspect", "--raw", "--tls-verify=false", &format!("docker://{to}:3.4")]);
    assert_eq!(raw.as_bytes(), &*layout.blob(&layout.references().unwrap()["ruby:3.4"]).unwrap());
    let copy = place.folder.path().join("copy");
    let copied = format!("oci:{}:ruby:3.4-trixie", copy.display());
    skopeo(&["copy", "--quiet", "--all", "--src-tls-verify=false", &format!("docker://{to}:3.4"), &copied]);
    let copied = oci::Layout::open(&copy).unwrap().resolve("ruby:3.4-trixie").unwrap();
    assert_eq!(copied.descriptor.digest, layout.references().unwrap()["ruby:3.4"].digest);
}

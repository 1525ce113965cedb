//! What images declare of themselves: bills of materials in two formats, as referrers and as files, true to the image.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use fs_err as fs;
use serde_json::Value;
use sha2::{Digest, Sha256};
use testkit::archive::Suite;

use crate::mirror::{Mirror, package, ruby, suite};
use crate::project::{Project, files_below};

const SPDX: &str = "sbom/tiny-3.3-trixie-amd64.spdx.json";
const CYCLONEDX: &str = "sbom/tiny-3.3-trixie-amd64.cdx.json";

/// Variants that declare other things: another configuration alone, and a layer of its own, where a file of the image is
/// another one.
const VARIANTS: &str = r#"
[[variants]]
name = "nonroot"
why = "plain"

[[variants]]
name = "root"
why = "another user"
user = "0:0"

[[variants]]
name = "debug"
why = "more"
packages = ["shell"]

[[variants.layers]]
name = "debug"
roots = [{ path = "/usr/bin/shell", why = "a shell" }]
files = [{ path = "/etc/passwd", copy = "users", why = "users with a shell" }]
"#;

/// A mirror whose Ruby comes with gems, one of them in C, and a package that was built from another.
fn mirror() -> Mirror {
    let gems = "usr/share/rubygems-integration/all";
    let specification = |name: &str, more: &str| {
        format!(
            "Gem::Specification.new do |s|\n  s.name = \"{name}\".freeze\n  s.version = \"1.2\"\n{more}end\n"
        )
    };
    let packages = ruby("3.3").into_iter().map(|package| match package.get("Package") {
        Some("ruby3.3") => package
            .field("Source", "ruby-upstream (3.3.8-1)")
            .file(
                &format!("{gems}/specifications/rack-1.2.gemspec"),
                specification("rack", "  s.license = \"MIT\"\n"),
            )
            .file(
                &format!("{gems}/specifications/default/json-1.2-x86_64-linux.gemspec"),
                specification("json", "  s.platform = \"x86_64-linux\"\n"),
            ),
        _ => package,
    });
    let shell = package("shell", "5").file("usr/bin/shell", "#!/usr/bin/ruby\n");
    let mirror = Mirror::empty();
    mirror.publish(&suite("trixie", packages.chain([shell])));
    mirror.publish_security(&Suite::new("trixie-security"));
    mirror
}

fn project(mirror: &Mirror) -> Project {
    let project = Project::new(mirror);
    project.edit(
        "images/tiny/image.toml",
        "    { path = \"/usr/bin/ruby\", why = \"the interpreter\" },\n",
        "    { path = \"/usr/bin/ruby\", why = \"the interpreter\" },\n    { path = \"/usr/share/rubygems-integration/**\", why = \"gems\" },\n",
    );
    let image = project.read("images/tiny/image.toml");
    project.write("images/tiny/image.toml", &format!("{image}{VARIANTS}"));
    project.write("images/tiny/users", "root:x:0:0::/:/usr/bin/shell\n");
    project
}

fn declared(project: &Project) -> BTreeSet<String> {
    let paths = files_below(&project.root.join("dist/sbom")).into_keys();
    paths.map(|path| path.file_name().expect("a file").to_string_lossy().into_owned()).collect()
}

fn read(project: &Project, file: &str) -> Value {
    serde_json::from_str(&project.read(&format!("dist/{file}"))).expect("JSON")
}

/// The digest of the document of each referrer that the layout lists, by type, name and subject.
fn referrers(project: &Project) -> BTreeMap<[String; 3], String> {
    let index = read(project, "oci/index.json");
    let listed = index["manifests"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let unnamed = listed.filter(|entry| entry["annotations"]["org.opencontainers.image.ref.name"].is_null());
    let referrer = |entry: &Value| {
        let manifest = project.document(&entry["digest"]);
        assert_eq!(entry["artifactType"], manifest["artifactType"]);
        let layer = &manifest["layers"][0];
        let title = text(&layer["annotations"]["org.opencontainers.image.title"]);
        ([text(&entry["artifactType"]), title, text(&manifest["subject"]["digest"])], text(&layer["digest"]))
    };
    unnamed.map(referrer).collect()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

#[test]
fn every_manifest_has_both_documents_which_are_files_too_and_in_the_record() {
    let mirror = mirror();
    let project = project(&mirror);
    project.build();
    insta::assert_debug_snapshot!(declared(&project), @r#"
    {
        "tiny-3.3-trixie-amd64.cdx.json",
        "tiny-3.3-trixie-amd64.spdx.json",
        "tiny-3.3-trixie-debug-amd64.cdx.json",
        "tiny-3.3-trixie-debug-amd64.spdx.json",
        "tiny-3.3-trixie-root-amd64.cdx.json",
        "tiny-3.3-trixie-root-amd64.spdx.json",
    }
    "#);
    let mut wanted = BTreeMap::new();
    let record = read(&project, "run.json");
    for image in record["images"].as_array().expect("a list") {
        let name = image["name"].as_str().expect("a name");
        let sboms = image["sboms"].as_array().expect("a list");
        assert_eq!(sboms.len(), 2, "{name}");
        for sbom in sboms {
            let file = sbom["file"].as_str().expect("a name");
            let bytes = fs::read(project.root.join("dist").join(file)).expect("the document");
            assert_eq!(sbom["digest"], digest(&bytes), "{file}");
            assert_eq!(sbom["size"], bytes.len(), "{file}");
            for manifest in project.index(name)["manifests"].as_array().expect("a list") {
                let subject = manifest["digest"].as_str().expect("a digest").to_owned();
                let title = file.trim_start_matches("sbom/").to_owned();
                let media_type = sbom["media_type"].as_str().expect("a type").to_owned();
                wanted.insert([media_type, title, subject], digest(&bytes));
            }
        }
    }
    assert_eq!(wanted.len(), 3 * 2 * 2, "images, formats, compressions");
    assert_eq!(referrers(&project), wanted);
}

#[test]
fn a_document_is_true_to_the_files_of_its_image() {
    let mirror = mirror();
    let project = project(&mirror);
    project.build();
    for (image, file) in [("3.3", SPDX), ("3.3-debug", "sbom/tiny-3.3-trixie-debug-amd64.spdx.json")] {
        let files = project.folder().join(image);
        project.run(&["export", image, "--format", "dir", "--output", &files.display().to_string()]).good();
        let is_file = |path: &PathBuf| fs::symlink_metadata(path).expect("it is there").is_file();
        let there: BTreeMap<String, String> = files_below(&files)
            .into_iter()
            .filter(|(path, _)| is_file(path))
            .map(|(path, (_, bytes))| {
                let inside = path.strip_prefix(&files).expect("it is below").display().to_string();
                (format!("./{inside}"), hex::encode(Sha256::digest(&bytes)))
            })
            .collect();
        let document = read(&project, file);
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let listed = document["files"].as_array().expect("a list").iter();
        let listed: BTreeMap<String, String> = listed
            .map(|file| (text(&file["fileName"]), text(&file["checksums"][1]["checksumValue"])))
            .collect();
        assert_eq!(listed, there, "{image}");
    }
}

#[test]
fn packages_gems_and_what_belongs_to_whom() {
    let mirror = mirror();
    let project = project(&mirror);
    project.build();
    let document = read(&project, "sbom/tiny-3.3-trixie-debug-amd64.cdx.json");
    let mut lines = Vec::new();
    let components = document["components"].as_array().expect("a list");
    for component in [&document["metadata"]["component"]].into_iter().chain(components) {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        // The image is named by its digest.
        let digest = component["hashes"][0]["content"].as_str().unwrap_or("no digest");
        let purl = text(&component["purl"]).replace(digest, "[digest]");
        lines.push(format!("{} {} {purl}", text(&component["type"]), text(&component["name"])));
        for file in component["components"].as_array().into_iter().flatten() {
            lines.push(format!("  {}", text(&file["name"])));
        }
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    container tiny:3.3-trixie-debug pkg:oci/tiny@sha256:[digest]?arch=amd64&tag=3.3-trixie-debug
      /etc/passwd
      /var/lib/dpkg/status.d/base-files
      /var/lib/dpkg/status.d/base-files.md5sums
      /var/lib/dpkg/status.d/libc6
      /var/lib/dpkg/status.d/libc6.md5sums
      /var/lib/dpkg/status.d/libruby3.3
      /var/lib/dpkg/status.d/libruby3.3.md5sums
      /var/lib/dpkg/status.d/libyaml-0-2
      /var/lib/dpkg/status.d/libyaml-0-2.md5sums
      /var/lib/dpkg/status.d/ruby
      /var/lib/dpkg/status.d/ruby.md5sums
      /var/lib/dpkg/status.d/ruby3.3
      /var/lib/dpkg/status.d/ruby3.3.md5sums
      /var/lib/dpkg/status.d/shell
      /var/lib/dpkg/status.d/shell.md5sums
      /var/lib/dpkg/status.d/tzdata
      /var/lib/dpkg/status.d/tzdata.md5sums
    operating-system small -
    library base-files pkg:deb/small/base-files@13?arch=amd64&distro=small-trixie
      /usr/lib/os-release
      /usr/share/doc/base-files/copyright
    library libc6 pkg:deb/small/libc6@2.41-12?arch=amd64&distro=small-trixie
      /usr/lib/locale/C.utf8/LC_CTYPE
      /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
      /usr/lib/x86_64-linux-gnu/libc.so.6
      /usr/share/doc/libc6/copyright
    library libruby3.3 pkg:deb/small/libruby3.3@3.3.8-2?arch=amd64&distro=small-trixie
      /usr/lib/ruby/3.3.0/set.rb
      /usr/lib/x86_64-linux-gnu/libruby-3.3.so.3.3.8
      /usr/lib/x86_64-linux-gnu/ruby/3.3.0/enc/euc_jp.so
      /usr/lib/x86_64-linux-gnu/ruby/3.3.0/psych.so
      /usr/lib/x86_64-linux-gnu/ruby/3.3.0/rbconfig.rb
      /usr/share/doc/libruby3.3/copyright
    library libyaml-0-2 pkg:deb/small/libyaml-0-2@0.2.5-2?arch=amd64&distro=small-trixie
      /usr/lib/x86_64-linux-gnu/libyaml-0.so.2.0.9
      /usr/share/doc/libyaml-0-2/copyright
    library ruby pkg:deb/small/ruby@1:3.3?arch=amd64&distro=small-trixie
      /usr/share/doc/ruby/copyright
    library ruby3.3 pkg:deb/small/ruby3.3@3.3.8-2?arch=amd64&distro=small-trixie&upstream=ruby-upstream%403.3.8-1
      /usr/bin/ruby3.3
      /usr/share/doc/ruby3.3/copyright
      /usr/share/rubygems-integration/all/specifications/default/json-1.2-x86_64-linux.gemspec
      /usr/share/rubygems-integration/all/specifications/rack-1.2.gemspec
    library shell pkg:deb/small/shell@5?arch=amd64&distro=small-trixie
      /usr/bin/shell
      /usr/share/doc/shell/copyright
    library tzdata pkg:deb/small/tzdata@2026b?arch=amd64&distro=small-trixie
      /usr/share/doc/tzdata/copyright
      /usr/share/zoneinfo/Asia/Tokyo
    library json pkg:gem/json@1.2?platform=x86_64-linux
    library rack pkg:gem/rack@1.2
    "#);
}

#[test]
fn documents_that_are_gone_changed_or_not_needed_are_put_right() {
    let mirror = mirror();
    let project = project(&mirror);
    project.build();
    let good = files_below(&project.root.join("dist"));
    let bytes = |files: &BTreeMap<PathBuf, (_, Vec<u8>)>| -> BTreeMap<PathBuf, Vec<u8>> {
        files.iter().map(|(path, (_, bytes))| (path.clone(), bytes.clone())).collect()
    };
    let blob = |file: &str| {
        let digest = digest(project.read(&format!("dist/{file}")).as_bytes());
        format!("dist/oci/blobs/sha256/{}", digest.trim_start_matches("sha256:"))
    };

    // Files: changed, gone, of an image that is not there, and somebody's own.
    let (spdx, cyclonedx) = (blob(SPDX), blob(CYCLONEDX));
    let changed = project.read(&format!("dist/{SPDX}")).replace("SPDX-2.3", "SPDX-3.2");
    project.write(&format!("dist/{SPDX}"), &changed);
    fs::remove_file(project.root.join("dist").join(CYCLONEDX)).expect("it is there");
    project.write("dist/sbom/tiny-1.8-sarge-amd64.spdx.json", "{}");
    project.write("dist/sbom/notes.txt", "mine");
    project.build();
    let mine = project.root.join("dist/sbom/notes.txt");
    assert_eq!(project.read("dist/sbom/notes.txt"), "mine");
    fs::remove_file(mine).expect("it is there");
    assert_eq!(bytes(&files_below(&project.root.join("dist"))), bytes(&good));

    // Blobs of the layout: damaged, gone.
    fs::remove_file(project.root.join(&spdx)).expect("it is there");
    fs::write(project.root.join(&cyclonedx), "{}").expect("it may be written");
    project.build();
    assert_eq!(bytes(&files_below(&project.root.join("dist"))), bytes(&good));

    // An image that is built alone leaves the documents of others alone; one that is gone takes its own along.
    project.run(&["build", "3.3-debug", "--no-check"]).good();
    assert_eq!(bytes(&files_below(&project.root.join("dist"))), bytes(&good));
    let image = project.read("images/tiny/image.toml");
    project.write(
        "images/tiny/image.toml",
        image.split("[[variants]]\nname = \"debug\"").next().expect("the rest"),
    );
    project.build();
    let left: Vec<String> = declared(&project).into_iter().filter(|name| name.contains("debug")).collect();
    assert_eq!(left, [""; 0]);
    assert_eq!(referrers(&project).len(), 2 * 2 * 2);
    project.assert_whole();
}

#[test]
fn a_new_document_takes_the_place_of_the_old_one_and_what_others_attached_stays() {
    let mirror = mirror();
    let project = project(&mirror);
    project.build();
    let layout = oci::Layout::open(&project.root.join("dist/oci")).expect("a layout");
    let image = layout.resolve("tiny:3.3-trixie").expect("the images");
    let subject = image.image(schema::Architecture::Amd64, oci::Prefer::Gzip).expect("the image").descriptor;
    // As an earlier version of the program would have written it, and as a person would.
    let writer = layout.writer().expect("the layout can be written");
    for (title, text) in
        [("tiny-3.3-trixie-amd64.spdx.json", "{\"old\":1}\n"), ("mine.spdx.json", "{\"mine\":1}\n")]
    {
        let text = text.as_bytes().to_vec();
        let artifact =
            oci::NewArtifact::new(&subject, "application/spdx+json", title, oci::NewBlob::new(text));
        writer.put_artifact(&artifact).expect("it can be put");
        writer
            .set_listing(|listing| {
                listing.refer([artifact.referrer.clone()]);
                Ok(())
            })
            .expect("it can be listed");
    }
    drop(writer);
    assert_eq!(layout.referrers().expect("the index").of(&subject.digest).count(), 4);
    project.build();
    let titles = referrers(&project).into_keys().filter(|[_, _, about]| *about == subject.digest.to_string());
    let titles: Vec<String> = titles.map(|[_, title, _]| title).collect();
    assert_eq!(
        titles,
        ["mine.spdx.json", "tiny-3.3-trixie-amd64.spdx.json", "tiny-3.3-trixie-amd64.cdx.json"]
    );
}

#[test]
fn a_gem_that_does_not_say_what_it_is() {
    let packages = ruby("3.3").into_iter().map(|package| match package.get("Package") {
        Some("ruby3.3") => package.file("usr/share/gems/specifications/odd.gemspec", "raise\n"),
        _ => package,
    });
    let mirror = Mirror::empty();
    mirror.publish(&suite("trixie", packages));
    mirror.publish_security(&Suite::new("trixie-security"));
    let project = Project::new(&mirror);
    project.edit(
        "images/tiny/image.toml",
        "path = \"/usr/bin/ruby\"",
        "path = \"/usr/share/gems/**\", why = \"gems\" },\n    { path = \"/usr/bin/ruby\"",
    );
    let outcome = project.run(&["build-all", "--no-check"]);
    assert_eq!(outcome.status, Some(2));
    insta::assert_snapshot!(outcome.errors, @r#"
    resolving the packages of trixie
    locked trixie amd64: 7 packages
    fetching 7 packages, 0.0 MB
    error: cannot list what tiny:3.3-trixie holds
      because: cannot read the gem's specification /usr/share/gems/specifications/odd.gemspec
      because: it makes no Gem::Specification
    hint: write it as RubyGems does, with literals, or leave it out with a rule under `[[drop]]` in image.toml
    "#);
}

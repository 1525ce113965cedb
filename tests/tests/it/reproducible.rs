//! The same inputs give the same digest, on any machine, in any folder, at any time, with any number of threads: of every
//! image and index, of what they declare, and of the record.

use std::collections::BTreeMap;

use fs_err as fs;
use testkit::archive::Suite;
use testkit::deb::Packing;

use crate::mirror::{Mirror, NEXT_DAY, ruby, suite};
use crate::project::Project;

const BUILD: [&str; 4] = ["build-all", "--no-check", "--variant", "all"];

/// One variant of each kind: another configuration, a layer of its own, packages that are installed.
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
packages = ["tzdata"]

[[variants.layers]]
name = "debug"
roots = [{ path = "/usr/share/zoneinfo/**", why = "zones" }]
files = [{ path = "/etc/motd", link = "passwd", why = "a link" }]

[[variants]]
name = "dev"
why = "everything"
on-demand = true

[[variants.layers]]
name = "dev"
installed = true
roots = []
files = [{ path = "/etc/apt/sources.list", generate = "apt-sources", why = "where packages come from" }]
"#;

/// A project whose image has variants.
fn project(mirror: &Mirror) -> Project {
    let project = Project::new(mirror);
    let image = project.read("images/tiny/image.toml");
    project.write("images/tiny/image.toml", &format!("{image}{VARIANTS}"));
    project
}

/// On every machine it is this one. It changes with the fixture, and with whatever changes the bytes of images.
#[test]
fn the_digest_of_an_image() {
    insta::assert_snapshot!(Project::undisturbed(&Mirror::start())["tiny:3.3-trixie"], @"sha256:8eadf58cc3421cadd153f262901704645fa7eab243cd7166506769da55bdf984");
}

#[test]
fn nothing_around_a_build_changes_the_digest() {
    let mirror = Mirror::start();
    let undisturbed = project(&mirror);
    undisturbed.run(&BUILD).good();
    assert_eq!(undisturbed.images().len(), 15, "three names of five endings");
    let wanted = undisturbed.products();
    let declared = wanted.keys().filter(|file| file.starts_with("sbom/"));
    assert_eq!(declared.count(), 8, "four variants in two formats");
    let same = |what: &str, bend: &dyn Fn(&Project) -> std::process::Command| {
        let project = project(&mirror);
        let mut command = bend(&project);
        project.outcome(&mut command).good();
        assert_eq!(project.products(), wanted, "{what}");
    };
    for threads in ["1", "8"] {
        same("threads of the library", &|project| {
            let mut command = project.command(&BUILD);
            command.env("RAYON_NUM_THREADS", threads);
            command
        });
        same("jobs", &|project| project.command(&[&BUILD[..], &["--jobs", threads]].concat()));
    }
    for (name, value) in [("TZ", "Asia/Tokyo"), ("LC_ALL", "tr_TR.UTF-8"), ("SOURCE_DATE_EPOCH", "1")] {
        same(name, &|project| {
            let mut command = project.command(&BUILD);
            command.env(name, value);
            command
        });
    }
    for umask in ["umask 000; exec \"$@\"", "umask 077; exec \"$@\""] {
        same(umask, &|project| project.command_through(&["sh", "-c", umask, "sh"], &BUILD));
    }
    same("modes and times of the project's files", &|project| {
        let files = ["matrix.toml", "images/tiny/image.toml", "images/tiny/passwd"];
        for file in files.map(|file| project.root.join(file)) {
            let mut permissions = fs::metadata(&file).unwrap().permissions();
            permissions.set_readonly(true);
            fs::set_permissions(&file, permissions).unwrap();
            let file = fs::File::open(&file).unwrap();
            file.file().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        }
        project.command(&BUILD)
    });
}

#[test]
fn how_a_mirror_serves_packages_does_not_change_the_digest() {
    let wanted = Project::undisturbed(&Mirror::start());
    let same = |what: &str, served: &Suite| {
        let mirror = Mirror::empty();
        mirror.publish(served);
        mirror.publish_security(&Suite::new("trixie-security"));
        assert_eq!(Project::undisturbed(&mirror), wanted, "{what}");
    };
    same("another order", &suite("trixie", ruby("3.3").into_iter().rev()));
    same("another date", &suite("trixie", ruby("3.3")).date(NEXT_DAY));
    same("no hashes in names", &suite("trixie", ruby("3.3")).without_by_hash());
    for packing in [Packing::None, Packing::Xz, Packing::Zstd] {
        let packages = ruby("3.3").into_iter().map(|package| package.packing(packing));
        same("another packing of packages", &suite("trixie", packages));
    }
    for packing in [Packing::None, Packing::Gzip] {
        same("another packing of the index", &suite("trixie", ruby("3.3")).packings(&[packing]));
    }
}

#[test]
fn what_a_cache_already_has_does_not_change_the_digest() {
    let mirror = Mirror::start();
    let project = project(&mirror);
    let mut digests = BTreeMap::new();
    for round in 0..2 {
        for compression in ["gzip", "zstd", "both"] {
            for release in [&[][..], &["--release"]] {
                let text = project.read("matrix.toml");
                project.write("matrix.toml", &format!("compression = \"{compression}\"\n{text}"));
                project.run(&[&BUILD[..], release].concat()).good();
                project.write("matrix.toml", &text);
                let products = project.products();
                let before = digests.insert((compression, release.len()), products.clone());
                assert!(before.is_none_or(|before| before == products), "{compression} {release:?}");
            }
        }
        // The second time around, the layout is new, and all layers come from the cache.
        assert_eq!(digests.len(), 6, "round {round}");
        fs::remove_dir_all(project.root.join("dist")).unwrap();
    }
    assert_ne!(digests[&("gzip", 0)], digests[&("zstd", 0)]);
    assert_ne!(digests[&("gzip", 0)], digests[&("both", 0)]);
}

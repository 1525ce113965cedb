//! Rubies from images that somebody else built, through a real registry, as skopeo pushed them; and from files of the
//! project. The packages of the distro come from a mirror, as for every row.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fs_err as fs;
use sha2::{Digest, Sha256};
use testkit::docker_registry::DockerRegistry;
use testkit::elf::Elf;
use testkit::tar::{Member, Tar};
use testkit::web::{Answer, Reply, Server};

use crate::mirror::{Mirror, program};
use crate::program::{Outcome, workspace};
use crate::project::{Project, files_below};
use crate::tarballs::{bill, named};
use crate::{real, skip};

const STATUS: &str = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.41-1\n\n\
    Package: libyaml-0-2\nStatus: install ok installed\nMulti-Arch: same\nArchitecture: amd64\nVersion: 0.2.5-2\n";

const RBCONFIG: &str = r#"module RbConfig
  TOPDIR = File.dirname(__FILE__).chomp!("/lib/ruby/3.4.0/x86_64-linux")
  CONFIG["prefix"] = (TOPDIR || DESTDIR + "/usr/local")
  CONFIG["RUBY_PROGRAM_VERSION"] = "3.4.5"
  CONFIG["ruby_version"] = "3.4.0"
  CONFIG["ruby_install_name"] = "ruby"
  CONFIG["arch"] = "x86_64-linux"
  CONFIG["bindir"] = "$(prefix)/bin"
  CONFIG["libdir"] = "$(prefix)/lib"
  CONFIG["rubylibprefix"] = "$(libdir)/ruby"
  CONFIG["rubylibdir"] = "$(rubylibprefix)/$(ruby_version)"
  CONFIG["rubyarchdir"] = "$(rubylibdir)/$(arch)"
  CONFIG["LIBRUBY_SO"] = "libruby.so.3.4.5"
end
"#;

/// The layers of an image like the official one: a Debian with a library of a package, and a Ruby in `/usr/local`; of what
/// the first has the second takes something away, empties a folder and names a file twice.
fn layers() -> [Vec<u8>; 2] {
    let triplet = "usr/lib/x86_64-linux-gnu";
    let object = |path: &str, elf: Elf| Member::file(path, elf.build());
    // Of other files than are there: they changed after they were installed.
    let sum = "d41d8cd98f00b204e9800998ecf8427e";
    let md5sums = format!("{sum}  {triplet}/libyaml-0.so.2\n{sum}  usr/share/doc/libyaml-0-2/copyright\n");
    let debian = Tar::new()
        .symlink("lib", "usr/lib")
        .symlink("lib64", "usr/lib64")
        .file("etc/ld.so.conf", "/usr/local/lib\n")
        .file("etc/ld.so.cache", "what its loader found")
        .file("var/lib/dpkg/status", STATUS)
        .file(
            "var/lib/dpkg/info/libc6.list",
            format!("/lib/x86_64-linux-gnu/libc.so.6\n/{triplet}/libextra.so\n"),
        )
        .file(
            "var/lib/dpkg/info/libyaml-0-2:amd64.list",
            format!("/{triplet}/libyaml-0.so.2\n/usr/share/doc/libyaml-0-2/copyright\n"),
        )
        .file("var/lib/dpkg/info/libyaml-0-2:amd64.md5sums", md5sums)
        .add(object(&format!("{triplet}/libc.so.6"), Elf::library("libc.so.6").needs("libnowhere.so")))
        .add(object(&format!("{triplet}/libyaml-0.so.2"), Elf::library("libyaml-0.so.2").needs("libc.so.6")))
        .file("usr/share/doc/libyaml-0-2/copyright", "libyaml is free\n")
        .file("usr/local/lib/ruby/3.4.0/old.rb", "")
        .file("usr/local/lib/ruby/3.4.0/json/old.rb", "");
    let library = "usr/local/lib/ruby/3.4.0";
    let ruby = Tar::new()
        .add(program("usr/local/bin/ruby", Elf::program().needs("libruby.so.3.4").needs("libc.so.6").build()))
        .symlink("usr/local/lib/libruby.so.3.4", "libruby.so.3.4.5")
        .add(object("usr/local/lib/libruby.so.3.4.5", Elf::library("libruby.so.3.4").needs("libc.so.6")))
        .file(format!("{library}/x86_64-linux/rbconfig.rb"), RBCONFIG)
        .add(object(&format!("{library}/x86_64-linux/psych.so"), Elf::dynamic().needs("libyaml-0.so.2")))
        .file(format!("{library}/.wh.old.rb"), "")
        .file(format!("{library}/json/.wh..wh..opq"), "")
        .file(format!("{library}/json/new.rb"), "")
        .file(format!("{library}/set.rb"), "class Set; end\n")
        .hard_link(format!("{library}/set/again.rb"), format!("{library}/set.rb"))
        .file("usr/local/share/man/man1/ruby.1", "a page");
    [debian.finish(), ruby.finish()]
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Writes an image as `docker save` does.
pub(crate) fn save(layers: &[Vec<u8>], architecture: &str, to: &Path) -> PathBuf {
    let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", hex(layer))).collect();
    let config = serde_json::json!({
        "architecture": architecture,
        "os": "linux",
        "config": { "Env": ["RUBY_VERSION=of somebody else"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let names: Vec<String> = layers.iter().map(|layer| format!("{}.tar", hex(layer))).collect();
    let manifest =
        serde_json::json!([{ "Config": "config.json", "RepoTags": ["ruby:3.4"], "Layers": names }]);
    let tar = Tar::new().file("config.json", config.to_string()).file("manifest.json", manifest.to_string());
    let tar = names.iter().zip(layers).fold(tar, |tar, (name, layer)| tar.file(name, layer));
    fs::write(to, tar.finish()).expect("an archive");
    to.to_owned()
}

fn skopeo(arguments: &[&str]) {
    let output = Command::new("skopeo").args(arguments).output();
    let output = output.expect("skopeo starts: it is the Debian package of that name");
    assert!(output.status.success(), "skopeo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Pushes an archive, its layers compressed so.
fn push(archive: &Path, server: &DockerRegistry, tag: &str, compression: &str) {
    let from = format!("docker-archive:{}", archive.display());
    let to = format!("docker://{}/ruby:{tag}", server.host());
    let compress = ["--dest-compress", "--dest-compress-format", compression, "--format", "oci"];
    skopeo(&[&["copy", "--quiet", "--dest-tls-verify=false"], &compress[..], &[&from, &to]].concat());
}

/// A project whose row has its Ruby from this image.
fn project(mirror: &Mirror, image: &str) -> Project {
    let project = Project::new(mirror);
    project.edit("matrix.toml", "ruby = \"3.3\"", "ruby = \"3.4\"");
    project.edit("matrix.toml", "{ package = \"ruby\" }", &format!("{{ image = \"{image}\" }}"));
    project.edit("images/tiny/image.toml", "\"/usr/bin/ruby\", why", "\"{prefix}/bin/ruby\", why");
    project.edit("images/tiny/image.toml", "\"base-files\",", "\"base-files\", \"libc6\",");
    let overlook = "\n[[overlook]]\npaths = [\"/etc/ld.so.cache\"]\nwhy = \"true of that image\"\n";
    project.write("images/tiny/image.toml", &(project.read("images/tiny/image.toml") + overlook));
    project
}

/// The files of an image.
pub(crate) fn files(project: &Project, image: &str) -> Vec<String> {
    let out = project.folder().join("out");
    let output = out.display().to_string();
    project.run(&["export", image, "--format", "dir", "--force", "--output", &output]).good();
    let path = |path: PathBuf| path.strip_prefix(&out).expect("below it").display().to_string();
    files_below(&out).into_keys().map(path).collect()
}

fn masked(mut outcome: Outcome, server: &DockerRegistry) -> Outcome {
    for text in [&mut outcome.output, &mut outcome.errors] {
        *text = text.replace(server.host(), "[registry]");
    }
    outcome
}

#[test]
fn a_ruby_and_what_it_needs_are_taken_from_an_image_on_the_packages_of_the_distro() {
    let (mirror, server) = (Mirror::start(), DockerRegistry::start());
    let project = project(&mirror, "registry.invalid/ruby:gzip");
    let archive = save(&layers(), "amd64", &project.folder().join("image.tar"));
    push(&archive, &server, "gzip", "gzip");
    push(&archive, &server, "zstd", "zstd");
    // A mirror is asked first, and has it.
    let mirrors = format!("\n[registries.\"registry.invalid\"]\nmirrors = [\"{}\"]\n", server.host());
    project.write("matrix.toml", &(project.read("matrix.toml") + &mirrors));
    insta::assert_snapshot!(masked(project.run(&["build-all", "--no-check"]), &server), @"
    status 0
    -- errors
    resolving the packages of trixie
    pulling registry.invalid/ruby:gzip, 0.0 MB
    locked trixie amd64: 3 packages
    locked registry.invalid/ruby:gzip amd64: sha256:[digest]
    fetching 3 packages, 0.0 MB
    built tiny:3.4-trixie: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    ");
    insta::assert_snapshot!(files(&project, "tiny:3.4").join("\n"), @"
    bin
    etc/ld.so.cache
    etc/ld.so.conf
    etc/os-release
    etc/passwd
    lib
    lib64
    sbin
    usr/lib/locale/C.utf8/LC_CTYPE
    usr/lib/os-release
    usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
    usr/lib/x86_64-linux-gnu/libc.so.6
    usr/lib/x86_64-linux-gnu/libyaml-0.so.2
    usr/lib64/ld-linux-x86-64.so.2
    usr/local/bin/ruby
    usr/local/lib/libruby.so.3.4
    usr/local/lib/libruby.so.3.4.5
    usr/local/lib/ruby/3.4.0/json/new.rb
    usr/local/lib/ruby/3.4.0/set/again.rb
    usr/local/lib/ruby/3.4.0/set.rb
    usr/local/lib/ruby/3.4.0/x86_64-linux/psych.so
    usr/local/lib/ruby/3.4.0/x86_64-linux/rbconfig.rb
    usr/share/doc/base-files/copyright
    usr/share/doc/libc6/copyright
    usr/share/doc/libyaml-0-2/copyright
    usr/share/doc/tzdata/copyright
    usr/share/zoneinfo/Asia/Tokyo
    var/lib/dpkg/status.d/base-files
    var/lib/dpkg/status.d/base-files.md5sums
    var/lib/dpkg/status.d/libc6
    var/lib/dpkg/status.d/libc6.md5sums
    var/lib/dpkg/status.d/libyaml-0-2
    var/lib/dpkg/status.d/libyaml-0-2.md5sums
    var/lib/dpkg/status.d/tzdata
    var/lib/dpkg/status.d/tzdata.md5sums
    ");
    insta::assert_snapshot!(masked(project.run(&["why", "tiny:3.4", "/usr/lib/x86_64-linux-gnu/libyaml-0.so.2"]), &server), @"
    status 0
    -- output
    /usr/lib/x86_64-linux-gnu/libyaml-0.so.2 is in the layer `ruby`, from package libyaml-0-2 0.2.5-2
      NEEDED libyaml-0.so.2 of /usr/local/lib/ruby/3.4.0/x86_64-linux/psych.so
        native extension of /usr/local/lib/ruby/3.4.0/x86_64-linux/rbconfig.rb
          configuration of /usr/local/bin/ruby
            root: the interpreter
    ");
    let out = project.folder().join("out");
    let status = out.join("var/lib/dpkg/status.d");
    let sums = status.join("libyaml-0-2.md5sums");
    let checked =
        Command::new("md5sum").arg("--check").arg(&sums).current_dir(&out).output().expect("md5sum starts");
    assert_eq!(String::from_utf8_lossy(&checked.stdout).lines().count(), 2, "{checked:?}");
    assert!(checked.status.success(), "the sums are those of the files: {checked:?}");
    let libc = fs::read_to_string(status.join("libc6")).expect("the record of the package of the row");
    assert!(libc.contains("Version: 2.41-12\n"), "{libc}");

    // Bills of materials name the image and the Ruby.
    let pulled = bill(&project, "tiny-3.4-trixie-amd64.spdx.json");
    let image = named(&pulled["packages"], "registry.invalid/ruby");
    let lock = project.read("matrix.lock");
    let digest = image["checksums"][0]["checksumValue"].as_str().expect("a digest");
    assert!(lock.contains(&format!("digest = \"sha256:{digest}\"")), "{digest}");
    let url = |component: &serde_json::Value| component["externalRefs"][0]["referenceLocator"].clone();
    let wanted = format!("pkg:oci/ruby@sha256:{digest}?repository_url=registry.invalid%2Fruby&tag=gzip");
    assert_eq!(url(image), wanted);
    assert_eq!(url(named(&pulled["packages"], "ruby")), "pkg:generic/ruby@3.4.5");
    let pulled = bill(&project, "tiny-3.4-trixie-amd64.cdx.json");
    let ancestors = &pulled["metadata"]["component"]["pedigree"]["ancestors"];
    assert_eq!(ancestors[0]["hashes"][0]["content"], digest);
    let ruby = named(&pulled["components"], "ruby")["components"].as_array().expect("its files").iter();
    let ruby: Vec<&str> = ruby.map(|file| file["name"].as_str().expect("a path")).collect();
    insta::assert_snapshot!(ruby.join("\n"), @"
    /usr/local/bin/ruby
    /usr/local/lib/libruby.so.3.4.5
    /usr/local/lib/ruby/3.4.0/json/new.rb
    /usr/local/lib/ruby/3.4.0/set.rb
    /usr/local/lib/ruby/3.4.0/set/again.rb
    /usr/local/lib/ruby/3.4.0/x86_64-linux/psych.so
    /usr/local/lib/ruby/3.4.0/x86_64-linux/rbconfig.rb
    ");
    // The same layers in another compression are the same Ruby, and the lock keeps them when the tag moves.
    let digests = project.images();
    project.edit("matrix.toml", "ruby:gzip", "ruby:zstd");
    project.run(&["build-all", "--no-check"]).good();
    assert_eq!(
        project.index("tiny:3.4")["manifests"],
        project.document(&digests["tiny:3.4"].clone().into())["manifests"]
    );
    let [debian, ruby] = layers();
    push(&save(&[ruby, debian], "amd64", &archive), &server, "zstd", "zstd");
    insta::assert_snapshot!(masked(project.run(&["build-all", "--no-check", "--locked"]), &server), @"
    status 0
    -- errors
    unchanged tiny:3.4-trixie: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    ");
    let updated = masked(project.run(&["update", "--dry-run"]), &server);
    assert!(updated.output.contains("locked registry.invalid/ruby:zstd amd64: sha256:"), "{updated}");
}

#[test]
fn killed_while_it_pulls_the_next_run_is_right() {
    let (mirror, server) = (Mirror::start(), DockerRegistry::start());
    let image = format!("{}/ruby:3.4", server.host());
    let undisturbed = project(&mirror, &image);
    let archive = save(&layers(), "amd64", &undisturbed.folder().join("image.tar"));
    push(&archive, &server, "3.4", "gzip");
    let before = server.whole_log().len();
    undisturbed.build();
    let requests = server.whole_log().len() - before;
    // The index or manifest, the configuration and two layers, at least.
    assert!(requests > 3, "{requests}");
    let mut killed = 0;
    for count in 1..=requests {
        let project = project(&mirror, &image);
        server.whole_log();
        let before = server.log().len();
        let mut command = project.command(&["build-all", "--no-check"]);
        let mut run = command.stderr(Stdio::null()).spawn().expect("the program starts");
        while server.log().len() < before + count && run.try_wait().expect("it can be waited for").is_none() {
            std::thread::yield_now();
        }
        run.kill().expect("it can be killed");
        killed += usize::from(run.wait().expect("it ends").signal().is_some());
        assert!(project.images().is_empty() || project.images() == undisturbed.images(), "{count}");
        project.build();
        assert_eq!(project.images(), undisturbed.images(), "killed after request {count}");
        project.assert_whole();
    }
    assert!(killed > 0, "none was killed in time");
}

#[test]
fn rows_share_what_is_below_the_ruby() {
    let mirror = Mirror::start();
    let project = project(&mirror, "docker-archive:ruby.tar:ruby:3.4");
    save(&layers(), "amd64", &project.root.join("ruby.tar"));
    let row = "\n[[rows]]\nruby = \"3.3\"\ndistro = \"trixie\"\nsource = { package = \"ruby\" }\n";
    project.write("matrix.toml", &(project.read("matrix.toml") + row));
    project.build();
    let base = |name: &str| {
        let manifest = project.document(&project.index(name)["manifests"][0]["digest"]);
        manifest["layers"][0]["digest"].clone()
    };
    assert_eq!(base("tiny:3.4"), base("tiny:3.3"));
}

#[test]
fn an_image_of_a_registry_is_asked_for_where_its_row_is() {
    let mirror = Mirror::start();
    let project = project(&mirror, "registry.invalid/ruby:3.4");
    project.edit("matrix.toml", "ruby = \"3.4\"\n", "ruby = \"3.4\"\ngroup = \"upstream\"\n");
    let row = "\n[[rows]]\nruby = \"3.3\"\ndistro = \"trixie\"\nsource = { package = \"ruby\" }\n";
    project.write("matrix.toml", &(project.read("matrix.toml") + row));
    project.build();
    project.build();
    insta::assert_snapshot!(project.run(&["update", "--dry-run"]), @"
    status 0
    -- output
    the lock has the same packages as before
    -- errors
    resolving the packages of trixie
    ");
    insta::assert_snapshot!(project.run(&["build-all", "--group", "upstream", "--locked"]), @"
    status 2
    -- errors
    error: matrix.lock does not have the image registry.invalid/ruby:3.4 for amd64, and may not change
    hint: leave `--locked` out, so that the image that it is now is locked
    ");
    insta::assert_snapshot!(project.run(&["build-all", "--group", "upstream", "--offline"]), @"
    status 2
    -- errors
    error: cannot pull `registry.invalid/ruby:3.4`
      because: offline, and registry.invalid/ruby:3.4 is not in the cache
    hint: run once without `--offline`
    ");
}

#[test]
fn an_image_is_for_every_architecture_that_it_has() {
    let (mirror, server) = (Mirror::for_amd64_and_arm64(), DockerRegistry::start());
    // What our own images are: an index over two architectures, each in gzip and zstd.
    let first = Project::new(&mirror);
    first.edit("matrix.toml", "[\"amd64\"]", "[\"amd64\", \"arm64\"]");
    first.build();
    first.run(&["push", "--to", &format!("{}/tiny", server.host())]).good();

    let second = project(&mirror, &format!("{}/tiny:3.3", server.host()));
    second.edit("matrix.toml", "ruby = \"3.4\"", "ruby = \"3.3\"");
    second.edit("matrix.toml", "[\"amd64\"]", "[\"amd64\", \"arm64\"]");
    second.build();
    let ruby = |project: &Project| -> Vec<String> {
        files(project, "tiny:3.3")
            .into_iter()
            .filter(|path| path.starts_with("usr/") && !path.contains("/doc/") && path.contains("ruby"))
            .collect()
    };
    assert_eq!(ruby(&second), ruby(&first));
    assert_eq!(second.read("matrix.lock").matches("[[images]]").count(), 2);
}

#[test]
fn what_is_no_image_with_that_ruby_is_told() {
    let mirror = Mirror::start();
    let [debian, ruby] = layers();
    let case = |image: &str, prepare: &dyn Fn(&Project)| {
        let project = project(&mirror, image);
        prepare(&project);
        project.run(&["build-all", "--no-check"])
    };
    let archive = |project: &Project| project.root.join("ruby.tar");
    insta::assert_snapshot!(case("docker-archive:ruby.tar", &|_| {}), @"
    status 2
    -- errors
    resolving the packages of trixie
    error: cannot use the image docker-archive:ruby.tar
      because: its archive cannot be read
      because: failed to open file `[project]/ruby.tar`: No such file or directory (os error 2)
    ");
    insta::assert_snapshot!(case("docker-archive:ruby.tar", &|project| {
        save(&[debian.clone(), ruby.clone()], "arm64", &archive(project));
    }), @"
    status 2
    -- errors
    resolving the packages of trixie
    error: cannot use the image docker-archive:ruby.tar
      because: it is for linux/arm64, and not for linux/amd64
    ");
    insta::assert_snapshot!(case("docker-archive:ruby.tar:ruby:3.3", &|project| {
        save(&[debian.clone(), ruby.clone()], "amd64", &archive(project));
    }), @"
    status 2
    -- errors
    resolving the packages of trixie
    error: cannot use the image docker-archive:ruby.tar:ruby:3.3
      because: it has the images ruby:3.4
    hint: say which in matrix.toml, as `docker-archive:FILE:NAME`
    ");
    insta::assert_snapshot!(case("docker-archive:ruby.tar", &|project| {
        save(std::slice::from_ref(&debian), "amd64", &archive(project));
    }), @"
    status 2
    -- errors
    resolving the packages of trixie
    error: cannot use the image docker-archive:ruby.tar
      because: it has no Ruby 3.4, nor any other in /usr/local or /usr
    hint: take another image, or write the Ruby that this one has into matrix.toml
    ");
    insta::assert_snapshot!(case("docker-archive:ruby.tar", &|project| {
        project.edit("matrix.toml", "ruby = \"3.4\"", "ruby = \"3.3\"");
        save(&[debian.clone(), ruby.clone()], "amd64", &archive(project));
    }), @"
    status 2
    -- errors
    resolving the packages of trixie
    error: cannot use the image docker-archive:ruby.tar
      because: it has no Ruby 3.3, but Ruby 3.4.5 in /usr/local
    hint: take another image, or write the Ruby that this one has into matrix.toml
    ");
    insta::assert_snapshot!(case("docker-archive:ruby.tar", &|project| {
        // A layer that is not the one that the configuration names.
        let path = save(&[debian.clone(), ruby.clone()], "amd64", &archive(project));
        let mut bytes = fs::read(&path).expect("the archive");
        let at = bytes.windows(14).position(|window| window == b"class Set; end").expect("its text");
        bytes[at] = b'k';
        fs::write(&path, bytes).expect("another archive");
    }), @"
    status 2
    -- errors
    resolving the packages of trixie
    error: cannot use the image docker-archive:ruby.tar
      because: cannot unpack its layer sha256:[digest]
      because: its tar has the digest sha256:[digest], the configuration names sha256:[digest]
    ");
    insta::assert_snapshot!(case("oci:layout", &|_| {}), @"
    status 2
    -- errors
    resolving the packages of trixie
    error: cannot use the image oci:layout
      because: cannot find an image layout: there is no file `oci-layout` (image layout `[project]/layout`)
    hint: write the layout anew, as `skopeo copy SOURCE oci:FOLDER:NAME` does
    ");
}

#[test]
fn a_file_that_changed_since_it_was_locked_is_told() {
    let mirror = Mirror::start();
    let project = project(&mirror, "docker-archive:ruby.tar");
    let [debian, ruby] = layers();
    save(&[debian.clone(), ruby.clone()], "amd64", &project.root.join("ruby.tar"));
    project.build();
    save(&[ruby, debian], "amd64", &project.root.join("ruby.tar"));
    project.edit("images/tiny/image.toml", "why = \"the interpreter\"", "why = \"the program\"");
    insta::assert_snapshot!(project.run(&["build-all", "--no-check"]), @"
    status 2
    -- errors
    error: cannot use the image docker-archive:ruby.tar
      because: it has the digest sha256:[digest], and matrix.lock says sha256:[digest]
    hint: `cargo xtask update` locks the image that is there now
    ");
    project.run(&["update"]).good();
    project.run(&["build-all", "--no-check"]).good();
}

#[test]
fn a_registry_that_has_had_enough_is_explained() {
    let mirror = Mirror::start();
    let server = Server::start();
    let limited = || Reply::Answer(Answer::new(429).header("Retry-After", "3600").body("{}"));
    server.page("/v2/ruby/manifests/3.4", "").script("/v2/ruby/manifests/3.4", [limited()]);
    let host = server.url("").replace("http://", "");
    let project = project(&mirror, &format!("{host}/ruby:3.4"));
    let mut outcome = project.run(&["build-all", "--no-check"]);
    outcome.errors = outcome.errors.replace(&host, "[registry]");
    insta::assert_snapshot!(outcome, @"
    status 2
    -- errors
    resolving the packages of trixie
    error: cannot pull `[registry]/ruby:3.4`
      because: the registry limits how much is pulled, and asks to wait 3600 s ({}): http://[registry]/v2/ruby/manifests/3.4
    hint: wait, log in with `docker login` for a larger limit, or name a mirror; what was fetched so far is kept
    ");
}

#[test]
fn the_real_ruby_of_an_image_is_the_one_of_its_packages() {
    let (packaged, taken) = (real::project("packaged"), real::project("taken"));
    let _turn = real::one_for_building();
    let built = real::build(packaged.path(), "packaged:3.3-trixie")
        .and_then(|()| real::build(packaged.path(), "packaged:3.3-trixie-dev"));
    if let Err(why) = built {
        return skip("a real Ruby from an image", &why);
    }
    let wanted = real_files(packaged.path(), "packaged:3.3-trixie");

    real::with_own_cache(&taken);
    // With a compiler, a package manager and hundreds of other files around it.
    fs::rename(packaged.path().join("dist/oci"), taken.path().join("vendor")).expect("its layout");
    let matrix = fs::read_to_string(taken.path().join("matrix.toml")).expect("the matrix");
    let row = "{ image = \"oci:vendor:packaged:3.3-trixie-dev\" }";
    fs::write(taken.path().join("matrix.toml"), matrix.replacen("{ package = \"ruby\" }", row, 1))
        .expect("a matrix");
    let arguments = ["build", "taken:3.3-trixie", "--no-check", "--offline", "--arch", &real::host()];
    real::run(taken.path(), &arguments).expect("it builds from what is there");
    assert_eq!(real_files(taken.path(), "taken:3.3-trixie"), wanted);
}

#[test]
fn the_ruby_of_an_official_image_is_the_one_that_is_compiled() {
    let (official, compiled, taken) =
        (real::official("official"), real::project("compiled"), real::project("taken"));
    let _turn = real::one_for_building();
    let built = real::build(official.path(), "official:3.4-trixie-dev")
        .and_then(|()| real::build(compiled.path(), "compiled:3.4-trixie"));
    if let Err(why) = built {
        return skip("the Ruby of an official image beside a compiled one", &why);
    }
    real::with_own_cache(&taken);
    fs::rename(official.path().join("dist/oci"), taken.path().join("vendor")).expect("its layout");
    let matrix = fs::read_to_string(taken.path().join("matrix.toml")).expect("the matrix");
    let row = "{ image = \"oci:vendor:official:3.4-trixie-dev\" }";
    let matrix = matrix.replacen("{ tarball = \"3.4.5\" }", row, 1);
    fs::write(taken.path().join("matrix.toml"), matrix).expect("a matrix");
    // The one for building too: what is built in it is for the same Ruby, and dpkg knows its packages.
    let arguments = ["build", "taken:3.4-trixie", "--no-check", "--offline", "--arch", &real::host()];
    real::run(taken.path(), &arguments).expect("it builds from what is there");
    let files = |project: &Path, image: &str| {
        let of_image = real_files(project, image);
        let out = project.join("out");
        let digest = |path: PathBuf| {
            let bytes = fs::read(out.join(&path)).unwrap_or_default();
            (path, hex(&bytes))
        };
        of_image.into_iter().map(digest).collect::<Vec<_>>()
    };
    let wanted = files(compiled.path(), "compiled:3.4-trixie");
    assert!(wanted.iter().any(|(path, _)| path.ends_with("usr/local/lib/ruby/3.4.0/set.rb")));
    assert_eq!(files(taken.path(), "taken:3.4-trixie"), wanted);
}

#[test]
fn the_environment_is_that_of_the_official_image() {
    let text = fs::read_to_string(workspace().join("images/ruby/image.toml")).expect("the description");
    let image = schema::image::ImageSpec::parse("image.toml", &text).expect("a description");
    // What the Dockerfile of the official image sets with ENV; the address and the digest of its tarball are for itself.
    for (name, value) in [
        ("LANG", "C.UTF-8"),
        ("RUBY_VERSION", "{ruby}"),
        ("GEM_HOME", "/usr/local/bundle"),
        ("BUNDLE_SILENCE_ROOT_WARNING", "1"),
        ("BUNDLE_APP_CONFIG", "/usr/local/bundle"),
        ("PATH", "/usr/local/bundle/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ] {
        assert_eq!(image.config.environment.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(image.config.command, ["irb"]);
    let made = image.layers.iter().flat_map(|layer| &layer.files);
    let bundle = made.clone().find(|file| file.path.as_str() == "/usr/local/bundle").expect("GEM_HOME");
    assert_eq!(bundle.mode.map(schema::image::Mode::bits), Some(0o1777));
    assert!(made.clone().any(|file| file.path.as_str() == "/usr/local/etc/gemrc"));
}

/// The files of a real image.
fn real_files(project: &Path, image: &str) -> Vec<PathBuf> {
    let out = project.join("out");
    let output = out.display().to_string();
    real::run(project, &["export", image, "--format", "dir", "--output", &output]).expect("an export");
    let files = files_below(&out).into_keys();
    files.map(|path| path.strip_prefix(&out).expect("below it").to_owned()).collect()
}

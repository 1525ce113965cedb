//! Rows that stand on an image that somebody else built: its layers are the lowest ones, and what it has stays.

use fs_err as fs;
use testkit::elf::Elf;
use testkit::tar::{Member, Tar};

use crate::mirror::Mirror;
use crate::project::Project;
use crate::tarballs::{bill, named};
use crate::upstream::{files, hex, save};

/// A base like the distroless ones: packages below `status.d`, users of its own, and no dpkg.
fn layers() -> [Vec<u8>; 2] {
    let triplet = "usr/lib/x86_64-linux-gnu";
    let libc = Elf::library("libc.so.6").build();
    let sum = "d41d8cd98f00b204e9800998ecf8427e";
    let sums = format!("{sum}  {triplet}/libc.so.6\n{sum}  {triplet}/ld-linux-x86-64.so.2\n");
    let base = Tar::new()
        .symlink("lib", "usr/lib")
        .symlink("lib64", "usr/lib64")
        .file("etc/passwd", "nonroot:x:65532:65532:of the base:/:/none\n")
        .file("etc/os-release", "ID=small\nVERSION_ID=13-base\n")
        .file("etc/motd", "nothing needs it, and it stays\n")
        .file("etc/gone", "taken away above");
    let libc = Tar::new()
        .file("etc/.wh.gone", "")
        .file("usr/lib/locale/C.utf8/LC_CTYPE", "letters")
        .file("var/lib/dpkg/status.d/libc6", "Package: libc6\nArchitecture: amd64\nVersion: 2.36-9\n")
        .file("var/lib/dpkg/status.d/libc6.md5sums", sums)
        .add(Member::file(format!("{triplet}/libc.so.6"), libc))
        .add(
            Member::file(
                format!("{triplet}/ld-linux-x86-64.so.2"),
                Elf::library("ld-linux-x86-64.so.2").build(),
            )
            .mode(0o755),
        )
        .symlink("usr/lib64/ld-linux-x86-64.so.2", "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
    [base.finish(), libc.finish()]
}

fn project(mirror: &Mirror) -> Project {
    let project = Project::new(mirror);
    let source = "source = { package = \"ruby\" }\n";
    project.edit("matrix.toml", source, &format!("{source}base = \"docker-archive:base.tar\"\n"));
    save(&layers(), "amd64", &project.root.join("base.tar"));
    project
}

#[test]
fn its_layers_are_the_lowest_and_what_it_has_stays() {
    let mirror = Mirror::start();
    let project = project(&mirror);
    insta::assert_snapshot!(project.run(&["build-all", "--no-check"]), @"
    status 0
    -- errors
    resolving the packages of trixie
    locked trixie amd64: 7 packages
    locked docker-archive:base.tar amd64: sha256:[digest]
    fetching 7 packages, 0.0 MB
    built tiny:3.3-trixie: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    ");
    let manifest = project.document(&project.index("tiny:3.3")["manifests"][0]["digest"]);
    let config = project.document(&manifest["config"]["digest"]);
    let diff_ids = config["rootfs"]["diff_ids"].as_array().expect("a list");
    let wanted = layers().map(|layer| format!("sha256:{}", hex(&layer)));
    assert_eq!(diff_ids[..2], wanted, "tar for tar");
    insta::assert_snapshot!(files(&project, "tiny:3.3").join("\n"), @"
    bin
    etc/motd
    etc/os-release
    etc/passwd
    lib
    lib64
    sbin
    usr/bin/ruby
    usr/bin/ruby3.3
    usr/lib/locale/C.utf8/LC_CTYPE
    usr/lib/os-release
    usr/lib/ruby/3.3.0/set.rb
    usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
    usr/lib/x86_64-linux-gnu/libc.so.6
    usr/lib/x86_64-linux-gnu/libruby-3.3.so.3.3
    usr/lib/x86_64-linux-gnu/libruby-3.3.so.3.3.8
    usr/lib/x86_64-linux-gnu/libyaml-0.so.2
    usr/lib/x86_64-linux-gnu/libyaml-0.so.2.0.9
    usr/lib/x86_64-linux-gnu/ruby/3.3.0/enc/euc_jp.so
    usr/lib/x86_64-linux-gnu/ruby/3.3.0/psych.so
    usr/lib/x86_64-linux-gnu/ruby/3.3.0/rbconfig.rb
    usr/lib64/ld-linux-x86-64.so.2
    usr/share/doc/base-files/copyright
    usr/share/doc/libruby3.3/copyright
    usr/share/doc/libyaml-0-2/copyright
    usr/share/doc/ruby/copyright
    usr/share/doc/ruby3.3/copyright
    usr/share/doc/tzdata/copyright
    usr/share/zoneinfo/Asia/Tokyo
    var/lib/dpkg/status.d/base-files
    var/lib/dpkg/status.d/base-files.md5sums
    var/lib/dpkg/status.d/libc6
    var/lib/dpkg/status.d/libc6.md5sums
    var/lib/dpkg/status.d/libruby3.3
    var/lib/dpkg/status.d/libruby3.3.md5sums
    var/lib/dpkg/status.d/libyaml-0-2
    var/lib/dpkg/status.d/libyaml-0-2.md5sums
    var/lib/dpkg/status.d/ruby
    var/lib/dpkg/status.d/ruby.md5sums
    var/lib/dpkg/status.d/ruby3.3
    var/lib/dpkg/status.d/ruby3.3.md5sums
    var/lib/dpkg/status.d/tzdata
    var/lib/dpkg/status.d/tzdata.md5sums
    ");
    let out = project.folder().join("out");
    let read = |path: &str| fs::read_to_string(out.join(path)).expect("a text");
    assert!(read("etc/passwd").contains("of the base"), "a made file that it has is not made");
    assert!(read("var/lib/dpkg/status.d/libc6").contains("Version: 2.36-9\n"), "its package is the one");

    insta::assert_snapshot!(project.run(&["why", "tiny:3.3", "/usr/lib/x86_64-linux-gnu/libc.so.6"]), @"
    status 0
    -- output
    /usr/lib/x86_64-linux-gnu/libc.so.6 is in the layer `base image`, from package libc6 2.36-9: the image that the row stands on has it
    ");
    insta::assert_snapshot!(project.run(&["why", "tiny:3.3", "/etc/motd"]), @"
    status 0
    -- output
    /etc/motd is in the layer `base image`: the image that the row stands on has it
    ");
    insta::assert_snapshot!(project.run(&["why", "tiny:3.3", "/usr/lib/ruby/3.3.0/set.rb"]), @"
    status 0
    -- output
    /usr/lib/ruby/3.3.0/set.rb is in the layer `ruby`, from package libruby3.3 3.3.8-2
      standard library of /usr/lib/x86_64-linux-gnu/ruby/3.3.0/rbconfig.rb
        configuration of /usr/bin/ruby3.3
          root: the interpreter
    ");

    let declared = bill(&project, "tiny-3.3-trixie-amd64.spdx.json");
    assert_eq!(named(&declared["packages"], "libc6")["versionInfo"], "2.36-9");
    assert_eq!(named(&declared["packages"], "small")["versionInfo"], "13-base");
    assert_eq!(named(&declared["packages"], "base.tar")["primaryPackagePurpose"], "CONTAINER");

    insta::assert_snapshot!(project.run(&["build-all", "--no-check", "--locked", "--offline"]), @"
    status 0
    -- errors
    unchanged tiny:3.3-trixie: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    ");
    let site = project.folder().join("site").display().to_string();
    project.run(&["report", "--html", &site]).good();
}

#[test]
fn another_one_is_told_and_an_image_for_building_is_not_put_on_it() {
    let mirror = Mirror::start();
    let project = project(&mirror);
    let dev = "\n[[variants]]\nname = \"nonroot\"\nwhy = \"plain\"\n\n[[variants]]\nname = \"dev\"\nwhy = \"for building\"\n\n[[variants.layers]]\nname = \"dev\"\ninstalled = true\nroots = []\n";
    project.write("images/tiny/image.toml", &(project.read("images/tiny/image.toml") + dev));
    project.build();
    let names: Vec<_> = project.images().into_keys().filter(|name| name.ends_with("dev")).collect();
    assert_eq!(names, [""; 0]);
    let [first, second] = layers();
    save(&[first, second, Tar::new().file("etc/new", "").finish()], "amd64", &project.root.join("base.tar"));
    project.edit("images/tiny/image.toml", "A small Ruby", "A little Ruby");
    project.edit("images/tiny/image.toml", "why = \"TZ\"", "why = \"zones\"");
    fs::remove_dir_all(&project.cache).expect("the cache goes");
    let outcome = project.run(&["build-all", "--no-check"]);
    assert!(outcome.errors.contains("cannot use the image docker-archive:base.tar"), "{outcome}");
    project.run(&["update"]).good();
    project.build();
    assert!(files(&project, "tiny:3.3").contains(&"etc/new".to_owned()));
}

#[test]
fn a_base_whose_usr_is_not_merged_keeps_its_folders() {
    let mirror = Mirror::start();
    let project = project(&mirror);
    let libc = Elf::library("libc.so.6").build();
    let base = Tar::new()
        .add(Member::file("lib/x86_64-linux-gnu/libc.so.6", libc))
        .file("bin/tool", "")
        .file("var/lib/dpkg/status.d/old", "Package: old\nArchitecture: all\nVersion: 1\n");
    save(&[base.finish()], "amd64", &project.root.join("base.tar"));
    project.build();
    let files = files(&project, "tiny:3.3");
    for path in ["lib/x86_64-linux-gnu/libc.so.6", "bin/tool", "usr/bin/ruby3.3"] {
        assert!(files.contains(&path.to_owned()), "{path}: {files:#?}");
    }
}

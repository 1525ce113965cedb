//! Builds, and the verbs that look at what was built: what they say, what they write, and what they leave alone.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fs_err as fs;

use crate::mirror::{Mirror, ruby, suite};
use crate::project::{Project, files_below};
use testkit::archive::Suite;

#[test]
fn a_first_build_says_what_it_does_and_a_second_writes_nothing() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    insta::assert_snapshot!(project.run(&["build-all", "--no-check"]), @"
    status 0
    -- errors
    resolving the packages of trixie
    locked trixie amd64: 7 packages
    fetching 7 packages, 0.0 MB
    built tiny:3.3-trixie: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    ");
    let before = (project.layout(), files_below(&project.root), mirror.server.requests().len());
    insta::assert_snapshot!(project.run(&["build-all", "--no-check"]), @"
    status 0
    -- errors
    unchanged tiny:3.3-trixie: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    ");
    let after = (project.layout(), files_below(&project.root), mirror.server.requests().len());
    assert!(!before.0.is_empty());
    assert!(before == after, "the same files of the same time, and nothing was asked for");
}

#[test]
fn two_distros_make_two_images_that_share_what_they_have_alike() {
    let mirror = two_distros();
    let project = Project::with_matrix(&mirror, &[("3.3", "trixie"), ("3.1", "bookworm")]);
    let mut build = project.command(&["build-all", "--no-check"]);
    insta::assert_snapshot!(project.outcome(build.env("RAYON_NUM_THREADS", "1")), @"
    status 0
    -- errors
    resolving the packages of bookworm
    resolving the packages of trixie
    locked bookworm amd64: 7 packages
    locked trixie amd64: 7 packages
    fetching 10 packages, 0.0 MB
    built tiny:3.3-trixie: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    built tiny:3.1-bookworm: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    ");
    let names: Vec<_> = project.images().into_keys().collect();
    insta::assert_debug_snapshot!(names, @r#"
    [
        "tiny:3.1",
        "tiny:3.1-bookworm",
        "tiny:3.1.8-bookworm",
        "tiny:3.3",
        "tiny:3.3-trixie",
        "tiny:3.3.8-trixie",
    ]
    "#);
    let record: serde_json::Value = serde_json::from_str(&project.read("dist/run.json")).unwrap();
    let base = |image: usize| record["images"][image]["layers"][0]["digest"].clone();
    assert_eq!(base(0), base(1), "the base layer");
    assert_ne!(record["images"][0]["manifest"], record["images"][1]["manifest"]);
}

#[test]
fn a_part_of_the_matrix_is_built_and_named_alone() {
    let mirror = two_distros();
    let project = Project::with_matrix(&mirror, &[("3.3", "trixie"), ("3.1", "bookworm")]);
    for arguments in [&["build", "3.1*", "--no-check"][..], &["build", "tiny:3.1", "--no-check"]] {
        assert!(!project.run(arguments).good().errors.contains("trixie:"), "{arguments:?}");
        let names: Vec<_> = project.images().into_keys().collect();
        assert_eq!(names, ["tiny:3.1", "tiny:3.1-bookworm", "tiny:3.1.8-bookworm"]);
    }
    // The other one joins it.
    project.run(&["build-all", "*-trixie", "--no-check"]).good();
    assert_eq!(project.images().len(), 6);
}

#[test]
fn a_name_that_no_image_has_is_an_error_with_those_that_there_are() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    insta::assert_snapshot!(project.run(&["build", "tiny:3.4", "--no-check"]), @"
    status 2
    -- errors
    error: no image is called `tiny:3.4`
    hint: the images are tiny:3.3-trixie
    ");
    insta::assert_snapshot!(project.run(&["build", "tiny:[", "--no-check"]), @"
    status 2
    -- errors
    error: `tiny:[` is not a pattern
      because: error parsing glob 'tiny:[': unclosed character class; missing ']'
    ");
    assert!(mirror.server.requests().is_empty(), "nothing was asked for");
}

#[test]
fn list_names_images_before_and_after_they_are_locked() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    insta::assert_snapshot!(project.run(&["list"]), @"
    status 0
    -- output
     IMAGE            RUBY  DISTRO  ARCHITECTURE  MANIFEST   ALSO
     tiny:3.3-trixie  3.3   trixie  amd64         not built  tiny:3.3
    ");
    project.build();
    insta::assert_snapshot!(project.run(&["list"]), @"
    status 0
    -- output
     IMAGE            RUBY   DISTRO  ARCHITECTURE  MANIFEST             ALSO
     tiny:3.3-trixie  3.3.8  trixie  amd64         sha256:9f29c3e68a41  tiny:3.3.8-trixie tiny:3.3
    ");
    insta::assert_snapshot!(project.run(&["list", "--json"]), @r#"
    status 0
    -- output
    [
      {
        "name": "tiny:3.3-trixie",
        "references": [
          "tiny:3.3-trixie",
          "tiny:3.3.8-trixie",
          "tiny:3.3"
        ],
        "variant": "",
        "on_demand": false,
        "ruby": "3.3.8",
        "distro": "trixie",
        "architecture": "amd64",
        "manifest": "sha256:[digest]"
      }
    ]
    "#);
}

#[test]
fn why_gives_the_chain_to_a_root_or_what_keeps_a_path_out() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    let why = |path: &str| project.run(&["why", "tiny:3.3-trixie", path, "--quiet"]);
    insta::assert_snapshot!(why("/usr/lib/x86_64-linux-gnu/libyaml-0.so.2.0.9"), @"
    status 0
    -- output
    /usr/lib/x86_64-linux-gnu/libyaml-0.so.2.0.9 is in the layer `ruby`, from package libyaml-0-2 0.2.5-2
      NEEDED libyaml-0.so.2 of /usr/lib/x86_64-linux-gnu/ruby/3.3.0/psych.so
        native extension of /usr/lib/x86_64-linux-gnu/ruby/3.3.0/rbconfig.rb
          configuration of /usr/bin/ruby3.3
            root: the interpreter
    ");
    insta::assert_snapshot!(why("/lib/x86_64-linux-gnu/libyaml-0.so.2"), @"
    status 0
    -- output
    /lib/x86_64-linux-gnu/libyaml-0.so.2 leads to /usr/lib/x86_64-linux-gnu/libyaml-0.so.2.0.9
    /usr/lib/x86_64-linux-gnu/libyaml-0.so.2.0.9 is in the layer `ruby`, from package libyaml-0-2 0.2.5-2
      NEEDED libyaml-0.so.2 of /usr/lib/x86_64-linux-gnu/ruby/3.3.0/psych.so
        native extension of /usr/lib/x86_64-linux-gnu/ruby/3.3.0/rbconfig.rb
          configuration of /usr/bin/ruby3.3
            root: the interpreter
    ");
    insta::assert_snapshot!(why("/usr/share/doc/libyaml-0-2/copyright"), @"
    status 0
    -- output
    /usr/share/doc/libyaml-0-2/copyright is in the layer `ruby`, from package libyaml-0-2 0.2.5-2
      root: the licence of libyaml-0-2, which gave a file
    ");
    insta::assert_snapshot!(why("/etc/passwd"), @"
    status 0
    -- output
    /etc/passwd is in the layer `base`
      root: users by name
    ");
    insta::assert_snapshot!(why("/var/lib/dpkg/status.d/ruby"), @"
    status 0
    -- output
    /var/lib/dpkg/status.d/ruby is in the layer `ruby`: it is the record of a package that gave a file
    ");
    insta::assert_snapshot!(why("/usr/lib/ruby/3.3.0/rdoc/page.rb"), @"
    status 1
    -- output
    /usr/lib/ruby/3.3.0/rdoc/page.rb is left out, from package libruby3.3 3.3.8-2
      by the rule `pages`: nobody reads them there
    ");
    insta::assert_snapshot!(why("/usr/share/man/man1/ruby3.3.1"), @"
    status 1
    -- output
    /usr/share/man/man1/ruby3.3.1 is not in the image, from package ruby3.3 3.3.8-2: nothing in the image needs it
    ");
    insta::assert_snapshot!(why("/bin/sh"), @"
    status 1
    -- output
    /bin/sh is not in the image, and no package of the image has it
    ");
    insta::assert_snapshot!(why("../../etc/passwd"), @"
    status 2
    -- errors
    error: the path ../../etc/passwd has a `..`
    ");
}

#[test]
fn export_hands_an_image_on_in_three_forms_and_replaces_nothing_unasked() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    project.build();
    let output = |name: &str| project.folder().join(name);
    for (format, name) in [("oci", "layout"), ("docker-archive", "archive.tar"), ("dir", "files")] {
        let path = output(name).display().to_string();
        let arguments = ["export", "tiny:3.3", "--format", format, "--output", &path];
        project.run(&arguments).good();
        let exported = bytes(&output(name));
        let again = project.run(&arguments);
        assert_eq!(again.status, Some(2), "{again}");
        project.run(&[&arguments[..], &["--force"]].concat()).good();
        assert!(bytes(&output(name)) == exported, "the same bytes as before");
    }
    let again = ["export", "tiny:3.3", "--format", "dir", "--output", &output("files").display().to_string()];
    insta::assert_snapshot!(project.run(&again), @"
    status 2
    -- errors
    error: cannot export to `[folder]/files`: it exists
    hint: name another output, or replace this one with `--force`
    ");

    fs::write(output("files.txt"), "precious").unwrap();
    fs::create_dir(output("work")).unwrap();
    fs::write(output("work/mine"), "precious").unwrap();
    let forced = |format: &str, name: &str| {
        let output = output(name).display().to_string();
        project.run(&["export", "tiny:3.3", "--format", format, "--output", &output, "--force"])
    };
    insta::assert_snapshot!(forced("docker-archive", "work"), @"
    status 2
    -- errors
    error: cannot export to `[folder]/work`: it exists, and is not a regular file
    hint: name another output: `--force` does not replace this one
    ");
    insta::assert_snapshot!(forced("dir", "work"), @"
    status 2
    -- errors
    error: cannot export to `[folder]/work`: it exists, and is neither an empty folder nor the root of an image
    hint: name another output: `--force` does not replace this one
    ");
    insta::assert_snapshot!(forced("oci", "files.txt"), @"
    status 2
    -- errors
    error: cannot export to `[folder]/files.txt`: it exists, and is not a folder
    hint: name another output: `--force` does not replace this one
    ");

    let streamed = |format| ["export", "tiny:3.3", "--format", format, "--output", "-"];
    let stream = project.command(&streamed("docker-archive")).output().unwrap();
    assert!(stream.status.success() && stream.stderr.is_empty());
    assert!(stream.stdout == fs::read(output("archive.tar")).unwrap(), "the bytes of the file");
    insta::assert_snapshot!(project.run(&streamed("dir")), @"
    status 2
    -- errors
    error: only a docker-archive goes to standard output: name a folder for the other forms
    ");

    let blobs = |layout: &Path| -> BTreeMap<_, _> {
        let files = files_below(&layout.join("blobs")).into_iter();
        files.map(|(path, (_, bytes))| (path.file_name().unwrap().to_owned(), bytes)).collect()
    };
    assert_eq!(blobs(&output("layout")), blobs(&project.root.join("dist/oci")), "all blobs are this image's");

    let link = fs::read_link(output("files").join("usr/bin/ruby")).unwrap();
    assert_eq!(link.to_str(), Some("ruby3.3"));
    let passwd = fs::read_to_string(output("files").join("etc/passwd")).unwrap();
    assert_eq!(passwd, project.read("images/tiny/passwd"));

    let archive = fs::read(output("archive.tar")).unwrap();
    for member in ["manifest.json", "\"RepoTags\":[\"tiny:3.3\""] {
        assert!(archive.windows(member.len()).any(|window| window == member.as_bytes()), "{member}");
    }
}

#[test]
fn a_mistake_in_the_project_has_its_place_and_the_nearest_word() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    let mistake = |file: &str, from: &str, to: &str| {
        let text = project.read(file);
        project.edit(file, from, to);
        let outcome = project.run(&["build-all"]);
        project.write(file, &text);
        outcome
    };
    insta::assert_snapshot!(mistake("matrix.toml", "distro = \"trixie\"", "distro = \"trixy\""), @r#"
    status 2
    -- errors
    error: matrix.toml:12:10: unknown distro `trixy`, expected one of `trixie`
       |
    12 | distro = "trixy"
       |          ^
    hint: did you mean `trixie`?
    "#);
    insta::assert_snapshot!(mistake("matrix.toml", "keyring", "keyrings"), @r#"
    status 2
    -- errors
    error: matrix.toml:8:1: unknown field `keyrings`, expected one of `suites`, `security`, `keyring`, `archived`
      |
    8 | keyrings = "keys.asc"
      | ^
    hint: did you mean `keyring`?
    "#);
    insta::assert_snapshot!(mistake("matrix.toml", "\"keys.asc\"", "\"../keys.asc\""), @"
    status 2
    -- errors
    error: matrix.toml names the file `../keys.asc`, which is not a path inside its folder
    ");
    insta::assert_snapshot!(mistake("images/tiny/image.toml", "generate = \"os-release\"", "generate = \"os-releases\""), @r#"
    status 2
    -- errors
    error: images/tiny/image.toml:26:48: unknown variant `os-releases`, expected one of `ca-certificates`, `os-release`, `apt-sources`
       |
    26 |     { path = "/usr/lib/os-release", generate = "os-releases", why = "scanners tell the distro by it" },
       |                                                ^
    hint: did you mean `os-release`?
    "#);
    insta::assert_snapshot!(mistake("keys.asc", "BEGIN PGP PUBLIC KEY BLOCK", "BEGIN"), @"
    status 2
    -- errors
    resolving the packages of trixie
    error: cannot read the keys of trixie
      because: no armour begins where one should
    ");
    insta::assert_snapshot!(mistake("matrix.toml", "ruby = \"3.3\"", "ruby = \"3.2\""), @"
    status 2
    -- errors
    resolving the packages of trixie
    error: tiny:3.2-trixie is for Ruby 3.2, which package ruby of its distro does not bring
    hint: write the Ruby that is there into matrix.toml
    ");
    insta::assert_snapshot!(mistake("images/tiny/image.toml", "[\"base-files\", \"tzdata\"]", "[\"base-file\", \"tzdata\"]"), @"
    status 2
    -- errors
    resolving the packages of trixie
    error: cannot choose the packages of trixie
      because: cannot find a package for `base-file`: no suite has it
    hint: is the name right, and does the distro in matrix.toml have all of its suites?
    ");
    assert!(project.images().is_empty());
    assert_eq!(project.blobs(), 0);
    project.build();
}

#[test]
fn what_is_written_may_be_read_by_others_as_far_as_the_umask_allows() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    project.build();
    let plain = project.folder().join("plain");
    fs::write(&plain, "").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let written = project
        .layout()
        .into_keys()
        .chain(["matrix.lock", "dist/run.json"].map(|file| project.root.join(file)));
    for file in written {
        assert_eq!(mode(&file), mode(&plain), "{}", file.display());
    }
    let files = project.folder().join("files");
    project.run(&["export", "tiny:3.3", "--format", "dir", "--output", &files.display().to_string()]).good();
    assert_eq!(mode(&files), 0o755);
}

#[test]
fn nothing_works_outside_of_a_project() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    let mut outside = project.command(&["list"]);
    insta::assert_snapshot!(project.outcome(outside.current_dir(project.folder())), @"
    status 2
    -- errors
    error: there is no matrix.toml in [folder] or above it
    ");
    let mut below = project.command(&["list"]);
    project.outcome(below.current_dir(project.root.join("images/tiny"))).good();
}

#[test]
fn a_quiet_build_says_nothing_and_leaves_nothing_elsewhere() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    let temporary = project.folder().join("temporary");
    fs::create_dir(&temporary).unwrap();
    let mut build = project.command(&["build-all", "--no-check", "--quiet"]);
    let outcome = project.outcome(build.env("TMPDIR", &temporary)).good();
    assert_eq!(outcome.to_string(), "status 0");
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
    assert!(!project.folder().join("home").exists());
}

/// The bytes of a file, or of every file below a folder.
fn bytes(path: &Path) -> Vec<Vec<u8>> {
    match path.is_dir() {
        true => files_below(path).into_values().map(|(_, bytes)| bytes).collect(),
        false => vec![fs::read(path).expect("a file")],
    }
}

/// A mirror with two distros that have all but the Ruby alike.
pub(crate) fn two_distros() -> Mirror {
    let mirror = Mirror::start();
    mirror.publish(&suite("bookworm", ruby("3.1")));
    mirror.publish_security(&Suite::new("bookworm-security"));
    mirror
}

//! Rubies that are compiled: a tarball and a script go into the sandbox, and what the script makes is the Ruby of an image.
//! Here the tarball is what is installed in the end, and the script copies it with a shell and `cp` of this machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use analyzer::{Request, Root, analyze};
use fs_err as fs;
use rootfs::{Kind, LiveRoot, Tree};
use serde_json::Value;
use testkit::archive::Suite;
use testkit::deb::Package;
use testkit::elf::Elf;
use testkit::tar::{Member, Tar};

use crate::mirror::{Mirror, NEXT_DAY, package, ruby, suite};
use crate::native;
use crate::project::Project;

const SCRIPT: &str = r#"echo "checking for a shell... $0"
cp "$TARBALL" "$OUTPUT"
"#;

const COMPILE: &str = r#"
[compile]
script = "compile.sh"
packages = ["tools"]
yjit-packages = ["rust"]
libraries = ["libyaml-0-2"]
files = [{ path = "/usr/bin/sh", link = "dash", why = "what scripts are for" }]
"#;

const ROW: &str = r#"
[[rows]]
ruby = "3.4"
distro = "trixie"
source = { tarball = "3.4.5" }

[tarballs."3.4.5"]
source-package = "ruby3.4"
suite = "trixie"
"#;

const RAKE: &str = "Gem::Specification.new do |s|\n  s.name = \"rake\"\n  s.version = \"13.2\"\nend\n";

/// An installed Ruby that needs a library of the distro.
fn tarball() -> Vec<u8> {
    let rbconfig = "module RbConfig\n\
        TOPDIR = File.dirname(__FILE__).chomp!(\"/lib/ruby/3.4.0/x86_64-linux\")\n\
        CONFIG = {}\n\
        CONFIG[\"prefix\"] = (TOPDIR || DESTDIR + \"/usr/local\")\n\
        CONFIG[\"ruby_version\"] = \"3.4.0\"\n\
        CONFIG[\"ruby_install_name\"] = \"ruby\"\n\
        CONFIG[\"arch\"] = \"x86_64-linux\"\n\
        CONFIG[\"bindir\"] = \"$(prefix)/bin\"\n\
        CONFIG[\"libdir\"] = \"$(prefix)/lib\"\n\
        CONFIG[\"rubylibprefix\"] = \"$(libdir)/ruby\"\n\
        CONFIG[\"rubylibdir\"] = \"$(rubylibprefix)/$(ruby_version)\"\n\
        CONFIG[\"rubyarchdir\"] = \"$(rubylibdir)/$(arch)\"\n\
        end\n";
    let program = Elf::program().needs("libc.so.6").build();
    let psych = Elf::dynamic().needs("libyaml-0.so.2").needs("libc.so.6").build();
    let library = "./usr/local/lib/ruby/3.4.0";
    Tar::new()
        .add(Member::file("./usr/local/bin/ruby", program).mode(0o755))
        .file(format!("{library}/x86_64-linux/rbconfig.rb"), rbconfig)
        .file(format!("{library}/x86_64-linux/psych.so"), psych)
        .file(format!("{library}/set.rb"), "class Set; end\n")
        .file("./usr/local/lib/ruby/gems/3.4.0/specifications/rake-13.2.gemspec", RAKE)
        .add(Member::file("./usr/local/bin/tell", native::says("this Ruby is without YJIT\n", 0)).mode(0o755))
        .file("./usr/local/include/ruby.h", "not in any image")
        .finish()
}

/// A package with the machine's own shell and `cp`, and all that they need.
fn tools(version: &str) -> Package {
    static TREE: OnceLock<Tree> = OnceLock::new();
    let tree = TREE.get_or_init(|| {
        let root = LiveRoot::open(Path::new("/")).expect("the machine's root");
        let roots = ["/usr/bin/dash", "/usr/bin/cp"].map(|path| Root::pattern(path, "test")).into();
        let closure = analyze(&root, &Request { roots, ..Request::default() });
        root.select(closure.entries.into_keys()).expect("files of the machine")
    });
    tree.iter().fold(package("tools", version), |package, (path, entry)| match &entry.kind {
        Kind::Directory => package,
        Kind::Symlink(target) => {
            package.member(Member::symlink(format!(".{path}"), String::from_utf8_lossy(target).into_owned()))
        }
        Kind::File(file) => package.member(Member::file(format!(".{path}"), &*file.content).mode(0o755)),
    })
}

fn trixie(tools: Package) -> Suite {
    let packages = ruby("3.3").into_iter().chain([tools, package("rust", "1.85")]);
    suite("trixie", packages).source("ruby3.4", "3.4.5-1", &tarball()).source("ruby3.4", "3.4.4-1", b"old")
}

pub(crate) fn mirror() -> Mirror {
    let mirror = Mirror::start();
    mirror.publish(&trixie(tools("1")));
    mirror
}

/// A project with a row whose Ruby is a package, and one whose Ruby is compiled.
pub(crate) fn project(mirror: &Mirror) -> Project {
    let project = Project::new(mirror);
    project.write("matrix.toml", &(project.read("matrix.toml") + ROW));
    let image =
        project.read("images/tiny/image.toml").replace("/usr/bin/ruby\", why", "{prefix}/bin/ruby\", why");
    let image = image.replace(
        "    { path = \"{prefix}/bin/ruby\"",
        "    { path = \"/usr/local/bin/tell\", optional = true, why = \"what a check asks\" },\n    { path = \"{prefix}/bin/ruby\"",
    );
    project.write("images/tiny/image.toml", &(image + COMPILE));
    project.write("images/tiny/compile.sh", SCRIPT);
    project
}

const BUILD: [&str; 2] = ["build-all", "--no-check"];

#[test]
fn a_ruby_is_compiled_once_while_the_others_are_built() {
    let mirror = mirror();
    let first = project(&mirror);
    let outcome = first.run(&BUILD).good();
    let told = |start: &&str| outcome.errors.lines().any(|line| line.starts_with(start));
    let wanted = [
        "locked the tarball of Ruby 3.4.5 in the source package ruby3.4",
        "compiling Ruby 3.4.5 for trixie, which takes some minutes, once",
        "built tiny:3.3-trixie: ",
        "compiled Ruby 3.4.5 for trixie in 0:",
        "built tiny:3.4-trixie: ",
    ];
    assert!(wanted.iter().all(told), "{outcome}");
    let names: Vec<_> = first.images().into_keys().filter(|name| name.contains("3.4")).collect();
    assert_eq!(names, ["tiny:3.4", "tiny:3.4-trixie", "tiny:3.4.5-trixie"]);
    let lock = first.read("matrix.lock");
    assert!(lock.contains("source-package = \"ruby3.4\"\nversion = \"3.4.5\"\nsuite = \"trixie\""), "{lock}");

    insta::assert_snapshot!(first.run(&BUILD), @"
    status 0
    -- errors
    unchanged tiny:3.3-trixie: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    unchanged tiny:3.4-trixie: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    ");
    // The same in another folder, from the cache of the first.
    let second = project(&mirror);
    let mut command = second.command(&BUILD);
    let outcome = second.outcome(command.env("DISTROLESS_RUBY_CACHE", &first.cache)).good();
    assert!(!outcome.errors.contains("compil"), "{outcome}");
    assert_eq!(second.images(), first.images());
    // And compiled anew.
    let third = project(&mirror);
    third.build();
    assert_eq!(third.images(), first.images());
}

#[test]
fn an_image_has_what_its_ruby_needs_of_what_was_compiled_and_of_the_distro() {
    let mirror = mirror();
    let project = project(&mirror);
    project.build();
    let why = |path: &str| project.run(&["why", "3.4-trixie", path]);
    let psych = why("/usr/local/lib/ruby/3.4.0/x86_64-linux/psych.so").good().output;
    assert!(psych.contains("compiled Ruby") && psych.contains("rbconfig.rb"), "{psych}");
    let libyaml = why("/usr/lib/x86_64-linux-gnu/libyaml-0.so.2").good().output;
    assert!(libyaml.contains("libyaml-0-2") && libyaml.contains("psych.so"), "{libyaml}");
    assert_eq!(why("/usr/local/include/ruby.h").status, Some(1));
    let record: Value = serde_json::from_str(&project.read("dist/run.json")).expect("JSON");
    assert_eq!(record["images"][1]["ruby"], "3.4.5");
}

#[test]
fn what_has_changed_of_its_inputs_is_told_and_what_is_no_input_changes_nothing() {
    let mirror = mirror();
    let project = project(&mirror);
    project.build();
    let told = |arguments: &[&str]| {
        let outcome = project.run(arguments).good();
        outcome.errors.lines().find(|line| line.starts_with("compiling")).map(str::to_owned)
    };
    project.edit("images/tiny/image.toml", "\"A small Ruby\"", "\"A little Ruby\"");
    assert_eq!(told(&BUILD), None);
    project.edit("images/tiny/compile.sh", "a shell", "the shell");
    assert_eq!(
        told(&BUILD).as_deref(),
        Some("compiling Ruby 3.4.5 for trixie again: compile.sh is another one")
    );
    project.edit(
        "matrix.toml",
        "{ tarball = \"3.4.5\" }",
        "{ tarball = { version = \"3.4.5\", yjit = false } }",
    );
    let wanted = "compiling Ruby 3.4.5 for trixie again: YJIT: yes -> no, package rust is gone";
    assert_eq!(told(&BUILD).as_deref(), Some(wanted));
    mirror.publish(&trixie(tools("2")).date(NEXT_DAY));
    project.run(&["update"]).good();
    assert_eq!(told(&BUILD).as_deref(), Some("compiling Ruby 3.4.5 for trixie again: package tools: 1 -> 2"));
}

#[test]
fn a_script_that_fails_is_told_with_what_it_said_last() {
    let mirror = mirror();
    let project = project(&mirror);
    project.edit("images/tiny/compile.sh", "cp ", "echo no such compiler >&2; exit 3; cp ");
    let outcome = project.run(&["build", "3.4-trixie", "--no-check"]);
    let (_, error) = outcome.errors.split_once("error: ").expect("an error");
    insta::assert_snapshot!(format!("{:?}: {error}", outcome.status), @"
    Some(2): cannot compile Ruby 3.4.5 for trixie
      because: compile.sh ended with status 3; it said last:
      checking for a shell... /build/compile.sh
      no such compiler
    hint: `--keep-failed` keeps the folder that it works in, to look at
    ");
    assert!(!project.root.join("dist/failed").exists());

    let outcome = project.run(&["build", "3.4-trixie", "--no-check", "--keep-failed"]);
    let (_, error) = outcome.errors.split_once("error: ").expect("an error");
    insta::assert_snapshot!(error, @"
    cannot compile Ruby 3.4.5 for trixie
      because: compile.sh ended with status 3; it said last:
      checking for a shell... /build/compile.sh
      no such compiler
    hint: what it worked on is in [project]/dist/failed/ruby-3.4.5-for-trixie, with all that it said in compile.log
    ");
    let kept = project.root.join("dist/failed/ruby-3.4.5-for-trixie");
    let log = fs::read_to_string(kept.join("compile.log")).expect("the log");
    assert_eq!(log, "checking for a shell... /build/compile.sh\nno such compiler\n");
    // It is built, and nothing is left.
    project.edit("images/tiny/compile.sh", "exit 3; ", "");
    project.run(&["build", "3.4-trixie", "--no-check", "--keep-failed"]).good();
    assert!(!kept.exists());
}

#[test]
fn what_a_script_makes_is_not_believed() {
    let mirror = mirror();
    for (script, says) in [
        ("exit 0", "compile.sh made no tar that can be used"),
        ("echo hello >\"$OUTPUT\"", "compile.sh made no tar that can be used"),
        ("kill -9 $$", "compile.sh was ended by signal 9"),
    ] {
        let project = project(&mirror);
        project.write("images/tiny/compile.sh", script);
        let outcome = project.run(&["build", "3.4-trixie", "--no-check"]);
        assert_eq!(outcome.status, Some(2), "{outcome}");
        assert!(outcome.errors.contains(says), "{outcome}");
    }
}

#[test]
fn a_package_row_is_there_though_a_compile_failed() {
    let mirror = mirror();
    let project = project(&mirror);
    project.write("images/tiny/compile.sh", "exit 1");
    assert_eq!(project.run(&BUILD).status, Some(2));
    let names: Vec<_> = project.images().into_keys().collect();
    assert_eq!(names, ["tiny:3.3", "tiny:3.3-trixie", "tiny:3.3.8-trixie"]);
}

#[test]
fn a_tarball_is_what_the_matrix_says_or_nothing() {
    let mirror = mirror();
    let bytes = tarball();
    let path = "pool/main/ruby3.4/ruby3.4_3.4.5.orig.tar.xz";
    let pinned = |digest: schema::Digest| {
        let other = mirror.server.url("/elsewhere.tar.xz");
        format!("addresses = [\"{other}\", \"{path}\"]\ndigest = \"{digest}\"\nsize = {}\n", bytes.len())
    };
    let packaged = "source-package = \"ruby3.4\"\nsuite = \"trixie\"\n";
    let wrong = schema::Digest::of(b"another one");
    for (tarball, says) in [
        (pinned(schema::Digest::of(&bytes)), BTreeMap::from([("compiled Ruby 3.4.5", 0)])),
        (pinned(wrong), BTreeMap::from([("cannot fetch the tarball of Ruby 3.4.5 for trixie", 2)])),
        (
            packaged.replace("ruby3.4", "ruby3.5"),
            BTreeMap::from([("the source package ruby3.5 in trixie has no tarball of Ruby 3.4.5", 2)]),
        ),
    ] {
        let project = project(&mirror);
        project.edit("matrix.toml", packaged, &tarball);
        let outcome = project.run(&["build", "3.4-trixie", "--no-check"]);
        for (says, status) in says {
            assert!(outcome.errors.contains(says) && outcome.status == Some(status), "{outcome}");
        }
    }
}

#[test]
fn a_lock_without_the_tarball_may_not_grow_where_that_is_asked() {
    let mirror = mirror();
    let project = project(&mirror);
    project.build();
    let lock = project.read("matrix.lock");
    let (without, _) = lock.split_once("[[tarballs]]").expect("a tarball");
    project.write("matrix.lock", without);
    insta::assert_snapshot!(project.run(&["build-all", "--no-check", "--locked"]), @"
    status 2
    -- errors
    error: matrix.lock does not have the tarball of Ruby 3.4.5, and may not change
    hint: run `cargo xtask update`, or leave `--locked` out
    ");
}

#[test]
fn a_row_that_says_yjit_has_it_or_its_check_fails() {
    let mirror = mirror();
    let project = project(&mirror);
    let check = "\n[[checks]]\nname = \"yjit\"\nproves = \"it\"\ncommand = [\"/usr/local/bin/tell\"]\noutput = \"{yjit}\"\n";
    project.write("images/tiny/image.toml", &(project.read("images/tiny/image.toml") + check));
    insta::assert_snapshot!(project.run(&["build", "3.4-trixie", "--quiet"]), @"
    status 1
    -- errors
    FAILED tiny:3.4-trixie: yjit
      standard output has no `with YJIT`
      output:
        this Ruby is without YJIT
    ");
    let without = "{ tarball = { version = \"3.4.5\", yjit = false } }";
    project.edit("matrix.toml", "{ tarball = \"3.4.5\" }", without);
    project.run(&["build", "3.4-trixie", "--quiet"]).good();
}

#[test]
fn a_bill_of_materials_names_what_was_compiled_its_tarball_and_its_gems() {
    let mirror = mirror();
    let project = project(&mirror);
    let about = "\n[ruby]\nlicenses = [\"Ruby\", \"BSD-2-Clause\"]\ncpe = \"cpe:2.3:a:ruby-lang:ruby:{ruby}:*:*:*:*:*:*:*\"\n";
    project.write("images/tiny/image.toml", &(project.read("images/tiny/image.toml") + about));
    project.build();
    let masked = |component: &Value| {
        format!("{component:#}").replace(&schema::Digest::of(&tarball()).hex(), "[digest of the tarball]")
    };
    let spdx = bill(&project, "tiny-3.4-trixie-amd64.spdx.json");
    let ruby = named(&spdx["packages"], "ruby");
    let files = ["packageVerificationCode", "licenseConcluded", "copyrightText", "supplier"];
    insta::assert_snapshot!(masked(&without(ruby, &files)), @r#"
    {
      "SPDXID": "SPDXRef-Software-ruby",
      "checksums": [
        {
          "algorithm": "SHA256",
          "checksumValue": "[digest of the tarball]"
        }
      ],
      "downloadLocation": "NOASSERTION",
      "externalRefs": [
        {
          "referenceCategory": "PACKAGE-MANAGER",
          "referenceLocator": "pkg:generic/ruby@3.4.5?checksum=sha256:[digest of the tarball]",
          "referenceType": "purl"
        },
        {
          "referenceCategory": "SECURITY",
          "referenceLocator": "cpe:2.3:a:ruby-lang:ruby:3.4.5:*:*:*:*:*:*:*",
          "referenceType": "cpe23Type"
        }
      ],
      "filesAnalyzed": true,
      "licenseDeclared": "Ruby OR BSD-2-Clause",
      "name": "ruby",
      "packageFileName": "ruby3.4_3.4.5.orig.tar.xz",
      "primaryPackagePurpose": "APPLICATION",
      "sourceInfo": "compiled from pool/main/ruby3.4/ruby3.4_3.4.5.orig.tar.xz",
      "versionInfo": "3.4.5"
    }
    "#);
    insta::assert_snapshot!(related(&spdx, &ruby["SPDXID"]).join("\n"), @"
    CONTAINS ./usr/local/bin/ruby
    CONTAINS ./usr/local/bin/tell
    CONTAINS ./usr/local/lib/ruby/3.4.0/set.rb
    CONTAINS ./usr/local/lib/ruby/3.4.0/x86_64-linux/psych.so
    CONTAINS ./usr/local/lib/ruby/3.4.0/x86_64-linux/rbconfig.rb
    CONTAINS ./usr/local/lib/ruby/gems/3.4.0/specifications/rake-13.2.gemspec
    CONTAINS rake
    ");

    let cyclonedx = bill(&project, "tiny-3.4-trixie-amd64.cdx.json");
    let ruby = named(&cyclonedx["components"], "ruby");
    insta::assert_snapshot!(masked(&without(ruby, &["components"])), @r#"
    {
      "bom-ref": "pkg:generic/ruby@3.4.5?checksum=sha256:[digest of the tarball]",
      "cpe": "cpe:2.3:a:ruby-lang:ruby:3.4.5:*:*:*:*:*:*:*",
      "externalReferences": [
        {
          "hashes": [
            {
              "alg": "SHA-256",
              "content": "[digest of the tarball]"
            }
          ],
          "type": "source-distribution",
          "url": "pool/main/ruby3.4/ruby3.4_3.4.5.orig.tar.xz"
        }
      ],
      "licenses": [
        {
          "acknowledgement": "declared",
          "expression": "Ruby OR BSD-2-Clause"
        }
      ],
      "name": "ruby",
      "purl": "pkg:generic/ruby@3.4.5?checksum=sha256:[digest of the tarball]",
      "type": "application",
      "version": "3.4.5"
    }
    "#);
    let spdx = bill(&project, "tiny-3.3-trixie-amd64.spdx.json");
    assert_ne!(
        named(&spdx["packages"], "ruby")["primaryPackagePurpose"],
        "APPLICATION",
        "it is of a package"
    );
}

/// A bill of materials of a project.
pub(crate) fn bill(project: &Project, file: &str) -> Value {
    serde_json::from_str(&project.read(&format!("dist/sbom/{file}"))).expect("JSON")
}

/// What has that name in a list of a bill of materials.
#[track_caller]
pub(crate) fn named<'v>(list: &'v Value, name: &str) -> &'v Value {
    let mut found = list.as_array().expect("a list").iter().filter(|element| element["name"] == name);
    let one = found.next().expect(name);
    assert!(found.next().is_none(), "{name} is there once");
    one
}

/// A component without these fields.
pub(crate) fn without(component: &Value, fields: &[&str]) -> Value {
    let mut component = component.clone();
    for field in fields {
        component.as_object_mut().expect("an object").remove(*field);
    }
    component
}

/// The names of what an element of an SPDX document contains, and what that is to it.
fn related(document: &Value, id: &Value) -> Vec<String> {
    let list = |name: &str| document[name].as_array().expect("a list").iter();
    let name = |id: &Value| {
        let of = |element: &&Value| element["SPDXID"] == *id;
        let element = list("packages").find(of).or_else(|| list("files").find(of)).expect("it is declared");
        let name = element["fileName"].as_str().or_else(|| element["name"].as_str());
        name.expect("a name").to_owned()
    };
    let of_it = list("relationships").filter(|relationship| relationship["spdxElementId"] == *id);
    of_it
        .map(|relationship| {
            let kind = relationship["relationshipType"].as_str().expect("a kind");
            format!("{kind} {}", name(&relationship["relatedSpdxElement"]))
        })
        .collect()
}

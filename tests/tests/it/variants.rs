//! The variants of an image and the options of a row: their names, what they share, and that one more costs nothing but
//! itself; rules that are switched off.

use std::process::Command;

use fs_err as fs;
use serde_json::Value;
use testkit::archive::Suite;
use testkit::deb::Package;
use testkit::elf::Elf;

use crate::mirror::{Mirror, package, program, ruby, suite};
use crate::project::Project;
use crate::skip;

/// What the description of the small image says of its variants.
const VARIANTS: &str = r#"
[[variants]]
name = "nonroot"
why = "plain"

[[variants]]
name = "root"
why = "another user"
user = "0:0"
environment = { LANG = "C", SERIES = "{series}" }
"#;

const DEBUG: &str = r#"
[[variants]]
name = "debug"
why = "a shell"
packages = ["shell"]

[[variants.layers]]
name = "debug"
roots = [{ path = "/usr/bin/shell", why = "a shell" }]
files = [
    { path = "/tools", link = "/usr/bin/shell", names = ["sh", "ls"], why = "its tools" },
    { path = "/etc/passwd", copy = "users", why = "users with a shell" },
]
"#;

const ON_DEMAND: &str = r#"
[[variants]]
name = "dev"
why = "for building"
on-demand = true
user = "0:0"
"#;

const OPTION: &str = r#"
[[options]]
name = "fast"
why = "faster"
packages = ["fast"]
environment = { PRELOAD = "libfast.so.1" }

[[options.layers]]
name = "fast"
roots = [{ path = "/usr/lib/*/libfast.so.1", why = "it is faster" }]
"#;

fn mirror() -> Mirror {
    let mirror = Mirror::empty();
    let packages = ruby("3.3").into_iter().chain([shell(), fast()]);
    mirror.publish(&suite("trixie", packages));
    mirror.publish_security(&Suite::new("trixie-security"));
    mirror
}

/// A program that needs a library which the image has already.
fn shell() -> Package {
    package("shell", "1")
        .field("Depends", "libc6")
        .member(program("usr/bin/shell", Elf::program().needs("libc.so.6").build()))
}

fn fast() -> Package {
    package("fast", "1").member(program(
        "usr/lib/x86_64-linux-gnu/libfast.so.1",
        Elf::library("libfast.so.1").needs("libc.so.6").build(),
    ))
}

fn project(mirror: &Mirror, parts: &[&str]) -> Project {
    let project = Project::new(mirror);
    project.write("images/tiny/users", "root:x:0:0::/:/tools/sh\n");
    describe(&project, parts);
    project
}

/// Puts parts behind the description.
fn describe(project: &Project, parts: &[&str]) {
    let text = project.read("images/tiny/image.toml");
    project.write("images/tiny/image.toml", &format!("{text}{}", parts.concat()));
}

/// The manifest and the configuration of an image.
fn image(project: &Project, name: &str) -> (Value, Value) {
    let manifest = project.document(&project.index(name)["manifests"][0]["digest"]);
    let config = project.document(&manifest["config"]["digest"]);
    (manifest, config)
}

fn layers(project: &Project, name: &str) -> Vec<Value> {
    image(project, name).0["layers"].as_array().expect("layers").clone()
}

#[test]
fn a_variant_has_tags_settings_and_layers_of_its_own_and_shares_the_rest() {
    let mirror = mirror();
    let project = project(&mirror, &[VARIANTS, DEBUG]);
    project.build();
    let images = project.images();
    let names: Vec<_> = images.keys().map(String::as_str).collect();
    insta::assert_snapshot!(names.join("\n"), @"
    tiny:3.3
    tiny:3.3-debug
    tiny:3.3-nonroot
    tiny:3.3-root
    tiny:3.3-trixie
    tiny:3.3-trixie-debug
    tiny:3.3-trixie-nonroot
    tiny:3.3-trixie-root
    tiny:3.3.8-trixie
    tiny:3.3.8-trixie-debug
    tiny:3.3.8-trixie-nonroot
    tiny:3.3.8-trixie-root
    ");
    assert_eq!(images["tiny:3.3"], images["tiny:3.3-nonroot"]);
    assert_eq!(layers(&project, "tiny:3.3"), layers(&project, "tiny:3.3-root"));
    let (plain, debug) = (layers(&project, "tiny:3.3"), layers(&project, "tiny:3.3-debug"));
    assert_eq!(plain[..], debug[..2]);
    assert_eq!(debug.len(), 3);
    let (_, config) = image(&project, "tiny:3.3-root");
    insta::assert_snapshot!(config["config"]["User"].as_str().unwrap(), @"0:0");
    assert_eq!(config["config"]["Env"], serde_json::json!(["LANG=C", "RUBY_VERSION=3.3.8", "SERIES=3.3"]));

    let files = project.folder().join("files");
    project
        .run(&["export", "tiny:3.3-debug", "--format", "dir", "--output", &files.display().to_string()])
        .good();
    assert_eq!(fs::read_link(files.join("tools/ls")).unwrap().to_str(), Some("/usr/bin/shell"));
    assert_eq!(fs::read_to_string(files.join("etc/passwd")).unwrap(), "root:x:0:0::/:/tools/sh\n");
    let records = fs::read_dir(files.join("var/lib/dpkg/status.d")).unwrap();
    assert!(records.map(|record| record.unwrap().file_name()).any(|name| name == "shell"));

    insta::assert_snapshot!(project.run(&["why", "tiny:3.3-debug", "/usr/bin/shell"]), @"
    status 0
    -- output
    /usr/bin/shell is in the layer `debug`, from package shell 1
      root: a shell
    ");
    insta::assert_snapshot!(project.run(&["why", "tiny:3.3-debug", "/usr/lib/x86_64-linux-gnu/libc.so.6"]), @"
    status 0
    -- output
    /usr/lib/x86_64-linux-gnu/libc.so.6 is in the layer `ruby`, from package libc6 2.41-12
      NEEDED libc.so.6 of /usr/bin/ruby3.3
        root: the interpreter
    ");
    insta::assert_snapshot!(project.run(&["why", "tiny:3.3-root", "/usr/bin/shell"]), @"
    status 1
    -- output
    /usr/bin/shell is not in the image, and no package of the image has it
    ");
}

#[test]
fn one_more_variant_leaves_the_others_as_they_are() {
    let mirror = mirror();
    let project = project(&mirror, &[VARIANTS]);
    project.build();
    let before = project.images();
    describe(&project, &[DEBUG]);
    insta::assert_snapshot!(project.run(&["build-all", "--no-check"]), @"
    status 0
    -- errors
    resolving the packages of trixie
    locked trixie amd64: 1 packages
    fetching 1 package, 0.0 MB
    unchanged tiny:3.3-trixie: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    unchanged tiny:3.3-trixie-root: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    built tiny:3.3-trixie-debug: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    ");
    let after = project.images();
    assert!(before.iter().all(|(name, digest)| after[name] == *digest));

    // What has its own configuration alone needs no package.
    describe(&project, &["\n[[variants]]\nname = \"utc\"\nwhy = \"\"\nenvironment = { TZ = \"UTC\" }\n"]);
    fs::remove_dir_all(project.cache.join("derived/deb-data")).unwrap();
    insta::assert_snapshot!(project.run(&["build-all", "--no-check", "--offline"]), @"
    status 0
    -- errors
    unchanged tiny:3.3-trixie: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    unchanged tiny:3.3-trixie-root: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    unchanged tiny:3.3-trixie-debug: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    built tiny:3.3-trixie-utc: 0.0 MB on disk, 0.0 MB to pull (0.0 MB in zstd), sha256:[digest]
    ");
    assert!(!project.cache.join("derived/deb-data").exists(), "no package was opened");
}

#[test]
fn a_variant_on_demand_is_built_where_it_is_asked_for() {
    let mirror = mirror();
    let project = project(&mirror, &[VARIANTS, ON_DEMAND]);
    project.build();
    assert!(!project.images().contains_key("tiny:3.3-dev"));
    project.run(&["build", "*", "--no-check"]).good();
    assert!(!project.images().contains_key("tiny:3.3-dev"), "a pattern does not mean it");
    for arguments in [
        &["build", "tiny:3.3-dev", "--no-check"][..],
        &["build-all", "--variant", "dev", "--no-check"],
        &["build-all", "--variant", "all", "--no-check"],
    ] {
        fs::remove_dir_all(project.root.join("dist")).unwrap();
        project.run(arguments).good();
        assert!(project.images().contains_key("tiny:3.3-dev"), "{arguments:?}");
    }
    // It is as the matrix describes it, so a run without it leaves it there.
    project.build();
    assert!(project.images().contains_key("tiny:3.3-dev"));
    project.edit("images/tiny/image.toml", "LANG = \"C.UTF-8\"", "LANG = \"C\"");
    project.build();
    assert!(!project.images().contains_key("tiny:3.3-dev"), "it is another one now");
    insta::assert_snapshot!(project.run(&["build-all", "--variant", "devel"]), @"
    status 2
    -- errors
    error: no variant is called `devel`
    hint: the variants are nonroot, root, dev
    ");
}

#[test]
fn an_option_of_a_row_is_in_all_its_variants() {
    let mirror = mirror();
    let project = project(&mirror, &[VARIANTS, DEBUG, OPTION]);
    project.edit(
        "matrix.toml",
        "source = { package = \"ruby\" }",
        "source = { package = \"ruby\" }\n\n[[rows]]\nruby = \"3.3\"\ndistro = \"trixie\"\nsource = { package = \"ruby\" }\noptions = [\"fast\"]",
    );
    project.build();
    let images = project.images();
    for name in ["tiny:3.3-fast", "tiny:3.3-trixie-fast-nonroot", "tiny:3.3.8-trixie-fast-debug"] {
        assert!(images.contains_key(name), "{name}");
    }
    let (plain, fast) = (layers(&project, "tiny:3.3"), layers(&project, "tiny:3.3-fast-debug"));
    assert_eq!(plain[..], fast[..2]);
    assert_eq!(fast.len(), 4);
    let (_, config) = image(&project, "tiny:3.3-fast-root");
    assert!(config["config"]["Env"].as_array().unwrap().contains(&"PRELOAD=libfast.so.1".into()));

    project.edit("matrix.toml", "[\"fast\"]", "[\"fats\"]");
    insta::assert_snapshot!(project.run(&["build-all"]), @"
    status 2
    -- errors
    error: matrix.toml: Ruby 3.3 on trixie has the option `fats`, which images/tiny/image.toml does not have
    hint: the options are fast
    ");
}

#[test]
fn a_rule_can_be_switched_off() {
    let mirror = mirror();
    let project = project(&mirror, &[]);
    let pages = ["why", "tiny:3.3", "/usr/lib/ruby/3.3.0/rdoc/page.rb"];
    project.build();
    let before = project.images();
    project.run(&["build-all", "--no-check", "--keep", "pages"]).good();
    assert_ne!(project.images(), before);
    let files = project.folder().join("files");
    project.run(&["export", "tiny:3.3", "--format", "dir", "--output", &files.display().to_string()]).good();
    assert!(files.join("usr/lib/ruby/3.3.0/rdoc/page.rb").exists());
    assert!(project.run(&pages).output.contains("left out"), "the description is as it was");
    insta::assert_snapshot!(project.run(&["build-all", "--keep", "page"]), @"
    status 2
    -- errors
    error: images/tiny/image.toml has no rule `page`
    hint: did you mean `pages`?
    ");
    insta::assert_snapshot!(project.run(&["build-all", "--keep", "zzz"]), @"
    status 2
    -- errors
    error: images/tiny/image.toml has no rule `zzz`
    hint: the rules are pages
    ");
}

const INSTALLED: &str = r#"
[[variants]]
name = "dev"
why = "for building"
on-demand = true
packages = ["compiler"]
drop = [{ name = "manuals", paths = ["/usr/share/man"], why = "read elsewhere" }]

[[variants.layers]]
name = "dev"
installed = true
roots = [{ path = "/usr/bin/compile", why = "it compiles" }]
files = [
    { path = "/usr/bin/cc", link = "compile", needs = "/usr/bin/compile", why = "its usual name" },
    { path = "/usr/bin/c++", link = "compile++", needs = "/usr/bin/compile++", why = "where it is there" },
    { path = "/etc/apt/sources.list", generate = "apt-sources", why = "where packages come from" },
]
"#;

/// A package with everything that dpkg keeps records of.
fn compiler() -> Package {
    package("compiler", "2")
        .field("Depends", "libc6, headers")
        .member(program("bin/compile", Elf::program().needs("libc.so.6").build()))
        .file("etc/compiler.conf", "fast\n")
        .file("usr/share/man/man1/compile.1", "a page")
        .record("conffiles", "/etc/compiler.conf\n")
        .record("postinst", "#!/bin/sh\nexit 1\n")
        .record("triggers", "interest-noawait ldconfig\ninterest /usr/lib/plugins\nactivate other\n")
}

fn headers() -> Package {
    package("headers", "1").field("Multi-Arch", "same").file("usr/include/h.h", "int h;\n")
}

#[test]
fn packages_that_are_installed_are_so_for_dpkg_too() {
    let mirror = Mirror::empty();
    mirror.publish(&suite("trixie", ruby("3.3").into_iter().chain([compiler(), headers()])));
    mirror.publish_security(&Suite::new("trixie-security"));
    let project = project(&mirror, &[VARIANTS, INSTALLED]);
    project.run(&["build", "tiny:3.3-dev", "tiny:3.3", "--no-check"]).good();
    let (plain, dev) = (layers(&project, "tiny:3.3"), layers(&project, "tiny:3.3-dev"));
    assert_eq!(plain[..], dev[..2]);

    let files = project.folder().join("files");
    project
        .run(&["export", "tiny:3.3-dev", "--format", "dir", "--output", &files.display().to_string()])
        .good();
    let read = |path: &str| fs::read_to_string(files.join(path)).unwrap_or_else(|error| error.to_string());
    assert!(!files.join("usr/share/man").exists(), "a rule leaves it out");
    assert!(files.join("usr/include/h.h").exists(), "nothing needs it, and its package is installed");
    assert!(!files.join("usr/bin/c++").exists(), "what it needs is not there");
    let status = read("var/lib/dpkg/status");
    let compiler = status.split("\n\n").find(|entry| entry.starts_with("Package: compiler\n"));
    insta::assert_snapshot!(compiler.expect("it is installed"), @"
    Package: compiler
    Version: 2
    Architecture: amd64
    Depends: libc6, headers
    Status: install ok installed
    Conffiles:
     /etc/compiler.conf b8742dfd3b9fa3d9beeaac3a1a557617
    ");
    insta::assert_snapshot!(read("var/lib/dpkg/info/compiler.list"), @"
    /.
    /usr/share/doc/compiler/copyright
    /bin/compile
    /etc/compiler.conf
    ");
    insta::assert_snapshot!(read("var/lib/dpkg/triggers/File"), @"/usr/lib/plugins compiler");
    insta::assert_snapshot!(read("var/lib/dpkg/triggers/ldconfig"), @"compiler/noawait");
    insta::assert_snapshot!(read("var/lib/dpkg/info/compiler.postinst"), @"
    #!/bin/sh
    exit 1
    ");
    insta::assert_snapshot!(read("var/lib/dpkg/info/headers:amd64.list"), @"
    /.
    /usr/share/doc/headers/copyright
    /usr/include/h.h
    ");
    let sources = read("etc/apt/sources.list").replace(&mirror.server.url(""), "[mirror]");
    insta::assert_snapshot!(sources, @"
    # Where the packages of this image come from, as they were when these were chosen.
    deb [mirror]/debian trixie main
    deb [mirror]/debian-security trixie-security main
    ");
    let paths = ["/usr/include/h.h", "/usr/share/man/man1/compile.1", "/usr/bin/cc", "/var/lib/dpkg/status"];
    let reasons = paths.map(|path| project.run(&["why", "tiny:3.3-dev", path]).output);
    insta::assert_snapshot!(reasons.concat(), @"
    /usr/include/h.h is in the layer `dev`, from package headers 1: its package is installed
    /usr/share/man/man1/compile.1 is left out, from package compiler 2
      by the rule `manuals`: read elsewhere
    /usr/bin/cc is in the layer `dev`
      root: its usual name
    /var/lib/dpkg/status is in the layer `dev`: dpkg keeps it of packages that are installed
    ");

    match Command::new("dpkg-query").arg("--admindir").arg(files.join("var/lib/dpkg")).arg("--show").output()
    {
        Ok(listed) => {
            let listed = String::from_utf8(listed.stdout).unwrap();
            assert!(listed.contains("compiler\t2") && listed.contains("ruby3.3\t3.3.8-2"), "{listed}");
        }
        Err(why) => skip("what dpkg says of installed packages", &why.to_string()),
    }
}

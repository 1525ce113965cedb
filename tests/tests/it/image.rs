//! What an image is: its files, its configuration, and the records that scanners read.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fs_err as fs;

use crate::mirror::Mirror;
use crate::project::Project;

#[test]
fn the_files_of_an_image_are_those_that_have_a_reason() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    project.build();
    let files = project.folder().join("files");
    project.run(&["export", "tiny:3.3", "--format", "dir", "--output", &files.display().to_string()]).good();
    let mut lines = Vec::new();
    list(&files, &files, &mut lines);
    insta::assert_snapshot!(lines.join("\n"), @"
    link /bin -> usr/bin
    0755 /etc/
    link /etc/os-release -> ../usr/lib/os-release
    0644 /etc/passwd
    link /lib -> usr/lib
    link /lib64 -> usr/lib64
    link /sbin -> usr/sbin
    1777 /tmp/
    0755 /usr/
    0755 /usr/bin/
    link /usr/bin/ruby -> ruby3.3
    0755 /usr/bin/ruby3.3
    0755 /usr/lib/
    0755 /usr/lib/locale/
    0755 /usr/lib/locale/C.utf8/
    0644 /usr/lib/locale/C.utf8/LC_CTYPE
    0644 /usr/lib/os-release
    0755 /usr/lib/ruby/
    0755 /usr/lib/ruby/3.3.0/
    0644 /usr/lib/ruby/3.3.0/set.rb
    0755 /usr/lib/x86_64-linux-gnu/
    0755 /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
    0644 /usr/lib/x86_64-linux-gnu/libc.so.6
    link /usr/lib/x86_64-linux-gnu/libruby-3.3.so.3.3 -> libruby-3.3.so.3.3.8
    0644 /usr/lib/x86_64-linux-gnu/libruby-3.3.so.3.3.8
    link /usr/lib/x86_64-linux-gnu/libyaml-0.so.2 -> libyaml-0.so.2.0.9
    0644 /usr/lib/x86_64-linux-gnu/libyaml-0.so.2.0.9
    0755 /usr/lib/x86_64-linux-gnu/ruby/
    0755 /usr/lib/x86_64-linux-gnu/ruby/3.3.0/
    0755 /usr/lib/x86_64-linux-gnu/ruby/3.3.0/enc/
    0644 /usr/lib/x86_64-linux-gnu/ruby/3.3.0/enc/euc_jp.so
    0644 /usr/lib/x86_64-linux-gnu/ruby/3.3.0/psych.so
    0644 /usr/lib/x86_64-linux-gnu/ruby/3.3.0/rbconfig.rb
    0755 /usr/lib64/
    link /usr/lib64/ld-linux-x86-64.so.2 -> ../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
    0755 /usr/sbin/
    0755 /usr/share/
    0755 /usr/share/doc/
    0755 /usr/share/doc/base-files/
    0644 /usr/share/doc/base-files/copyright
    0755 /usr/share/doc/libc6/
    0644 /usr/share/doc/libc6/copyright
    0755 /usr/share/doc/libruby3.3/
    0644 /usr/share/doc/libruby3.3/copyright
    0755 /usr/share/doc/libyaml-0-2/
    0644 /usr/share/doc/libyaml-0-2/copyright
    0755 /usr/share/doc/ruby/
    0644 /usr/share/doc/ruby/copyright
    0755 /usr/share/doc/ruby3.3/
    0644 /usr/share/doc/ruby3.3/copyright
    0755 /usr/share/doc/tzdata/
    0644 /usr/share/doc/tzdata/copyright
    0755 /usr/share/zoneinfo/
    0755 /usr/share/zoneinfo/Asia/
    0644 /usr/share/zoneinfo/Asia/Tokyo
    0755 /var/
    0755 /var/lib/
    0755 /var/lib/dpkg/
    0755 /var/lib/dpkg/status.d/
    0644 /var/lib/dpkg/status.d/base-files
    0644 /var/lib/dpkg/status.d/base-files.md5sums
    0644 /var/lib/dpkg/status.d/libc6
    0644 /var/lib/dpkg/status.d/libc6.md5sums
    0644 /var/lib/dpkg/status.d/libruby3.3
    0644 /var/lib/dpkg/status.d/libruby3.3.md5sums
    0644 /var/lib/dpkg/status.d/libyaml-0-2
    0644 /var/lib/dpkg/status.d/libyaml-0-2.md5sums
    0644 /var/lib/dpkg/status.d/ruby
    0644 /var/lib/dpkg/status.d/ruby.md5sums
    0644 /var/lib/dpkg/status.d/ruby3.3
    0644 /var/lib/dpkg/status.d/ruby3.3.md5sums
    0644 /var/lib/dpkg/status.d/tzdata
    0644 /var/lib/dpkg/status.d/tzdata.md5sums
    ");

    let record =
        |package: &str| fs::read_to_string(files.join("var/lib/dpkg/status.d").join(package)).unwrap();
    insta::assert_snapshot!(record("libyaml-0-2"), @"
    Package: libyaml-0-2
    Version: 0.2.5-2
    Architecture: amd64
    Depends: libc6
    ");
    insta::assert_snapshot!(record("libyaml-0-2.md5sums"), @"00000000000000000000000000000014  usr/share/doc/libyaml-0-2/copyright");
    insta::assert_snapshot!(fs::read_to_string(files.join("etc/os-release")).unwrap(), @r#"
    PRETTY_NAME="Distroless"
    ID=small
    "#);
}

#[test]
fn the_configuration_of_an_image_and_what_it_says_of_itself() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    project.build();
    let index = project.index("tiny:3.3-trixie");
    let manifest = project.document(&index["manifests"][0]["digest"]);
    assert_eq!(index["annotations"], manifest["annotations"], "registries show those of the index");
    let config = project.document(&manifest["config"]["digest"]);
    let pretty = |value: &serde_json::Value| serde_json::to_string_pretty(value).unwrap();
    insta::assert_snapshot!(pretty(&manifest["annotations"]), @r#"
    {
      "org.opencontainers.image.created": "2026-09-21T14:13:20Z",
      "org.opencontainers.image.description": "A small Ruby",
      "org.opencontainers.image.licenses": "MIT",
      "org.opencontainers.image.source": "https://example.org/tiny",
      "org.opencontainers.image.title": "tiny 3.3.8 on trixie",
      "org.opencontainers.image.vendor": "nobody",
      "org.opencontainers.image.version": "3.3.8"
    }
    "#);
    insta::assert_snapshot!(pretty(&config["config"]), @r#"
    {
      "Cmd": [
        "/usr/bin/ruby"
      ],
      "Env": [
        "LANG=C.UTF-8",
        "RUBY_VERSION=3.3.8"
      ],
      "Labels": {
        "org.opencontainers.image.created": "2026-09-21T14:13:20Z",
        "org.opencontainers.image.description": "A small Ruby",
        "org.opencontainers.image.licenses": "MIT",
        "org.opencontainers.image.source": "https://example.org/tiny",
        "org.opencontainers.image.title": "tiny 3.3.8 on trixie",
        "org.opencontainers.image.vendor": "nobody",
        "org.opencontainers.image.version": "3.3.8"
      },
      "User": "65532:65532",
      "WorkingDir": "/"
    }
    "#);
    insta::assert_snapshot!(pretty(&config["history"]), @r#"
    [
      {
        "comment": "base",
        "created": "2026-09-21T14:13:20Z",
        "created_by": "distroless-ruby"
      },
      {
        "comment": "ruby",
        "created": "2026-09-21T14:13:20Z",
        "created_by": "distroless-ruby"
      }
    ]
    "#);
    let told = ["architecture", "os", "created"].map(|name| config[name].as_str().unwrap().to_owned());
    insta::assert_debug_snapshot!(told, @r#"
    [
        "amd64",
        "linux",
        "2026-09-21T14:13:20Z",
    ]
    "#);
}

#[test]
fn an_image_whose_licences_are_not_said_says_nothing_of_them() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    project.edit("images/tiny/image.toml", "licenses = \"MIT\"\n", "");
    project.build();
    let layout = project.layout().into_values();
    let described: Vec<_> = layout.filter(|(_, bytes)| bytes.starts_with(b"{\"annotations\"")).collect();
    // The index, and a manifest for each compression.
    assert_eq!(described.len(), 3);
    for (_, bytes) in described {
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("image.description") && !text.contains("image.licenses"), "{text}");
    }
}

/// A line for each file: its mode, its path, and where it leads if it is a link.
fn list(root: &Path, folder: &Path, lines: &mut Vec<String>) {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        let inside = path.strip_prefix(root).expect("it is below").display();
        let metadata = fs::symlink_metadata(&path).expect("it is there");
        let mode = metadata.permissions().mode() & 0o7777;
        if let Ok(target) = fs::read_link(&path) {
            lines.push(format!("link /{inside} -> {}", target.display()));
        } else if metadata.is_dir() {
            lines.push(format!("{mode:04o} /{inside}/"));
            list(root, &path, lines);
        } else {
            lines.push(format!("{mode:04o} /{inside}"));
        }
    }
}

//! Descriptions that are read, and those that are refused, with the place of what is wrong.

use proptest::prelude::*;

use super::*;

const GOOD: &str = r#"
name = "ruby"
packages = ["base-files"]
gems = { packages = ["ruby-sinatra"], script = "checks/gems.rb" }

[about]
description = "A Ruby."
source = "https://example.org/"
vendor = "us"

[config]
user = "65532:65532"
working-directory = "/"
command = ["irb"]
environment = { LANG = "C.UTF-8", RUBY_VERSION = "{ruby}" }

[[layers]]
name = "base"
roots = [{ path = "/usr/bin/env", why = "binstubs start through it" }]
files = [
    { path = "/etc/passwd", copy = "files/passwd", why = "Etc.getpwuid" },
    { path = "/tmp", folder = true, mode = "1777", why = "Dir.tmpdir" },
    { path = "/usr/bin/bundle", link = "bundle{series}", why = "its usual name" },
    { path = "/etc/ssl/certs/ca-certificates.crt", generate = "ca-certificates", why = "HTTPS" },
]

[[layers]]
name = "ruby"
roots = []

[[drop]]
name = "documentation"
paths = ["/usr/share/doc"]
why = "read elsewhere"

[[accept]]
finding = "missing:*"
why = "known"

[[checks]]
name = "ruby -v"
proves = "it starts"
command = ["ruby", "-v"]
environment = { TZ = "UTC" }
output = "ruby {ruby}"

# The end.
"#;

fn refusal(from: &str, to: &str) -> String {
    let error = ImageSpec::parse("image.toml", &GOOD.replacen(from, to, 1)).expect_err("a wrong image");
    match error.hint() {
        Some(hint) => format!("{error}\nhint: {hint}"),
        None => error.to_string(),
    }
}

#[test]
fn reads_every_part() {
    let image = ImageSpec::parse("image.toml", GOOD).unwrap();
    let contents: Vec<&FileContent> = image.layers[0].files.iter().map(|file| &file.content).collect();
    assert_eq!(
        contents,
        [
            &FileContent::Copy("files/passwd".to_owned()),
            &FileContent::Folder(Always),
            &FileContent::Link("bundle{series}".to_owned()),
            &FileContent::Generate(Generator::CaCertificates),
        ]
    );
    assert_eq!(image.layers[0].files[1].mode.map(Mode::bits), Some(0o1777));
    assert_eq!(image.config.environment["RUBY_VERSION"], "{ruby}");
    assert_eq!(image.checks[0].time_limit, 60);
}

#[test]
fn what_is_wrong_has_its_place() {
    let changes = [
        ("working-directory", "working-dir"),
        ("generate = \"ca-certificates\"", "generate = \"ca-certificate\""),
        ("mode = \"1777\"", "mode = \"1778\""),
        ("mode = \"1777\"", "mode = \"17777\""),
        ("folder = true", "folder = false"),
        ("folder = true, ", ""),
        ("folder = true", "folder = true, copy = \"x\""),
        ("command = [\"ruby\", \"-v\"]", ""),
        ("output = \"ruby", "script = \"x.rb\"\noutput = \"ruby"),
        ("name = \"ruby\"", "name = \"Ru by!\""),
        ("65532:65532", "nonroot"),
        ("working-directory = \"/\"", "working-directory = \"rel\""),
        ("LANG", "\"A=B\""),
        ("{ruby}\" }", "{rubyx}\" }"),
        ("ruby {ruby}", "ruby {version}"),
        ("bundle{series}", "bundle{ruby}"),
        ("/usr/bin/env", "usr/bin/env"),
        ("/usr/bin/env", "/usr/../env"),
        ("/usr/bin/env", "/usr/bin/[env"),
        ("\"/usr/share/doc\"", "\"/usr/share/doc\", \"/usr/share/man/\""),
        ("why = \"read elsewhere\"", "why = \"\"\nshadowed-by = \"**\""),
        ("\"/tmp\"", "\"tmp\""),
        ("finding = \"missing:*\"", "finding = \"missing:[\""),
        ("environment = { TZ", "environment = { \"\""),
    ];
    let refusals = changes.map(|(from, to)| refusal(from, to));
    insta::assert_snapshot!(refusals.join("\n\n"), @r#"
    image.toml:13:1: unknown field `working-dir`, expected one of `user`, `working-directory`, `command`, `environment`
       |
    13 | working-dir = "/"
       | ^
    hint: did you mean `working-directory`?

    image.toml:24:63: unknown variant `ca-certificate`, expected one of `ca-certificates`, `os-release`, `apt-sources`
       |
    24 |     { path = "/etc/ssl/certs/ca-certificates.crt", generate = "ca-certificate", why = "HTTPS" },
       |                                                               ^
    hint: did you mean `ca-certificates`?

    image.toml:22:44: `1778` is not a mode: expected octal digits, as in "0755"
       |
    22 |     { path = "/tmp", folder = true, mode = "1778", why = "Dir.tmpdir" },
       |                                            ^

    image.toml:22:44: `17777` is not a mode: expected octal digits, as in "0755"
       |
    22 |     { path = "/tmp", folder = true, mode = "17777", why = "Dir.tmpdir" },
       |                                            ^

    image.toml:22:31: leave the field out instead of `false`
       |
    22 |     { path = "/tmp", folder = false, mode = "1777", why = "Dir.tmpdir" },
       |                               ^

    image.toml:22:5: file `/tmp` has one of the fields `copy`, `folder`, `link` and `generate`
       |
    22 |     { path = "/tmp", mode = "1777", why = "Dir.tmpdir" },
       |     ^

    image.toml:22:5: file `/tmp` has one of the fields `copy`, `folder`, `link` and `generate`
       |
    22 |     { path = "/tmp", folder = true, copy = "x", mode = "1777", why = "Dir.tmpdir" },
       |     ^

    image.toml:40:1: check `ruby -v` runs either a `command` or a `script`
       |
    40 | [[checks]]
       | ^

    image.toml:40:1: check `ruby -v` runs either a `command` or a `script`
       |
    40 | [[checks]]
       | ^

    image.toml:2:8: an image cannot be called `Ru by!`: expected lower-case letters and digits, joined by one of `.`, `_` and `-`, as in "ruby"
      |
    2 | name = "Ru by!"
      |        ^

    image.toml:12:8: `nonroot` is no user and group: expected their numbers, as in "65532:65532"
       |
    12 | user = "nonroot"
       |        ^

    image.toml:13:21: `rel` is no path in an image: it does not begin with a slash
       |
    13 | working-directory = "rel"
       |                     ^

    image.toml:15:17: `A=B` is no name of an environment variable
       |
    15 | environment = { "A=B" = "C.UTF-8", RUBY_VERSION = "{ruby}" }
       |                 ^

    image.toml:15:50: `{rubyx}` stands for nothing here, unlike `{ruby}` and `{series}`
       |
    15 | environment = { LANG = "C.UTF-8", RUBY_VERSION = "{rubyx}" }
       |                                                  ^
    hint: did you mean `{ruby}`?

    image.toml:45:10: `{version}` stands for nothing here, unlike `{ruby}`, `{series}`, `{uid}` and `{yjit}`
       |
    45 | output = "ruby {version}"
       |          ^
    hint: did you mean `{series}`?

    image.toml:23:40: `{ruby}` stands for nothing here, unlike `{series}`
       |
    23 |     { path = "/usr/bin/bundle", link = "bundle{ruby}", why = "its usual name" },
       |                                        ^

    image.toml:19:19: `usr/bin/env` is no pattern for paths in an image: it does not begin with a slash
       |
    19 | roots = [{ path = "usr/bin/env", why = "binstubs start through it" }]
       |                   ^

    image.toml:19:19: `/usr/../env` is no pattern for paths in an image: it leads upwards
       |
    19 | roots = [{ path = "/usr/../env", why = "binstubs start through it" }]
       |                   ^

    image.toml:19:19: `/usr/bin/[env` is no pattern for paths in an image: unclosed character class; missing ']'
       |
    19 | roots = [{ path = "/usr/bin/[env", why = "binstubs start through it" }]
       |                   ^

    image.toml:33:28: `/usr/share/man/` is no pattern for paths in an image: it has a doubled or a last slash
       |
    33 | paths = ["/usr/share/doc", "/usr/share/man/"]
       |                            ^

    image.toml:35:15: `**` is no pattern for paths in an image: it does not begin with a slash
       |
    35 | shadowed-by = "**"
       |               ^

    image.toml:22:14: `tmp` is no path in an image: it does not begin with a slash
       |
    22 |     { path = "tmp", folder = true, mode = "1777", why = "Dir.tmpdir" },
       |              ^

    image.toml:37:11: `missing:[` is no pattern: unclosed character class; missing ']'
       |
    37 | finding = "missing:["
       |           ^

    image.toml:44:17: `` is no name of an environment variable
       |
    44 | environment = { "" = "UTC" }
       |                 ^
    "#);
}

#[test]
fn what_stands_twice_names_both_lines() {
    let twice = |start: &str, end: &str| {
        let start = GOOD.find(start).unwrap();
        let part = &GOOD[start..start + GOOD[start..].find(end).unwrap()];
        let error = ImageSpec::parse("image.toml", &GOOD.replacen(part, &part.repeat(2), 1)).unwrap_err();
        error.to_string().lines().next().unwrap().to_owned()
    };
    let refusals = [
        twice("[[layers]]", "[[layers]]\nname = \"ruby"),
        twice("    { path = \"/tmp\"", "    { path = \"/usr"),
        twice("[[drop]]", "[[accept]]"),
        twice("[[checks]]", "#"),
    ];
    insta::assert_snapshot!(refusals.join("\n"), @"
    image.toml:28:8: layer `base` stands at line 18 already
    image.toml:23:5: file `/tmp` stands at line 22 already
    image.toml:36:1: rule `documentation` stands at line 31 already
    image.toml:47:1: check `ruby -v` stands at line 40 already
    ");
    // Files of all layers go into one tree.
    let message =
        refusal("roots = []", "roots = []\nfiles = [{ path = \"/tmp\", folder = true, why = \"\" }]");
    assert!(message.contains("file `/tmp` stands at line"), "{message}");
}

proptest! {
    #[test]
    fn a_changed_description_never_makes_it_panic(at in any::<prop::sample::Index>(), put in "[{}/.:=\\[\"é*a0\n]{0,4}") {
        let text = GOOD;
        let at = at.index(text.len());
        let changed = [&text[..at], &put, &text[at + 1..]].concat();
        if let Err(error) = ImageSpec::parse("file", &changed) {
            prop_assert!(error.to_string().starts_with("file:"), "{error}");
        }
    }
}

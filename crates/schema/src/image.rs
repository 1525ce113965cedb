//! `images/*/image.toml`: what an image is, apart from the Ruby and the distro in it: the roots that its files are
//! there for, the files that no package brings, what is left out and why, its configuration and its checks.
//!
//! The file is data alone: whoever reads it decides nothing by an image's name. What could not work is refused as it is
//! read, with its place: a description that was read has valid names, paths, patterns and placeholders, and no name or
//! made file twice.

mod path;
mod value;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Spanned;

pub use path::{ImagePath, Pattern};
pub use value::{Always, Mode, User};

use crate::name;
use crate::text::{Document, ParseError};

/// A whole description of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSpec {
    /// The first part of the image's name, a repository as registries have them: `ruby` in `ruby:3.3-trixie`.
    pub name: String,
    /// What the image says of itself.
    pub about: About,
    /// How a container of it starts.
    pub config: Config,
    /// The distro's packages that it may take files from, beside the Ruby itself.
    pub packages: Vec<String>,
    /// What it is made of, lowest first; never empty.
    pub layers: Vec<LayerSpec>,
    /// What is left out of it.
    pub drop: Vec<Drop>,
    /// What of it is made smaller.
    pub shrink: Vec<Shrink>,
    /// Needs that are known not to be met.
    pub accept: Vec<Accept>,
    /// The gems that the checks may install.
    pub gems: Option<Gems>,
    /// What is tried in every image.
    pub checks: Vec<Check>,
}

/// What an image says of itself, for its annotations.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct About {
    /// One sentence.
    pub description: String,
    /// Where its source is.
    pub source: String,
    /// The licences of everything in it, as an SPDX expression.
    pub licenses: Option<String>,
    /// Who answers for it.
    pub vendor: String,
}

/// How a container starts (OCI image configuration, `config`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Whose rights it has.
    pub user: User,
    /// The folder it starts in.
    pub working_directory: ImagePath,
    /// The default command.
    pub command: Vec<String>,
    /// Environment; `{ruby}` in a value stands for the full version, `{series}` for its first two numbers.
    #[serde(deserialize_with = "value::environment::<_, value::Template>")]
    pub environment: BTreeMap<String, String>,
}

/// A layer: the closure of its roots and its own files, less what a lower layer has.
///
/// A layer's roots alone decide what is in it, so images that have its packages alike share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerSpec {
    /// What it is called in the report and in the image's history.
    pub name: String,
    /// What the closure starts from.
    pub roots: Vec<RootSpec>,
    /// Files that no package brings as they are needed; no two of them, nor of another layer's, have one path.
    pub files: Vec<FileSpec>,
}

/// Files that are in the image for their own sake.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RootSpec {
    /// What they are called; a pattern that matches nothing is an error unless it is optional.
    pub path: Pattern,
    /// Why it is wanted.
    pub why: String,
    /// Some of the distros do not have it.
    #[serde(default)]
    pub optional: bool,
}

/// A file, folder or link that is made for the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSpec {
    /// Where it is in the image.
    pub path: ImagePath,
    /// What it is.
    pub content: FileContent,
    /// Its mode; 0644 for a file and 0755 for a folder where none is given.
    pub mode: Option<Mode>,
    /// Its owner, user and group alike.
    pub owner: u32,
    /// Why it is wanted.
    pub why: String,
}

/// What a made file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileContent {
    /// A copy of this file beside `image.toml`.
    Copy(String),
    /// An empty folder, unless something else goes into it.
    Folder(Always),
    /// A symbolic link with this target; `{series}` in it stands for the first two numbers of the Ruby.
    Link(String),
    /// Made from the files of the packages.
    Generate(Generator),
}

/// A file that a package's maintainer script would have made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Generator {
    /// Every certificate of `ca-certificates` in one file, as `update-ca-certificates` makes it.
    CaCertificates,
    /// The distro's `os-release` under the name of a distroless image.
    OsRelease,
}

/// Files that are left out though something reaches them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Drop {
    /// A short name for the report.
    pub name: String,
    /// What is left out; a folder goes with all below it.
    pub paths: Vec<Pattern>,
    /// What serves in their place: where the image has no such path, nothing is left out.
    #[serde(default)]
    pub shadowed_by: Option<Pattern>,
    /// Why nobody misses them.
    pub why: String,
}

/// Files that take fewer bytes than in their packages, and do the same.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Shrink {
    /// A short name for the report, that no other rule has.
    pub name: String,
    /// What is done to them.
    pub how: ShrinkHow,
    /// Which files; those of another kind stay as they are.
    pub paths: Vec<Pattern>,
    /// Why nobody misses what goes.
    pub why: String,
}

/// What makes files smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShrinkHow {
    /// ELF objects lose what no loader maps, as their symbol table.
    Strip,
    /// Ruby code loses what its comments say. Every line keeps its number.
    Comments,
    /// Files of a layer that have the same bytes become hard links of one.
    Link,
}

/// A finding that is known and accepted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Accept {
    /// The finding's key, or a glob over keys.
    #[serde(deserialize_with = "value::glob")]
    pub finding: String,
    /// Why it does no harm.
    pub why: String,
}

/// A gem source for the checks, made of the distro's own packages.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Gems {
    /// The packages whose gems it has; what they depend on comes with them.
    pub packages: Vec<String>,
    /// The Ruby script beside `image.toml` that makes gems of them, run by the image's own `ruby`.
    pub script: String,
}

/// Something that is tried in the finished image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Check {
    /// Its name in the report.
    pub name: String,
    /// What a pass proves.
    pub proves: String,
    /// The command that runs, without a shell.
    #[serde(default)]
    pub command: Vec<String>,
    /// A Ruby script beside `image.toml`, given to the image's own `ruby` on standard input.
    #[serde(default)]
    pub script: Option<String>,
    /// Environment beside the image's own.
    #[serde(default, deserialize_with = "value::environment::<_, String>")]
    pub environment: BTreeMap<String, String>,
    /// What standard output must have; `{ruby}` stands for the full version, `{series}` for its first two numbers.
    #[serde(default, deserialize_with = "value::template")]
    pub output: Option<String>,
    /// The check installs gems: the address of the gem source is in `GEM_SOURCE`.
    #[serde(default)]
    pub gems: bool,
    /// Seconds after which it has failed.
    #[serde(default = "default_time_limit")]
    pub time_limit: u32,
}

const fn default_time_limit() -> u32 {
    60
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    name: Spanned<String>,
    about: About,
    config: Config,
    packages: Vec<String>,
    layers: Spanned<Vec<WrittenLayer>>,
    #[serde(default)]
    drop: Vec<Spanned<Drop>>,
    #[serde(default)]
    shrink: Vec<Spanned<Shrink>>,
    #[serde(default)]
    accept: Vec<Accept>,
    gems: Option<Gems>,
    #[serde(default)]
    checks: Vec<Spanned<Check>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenLayer {
    name: Spanned<String>,
    roots: Vec<RootSpec>,
    #[serde(default)]
    files: Vec<Spanned<WrittenFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenFile {
    path: ImagePath,
    copy: Option<String>,
    folder: Option<Always>,
    link: Option<value::LinkTarget>,
    generate: Option<Generator>,
    mode: Option<Mode>,
    #[serde(default)]
    owner: u32,
    why: String,
}

impl WrittenLayer {
    fn read(self, document: &Document<'_>) -> Result<LayerSpec, ParseError> {
        let Self { name, roots, files } = self;
        let files = files.into_iter().map(|file| {
            let span = file.span();
            file.into_inner().read().map_err(|message| document.error(Some(span), message, None))
        });
        Ok(LayerSpec { name: name.into_inner(), roots, files: files.collect::<Result<_, _>>()? })
    }
}

impl WrittenFile {
    fn read(self) -> Result<FileSpec, String> {
        let Self { path, copy, folder, link, generate, mode, owner, why } = self;
        let contents = [
            copy.map(FileContent::Copy),
            folder.map(FileContent::Folder),
            link.map(|target| FileContent::Link(target.into())),
            generate.map(FileContent::Generate),
        ];
        let mut contents = contents.into_iter().flatten();
        match (contents.next(), contents.next()) {
            (Some(content), None) => Ok(FileSpec { path, content, mode, owner, why }),
            _ => Err(format!("file `{path}` has one of the fields `copy`, `folder`, `link` and `generate`")),
        }
    }
}

impl ImageSpec {
    /// Reads a description; `file` is the name that errors give it.
    ///
    /// # Errors
    /// A field that does not exist or has a value that cannot work, an image without a layer, a layer, a rule, a made
    /// file or a check that stands twice, a check that runs nothing: each with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, ParseError> {
        let document = Document::new(file, text);
        let written: Written = document.parse()?;
        written.verify(&document)?;
        let layers = written.layers.into_inner().into_iter().map(|layer| layer.read(&document));
        Ok(Self {
            name: written.name.into_inner(),
            about: written.about,
            config: written.config,
            packages: written.packages,
            layers: layers.collect::<Result<_, _>>()?,
            drop: written.drop.into_iter().map(Spanned::into_inner).collect(),
            shrink: written.shrink.into_iter().map(Spanned::into_inner).collect(),
            accept: written.accept,
            gems: written.gems,
            checks: written.checks.into_iter().map(Spanned::into_inner).collect(),
        })
    }
}

impl Written {
    /// What is seen only from the whole.
    fn verify(&self, document: &Document<'_>) -> Result<(), ParseError> {
        if !name::is_repository(self.name.get_ref()) {
            let message = format!(
                "an image cannot be called `{}`: expected {}, as in \"ruby\"",
                self.name.get_ref(),
                name::WORDS
            );
            return Err(document.error(Some(self.name.span()), message, None));
        }
        let layers = self.layers.get_ref();
        if layers.is_empty() {
            return Err(document.error(Some(self.layers.span()), "an image has at least one layer", None));
        }
        for check in &self.checks {
            let Check { name, command, script, .. } = check.get_ref();
            if command.is_empty() == script.is_none() {
                let message = format!("check `{name}` runs either a `command` or a `script`");
                return Err(document.error(Some(check.span()), message, None));
            }
        }
        let files = layers.iter().flat_map(|layer| &layer.files);
        document.refuse_doubled(
            "layer",
            layers.iter().map(|layer| (&**layer.name.get_ref(), layer.name.span())),
        )?;
        document.refuse_doubled("file", files.map(|file| (file.get_ref().path.as_str(), file.span())))?;
        let drops = self.drop.iter().map(|drop| (&*drop.get_ref().name, drop.span()));
        let shrinks = self.shrink.iter().map(|shrink| (&*shrink.get_ref().name, shrink.span()));
        document.refuse_doubled("rule", drops.chain(shrinks))?;
        document
            .refuse_doubled("check", self.checks.iter().map(|check| (&*check.get_ref().name, check.span())))
    }
}

#[cfg(test)]
mod tests {
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

        image.toml:24:63: unknown variant `ca-certificate`, expected `ca-certificates` or `os-release`
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

        image.toml:45:10: `{version}` stands for nothing here, unlike `{ruby}` and `{series}`
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
}

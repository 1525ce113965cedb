//! `images/*/image.toml`: what an image is, apart from the Ruby and the distro in it: the roots that its files are
//! there for, the files that no package brings, what is left out and why, its configuration and its checks.
//!
//! The file is data alone: whoever reads it decides nothing by an image's name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::text::{Document, ParseError};

/// A whole description of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSpec {
    /// The first part of the image's name: `ruby` in `ruby:3.3-trixie`.
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
    /// Needs that are known not to be met.
    pub accept: Vec<Accept>,
    /// The gems that the checks may install.
    pub gems: Option<Gems>,
    /// What is tried in every image.
    pub checks: Vec<Check>,
}

/// What an image says of itself, for its annotations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct About {
    /// One sentence.
    pub description: String,
    /// Where its source is.
    pub source: String,
    /// An SPDX licence expression.
    pub licenses: String,
    /// Who answers for it.
    pub vendor: String,
}

/// How a container starts (OCI image configuration, `config`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// User and group, as numbers: `65532:65532`.
    pub user: String,
    /// The folder it starts in.
    pub working_directory: String,
    /// The default command.
    pub command: Vec<String>,
    /// Environment; `{ruby}` in a value stands for the full version.
    pub environment: BTreeMap<String, String>,
}

/// A layer: the closure of its roots and its own files, less what a lower layer has.
///
/// A layer's roots alone decide what is in it, so images that have its packages alike share it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LayerSpec {
    /// What it is called in the report and in the image's history.
    pub name: String,
    /// What the closure starts from.
    pub roots: Vec<RootSpec>,
    /// Files that no package brings as they are needed.
    #[serde(default)]
    pub files: Vec<FileSpec>,
}

/// Files that are in the image for their own sake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RootSpec {
    /// A path or a glob in the image; one that matches nothing is an error unless it is optional.
    pub path: String,
    /// Why it is wanted.
    pub why: String,
    /// Some of the distros do not have it.
    #[serde(default)]
    pub optional: bool,
}

/// A file, folder or link that is made for the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FileSpec {
    /// Where it is in the image.
    pub path: String,
    /// What it is.
    #[serde(flatten)]
    pub content: FileContent,
    /// Its mode; 0644 for a file and 0755 for a folder where none is given.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// Its owner, user and group alike.
    #[serde(default)]
    pub owner: u32,
    /// Why it is wanted.
    pub why: String,
}

/// The permission bits of a file (`07777` at the most), written as octal digits: `"1777"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mode(u32);

impl Mode {
    /// The bits, as `chmod(2)` takes them.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match u32::from_str_radix(&text, 8) {
            Ok(bits) if bits <= 0o7777 && !text.starts_with('+') => Ok(Self(bits)),
            _ => Err(format!("`{text}` is not a mode: expected octal digits, as in \"0755\"")),
        }
    }
}

impl From<Mode> for String {
    fn from(mode: Mode) -> Self {
        format!("{:04o}", mode.0)
    }
}

/// What a made file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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

/// The only value of a field that is there or not: `true`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "bool", into = "bool")]
pub struct Always;

impl TryFrom<bool> for Always {
    type Error = &'static str;

    fn try_from(value: bool) -> Result<Self, Self::Error> {
        value.then_some(Self).ok_or("leave the field out instead of `false`")
    }
}

impl From<Always> for bool {
    fn from(_: Always) -> Self {
        true
    }
}

/// A file that a package's maintainer script would have made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Generator {
    /// Every certificate of `ca-certificates` in one file, as `update-ca-certificates` makes it.
    CaCertificates,
    /// The distro's `os-release` under the name of a distroless image.
    OsRelease,
}

/// Files that are left out though something reaches them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Drop {
    /// A short name for the report.
    pub name: String,
    /// Globs in the image; a folder that matches goes with all below it.
    pub paths: Vec<String>,
    /// A glob for what serves in their place: where the image has no such path, nothing is left out.
    #[serde(default)]
    pub shadowed_by: Option<String>,
    /// Why nobody misses them.
    pub why: String,
}

/// A finding that is known and accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Accept {
    /// The finding's key, or a glob over keys.
    pub finding: String,
    /// Why it does no harm.
    pub why: String,
}

/// A gem source for the checks, made of the distro's own packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// What standard output must have; `{ruby}` stands for the full version, `{series}` for its first two numbers.
    #[serde(default)]
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
    name: String,
    about: About,
    config: Config,
    packages: Vec<String>,
    layers: Spanned<Vec<LayerSpec>>,
    #[serde(default)]
    drop: Vec<Drop>,
    #[serde(default)]
    accept: Vec<Accept>,
    gems: Option<Gems>,
    #[serde(default)]
    checks: Vec<Spanned<Check>>,
}

impl ImageSpec {
    /// Reads a description; `file` is the name that errors give it.
    ///
    /// # Errors
    /// A field that does not exist or has a wrong value, an image without a layer, a check that is doubled or runs
    /// nothing: each with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, ParseError> {
        let document = Document::new(file, text);
        let written: Written = document.parse()?;
        if written.layers.get_ref().is_empty() {
            return Err(document.error(Some(written.layers.span()), "an image has at least one layer", None));
        }
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        for check in &written.checks {
            let Check { name, command, script, .. } = check.get_ref();
            if command.is_empty() == script.is_none() {
                let message = format!("check `{name}` runs either a `command` or a `script`");
                return Err(document.error(Some(check.span()), message, None));
            }
            let line = document.line(check.span().start);
            if let Some(first) = names.insert(name, line) {
                let message = format!("check `{name}` stands at line {first} already");
                return Err(document.error(Some(check.span()), message, None));
            }
        }
        Ok(Self {
            name: written.name,
            about: written.about,
            config: written.config,
            packages: written.packages,
            layers: written.layers.into_inner(),
            drop: written.drop,
            accept: written.accept,
            gems: written.gems,
            checks: written.checks.into_iter().map(Spanned::into_inner).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
name = "ruby"
packages = ["base-files"]
gems = { packages = ["ruby-sinatra"], script = "checks/gems.rb" }

[about]
description = "A Ruby."
source = "https://example.org/"
licenses = "Ruby"
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
    { path = "/lib", link = "usr/lib", why = "merged /usr" },
    { path = "/etc/ssl/certs/ca-certificates.crt", generate = "ca-certificates", why = "HTTPS" },
]

[[drop]]
name = "documentation"
paths = ["/usr/share/doc"]
why = "read elsewhere"

[[checks]]
name = "ruby -v"
proves = "it starts"
command = ["ruby", "-v"]
output = "ruby {ruby}"
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
                &FileContent::Link("usr/lib".to_owned()),
                &FileContent::Generate(Generator::CaCertificates),
            ]
        );
        assert_eq!(image.layers[0].files[1].mode.map(Mode::bits), Some(0o1777));
        assert_eq!(image.config.environment["RUBY_VERSION"], "{ruby}");
        assert_eq!(image.checks[0].time_limit, 60);
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let cases = [
            ("working-directory", "working-dir", "did you mean `working-directory`?"),
            (
                "generate = \"ca-certificates\"",
                "generate = \"ca-certificate\"",
                "did you mean `ca-certificates`?",
            ),
            ("mode = \"1777\"", "mode = \"1778\"", "is not a mode"),
            ("mode = \"1777\"", "mode = \"17777\"", "is not a mode"),
            ("folder = true", "folder = false", "leave the field out"),
            ("command = [\"ruby\", \"-v\"]", "", "image.toml:33:1: check `ruby -v` runs either"),
            (
                "output = \"ruby",
                "script = \"x.rb\"\noutput = \"ruby",
                "runs either a `command` or a `script`",
            ),
        ];
        for (from, to, says) in cases {
            let message = refusal(from, to);
            assert!(message.contains(says), "{to}: {message}");
        }
        let doubled = &GOOD[GOOD.find("[[checks]]").unwrap()..];
        let message = refusal("[[checks]]", &format!("{doubled}\n[[checks]]"));
        assert!(message.contains("check `ruby -v` stands at line 33 already"), "{message}");
    }
}

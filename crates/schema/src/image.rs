//! `images/*/image.toml`: what an image is, apart from the Ruby and the distro in it: the roots that its files are
//! there for, the files that no package brings, what is left out and why, its configuration and its checks.
//!
//! The file is data alone: whoever reads it decides nothing by an image's name. What could not work is refused as it is
//! read, with its place: a description that was read has valid names, paths, patterns and placeholders, and no name or
//! made file twice.

mod addition;
mod compile;
mod path;
mod value;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Spanned;

pub use addition::{Addition, RowOption, Variant};
pub use compile::CompileSpec;
pub use path::{ImagePath, OwnPattern, Pattern};
pub use value::{Always, Mode, User};

use crate::name;
use crate::text::{Document, ParseError, nearest};

/// A whole description of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSpec {
    /// The first part of the image's name, a repository as registries have them: `ruby` in `ruby:3.3-trixie`.
    pub name: String,
    /// What the image says of itself.
    pub about: About,
    /// How a container of it starts.
    pub config: Config,
    /// The distro's packages that it may take files from, beside the Ruby itself. `{package}` in one stands for the
    /// package of the Ruby; where the Ruby is of no package, that one is not asked for.
    pub packages: Vec<String>,
    /// What it is made of, lowest first; never empty.
    pub layers: Vec<LayerSpec>,
    /// Its forms, each under a tag of its own; the first has the plain tags too. Never empty.
    pub variants: Vec<Variant>,
    /// What rows may have besides.
    pub options: Vec<RowOption>,
    /// What a Ruby is that comes in no package.
    pub ruby: RubyAbout,
    /// How a Ruby of it is compiled, if rows may want that.
    pub compile: Option<CompileSpec>,
    /// What is left out of it.
    pub drop: Vec<Drop>,
    /// What of it is made smaller.
    pub shrink: Vec<Shrink>,
    /// What an image that a Ruby is taken from is taken not to have.
    pub overlook: Vec<Overlook>,
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

/// What the makers of Ruby say of it, for bills of materials: where it comes in a package, that says it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RubyAbout {
    /// The licences that it is offered under, of which one may be chosen, as SPDX identifies them.
    #[serde(default)]
    pub licenses: Vec<String>,
    /// Its name among the products that vulnerabilities are reported for (CPE 2.3), with `{ruby}` for the full version.
    #[serde(default, deserialize_with = "value::template")]
    pub cpe: Option<String>,
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
    /// It has every file of its packages that no lower layer has, and the records that dpkg keeps of them: they are
    /// installed, but for what rules leave out. Nothing of it is made smaller.
    pub installed: bool,
}

impl LayerSpec {
    /// Whether it has something from where the Ruby is.
    pub fn asks_for_ruby(&self) -> bool {
        self.roots.iter().any(|root| root.path.is_in_prefix())
    }
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
    /// What has to be there, or it is not made.
    pub needs: Option<Pattern>,
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
    /// Where the distro's packages come from, for apt: as of when they were locked.
    AptSources,
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

/// Files of an image that a Ruby is taken from that no other image gets: as if they were not there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Overlook {
    /// Which; a folder goes with all below it.
    pub paths: Vec<OwnPattern>,
    /// Why.
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
    /// What standard output must have; `{ruby}` stands for the full version, `{series}` for its first two numbers, `{uid}`
    /// for the number of the image's user, `{yjit}` for `with YJIT` or `without YJIT`, as the row has it, and for `YJIT`
    /// where the row does not say.
    #[serde(default, deserialize_with = "value::expectation")]
    pub output: Option<String>,
    /// The check installs gems: the address of the gem source is in `GEM_SOURCE`.
    #[serde(default)]
    pub gems: bool,
    /// The variants and options that it is for; every image where none is named.
    #[serde(default)]
    pub only: Vec<String>,
    /// The variants and options that contradict it by intent.
    #[serde(default)]
    pub except: Vec<String>,
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
    variants: Vec<addition::WrittenVariant>,
    #[serde(default)]
    options: Vec<addition::WrittenOption>,
    #[serde(default)]
    ruby: RubyAbout,
    compile: Option<compile::WrittenCompile>,
    #[serde(default)]
    drop: Vec<Spanned<Drop>>,
    #[serde(default)]
    shrink: Vec<Spanned<Shrink>>,
    #[serde(default)]
    overlook: Vec<Overlook>,
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
    #[serde(default)]
    installed: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenFile {
    path: ImagePath,
    copy: Option<String>,
    folder: Option<Always>,
    link: Option<value::LinkTarget>,
    #[serde(default)]
    names: Vec<value::FileName>,
    generate: Option<Generator>,
    mode: Option<Mode>,
    #[serde(default)]
    owner: u32,
    needs: Option<Pattern>,
    why: String,
}

impl WrittenLayer {
    fn read(self, document: &Document<'_>) -> Result<LayerSpec, ParseError> {
        let Self { name, roots, files, installed } = self;
        Ok(LayerSpec { name: name.into_inner(), roots, files: self::files(document, files)?, installed })
    }
}

/// Made files as they are written.
fn files(document: &Document<'_>, written: Vec<Spanned<WrittenFile>>) -> Result<Vec<FileSpec>, ParseError> {
    let files = written.into_iter().map(|file| {
        let span = file.span();
        file.into_inner().read().map_err(|message| document.error(Some(span), message, None))
    });
    Ok(files.collect::<Result<Vec<_>, _>>()?.concat())
}

impl WrittenFile {
    /// One file, or a link for each of the names in a folder.
    fn read(self) -> Result<Vec<FileSpec>, String> {
        let Self { path, copy, folder, link, names, generate, mode, owner, needs, why } = self;
        if !names.is_empty() && link.is_none() {
            return Err(format!("file `{path}` has `names`, which only links have"));
        }
        if let Some((_, twice)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            return Err(format!("`{twice}` stands twice among the names in `{path}`"));
        }
        let contents = [
            copy.map(FileContent::Copy),
            folder.map(FileContent::Folder),
            link.map(|target| FileContent::Link(target.into())),
            generate.map(FileContent::Generate),
        ];
        let mut contents = contents.into_iter().flatten();
        match (contents.next(), contents.next()) {
            (Some(content), None) => {
                let file = FileSpec { path, content, mode, owner, needs, why };
                let named =
                    |name: &value::FileName| FileSpec { path: name.below(&file.path), ..file.clone() };
                Ok(if names.is_empty() { vec![file] } else { names.iter().map(named).collect() })
            }
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
        let options = written.options.into_iter().map(|option| option.read(&document));
        Ok(Self {
            name: written.name.into_inner(),
            about: written.about,
            config: written.config,
            packages: written.packages,
            layers: layers.collect::<Result<_, _>>()?,
            variants: addition::variants(&document, written.variants)?,
            options: options.collect::<Result<_, _>>()?,
            ruby: written.ruby,
            compile: written.compile.map(|compile| compile.read(&document)).transpose()?,
            drop: written.drop.into_iter().map(Spanned::into_inner).collect(),
            shrink: written.shrink.into_iter().map(Spanned::into_inner).collect(),
            overlook: written.overlook,
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
        let names = layers.iter().map(|layer| &layer.name);
        let names = names.chain(addition::layers(&self.variants, &self.options));
        document.refuse_doubled("layer", names.map(|name| (&**name.get_ref(), name.span())))?;
        addition::verify_names(document, &self.variants, &self.options)?;
        self.verify_scopes(document)?;
        document.refuse_doubled("file", files.map(|file| (file.get_ref().path.as_str(), file.span())))?;
        let drops = self.drop.iter().map(|drop| (&*drop.get_ref().name, drop.span()));
        let shrinks = self.shrink.iter().map(|shrink| (&*shrink.get_ref().name, shrink.span()));
        document.refuse_doubled("rule", drops.chain(shrinks))?;
        document
            .refuse_doubled("check", self.checks.iter().map(|check| (&*check.get_ref().name, check.span())))
    }
}

impl Written {
    /// Whether every variant and option that a check names is there.
    fn verify_scopes(&self, document: &Document<'_>) -> Result<(), ParseError> {
        let known: Vec<&str> = addition::names(&self.variants, &self.options).collect();
        for check in &self.checks {
            let Check { name, only, except, .. } = check.get_ref();
            if let Some(unknown) = only.iter().chain(except).find(|name| !known.contains(&name.as_str())) {
                let message = format!("check `{name}` is for `{unknown}`, which is no variant or option");
                return Err(document.error(
                    Some(check.span()),
                    message,
                    nearest(unknown, known.iter().copied()),
                ));
            }
        }
        Ok(())
    }
}

impl Check {
    /// Whether it is for an image that is of these variants and options.
    pub fn is_for(&self, names: &[&str]) -> bool {
        let any_of = |list: &[String]| list.iter().any(|name| names.contains(&name.as_str()));
        (self.only.is_empty() || any_of(&self.only)) && !any_of(&self.except)
    }
}

#[cfg(test)]
mod tests;

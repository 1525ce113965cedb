//! What is put on an image: the variants that every row has, under a tag of their own each, and the options that a row
//! may have. Either is settings and layers of its own above those of the image, which it shares.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{Drop, LayerSpec, User, WrittenLayer, value};
use crate::name;
use crate::text::{Document, ParseError};

/// A form of the image under a tag of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// What stands behind the tag: `debug` in `ruby:3.3-debug`. Empty where an image has no variants: it is its only one.
    pub name: String,
    /// What it is for.
    pub why: String,
    /// It is built where it is asked for, and not with the whole matrix.
    pub on_demand: bool,
    /// Whose rights it has, where they are not the image's.
    pub user: Option<User>,
    /// The default command, where it is not the image's.
    pub command: Option<Vec<String>>,
    /// What it adds.
    pub addition: Addition,
}

/// Something that a row may have beside what the image has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowOption {
    /// What rows call it, and what stands in their tags.
    pub name: String,
    /// What it is for.
    pub why: String,
    /// What it adds.
    pub addition: Addition,
}

/// Settings and layers above those of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addition {
    /// Environment beside the image's, or in its place; with the same placeholders.
    pub environment: BTreeMap<String, String>,
    /// The packages that its layers take files from, with what these depend on; with the image's placeholder.
    pub packages: Vec<String>,
    /// Its layers, lowest first. A file of theirs may stand where a lower layer has one.
    pub layers: Vec<LayerSpec>,
    /// What is left out of its layers, beside what is left out of every layer.
    pub drop: Vec<Drop>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WrittenVariant {
    name: Spanned<String>,
    why: String,
    #[serde(default)]
    on_demand: bool,
    user: Option<User>,
    command: Option<Vec<String>>,
    #[serde(default, deserialize_with = "value::environment::<_, value::Template>")]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    packages: Vec<String>,
    #[serde(default)]
    layers: Vec<WrittenLayer>,
    #[serde(default)]
    drop: Vec<Spanned<Drop>>,
}

/// Says again what variants and options have alike: serde's `flatten` would take the places of mistakes from errors.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WrittenOption {
    name: Spanned<String>,
    why: String,
    #[serde(default, deserialize_with = "value::environment::<_, value::Template>")]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    packages: Vec<String>,
    #[serde(default)]
    layers: Vec<WrittenLayer>,
    #[serde(default)]
    drop: Vec<Spanned<Drop>>,
}

impl WrittenVariant {
    pub(super) fn read(self, document: &Document<'_>) -> Result<Variant, ParseError> {
        let Self { name, why, on_demand, user, command, environment, packages, layers, drop } = self;
        let name = word(document, name)?;
        let addition = addition(document, environment, packages, layers, drop)?;
        Ok(Variant { name, why, on_demand, user, command, addition })
    }
}

impl WrittenOption {
    pub(super) fn read(self, document: &Document<'_>) -> Result<RowOption, ParseError> {
        let Self { name, why, environment, packages, layers, drop } = self;
        let name = word(document, name)?;
        Ok(RowOption { name, why, addition: addition(document, environment, packages, layers, drop)? })
    }
}

/// The variants as they are written: each with a name of its own, the first of them not on demand. An image without any
/// is its only variant.
pub(super) fn variants(
    document: &Document<'_>,
    written: Vec<WrittenVariant>,
) -> Result<Vec<Variant>, ParseError> {
    if let Some(first) = written.first().filter(|first| first.on_demand) {
        let message = "the first variant has the plain tags, so it is always built";
        return Err(document.error(Some(first.name.span()), message, None));
    }
    if written.is_empty() {
        return Ok(vec![Variant {
            name: String::new(),
            why: String::new(),
            on_demand: false,
            user: None,
            command: None,
            addition: Addition::default(),
        }]);
    }
    written.into_iter().map(|variant| variant.read(document)).collect()
}

/// Refuses names that stand twice among variants and options: checks and tags name both alike.
pub(super) fn verify_names(
    document: &Document<'_>,
    variants: &[WrittenVariant],
    options: &[WrittenOption],
) -> Result<(), ParseError> {
    let names = variants.iter().map(|variant| &variant.name).chain(options.iter().map(|option| &option.name));
    document.refuse_doubled("variant or option", names.map(|name| (name.get_ref().as_str(), name.span())))?;
    let layers = variants.iter().map(|variant| (&variant.layers, &variant.drop));
    for (layers, drop) in layers.chain(options.iter().map(|option| (&option.layers, &option.drop))) {
        let files = layers.iter().flat_map(|layer| &layer.files);
        document.refuse_doubled("file", files.map(|file| (file.get_ref().path.as_str(), file.span())))?;
        document.refuse_doubled("rule", drop.iter().map(|drop| (&*drop.get_ref().name, drop.span())))?;
    }
    Ok(())
}

/// Every name of a variant or an option.
pub(super) fn names<'a>(
    variants: &'a [WrittenVariant],
    options: &'a [WrittenOption],
) -> impl Iterator<Item = &'a str> {
    let options = options.iter().map(|option| &option.name);
    variants.iter().map(|variant| &variant.name).chain(options).map(|name| name.get_ref().as_str())
}

/// Every layer of variants and options, with the name that it has.
pub(super) fn layers<'a>(
    variants: &'a [WrittenVariant],
    options: &'a [WrittenOption],
) -> impl Iterator<Item = &'a Spanned<String>> {
    let layers = variants.iter().flat_map(|variant| &variant.layers);
    layers.chain(options.iter().flat_map(|option| &option.layers)).map(|layer| &layer.name)
}

fn addition(
    document: &Document<'_>,
    environment: BTreeMap<String, String>,
    packages: Vec<String>,
    layers: Vec<WrittenLayer>,
    drop: Vec<Spanned<Drop>>,
) -> Result<Addition, ParseError> {
    let layers = layers.into_iter().map(|layer| layer.read(document)).collect::<Result<_, _>>()?;
    Ok(Addition { environment, packages, layers, drop: drop.into_iter().map(Spanned::into_inner).collect() })
}

/// A name that a tag may have.
fn word(document: &Document<'_>, name: Spanned<String>) -> Result<String, ParseError> {
    if name::is_tag_word(name.get_ref()) {
        return Ok(name.into_inner());
    }
    let message = format!("`{}` cannot be a part of a tag: expected {}", name.get_ref(), name::WORDS);
    Err(document.error(Some(name.span()), message, None))
}

#[cfg(test)]
mod tests {
    use super::super::{FileContent, ImageSpec};

    const IMAGE: &str = r#"name = "ruby"
packages = []
layers = [{ name = "base", roots = [] }]
about = { description = "", source = "", vendor = "" }
config = { user = "65532:65532", working-directory = "/", command = [], environment = {} }

[[variants]]
name = "nonroot"
why = "plain"

[[variants]]
name = "debug"
why = "a shell"
on-demand = true
user = "0:0"
command = ["sh"]
environment = { SERIES = "{series}" }
packages = ["busybox-static"]
drop = [{ name = "pages", paths = ["/usr/share/man"], why = "" }]

[[variants.layers]]
name = "debug"
roots = [{ path = "/usr/bin/busybox", why = "a shell" }]
files = [{ path = "/busybox", link = "/usr/bin/busybox", names = ["sh", "ls"], why = "tools" }]

[[options]]
name = "jemalloc"
why = "another allocator"
packages = ["libjemalloc2"]

[[checks]]
name = "shell"
proves = "it runs"
only = ["debug", "jemalloc"]
command = ["sh"]
output = "{uid}"
"#;

    fn refusal(from: &str, to: &str) -> String {
        assert!(IMAGE.contains(from), "{from}");
        let error = ImageSpec::parse("image.toml", &IMAGE.replacen(from, to, 1)).expect_err("a wrong image");
        let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}{hint}", error.to_string().lines().next().unwrap_or_default())
    }

    #[test]
    fn a_variant_and_an_option_are_read() {
        let image = ImageSpec::parse("image.toml", IMAGE).unwrap();
        let [plain, debug] = image.variants.as_slice() else { panic!("two variants") };
        assert!(plain.addition.layers.is_empty() && !plain.on_demand && plain.user.is_none());
        assert!(debug.on_demand && debug.user.is_some() && debug.command.is_some());
        let links: Vec<_> = debug.addition.layers[0].files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(links, ["/busybox/sh", "/busybox/ls"]);
        let target = FileContent::Link("/usr/bin/busybox".to_owned());
        assert!(debug.addition.layers[0].files.iter().all(|file| file.content == target));
        assert_eq!(image.options[0].addition.packages, ["libjemalloc2"]);
        let check = &image.checks[0];
        assert!(
            check.is_for(&["debug"]) && check.is_for(&["jemalloc", "nonroot"]) && !check.is_for(&["nonroot"])
        );
    }

    #[test]
    fn an_image_without_variants_is_its_only_one() {
        let start = IMAGE.find("[[variants]]").unwrap();
        let image = ImageSpec::parse("image.toml", &IMAGE[..start]).unwrap();
        assert_eq!(image.variants.len(), 1);
        assert_eq!(image.variants[0].name, "");
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let refusals = [
            refusal("name = \"nonroot\"", "name = \"Non Root\""),
            refusal("name = \"nonroot\"", "name = \"nonroot\"\non-demand = true"),
            refusal("name = \"nonroot\"", "name = \"debug\""),
            refusal("name = \"jemalloc\"", "name = \"debug\""),
            refusal("name = \"debug\"\nroots", "name = \"base\"\nroots"),
            refusal("on-demand", "on-demnd"),
            refusal("\"{series}\"", "\"{uid}\""),
            refusal("\"sh\", \"ls\"", "\"sh\", \"a/b\""),
            refusal("\"sh\", \"ls\"", "\"sh\", \"sh\""),
            refusal("link = \"/usr/bin/busybox\"", "copy = \"busybox\""),
            refusal("\"debug\", \"jemalloc\"", "\"debug\", \"jemaloc\""),
            refusal("[[options]]", "[[options]]\non-demand = true"),
        ];
        insta::assert_snapshot!(refusals.join("\n"), @"
        image.toml:8:8: `Non Root` cannot be a part of a tag: expected lower-case letters and digits, joined by one of `.`, `_` and `-`
        image.toml:8:8: the first variant has the plain tags, so it is always built
        image.toml:12:8: variant or option `debug` stands at line 8 already
        image.toml:27:8: variant or option `debug` stands at line 12 already
        image.toml:22:8: layer `base` stands at line 3 already
        image.toml:14:1: unknown field `on-demnd`, expected one of `name`, `why`, `on-demand`, `user`, `command`, `environment`, `packages`, `layers`, `drop` (did you mean `on-demand`?)
        image.toml:17:26: `{uid}` stands for nothing here, unlike `{ruby}` and `{series}`
        image.toml:24:73: `a/b` is no name of a file
        image.toml:24:10: `sh` stands twice among the names in `/busybox`
        image.toml:24:10: file `/busybox` has `names`, which only links have
        image.toml:31:1: check `shell` is for `jemaloc`, which is no variant or option (did you mean `jemalloc`?)
        image.toml:27:1: unknown field `on-demand`, expected one of `name`, `why`, `environment`, `packages`, `layers`, `drop`
        ");
    }
}

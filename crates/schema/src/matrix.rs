//! `matrix.toml`: which images to build. A row is one Ruby on one base distro; the distros say where packages come from.
//!
//! ```toml
//! image = "ruby"
//! architectures = ["host"]
//!
//! [distros.trixie]
//! suites = ["trixie", "trixie-updates"]
//! security = ["trixie-security"]
//!
//! [[rows]]
//! ruby = "3.3"
//! distro = "trixie"
//! source = { package = "ruby" }
//! ```

mod source;
mod tarball;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use toml::Spanned;

pub use source::{ImageName, LocalImage, Source};
pub use tarball::{Compiled, Tarball, TarballAddress};

use crate::Architecture;
use crate::name;
use crate::text::{Document, ParseError, nearest};

/// A whole matrix: every row names a distro that is there, and no row stands twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// The folder below `images/` that says what an image is.
    pub image: String,
    /// How layers are compressed.
    pub compression: Compression,
    /// Which architectures rows are built for that name none themselves; never empty.
    pub architectures: Vec<ArchitectureChoice>,
    /// The labels of machines that jobs for an architecture run on, where builds are spread over several.
    pub runners: BTreeMap<Architecture, String>,
    /// Where packages come from, where it is not the machine's own mirror.
    pub mirror: Option<Mirror>,
    /// How registries are reached that are not asked by their own names over TLS, by these names.
    pub registries: BTreeMap<String, RegistryAccess>,
    /// The base distros by their code names, each a word that tags may have.
    pub distros: BTreeMap<String, Distro>,
    /// The tarballs that Rubies are compiled from, by the full versions of these.
    pub tarballs: BTreeMap<String, Tarball>,
    /// The rows, in the file's order: of those with the same Ruby the first has the tag without a distro.
    pub rows: Vec<Row>,
}

/// The compression of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Taken by every engine.
    Gzip,
    /// Smaller; taken by containerd, podman, and Docker from version 23 on.
    Zstd,
    /// The same layers in each, under one name: every engine takes what suits it.
    #[default]
    Both,
}

/// One of the architectures that rows are built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArchitectureChoice {
    /// The one of the machine that builds.
    Host,
    /// 64-bit x86.
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

impl ArchitectureChoice {
    /// The architecture that is meant on a machine of architecture `host`.
    pub const fn resolve(self, host: Architecture) -> Architecture {
        match self {
            Self::Host => host,
            Self::Amd64 => Architecture::Amd64,
            Self::Arm64 => Architecture::Arm64,
        }
    }
}

/// The addresses of a Debian mirror.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// The address that has `dists/` and `pool/` below it.
    pub main: String,
    /// The same for the security archive.
    pub security: String,
}

/// How a registry is reached.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RegistryAccess {
    /// What is asked before it, in this order: a host, or an address with what stands before repositories there.
    #[serde(default)]
    pub mirrors: Vec<String>,
    /// It is spoken to without TLS; to loopback nobody needs that.
    #[serde(default)]
    pub plain_http: bool,
}

/// A base distro.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distro {
    /// Suites of the main archive.
    pub suites: Vec<String>,
    /// Suites of the security archive.
    #[serde(default)]
    pub security: Vec<String>,
    /// The armoured OpenPGP keys that its archive is signed with, a file of the project; Debian's own by default.
    #[serde(default)]
    pub keyring: Option<String>,
    /// The distro is past its support, so that an index past its `Valid-Until` is what it will have from now on.
    #[serde(default)]
    pub archived: bool,
}

/// One Ruby on one distro.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Which Ruby.
    pub ruby: RubySeries,
    /// On which distro, a key of [`Matrix::distros`].
    pub distro: String,
    /// Where the Ruby comes from.
    pub source: Source,
    /// The image that its layers are put on; the lowest of them where there is none.
    pub base: Option<ImageName>,
    /// What it has beside the image's own, by the names that the image's description gives: words of its tags.
    pub options: Vec<String>,
    /// Which architectures it is built for, where it is not for those of the matrix; never empty.
    pub architectures: Option<Vec<ArchitectureChoice>>,
    /// The group that it is in: such a row is built where the group or the row is asked for, and not with the matrix.
    pub group: Option<String>,
}

impl Row {
    /// What tells it from the others, and what the main tags of its images begin with: `3.3-trixie-jemalloc`.
    pub fn name(&self) -> String {
        let Self { ruby, distro, options, .. } = self;
        options.iter().fold(format!("{ruby}-{distro}"), |name, option| format!("{name}-{option}"))
    }
}

/// A line of Ruby versions that are compatible with one another: `3.3`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RubySeries(String);

impl RubySeries {
    /// Whether `version`, as in `3.3.8`, is of this series.
    pub fn has(&self, version: &str) -> bool {
        version.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// The series as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let number =
            |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        let parts: Vec<&str> = text.split('.').collect();
        (parts.len() == 2 && parts.iter().all(|part| number(part))).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for RubySeries {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    image: Spanned<String>,
    #[serde(default)]
    compression: Compression,
    architectures: Spanned<Vec<ArchitectureChoice>>,
    #[serde(default)]
    runners: BTreeMap<Architecture, String>,
    mirror: Option<Mirror>,
    #[serde(default)]
    registries: BTreeMap<String, RegistryAccess>,
    distros: BTreeMap<Spanned<String>, Distro>,
    #[serde(default)]
    tarballs: BTreeMap<Spanned<String>, tarball::WrittenTarball>,
    rows: Spanned<Vec<WrittenRow>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRow {
    ruby: Spanned<String>,
    distro: Spanned<String>,
    source: Spanned<Source>,
    base: Option<ImageName>,
    #[serde(default)]
    options: Vec<String>,
    architectures: Option<Spanned<Vec<ArchitectureChoice>>>,
    group: Option<Spanned<String>>,
}

/// What stands for every group where groups are named, so none is called so.
const EVERY_GROUP: &str = "all";

impl Matrix {
    /// Reads a matrix; `file` is the name that errors give it.
    ///
    /// # Errors
    /// A field, a distro or an architecture that does not exist, a distro that no tag can name, a Ruby that is no series,
    /// an empty matrix, a row that stands twice or a group with no usable name: each with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, ParseError> {
        let document = Document::new(file, text);
        let written: Written = document.parse()?;
        let image = written.image.get_ref();
        if image.is_empty() || !image.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            let message = "an image is named by the folder below `images/` that describes it";
            return Err(document.error(Some(written.image.span()), message, None));
        }
        if written.rows.get_ref().is_empty() {
            return Err(document.error(Some(written.rows.span()), "a matrix has at least one row", None));
        }
        if let Some(distro) = written.distros.keys().find(|distro| !name::is_tag_word(distro.get_ref())) {
            let message =
                format!("a distro cannot be called `{}`: expected {}", distro.get_ref(), name::WORDS);
            return Err(document.error(Some(distro.span()), message, None));
        }
        let distros: BTreeMap<String, Distro> =
            written.distros.into_iter().map(|(name, distro)| (name.into_inner(), distro)).collect();
        let tarballs = tarball::tarballs(&document, written.tarballs)?;
        Ok(Self {
            rows: rows(&document, written.rows.get_ref(), &distros, &tarballs)?,
            image: written.image.into_inner(),
            compression: written.compression,
            architectures: verified_architectures(&document, &written.architectures)?,
            runners: written.runners,
            mirror: written.mirror,
            registries: written.registries,
            distros,
            tarballs,
        })
    }

    /// The architectures that a row is for on a machine of architecture `host`.
    pub fn architectures_of(&self, row: &Row, host: Architecture) -> BTreeSet<Architecture> {
        let named = row.architectures.as_ref().unwrap_or(&self.architectures);
        named.iter().map(|choice| choice.resolve(host)).collect()
    }
}

fn rows(
    document: &Document<'_>,
    written: &[WrittenRow],
    distros: &BTreeMap<String, Distro>,
    tarballs: &BTreeMap<String, Tarball>,
) -> Result<Vec<Row>, ParseError> {
    let mut seen: BTreeMap<(&str, &str, &[String]), usize> = BTreeMap::new();
    let mut rows = Vec::with_capacity(written.len());
    for row in written {
        let distro = row.distro.get_ref();
        if !distros.contains_key(distro) {
            let known: Vec<&str> = distros.keys().map(String::as_str).collect();
            let message = format!("unknown distro `{distro}`, expected one of `{}`", known.join("`, `"));
            return Err(document.error(Some(row.distro.span()), message, nearest(distro, known)));
        }
        let Some(ruby) = RubySeries::parse(row.ruby.get_ref()) else {
            let message = format!(
                "`{}` is not a series of Rubies: expected two numbers, as in \"3.3\"",
                row.ruby.get_ref()
            );
            return Err(document.error(Some(row.ruby.span()), message, None));
        };
        let line = document.line(row.ruby.span().start);
        if let Some(first) = seen.insert((row.ruby.get_ref(), distro, &row.options), line) {
            let message = format!("Ruby {ruby} on {distro} stands at line {first} already");
            return Err(document.error(Some(row.ruby.span()), message, None));
        }
        verify_source(document, &row.source, &ruby, tarballs)?;
        rows.push(Row {
            ruby,
            distro: distro.clone(),
            source: row.source.get_ref().clone(),
            base: row.base.clone(),
            options: row.options.clone(),
            architectures: row
                .architectures
                .as_ref()
                .map(|architectures| verified_architectures(document, architectures))
                .transpose()?,
            group: row.group.as_ref().map(|group| verified_group(document, group)).transpose()?,
        });
    }
    Ok(rows)
}

fn verified_architectures(
    document: &Document<'_>,
    architectures: &Spanned<Vec<ArchitectureChoice>>,
) -> Result<Vec<ArchitectureChoice>, ParseError> {
    if architectures.get_ref().is_empty() {
        let message = "name at least one architecture, for example \"host\"";
        return Err(document.error(Some(architectures.span()), message, None));
    }
    Ok(architectures.get_ref().clone())
}

/// Whether what a source names is there, and is of the Ruby of its row.
fn verify_source(
    document: &Document<'_>,
    source: &Spanned<Source>,
    ruby: &RubySeries,
    tarballs: &BTreeMap<String, Tarball>,
) -> Result<(), ParseError> {
    let Source::Tarball(Compiled { version, .. }) = source.get_ref() else { return Ok(()) };
    let refused = |message, suggestion| Err(document.error(Some(source.span()), message, suggestion));
    if !tarballs.contains_key(version) {
        let known = tarballs.keys().map(String::as_str);
        let message =
            format!("no tarball of Ruby {version} is described: expected a table [tarballs.\"{version}\"]");
        return refused(message, nearest(version, known));
    }
    if !ruby.has(version) {
        return refused(format!("Ruby {version} is not one of the series {ruby}"), None);
    }
    Ok(())
}

/// The name of a group, as a person types it.
fn verified_group(document: &Document<'_>, group: &Spanned<String>) -> Result<String, ParseError> {
    let name = group.get_ref();
    if name::is_tag_word(name) && name != EVERY_GROUP {
        return Ok(name.clone());
    }
    let message = match name == EVERY_GROUP {
        true => format!("a group cannot be called `{name}`, which stands for every group"),
        false => format!("a group cannot be called `{name}`: expected {}", name::WORDS),
    };
    Err(document.error(Some(group.span()), message, None))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Digest;

    const GOOD: &str = r#"image = "ruby"
architectures = ["host"]

[distros.bookworm]
suites = ["bookworm"]

[distros.trixie]
suites = ["trixie", "trixie-updates"]
security = ["trixie-security"]

[[rows]]
ruby = "3.3"
distro = "trixie"
source = { package = "ruby" }
"#;

    fn refusal(text: &str) -> String {
        let error = Matrix::parse("matrix.toml", text).expect_err("a wrong matrix");
        match error.hint() {
            Some(hint) => format!("{error}\nhint: {hint}"),
            None => error.to_string(),
        }
    }

    #[test]
    fn reads_rows_distros_and_defaults() {
        let matrix = Matrix::parse("matrix.toml", GOOD).unwrap();
        assert_eq!(matrix.compression, Compression::Both);
        assert_eq!(matrix.rows.len(), 1);
        assert_eq!(matrix.rows[0].source, Source::Package("ruby".to_owned()));
        assert_eq!(matrix.distros["trixie"].security, ["trixie-security"]);
        assert!(!matrix.distros["trixie"].archived);
    }

    #[test]
    fn a_wrong_field_has_its_place_and_the_nearest_word() {
        insta::assert_snapshot!(refusal(&GOOD.replace("ruby = \"3.3\"", "rubby = \"3.3\"")), @r#"
        matrix.toml:12:1: unknown field `rubby`, expected one of `ruby`, `distro`, `source`, `base`, `options`, `architectures`, `group`
           |
        12 | rubby = "3.3"
           | ^
        hint: did you mean `ruby`?
        "#);
        insta::assert_snapshot!(refusal(&GOOD.replace("security", "securty")), @r#"
        matrix.toml:9:1: unknown field `securty`, expected one of `suites`, `security`, `keyring`, `archived`
          |
        9 | securty = ["trixie-securty"]
          | ^
        hint: did you mean `security`?
        "#);
        insta::assert_snapshot!(refusal(&GOOD.replace("package =", "packages =")), @r#"
        matrix.toml:14:12: unknown variant `packages`, expected one of `package`, `image`, `tarball`
           |
        14 | source = { packages = "ruby" }
           |            ^
        hint: did you mean `package`?
        "#);
        insta::assert_snapshot!(refusal(&GOOD.replace("{ package = \"ruby\" }", "\"ruby\"")), @r#"
        matrix.toml:14:10: say what `ruby` is: { package = "ruby" } of the distro, or { image = "ruby" }
           |
        14 | source = "ruby"
           |          ^
        "#);
        insta::assert_snapshot!(refusal(&GOOD.replace("{ package = \"ruby\" }", "{ image = \"oci:/ruby\" }")), @r#"
        matrix.toml:14:20: `oci:/ruby` names no path inside the project's folder
           |
        14 | source = { image = "oci:/ruby" }
           |                    ^
        "#);
        insta::assert_snapshot!(refusal(&GOOD.replace("\"host\"", "\"amd46\"")), @r#"
        matrix.toml:2:18: unknown variant `amd46`, expected one of `host`, `amd64`, `arm64`
          |
        2 | architectures = ["amd46"]
          |                  ^
        hint: did you mean `amd64`?
        "#);
    }

    #[test]
    fn layers_are_compressed_in_one_way_or_in_both() {
        for (written, compression) in
            [("gzip", Compression::Gzip), ("zstd", Compression::Zstd), ("both", Compression::Both)]
        {
            let matrix = Matrix::parse("matrix.toml", &format!("compression = \"{written}\"\n{GOOD}"));
            assert_eq!(matrix.unwrap().compression, compression);
        }
        insta::assert_snapshot!(refusal(&format!("compression = \"gz\"\n{GOOD}")), @r#"
        matrix.toml:1:15: unknown variant `gz`, expected one of `gzip`, `zstd`, `both`
          |
        1 | compression = "gz"
          |               ^
        hint: did you mean `gzip`?
        "#);
    }

    #[test]
    fn an_unknown_distro_has_its_place_and_the_nearest_word() {
        insta::assert_snapshot!(refusal(&GOOD.replace("\"trixie\"\nsource", "\"trixy\"\nsource")), @r#"
        matrix.toml:13:10: unknown distro `trixy`, expected one of `bookworm`, `trixie`
           |
        13 | distro = "trixy"
           |          ^
        hint: did you mean `trixie`?
        "#);
    }

    #[test]
    fn a_doubled_row_names_both_lines() {
        let doubled = format!(
            "{GOOD}\n[[rows]]\nruby = \"3.3\"\ndistro = \"trixie\"\nsource = {{ package = \"ruby\" }}\n"
        );
        insta::assert_snapshot!(refusal(&doubled), @r#"
        matrix.toml:17:8: Ruby 3.3 on trixie stands at line 12 already
           |
        17 | ruby = "3.3"
           |        ^
        "#);
    }

    #[test]
    fn a_distro_that_no_tag_can_name_has_its_place() {
        insta::assert_snapshot!(refusal(&GOOD.replace("bookworm]", "'Book Worm']")), @"
        matrix.toml:4:10: a distro cannot be called `Book Worm`: expected lower-case letters and digits, joined by one of `.`, `_` and `-`
          |
        4 | [distros.'Book Worm']
          |          ^
        ");
    }

    #[test]
    fn a_ruby_is_compiled_from_a_tarball_that_is_described() {
        let digest = Digest::of(b"tarball");
        let pinned = format!(
            "addresses = [\"https://a.example/r.tar.xz\", \"pool/r.tar.xz\"]\ndigest = \"{digest}\"\nsize = 7"
        );
        let with = |tarball: &str, source: &str| {
            let good = GOOD.replace("{ package = \"ruby\" }", source);
            format!("{good}\n[tarballs.\"3.3.8\"]\n{tarball}\n")
        };
        let parsed = |text: &str| Matrix::parse("matrix.toml", text).unwrap();
        let matrix = parsed(&with(&pinned, "{ tarball = \"3.3.8\" }"));
        assert_eq!(
            matrix.rows[0].source,
            Source::Tarball(Compiled { version: "3.3.8".to_owned(), yjit: true })
        );
        let addresses = [
            TarballAddress::Url("https://a.example/r.tar.xz".to_owned()),
            TarballAddress::Archive("pool/r.tar.xz".to_owned()),
        ];
        assert_eq!(
            matrix.tarballs["3.3.8"],
            Tarball::Pinned { addresses: addresses.into(), digest, size: 7 }
        );
        let packaged = "source-package = \"ruby3.3\"\nsuite = \"trixie\"";
        let matrix = parsed(&with(packaged, "{ tarball = { version = \"3.3.8\", yjit = false } }"));
        assert_eq!(
            matrix.rows[0].source,
            Source::Tarball(Compiled { version: "3.3.8".to_owned(), yjit: false })
        );
        let (package, suite) = ("ruby3.3".to_owned(), "trixie".to_owned());
        assert_eq!(matrix.tarballs["3.3.8"], Tarball::SourcePackage { package, suite });

        let source = "{ tarball = \"3.3.8\" }";
        for (text, says) in [
            (with(packaged, "{ tarball = \"3.3.9\" }"), "no tarball of Ruby 3.3.9 is described"),
            (
                with(packaged, source).replace("ruby = \"3.3\"", "ruby = \"3.4\""),
                "Ruby 3.3.8 is not one of the series 3.4",
            ),
            (with(packaged, "{ tarball = { version = \"3.3.8\", jit = true } }"), "unknown field `jit`"),
            (with("", source), "tarball `3.3.8` has either"),
            (with(&format!("{packaged}\nsize = 7"), source), "tarball `3.3.8` has either"),
            (with(&pinned.replace("size = 7", ""), source), "tarball `3.3.8` has either"),
            (with(&pinned.replace("pool/r", "/r"), source), "`/r.tar.xz` is no address"),
            (with(&pinned.replace("pool/r", "../r"), source), "`../r.tar.xz` is no address"),
            (with(&pinned.replace("pool/r", "ftp://r"), source), "`ftp://r.tar.xz` is no address"),
            (
                with(packaged, source).replace("tarballs.\"3.3.8\"", "tarballs.\"three\""),
                "`three` is no version of a Ruby",
            ),
        ] {
            let error = refusal(&text);
            assert!(error.contains(says) && error.contains("matrix.toml:"), "{says}: {error}");
        }
    }

    #[test]
    fn a_row_may_stand_on_an_image() {
        let on = |image: &str| format!("{GOOD}base = \"{image}\"\n");
        let matrix = Matrix::parse("matrix.toml", &on("registry.example.org/base:13")).unwrap();
        let base = matrix.rows[0].base.as_ref().map(ToString::to_string);
        assert_eq!(base.as_deref(), Some("registry.example.org/base:13"));
        assert!(refusal(&on("oci:../base")).starts_with("matrix.toml:15:8: `oci:../base` names no path"));
    }

    #[test]
    fn a_row_may_be_in_a_group() {
        let grouped = |name: &str| format!("{GOOD}group = \"{name}\"\n");
        let matrix = Matrix::parse("matrix.toml", &grouped("upstream")).unwrap();
        assert_eq!(matrix.rows[0].group.as_deref(), Some("upstream"));
        assert_eq!(Matrix::parse("matrix.toml", GOOD).unwrap().rows[0].group, None);
        insta::assert_snapshot!(refusal(&grouped("all")), @r#"
        matrix.toml:15:9: a group cannot be called `all`, which stands for every group
           |
        15 | group = "all"
           |         ^
        "#);
        insta::assert_snapshot!(refusal(&grouped("Up stream")), @r#"
        matrix.toml:15:9: a group cannot be called `Up stream`: expected lower-case letters and digits, joined by one of `.`, `_` and `-`
           |
        15 | group = "Up stream"
           |         ^
        "#);
    }

    #[test]
    fn wrong_values_are_refused() {
        for (from, to, says) in [
            ("ruby = \"3.3\"", "ruby = \"3\"", "is not a series of Rubies"),
            ("ruby = \"3.3\"", "ruby = \"3.3.8\"", "is not a series of Rubies"),
            ("ruby = \"3.3\"", "ruby = \"3.x\"", "is not a series of Rubies"),
            ("[\"host\"]", "[]", "at least one architecture"),
            (
                "distro = \"trixie\"\n",
                "distro = \"trixie\"\narchitectures = []\n",
                "at least one architecture",
            ),
            ("\"ruby\"\narch", "\"../ruby\"\narch", "folder below `images/`"),
            ("distro = \"trixie\"\n", "", "missing field `distro`"),
            ("[[rows]]", "[[rows]", "matrix.toml:11:"),
        ] {
            let message = refusal(&GOOD.replace(from, to));
            assert!(message.contains(says), "{to}: {message}");
        }
    }

    #[test]
    fn a_series_has_its_versions_and_no_others() {
        let series = RubySeries::parse("3.3").unwrap();
        for (version, has) in [("3.3.8", true), ("3.3", true), ("3.30.1", false), ("3.4.1", false)] {
            assert_eq!(series.has(version), has, "{version}");
        }
    }

    #[test]
    fn a_row_is_for_its_own_architectures_or_for_those_of_the_matrix() {
        use Architecture::{Amd64, Arm64};
        for (matrix, row, host, wanted) in [
            ("\"host\"", None, Arm64, &[Arm64][..]),
            ("\"amd64\"", None, Arm64, &[Amd64]),
            ("\"arm64\", \"amd64\", \"host\"", None, Arm64, &[Amd64, Arm64]),
            ("\"amd64\", \"arm64\"", Some("\"amd64\""), Arm64, &[Amd64]),
            ("\"amd64\"", Some("\"host\""), Arm64, &[Arm64]),
        ] {
            let row = row.map(|row| format!("architectures = [{row}]\n")).unwrap_or_default();
            let text = format!("{}{row}", GOOD.replacen("\"host\"", matrix, 1));
            let parsed = Matrix::parse("matrix.toml", &text).unwrap();
            let found = parsed.architectures_of(&parsed.rows[0], host);
            assert_eq!(found.into_iter().collect::<Vec<_>>(), wanted, "{matrix}, {row}");
        }
    }

    proptest! {
        #[test]
        fn a_changed_matrix_never_makes_it_panic(at in any::<prop::sample::Index>(), put in "[{}/.:=\\[\"é*a0\n]{0,4}") {
            let text = GOOD;
            let at = at.index(text.len());
            let changed = [&text[..at], &put, &text[at + 1..]].concat();
            if let Err(error) = Matrix::parse("file", &changed) {
                prop_assert!(error.to_string().starts_with("file:"), "{error}");
            }
        }
    }
}

//! `Packages` indexes: a paragraph for each package of a suite, component and architecture (Debian repository format,
//! "Packages Indices").
//!
//! An [`Index`] keeps the text as it is and knows where in it each package and each provided name stands. Fields are
//! found when they are asked for.

use std::ops::Range;

use memchr::memmem::{self, Finder};
use rootfs::Content;
use schema::{Digest, DigestError};

use crate::relation::{Provision, Relation, RelationError};
use crate::version::Version;

/// An index that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// Control data is UTF-8 (Debian policy, section 5.1).
    #[error("it is not UTF-8")]
    NotText,
    /// Places in it are kept in 32 bits.
    #[error("it is larger than 4 GiB")]
    TooLarge,
    /// A paragraph has not exactly one `Package` field.
    #[error("the paragraph at byte {0} is not that of one package")]
    NotOnePackage(usize),
}

/// A package whose fields do not say what they have to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// A field is missing.
    #[error("it has no field `{0}`")]
    Missing(&'static str),
    /// The name of the file leads out of the archive or needs quoting in an address.
    #[error("its `Filename` is `{0}`, which is no path in an archive")]
    Filename(String),
    /// The size is no number.
    #[error("its `Size` is `{0}`, which is no number")]
    Size(String),
    /// The digest is none.
    #[error("its `SHA256` is malformed")]
    Digest(#[from] DigestError),
    /// The files of a source package are no list of files in an archive.
    #[error("its `{field}` has the line `{line}`")]
    SourceFile {
        /// The field.
        field: &'static str,
        /// The line.
        line: String,
    },
    /// A relation cannot be read.
    #[error("its `{field}` is malformed")]
    Relation {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        source: RelationError,
    },
}

/// A stretch of the text.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    const fn is_empty(self) -> bool {
        self.start >= self.end
    }
}

/// Where a package is, and its name in there.
#[derive(Debug, Clone, Copy)]
struct Entry {
    paragraph: Span,
    name: Span,
}

/// A name that a package provides, and the number of its entry.
#[derive(Debug, Clone, Copy)]
struct Provided {
    name: Span,
    entry: u32,
}

/// The packages of one index.
#[derive(Debug)]
pub(crate) struct Index {
    text: Content,
    /// Sorted by name; those of one name in the order of the text.
    entries: Vec<Entry>,
    /// Sorted by name, then in the order of the text. The entry is the place in `entries`.
    provided: Vec<Provided>,
}

impl Index {
    /// Finds the packages in the text of an index.
    ///
    /// # Errors
    /// When it is no text, or a paragraph is not that of a package.
    pub(crate) fn parse(text: Content) -> Result<Self, IndexError> {
        u32::try_from(text.len()).map_err(|_| IndexError::TooLarge)?;
        std::str::from_utf8(&text).map_err(|_| IndexError::NotText)?;
        let mut scan = Scan::new(&text);
        scan.run()?;
        let Scan { entries, mut provided, .. } = scan;
        // The names are taken out of the text: to look each up there again and again takes five times as long.
        let mut order: Vec<u32> = (0..).take(entries.len()).collect();
        order.sort_by_cached_key(|&entry| slice(&text, entries[entry as usize].name).to_vec());
        provided.sort_by_cached_key(|provided| (slice(&text, provided.name).to_vec(), provided.entry));
        let mut place = vec![0; entries.len()];
        for (sorted, &entry) in (0..).zip(&order) {
            place[entry as usize] = sorted;
        }
        for provided in &mut provided {
            provided.entry = place[provided.entry as usize];
        }
        let entries = order.iter().map(|&entry| entries[entry as usize]).collect();
        Ok(Self { text, entries, provided })
    }

    /// Every package, by name.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = Package<'_>> {
        self.entries.iter().map(|entry| self.package(entry))
    }

    /// The packages of that name: of several versions, if the suite has several.
    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = Package<'_>> {
        let start = self.entries.partition_point(|entry| slice(&self.text, entry.name) < name.as_bytes());
        let rest = self.entries[start..].iter();
        rest.take_while(move |entry| slice(&self.text, entry.name) == name.as_bytes())
            .map(|entry| self.package(entry))
    }

    /// The packages that provide that name.
    pub(crate) fn providing(&self, name: &str) -> impl Iterator<Item = Package<'_>> {
        let start =
            self.provided.partition_point(|provided| slice(&self.text, provided.name) < name.as_bytes());
        let rest = self.provided[start..].iter();
        rest.take_while(move |provided| slice(&self.text, provided.name) == name.as_bytes())
            .map(|provided| self.package(&self.entries[provided.entry as usize]))
    }

    fn package(&self, entry: &Entry) -> Package<'_> {
        // The whole text is UTF-8, and both spans end where lines do.
        let text = |span| str::from_utf8(slice(&self.text, span)).unwrap_or_default();
        Package { name: text(entry.name), paragraph: text(entry.paragraph) }
    }
}

fn slice(text: &[u8], span: Span) -> &[u8] {
    &text[span.start as usize..span.end as usize]
}

/// One pass over the paragraphs of an index.
struct Scan<'a> {
    text: &'a [u8],
    package: Finder<'static>,
    provides: Finder<'static>,
    entries: Vec<Entry>,
    provided: Vec<Provided>,
}

impl<'a> Scan<'a> {
    fn new(text: &'a [u8]) -> Self {
        let (package, provides) = (Finder::new(b"\nPackage:"), Finder::new(b"\nProvides:"));
        Self { text, package, provides, entries: Vec::new(), provided: Vec::new() }
    }

    fn run(&mut self) -> Result<(), IndexError> {
        let mut start = 0;
        for end in memmem::find_iter(self.text, b"\n\n").chain([self.text.len()]) {
            self.paragraph(start..end)?;
            start = end + 2;
        }
        Ok(())
    }

    /// Notes the package of a paragraph, which may have empty lines before it or be nothing but these.
    fn paragraph(&mut self, mut paragraph: Range<usize>) -> Result<(), IndexError> {
        while self.text[paragraph.clone()].starts_with(b"\n") {
            paragraph.start += 1;
        }
        if paragraph.is_empty() {
            return Ok(());
        }
        let malformed = IndexError::NotOnePackage(paragraph.start);
        let mut names = values(self.text, &paragraph, &self.package);
        let (Some(name), None) = (names.next(), names.next()) else { return Err(malformed) };
        let line = &self.text[name..paragraph.end];
        let name = trimmed(self.text, name..name + memchr::memchr(b'\n', line).unwrap_or(line.len()));
        if name.is_empty() {
            return Err(malformed);
        }
        for value in values(self.text, &paragraph, &self.provides) {
            let end = value + field_end(&self.text[value..paragraph.end]);
            self.provided.extend(provided(self.text, value..end, self.entries.len()));
        }
        self.entries.push(Entry { paragraph: span(paragraph), name });
        Ok(())
    }
}

/// Where the values of a field begin in a paragraph. The needle of `field` is its name between a line feed and a colon.
fn values<'t>(
    text: &'t [u8],
    paragraph: &Range<usize>,
    field: &'t Finder<'_>,
) -> impl Iterator<Item = usize> + use<'t> {
    let Range { start, end } = *paragraph;
    let text = &text[start..end];
    let length = field.needle().len();
    let first = text.starts_with(&field.needle()[1..]).then_some(start + length - 1);
    first.into_iter().chain(field.find_iter(text).map(move |place| start + place + length))
}

/// The names in a list such as `a, b (= 1)`, provided by that entry.
fn provided(text: &[u8], value: Range<usize>, entry: usize) -> impl Iterator<Item = Provided> {
    let entry = u32::try_from(entry).unwrap_or(u32::MAX);
    let elements = text[value.clone()].split(|byte| *byte == b',');
    let mut next = value.start;
    let names = elements.map(move |element| {
        let start = next;
        next += element.len() + 1;
        let length = element.iter().position(|byte| matches!(byte, b'(' | b':')).unwrap_or(element.len());
        trimmed(text, start..start + length)
    });
    names.filter(|name| !name.is_empty()).map(move |name| Provided { name, entry })
}

/// That stretch without the white space around it.
fn trimmed(text: &[u8], range: Range<usize>) -> Span {
    let bytes = &text[range.clone()];
    let start = range.start + (bytes.len() - bytes.trim_ascii_start().len());
    span(start..start + bytes.trim_ascii().len())
}

/// The text is shorter than 4 GiB, which is checked first.
fn span(range: Range<usize>) -> Span {
    let place = |place| u32::try_from(place).unwrap_or(u32::MAX);
    Span { start: place(range.start), end: place(range.end) }
}

/// Whether it is a path in an archive: it leads nowhere but down, and needs no quoting in an address.
pub(crate) fn is_path(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/.+-_~:".contains(&byte);
    text.split('/').all(|component| !matches!(component, "" | "." | "..")) && text.bytes().all(is_plain)
}

/// A package of an index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Package<'a> {
    name: &'a str,
    paragraph: &'a str,
}

impl<'a> Package<'a> {
    /// Its name.
    pub(crate) const fn name(self) -> &'a str {
        self.name
    }

    /// The value of a field, with its continuation lines. The name is compared letter by letter, as archives write
    /// it.
    pub(crate) fn field(self, name: &str) -> Option<&'a str> {
        let mut rest = self.paragraph;
        while !rest.is_empty() {
            let end = field_end(rest.as_bytes());
            let (field, after) = rest.split_at(end);
            if let Some(value) = field.strip_prefix(name).and_then(|value| value.strip_prefix(':')) {
                return Some(value.trim_ascii());
            }
            rest = after;
        }
        None
    }

    /// The same, of a field that has to be there.
    pub(crate) fn needed(self, name: &'static str) -> Result<&'a str, FieldError> {
        self.field(name).ok_or(FieldError::Missing(name))
    }

    /// Its version.
    ///
    /// # Errors
    /// When it has none.
    pub(crate) fn version(self) -> Result<Version<'a>, FieldError> {
        self.needed("Version").map(Version::new)
    }

    /// Its architecture: `all` or that of the index.
    ///
    /// # Errors
    /// When it has none.
    pub(crate) fn architecture(self) -> Result<&'a str, FieldError> {
        self.needed("Architecture")
    }

    /// What has to be there for it to work: `Pre-Depends`, then `Depends`.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(crate) fn needs(self) -> Result<Vec<Relation<'a>>, FieldError> {
        let mut needs = Vec::new();
        for field in ["Pre-Depends", "Depends"] {
            let relations = Relation::parse_all(self.field(field).unwrap_or_default());
            needs.extend(relations.map_err(|source| FieldError::Relation { field, source })?);
        }
        Ok(needs)
    }

    /// The names that it provides.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn provisions(self) -> Result<Vec<Provision<'a>>, FieldError> {
        Provision::parse_all(self.field("Provides").unwrap_or_default())
            .map_err(|source| FieldError::Relation { field: "Provides", source })
    }

    /// Whether a package of any architecture may use it (`Multi-Arch: allowed`).
    pub(crate) fn allows_any_architecture(self) -> bool {
        self.field("Multi-Arch") == Some("allowed")
    }

    /// Where its file is in the archive, how many bytes it has, and their digest.
    ///
    /// # Errors
    /// When one of the three is missing or malformed.
    pub(crate) fn file(self) -> Result<(&'a str, u64, Digest), FieldError> {
        let filename = self.needed("Filename")?;
        if !is_path(filename) {
            return Err(FieldError::Filename(filename.to_owned()));
        }
        let size = self.needed("Size")?;
        let size = size.parse().map_err(|_| FieldError::Size(size.to_owned()))?;
        Ok((filename, size, Digest::from_hex(self.needed("SHA256")?)?))
    }
}

/// Where the first field of `text` ends, with its continuation lines and the last line end.
fn field_end(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text)
        .map(|end| end + 1)
        .find(|&next| !matches!(text.get(next), Some(b' ' | b'\t')))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "Package: zlib1g\nVersion: 1:1.3\nArchitecture: amd64\n\
        Multi-Arch: allowed\nProvides: libz1 (= 1:1.3), libz,\n libz-dev,\nDescription: a library\n Package: not a field\n\
        Filename: pool/main/z/zlib/zlib1g_1.3_amd64.deb\nSize: 10\n\
        SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n\n\n\
        Package: attr\nVersion: 1\nPre-Depends: libc6\nDepends: libattr1 (= 1),\n zlib1g\n\n\
        Package: libz-ng\nVersion: 2\nProvides: libz\n\n\
        Package: attr\nVersion: 2\n";

    fn index(text: &str) -> Result<Index, IndexError> {
        Index::parse(Content::from(text.as_bytes().to_vec()))
    }

    #[test]
    fn packages_are_found_by_name_and_by_what_they_provide() {
        let index = index(TEXT).unwrap();
        let names = |packages: &mut dyn Iterator<Item = Package<'_>>| {
            packages
                .map(|package| format!("{} {}", package.name(), package.version().unwrap()))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&mut index.iter()), ["attr 1", "attr 2", "libz-ng 2", "zlib1g 1:1.3"]);
        assert_eq!(names(&mut index.named("attr")), ["attr 1", "attr 2"]);
        assert_eq!(names(&mut index.named("libz")), [""; 0]);
        assert_eq!(names(&mut index.providing("libz")), ["zlib1g 1:1.3", "libz-ng 2"]);
        assert_eq!(names(&mut index.providing("libz1")), ["zlib1g 1:1.3"]);
        assert_eq!(names(&mut index.providing("libz-dev")), ["zlib1g 1:1.3"]);
        assert_eq!(names(&mut index.providing("")), [""; 0]);
        assert_eq!(names(&mut index.providing("attr")), [""; 0]);
    }

    #[test]
    fn fields_are_read_when_asked_for() {
        let index = index(TEXT).unwrap();
        let zlib = index.named("zlib1g").next().unwrap();
        assert_eq!(zlib.field("Description"), Some("a library\n Package: not a field"));
        assert_eq!(zlib.field("Desc"), None);
        assert!(zlib.allows_any_architecture());
        assert_eq!(zlib.provisions().unwrap().len(), 3);
        assert_eq!(zlib.file(), Ok(("pool/main/z/zlib/zlib1g_1.3_amd64.deb", 10, Digest::of(b""))));
        let attr = index.named("attr").next().unwrap();
        assert_eq!(attr.file(), Err(FieldError::Missing("Filename")));
        let needs: Vec<_> = attr.needs().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(needs, ["libc6", "libattr1 (= 1)", "zlib1g"]);
    }

    #[test]
    fn a_file_stays_inside_of_the_archive() {
        for name in ["../a", "/a", "a/../b", "a//b", "a?b", "a b", "a%2e", "./a", ""] {
            let index = index(&format!("Package: a\nFilename: {name}\nSize: 1\n")).unwrap();
            let file = index.named("a").next().unwrap().file();
            assert_eq!(file, Err(FieldError::Filename(name.to_owned())));
        }
    }

    #[test]
    fn a_paragraph_is_one_package() {
        assert_eq!(index("Version: 1\n").unwrap_err(), IndexError::NotOnePackage(0));
        assert_eq!(index("Package: a\n\nVersion: 1\n\n").unwrap_err(), IndexError::NotOnePackage(12));
        assert_eq!(index("Package: a\nPackage: b\n").unwrap_err(), IndexError::NotOnePackage(0));
        assert_eq!(index("\nPackage: \nVersion: 1\n").unwrap_err(), IndexError::NotOnePackage(1));
        assert_eq!(Index::parse(Content::from(vec![0xff])).unwrap_err(), IndexError::NotText);
        assert_eq!(index("").unwrap().iter().len(), 0);
    }

    #[test]
    fn a_cut_index_never_panics() {
        for length in 0..TEXT.len() {
            let Ok(index) = index(&TEXT[..length]) else { continue };
            for package in index.iter() {
                let _ = (package.needs(), package.provisions(), package.file());
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(Package:|Provides:|[ ,(:\na-c]){0,40}") {
            if let Ok(index) = index(&text) {
                for package in index.iter() {
                    prop_assert!(index.named(package.name()).count() > 0);
                    let _ = (package.needs(), package.provisions(), package.file());
                }
            }
        }
    }
}

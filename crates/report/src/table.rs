//! The table of sizes, in Markdown.
//!
//! Our images come first, in the matrix's order, then those of others in the order of their data file, each with a
//! number that stands for its source below the table. Columns are padded, so that it reads well as text too.

use std::collections::HashSet;
use std::fmt::Write;

use schema::run::{ImageRecord, RunRecord};

use crate::published::{Megabytes, Published};
use crate::shared;
use crate::size::megabytes;

/// A column: its head, what it says of our images, and what of others'.
struct Column {
    head: &'static str,
    /// Words stand at the left, numbers at the right.
    is_words: bool,
    ours: fn(&ImageRecord) -> String,
    theirs: fn(&Published) -> String,
}

/// What is not known.
const UNKNOWN: &str = "-";

impl Column {
    const fn words(
        head: &'static str,
        ours: fn(&ImageRecord) -> String,
        theirs: fn(&Published) -> String,
    ) -> Self {
        Self { head, is_words: true, ours, theirs }
    }

    const fn number(
        head: &'static str,
        ours: fn(&ImageRecord) -> String,
        theirs: fn(&Published) -> String,
    ) -> Self {
        Self { head, is_words: false, ours, theirs }
    }
}

/// The columns; those of the two compressions where an image is in both.
fn columns(in_both: bool) -> Vec<Column> {
    let pull = |head| Column::number(head, |image| megabytes(image.pull), |image| published(image.pull));
    let unknown = |_: &Published| UNKNOWN.to_owned();
    let pulls = if in_both {
        let zstd = |image: &ImageRecord| image.zstd.map_or_else(|| UNKNOWN.to_owned(), megabytes);
        vec![pull("To pull, gzip"), Column::number("To pull, zstd", zstd, unknown)]
    } else {
        vec![pull("To pull")]
    };
    let before = [
        Column::words("Image", |image| format!("**{}**", cell(&image.name)), |image| cell(&image.image)),
        Column::words(
            "Architecture",
            |image| image.architecture.to_string(),
            |image| image.architecture.to_string(),
        ),
        Column::words("Ruby", |image| cell(&image.ruby), |image| cell(&image.ruby)),
        Column::number("On disk", |image| megabytes(image.disk), |image| published(image.disk)),
    ];
    let after = [
        Column::number("Files", |image| image.files.to_string(), unknown),
        Column::number("Packages", |image| image.packages.len().to_string(), unknown),
        Column::number("Checks passed", checks, unknown),
    ];
    before.into_iter().chain(pulls).chain(after).collect()
}

/// The sizes of the images of a run beside published ones, in Markdown, with the explanations that belong to it.
pub fn table(run: &RunRecord, published: &[Published]) -> String {
    let sources = sources(published);
    let columns = columns(run.images.iter().any(|image| image.zstd.is_some()));
    let mut rows = vec![columns.iter().map(|column| column.head.to_owned()).collect()];
    let shown = distinct(&run.images);
    rows.extend(shown.iter().map(|image| columns.iter().map(|column| (column.ours)(image)).collect()));
    rows.extend(published.iter().map(|image| their_row(&columns, image, &sources)));
    let mut text = align(&columns, &rows);
    text.push_str(
        "\nMB are 10^6 bytes. On disk: the files of the unpacked image. To pull: the compressed layers and the \
         configuration.",
    );
    if !run.images.is_empty() && run.images.iter().all(|image| image.release) {
        text.push_str(" Compressed with `--release`.");
    }
    if shown.len() < run.images.len() {
        text.push_str(" An image with the same files as the one above it has no row of its own.");
    }
    text.push('\n');
    // Images of a record without layers share nothing that is known.
    if run.images.iter().all(|image| !image.layers.is_empty())
        && let Some(sentence) = shared::sentence(&run.images)
    {
        text.push_str(&sentence);
        text.push('\n');
    }
    if !sources.is_empty() {
        text.push_str("Sizes of others are as published, not measured here:");
        for (number, (source, date)) in (1..).zip(&sources) {
            let end = if number == sources.len() { "." } else { ";" };
            write!(text, "\n<sup>{number}</sup> {source}, {date}{end}")
                .expect("writing to a text never fails");
        }
        text.push('\n');
    }
    text
}

/// The images without those that have the very layers of one before them: variants that differ in their configuration.
fn distinct(images: &[ImageRecord]) -> Vec<&ImageRecord> {
    let layers = |image: &ImageRecord| image.layers.iter().map(|layer| layer.diff_id).collect::<Vec<_>>();
    let mut seen = HashSet::new();
    let new = |image: &&ImageRecord| image.layers.is_empty() || seen.insert(layers(image));
    images.iter().filter(new).collect()
}

/// Every source with its date, once, in order.
fn sources(published: &[Published]) -> Vec<(&str, &str)> {
    let mut sources = Vec::new();
    for image in published {
        let source = (image.source.as_str(), image.date.as_str());
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    sources
}

fn checks(image: &ImageRecord) -> String {
    let all = image.checks.len();
    if image.checks_not_run().count() == all {
        "not run".to_owned()
    } else {
        format!("{} of {all}", image.checks_passed())
    }
}

fn their_row(columns: &[Column], image: &Published, sources: &[(&str, &str)]) -> Vec<String> {
    let source = sources.iter().position(|source| *source == (&image.source, &image.date));
    let mut row: Vec<String> = columns.iter().map(|column| (column.theirs)(image)).collect();
    if let (Some(name), Some(place)) = (row.first_mut(), source) {
        write!(name, " <sup>{}</sup>", place + 1).expect("writing to a text never fails");
    }
    row
}

fn published(size: Option<Megabytes>) -> String {
    size.map_or_else(|| UNKNOWN.to_owned(), |size| megabytes(size.bytes()))
}

/// Text that does not end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// The rows as lines, the first as the head.
fn align(columns: &[Column], rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for ((column, cell), &width) in columns.iter().zip(row).zip(&widths) {
            let cell =
                if column.is_words { format!("| {cell:width$} ") } else { format!("| {cell:>width$} ") };
            text.push_str(&cell);
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, &width) in columns.iter().zip(&widths) {
                let end = if column.is_words { "-" } else { ":" };
                text.extend(["|", &"-".repeat(width + 1), end]);
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use schema::Architecture;
    use schema::run::VERSION;

    use super::*;
    use crate::fixture::{image, published};

    #[test]
    fn images_of_a_run_beside_published_ones() {
        let images = vec![
            image("ruby:3.3-trixie", &[true, true]),
            ImageRecord { architecture: Architecture::Arm64, ..image("ruby:3.3-trixie", &[true, false]) },
            ImageRecord { disk: 1_234_567_890, pull: 0, ..image("ruby:3.1-bookworm", &[]) },
        ];
        insta::assert_snapshot!(table(&RunRecord { version: VERSION, images }, &published()), @r"
        | Image                            | Architecture | Ruby  |   On disk |  To pull | Files | Packages | Checks passed |
        |----------------------------------|--------------|-------|----------:|---------:|------:|---------:|--------------:|
        | **ruby:3.3-trixie**              | amd64        | 3.3.8 |   35.7 MB |  11.8 MB |  3657 |        2 |        2 of 2 |
        | **ruby:3.3-trixie**              | arm64        | 3.3.8 |   35.7 MB |  11.8 MB |  3657 |        2 |        1 of 2 |
        | **ruby:3.1-bookworm**            | amd64        | 3.3.8 | 1234.6 MB |   0.0 MB |  3657 |        2 |       not run |
        | ruby:3.4-alpine3.24 <sup>1</sup> | amd64        | 3.4   |   77.0 MB |  43.1 MB |     - |        - |             - |
        | ruby:3.4\|odd <sup>1</sup>       | arm64        | 3.4   |         - | 421.0 MB |     - |        - |             - |
        | distroless-ruby <sup>2</sup>     | amd64        | 2.7.0 |   59.4 MB |        - |     - |        - |             - |

        MB are 10^6 bytes. On disk: the files of the unpacked image. To pull: the compressed layers and the configuration.
        Sizes of others are as published, not measured here:
        <sup>1</sup> [records](https://example.org), 2026-09;
        <sup>2</sup> an article, 2020.
        ");
    }

    #[test]
    fn a_release_alone() {
        let images = vec![ImageRecord { release: true, ..image("ruby:3.3-trixie", &[true]) }];
        insta::assert_snapshot!(table(&RunRecord { version: VERSION, images }, &[]), @r"
        | Image               | Architecture | Ruby  | On disk | To pull | Files | Packages | Checks passed |
        |---------------------|--------------|-------|--------:|--------:|------:|---------:|--------------:|
        | **ruby:3.3-trixie** | amd64        | 3.3.8 | 35.7 MB | 11.8 MB |  3657 |        2 |        1 of 1 |

        MB are 10^6 bytes. On disk: the files of the unpacked image. To pull: the compressed layers and the configuration. Compressed with `--release`.
        ");
    }

    #[test]
    fn both_compressions_have_a_column_each() {
        let images = vec![
            ImageRecord { zstd: Some(9_667_153), ..image("ruby:3.3-trixie", &[true]) },
            image("ruby:3.1-bookworm", &[true]),
        ];
        insta::assert_snapshot!(table(&RunRecord { version: VERSION, images }, &published()[..1]), @"
        | Image                            | Architecture | Ruby  | On disk | To pull, gzip | To pull, zstd | Files | Packages | Checks passed |
        |----------------------------------|--------------|-------|--------:|--------------:|--------------:|------:|---------:|--------------:|
        | **ruby:3.3-trixie**              | amd64        | 3.3.8 | 35.7 MB |       11.8 MB |        9.7 MB |  3657 |        2 |        1 of 1 |
        | **ruby:3.1-bookworm**            | amd64        | 3.3.8 | 35.7 MB |       11.8 MB |             - |  3657 |        2 |        1 of 1 |
        | ruby:3.4-alpine3.24 <sup>1</sup> | amd64        | 3.4   | 77.0 MB |       43.1 MB |             - |     - |        - |             - |

        MB are 10^6 bytes. On disk: the files of the unpacked image. To pull: the compressed layers and the configuration.
        Sizes of others are as published, not measured here:
        <sup>1</sup> [records](https://example.org), 2026-09.
        ");
    }

    #[test]
    fn a_run_of_nothing() {
        insta::assert_snapshot!(table(&RunRecord { version: VERSION, images: Vec::new() }, &[]), @r"
        | Image | Architecture | Ruby | On disk | To pull | Files | Packages | Checks passed |
        |-------|--------------|------|--------:|--------:|------:|---------:|--------------:|

        MB are 10^6 bytes. On disk: the files of the unpacked image. To pull: the compressed layers and the configuration.
        ");
    }

    /// The data file that is part of the project.
    #[test]
    fn the_published_sizes_are_readable() {
        let text = include_str!("../../../images/ruby/published.toml");
        let images = Published::parse("published.toml", text).unwrap();
        insta::assert_snapshot!(table(&RunRecord { version: VERSION, images: Vec::new() }, &images), @r"
        | Image                                         | Architecture | Ruby  |   On disk |  To pull | Files | Packages | Checks passed |
        |-----------------------------------------------|--------------|-------|----------:|---------:|------:|---------:|--------------:|
        | ruby:3.4-alpine3.24 <sup>1</sup>              | amd64        | 3.4   |   77.0 MB |  43.1 MB |     - |        - |             - |
        | ruby:3.4-slim-trixie <sup>1</sup>             | amd64        | 3.4   |  157.0 MB |  69.9 MB |     - |        - |             - |
        | ruby:3.4-trixie <sup>1</sup>                  | amd64        | 3.4   | 1100.0 MB | 421.0 MB |     - |        - |             - |
        | ruby:2.7.0-alpine <sup>2</sup>                | amd64        | 2.7.0 |   51.4 MB |        - |     - |        - |             - |
        | distroless-ruby (of the article) <sup>2</sup> | amd64        | 2.7.0 |   59.4 MB |        - |     - |        - |             - |
        | ruby:2.7.0-slim-buster <sup>2</sup>           | amd64        | 2.7.0 |  149.0 MB |        - |     - |        - |             - |
        | rubylang/ruby:2.7.0-bionic <sup>2</sup>       | amd64        | 2.7.0 |  359.0 MB |        - |     - |        - |             - |
        | ruby:2.7.0-buster <sup>2</sup>                | amd64        | 2.7.0 |  842.0 MB |        - |     - |        - |             - |

        MB are 10^6 bytes. On disk: the files of the unpacked image. To pull: the compressed layers and the configuration.
        Sizes of others are as published, not measured here:
        <sup>1</sup> [records of the official images](https://github.com/docker-library/repo-info/tree/master/repos/ruby), August and September 2026;
        <sup>2</sup> the article on a distroless Ruby that this project began with, 2020.
        ");
    }
}

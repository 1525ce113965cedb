//! The sizes as a picture: an SVG for the top of a page.
//!
//! One row an image, with a bar for what it takes on disk and one for what a pull brings, all at one scale from zero.
//! Images of the run come first; of those in several architectures, the first. Those of others are the ones that their
//! data file marks for it. It stands alone: no script, no font and no address of anything but what its format wants,
//! in light and in dark, and its texts say all that its bars show.

use std::collections::HashSet;

use schema::run::ImageRecord;

use crate::markup::escape;
use crate::published::{Megabytes, Published};
use crate::size::megabytes;

/// The picture's width, in its own units; a viewer scales it.
const WIDTH: u64 = 760;
/// Where bars begin.
const BARS: u64 = 220;
/// The length of the longest bar; its figure stands behind it.
const LONGEST: u64 = 430;
/// Where the first row begins, below title and legend.
const FIRST: u64 = 76;
/// From one row to the next.
const ROW: u64 = 46;
/// How thick a bar is.
const BAR: u64 = 15;

const STYLE: &str = "\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.figure, .legend { font-size: 12px; fill: #59636e }
.name { text-anchor: end }
.ours .name { font-weight: 600 }
.disk { fill: #818b98 }
.pull { fill: #c8ced5 }
.ours .disk { fill: #b3123f }
.ours .pull { fill: #e58aa3 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.figure, .legend { fill: #9198a1 }
.disk { fill: #818b98 }
.pull { fill: #4a525c }
.ours .disk { fill: #f0527d }
.ours .pull { fill: #8f3550 }
}
";

/// What one row shows; sizes in bytes.
struct Row<'a> {
    name: &'a str,
    is_ours: bool,
    disk: Option<u64>,
    pull: Option<u64>,
}

/// The picture of the sizes of `images` beside the published ones that are marked for it.
pub fn chart(images: &[ImageRecord], published: &[Published]) -> String {
    let mut seen = HashSet::new();
    let ours = images.iter().filter(|image| seen.insert(&image.name)).map(|image| Row {
        name: &image.name,
        is_ours: true,
        disk: Some(image.disk),
        pull: Some(image.pull),
    });
    let theirs = published.iter().filter(|image| image.chart).map(|image| Row {
        name: &image.image,
        is_ours: false,
        disk: image.disk.map(Megabytes::bytes),
        pull: image.pull.map(Megabytes::bytes),
    });
    let rows: Vec<Row<'_>> = ours.chain(theirs).collect();
    let largest = rows.iter().flat_map(|row| [row.disk, row.pull]).flatten().max().unwrap_or_default();
    let height = FIRST + ROW * u64::try_from(rows.len()).unwrap_or_default();

    let rows: String =
        rows.iter().zip(0..).map(|(row, place)| draw(row, FIRST + ROW * place, largest)).collect();
    let (disk, pull) = (key("disk", "on disk", BARS), key("pull", "to pull, gzip", BARS + 90));
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">
<title id="title">Sizes of Ruby images, on disk and to pull</title>
<style>
{STYLE}</style>
<text class="title" x="16" y="28">Sizes of Ruby images: this project’s in red, others’ in grey</text>
<g class="ours legend">
{disk}{pull}</g>
{rows}</svg>
"#
    )
}

/// What a colour stands for.
fn key(class: &str, meaning: &str, x: u64) -> String {
    format!(
        r#"<rect class="{class}" x="{x}" y="44" width="12" height="12" rx="2"/>
<text class="legend" x="{}" y="54">{meaning}</text>
"#,
        x + 18
    )
}

/// A row whose upper edge is at `y`, where `largest` bytes take the longest bar.
fn draw(row: &Row<'_>, y: u64, largest: u64) -> String {
    let class = if row.is_ours { "ours" } else { "others" };
    let name = escape(row.name);
    let bars: String = [("disk", row.disk), ("pull", row.pull)]
        .into_iter()
        .zip([y, y + BAR + 2])
        .filter_map(|((class, bytes), y)| Some(bar(class, bytes?, y, largest)))
        .collect();
    format!(
        r#"<g class="{class}">
<text class="name" x="{}" y="{}">{name}</text>
{bars}</g>
"#,
        BARS - 12,
        y + BAR + 5
    )
}

/// A bar with its figure.
fn bar(class: &str, bytes: u64, y: u64, largest: u64) -> String {
    // At least a line, so that the smallest can be seen beside the largest.
    let length = u128::from(bytes) * u128::from(LONGEST) / u128::from(largest.max(1));
    let length = length.max(1);
    format!(
        r#"<rect class="{class}" x="{BARS}" y="{y}" width="{length}" height="{BAR}" rx="2"/>
<text class="figure" x="{}" y="{}">{}</text>
"#,
        u128::from(BARS) + length + 6,
        y + BAR - 3,
        megabytes(bytes)
    )
}

#[cfg(test)]
mod tests {
    use schema::Architecture;

    use super::*;
    use crate::fixture;

    #[test]
    fn ours_beside_the_marked_ones() {
        let images = [
            fixture::image("ruby:3.3-trixie", &[]),
            ImageRecord {
                architecture: Architecture::Arm64,
                disk: 1,
                ..fixture::image("ruby:3.3-trixie", &[])
            },
        ];
        let published = fixture::published();
        insta::assert_snapshot!(chart(&images, &published), @r##"
        <svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title" viewBox="0 0 760 214" width="760" height="214">
        <title id="title">Sizes of Ruby images, on disk and to pull</title>
        <style>
        text { font: 13px system-ui, sans-serif; fill: #1f2328 }
        .title { font-size: 16px; font-weight: 600 }
        .figure, .legend { font-size: 12px; fill: #59636e }
        .name { text-anchor: end }
        .ours .name { font-weight: 600 }
        .disk { fill: #818b98 }
        .pull { fill: #c8ced5 }
        .ours .disk { fill: #b3123f }
        .ours .pull { fill: #e58aa3 }
        @media (prefers-color-scheme: dark) {
        text { fill: #f0f6fc }
        .figure, .legend { fill: #9198a1 }
        .disk { fill: #818b98 }
        .pull { fill: #4a525c }
        .ours .disk { fill: #f0527d }
        .ours .pull { fill: #8f3550 }
        }
        </style>
        <text class="title" x="16" y="28">Sizes of Ruby images: this project’s in red, others’ in grey</text>
        <g class="ours legend">
        <rect class="disk" x="220" y="44" width="12" height="12" rx="2"/>
        <text class="legend" x="238" y="54">on disk</text>
        <rect class="pull" x="310" y="44" width="12" height="12" rx="2"/>
        <text class="legend" x="328" y="54">to pull, gzip</text>
        </g>
        <g class="ours">
        <text class="name" x="208" y="96">ruby:3.3-trixie</text>
        <rect class="disk" x="220" y="76" width="199" height="15" rx="2"/>
        <text class="figure" x="425" y="88">35.7 MB</text>
        <rect class="pull" x="220" y="93" width="65" height="15" rx="2"/>
        <text class="figure" x="291" y="105">11.8 MB</text>
        </g>
        <g class="others">
        <text class="name" x="208" y="142">ruby:3.4-alpine3.24</text>
        <rect class="disk" x="220" y="122" width="430" height="15" rx="2"/>
        <text class="figure" x="656" y="134">77.0 MB</text>
        <rect class="pull" x="220" y="139" width="240" height="15" rx="2"/>
        <text class="figure" x="466" y="151">43.1 MB</text>
        </g>
        <g class="others">
        <text class="name" x="208" y="188">distroless-ruby</text>
        <rect class="disk" x="220" y="168" width="331" height="15" rx="2"/>
        <text class="figure" x="557" y="180">59.4 MB</text>
        </g>
        </svg>
        "##);
    }

    #[test]
    fn nothing_is_a_title_alone() {
        let svg = chart(&[], &[]);
        assert!(svg.starts_with("<svg ") && !svg.contains("class=\"name\""));
    }
}

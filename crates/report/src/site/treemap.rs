//! Sizes as rectangles: of the packages of an image, and of its folders.
//!
//! The rectangles of a map are laid out in rows that are as square as can be, the largest first (Bruls, Huizing and
//! van Wijk, Squarified Treemaps, 2000). They are links with places in percent: a map is as wide as its page, its texts
//! stay as large as others, and every rectangle can be reached with a keyboard.

use std::collections::BTreeMap;
use std::fmt::Write;

use schema::listing::{ListedEntry, ListedKind, Listing};

use crate::markup::escape;
use crate::size::readable;

/// A rectangle to be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    /// What it says.
    label: String,
    /// Where it leads to, within the page.
    target: String,
    bytes: u64,
    files: u64,
}

/// A folder is one rectangle unless its files are more than this part of the image.
const ONE_IN: u64 = 24;

/// The map of packages; what no package has is one rectangle.
pub(crate) fn packages(listing: &Listing) -> String {
    let mut sums: BTreeMap<Option<&str>, (u64, u64)> = BTreeMap::new();
    for (entry, bytes) in files(listing) {
        let sum = sums.entry(entry.package.as_deref()).or_default();
        *sum = (sum.0 + bytes, sum.1 + 1);
    }
    let items = sums.into_iter().map(|(package, (bytes, files))| Item {
        label: package.unwrap_or("made for the image").to_owned(),
        target: format!("package={}", package.unwrap_or_default()),
        bytes,
        files,
    });
    draw("by package", items.collect())
}

/// The map of folders; large ones are split into what is in them.
pub(crate) fn folders(listing: &Listing) -> String {
    let files: Vec<(&str, u64)> = files(listing).map(|(entry, bytes)| (&*entry.path, bytes)).collect();
    let whole: u64 = files.iter().map(|(_, bytes)| bytes).sum();
    let mut items = Vec::new();
    split("", files, whole / ONE_IN, &mut items);
    draw("by folder", items)
}

fn files(listing: &Listing) -> impl Iterator<Item = (&ListedEntry, u64)> {
    listing.layers.iter().flat_map(|layer| &layer.entries).filter_map(|entry| match entry.kind {
        ListedKind::File(bytes) => Some((entry, bytes)),
        ListedKind::Folder | ListedKind::HardLink | ListedKind::Symlink => None,
    })
}

/// The rectangles for what is in a folder, whose path has no slash at the end.
fn split(folder: &str, files: Vec<(&str, u64)>, limit: u64, items: &mut Vec<Item>) {
    let mut below: BTreeMap<&str, Vec<(&str, u64)>> = BTreeMap::new();
    let mut rest =
        Item { label: format!("{folder}/…"), target: format!("folder={folder}/"), bytes: 0, files: 0 };
    for (path, bytes) in files {
        let name = &path[folder.len() + 1..];
        match name.find('/') {
            Some(end) => below.entry(&path[..folder.len() + 1 + end]).or_default().push((path, bytes)),
            None if bytes > limit => {
                items.push(Item { label: path.to_owned(), target: path.to_owned(), bytes, files: 1 });
            }
            None => (rest.bytes, rest.files) = (rest.bytes + bytes, rest.files + 1),
        }
    }
    for (path, files) in below {
        let bytes = files.iter().map(|(_, bytes)| bytes).sum();
        if bytes > limit {
            split(path, files, limit, items);
        } else if bytes > limit / 4 {
            let count = u64::try_from(files.len()).unwrap_or(u64::MAX);
            let label = format!("{path}/");
            items.push(Item { target: format!("folder={label}"), label, bytes, files: count });
        } else {
            rest.bytes += bytes;
            rest.files += u64::try_from(files.len()).unwrap_or(u64::MAX);
        }
    }
    if rest.files > 0 {
        items.push(rest);
    }
}

/// Where a rectangle is, in a unit square.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Place {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

fn draw(name: &str, mut items: Vec<Item>) -> String {
    items.retain(|item| item.bytes > 0);
    items.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| one.label.cmp(&other.label)));
    let sizes: Vec<u64> = items.iter().map(|item| item.bytes).collect();
    let mut html = format!("<div class=\"map\" role=\"group\" aria-label=\"Sizes {name}\">\n");
    for (place, (item, at)) in items.iter().zip(places(&sizes)).enumerate() {
        let Item { label, target, bytes, files } = item;
        let (label, target, size) = (escape(label), escape(target), readable(*bytes));
        let files = if *files == 1 { "1 file".to_owned() } else { format!("{files} files") };
        let Place { left, top, width, height } = at;
        writeln!(
            html,
            "<a href=\"#{target}\" class=\"hue{}\" title=\"{label}: {size}, {files}\" style=\"left:{:.2}%;top:{:.2}%;width:{:.2}%;height:{:.2}%\"><b>{label}</b> {size}</a>",
            place % 6,
            100.0 * left,
            100.0 * top,
            100.0 * width,
            100.0 * height
        )
        .expect("writing to a text never fails");
    }
    html.push_str("</div>\n");
    html
}

/// How wide a map is for its height.
const ASPECT: f64 = 2.0;

/// The places of rectangles of these sizes, which go from the largest to the smallest.
#[allow(clippy::cast_precision_loss, reason = "a part of a pixel is nothing that anybody sees")]
fn places(sizes: &[u64]) -> Vec<Place> {
    let whole: f64 = sizes.iter().map(|size| *size as f64).sum();
    let areas: Vec<f64> = sizes.iter().map(|size| *size as f64 / whole * ASPECT).collect();
    let mut free = Place { left: 0.0, top: 0.0, width: ASPECT, height: 1.0 };
    let mut places = Vec::with_capacity(areas.len());
    let mut rest = areas.as_slice();
    while !rest.is_empty() {
        let side = free.width.min(free.height);
        let worst = |count: usize| worst(&rest[..count], side);
        let mut count = 1;
        while count < rest.len() && worst(count + 1) <= worst(count) {
            count += 1;
        }
        let (row, after) = rest.split_at(count);
        rest = after;
        let area: f64 = row.iter().sum();
        let is_upright = free.width >= free.height;
        let depth = area / side;
        let mut at = 0.0;
        for part in row {
            let length = part / depth;
            places.push(match is_upright {
                true => Place { left: free.left, top: free.top + at, width: depth, height: length },
                false => Place { left: free.left + at, top: free.top, width: length, height: depth },
            });
            at += length;
        }
        if is_upright {
            free = Place { left: free.left + depth, width: free.width - depth, ..free };
        } else {
            free = Place { top: free.top + depth, height: free.height - depth, ..free };
        }
    }
    for place in &mut places {
        place.left /= ASPECT;
        place.width /= ASPECT;
    }
    places
}

/// How far the least square of a row along a side is from a square.
fn worst(areas: &[f64], side: f64) -> f64 {
    let depth = areas.iter().sum::<f64>() / side;
    let ratio = |area: &f64| (area / depth / depth).max(depth * depth / area);
    areas.iter().map(ratio).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn rectangles_fill_the_square_and_have_their_sizes() {
        for sizes in [vec![1], vec![6, 6, 4, 3, 2, 2, 1], vec![1_000_000, 1, 1], vec![5; 40]] {
            let places = places(&sizes);
            let whole: u64 = sizes.iter().sum();
            for (place, size) in places.iter().zip(&sizes) {
                let area = place.width * place.height;
                let expected =
                    f64::from(u32::try_from(*size).unwrap()) / f64::from(u32::try_from(whole).unwrap());
                assert!((area - expected).abs() < 1e-9, "{place:?} of {sizes:?}");
                let inside = |from: f64, length: f64| from >= -1e-9 && from + length <= 1.0 + 1e-9;
                assert!(inside(place.left, place.width) && inside(place.top, place.height), "{place:?}");
            }
            for (number, one) in places.iter().enumerate() {
                for other in &places[number + 1..] {
                    let overlap = |from: f64, length: f64, other: f64, others: f64| {
                        (from + length).min(other + others) - from.max(other) > 1e-9
                    };
                    assert!(
                        !(overlap(one.left, one.width, other.left, other.width)
                            && overlap(one.top, one.height, other.top, other.height)),
                        "{one:?} and {other:?}"
                    );
                }
            }
        }
        assert_eq!(places(&[]), []);
    }

    #[test]
    fn packages_and_folders_are_links_with_their_sizes() {
        let listing = fixture::listing();
        insta::assert_snapshot!(packages(&listing), @r##"
        <div class="map" role="group" aria-label="Sizes by package">
        <a href="#package=libc6" class="hue0" title="libc6: 2.0 MB, 1 file" style="left:0.00%;top:0.00%;width:98.86%;height:100.00%"><b>libc6</b> 2.0 MB</a>
        <a href="#package=ruby3.3" class="hue1" title="ruby3.3: 14.0 kB, 1 file" style="left:98.86%;top:0.00%;width:1.14%;height:60.84%"><b>ruby3.3</b> 14.0 kB</a>
        <a href="#package=libx" class="hue2" title="libx: 9.0 kB, 2 files" style="left:98.86%;top:60.84%;width:1.14%;height:39.11%"><b>libx</b> 9.0 kB</a>
        <a href="#package=" class="hue3" title="made for the image: 12 bytes, 1 file" style="left:98.86%;top:99.95%;width:1.14%;height:0.05%"><b>made for the image</b> 12 bytes</a>
        </div>
        "##);
        insta::assert_snapshot!(folders(&listing), @r##"
        <div class="map" role="group" aria-label="Sizes by folder">
        <a href="#/usr/lib/libc.so.6" class="hue0" title="/usr/lib/libc.so.6: 2.0 MB, 1 file" style="left:0.00%;top:0.00%;width:98.86%;height:100.00%"><b>/usr/lib/libc.so.6</b> 2.0 MB</a>
        <a href="#folder=/usr/" class="hue1" title="/usr/…: 14.0 kB, 1 file" style="left:98.86%;top:0.00%;width:1.14%;height:60.84%"><b>/usr/…</b> 14.0 kB</a>
        <a href="#folder=/usr/lib/" class="hue2" title="/usr/lib/…: 9.0 kB, 2 files" style="left:98.86%;top:60.84%;width:1.14%;height:39.11%"><b>/usr/lib/…</b> 9.0 kB</a>
        <a href="#folder=/" class="hue3" title="/…: 12 bytes, 1 file" style="left:98.86%;top:99.95%;width:1.14%;height:0.05%"><b>/…</b> 12 bytes</a>
        </div>
        "##);
    }

    #[test]
    fn folders_are_split_while_they_are_large() {
        let mut items = Vec::new();
        let files =
            vec![("/a", 1), ("/usr/bin/ruby", 50), ("/usr/lib/one", 20), ("/usr/lib/x/two", 20), ("/v/w", 9)];
        split("", files, 25, &mut items);
        let items: Vec<_> =
            items.iter().map(|item| (&*item.label, &*item.target, item.bytes, item.files)).collect();
        assert_eq!(
            items,
            [
                ("/usr/bin/ruby", "/usr/bin/ruby", 50, 1),
                ("/usr/lib/x/", "folder=/usr/lib/x/", 20, 1),
                ("/usr/lib/…", "folder=/usr/lib/", 20, 1),
                ("/v/", "folder=/v/", 9, 1),
                ("/…", "folder=/", 1, 1),
            ]
        );
    }
}

//! The report as a static site: a page with all images, and one for each with what is in it and why.
//!
//! It works from a folder, without a server: pages are whole without a script, and the script that answers "why is this
//! file here" gets its data from scripts beside it, since pages of a folder may not fetch files. What several images have
//! alike, a layer, is one data file under the digest of its text. Nothing in it points to anything outside but links.

mod data;
mod history;
mod page;
mod treemap;

use std::collections::BTreeMap;

use schema::listing::Listing;
use schema::run::ImageRecord;

use crate::chart::chart;
use crate::published::Published;

pub use history::{History, PastImage, PastRun};

/// An image with what is in it.
#[derive(Debug, Clone, Copy)]
pub struct SiteImage<'a> {
    /// What was built and measured.
    pub record: &'a ImageRecord,
    /// Its paths, with the layers of the record in the same order.
    pub listing: &'a Listing,
    /// Whether it is in the picture of the sizes.
    pub is_charted: bool,
}

/// The files of a site: paths relative to its folder, with their texts. `history` has the runs so far, this one the
/// last; it is kept beside the pages, for the next.
pub fn site(
    images: &[SiteImage<'_>],
    published: &[Published],
    history: &History,
) -> BTreeMap<String, String> {
    let charted: Vec<ImageRecord> =
        images.iter().filter(|image| image.is_charted).map(|image| image.record.clone()).collect();
    let mut files = BTreeMap::from([
        ("index.html".to_owned(), page::index(images)),
        ("sizes.svg".to_owned(), chart(&charted, published)),
        ("site.css".to_owned(), include_str!("site/site.css").to_owned()),
        ("site.js".to_owned(), include_str!("site/site.js").to_owned()),
        (HISTORY.to_owned(), history.render()),
    ]);
    for image in images {
        let data = data::scripts(image.listing);
        files
            .insert(page::name(image.record), page::image(image, data.iter().map(|(path, _)| path), history));
        files.extend(data);
    }
    files
}

/// Where a site keeps the runs that it knows.
pub const HISTORY: &str = "history.json";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn images_share_the_data_of_layers_they_have_alike() {
        let (record, listing) = (fixture::image("ruby:3.3-trixie", &[true, false]), fixture::listing());
        let root = ImageRecord { name: "ruby:3.3-trixie-root".to_owned(), ..record.clone() };
        let image = SiteImage { record: &record, listing: &listing, is_charted: true };
        let images = [image, SiteImage { record: &root, is_charted: false, ..image }];
        let files = site(&images, &fixture::published(), &History::default());
        insta::assert_snapshot!(files.keys().cloned().collect::<Vec<_>>().join("\n"), @"
        data/1479bfc79b89736f.js
        data/30f20b88355922af.js
        data/5c5dbc7782b0db50.js
        history.json
        index.html
        ruby-3.3-trixie-amd64.html
        ruby-3.3-trixie-root-amd64.html
        site.css
        site.js
        sizes.svg
        ");
        for (path, text) in &files {
            assert!(
                !text.contains("src=\"http") && !text.contains("@import") && !text.contains("url("),
                "{path}"
            );
        }
    }
}

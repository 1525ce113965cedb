//! What is in an image, as scripts that hand it to `site.js`: one for each layer, and one for what was left out.
//!
//! Paths are sorted, so each is written as how many characters it has of the one before, and the rest; packages, reasons
//! and rules by their place in a list. `site.js` has the other side.

use std::collections::HashMap;

use schema::Digest;
use schema::listing::{LayerListing, ListedKind, Listing};
use serde::Serialize;

/// The data of one layer.
#[derive(Serialize)]
struct Layer<'a> {
    #[serde(rename = "layer")]
    name: &'a str,
    packages: Vec<&'a str>,
    reasons: Vec<&'a str>,
    /// The paths of other layers that entries are there for.
    others: Vec<&'a str>,
    entries: Vec<Entry<'a>>,
}

/// Shared characters, the rest of the path, its size or kind, and the places of package, reason, and the path it is for.
#[derive(Serialize)]
struct Entry<'a>(usize, &'a str, i64, i64, i64, i64);

/// What rules left out: shared characters, the rest of the path, and the place of the rule.
#[derive(Serialize)]
struct Dropped<'a> {
    rules: Vec<&'a str>,
    dropped: Vec<(usize, &'a str, i64)>,
}

/// There is none.
const NONE: i64 = -1;
const FOLDER: i64 = -1;
const SYMLINK: i64 = -2;
const HARD_LINK: i64 = -3;

/// The scripts of an image with their paths in the site, in the order in which they are to run: what an upper layer has
/// takes the place of what a lower one has.
pub(crate) fn scripts(listing: &Listing) -> Vec<(String, String)> {
    let layers = listing.layers.iter().map(|layer| script(&self::layer(layer)));
    layers.chain([script(&dropped(listing))]).collect()
}

/// Data that hands itself over, under the digest of its text: what is alike is one file.
fn script(data: &impl Serialize) -> (String, String) {
    let json = serde_json::to_string(data).expect("strings and numbers can be written as JSON");
    let text = format!("add({json});\n");
    (format!("data/{}.js", &Digest::of(text.as_bytes()).hex()[..16]), text)
}

fn layer(layer: &LayerListing) -> Layer<'_> {
    let places: HashMap<&str, usize> =
        layer.entries.iter().enumerate().map(|(place, entry)| (&*entry.path, place)).collect();
    let (mut packages, mut reasons, mut others) = (Words::default(), Words::default(), Words::default());
    let mut before = "";
    let mut entries = Vec::with_capacity(layer.entries.len());
    for entry in &layer.entries {
        let kind = match entry.kind {
            ListedKind::Folder => FOLDER,
            ListedKind::Symlink => SYMLINK,
            ListedKind::HardLink => HARD_LINK,
            ListedKind::File(size) => i64::try_from(size).unwrap_or(i64::MAX),
        };
        let package = entry.package.as_deref().map_or(NONE, |package| packages.place(package));
        let reason = reasons.place(&entry.because);
        let from = entry.from.as_deref().map_or(NONE, |from| match places.get(from) {
            Some(place) => signed(*place),
            // Below `NONE`, so that one number says which of the two lists it is of.
            None => NONE - 1 - others.place(from),
        });
        let shared = shared(before, &entry.path);
        entries.push(Entry(shared.chars, &entry.path[shared.bytes..], kind, package, reason, from));
        before = &entry.path;
    }
    Layer { name: &layer.name, packages: packages.list, reasons: reasons.list, others: others.list, entries }
}

fn dropped(listing: &Listing) -> Dropped<'_> {
    let mut rules = Words::default();
    let mut before = "";
    let dropped = listing.dropped.iter().map(|entry| {
        let shared = shared(before, &entry.path);
        before = &entry.path;
        (shared.chars, &entry.path[shared.bytes..], rules.place(&entry.rule))
    });
    let dropped = dropped.collect();
    Dropped { rules: rules.list, dropped }
}

/// The words of a list, each once.
#[derive(Default)]
struct Words<'a> {
    list: Vec<&'a str>,
    places: HashMap<&'a str, usize>,
}

impl<'a> Words<'a> {
    fn place(&mut self, word: &'a str) -> i64 {
        let place = *self.places.entry(word).or_insert_with(|| {
            self.list.push(word);
            self.list.len() - 1
        });
        signed(place)
    }
}

fn signed(place: usize) -> i64 {
    i64::try_from(place).expect("an image has fewer paths")
}

/// What two texts begin with alike, in UTF-16 units, as scripts count, and in bytes.
struct Shared {
    chars: usize,
    bytes: usize,
}

fn shared(one: &str, other: &str) -> Shared {
    let alike = one.chars().zip(other.chars()).take_while(|(one, other)| one == other);
    alike.fold(Shared { chars: 0, bytes: 0 }, |shared, (character, _)| Shared {
        chars: shared.chars + character.len_utf16(),
        bytes: shared.bytes + character.len_utf8(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_layer_is_paths_that_share_their_beginnings() {
        let scripts: Vec<String> = scripts(&fixture::listing()).into_iter().map(|(_, text)| text).collect();
        insta::assert_snapshot!(scripts.concat(), @r#"
        add({"layer":"base","packages":["libc6"],"reasons":["something in the image is below it","root: every program","link"],"others":[],"entries":[[0,"/usr",-1,-1,0,-1],[4,"/lib",-1,-1,0,-1],[8,"/libc.so.6",2000000,0,1,-1],[12,"m.so",-2,0,2,2]]});
        add({"layer":"ruby","packages":["ruby3.3","libx"],"reasons":["root: settings of gem","root: the interpreter","link","NEEDED x.so","file"],"others":["/usr/lib/libc.so.6"],"entries":[[0,"/etc/gemrc",12,-1,0,-1],[1,"usr/bin/ruby3.3",14000,0,1,-1],[13,"",-3,0,2,1],[5,"lib/x.so",9000,1,3,1],[9,"y<z>",0,1,4,-2]]});
        add({"rules":["documentation"],"dropped":[[0,"/usr/share/doc/ruby/README",0],[20,"x",0]]});
        "#);
    }

    #[test]
    fn beginnings_are_counted_as_scripts_do() {
        for (one, other, chars, bytes) in
            [("", "/a", 0, 0), ("/a/b", "/a/c", 3, 3), ("/ä/b", "/ä/c", 3, 4), ("/💎/b", "/💎/c", 4, 6)]
        {
            let shared = shared(one, other);
            assert_eq!((shared.chars, shared.bytes), (chars, bytes), "{other}");
        }
    }
}

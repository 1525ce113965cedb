//! What is in an image, path by path, and why: what `why` says of one path, of all of them.
//!
//! Sizes are bytes. It depends on the image alone.

/// The contents of an image, layer by layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Its layers, lowest first, as the run record has them.
    pub layers: Vec<LayerListing>,
    /// What rules left out of it, by path.
    pub dropped: Vec<DroppedEntry>,
}

/// The contents of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerListing {
    /// Its name in the image's description.
    pub name: String,
    /// What is in it, by path.
    pub entries: Vec<ListedEntry>,
}

/// One path of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedEntry {
    /// The path, with what is not UTF-8 replaced.
    pub path: String,
    /// What it is.
    pub kind: ListedKind,
    /// The package that it came from, if it came from one.
    pub package: Option<String>,
    /// Why it is there, in words that stand before the path that needs it.
    pub because: String,
    /// The path that needs it, the first step of the shortest way to a root; none for a root.
    pub from: Option<String>,
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListedKind {
    /// A folder.
    Folder,
    /// A file of so many bytes.
    File(u64),
    /// Another name of a file that is listed before it.
    HardLink,
    /// A symbolic link.
    Symlink,
}

/// A path that a rule left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedEntry {
    /// The path.
    pub path: String,
    /// The name of the rule.
    pub rule: String,
}

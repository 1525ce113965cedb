//! A root filesystem as a value.
//!
//! Tars are parsed into [`Layer`]s whose contents stay slices of the tar, layers are stacked into a [`Tree`], and a
//! tree is written out again as one tar ([`write_tar`]) or as one folder ([`write_directory`]). Nothing is unpacked
//! on the way. A root that lies on a disk already is read as it is, as far as somebody looks ([`LiveRoot`]); both answer the
//! same questions ([`Filesystem`]). A [`RootPath`] names a place inside such a root and is never a path of the host.
//!
//! Invariants: every parent of an entry is a folder of the tree, so no name leads through a link; no link's text
//! climbs out of the root; and the same tree gives the same bytes.

mod beneath;
mod content;
mod directory;
mod entry;
mod escape;
mod filesystem;
mod header;
mod layer;
mod live;
mod path;
mod pax;
mod resolve;
mod stack;
mod tar_reader;
mod tar_writer;
mod tree;
mod written;

pub use content::Content;
pub use directory::{DirectoryError, Ownership, write_directory};
pub use entry::{Entry, File, Inode, Kind, Metadata, Origin};
pub use escape::Escaped;
pub use filesystem::{Attempt, Entries, Fault, Filesystem, Visit, Wanted};
pub use layer::{Dialect, Layer, Limits, TarError, TarFault};
pub use live::{LiveRoot, OpenError, SelectError};
pub use path::{PathError, RootPath};
pub use resolve::{ResolveError, Resolved};
pub use stack::{StackError, StackFault};
pub use tar_writer::{TarOptions, TarSummary, Times, WriteError, write_tar};
pub use tree::{InsertError, Tree};
pub use written::{move_written, remove_directory};

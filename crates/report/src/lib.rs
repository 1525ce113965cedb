//! What a run made, for people to read: pure functions from a run record, and for a site from what is in its images too,
//! to text; so an old record can be drawn again.
//!
//! [`table()`] has the sizes of images beside those that others publish ([`Published`]), and [`splice()`] puts it into a
//! page between two [`Markers`]. [`chart()`] is a picture of the same. [`site`] has a page for each image, with what is in
//! it and why.

mod chart;
mod error;
#[cfg(test)]
mod fixture;
mod markup;
mod published;
mod shared;
pub mod site;
mod size;
mod splice;
mod table;

pub use chart::chart;
pub use error::ReportError;
pub use published::{Megabytes, Published};
pub use splice::{Markers, SIZES, splice};
pub use table::table;

//! What a run made, for people to read: pure functions from a run record to text, so an old record can be drawn again.
//!
//! [`table()`] draws the sizes of images beside those that others publish ([`Published`]), and [`splice()`] puts it
//! into a page between two [`Markers`].

mod error;
mod published;
mod splice;
mod table;

pub use error::ReportError;
pub use published::{Megabytes, Published};
pub use splice::{Markers, SIZES, splice};
pub use table::table;

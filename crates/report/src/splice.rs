//! Putting generated text into a page that people write.

use crate::error::ReportError;

/// The two lines in a page that generated text goes between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Markers {
    /// The line before it.
    pub begin: &'static str,
    /// The line after it.
    pub end: &'static str,
}

/// The markers of the table of sizes.
pub const SIZES: Markers = Markers { begin: "<!-- sizes:begin -->", end: "<!-- sizes:end -->" };

/// `page` with `text` between the markers, in place of what is there.
///
/// # Errors
/// A marker that is missing or there twice, or markers in the wrong order.
pub fn splice(page: &str, markers: &Markers, text: &str) -> Result<String, ReportError> {
    let Markers { begin, end } = *markers;
    let from = only(page, begin)? + begin.len();
    let to = only(page, end)?;
    if to < from {
        return Err(ReportError::MarkerOrder { begin, end });
    }
    Ok(format!("{}\n{}\n{}", &page[..from], text.trim_end(), &page[to..]))
}

/// Where the marker is.
fn only(page: &str, marker: &'static str) -> Result<usize, ReportError> {
    let mut places = page.match_indices(marker).map(|(place, _)| place);
    match (places.next(), places.count()) {
        (None, _) => Err(ReportError::NoMarker { marker }),
        (Some(place), 0) => Ok(place),
        (Some(_), more) => Err(ReportError::DoubledMarker { marker, count: more + 1 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Title\n\n<!-- sizes:begin -->\nold\n<!-- sizes:end -->\n\nThe rest.\n";

    #[test]
    fn replaces_what_is_between_and_nothing_else() {
        let page = splice(PAGE, &SIZES, "new\n").unwrap();
        assert_eq!(page, PAGE.replace("old", "new"));
        assert_eq!(splice(&page, &SIZES, "new\n").unwrap(), page);
        let empty = PAGE.replace("old\n", "");
        assert_eq!(splice(&empty, &SIZES, "new").unwrap(), page);
    }

    #[test]
    fn wants_each_marker_once_and_in_order() {
        let error = |page: &str| splice(page, &SIZES, "new").unwrap_err();
        let swapped = PAGE
            .replace("sizes:begin", "sizes:x")
            .replace("sizes:end", "sizes:begin")
            .replace("sizes:x", "sizes:end");
        assert!(matches!(
            error(&PAGE.replace(SIZES.end, "")),
            ReportError::NoMarker { marker } if marker == SIZES.end
        ));
        assert!(matches!(error(""), ReportError::NoMarker { marker } if marker == SIZES.begin));
        assert!(matches!(
            error(&PAGE.replace("old", SIZES.begin)),
            ReportError::DoubledMarker { marker, count: 2 } if marker == SIZES.begin
        ));
        assert!(matches!(error(&swapped), ReportError::MarkerOrder { .. }));
    }
}

//! What can be wrong with what a report is made from.

/// Why a report could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file of published sizes has a wrong field or value.
    #[error("cannot read the published sizes in `{file}`")]
    Published {
        /// The name of the file.
        file: String,
        /// What is wrong, at which line and column.
        source: toml::de::Error,
    },
    /// A marker is not in the page.
    #[error("cannot find the line `{marker}`")]
    NoMarker {
        /// The marker.
        marker: &'static str,
    },
    /// A marker is in the page more than once, so it is not known what is between.
    #[error("cannot tell where the table goes: the line `{marker}` is there {count} times")]
    DoubledMarker {
        /// The marker.
        marker: &'static str,
        /// How often it is there.
        count: usize,
    },
    /// The end comes before the beginning.
    #[error("cannot tell where the table goes: `{end}` comes before `{begin}`")]
    MarkerOrder {
        /// The marker that should come first.
        begin: &'static str,
        /// The marker that should come second.
        end: &'static str,
    },
    /// The file with the runs of a site is of another program, or damaged.
    #[error("cannot read the runs of the site")]
    History(#[source] serde_json::Error),
}

impl ReportError {
    /// What to do next, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Published { .. } => None,
            Self::History(_) => Some("move the file away to begin anew".to_owned()),
            Self::NoMarker { .. } | Self::DoubledMarker { .. } | Self::MarkerOrder { .. } => Some(
                "the page needs each of the two lines once; what is between them is generated".to_owned(),
            ),
        }
    }
}

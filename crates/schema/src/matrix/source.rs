//! Where the Ruby of a row comes from. Each kind is one variant here, and one module of what builds.

use serde::Deserialize;

/// Where a Ruby comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "one source of a Ruby, as in { package = \"ruby\" }")]
pub enum Source {
    /// The distro's own package of this name.
    Package(String),
}

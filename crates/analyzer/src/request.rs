//! What is asked of the analysis: where it starts, and what is not wanted even where something needs it.

/// What to analyse a tree for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Where the closure starts.
    pub roots: Vec<Root>,
    /// What is left out. The first that matches a path takes it.
    pub drop: Vec<Drop>,
}

/// Files that are wanted for their own sake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// A path of the tree, or a glob: `*` and `?` stay within one name, `**` does not. The folders before the first
    /// name with a wildcard may be links. A folder stands for itself and everything below it. A pattern without a match
    /// that is kept is a finding.
    pub pattern: String,
    /// Why they are wanted.
    pub reason: String,
}

/// Files that are not wanted. They bring nothing else in, and what needs them without a choice gives a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drop {
    /// What findings call it.
    pub name: String,
    /// Globs over real paths, as in [`Root::pattern`]. A folder that matches goes with everything below it.
    pub globs: Vec<String>,
    /// Why they are not wanted.
    pub reason: String,
}

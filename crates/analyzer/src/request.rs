//! What is asked of the analysis: where it starts, and what is not wanted even where something needs it.

use rootfs::RootPath;

/// Where programs are looked up by name: what Debian, the official images and distroless agree on.
const USUAL_SEARCH_PATH: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// What to analyse a root filesystem for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Where the closure starts.
    pub roots: Vec<Root>,
    /// What is left out. The first that matches a path takes it.
    pub drop: Vec<Drop>,
    /// The folders in which a program is looked up by its bare name, in this order: the `PATH` that it will run with.
    pub search_path: Vec<RootPath>,
    /// How far the closure goes.
    pub reach: Reach,
    /// Whether a Ruby that is a root brings the commands that come with it, as `gem` and `irb`, where the search path has
    /// them. A Ruby that something else needs never does.
    pub commands: bool,
}

/// How far a closure goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// As far as the rules know.
    #[default]
    Everything,
    /// To what is loaded when the roots start: targets of links, interpreters and libraries, and what an object says
    /// itself that it opens; not what rules know of one program or library.
    Loaded,
}

impl Default for Request {
    /// Nothing, with the search path of Debian's images.
    fn default() -> Self {
        let search_path = USUAL_SEARCH_PATH.map(|path| RootPath::parse(path).expect("a constant path"));
        Self {
            roots: Vec::new(),
            drop: Vec::new(),
            search_path: search_path.into(),
            reach: Reach::Everything,
            commands: false,
        }
    }
}

/// Files that are wanted for their own sake. What leads to no file that is kept is a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Which.
    pub wanted: Wanted,
    /// Why.
    pub reason: String,
}

/// Which files are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// What this path leads to, be there wildcards in it or not. A folder stands for itself and everything below it.
    Path(RootPath),
    /// As a path, but a folder stands for itself alone.
    Alone(RootPath),
    /// A path as people write it, or a glob: `*` and `?` stay within one name, `**` does not. The folders before the
    /// first name with a wildcard may be links. A folder stands for itself and everything below it. A text without
    /// slash and wildcard is the name of a program, to be found in [`Request::search_path`].
    Pattern(String),
}

impl Root {
    /// Files by a path as people write it, by a glob, or a program by its name.
    pub fn pattern(pattern: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { wanted: Wanted::Pattern(pattern.into()), reason: reason.into() }
    }

    /// What a path leads to; of a folder, everything.
    pub fn path(path: RootPath, reason: impl Into<String>) -> Self {
        Self { wanted: Wanted::Path(path), reason: reason.into() }
    }

    /// What a path leads to; of a folder, nothing that it holds.
    pub fn alone(path: RootPath, reason: impl Into<String>) -> Self {
        Self { wanted: Wanted::Alone(path), reason: reason.into() }
    }
}

/// Files that are not wanted. They bring nothing else in, and what needs them without a choice gives a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drop {
    /// What findings call it.
    pub name: String,
    /// Globs over real paths, as in [`Wanted::Pattern`]. A folder that matches goes with everything below it.
    pub globs: Vec<String>,
    /// Why they are not wanted.
    pub reason: String,
}

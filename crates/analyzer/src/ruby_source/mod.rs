//! Ruby source: which files, libraries and folders it names, as far as the text tells.
//!
//! A *mention* is one call that loads something: `require`, `load`, `autoload`, `Fiddle.dlopen`, `ffi_lib` and their like,
//! or one that adds to `$LOAD_PATH`. Its names are the texts that it can be called with; there are none where a name is
//! computed. Its *certainty* says whether the program goes wrong without.
//!
//! Invariants: the source is parsed (ruby-prism), never run; what is read is the same for the same bytes; no bytes make
//! it fail, however deep they nest, and what is no Ruby is said to be none, and names nothing.

mod children;
mod collect;
mod text;

use std::sync::LazyLock;
use std::thread;

use aho_corasick::packed::Searcher;

pub(crate) use text::Text;

use crate::shebang;

/// A longer file is data, not a program: the longest in a Ruby with Rails is a tenth of it.
const LONGEST: usize = 2 << 20;
/// How many bytes of stack the parser may take for one byte of the source: no source nests deeper than it has bytes.
const STACK_PER_BYTE: usize = 16 << 10;
/// The parser stops at ten thousand levels by itself; without optimisation a level takes some kilobytes.
const MOST_STACK: usize = 256 << 20;
const LEAST_STACK: usize = 1 << 20;

/// What a source names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Source {
    /// The mentions, in the order of the text.
    pub(crate) mentions: Vec<Mention>,
    /// What keeps it from being a program, where something does.
    pub(crate) problem: Option<Problem>,
}

/// What keeps a text from being a Ruby program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) line: Option<u32>,
    /// What the parser says.
    pub(crate) message: String,
}

/// One call that loads something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mention {
    /// Counted from 1.
    pub(crate) line: u32,
    /// The name of the method, as `require`.
    pub(crate) word: &'static str,
    pub(crate) call: Call,
    /// What it is called with. Of several names of a library, the first that can be opened is taken. None where the name is
    /// computed.
    pub(crate) names: Vec<Text>,
    pub(crate) certainty: Certainty,
}

/// What a call does with the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    /// Loads a feature: a file that is looked for in `$LOAD_PATH`, with the suffix left out.
    Require,
    /// Loads a file by its whole name.
    Load,
    /// Adds a folder to `$LOAD_PATH`.
    LoadPath,
    /// Opens a shared library by the name that the loader gets.
    Library,
    /// Opens a shared library as the gem ffi does: the name also without `lib` and `.so`.
    FfiLibrary,
    /// Wants a gem (in a Gemfile).
    Gem,
}

/// Whether a program goes wrong without what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Certainty {
    /// It does, whenever the file is loaded.
    Always,
    /// It depends on what the program does: the call stands in a method, in a block, or behind a condition.
    Perhaps,
    /// It does not: the program rescues the failure, or is meant for another platform there.
    Never,
}

/// Whether a source may open a library by name: whether it has the words for that. Most have none, and are not parsed.
pub(crate) fn may_open_libraries(source: &[u8]) -> bool {
    static WORDS: LazyLock<Option<Searcher>> =
        LazyLock::new(|| Searcher::new(["dlopen", "dlload", "ffi_lib", "Fiddle::Handle", "DynamicLibrary"]));
    // A processor that cannot look for all words at once has the parser tell.
    WORDS.as_ref().is_none_or(|words| words.find(source).is_some())
}

/// Whether a file is a Ruby program by its name.
pub(crate) fn is_named_as_ruby(name: &[u8]) -> bool {
    [&b".rb"[..], b".ru", b".rake", b".gemspec"].iter().any(|suffix| name.ends_with(suffix))
        || matches!(name, b"Gemfile" | b"Rakefile" | b"gems.rb")
}

/// Whether a file is a Ruby program by its first line.
pub(crate) fn has_ruby_shebang(content: &[u8]) -> bool {
    let program =
        |path: &[u8]| path.rsplit(|&byte| byte == b'/').next().is_some_and(|name| name.starts_with(b"ruby"));
    shebang::parse(content).is_some_and(|shebang| program(shebang.program.unwrap_or(shebang.interpreter)))
}

/// Reads a source.
pub(crate) fn read(source: &[u8]) -> Source {
    if source.len() > LONGEST {
        let message = format!("it is longer than {} MiB", LONGEST >> 20);
        return Source { mentions: Vec::new(), problem: Some(Problem { line: None, message }) };
    }
    let stack = source.len().saturating_mul(STACK_PER_BYTE).saturating_add(LEAST_STACK).min(MOST_STACK);
    let parsed = thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(stack).spawn_scoped(scope, || parse(source));
        thread.ok().and_then(|thread| thread.join().ok())
    });
    parsed.unwrap_or_else(|| {
        let message = "the system has no thread to parse it".to_owned();
        Source { mentions: Vec::new(), problem: Some(Problem { line: None, message }) }
    })
}

fn parse(source: &[u8]) -> Source {
    let parsed = ruby_prism::parse(source);
    let problem = parsed.errors().next().map(|error| Problem {
        line: u32::try_from(error.location().start_line()).ok(),
        message: String::from_utf8_lossy(error.message()).into_owned(),
    });
    // What the parser made of text that is no Ruby has places outside of the text.
    let mentions = if problem.is_none() { collect::mentions(&parsed) } else { Vec::new() };
    Source { mentions, problem }
}

#[cfg(test)]
mod tests;

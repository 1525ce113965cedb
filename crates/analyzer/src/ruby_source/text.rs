//! Expressions whose value the source alone tells: literals, what is joined from them, and paths from the place of the
//! file itself.

use std::collections::BTreeMap;

use rootfs::RootPath;
use ruby_prism::{CallNode, Node};

/// How deep an expression is followed; what people write has five levels.
const DEEPEST: usize = 32;
/// How many values a variable is followed with.
const MOST_VALUES: usize = 16;
/// How long a text may get: no path is longer.
const LONGEST: usize = 4096;

/// A text that a source tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Text {
    /// As written.
    Plain(Vec<u8>),
    /// The path of the file itself, with this behind it (`__dir__` is `/..`).
    FromFile(Vec<u8>),
}

impl Text {
    fn with(mut self, more: &[u8]) -> Option<Self> {
        let (Self::Plain(bytes) | Self::FromFile(bytes)) = &mut self;
        bytes.extend_from_slice(more);
        (bytes.len() <= LONGEST).then_some(self)
    }

    /// The path that a text is for the file that says it, with `..` taken as text, as Ruby does it. `None` for a plain text
    /// that is no absolute path.
    pub(crate) fn path(&self, file: &RootPath) -> Option<RootPath> {
        let whole = match self {
            Self::Plain(bytes) if bytes.starts_with(b"/") => bytes.clone(),
            Self::Plain(_) => return None,
            Self::FromFile(bytes) => [file.as_bytes(), bytes].concat(),
        };
        let mut names: Vec<&[u8]> = Vec::new();
        for name in whole.split(|&byte| byte == b'/') {
            match name {
                b"" | b"." => {}
                b".." => _ = names.pop(),
                name => names.push(name),
            }
        }
        RootPath::parse([b"/", names.join(&b'/').as_slice()].concat()).ok()
    }
}

/// The variables and constants that a source sets to something it tells, with every value that each may have.
#[derive(Default)]
pub(super) struct Variables {
    values: BTreeMap<Vec<u8>, Vec<Text>>,
}

impl Variables {
    pub(super) fn set(&mut self, name: &[u8], value: &Node<'_>) {
        let new = self.values_of(value);
        let values = self.values.entry(name.to_vec()).or_default();
        for text in new {
            if values.len() < MOST_VALUES && !values.contains(&text) {
                values.push(text);
            }
        }
    }

    /// Every text that an expression may be, as far as the source tells: the parts of a list, both sides of `||`.
    pub(super) fn values_of(&self, node: &Node<'_>) -> Vec<Text> {
        self.values_below(node, DEEPEST)
    }

    fn values_below(&self, node: &Node<'_>, depth: usize) -> Vec<Text> {
        let Some(depth) = depth.checked_sub(1) else { return Vec::new() };
        if let Some(list) = node.as_array_node() {
            return list.elements().iter().flat_map(|part| self.values_below(&part, depth)).collect();
        }
        if let Some(either) = node.as_or_node() {
            let sides = [either.left(), either.right()];
            return sides.iter().flat_map(|side| self.values_below(side, depth)).collect();
        }
        if let Some(values) = variable(node).and_then(|name| self.values.get(name)) {
            return values.clone();
        }
        self.value_below(node, depth).into_iter().collect()
    }

    /// The one text that an expression is.
    pub(super) fn value_of(&self, node: &Node<'_>) -> Option<Text> {
        self.value_below(node, DEEPEST)
    }

    fn value_below(&self, node: &Node<'_>, depth: usize) -> Option<Text> {
        let depth = depth.checked_sub(1)?;
        if let Some(string) = node.as_string_node() {
            return Text::Plain(Vec::new()).with(string.unescaped());
        }
        if let Some(string) = node.as_interpolated_string_node() {
            return self.joined(string.parts().iter(), b"", depth);
        }
        if let Some(part) = node.as_embedded_statements_node() {
            let statements = part.statements()?.body();
            return if statements.len() == 1 { self.value_below(&statements.first()?, depth) } else { None };
        }
        if let Some(group) = node.as_parentheses_node() {
            let statements = group.body()?.as_statements_node()?.body();
            return if statements.len() == 1 { self.value_below(&statements.first()?, depth) } else { None };
        }
        if node.as_source_file_node().is_some() {
            return Some(Text::FromFile(Vec::new()));
        }
        if let Some(name) = variable(node) {
            let values = self.values.get(name)?;
            return if values.len() == 1 { values.first().cloned() } else { None };
        }
        self.value_of_call(&node.as_call_node()?, depth)
    }

    fn value_of_call(&self, call: &CallNode<'_>, depth: usize) -> Option<Text> {
        let arguments: Vec<Node<'_>> =
            call.arguments().map(|given| given.arguments().iter().collect()).unwrap_or_default();
        let name = call.name().as_slice();
        let Some(receiver) = call.receiver() else {
            return (name == b"__dir__").then(|| Text::FromFile(b"/..".to_vec()));
        };
        let is_file = constant_name(&receiver).is_some_and(|constant| constant == b"File");
        match (is_file, name, arguments.as_slice()) {
            (true, b"join", [_, ..]) => self.joined(arguments.iter().map(super::children::same), b"/", depth),
            (true, b"dirname", [path]) => self.value_below(path, depth)?.with(b"/.."),
            (true, b"expand_path" | b"absolute_path" | b"realpath", [path]) => self.value_below(path, depth),
            (true, b"expand_path" | b"absolute_path" | b"realpath", [path, from]) => {
                match self.value_below(path, depth)? {
                    Text::Plain(path) if !path.starts_with(b"/") && !path.starts_with(b"~") => {
                        self.value_below(from, depth)?.with(b"/")?.with(&path)
                    }
                    whole => Some(whole),
                }
            }
            (false, b"+", [more]) => {
                let Text::Plain(more) = self.value_below(more, depth)? else { return None };
                self.value_below(&receiver, depth)?.with(&more)
            }
            (false, b"to_s" | b"freeze" | b"to_str", []) => self.value_below(&receiver, depth),
            _ => None,
        }
    }

    fn joined<'n>(
        &self,
        parts: impl Iterator<Item = Node<'n>>,
        between: &[u8],
        depth: usize,
    ) -> Option<Text> {
        let mut whole: Option<Text> = None;
        for part in parts {
            let part = self.value_below(&part, depth)?;
            whole = Some(match (whole, part) {
                (None, part) => part,
                (Some(whole), Text::Plain(part)) => whole.with(between)?.with(&part)?,
                (Some(_), Text::FromFile(_)) => return None,
            });
        }
        whole
    }
}

/// The name of a local variable or a constant that is read.
fn variable<'n>(node: &Node<'n>) -> Option<&'n [u8]> {
    let local = node.as_local_variable_read_node().map(|node| node.name().as_slice());
    local.or_else(|| node.as_constant_read_node().map(|node| node.name().as_slice()))
}

/// The name of a constant as written, as `Fiddle::Handle`; of a longer path, the last three names.
pub(super) fn constant_name(node: &Node<'_>) -> Option<Vec<u8>> {
    if let Some(constant) = node.as_constant_read_node() {
        return Some(constant.name().as_slice().to_vec());
    }
    let mut names = Vec::new();
    let mut path = node.as_constant_path_node()?;
    for _ in 0..3 {
        names.push(path.name()?.as_slice().to_vec());
        let Some(parent) = path.parent() else { break };
        match parent.as_constant_path_node() {
            Some(above) => path = above,
            None => {
                names.push(parent.as_constant_read_node()?.name().as_slice().to_vec());
                break;
            }
        }
    }
    names.reverse();
    Some(names.join(&b"::"[..]))
}

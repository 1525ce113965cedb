//! The walk over a parsed source that finds its mentions, and says under which conditions each is met.

use std::collections::BTreeSet;

use memchr::memmem;
use ruby_prism::{BeginNode, CallNode, Node, ParseResult, RescueNode};

use super::children::children;
use super::text::{Text, Variables, constant_name};
use super::{Call, Certainty, Mention};

/// What a condition names that has one answer for Linux and the Ruby at hand.
const PLATFORM_WORDS: [&[u8]; 9] = [
    b"RUBY_PLATFORM",
    b"RUBY_ENGINE",
    b"RUBY_VERSION",
    b"win_platform?",
    b"host_os",
    b"Gem::Platform",
    b"FFI::Platform",
    b"WINDOWS",
    b"JRUBY",
];

/// What keeps the library of C's own functions by another name.
const LIBC: &[u8] = b"libc.so.6";

/// Under which conditions a node is met.
#[derive(Clone, Copy)]
struct Conditions {
    certainty: Certainty,
    /// A `LoadError` is rescued.
    load_error: bool,
    /// An error of the usual kind is rescued.
    standard_error: bool,
    /// This is the body of a method that opens what its callers name.
    hands_on: bool,
}

impl Conditions {
    const NONE: Self =
        Self { certainty: Certainty::Always, load_error: false, standard_error: false, hands_on: false };

    fn at_least(self, certainty: Certainty) -> Self {
        Self { certainty: self.certainty.max(certainty), ..self }
    }

    /// Behind a condition that reads like this.
    fn behind(self, condition: &[u8]) -> Self {
        let is_platform = PLATFORM_WORDS.iter().any(|word| memmem::find(condition, word).is_some());
        self.at_least(if is_platform { Certainty::Never } else { Certainty::Perhaps })
    }

    fn certainty_of(self, call: Call) -> Certainty {
        let is_rescued = match call {
            Call::Require | Call::Load | Call::FfiLibrary | Call::Gem => self.load_error,
            Call::Library => self.standard_error,
            Call::LoadPath => false,
        };
        if is_rescued { Certainty::Never } else { self.certainty }
    }
}

/// The mentions of a source, in its order.
pub(super) fn mentions(parsed: &ParseResult<'_>) -> Vec<Mention> {
    let mut walk = Walk { source: parsed.source(), ..Walk::default() };
    walk.open.push((parsed.node(), Conditions::NONE));
    while let Some((node, conditions)) = walk.open.pop() {
        walk.meet(&node, conditions);
    }
    walk.finish()
}

#[derive(Default)]
struct Walk<'pr> {
    source: &'pr [u8],
    /// What is still to be met, the next one last.
    open: Vec<(Node<'pr>, Conditions)>,
    mentions: Vec<Mention>,
    variables: Variables,
    /// The methods that the source defines.
    methods: BTreeSet<Vec<u8>>,
    /// Lists of names of shared libraries.
    lists: Vec<(u32, Vec<Text>)>,
}

impl<'pr> Walk<'pr> {
    fn meet(&mut self, node: &Node<'pr>, conditions: Conditions) {
        if let Some(call) = node.as_call_node() {
            self.call(&call, conditions);
        } else if let Some(begin) = node.as_begin_node() {
            return self.begin(&begin, conditions);
        } else if let Some(write) = node.as_local_variable_write_node() {
            self.variables.set(write.name().as_slice(), &write.value());
        } else if let Some(write) = node.as_constant_write_node() {
            self.variables.set(write.name().as_slice(), &write.value());
        } else if let Some(method) = node.as_def_node() {
            self.methods.insert(method.name().as_slice().to_vec());
        } else if node.as_array_node().is_some() {
            self.list(node);
        }
        let source = self.source;
        let below = |child: &Node<'pr>| child_conditions(source, node, child, conditions);
        self.descend(node, below);
    }

    /// Puts the children before everything else that is to be met.
    fn descend(&mut self, node: &Node<'pr>, below: impl Fn(&Node<'pr>) -> Conditions) {
        let mut next = Vec::new();
        children(node, &mut next);
        self.open.extend(next.into_iter().rev().map(|child| {
            let conditions = below(&child);
            (child, conditions)
        }));
    }

    /// The statements of a `begin` have what the clauses rescue; the clauses themselves and the rest do not.
    fn begin(&mut self, begin: &BeginNode<'pr>, conditions: Conditions) {
        let mut inside = conditions;
        let mut clause = begin.rescue_clause();
        while let Some(rescue) = clause {
            rescues(&rescue, &mut inside);
            clause = rescue.subsequent();
        }
        let body = begin.statements().map(|statements| statements.location().end());
        self.descend(&begin.as_node(), |child| {
            let is_body = body.is_some_and(|end| child.location().end() <= end);
            if is_body { inside } else { conditions }
        });
    }

    fn list(&mut self, node: &Node<'pr>) {
        let names: Vec<Text> =
            self.variables.values_of(node).into_iter().filter(is_name_of_shared_object).collect();
        if !names.is_empty() {
            self.lists.push((line_of(node), names));
        }
    }

    fn call(&mut self, call: &CallNode<'pr>, conditions: Conditions) {
        let Some((mut word, mut kind)) = kind_of(call) else { return };
        let mut arguments: Vec<Node<'pr>> =
            call.arguments().map(|given| given.arguments().iter().collect()).unwrap_or_default();
        if word == "load"
            && let Some(gem) = arguments.first().and_then(gem_of_command)
        {
            (word, kind) = ("gem", Call::Gem);
            arguments = vec![gem];
        }
        let opens = matches!(kind, Call::Library | Call::FfiLibrary);
        if opens && conditions.hands_on {
            return;
        }
        let line = line_of(&call.as_node());
        let certainty = conditions.certainty_of(kind);
        let mut found: Vec<(Vec<Text>, Certainty)> = Vec::new();
        let mut add = |names, certainty| found.push((names, certainty));
        match (word, arguments.as_slice()) {
            // The program itself, or what another object has opened.
            ("dlopen" | "dlload" | "Handle.new", []) | ("autoload", [_]) => {}
            ("autoload", [_, path]) => {
                add(self.variables.value_of(path).into_iter().collect(), certainty.max(Certainty::Perhaps));
            }
            ("require_relative", [path]) => {
                let beside = match self.variables.value_of(path) {
                    Some(Text::Plain(name)) => Some(Text::FromFile([b"/../", name.as_slice()].concat())),
                    other => other,
                };
                add(beside.into_iter().collect(), certainty);
            }
            ("require", [path]) | ("load", [path, ..]) => {
                add(self.variables.value_of(path).into_iter().collect(), certainty);
            }
            ("gem", [name, options @ ..]) => {
                let has_options = options.iter().any(|option| option.as_keyword_hash_node().is_some());
                let least = if has_options { Certainty::Perhaps } else { Certainty::Always };
                add(self.variables.value_of(name).into_iter().collect(), certainty.max(least));
            }
            ("$LOAD_PATH", folders) => {
                for folder in folders {
                    add(self.variables.values_of(folder), certainty);
                }
            }
            ("dlopen" | "Handle.new" | "DynamicLibrary.open", [name, ..]) => {
                if let Some(names) = self.libraries(name) {
                    add(names, certainty);
                }
            }
            ("dlload" | "ffi_lib", names) => {
                for name in names {
                    if let Some(names) = self.libraries(name) {
                        add(names, certainty);
                    }
                }
            }
            _ => {}
        }
        let mention = |(names, certainty)| Mention { line, word, call: kind, names, certainty };
        self.mentions.extend(found.into_iter().map(mention));
    }

    /// The names that a library may be opened by; `None` where it is the program itself.
    fn libraries(&self, name: &Node<'pr>) -> Option<Vec<Text>> {
        if name.as_nil_node().is_some() {
            return None;
        }
        let constant = constant_name(name).unwrap_or_default();
        if constant.ends_with(b"CURRENT_PROCESS") {
            return None;
        }
        if constant.ends_with(b"::LIBC") {
            return Some(vec![Text::Plain(LIBC.to_vec())]);
        }
        Some(self.variables.values_of(name))
    }

    /// A name that is computed is one of those that the source lists, where it lists any.
    fn finish(mut self) -> Vec<Mention> {
        // A class with a `load` of its own calls that, and not the one that loads a file.
        let methods = std::mem::take(&mut self.methods);
        self.mentions
            .retain(|mention| !mention.names.is_empty() || !methods.contains(mention.word.as_bytes()));
        let is_computed = |mention: &Mention| {
            matches!(mention.call, Call::Library | Call::FfiLibrary) && mention.names.is_empty()
        };
        let Some(computed) = self.mentions.iter().find(|mention| is_computed(mention)).cloned() else {
            return self.mentions;
        };
        if self.lists.is_empty() {
            return self.mentions;
        }
        let listed = self.lists.into_iter().map(|(line, names)| Mention {
            line,
            names,
            certainty: computed.certainty.max(Certainty::Perhaps),
            ..computed.clone()
        });
        let told = self.mentions.into_iter().filter(|mention| !is_computed(mention));
        let mut mentions: Vec<Mention> = told.chain(listed).collect();
        mentions.sort_by_key(|mention| mention.line);
        mentions
    }
}

/// The name of the gem in `Gem.activate_bin_path("rake", "rake", version)`: the scripts that RubyGems installs load the
/// command of their gem with it.
fn gem_of_command<'pr>(path: &Node<'pr>) -> Option<Node<'pr>> {
    let call = path.as_call_node()?;
    let is_path = matches!(call.name().as_slice(), b"activate_bin_path" | b"bin_path");
    let is_gem = constant_name(&call.receiver()?).as_deref() == Some(b"Gem");
    call.arguments().filter(|_| is_path && is_gem)?.arguments().first()
}

/// Which of the calls that load something this is.
fn kind_of(call: &CallNode<'_>) -> Option<(&'static str, Call)> {
    let name = call.name().as_slice();
    let receiver = call.receiver();
    let global = receiver.as_ref().and_then(Node::as_global_variable_read_node);
    if let Some(global) = global {
        let is_load_path = matches!(global.name().as_slice(), b"$LOAD_PATH" | b"$:" | b"$-I");
        let adds =
            matches!(name, b"unshift" | b"push" | b"append" | b"prepend" | b"<<" | b"insert" | b"concat");
        return (is_load_path && adds).then_some(("$LOAD_PATH", Call::LoadPath));
    }
    let constant = receiver.as_ref().and_then(constant_name);
    let is_own = receiver.as_ref().is_none_or(|receiver| receiver.as_self_node().is_some());
    let is_kernel = receiver.is_none() || constant.as_deref() == Some(b"Kernel");
    let of = |wanted: &[u8]| {
        constant
            .as_ref()
            .is_some_and(|constant| constant == wanted || constant.ends_with(&[b"::", wanted].concat()))
    };
    Some(match name {
        b"require" if is_kernel => ("require", Call::Require),
        b"require_relative" if is_kernel => ("require_relative", Call::Require),
        b"load" if is_kernel => ("load", Call::Load),
        b"autoload" if is_own || is_kernel || constant.is_some() => ("autoload", Call::Require),
        b"gem" if receiver.is_none() => ("gem", Call::Gem),
        b"dlopen" if of(b"Fiddle") => ("dlopen", Call::Library),
        b"new" if of(b"Fiddle::Handle") => ("Handle.new", Call::Library),
        b"dlload" if is_own || constant.is_some() => ("dlload", Call::Library),
        b"ffi_lib" if is_own || constant.is_some() => ("ffi_lib", Call::FfiLibrary),
        b"open" if of(b"FFI::DynamicLibrary") => ("DynamicLibrary.open", Call::FfiLibrary),
        _ => return None,
    })
}

/// Under which conditions a child is met that stands below a node.
fn child_conditions(source: &[u8], node: &Node<'_>, child: &Node<'_>, conditions: Conditions) -> Conditions {
    let behind = |condition: &Node<'_>| {
        // The condition itself is always met.
        if child.location().start() == condition.location().start()
            && child.location().end() == condition.location().end()
        {
            conditions
        } else {
            conditions.behind(text_of(source, condition))
        }
    };
    if let Some(node) = node.as_if_node() {
        return behind(&node.predicate());
    }
    if let Some(node) = node.as_unless_node() {
        return behind(&node.predicate());
    }
    if let Some(node) = node.as_and_node() {
        return behind(&node.left());
    }
    if let Some(node) = node.as_or_node() {
        return behind(&node.left());
    }
    if let Some(node) = node.as_while_node() {
        return behind(&node.predicate());
    }
    if let Some(node) = node.as_until_node() {
        return behind(&node.predicate());
    }
    if let Some(node) = node.as_case_node() {
        return match node.predicate() {
            Some(predicate) => behind(&predicate),
            None => conditions.at_least(Certainty::Perhaps),
        };
    }
    if let Some(node) = node.as_when_node() {
        let is_condition = node
            .conditions()
            .iter()
            .any(|condition| condition.location().start() == child.location().start());
        return match node.conditions().first() {
            Some(first) if !is_condition => behind(&first),
            _ => conditions,
        };
    }
    if let Some(method) = node.as_def_node() {
        let hands_on =
            matches!(method.name().as_slice(), b"dlopen" | b"dlload" | b"ffi_lib" | b"open" | b"initialize");
        let standalone = Conditions { hands_on, ..Conditions::NONE };
        // Whoever calls the method may rescue what goes wrong in it, or not.
        return standalone.at_least(conditions.certainty.max(Certainty::Perhaps));
    }
    if node
        .as_rescue_modifier_node()
        .is_some_and(|node| node.expression().location().end() == child.location().end())
    {
        return Conditions { standard_error: true, ..conditions };
    }
    let is_lazy = node.as_block_node().is_some()
        || node.as_lambda_node().is_some()
        || node.as_for_node().is_some()
        || node.as_rescue_node().is_some()
        || node.as_case_match_node().is_some();
    if is_lazy { conditions.at_least(Certainty::Perhaps) } else { conditions }
}

/// Notes what a clause rescues, unless it raises something itself.
fn rescues(clause: &RescueNode<'_>, conditions: &mut Conditions) {
    let statements = clause.statements();
    let raises = |node: &Node<'_>| {
        node.as_call_node().is_some_and(|call| {
            call.receiver().is_none()
                && matches!(call.name().as_slice(), b"raise" | b"fail" | b"abort" | b"exit" | b"exit!")
        })
    };
    if statements.is_some_and(|statements| statements.body().iter().any(|node| raises(&node))) {
        return;
    }
    let exceptions = clause.exceptions();
    if exceptions.is_empty() {
        conditions.standard_error = true;
    }
    for exception in &exceptions {
        // A splat, or a variable, may hold any.
        let name = constant_name(&exception).unwrap_or_else(|| b"Exception".to_vec());
        let last = name.rsplit(|&byte| byte == b':').next().unwrap_or_default();
        match last {
            b"Exception" => (conditions.load_error, conditions.standard_error) = (true, true),
            b"LoadError" | b"ScriptError" => conditions.load_error = true,
            b"StandardError" | b"DLError" | b"RuntimeError" => conditions.standard_error = true,
            _ => {}
        }
    }
}

fn is_name_of_shared_object(text: &Text) -> bool {
    matches!(text, Text::Plain(name) if memmem::find(name, b".so").is_some())
}

/// The text of a node, taken from the source and not from where the parser says that it lies in memory.
fn text_of<'s>(source: &'s [u8], node: &Node<'_>) -> &'s [u8] {
    let place = node.location();
    source.get(place.start() as usize..place.end() as usize).unwrap_or_default()
}

fn line_of(node: &Node<'_>) -> u32 {
    u32::try_from(node.location().start_line()).unwrap_or(1)
}

//! A comparison as text. Lines begin with `+` for what was added, `-` for what was removed, and `~` for what changed.

use std::fmt::Write;

use crate::{Change, Compared, Comparison, Difference, File, Kind, Size};

pub(crate) fn render(comparison: &Comparison) -> String {
    let mut text = String::new();
    for image in &comparison.images {
        match image {
            Compared::Added { name } => line(&mut text, &format!("+ {name}")),
            Compared::Removed { name } => line(&mut text, &format!("- {name}")),
            Compared::Same { name } => line(&mut text, &format!("= {name}: nothing differs")),
            Compared::Changed(difference) => changed(&mut text, difference),
        }
    }
    text
}

fn changed(text: &mut String, difference: &Difference) {
    line(text, &format!("~ {}", title(difference)));
    for (name, size) in [("on disk", difference.disk), ("to pull", difference.pull)] {
        line(text, &format!("  {name}: {}", sizes(size)));
    }
    for List { title, entries } in lists(difference) {
        let Some(entries) = entries else {
            line(text, &format!("  {title}: not compared, as one side does not tell"));
            continue;
        };
        if entries.is_empty() {
            continue;
        }
        line(text, &format!("  {title}: {}", counted(&entries)));
        for entry in entries {
            line(text, &format!("    {} {}", entry.sign, entry.text));
        }
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a text never fails");
}

/// What is compared.
pub(crate) fn title(difference: &Difference) -> String {
    let Difference { before, after, .. } = difference;
    if before == after { before.clone() } else { format!("{before} -> {after}") }
}

/// A list of changes, each as a line.
pub(crate) struct List {
    pub(crate) title: &'static str,
    /// None where they are not known of one side.
    pub(crate) entries: Option<Vec<Entry>>,
}

/// A change.
pub(crate) struct Entry {
    /// `+`, `-` or `~`.
    pub(crate) sign: char,
    pub(crate) text: String,
}

/// Every list of a difference, in the order that people look for them.
pub(crate) fn lists(difference: &Difference) -> [List; 4] {
    let versions = |changes: &Vec<Change<String>>| {
        changes.iter().map(|change| entry(change, " ", String::clone)).collect()
    };
    let settings = |changes: &Vec<Change<String>>| {
        changes.iter().map(|change| entry(change, "=", String::clone)).collect()
    };
    let files = |changes: &Vec<Change<File>>| changes.iter().map(file).collect();
    [
        List { title: "packages", entries: Some(versions(&difference.packages)) },
        List { title: "gems", entries: difference.gems.as_ref().map(versions) },
        List { title: "configuration", entries: difference.config.as_ref().map(settings) },
        List { title: "files", entries: difference.files.as_ref().map(files) },
    ]
}

/// How many were added, removed and changed.
pub(crate) fn counted(entries: &[Entry]) -> String {
    let count = |sign: char| entries.iter().filter(|entry| entry.sign == sign).count();
    let counts = [(count('+'), "added"), (count('-'), "removed"), (count('~'), "changed")];
    let said = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    said.collect::<Vec<_>>().join(", ")
}

fn entry<V>(change: &Change<V>, between: &str, value: fn(&V) -> String) -> Entry {
    let Change { name, before, after } = change;
    let (sign, text) = match (before, after) {
        (Some(before), Some(after)) => ('~', format!("{} -> {}", value(before), value(after))),
        (Some(before), None) => ('-', value(before)),
        (None, after) => ('+', after.as_ref().map(value).unwrap_or_default()),
    };
    Entry { sign, text: printable(&format!("{name}{between}{text}")) }
}

/// What an image of somebody else says may have letters that move a cursor or end a line.
fn printable(text: &str) -> String {
    let letter = |letter: char| match letter.is_control() {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    };
    text.chars().map(letter).collect()
}

fn file(change: &Change<File>) -> Entry {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => {
            let text = format!("{}: {}", change.name, altered(before, after).join(", "));
            Entry { sign: '~', text: printable(&text) }
        }
        _ => entry(change, ": ", described),
    }
}

/// What a file is.
fn described(file: &File) -> String {
    let File { kind, mode, owner: (user, group), .. } = file;
    match kind {
        Kind::Folder => format!("folder, {mode:04o}, {user}:{group}"),
        Kind::Link { target } => format!("link to {target}"),
        Kind::File { bytes, .. } => format!("{}, {mode:04o}, {user}:{group}", in_bytes(*bytes)),
    }
}

/// What is not the same of a file that both have.
fn altered(before: &File, after: &File) -> Vec<String> {
    let mut altered = Vec::new();
    match (&before.kind, &after.kind) {
        (before, after) if before == after => {}
        (Kind::File { bytes: before, .. }, Kind::File { bytes: after, .. }) if before == after => {
            altered.push(format!("other content of {}", in_bytes(*after)));
        }
        (Kind::File { bytes: before, .. }, Kind::File { bytes: after, .. }) => {
            altered.push(sizes(Size { before: *before, after: *after }));
        }
        (Kind::Link { target: before }, Kind::Link { target: after }) => {
            altered.push(format!("link to {before} -> {after}"));
        }
        _ => return vec![format!("{} -> {}", described(before), described(after))],
    }
    if before.mode != after.mode {
        altered.push(format!("mode {:04o} -> {:04o}", before.mode, after.mode));
    }
    if before.owner != after.owner {
        let owner = |(user, group): (u32, u32)| format!("{user}:{group}");
        altered.push(format!("owner {} -> {}", owner(before.owner), owner(after.owner)));
    }
    if before.attributes != after.attributes {
        altered.push("extended attributes".to_owned());
    }
    altered
}

/// Both numbers and what lies between them.
pub(crate) fn sizes(Size { before, after }: Size) -> String {
    if before == after {
        return in_bytes(after);
    }
    let (sign, by) = if before > after { ('-', before - after) } else { ('+', after - before) };
    format!("{} -> {} ({sign}{})", grouped(before), in_bytes(after), grouped(by))
}

fn in_bytes(bytes: u64) -> String {
    if bytes == 1 { "1 byte".to_owned() } else { format!("{} bytes", grouped(bytes)) }
}

/// Digits in groups of three: `12,345,678`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut groups: Vec<&str> = Vec::new();
    if first > 0 {
        groups.push(&digits[..first]);
    }
    let mut rest = &digits[first..];
    while !rest.is_empty() {
        let (group, after) = rest.split_at(3);
        groups.push(group);
        rest = after;
    }
    groups.join(",")
}

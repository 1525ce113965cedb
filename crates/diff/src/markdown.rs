//! A comparison as Markdown, for a pull request: a section an image, and lists, the long ones folded.

use std::fmt::Write;

use crate::text::{Entry, List, counted, lists, sizes, title};
use crate::{Compared, Comparison, Difference};

/// A longer list is folded.
const SHOWN: usize = 20;
/// No list has more lines: a comment on a pull request holds 65,536 letters.
const LISTED: usize = 200;

pub(crate) fn render(comparison: &Comparison) -> String {
    let mut text = String::new();
    let mut same = Vec::new();
    for image in &comparison.images {
        match image {
            Compared::Added { name } => section(&mut text, &format!("{} was added", code(name))),
            Compared::Removed { name } => section(&mut text, &format!("{} was removed", code(name))),
            Compared::Same { name } => same.push(code(name)),
            Compared::Changed(difference) => changed(&mut text, difference),
        }
    }
    if !same.is_empty() {
        if !text.is_empty() {
            text.push('\n');
        }
        writeln!(text, "Nothing differs in {}.", same.join(", ")).expect("writing to a text never fails");
    }
    text
}

fn section(text: &mut String, head: &str) {
    let space = if text.is_empty() { "" } else { "\n" };
    writeln!(text, "{space}### {head}").expect("writing to a text never fails");
}

fn changed(text: &mut String, difference: &Difference) {
    section(text, &title(difference).split(" -> ").map(code).collect::<Vec<_>>().join(" → "));
    let (disk, pull) = (sizes(difference.disk), sizes(difference.pull));
    write!(text, "\nOn disk: {disk}. To pull: {pull}.\n").expect("writing to a text never fails");
    for List { title, entries } in lists(difference) {
        match entries {
            None => {
                write!(text, "\n{title}: not compared, as one side does not tell\n")
                    .expect("writing to a text never fails");
            }
            Some(entries) if entries.is_empty() => {}
            Some(entries) => list(text, title, &entries),
        }
    }
}

fn list(text: &mut String, title: &str, entries: &[Entry]) {
    let counts = counted(entries);
    let is_long = entries.len() > SHOWN;
    let mut said = match is_long {
        true => format!("\n<details>\n<summary>{title}: {counts}</summary>\n\n"),
        false => format!("\n{title}: {counts}\n\n"),
    };
    // One that differs in its first letter only is coloured by whoever shows it.
    said.push_str("```diff\n");
    for Entry { sign, text } in entries.iter().take(LISTED) {
        let sign = if *sign == '~' { '!' } else { *sign };
        writeln!(said, "{sign} {}", text.replace("```", "` ` `")).expect("writing to a text never fails");
    }
    said.push_str("```\n");
    if entries.len() > LISTED {
        write!(said, "\nand {} more\n", entries.len() - LISTED).expect("writing to a text never fails");
    }
    if is_long {
        said.push_str("\n</details>\n");
    }
    text.push_str(&said);
}

/// A name as code, whatever is in it.
fn code(name: &str) -> String {
    format!("`{}`", name.replace('`', "'"))
}

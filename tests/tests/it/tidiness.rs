//! What the repository promises of its files: modules that say what they are for, in a size that one reads; nothing
//! left to do; no binaries; no address of the machine that it was made on; no link to nowhere.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use fs_err as fs;

use crate::program::workspace;
use crate::skip;

/// A file longer than that is more than one module.
const MOST_LINES: usize = 800;

/// A file that git has, with its path from the workspace.
struct Tracked {
    path: String,
    bytes: Vec<u8>,
}

impl Tracked {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    fn is(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|own| own == extension)
    }
}

#[test]
fn modules_say_what_they_are_for_and_are_of_a_size_that_one_reads() {
    let unfinished = ["todo", "unimplemented"].map(|name| format!("{name}!("));
    for file in tracked().iter().filter(|file| file.is("rs")) {
        let Tracked { path, .. } = file;
        assert!(file.text().starts_with("//! "), "{path} does not open with what it is for");
        let lines = file.text().lines().count();
        assert!(lines <= MOST_LINES, "{path} has {lines} lines");
        for word in &unfinished {
            assert!(!file.text().contains(word), "{path} has something left to do");
        }
    }
}

#[test]
fn everything_is_text() {
    for Tracked { path, bytes } in tracked() {
        assert!(std::str::from_utf8(&bytes).is_ok_and(|text| !text.contains('\0')), "{path} is binary");
    }
}

#[test]
fn links_of_the_documentation_lead_somewhere() {
    for file in tracked().iter().filter(|file| file.is("md")) {
        let folder = workspace().join(&file.path);
        let folder = folder.parent().expect("a file has a folder");
        for link in file.text().split("](").skip(1).filter_map(|rest| rest.split_once(')')) {
            let target = link.0.split('#').next().unwrap_or_default();
            let elsewhere = target.is_empty() || target.contains("://");
            assert!(elsewhere || folder.join(target).exists(), "{} links to {target}", file.path);
        }
    }
}

/// Where packages come from is found out, and written nowhere.
#[test]
fn no_file_names_the_mirror_of_this_machine() {
    let hosts = apt_hosts();
    if hosts.is_empty() {
        return skip("the search for this machine's mirror in the files", "no host is named in /etc/apt");
    }
    for file in tracked() {
        let names_one = hosts.iter().any(|host| file.text().contains(host.as_str()));
        assert!(!names_one, "{} names a mirror that this machine's apt is set up with", file.path);
    }
}

/// The hosts of the machine's package sources. An address of numbers or a name without a dot could be any text.
fn apt_hosts() -> BTreeSet<String> {
    let folder = Path::new("/etc/apt/sources.list.d");
    let parts = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let files = parts.chain(["/etc/apt/sources.list".into()]);
    let texts: Vec<String> = files.filter_map(|path| fs::read_to_string(path).ok()).collect();
    let addresses = texts.iter().flat_map(|text| text.split("://").skip(1));
    let hosts = addresses.filter_map(|rest| rest.split(['/', ':', ' ', '\n']).next());
    let hosts =
        hosts.filter(|host| host.contains('.') && host.contains(|character: char| character.is_alphabetic()));
    hosts.map(str::to_owned).collect()
}

/// The files that git has. A source archive has no git, and all of these rules were kept when it was made.
fn tracked() -> Vec<Tracked> {
    let git = Command::new("git").args(["ls-files", "-z"]).current_dir(workspace()).output();
    let Some(listing) = git.ok().filter(|output| output.status.success()) else {
        skip("the rules for files", "git does not know this folder");
        return Vec::new();
    };
    let paths = String::from_utf8(listing.stdout).expect("paths are UTF-8");
    let paths = paths.split_terminator('\0').map(str::to_owned);
    // A file that was just removed is no more.
    let files =
        paths.filter_map(|path| Some(Tracked { bytes: fs::read(workspace().join(&path)).ok()?, path }));
    files.collect()
}

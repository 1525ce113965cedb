//! The libraries of an ELF object by the analysis against those that the loader itself lists: for every program and every
//! shared object of the packages of each row, in the sandbox. It needs a cache with the real packages; the network is not
//! used.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use analyzer::{Closure, FindingKind, Reach, Request, Root, analyze};
use fs_err as fs;
use oci::{Layout, Prefer};
use rootfs::{Kind, RootPath, Tree};
use schema::Architecture;
use serde_json::Value;
use toml::Table;

use crate::real;
use crate::skip;

const NAME: &str = "loader-under-test";
const WHAT: &str = "libraries against the loader";

#[cfg(target_arch = "x86_64")]
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
#[cfg(target_arch = "aarch64")]
const LOADER: &str = "/lib/ld-linux-aarch64.so.1";

/// Asks the loader for each of the objects.
const SCRIPT: &str = "loader, *paths = ARGV
paths.each do |path|
  puts path, IO.popen([loader, '--list', path], err: [:child, :out], &:read)
end";

/// A layer with all objects of the packages, whether the Ruby needs them or not. Scripts come along, and what would run
/// them is in other packages.
const OBJECTS: &str = "name = 'objects'
roots = [
    { path = '/usr/bin/*', why = 'compared' },
    { path = '/usr/sbin/*', why = 'compared' },
    { path = '/usr/lib/**/*.so', why = 'compared' },
    { path = '/usr/lib/**/*.so.*', why = 'compared' },
]
files = [
    { path = '/usr/bin/sh', link = 'env', why = 'scripts' },
    { path = '/usr/bin/bash', link = 'env', why = 'scripts' },
    { path = '/usr/bin/perl', link = 'env', why = 'scripts' },
]";

/// Rules that leave out no object, but what needs other packages.
const KEPT_RULES: [&str; 2] = ["rdoc-templates", "localtime"];

#[test]
fn the_analysis_finds_what_the_loader_lists() {
    let project = real::project(NAME);
    real::with_own_cache(&project);
    hold_every_object(project.path());
    let images = real::run(project.path(), &["list", "--json"]).expect("the matrix");
    let images: Value = serde_json::from_str(&images).expect("JSON");
    // The other variants have these objects too, and rows in groups are built for those who ask for them.
    let is_usual =
        |image: &&Value| image["variant"].as_str() == Some("nonroot") && image.get("group").is_none();
    let images = images.as_array().expect("a list").iter().filter(is_usual);
    let names: Vec<&str> = images.map(|image| image["name"].as_str().expect("a name")).collect();
    for distro in ["bullseye", "bookworm", "trixie"] {
        assert!(names.iter().any(|name| name.ends_with(distro)), "no row of {distro}: {names:?}");
    }
    for name in names {
        match real::build(project.path(), name) {
            Err(why) => skip(&format!("{WHAT} of {name}"), &why),
            Ok(()) => compare(project.path(), name),
        }
    }
}

/// Changes the description of the image to one that leaves out none of the objects, and changes none.
fn hold_every_object(project: &Path) {
    let path = project.join("images/ruby/image.toml");
    let text = fs::read_to_string(&path).expect("the description of the image");
    let mut image: Table = text.parse().expect("TOML");
    let layers = image["layers"].as_array_mut().expect("the layers");
    layers.push(toml::Value::Table(OBJECTS.parse().expect("TOML")));
    let drop = image["drop"].as_array_mut().expect("what is left out");
    drop.retain(|rule| KEPT_RULES.contains(&rule["name"].as_str().expect("a name")));
    assert_eq!(drop.len(), KEPT_RULES.len());
    image.remove("shrink").expect("rules that change objects");
    fs::write(&path, image.to_string()).expect("another description");
}

fn compare(project: &Path, name: &str) {
    let layout = Layout::open(&project.join("dist/oci")).expect("a layout");
    let images = layout.resolve(name).expect("the images");
    let host = Architecture::host().expect("an architecture that images are built for");
    let tree = images.image(host, Prefer::Gzip).expect("the image").tree().expect("its files");
    let objects = objects(&tree);
    assert!(objects.len() > 400, "{name} has {} ELF objects", objects.len());

    let mut arguments = vec!["run", name, "--", "ruby", "-e", SCRIPT, LOADER];
    let paths: Vec<String> = objects.iter().map(ToString::to_string).collect();
    arguments.extend(paths.iter().map(String::as_str));
    let listed = match real::run(project, &arguments) {
        Ok(listed) => by_object(&tree, &paths, &listed),
        Err(why) => return skip(&format!("{WHAT} of {name}"), &why),
    };
    for (object, path) in objects.iter().zip(&paths) {
        assert_eq!(libraries(&tree, object), listed[path.as_str()], "{path} of {name}");
    }
}

/// The real paths of all programs and shared objects, but for the loader: no relocatable object, which the linker alone reads.
fn objects(tree: &Tree) -> Vec<RootPath> {
    let loader = real_path(tree, LOADER);
    // `e_type` is behind the 16 bytes that identify the file, in the order of this machine, as its loader runs (elf(5)).
    let is_relocatable = |content: &[u8]| content.get(16..18) == Some(&1_u16.to_ne_bytes());
    let is_object = |kind: &Kind| match kind {
        Kind::File(file) => file.content.starts_with(b"\x7fELF") && !is_relocatable(&file.content),
        _ => false,
    };
    let all = tree.descendants(&RootPath::root());
    all.filter(|(_, entry)| is_object(&entry.kind))
        .map(|(path, _)| path.clone())
        .filter(|path| *path != loader)
        .collect()
}

/// The libraries that the analysis finds for one object, the loader not among them, and those that it does not find.
fn libraries(tree: &Tree, object: &RootPath) -> BTreeSet<String> {
    let roots = vec![Root::path(object.clone(), "compared")];
    let request = Request { roots, reach: Reach::Loaded, ..Request::default() };
    let Closure { entries, findings, .. } = analyze(tree, &request);
    let mut reached = BTreeSet::from([object]);
    loop {
        let before = reached.len();
        for (path, reasons) in &entries {
            let is_needed = reasons.iter().any(|reason| {
                // What an object says that it opens later is nothing that the loader lists.
                let is_loaded = reason.rule == "elf" && !reason.because.starts_with("dlopen ");
                is_loaded && reason.from.as_ref().is_some_and(|from| reached.contains(from))
            });
            let is_file = tree.get(path).is_some_and(|entry| matches!(entry.kind, Kind::File(_)));
            if is_needed && is_file {
                reached.insert(path);
            }
        }
        if reached.len() == before {
            break;
        }
    }
    let loader = real_path(tree, LOADER);
    let missing = findings.iter().filter_map(|finding| match &finding.kind {
        FindingKind::LibraryNotFound { name, .. } => Some(format!("{name} not found")),
        _ => None,
    });
    let found =
        reached.iter().filter(|path| ***path != *object && ***path != loader).map(ToString::to_string);
    found.chain(missing).collect()
}

/// What the loader printed, as the real paths of libraries for each object, the loader not among them.
fn by_object<'p>(tree: &Tree, paths: &'p [String], listed: &str) -> BTreeMap<&'p str, BTreeSet<String>> {
    let loader = real_path(tree, LOADER);
    let mut lines = listed.lines().peekable();
    let mut by_object = BTreeMap::new();
    for path in paths {
        assert_eq!(lines.next(), Some(path.as_str()));
        let mut libraries = BTreeSet::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with('/')) {
            let (name, found) = line.trim().split_once(" => ").unwrap_or(("", line.trim()));
            let found = found.rsplit_once(" (0x").map_or(found, |(found, _)| found);
            if found.starts_with('/') {
                let real = real_path(tree, found);
                libraries.extend((real != loader).then(|| real.to_string()));
            } else if found == "not found" {
                libraries.insert(format!("{name} not found"));
            } else {
                // Part of the kernel, or nothing at all.
                assert!(found.starts_with("linux-vdso") || found == "statically linked", "{path}: {line}");
            }
        }
        by_object.insert(path.as_str(), libraries);
    }
    by_object
}

fn real_path(tree: &Tree, path: &str) -> RootPath {
    let path = RootPath::parse(path).expect("a path");
    tree.resolve(&path).expect("it is there").path
}

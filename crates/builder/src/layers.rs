//! From a stack to the layers of an image: what of the tree is kept, why, and in which layer.
//!
//! A layer of `image.toml` is the closure of its roots, less what the layers below have. Its roots alone decide what is
//! in it, so images that have its packages alike have it alike. The layers of options and variants are chosen on what
//! the image has, which is there already.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use analyzer::{Closure, Reason, Request, Root, ld_cache};
use rootfs::{Entry, Kind, Metadata, RootPath, Tree};
use schema::image::{Drop, LayerSpec, Pattern, Shrink};
use schema::lock::PackageKey;

use crate::shrink::Shrinker;
use crate::stack::{Package, Stack};
use crate::{installed, status};

/// Where a package says under which licence it is (Debian Policy 12.5).
pub(crate) const DOCUMENTATION: &str = "/usr/share/doc";

/// Where the texts of common licences are, with a slash behind.
const COMMON_LICENCES: &str = "/usr/share/common-licenses/";

/// Where the loader looks names up (ld.so(8)).
static LOADER_CACHE: LazyLock<RootPath> =
    LazyLock::new(|| RootPath::parse("/etc/ld.so.cache").expect("a constant path"));

/// What an image keeps of a stack.
#[derive(Debug)]
pub(crate) struct Selection<'a> {
    /// What the analyzer was asked for all layers together.
    pub request: Request,
    /// Its answer.
    pub closure: Closure,
    /// The layers, lowest first.
    pub layers: Vec<SelectedLayer<'a>>,
    /// What was made smaller.
    pub shrinker: Shrinker<'a>,
    /// All files of the image, those that it stands on among them, without the records of packages.
    pub image: Tree,
}

/// One layer's files.
#[derive(Debug)]
pub(crate) struct SelectedLayer<'a> {
    /// What `image.toml` says of it.
    pub spec: &'a LayerSpec,
    /// Its files, the records of its packages among them.
    pub tree: Tree,
}

/// What layers are chosen by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy<'a> {
    /// The layers, lowest first.
    pub layers: &'a [LayerSpec],
    /// What is left out.
    pub drop: &'a [&'a Drop],
    /// What is made smaller.
    pub shrink: &'a [Shrink],
    /// Where the Ruby was installed to.
    pub prefix: &'a str,
}

/// Chooses what an image keeps of a stack, above what that stands on.
pub(crate) fn select<'a>(stack: &Stack<'_>, policy: Policy<'a>) -> Selection<'a> {
    let mut records = BTreeMap::new();
    let mut image = stack.lower.clone();
    let mut closure = Closure::default();
    let mut request = Request::default();
    let mut layers = Vec::with_capacity(policy.layers.len());
    let mut shrinker = Shrinker::new(policy.shrink, policy.prefix);
    for (position, layer) in policy.layers.iter().enumerate() {
        request = request_for(&stack.tree, policy, &policy.layers[..=position]);
        let mut grown = closure_with_licences(stack, &mut request);
        let is_new = |path: &&RootPath| !closure.entries.contains_key(*path) && stack.is_new(path);
        let mut tree = stack.tree.select(grown.entries.keys().filter(is_new).cloned());
        if layer.installed {
            let installed = installed::select(stack, &request.drop);
            add(&mut tree, &stack.tree.select(installed.kept.into_iter()));
            grown.dropped.extend(installed.dropped);
        } else {
            shrinker.apply(&mut tree);
            shrinker.link(&mut tree);
        }
        add(&mut image, &tree);
        let new = match layer.installed {
            true => installed::records(stack, &image),
            false => status::records(contributors(stack, &grown).into_values(), stack, &image),
        };
        for (path, record) in new {
            // Where an upper layer adds to what a package gave, its record there covers the lower one.
            if records.get(&path) != Some(&record) && !has(&stack.lower, &path, &record) {
                tree.insert(path.clone(), made(stack, record.clone()))
                    .expect("packages have no folders where dpkg has its records");
                records.insert(path, record);
            }
        }
        layers.push(SelectedLayer { spec: layer, tree });
        closure = grown;
    }
    if let (Some(cache), Some(top)) = (loader_cache(stack, &image), layers.last_mut()) {
        top.tree.insert(LOADER_CACHE.clone(), cache).expect("/etc is a folder");
    }
    Selection { request, closure, layers, shrinker, image }
}

/// The loader's cache, where a library of the image is found by that alone. `ldconfig` would make it on an installation,
/// from a maintainer script.
fn loader_cache(stack: &Stack<'_>, image: &Tree) -> Option<Entry> {
    let mut libraries = ld_cache::libraries(&stack.tree);
    libraries.retain(|library| image.get(&library.path).is_some());
    let needed = libraries.iter().any(|library| library.needs_cache && stack.is_new(&library.path));
    needed.then(|| made(stack, ld_cache::write(&libraries)))
}

/// Whether a file with these very bytes is there.
fn has(tree: &Tree, path: &RootPath, bytes: &[u8]) -> bool {
    matches!(tree.get(path).map(|entry| &entry.kind), Some(Kind::File(file)) if *file.content == *bytes)
}

/// Puts everything of one tree into another.
fn add(tree: &mut Tree, new: &Tree) {
    for (path, entry) in new.iter() {
        tree.insert(path.clone(), entry.clone()).expect("both are as in the stack, where they fit");
    }
}

fn made(stack: &Stack<'_>, bytes: Vec<u8>) -> Entry {
    Entry::file(Metadata::root(0o644), bytes, stack.made_origin())
}

/// What the analyzer is asked for some of an image's layers on a tree.
fn request_for(tree: &Tree, Policy { drop, prefix, .. }: Policy<'_>, layers: &[LayerSpec]) -> Request {
    let is_there = |pattern: &Pattern| analyzer::matches(tree, &pattern.for_prefix(prefix));
    let roots = layers.iter().flat_map(|layer| {
        let roots = layer.roots.iter().filter(|root| !root.optional || is_there(&root.path));
        let roots = roots.map(|root| (root.path.for_prefix(prefix), &root.why));
        let files = layer.files.iter().filter(|file| file.needs.as_ref().is_none_or(is_there));
        roots.chain(files.map(|file| (Cow::Borrowed(file.path.as_str()), &file.why)))
    });
    let drop = drop.iter().filter(|drop| drop.shadowed_by.as_ref().is_none_or(is_there));
    Request {
        roots: roots.map(|(path, why)| analyzer::Root::pattern(&*path, why)).collect(),
        drop: drop
            .map(|drop| analyzer::Drop {
                name: drop.name.clone(),
                globs: drop.paths.iter().map(|path| path.for_prefix(prefix).into_owned()).collect(),
                reason: drop.why.clone(),
            })
            .collect(),
        ..Request::default()
    }
}

/// The closure of a request, which grows by the copyright file of each package that gave a file.
fn closure_with_licences(stack: &Stack<'_>, request: &mut Request) -> Closure {
    let mut known: BTreeSet<PackageKey> = BTreeSet::new();
    loop {
        let closure = analyzer::analyze(&stack.tree, request);
        // A licence may be a link into the documentation of another package, which then gives a file too.
        let new: Vec<PackageKey> =
            contributors(stack, &closure).into_keys().filter(|key| !known.contains(key)).cloned().collect();
        if new.is_empty() {
            return with_merged_usr(stack, closure);
        }
        for key in new {
            let path = format!("{DOCUMENTATION}/{}/copyright", key.name);
            if analyzer::matches(&stack.tree, &path) {
                let reason = format!("the licence of {}, which gave a file", key.name);
                request.roots.push(analyzer::Root::pattern(&path, reason));
                request.roots.extend(common_licences(&stack.tree, &path));
            }
            known.insert(key);
        }
    }
}

/// The texts that a copyright file refers to instead of having them itself (Debian Policy 12.5).
fn common_licences(tree: &Tree, copyright: &str) -> Vec<Root> {
    let file = RootPath::parse(copyright).ok().and_then(|path| tree.resolve(&path).ok());
    let Some(Kind::File(file)) = file.and_then(|file| tree.get(&file.path)).map(|entry| &entry.kind) else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&file.content);
    let names = text.split(COMMON_LICENCES).skip(1).map(|rest| {
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && !"-.+".contains(letter));
        rest[..end.unwrap_or(rest.len())].trim_end_matches('.')
    });
    let paths: BTreeSet<RootPath> =
        names.filter_map(|name| RootPath::parse(format!("{COMMON_LICENCES}{name}")).ok()).collect();
    let there = paths
        .into_iter()
        .filter(|path| path.name() != b"common-licenses")
        .filter(|path| tree.resolve(path).is_ok());
    let reason = |path: RootPath| Root::path(path, format!("{copyright} refers to this licence"));
    there.map(reason).collect()
}

/// Keeps the links of merged /usr: without them, a file that a later layer puts below `/lib` would make a second folder
/// beside `/usr/lib`. That of `/lib64` is kept where a loader is found through it.
fn with_merged_usr(stack: &Stack<'_>, mut closure: Closure) -> Closure {
    for link in ["/bin", "/lib", "/sbin"] {
        let because = Arc::from("merged /usr: what is put there later goes to the same place");
        for path in [link.to_owned(), format!("/usr{link}")] {
            let path = RootPath::parse(path).expect("a constant path");
            let reason = Reason { from: None, rule: "merged-usr", because: Arc::clone(&because) };
            if stack.tree.get(&path).is_some() {
                closure.entries.entry(path).or_default().push(reason);
            }
        }
    }
    closure
}

/// The packages that gave a file or a link to a closure.
pub(crate) fn contributors<'a>(
    stack: &Stack<'a>,
    closure: &Closure,
) -> BTreeMap<&'a PackageKey, &'a Package> {
    kept(stack, closure)
        .filter(|(_, entry)| !entry.is_directory())
        .filter_map(|(_, entry)| stack.package(entry))
        .map(|package| (&package.key, package))
        .collect()
}

/// The entries of a closure.
pub(crate) fn kept<'s>(
    stack: &'s Stack<'_>,
    closure: &'s Closure,
) -> impl Iterator<Item = (&'s RootPath, &'s Entry)> {
    closure.entries.keys().filter_map(|path| Some((path, stack.tree.get(path)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::BTreeMap;

    use rootfs::{Content, Kind};
    use testkit::elf::Elf;
    use testkit::tar::Tar;

    use crate::made::Facts;
    use crate::project::ImageFolder;
    use crate::stack::{Below, PackageSource};

    const IMAGE: &str = r#"
name = "tiny"
packages = []

[about]
description = ""
source = ""
licenses = ""
vendor = ""

[config]
user = "0:0"
working-directory = "/"
command = []
environment = {}

[[layers]]
name = "base"
roots = [
    { path = "/usr/bin/tool", why = "a tool" },
    { path = "/usr/bin/none", why = "not there", optional = true },
]
files = [{ path = "/etc/motd", link = "issue-{series}", why = "a link" }]

[[layers]]
name = "top"
roots = [{ path = "{prefix}/**", why = "all of it" }]

[[drop]]
name = "manuals"
paths = ["{prefix}/man"]
why = "read elsewhere"

[[drop]]
name = "old"
paths = ["/opt/old"]
shadowed-by = "{prefix}/new*"
why = "there is a newer one"
"#;

    const SUM: &str = "d41d8cd98f00b204e9800998ecf8427e";

    fn package(name: &str, files: &[(&str, &[u8])]) -> Package {
        let mut tar = Tar::new();
        let mut md5sums = String::new();
        for (path, content) in files {
            tar = match content {
                [b'-', b'>', target @ ..] => tar.symlink(path, std::str::from_utf8(target).unwrap()),
                content => tar.file(path, content),
            };
            md5sums += &[SUM, "  ", path.trim_start_matches("./"), "\n"].concat();
        }
        let key = PackageKey { name: name.into(), version: "1".into(), architecture: "amd64".into() };
        let data = Content::from(tar.finish());
        Package {
            key,
            source: PackageSource::Archive,
            control: format!("Package: {name}").into(),
            md5sums: md5sums.into(),
            records: BTreeMap::new(),
            data,
        }
    }

    fn image() -> ImageFolder {
        let folder = tempfile::tempdir().unwrap();
        let images = folder.path().join("images/tiny");
        fs_err::create_dir_all(&images).unwrap();
        fs_err::write(images.join("image.toml"), IMAGE).unwrap();
        ImageFolder::open(folder.path(), "tiny").unwrap()
    }

    /// The files and links of each layer, with what they hold where that is text.
    fn layers(packages: &[Package]) -> BTreeMap<String, Vec<String>> {
        let image = image();
        let spec = &image.spec;
        let facts = Facts { series: "9.9".to_owned(), prefix: "/opt".to_owned(), apt_sources: String::new() };
        let stack = Stack::new(
            packages,
            Below::default(),
            Tree::new(),
            &image,
            spec.layers.iter().flat_map(|layer| &layer.files),
            &facts,
        )
        .unwrap();
        let drop: Vec<&Drop> = spec.drop.iter().collect();
        let policy =
            Policy { layers: &spec.layers, drop: &drop, shrink: &spec.shrink, prefix: &facts.prefix };
        let selection = select(&stack, policy);
        let listed = |(path, entry): (&RootPath, &Entry)| match &entry.kind {
            Kind::Directory => None,
            Kind::Symlink(target) => Some(format!("{path} -> {}", String::from_utf8_lossy(target))),
            Kind::File(file) => {
                Some(format!("{path} {:?}", std::str::from_utf8(&file.content).unwrap_or("binary")))
            }
        };
        let files = |layer: &SelectedLayer<'_>| layer.tree.iter().filter_map(listed).collect();
        selection.layers.iter().map(|layer| (layer.spec.name.clone(), files(layer))).collect()
    }

    #[test]
    fn a_layer_has_its_closure_less_the_lower_ones_and_the_records_of_its_packages() {
        let packages = [
            package(
                "app",
                &[
                    ("./opt/app", b"#!/usr/bin/tool\n"),
                    ("./opt/man/app.1", b"manual"),
                    ("./usr/share/doc/app", b"->tool"),
                    ("./etc/motd", b"not as it is in the image"),
                    ("./unused", b""),
                ],
            ),
            package("tool", &[("./bin/tool", b"tool"), ("./usr/share/doc/tool/copyright", b"free")]),
            package("unused", &[("./usr/bin/other", b"")]),
        ];
        let layers = layers(&packages);
        insta::assert_snapshot!(layers["base"].join("\n"), @r#"
        /bin -> usr/bin
        /etc/motd -> issue-9.9
        /lib -> usr/lib
        /sbin -> usr/sbin
        /usr/bin/tool "tool"
        /usr/share/doc/tool/copyright "free"
        /var/lib/dpkg/status.d/tool "Package: tool\n"
        /var/lib/dpkg/status.d/tool.md5sums "d41d8cd98f00b204e9800998ecf8427e  bin/tool\nd41d8cd98f00b204e9800998ecf8427e  usr/share/doc/tool/copyright\n"
        "#);
        insta::assert_snapshot!(layers["top"].join("\n"), @r##"
        /opt/app "#!/usr/bin/tool\n"
        /usr/share/doc/app -> tool
        /var/lib/dpkg/status.d/app "Package: app\n"
        /var/lib/dpkg/status.d/app.md5sums "d41d8cd98f00b204e9800998ecf8427e  opt/app\n"
        "##);
    }

    #[test]
    fn a_drop_that_is_shadowed_by_something_needs_it_to_be_there() {
        let old = ("./opt/old", b"old".as_slice());
        let new = ("./opt/new-2", b"new".as_slice());
        let tool = ("./usr/bin/tool", b"tool".as_slice());
        let has_old = |files: &[(&str, &[u8])]| {
            layers(&[package("app", files)])["top"].iter().any(|file| file.starts_with("/opt/old"))
        };
        assert!(has_old(&[tool, old]));
        assert!(!has_old(&[tool, old, new]));
    }

    #[test]
    fn the_loader_gets_a_cache_where_it_finds_a_library_by_that_alone() {
        let library = Elf::library("libx.so.1").build();
        let program = Elf::program().interpreter("/opt/ld.so").needs("libx.so.1").build();
        let loader = Elf::library("ld.so").payload(b"/usr/lib/\0/lib/\0").build();
        let with = |folder: &str| {
            let path = format!("./{folder}/libx.so.1");
            let files: [(&str, &[u8]); 5] = [
                ("./etc/ld.so.conf", b"/usr/local/lib\n"),
                ("./opt/ld.so", &loader),
                ("./opt/program", &program),
                ("./usr/bin/tool", b"tool"),
                (&path, &library),
            ];
            layers(&[package("app", &files)])["top"].iter().any(|file| file.starts_with("/etc/ld.so.cache"))
        };
        assert!(with("usr/local/lib"));
        assert!(!with("usr/lib"));
    }
}

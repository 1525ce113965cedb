//! The engine as a whole: roots, drops, folders, and what holds for every tree.

use proptest::prelude::*;
use rootfs::{Entry, LiveRoot, Metadata, Origin, RootPath, Tree};
use testkit::elf::Elf;

use super::*;
use crate::fixture::{RBCONFIG, closure_of, listing, path, tree};
use crate::request::{Drop, Reach};

fn request(roots: &[&str], drops: &[(&str, &str)]) -> Request {
    let drop = |(name, glob): &(&str, &str)| Drop {
        name: (*name).into(),
        globs: vec![(*glob).into()],
        reason: String::new(),
    };
    let roots = roots.iter().map(|pattern| Root::pattern(*pattern, "wanted")).collect();
    Request { roots, drop: drops.iter().map(drop).collect(), ..Request::default() }
}

#[test]
fn roots_are_paths_folders_and_globs() {
    let tree = tree(&[
        ("/bin", "-> usr/bin"),
        ("/usr/bin/ruby", ""),
        ("/usr/bin/irb", ""),
        ("/usr/share/a/b", ""),
        ("/tmp/", ""),
        ("/dangling", "-> none"),
    ]);
    for (roots, wanted) in [
        (
            &["/usr/bin/ruby"][..],
            &["/usr: folder of /usr/bin", "/usr/bin: folder of /usr/bin/ruby", "/usr/bin/ruby: root: wanted"]
                [..],
        ),
        (&["/tmp"], &["/tmp: root: wanted"]),
        (
            &["/usr/share"],
            &[
                "/usr: folder of /usr/share",
                "/usr/share: root: wanted",
                "/usr/share/a: root: wanted",
                "/usr/share/a/b: root: wanted",
            ],
        ),
        (
            &["/usr/sh*/a/?"],
            &[
                "/usr: folder of /usr/share",
                "/usr/share: folder of /usr/share/a",
                "/usr/share/a: folder of /usr/share/a/b",
                "/usr/share/a/b: root: wanted",
            ],
        ),
        (
            &["/bin/irb"],
            &[
                "/bin: root: wanted",
                "/usr: folder of /usr/bin",
                "/usr/bin: link target of /bin",
                "/usr/bin/irb: root: wanted",
            ],
        ),
        (&["/none"], &["! nothing that is kept matches the root `/none`"]),
        (&["/none/*"], &["! nothing that is kept matches the root `/none/*`"]),
        (&["/["], &["! `/[` is no pattern: unclosed character class; missing ']'"]),
        (&["/dang*"], &["/dangling: root: wanted", "! /dangling: cannot find none, its link target"]),
    ] {
        assert_eq!(closure_of(&tree, roots), wanted, "{roots:?}");
    }
}

#[test]
fn a_closure_of_what_is_loaded_has_nothing_that_is_opened() {
    let libssl = Elf::library("libssl.so.3").build();
    let tree = tree(&[
        ("/app/run", b"#!/app/client\n".to_vec()),
        ("/app/client", Elf::dynamic().needs("libssl.so.3").build()),
        ("/lib/libssl.so.3", b"-> libssl.so.3.0".to_vec()),
        ("/lib/libssl.so.3.0", libssl),
        ("/etc/ssl/certs/ca-certificates.crt", Vec::new()),
    ]);
    let paths = |reach| {
        let closure = analyze(&tree, &Request { reach, ..request(&["/app/run"], &[]) });
        assert_eq!(closure.findings, []);
        closure.entries.keys().map(ToString::to_string).collect::<Vec<_>>()
    };
    let loaded = ["/app", "/app/client", "/app/run", "/lib", "/lib/libssl.so.3", "/lib/libssl.so.3.0"];
    assert_eq!(paths(Reach::Loaded), loaded);
    assert!(paths(Reach::Everything).contains(&"/etc/ssl/certs/ca-certificates.crt".to_owned()));
}

#[test]
fn roots_are_programs_by_name_and_paths_as_they_are() {
    let mut tree = tree(&[
        ("/bin/ruby", "-> ../opt/ruby"),
        ("/opt/ruby", ""),
        ("/usr/bin/ruby/", ""),
        ("/w*/[x]", ""),
        ("/w*/link", "-> none"),
        ("/wide/x", ""),
    ]);
    let not_executable = Entry::file(Metadata::root(0o644), Vec::new(), Origin::default());
    tree.insert(path("/usr/local/bin/ruby"), not_executable).unwrap();
    let found = |wanted: Wanted, search_path: Option<&[&str]>| {
        let mut request =
            Request { roots: vec![Root { wanted, reason: "wanted".into() }], ..Request::default() };
        if let Some(folders) = search_path {
            request.search_path = folders.iter().map(|folder| path(folder)).collect();
        }
        let closure = analyze(&tree, &request);
        let paths = closure.entries.keys().map(ToString::to_string);
        paths.chain(closure.findings.iter().map(|finding| format!("! {finding}"))).collect::<Vec<_>>()
    };
    let program = || Wanted::Pattern("ruby".into());
    assert_eq!(found(program(), None), ["/bin", "/bin/ruby", "/opt", "/opt/ruby"]);
    assert_eq!(found(program(), Some(&["/none", "/opt"])), ["/opt", "/opt/ruby"]);
    assert_eq!(found(program(), Some(&[])), ["! cannot find the program ruby"]);
    let all = ["/w*", "/w*/[x]", "/w*/link", "! /w*/link: cannot find none, its link target"];
    assert_eq!(found(Wanted::Path(path("/w*")), None), all);
    assert_eq!(found(Wanted::Path(path("/w*/[x]")), None), ["/w*", "/w*/[x]"]);
    assert_eq!(found(Wanted::Alone(path("/w*")), None), ["/w*"]);
    assert_eq!(found(Wanted::Alone(path("/bin/ruby")), None), ["/bin", "/bin/ruby", "/opt", "/opt/ruby"]);
    for missing in [Wanted::Alone(path("/wi*")), Wanted::Path(path("/wi*"))] {
        assert_eq!(found(missing, None), ["! nothing that is kept matches the root `/wi*`"]);
    }
}

#[test]
fn drops_take_paths_with_all_below_and_what_only_they_need() {
    let tree = tree(&[
        ("/app/run", "#!/lib/interpreter\n"),
        ("/app/doc/guide", "#!/lib/reader\n"),
        ("/app/link", "-> doc/guide"),
        ("/lib/interpreter", ""),
        ("/lib/reader", ""),
    ]);
    let closure = analyze(&tree, &request(&["/app"], &[("none", "/none"), ("docs", "/app/doc")]));
    assert_eq!(
        listing(&closure),
        [
            "/app: root: wanted",
            "/app/link: root: wanted",
            "/app/run: root: wanted",
            "/lib: folder of /lib/interpreter",
            "/lib/interpreter: shebang of /app/run",
            "! /app/link: needs /app/doc/guide (link target), which `docs` drops",
        ]
    );
    let dropped: Vec<_> = closure.dropped.into_iter().map(|(path, by)| (path.to_string(), by)).collect();
    assert_eq!(dropped, [("/app/doc".to_owned(), 1), ("/app/doc/guide".to_owned(), 1)]);
}

#[test]
fn a_root_must_not_be_dropped_whole() {
    let tree = tree(&[("/a", ""), ("/b", "")]);
    let drops = [("all", "/?")];
    let written = analyze(&tree, &request(&["/a"], &drops));
    assert_eq!(listing(&written), ["! needs /a (wanted), which `all` drops"]);
    let glob = analyze(&tree, &request(&["/*"], &drops));
    assert_eq!(listing(&glob), ["! nothing that is kept matches the root `/*`"]);
    assert_eq!(glob.dropped.len(), 2);
}

#[test]
fn a_drop_that_is_no_glob_is_a_finding() {
    let closure = analyze(&tree(&[("/a", "")]), &request(&["/a"], &[("bad", "/x[")]));
    assert!(closure.findings[0].to_string().starts_with("`/x[` is no pattern: "));
    assert_eq!(closure.entries.len(), 1);
}

#[test]
fn names_that_are_no_text_are_paths_too() {
    let mut tree = Tree::new();
    let name = RootPath::parse(b"/d/\xff").unwrap();
    tree.insert(name.clone(), Entry::symlink(b"\xfe", Origin::default())).unwrap();
    let closure = analyze(&tree, &request(&["/d/*"], &[]));
    assert!(closure.entries.contains_key(&name));
    assert_eq!(closure.findings[0].key(), "not-found:/d/\\xff:\\xfe");
}

#[test]
fn the_number_of_threads_makes_no_difference() {
    let mut tree = Tree::new();
    for number in 0..500 {
        let script = Entry::file(
            Metadata::root(0o755),
            format!("#!/bin/i{}\n", number % 7).into_bytes(),
            Origin::default(),
        );
        tree.insert(path(&format!("/app/{number}")), script).unwrap();
        let object = Elf::dynamic().needs(&format!("lib{}.so", number % 11)).build();
        tree.insert(
            path(&format!("/lib/lib{number}.so")),
            Entry::file(Metadata::root(0o644), object, Origin::default()),
        )
        .unwrap();
        tree.insert(
            path(&format!("/bin/i{number}")),
            Entry::symlink(format!("../lib/lib{number}.so"), Origin::default()),
        )
        .unwrap();
    }
    let analyze_with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| analyze(&tree, &request(&["/app", "/lib/lib4*.so"], &[("some", "/lib/lib3.so")])))
    };
    let one = analyze_with(1);
    assert!(one.entries.len() > 500 && !one.findings.is_empty());
    assert_eq!(analyze_with(8), one);
}

/// What files of random trees hold: enough for every rule to meet every other.
fn contents() -> Vec<Vec<u8>> {
    let library = |name: &str| Elf::library(name).needs("liba.so").runpath("$ORIGIN").build();
    let mut contents = vec![
        b"text".to_vec(),
        b"#!/a/b\n".to_vec(),
        b"#!/usr/bin/env ruby\n".to_vec(),
        Elf::program().needs("liba.so").needs("b").rpath("/a:/b").build(),
        library("liba.so"),
        library("libc.so.6"),
        Elf::library("libcrypto.so.3").payload("OPENSSLDIR: \"/a\"MODULESDIR: \"/b\"").build(),
        b"CONFIG[\"ruby_version\"] = \"1\"\nCONFIG[\"rubyarchdir\"] = \"/a\"\n".to_vec(),
        b"/a\ninclude /b/*\n".to_vec(),
    ];
    contents.push(contents[3][..70].to_vec());
    contents
}

fn random_tree() -> impl Strategy<Value = Tree> {
    let name = || {
        prop::sample::select(vec![
            "a",
            "b",
            "liba.so",
            "env",
            "ruby",
            "rbconfig.rb",
            "lib",
            "usr",
            "bin",
            "etc",
        ])
    };
    let place = prop::collection::vec(name(), 1..4);
    let target = prop::collection::vec(prop_oneof![name(), Just("..")], 1..4);
    let kind = prop_oneof![
        4 => prop::sample::select(contents()).prop_map(|content| Entry::file(Metadata::root(0o755), content, Origin::default())),
        2 => (target, any::<bool>()).prop_map(|(names, absolute)| {
            let slash = if absolute { "/" } else { "" };
            Entry::symlink(format!("{slash}{}", names.join("/")), Origin::default())
        }),
        1 => Just(Entry::directory(Metadata::root(0o755), Origin::default())),
    ];
    prop::collection::vec((place, kind), 0..25).prop_map(|entries| {
        let mut tree = Tree::new();
        for (names, entry) in entries {
            // What cannot stand where it should is left out.
            let _ = tree.insert(path(&names.join("/")), entry);
        }
        tree
    })
}

proptest! {
    #[test]
    fn every_kept_path_is_real_and_has_a_chain_to_a_root(tree in random_tree()) {
        let closure = analyze(&tree, &request(&["/a", "/usr/*", "/**/ruby"], &[("b", "/a/b")]));
        for at in closure.entries.keys() {
            prop_assert!(tree.get(at).is_some());
            let chain = closure.chain(at);
            let last = chain.as_ref().and_then(|steps| steps.last());
            prop_assert!(last.is_some_and(|step| step.reason.from.is_none()), "{at}: {chain:?}");
            prop_assert!(at.parent().is_none_or(|folder| folder.is_root() || closure.entries.contains_key(&folder)));
            prop_assert!(!closure.dropped.contains_key(at));
        }
    }

    #[test]
    fn the_kept_tree_gives_the_same_closure(tree in random_tree()) {
        let request = request(&["/a", "/usr/*", "/bin"], &[("b", "/a/b")]);
        let closure = analyze(&tree, &request);
        let kept = tree.select(closure.entries.keys().cloned());
        let again = analyze(&kept, &request);
        let paths = |closure: &Closure| closure.entries.keys().cloned().collect::<Vec<_>>();
        prop_assert_eq!(paths(&again), paths(&closure));
        if closure.findings.is_empty() {
            prop_assert_eq!(listing(&again), listing(&closure));
        }
    }
}

#[test]
fn a_root_on_a_disk_gives_the_closure_of_the_same_root_in_memory() {
    let mut tree = tree(&[
        ("/bin", "-> usr/bin"),
        ("/usr/bin/script", "#!/bin/interpreter\n"),
        ("/usr/bin/interpreter", "-> ../lib/real"),
        ("/usr/lib/ruby/3.3.0/rbconfig.rb", RBCONFIG.1),
    ]);
    let program = Elf::program().needs("liba.so.1").needs("libnone.so").build();
    for (at, content) in [("/usr/lib/real", program), ("/lib/liba.so.1", Elf::library("liba.so.1").build())] {
        let file = Entry::file(Metadata::root(0o755), content, Origin::default());
        tree.insert(path(at), file).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    rootfs::write_directory(&tree, folder.path(), rootfs::Ownership::Ignore).unwrap();
    let request = request(&["script", "/lib/*", "/usr/**/rbconfig.rb"], &[]);
    let live = analyze(&LiveRoot::open(folder.path()).unwrap(), &request);
    assert_eq!(live, analyze(&tree, &request));
    assert!(live.entries.len() > 8 && !live.findings.is_empty());
}

#[test]
fn what_cannot_be_read_is_a_finding() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b", "other"] {
        fs_err::write(folder.path().join(name), "").unwrap();
    }
    let live = LiveRoot::open(folder.path()).unwrap();
    // What was seen there is another file than what is read then.
    assert!(live.get(&path("/a")).is_some());
    fs_err::rename(folder.path().join("other"), folder.path().join("a")).unwrap();
    let found = listing(&analyze(&live, &request(&["/a", "/b"], &[])));
    assert_eq!(found[..2], ["/a: root: wanted", "/b: root: wanted"]);
    assert!(found[2].starts_with("! /a: cannot be read: "), "{found:?}");
    assert_eq!(found.len(), 3);
}

//! Each test builds a tree of small ELF objects and says what the loader of that tree would find.

use rootfs::Tree;
use testkit::elf::{AARCH64, Class, Elf, I386, NODEFLIB, Order};

use crate::fixture::{closure_of, path, tree};
use crate::{Closure, Drop, Request, Root, analyze};

const FREEBSD: u8 = 9;

fn program() -> Vec<u8> {
    Elf::program().needs("liba.so.1").build()
}

pub(super) fn library(name: &str) -> Vec<u8> {
    Elf::library(name).build()
}

/// What the rule says of a tree whose root is `/bin/p`, but for the reason of the program itself and for folders.
pub(super) fn needs(tree: &Tree) -> Vec<String> {
    let is_other = |line: &String| !line.ends_with("root: wanted") && !line.contains(": folder of ");
    closure_of(tree, &["/bin/p"]).into_iter().filter(is_other).collect()
}

/// A tree with a program at `/bin/p`, its loader, and these.
pub(super) fn with_program(program: Vec<u8>, rest: &[(&str, Vec<u8>)]) -> Tree {
    let loader = ("/lib64/ld-linux-x86-64.so.2", Elf::dynamic().build());
    tree(&[&[("/bin/p", program), loader], rest].concat())
}

pub(super) const LOADER: &str = "/lib64/ld-linux-x86-64.so.2: interpreter of /bin/p";

#[test]
fn a_program_brings_its_loader_and_its_libraries_with_their_links() {
    let tree = with_program(
        program(),
        &[
            ("/lib", b"-> usr/lib".to_vec()),
            ("/usr/lib/x86_64-linux-gnu/liba.so.1", b"-> liba.so.1.2".to_vec()),
            ("/usr/lib/x86_64-linux-gnu/liba.so.1.2", Elf::library("liba.so.1").needs("libb.so.2").build()),
            (
                "/usr/lib/x86_64-linux-gnu/libb.so.2",
                Elf::library("libb.so.2").needs("ld-linux-x86-64.so.2").build(),
            ),
            ("/usr/lib/x86_64-linux-gnu/libc.so.3", library("libc.so.3")),
        ],
    );
    assert_eq!(
        needs(&tree),
        [
            "/lib: NEEDED liba.so.1 of /bin/p",
            LOADER,
            "/lib64/ld-linux-x86-64.so.2: NEEDED ld-linux-x86-64.so.2 of /usr/lib/x86_64-linux-gnu/libb.so.2",
            "/usr/lib: link target of /lib",
            "/usr/lib/x86_64-linux-gnu/liba.so.1: NEEDED liba.so.1 of /bin/p",
            "/usr/lib/x86_64-linux-gnu/liba.so.1.2: NEEDED liba.so.1 of /bin/p",
            "/usr/lib/x86_64-linux-gnu/liba.so.1.2: link target of /usr/lib/x86_64-linux-gnu/liba.so.1",
            "/usr/lib/x86_64-linux-gnu/libb.so.2: NEEDED libb.so.2 of /usr/lib/x86_64-linux-gnu/liba.so.1.2",
        ]
    );
}

#[test]
fn where_a_library_is_found() {
    let needing = |elf: Elf| elf.needs("liba.so.1").build();
    let program = || Elf::program();
    let cases: &[(&str, Vec<u8>, Option<&str>)] = &[
        ("multiarch folders come before others", needing(program()), Some("/lib/x86_64-linux-gnu")),
        ("an RPATH comes first", needing(program().rpath("/none:/opt/a")), Some("/opt/a")),
        ("a RUNPATH comes first", needing(program().runpath("/opt/a")), Some("/opt/a")),
        (
            "a RUNPATH overrules an RPATH",
            needing(program().rpath("/opt/a").runpath("/opt/b")),
            Some("/opt/b"),
        ),
        (
            "$ORIGIN is the folder of the object",
            needing(program().runpath("$ORIGIN/../opt/b")),
            Some("/opt/b"),
        ),
        ("tokens in braces", needing(program().runpath("${ORIGIN}/lib:/opt/b")), Some("/bin/lib")),
        ("$LIB", needing(program().runpath("/opt/$LIB")), Some("/opt/lib/x86_64-linux-gnu")),
        ("$PLATFORM", needing(program().runpath("/opt/$PLATFORM")), Some("/opt/x86_64")),
        (
            "a name that only starts like a token",
            needing(program().runpath("/opt/$LIBS")),
            Some("/opt/$LIBS"),
        ),
        (
            "relative folders are passed over",
            needing(program().runpath("opt/a::.")),
            Some("/lib/x86_64-linux-gnu"),
        ),
        ("NODEFLIB", needing(program().flags_1(NODEFLIB)), None),
        ("NODEFLIB and a RUNPATH", needing(program().flags_1(NODEFLIB).runpath("/opt/a")), Some("/opt/a")),
        ("a name with a slash is a path", program().needs("/opt/a/liba.so.1").build(), Some("/opt/a")),
        ("a relative path depends on the start", program().needs("opt/a/liba.so.1").build(), None),
    ];
    let folders = [
        "/opt/a",
        "/opt/b",
        "/bin/lib",
        "/opt/lib/x86_64-linux-gnu",
        "/opt/x86_64",
        "/opt/$LIBS",
        "/lib",
        "/lib/x86_64-linux-gnu",
    ];
    let places: Vec<String> = folders.iter().map(|folder| format!("{folder}/liba.so.1")).collect();
    let libraries: Vec<_> = places.iter().map(|place| (place.as_str(), library("liba.so.1"))).collect();
    for (what, program, wanted) in cases {
        let found = needs(&with_program(program.clone(), &libraries));
        let found =
            found.iter().find_map(|line| line.split_once("/liba.so.1: NEEDED ")).map(|(folder, _)| folder);
        assert_eq!(found, *wanted, "{what}");
    }
}

#[test]
fn an_rpath_serves_what_the_object_loads_and_a_runpath_does_not() {
    let chain = |program: Elf, middle: Elf| {
        let tree = with_program(
            program.needs("libm.so.1").build(),
            &[
                ("/opt/libm.so.1", middle.needs("liba.so.1").build()),
                ("/opt/liba.so.1", library("liba.so.1")),
            ],
        );
        needs(&tree).iter().any(|line| line.starts_with("/opt/liba.so.1: "))
    };
    let middle = || Elf::library("libm.so.1");
    assert!(chain(Elf::program().rpath("/opt"), middle()));
    assert!(!chain(Elf::program().runpath("/opt"), middle()));
    assert!(
        !chain(Elf::program().rpath("/opt"), middle().runpath("/none")),
        "a RUNPATH shuts the RPATHs above out"
    );
    assert!(
        !chain(Elf::program().rpath("/opt").runpath("/opt"), middle()),
        "an RPATH beside a RUNPATH is ignored"
    );
    assert!(chain(Elf::program().runpath("/opt"), middle().rpath("/opt")));
}

#[test]
fn a_link_to_a_library_stands_for_no_object_of_its_own() {
    let tree = with_program(
        Elf::program().rpath("/opt").needs("libm.so.1").build(),
        &[
            ("/opt/libm.so.1", b"-> libm.so.1.2".to_vec()),
            ("/opt/libm.so.1.2", Elf::library("libm.so.1").needs("liba.so.1").build()),
            ("/opt/liba.so.1", library("liba.so.1")),
        ],
    );
    assert!(!needs(&tree).iter().any(|line| line.starts_with("! ")));
    // Where a root asks for the link itself, the object is looked at for itself.
    let finding = "! /opt/libm.so.1.2: cannot find the library liba.so.1";
    for root in ["/opt/libm.so.1", "/opt/libm.so.1.2"] {
        assert_eq!(closure_of(&tree, &["/bin/p", root]).last().map(String::as_str), Some(finding));
    }
}

#[test]
fn a_library_that_is_loaded_serves_later_needs_of_its_soname() {
    let program = Elf::program().needs("/opt/first-1.2.so").needs("libsecond.so").build();
    let tree = with_program(
        program,
        &[
            ("/opt/first-1.2.so", library("libfirst.so.1")),
            ("/lib/libsecond.so", Elf::library("libsecond.so").needs("libfirst.so.1").build()),
        ],
    );
    assert_eq!(
        needs(&tree),
        [
            "/lib/libsecond.so: NEEDED libsecond.so of /bin/p",
            LOADER,
            "/opt/first-1.2.so: NEEDED /opt/first-1.2.so of /bin/p",
            "/opt/first-1.2.so: NEEDED libfirst.so.1 of /lib/libsecond.so",
        ]
    );
}

#[test]
fn folders_of_ld_so_conf_bring_the_files_that_name_them() {
    let conf = [
        ("/etc/ld.so.conf", b"include ld.so.conf.d/*.conf\n".to_vec()),
        ("/etc/ld.so.conf.d/local.conf", b"/usr/local/lib\n/usr/lib\ninclude /etc/ld.so.conf\n".to_vec()),
        ("/etc/ld.so.conf.d/other", b"/opt\n".to_vec()),
        ("/opt/liba.so.1", library("liba.so.1")),
    ];
    let by_configuration = [&conf[..], &[("/usr/local/lib/liba.so.1", library("liba.so.1"))]].concat();
    assert_eq!(
        needs(&with_program(program(), &by_configuration)),
        [
            "/etc/ld.so.conf: NEEDED liba.so.1 of /bin/p",
            "/etc/ld.so.conf.d/local.conf: NEEDED liba.so.1 of /bin/p",
            LOADER,
            "/usr/local/lib/liba.so.1: NEEDED liba.so.1 of /bin/p",
        ]
    );
    let built_in = [&conf[..], &[("/usr/lib/liba.so.1", library("liba.so.1"))]].concat();
    assert_eq!(
        needs(&with_program(program(), &built_in)),
        [LOADER, "/usr/lib/liba.so.1: NEEDED liba.so.1 of /bin/p"]
    );
}

#[test]
fn the_loader_of_the_tree_says_which_folders_are_built_in() {
    let loader = Elf::dynamic().payload("text\0/lib64/\0/usr/lib64/\0more\0").build();
    let at = |folder: &str| {
        let library = (format!("{folder}/liba.so.1"), library("liba.so.1"));
        let tree = tree(&[
            ("/bin/p", program()),
            ("/lib64/ld-linux-x86-64.so.2", loader.clone()),
            (&library.0, library.1),
        ]);
        needs(&tree).last().cloned().unwrap()
    };
    assert_eq!(at("/usr/lib64"), "/usr/lib64/liba.so.1: NEEDED liba.so.1 of /bin/p");
    assert_eq!(at("/usr/lib"), "! /bin/p: cannot find the library liba.so.1");
}

/// A tree with a program at `/bin/p`, a loader with these texts in it, and these.
fn with_loader(texts: &str, rest: &[(&str, Vec<u8>)]) -> Tree {
    let loader = ("/lib64/ld-linux-x86-64.so.2", Elf::dynamic().payload(texts).build());
    tree(&[&[("/bin/p", program()), loader], rest].concat())
}

const HWCAPS: &str = "\0x86-64-v4:x86-64-v3:x86-64-v2\0 release version 2.41.";

#[test]
fn copies_for_newer_processors_come_beside_the_baseline() {
    let copy = |needed: &str| Elf::library("liba.so.1").needs(needed).build();
    let v3 = ("/lib/glibc-hwcaps/x86-64-v3/liba.so.1", copy("libv3.so"));
    let libraries = [
        v3.clone(),
        ("/lib/glibc-hwcaps/x86-64-v2/liba.so.1", b"no library".to_vec()),
        ("/lib/libv3.so", library("libv3.so")),
    ];
    let with_baseline = [&libraries[..], &[("/lib/liba.so.1", library("liba.so.1"))]].concat();
    assert_eq!(
        needs(&with_loader(HWCAPS, &with_baseline)),
        [
            "/lib/glibc-hwcaps/x86-64-v3/liba.so.1: NEEDED liba.so.1 of /bin/p",
            "/lib/liba.so.1: NEEDED liba.so.1 of /bin/p",
            "/lib/libv3.so: NEEDED libv3.so of /lib/glibc-hwcaps/x86-64-v3/liba.so.1",
            LOADER,
        ]
    );
    assert_eq!(
        needs(&with_loader(HWCAPS, &libraries)),
        [LOADER, "! /bin/p: cannot find the library liba.so.1"],
        "a copy that only newer processors can run is not enough"
    );
}

#[test]
fn which_copies_a_loader_knows() {
    let folders =
        ["glibc-hwcaps/x86-64-v3", "glibc-hwcaps/x86-64-v9", "glibc-hwcaps/power9", "haswell", "other"];
    let found = |texts: &str| {
        let paths: Vec<_> = folders.iter().map(|folder| format!("/lib/{folder}/liba.so.1")).collect();
        let copies = paths.iter().map(|path| (path.as_str(), library("liba.so.1")));
        let files: Vec<_> = copies.chain([("/lib/liba.so.1", library("liba.so.1"))]).collect();
        let lines = needs(&with_loader(texts, &files));
        let name = |line: String| Some(line.strip_prefix("/lib/")?.split_once("/liba.so.1: ")?.0.to_owned());
        lines.into_iter().filter_map(name).collect::<Vec<_>>()
    };
    assert_eq!(found(HWCAPS), ["glibc-hwcaps/x86-64-v3"]);
    assert_eq!(found("\0x86-64-v9:x86-64-v2\0 release version 2.50."), ["glibc-hwcaps/x86-64-v9"]);
    assert_eq!(
        found("\0x86-64-v3:x86-64-v2\0 release version 2.36."),
        ["glibc-hwcaps/x86-64-v3", "haswell"],
        "a loader that also searches the older folders"
    );
    assert_eq!(found(""), ["haswell"], "a loader before 2.33");
}

#[test]
fn an_older_folder_that_serves_every_processor_holds_the_baseline() {
    let files = ["tls/haswell", "tls/x86_64", "x86_64", "."].map(|folder| format!("/lib/{folder}/liba.so.1"));
    let files: Vec<_> = files.iter().map(|path| (path.as_str(), library("liba.so.1"))).collect();
    assert_eq!(
        needs(&with_loader("", &files)),
        [
            "/lib/tls/haswell/liba.so.1: NEEDED liba.so.1 of /bin/p",
            "/lib/tls/x86_64/liba.so.1: NEEDED liba.so.1 of /bin/p",
            LOADER,
        ]
    );
}

#[test]
fn copies_lie_in_other_folders_than_the_baseline() {
    let copy = |folder: &str| (format!("{folder}/glibc-hwcaps/x86-64-v3/liba.so.1"), library("liba.so.1"));
    let copies = [copy("/opt"), copy("/lib"), copy("/usr/lib")];
    let copies = copies.iter().map(|(path, bytes)| (path.as_str(), bytes.clone()));
    let own = ("/bin/p", Elf::program().runpath("/opt").needs("liba.so.1").build());
    let loader = ("/lib64/ld-linux-x86-64.so.2", Elf::dynamic().payload(HWCAPS).build());
    let files: Vec<_> = copies.chain([own, loader, ("/lib/liba.so.1", library("liba.so.1"))]).collect();
    assert_eq!(
        needs(&tree(&files)),
        [
            "/lib/glibc-hwcaps/x86-64-v3/liba.so.1: NEEDED liba.so.1 of /bin/p",
            "/lib/liba.so.1: NEEDED liba.so.1 of /bin/p",
            LOADER,
            "/opt/glibc-hwcaps/x86-64-v3/liba.so.1: NEEDED liba.so.1 of /bin/p",
            "/usr/lib/glibc-hwcaps/x86-64-v3/liba.so.1: NEEDED liba.so.1 of /bin/p",
        ]
    );
}

#[test]
fn a_platform_has_copies_too() {
    let program = Elf::program().runpath("/opt/$PLATFORM").needs("liba.so.1").build();
    let at = |platform: &str| (format!("/opt/{platform}/liba.so.1"), library("liba.so.1"));
    let found = |platforms: &[&str]| {
        let files: Vec<_> = platforms.iter().map(|platform| at(platform)).collect();
        let files: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), bytes.clone())).collect();
        needs(&with_program(program.clone(), &files))
    };
    assert_eq!(
        found(&["haswell", "x86_64", "i686"]),
        [
            LOADER,
            "/opt/haswell/liba.so.1: NEEDED liba.so.1 of /bin/p",
            "/opt/x86_64/liba.so.1: NEEDED liba.so.1 of /bin/p",
        ]
    );
    assert_eq!(found(&["haswell"]), [LOADER, "! /bin/p: cannot find the library liba.so.1"]);
}

#[test]
fn the_origin_of_a_library_is_the_folder_of_the_name_it_is_found_by() {
    let tree = with_program(
        program(),
        &[
            ("/lib/liba.so.1", b"-> /opt/a/liba.so.1.2".to_vec()),
            (
                "/opt/a/liba.so.1.2",
                Elf::library("liba.so.1").runpath("$ORIGIN/sub").needs("libb.so.1").build(),
            ),
            ("/opt/a/sub/libb.so.1", library("libb.so.1")),
            ("/lib/sub/libb.so.1", library("libb.so.1")),
        ],
    );
    let found = needs(&tree);
    assert!(
        found.contains(&"/lib/sub/libb.so.1: NEEDED libb.so.1 of /opt/a/liba.so.1.2".to_owned()),
        "{found:?}"
    );
}

#[test]
fn a_needed_name_may_have_tokens() {
    let program = Elf::program().needs("$ORIGIN/../opt/liba.so.1").needs("liba.so.1").build();
    let files = [("/opt/liba.so.1", library("liba.so.1")), ("/lib/liba.so.1", library("liba.so.1"))];
    assert_eq!(
        needs(&with_program(program, &files)),
        [
            "/bin: NEEDED $ORIGIN/../opt/liba.so.1 of /bin/p",
            "/bin: NEEDED liba.so.1 of /bin/p",
            LOADER,
            "/opt/liba.so.1: NEEDED $ORIGIN/../opt/liba.so.1 of /bin/p",
            "/opt/liba.so.1: NEEDED liba.so.1 of /bin/p",
        ]
    );
}

#[test]
fn an_object_serves_needs_of_its_own_soname() {
    let circle = Elf::library("libp.so.1").runpath("/opt").needs("libq.so.1").build();
    let back = Elf::library("libq.so.1").needs("libp.so.1").build();
    assert_eq!(
        needs(&tree(&[("/bin/p", circle), ("/opt/libq.so.1", back)])),
        ["/bin/p: NEEDED libp.so.1 of /opt/libq.so.1", "/opt/libq.so.1: NEEDED libq.so.1 of /bin/p"]
    );
}

#[test]
fn what_ldconfig_passes_over_is_not_found_by_configuration() {
    let conf = ("/etc/ld.so.conf", b"/opt\n".to_vec());
    let found = |name: &str, files: &[(&str, Vec<u8>)]| {
        let program = Elf::program().needs(name).build();
        let lines = needs(&with_program(program, &[std::slice::from_ref(&conf), files].concat()));
        lines.into_iter().filter(|line| !line.starts_with("/etc") && line != LOADER).collect::<Vec<_>>()
    };
    let text = || ("/opt/liba.so.1", b"INPUT(liba)".to_vec());
    let good = ("/lib/liba.so.1", library("liba.so.1"));
    assert_eq!(found("liba.so.1", &[text(), good]), ["/lib/liba.so.1: NEEDED liba.so.1 of /bin/p"]);
    assert_eq!(
        found("liba.so.1", &[text()]),
        ["! /bin/p: cannot load the library liba.so.1: /opt/liba.so.1 comes first and is no shared object"]
    );
    // Only the name that is listed leads to a file of another name.
    let other = ("/opt/liba.so.1", library("libb.so.1"));
    assert_eq!(found("liba.so.1", &[other]), ["! /bin/p: cannot find the library liba.so.1"]);
    let link = [("/opt/liba.so", b"-> liba.so.1".to_vec()), ("/opt/liba.so.1", library("liba.so.1"))];
    assert!(found("liba.so", &link).contains(&"/opt/liba.so.1: NEEDED liba.so of /bin/p".to_owned()));
    assert_eq!(
        found("plugin.so", &[("/opt/plugin.so", library("plugin.so"))]),
        ["! /bin/p: cannot find the library plugin.so"]
    );
}

#[test]
fn candidates_that_do_not_fit() {
    let arm = Elf::library("liba.so.1").machine(AARCH64).build();
    let i386 = Elf::library("liba.so.1").machine(I386).class(Class::Bits32).build();
    let freebsd = Elf::library("liba.so.1").osabi(FREEBSD).build();
    let good = || ("/usr/lib/liba.so.1", library("liba.so.1"));
    let found = "/usr/lib/liba.so.1: NEEDED liba.so.1 of /bin/p";
    for (bad, wanted) in [(&arm, found), (&i386, found)] {
        let passed_over = with_program(program(), &[("/lib/liba.so.1", bad.clone()), good()]);
        assert_eq!(needs(&passed_over), [LOADER, wanted]);
        let alone = with_program(program(), &[("/lib/liba.so.1", bad.clone())]);
        let finding =
            "! /bin/p: cannot find the library liba.so.1 (/lib/liba.so.1 is for another architecture)";
        assert_eq!(needs(&alone), [LOADER, finding]);
    }
    let program_file = Elf::static_program().build();
    let other_order = Elf::library("liba.so.1").machine(AARCH64).order(Order::Big).build();
    for bad in [
        freebsd,
        program_file,
        other_order,
        b"INPUT(liba.so.1)".to_vec(),
        Vec::new(),
        library("liba.so.1")[..40].to_vec(),
    ] {
        let finding =
            "! /bin/p: cannot load the library liba.so.1: /lib/liba.so.1 comes first and is no shared object";
        assert_eq!(needs(&with_program(program(), &[("/lib/liba.so.1", bad), good()])), [LOADER, finding]);
    }
    for no_file in [("/lib/liba.so.1", b"-> none".to_vec()), ("/lib/liba.so.1/", Vec::new())] {
        assert_eq!(needs(&with_program(program(), &[no_file, good()])), [LOADER, found]);
    }
}

#[test]
fn static_programs_need_nothing() {
    for elf in [Elf::static_program(), Elf::dynamic()] {
        assert_eq!(closure_of(&tree(&[("/p", elf.build())]), &["/p"]), ["/p: root: wanted"]);
    }
}

#[test]
fn a_program_cut_anywhere_is_one_finding() {
    let whole = program();
    for length in 4..whole.len() {
        let found = closure_of(&tree(&[("/p", &whole[..length])]), &["/p"]);
        assert_eq!(found.len(), 2, "cut at {length}: {found:?}");
        assert!(found[1].starts_with("! /p: damaged ELF object: "), "cut at {length}: {found:?}");
    }
}

#[test]
fn a_library_cut_behind_its_header_is_kept_and_a_finding() {
    let whole = library("liba.so.1");
    let cut = whole[..whole.len() - 1].to_vec();
    assert_eq!(
        needs(&with_program(program(), &[("/lib/liba.so.1", cut)])),
        [
            "/lib/liba.so.1: NEEDED liba.so.1 of /bin/p",
            LOADER,
            "! /lib/liba.so.1: damaged ELF object: the section headers reach past the end of the file",
        ]
    );
}

#[test]
fn a_loader_that_is_not_there_is_a_finding() {
    let found = closure_of(&tree(&[("/p", Elf::program().build())]), &["/p"]);
    assert_eq!(found[1..], ["! /p: cannot find /lib64/ld-linux-x86-64.so.2, its interpreter"]);
}

#[test]
fn a_dropped_library_is_a_finding_and_brings_nothing() {
    let tree = with_program(
        program(),
        &[
            ("/lib/liba.so.1", Elf::library("liba.so.1").needs("libb.so.1").build()),
            ("/lib/libb.so.1", library("libb.so.1")),
        ],
    );
    let request = Request {
        roots: vec![Root::pattern("/bin/p", "wanted")],
        drop: vec![Drop { name: "a".into(), globs: vec!["/lib/liba*".into()], reason: String::new() }],
        ..Request::default()
    };
    let Closure { entries, dropped, findings } = analyze(&tree, &request);
    assert!(!entries.contains_key(&path("/lib")));
    assert_eq!(dropped.into_iter().collect::<Vec<_>>(), [(path("/lib/liba.so.1"), 0)]);
    let texts: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["/bin/p: needs /lib/liba.so.1 (NEEDED liba.so.1), which `a` drops"]);
}

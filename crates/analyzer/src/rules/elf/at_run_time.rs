//! What a loader does besides loading what is needed: versions, preloaded and auditing libraries, filters, and the libraries
//! that objects say they open.

use rootfs::Tree;
use testkit::elf::Elf;

use super::tests::{LOADER, library, needs, with_program};
use crate::finding::Severity;
use crate::fixture::closure_of;
use crate::{Drop, Request, Root, analyze};

const GLIBC: &str = "/lib64/ld-linux-x86-64.so.2";

fn findings(tree: &Tree) -> Vec<String> {
    needs(tree).into_iter().filter(|line| line.starts_with("! ")).collect()
}

#[test]
fn a_needed_version_that_the_library_does_not_define() {
    let program = || Elf::program().needs("liba.so.1");
    let versioned = || Elf::library("liba.so.1").defines_version("liba.so.1").defines_version("A_1");
    let missing = "! /bin/p: needs the version A_2 of liba.so.1, which /lib/liba.so.1 does not define";
    for (what, program, library, wanted) in [
        ("defined", program().needs_version("liba.so.1", "A_1"), versioned(), None),
        ("not defined", program().needs_version("liba.so.1", "A_2"), versioned(), Some(missing)),
        ("weak", program().needs_version_weakly("liba.so.1", "A_2"), versioned(), None),
        (
            "a library without versions",
            program().needs_version("liba.so.1", "A_2"),
            Elf::library("liba.so.1"),
            None,
        ),
        ("of a library that is not needed", program().needs_version("libb.so.1", "B_1"), versioned(), None),
    ] {
        let tree = with_program(program.build(), &[("/lib/liba.so.1", library.build())]);
        assert_eq!(findings(&tree), wanted.into_iter().collect::<Vec<_>>(), "{what}");
    }
}

#[test]
fn versions_are_those_of_the_library_that_is_loaded() {
    let old = Elf::library("liba.so.1").defines_version("A_1").build();
    let new = Elf::library("liba.so.1").defines_version("A_1").defines_version("A_2").build();
    let middle =
        Elf::library("libm.so.1").runpath("/opt").needs("liba.so.1").needs_version("liba.so.1", "A_2");
    let program = || Elf::program().needs("libm.so.1");
    let rest = [("/opt/liba.so.1", new), ("/lib/liba.so.1", old), ("/lib/libm.so.1", middle.build())];
    assert_eq!(findings(&with_program(program().build(), &rest)), Vec::<String>::new());
    let first = Elf::program().needs("liba.so.1").needs("libm.so.1").build();
    assert_eq!(
        findings(&with_program(first, &rest)),
        ["! /lib/libm.so.1: needs the version A_2 of liba.so.1, which /lib/liba.so.1 does not define"]
    );
}

#[test]
fn every_copy_of_a_library_has_to_define_what_is_needed() {
    let copy = |version| Elf::library("liba.so.1").defines_version(version).build();
    let program = Elf::program().needs("liba.so.1").needs_version("liba.so.1", "A_2").build();
    let hwcaps = Elf::dynamic().payload("\0x86-64-v3:x86-64-v2\0").build();
    let tree = crate::fixture::tree(&[
        ("/bin/p", program),
        (GLIBC, hwcaps),
        ("/lib/liba.so.1", copy("A_2")),
        ("/lib/glibc-hwcaps/x86-64-v3/liba.so.1", copy("A_1")),
    ]);
    let file = "/lib/glibc-hwcaps/x86-64-v3/liba.so.1";
    let wanted = format!("! /bin/p: needs the version A_2 of liba.so.1, which {file} does not define");
    assert_eq!(findings(&tree), [wanted]);
}

#[test]
fn filters_are_loaded_and_auxiliary_ones_where_they_are_there() {
    let program = Elf::program().needs("liba.so.1").build();
    let filter = Elf::library("liba.so.1").runpath("/opt").filter("libf.so.1").auxiliary("libx.so.1");
    let files = [("/lib/liba.so.1", filter.build()), ("/opt/libf.so.1", library("libf.so.1"))];
    let there = [&files[..], &[("/opt/libx.so.1", library("libx.so.1"))]].concat();
    assert_eq!(
        needs(&with_program(program.clone(), &there)),
        [
            "/lib/liba.so.1: NEEDED liba.so.1 of /bin/p",
            LOADER,
            "/opt/libf.so.1: FILTER libf.so.1 of /lib/liba.so.1",
            "/opt/libx.so.1: AUXILIARY libx.so.1 of /lib/liba.so.1",
        ]
    );
    assert_eq!(
        findings(&with_program(program.clone(), &files)),
        ["! /lib/liba.so.1: may open the library libx.so.1, which is not there"]
    );
    assert_eq!(
        findings(&with_program(program, &files[..1])),
        [
            "! /lib/liba.so.1: cannot find the library libf.so.1",
            "! /lib/liba.so.1: may open the library libx.so.1, which is not there",
        ]
    );
}

#[test]
fn auditing_libraries_are_loaded_for_themselves() {
    let program =
        Elf::program().needs("liba.so.1").audit("watch.so:/opt/other.so").dependency_audit("gone.so");
    let tree = with_program(
        program.build(),
        &[
            ("/lib/liba.so.1", library("liba.so.1")),
            ("/lib/watch.so", Elf::library("watch.so").rpath("/opt").needs("libw.so").build()),
            ("/opt/other.so", library("other.so")),
            ("/opt/libw.so", library("libw.so")),
        ],
    );
    assert_eq!(
        needs(&tree),
        [
            "/lib/liba.so.1: NEEDED liba.so.1 of /bin/p",
            "/lib/watch.so: AUDIT watch.so of /bin/p",
            LOADER,
            "/opt/libw.so: NEEDED libw.so of /lib/watch.so",
            "/opt/other.so: AUDIT /opt/other.so of /bin/p",
            "! /bin/p: cannot find the library gone.so",
        ]
    );
}

#[test]
fn libraries_to_preload_are_needs_of_every_program() {
    let list = b"# for all\nlibpre.so /opt/$LIB/x.so:libgone.so\t# here\n".to_vec();
    let files = [
        ("/etc/ld.so.preload", list),
        ("/lib/libpre.so", Elf::library("libpre.so").needs("liba.so.1").build()),
        ("/lib/liba.so.1", library("liba.so.1")),
        ("/opt/lib/x86_64-linux-gnu/x.so", library("x.so")),
    ];
    let tree = with_program(Elf::program().build(), &files);
    assert_eq!(
        needs(&tree),
        [
            "/etc/ld.so.preload: list of preloaded libraries of /bin/p",
            "/lib/liba.so.1: NEEDED liba.so.1 of /lib/libpre.so",
            "/lib/libpre.so: preloaded libpre.so of /etc/ld.so.preload",
            LOADER,
            "/opt/lib/x86_64-linux-gnu/x.so: preloaded /opt/$LIB/x.so of /etc/ld.so.preload",
            "! /etc/ld.so.preload: cannot find the library libgone.so",
        ]
    );
    let of_static = with_program(Elf::static_program().build(), &files);
    assert_eq!(needs(&of_static), Vec::<String>::new(), "no loader, no preload");
    let request = Request {
        roots: vec![Root::pattern("/bin/p", "wanted")],
        drop: vec![Drop {
            name: "preload".into(),
            globs: vec!["/etc/ld.so.preload".into()],
            reason: String::new(),
        }],
        ..Request::default()
    };
    let closure = analyze(&tree, &request);
    assert!(!closure.entries.contains_key(&crate::fixture::path("/lib/libpre.so")));
    assert!(closure.findings.is_empty());
}

#[test]
fn what_an_object_says_that_it_opens() {
    let json = r#"[
        {"feature":"lz4","priority":"suggested","soname":["liblz4.so.2","liblz4.so.1"]},
        {"feature":"tpm","priority":"required","soname":["libtss2.so.0"]},
        {"soname":["libelf.so.1","libelf.so.0"]}
    ]"#;
    let opening = Elf::library("liba.so.1").runpath("/opt").opens(json).build();
    let program = Elf::program().needs("liba.so.1").build();
    let all = [
        ("/lib/liba.so.1", opening.clone()),
        ("/opt/liblz4.so.1", Elf::library("liblz4.so.1").needs("libdeep.so").build()),
        ("/lib/libdeep.so", library("libdeep.so")),
        ("/lib/libtss2.so.0", library("libtss2.so.0")),
        ("/lib/libelf.so.0", library("libelf.so.0")),
    ];
    let of_a = "of /lib/liba.so.1";
    assert_eq!(
        needs(&with_program(program.clone(), &all)),
        [
            "/lib/liba.so.1: NEEDED liba.so.1 of /bin/p".to_owned(),
            "/lib/libdeep.so: NEEDED libdeep.so of /opt/liblz4.so.1".to_owned(),
            format!("/lib/libelf.so.0: dlopen libelf.so.0, recommended {of_a}"),
            format!("/lib/libtss2.so.0: dlopen libtss2.so.0 for tpm, required {of_a}"),
            LOADER.to_owned(),
            format!("/opt/liblz4.so.1: dlopen liblz4.so.1 for lz4, suggested {of_a}"),
        ]
    );
    let tree = with_program(program, &[("/lib/liba.so.1", opening)]);
    let request = Request { roots: vec![Root::pattern("/bin/p", "wanted")], ..Request::default() };
    let found = analyze(&tree, &request).findings;
    let found: Vec<_> = found.iter().map(|one| (one.severity(), one.to_string())).collect();
    assert_eq!(
        found,
        [
            (Severity::Unmet, "/lib/liba.so.1: cannot find the library libtss2.so.0".to_owned()),
            (
                Severity::Undecided,
                "/lib/liba.so.1: may open the library libelf.so.1 or libelf.so.0, which is not there"
                    .to_owned()
            ),
            (
                Severity::Undecided,
                "/lib/liba.so.1: may open the library liblz4.so.2 or liblz4.so.1, which is not there"
                    .to_owned()
            ),
        ]
    );
}

#[test]
fn a_note_that_cannot_be_read_is_a_finding() {
    let tree = with_program(Elf::program().opens("[{]").build(), &[]);
    assert_eq!(findings(&tree), ["! /bin/p: has a note of libraries that it opens, which cannot be read"]);
}

#[test]
fn what_is_opened_comes_after_what_is_needed() {
    let opens = Elf::program().runpath("/opt").opens(r#"{"soname":"libb.so"}"#).needs("liba.so").build();
    let tree = with_program(
        opens,
        &[
            ("/lib/liba.so", Elf::library("liba.so").needs("libb.so").build()),
            ("/lib/libb.so", library("libb.so")),
            ("/opt/libb.so", library("libb.so")),
        ],
    );
    let found = closure_of(&tree, &["/bin/p"]);
    assert!(!found.iter().any(|line| line.starts_with("/opt/libb.so")), "{found:?}");
}

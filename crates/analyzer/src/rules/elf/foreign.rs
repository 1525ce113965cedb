//! Roots for other machines and for musl: nothing of the machine that the analysis runs on enters.

use rootfs::Tree;
use testkit::elf::{AARCH64, ARM, Class, Elf, I386, NODEFLIB, Order, PPC64, RISCV, S390};

use super::tests::{library, needs};
use crate::fixture::tree;

/// What is found for `/bin/p`, which has this interpreter.
fn of(interpreter: &str, program: Elf, rest: &[(&str, Vec<u8>)]) -> Vec<String> {
    let own = [("/bin/p", program.interpreter(interpreter).build())];
    needs(&tree(&[&own[..], rest].concat()))
}

#[test]
fn each_machine_has_its_loader_its_folders_and_its_own_libraries() {
    type Shape = fn(Elf) -> Elf;
    let machines: [(&str, &str, Shape); 7] = [
        ("/lib/ld-linux-aarch64.so.1", "aarch64-linux-gnu", |elf| elf.machine(AARCH64)),
        ("/lib/ld-linux-armhf.so.3", "arm-linux-gnueabihf", |elf| {
            elf.machine(ARM).class(Class::Bits32).processor_flags(0x0500_0400)
        }),
        ("/lib/ld-linux.so.3", "arm-linux-gnueabi", |elf| {
            elf.machine(ARM).class(Class::Bits32).processor_flags(0x0500_0200)
        }),
        ("/lib/ld-linux.so.2", "i386-linux-gnu", |elf| elf.machine(I386).class(Class::Bits32)),
        ("/lib/ld-linux-riscv64-lp64d.so.1", "riscv64-linux-gnu", |elf| {
            elf.machine(RISCV).processor_flags(5)
        }),
        ("/lib64/ld64.so.2", "powerpc64le-linux-gnu", |elf| elf.machine(PPC64).processor_flags(2)),
        ("/lib/ld64.so.1", "s390x-linux-gnu", |elf| elf.machine(S390).order(Order::Big)),
    ];
    for (interpreter, multiarch, shape) in machines {
        let name = interpreter.rsplit('/').next().unwrap();
        let folder = format!("/usr/lib/{multiarch}");
        let (a, b) = (format!("{folder}/liba.so.1"), format!("/opt/lib/{multiarch}/libb.so.1"));
        let program = shape(Elf::program()).runpath("/opt/$LIB").needs("liba.so.1").needs("libb.so.1");
        let found = of(
            interpreter,
            program,
            &[
                (interpreter, shape(Elf::library(name)).build()),
                ("/lib/liba.so.1", library("liba.so.1")),
                (&a, shape(Elf::library("liba.so.1")).needs(name).build()),
                (&b, shape(Elf::library("libb.so.1")).build()),
            ],
        );
        let mut wanted = vec![
            format!("{interpreter}: NEEDED {name} of {a}"),
            format!("{interpreter}: interpreter of /bin/p"),
            format!("{a}: NEEDED liba.so.1 of /bin/p"),
            format!("{b}: NEEDED libb.so.1 of /bin/p"),
        ];
        wanted.sort();
        let mut found = found;
        found.sort();
        assert_eq!(found, wanted, "{multiarch}");
    }
}

#[test]
fn thirty_two_bits_beside_sixty_four() {
    let small = |elf: Elf| elf.machine(I386).class(Class::Bits32);
    let files = [
        ("/bin/small", small(Elf::program().interpreter("/lib/ld-linux.so.2").needs("liba.so.1")).build()),
        ("/bin/p", Elf::program().needs("liba.so.1").build()),
        ("/lib/ld-linux.so.2", small(Elf::dynamic()).build()),
        ("/lib64/ld-linux-x86-64.so.2", Elf::dynamic().build()),
        ("/lib/x86_64-linux-gnu/liba.so.1", library("liba.so.1")),
        ("/usr/lib/liba.so.1", library("liba.so.1")),
        ("/lib/i386-linux-gnu/liba.so.1", small(Elf::library("liba.so.1")).build()),
    ];
    let found = crate::fixture::closure_of(&tree(&files), &["/bin/small", "/bin/p"]);
    for line in [
        "/lib/i386-linux-gnu/liba.so.1: NEEDED liba.so.1 of /bin/small",
        "/lib/x86_64-linux-gnu/liba.so.1: NEEDED liba.so.1 of /bin/p",
    ] {
        assert!(found.contains(&line.to_owned()), "{line} in {found:?}");
    }
    assert!(!found.iter().any(|line| line.starts_with("/usr/lib/liba")));
}

const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

/// A musl root with these files beside the loader.
fn musl(program: Elf, rest: &[(&str, Vec<u8>)]) -> Vec<String> {
    let loader =
        [(MUSL, b"-> libc.so".to_vec()), ("/lib/libc.so", Elf::library("libc.musl-x86_64.so.1").build())];
    let usual = [
        "/lib/ld-musl-x86_64.so.1: interpreter of /bin/p",
        "/lib/libc.so: interpreter of /bin/p",
        "/lib/libc.so: link target of /lib/ld-musl-x86_64.so.1",
    ];
    let found = of(MUSL, program, &[&loader[..], rest].concat());
    assert!(usual.iter().all(|line| found.contains(&(*line).to_owned())), "{found:?}");
    found.into_iter().filter(|line| !usual.contains(&line.as_str())).collect()
}

#[test]
fn every_part_of_musl_is_its_loader() {
    let program = Elf::program().needs("libc.musl-x86_64.so.1").needs("libpthread.so.0").needs("libm.so");
    let found = musl(program, &[("/usr/lib/libm.so", library("libm.so"))]);
    let of_loader = |file: &str, name: &str| format!("{file}: NEEDED {name} of /bin/p");
    let names = ["libc.musl-x86_64.so.1", "libm.so", "libpthread.so.0"];
    let both = |file: &'static str| names.map(|name| of_loader(file, name));
    assert_eq!(found, [both("/lib/ld-musl-x86_64.so.1"), both("/lib/libc.so")].concat());
}

#[test]
fn where_musl_finds_a_library() {
    let needing = |elf: Elf| elf.needs("liba.so.1");
    let program = Elf::program;
    let all = ["/opt/a", "/opt/b", "/bin/lib", "/lib", "/usr/local/lib", "/usr/lib"];
    let configured = ("/etc/ld-musl-x86_64.path", b"/none:/opt/b\n/opt/a\n".to_vec());
    for (what, elf, conf, places, wanted) in [
        ("its own order", needing(program()), false, &all[4..], Some("/usr/local/lib")),
        ("/lib comes first", needing(program()), false, &all[..], Some("/lib")),
        ("the file of its folders", needing(program()), true, &all[..], Some("/opt/b")),
        ("nothing but the folders of the file", needing(program()), true, &all[3..], None),
        ("a RUNPATH comes first", needing(program().runpath("/opt/a")), true, &all[..], Some("/opt/a")),
        ("an RPATH comes first", needing(program().rpath("/opt/a")), true, &all[..], Some("/opt/a")),
        ("$ORIGIN", needing(program().runpath("$ORIGIN/lib")), false, &all[..], Some("/bin/lib")),
        ("no other token", needing(program().runpath("/opt/a:/$LIB")), false, &all[..], Some("/lib")),
        ("no such flag", needing(program().flags_1(NODEFLIB)), false, &all[..], Some("/lib")),
        ("a path", program().needs("/opt/b/liba.so.1"), false, &all[..], Some("/opt/b")),
    ] {
        let places: Vec<_> = places.iter().map(|folder| format!("{folder}/liba.so.1")).collect();
        let files = places.iter().map(|place| (place.as_str(), library("liba.so.1")));
        let files: Vec<_> = files.chain(conf.then(|| configured.clone())).collect();
        let found = musl(elf, &files);
        let place =
            found.iter().find_map(|line| line.split_once("/liba.so.1: NEEDED ")).map(|(folder, _)| folder);
        assert_eq!(place, wanted, "{what}: {found:?}");
        let names_file = "/etc/ld-musl-x86_64.path: NEEDED liba.so.1 of /bin/p".to_owned();
        assert_eq!(
            found.contains(&names_file),
            wanted.is_some() && what == "the file of its folders",
            "{what}"
        );
    }
}

#[test]
fn musl_inherits_runpaths_too() {
    let chain = |program: Elf| {
        let middle = Elf::library("libm1.so").needs("liba.so.1").build();
        let files = [("/opt/libm1.so", middle), ("/opt/liba.so.1", library("liba.so.1"))];
        let found = musl(program.needs("libm1.so"), &files);
        found.contains(&"/opt/liba.so.1: NEEDED liba.so.1 of /opt/libm1.so".to_owned())
    };
    assert!(chain(Elf::program().runpath("/opt")));
    assert!(chain(Elf::program().rpath("/opt")));
    assert!(!chain(Elf::program().needs("/opt/libm1.so")));
}

#[test]
fn musl_knows_no_sonames_no_versions_no_copies_and_no_preload_list() {
    let program = Elf::program()
        .needs("/opt/first.so")
        .needs("libsecond.so")
        .needs_version("libsecond.so", "X_1")
        .audit("w.so");
    let found = musl(
        program,
        &[
            ("/opt/first.so", Elf::library("libfirst.so.1").filter("libgone.so").build()),
            (
                "/lib/libsecond.so",
                Elf::library("libsecond.so").defines_version("Y").needs("libfirst.so.1").build(),
            ),
            ("/lib/glibc-hwcaps/x86-64-v3/libsecond.so", library("libsecond.so")),
            ("/etc/ld.so.preload", b"libfirst.so.1".to_vec()),
            ("/etc/ld.so.conf", b"/opt".to_vec()),
        ],
    );
    assert_eq!(
        found,
        [
            "/lib/libsecond.so: NEEDED libsecond.so of /bin/p",
            "/opt/first.so: NEEDED /opt/first.so of /bin/p",
            "! /lib/libsecond.so: cannot find the library libfirst.so.1",
        ]
    );
}

#[test]
fn musl_gives_up_at_the_first_file_that_is_none_for_it() {
    let arm = Elf::library("liba.so.1").machine(AARCH64).build();
    let good = ("/usr/lib/liba.so.1", library("liba.so.1"));
    let finding =
        "! /bin/p: cannot load the library liba.so.1: /lib/liba.so.1 comes first and is no shared object";
    for bad in [arm, b"text".to_vec()] {
        let found = musl(Elf::program().needs("liba.so.1"), &[("/lib/liba.so.1", bad), good.clone()]);
        assert_eq!(found, [finding]);
    }
}

#[test]
fn a_library_alone_in_a_musl_root() {
    let files = |needed: &str| -> Tree {
        tree(&[
            ("/bin/p", Elf::dynamic().needs(needed).build()),
            (MUSL, Elf::library("libc.so").build()),
            ("/usr/local/lib/liba.so.1", library("liba.so.1")),
        ])
    };
    assert_eq!(needs(&files("libc.so")), ["/lib/ld-musl-x86_64.so.1: NEEDED libc.so of /bin/p"]);
    assert_eq!(needs(&files("liba.so.1")), ["/usr/local/lib/liba.so.1: NEEDED liba.so.1 of /bin/p"]);
}

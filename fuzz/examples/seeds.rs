//! Writes whole and well-formed inputs into `corpus`, a folder for each target, for the fuzzer to start from.

use std::fs;
use std::io;
use std::path::Path;

use testkit::archive::Suite;
use testkit::deb::{Package, Packing};
use testkit::elf::{AARCH64, Class, Elf, NODEFLIB, Order};
use testkit::tar::{Member, Tar};

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, seeds) in all() {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder)?;
        for (number, seed) in seeds.into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}

fn all() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let archive = Suite::new("stable").package(package()).build();
    let named = |end: &str| {
        let files = archive.iter().filter(|(path, _)| path.ends_with(end));
        files.map(|(_, bytes)| bytes.clone()).collect::<Vec<_>>()
    };
    vec![
        (
            "apt_sources",
            texts(&[
                "deb [signed-by=/a.asc] http://mirror.example/debian trixie main contrib\n",
                "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie trixie-updates\nComponents: main\n",
            ]),
        ),
        (
            "deb",
            [Packing::Gzip, Packing::Xz, Packing::Zstd]
                .map(|packing| package().packing(packing).build())
                .into(),
        ),
        ("elf", elf()),
        ("ld_so_conf", texts(&["include /etc/ld.so.conf.d/*.conf\n/opt # folder\n\n/usr/lib\thwcap 0 x\n"])),
        (
            "oci_document",
            texts(&[
                r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
                r#"{"architecture":"amd64","os":"linux","config":{"Env":["A=B"]},"rootfs":{"type":"layers","diff_ids":[]}}"#,
            ]),
        ),
        ("packages", named("/Packages")),
        (
            "project",
            texts(&[
                include_str!("../../matrix.toml"),
                include_str!("../../matrix.lock"),
                include_str!("../../images/ruby/image.toml"),
            ]),
        ),
        (
            "rbconfig",
            texts(&[
                "CONFIG = {}\nCONFIG[\"ruby_version\"] = \"3.3.0\"\nCONFIG[\"libdir\"] = \"/usr/lib\"\nCONFIG[\"rubyarchdir\"] = \"$(libdir)/ruby/3.3.0/x86_64-linux\"\n",
            ]),
        ),
        ("relation", texts(&["a (>= 1:2.0~rc1-1) | b:any [amd64] <!nocheck>, c (= ${x}), d"])),
        ("release", [named("/InRelease"), named("/Release")].concat()),
        (
            "ruby",
            texts(&[
                "require 'set'\nrequire_relative 'other'\nbegin\n  require \"x#{1}\"\nrescue LoadError\nend\n",
                "extend FFI::Library\nffi_lib ['sodium', 'libsodium.so.23']\nFiddle.dlopen('libc.so.6')\n__END__\nrest",
            ]),
        ),
        ("shebang", texts(&["/usr/bin/env -S ruby -w\n", " /usr/bin/ruby\n"])),
        (
            "tar",
            vec![
                Tar::new()
                    .folder("./usr/")
                    .file("./usr/a", "text")
                    .symlink("./lib", "usr")
                    .hard_link("./usr/b", "./usr/a")
                    .finish(),
                Tar::new()
                    .add(Member::file("a/.wh.b", ""))
                    .add(Member::file("x", "y").pax("path", "long").pax("SCHILY.xattr.user.a", "b"))
                    .finish(),
            ],
        ),
    ]
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn package() -> Package {
    Package::new("tiny", "1:1.0-1").field("Depends", "libc6 (>= 2.36), a | b").file("./usr/bin/tiny", "text")
}

fn elf() -> Vec<Vec<u8>> {
    let full = Elf::library("libfull.so.1")
        .needs("liba.so.1")
        .runpath("$ORIGIN/../lib")
        .flags_1(NODEFLIB)
        .interpreter("/lib/ld.so.1");
    let shapes = [(Class::Bits32, Order::Little), (Class::Bits32, Order::Big), (Class::Bits64, Order::Big)];
    let shapes = shapes.map(|(class, order)| full.clone().class(class).order(order).build());
    shapes.into_iter().chain([full.build(), full.clone().machine(AARCH64).build()]).collect()
}

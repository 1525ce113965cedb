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
    let archive = Suite::new("stable").package(package()).source("ruby", "3.3.8-2", b"").packings(&[Packing::None]).build();
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
            "copyright",
            texts(&[
                "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: x\n\nFiles: *\nCopyright: 2020 A\nLicense: GPL-2+ with OpenSSL exception\n\nFiles: debian/*\nLicense: Expat or Artistic, and BSD-3-clause\n text\n .\n more\n\nLicense: GPL-2+\n On Debian systems\n",
                "Format: 1.0\nLicense: MIT and (Apache-2.0 or Zlib)\n",
                "This is a free text.\n",
            ]),
        ),
        (
            "deb",
            [Packing::Gzip, Packing::Xz, Packing::Zstd]
                .map(|packing| package().packing(packing).build())
                .into(),
        ),
        (
            "dlopen_note",
            texts(&[
                r#"[{"soname":["liba.so.1","liba.so.0"],"feature":"a","description":"x","priority":"suggested"},{"soname":"libb.so"}]"#,
                "{\"soname\":[\"libc.so\"],\"priority\":\"required\"}\0\0",
            ]),
        ),
        ("docker_archive", docker_archive()),
        (
            "dpkg_status",
            texts(&[
                "Package: libc6\nStatus: install ok installed\nMulti-Arch: same\nArchitecture: amd64\nVersion: 2.41-12\n\
                 Conffiles:\n /etc/x 0123\nDescription: a\n b\n .\n c\n\n\
                 Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n",
                "Package: base\nArchitecture: all\nVersion: 1:2~rc1-3\n",
            ]),
        ),
        ("elf", elf()),
        (
            "gem_specification",
            texts(&[
                "# -*- encoding: utf-8 -*-\nGem::Specification.new do |s|\n  s.name = \"a\".freeze\n  s.version = \"1.2.3\"\n  s.licenses = [\"MIT\".freeze, 'Ruby']\n  s.platform = Gem::Platform::RUBY\nend\n",
                "Gem::Specification.new do |spec|\nspec.name = %q{b}\nspec.version = Gem::Version.new('2')\nspec.license = 'BSD-2-Clause'\nend",
            ]),
        ),
        (
            "gemfile_lock",
            texts(&[
                "GIT\n  remote: https://x.example/a.git\n  revision: 0123\n  specs:\n    a (1.0)\n      b (>= 2)\n\nPATH\n  remote: .\n  specs:\n    c (0.1)\n\nGEM\n  remote: https://x.example/\n  specs:\n    b (2.1-x86_64-linux)\n    b (2.1)\n\nPLATFORMS\n  ruby\n\nDEPENDENCIES\n  a!\n  c!\n\nBUNDLED WITH\n   2.6.2\n",
            ]),
        ),
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
        ("ruby", ruby()),
        ("ruby_source", ruby()),
        ("shebang", texts(&["/usr/bin/env -S ruby -w\n", " /usr/bin/ruby\n"])),
        ("sources", named("/Sources")),
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

/// An archive with one image, and the documents of another.
fn docker_archive() -> Vec<Vec<u8>> {
    let layer = Tar::new().file("a", "b").finish();
    let diff_id = schema::Digest::of(&layer);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
    );
    let manifest = r#"[{"Config":"config.json","RepoTags":["ruby:3.4"],"Layers":["layer.tar"]}]"#;
    let archive =
        Tar::new().file("manifest.json", manifest).file("config.json", &*config).file("layer.tar", layer).finish();
    vec![archive, [manifest, "\0", &config].concat().into()]
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn ruby() -> Vec<Vec<u8>> {
    texts(&[
        "require 'set'\nrequire_relative 'other'\nbegin\n  require \"x#{1}\"\nrescue LoadError\nend\n",
        "extend FFI::Library\nffi_lib ['sodium', 'libsodium.so.23']\nFiddle.dlopen('libc.so.6')\n__END__\nrest",
    ])
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

//! A Debian mirror on loopback, with signed suites of small packages that have what a Ruby needs to be one: an
//! interpreter, its configuration, a standard library, native extensions, a C library.

use std::collections::BTreeMap;

use testkit::archive::{Suite, pool_path};
use testkit::deb::Package;
use testkit::elf::Elf;
use testkit::tar::Member;
use testkit::web::{Reply, Server};

/// Debian's name for the machine's folders.
const TRIPLET: &str = "x86_64-linux-gnu";
/// A day after the first suites.
pub(crate) const NEXT_DAY: &str = "Sun, 22 Nov 2026 00:00:00 UTC";
/// When the files of the packages were last changed, in seconds since 1970.
const CHANGED: u64 = 1_790_000_000;

/// A mirror: the main archive below `/debian`, the security archive below `/debian-security`.
pub(crate) struct Mirror {
    pub(crate) server: Server,
}

impl Mirror {
    /// A mirror that has `trixie` with Ruby 3.3, and an empty `trixie-security`.
    pub(crate) fn start() -> Self {
        let mirror = Self::empty();
        mirror.publish(&suite("trixie", ruby("3.3")));
        mirror.publish_security(&Suite::new("trixie-security"));
        mirror
    }

    /// The same for two architectures.
    pub(crate) fn for_amd64_and_arm64() -> Self {
        let mirror = Self::empty();
        let packages = ruby("3.3").into_iter().chain(for_arm64(ruby("3.3")));
        mirror.publish(&suite("trixie", packages).architecture("arm64"));
        mirror.publish_security(&Suite::new("trixie-security").architecture("arm64"));
        mirror
    }

    /// A mirror that has no suite.
    pub(crate) fn empty() -> Self {
        Self { server: Server::start() }
    }

    /// Puts a suite and its packages into the main archive.
    pub(crate) fn publish(&self, suite: &Suite) {
        self.put("/debian", suite);
    }

    /// Puts a suite and its packages into the security archive.
    pub(crate) fn publish_security(&self, suite: &Suite) {
        self.put("/debian-security", suite);
    }

    fn put(&self, archive: &str, suite: &Suite) {
        for (path, bytes) in suite.build() {
            self.server.page(&format!("{archive}/{path}"), bytes);
        }
    }

    /// Says what happens to requests for a path of the main archive.
    pub(crate) fn script(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        self.server.script(&format!("/debian/{path}"), replies);
    }

    /// Makes everything good that a new mirror has.
    pub(crate) fn repair(&self) {
        for (path, bytes) in good_files() {
            self.server.page(&format!("/debian/{path}"), bytes);
            self.script(&path, [Reply::Good]);
        }
    }

    /// The address of the main archive.
    pub(crate) fn main(&self) -> String {
        self.server.url("/debian")
    }

    /// The address of the security archive.
    pub(crate) fn security(&self) -> String {
        self.server.url("/debian-security")
    }
}

/// The files of the main archive of a new mirror.
pub(crate) fn good_files() -> BTreeMap<String, Vec<u8>> {
    suite("trixie", ruby("3.3")).build()
}

/// A suite of these packages.
pub(crate) fn suite(name: &str, packages: impl IntoIterator<Item = Package>) -> Suite {
    packages.into_iter().fold(Suite::new(name), Suite::package)
}

/// The packages for arm64. That their objects are for another machine makes no difference to a build.
pub(crate) fn for_arm64(packages: Vec<Package>) -> impl Iterator<Item = Package> {
    packages.into_iter().map(|package| package.field("Architecture", "arm64"))
}

/// `packages` with `package` in place of the one of the same name.
pub(crate) fn with(packages: Vec<Package>, package: Package) -> Vec<Package> {
    let name = |package: &Package| package.get("Package").map(str::to_owned);
    let others = packages.into_iter().filter(|other| name(other) != name(&package));
    others.collect::<Vec<_>>().into_iter().chain([package]).collect()
}

/// Where a package is below the address of its archive.
pub(crate) fn place(packages: &[Package], name: &str) -> String {
    let package = packages.iter().find(|package| package.get("Package") == Some(name));
    pool_path(package.expect("a package of that name"))
}

/// The packages of a distro with a Ruby of that series, of the version `<series>.8`.
pub(crate) fn ruby(series: &str) -> Vec<Package> {
    let api = format!("{series}.0");
    let full = format!("{series}.8");
    let library = format!("usr/lib/{TRIPLET}/libruby-{series}.so");
    let compiled = format!("usr/lib/{TRIPLET}/ruby/{api}");
    let soname = format!("libruby-{series}.so.{series}");
    vec![
        package("base-files", "13").file("usr/lib/os-release", "PRETTY_NAME=\"Small 13\"\nID=small\n"),
        package("libc6", "2.41-12")
            .member(program(
                &format!("usr/lib/{TRIPLET}/ld-linux-x86-64.so.2"),
                Elf::library("ld-linux-x86-64.so.2").build(),
            ))
            .member(link("usr/lib64/ld-linux-x86-64.so.2", &format!("../lib/{TRIPLET}/ld-linux-x86-64.so.2")))
            .member(object(&format!("usr/lib/{TRIPLET}/libc.so.6"), &Elf::library("libc.so.6")))
            .file("usr/lib/locale/C.utf8/LC_CTYPE", "letters"),
        package("tzdata", "2026b").file("usr/share/zoneinfo/Asia/Tokyo", "TZif"),
        libyaml("0.2.5-2"),
        package(&format!("libruby{series}"), &format!("{full}-2"))
            .field("Depends", "libc6 (>= 2.38), libyaml-0-2")
            .member(link(&format!("{library}.{series}"), &format!("libruby-{series}.so.{full}")))
            .member(object(&format!("{library}.{full}"), &Elf::library(&soname).needs("libc.so.6")))
            .member(file(&format!("{compiled}/rbconfig.rb"), rbconfig(series)))
            .member(object(
                &format!("{compiled}/psych.so"),
                &Elf::dynamic().needs("libyaml-0.so.2").needs("libc.so.6"),
            ))
            .member(object(&format!("{compiled}/enc/euc_jp.so"), &Elf::dynamic()))
            .file(&format!("usr/lib/ruby/{api}/set.rb"), "class Set; end\n")
            .file(&format!("usr/lib/ruby/{api}/rdoc/page.rb"), "# pages\n"),
        package(&format!("ruby{series}"), &format!("{full}-2"))
            .field("Depends", &format!("libruby{series} (= {full}-2), libc6 (>= 2.34)"))
            .member(program(
                &format!("usr/bin/ruby{series}"),
                Elf::program().needs(&soname).needs("libc.so.6").build(),
            ))
            .file(&format!("usr/share/man/man1/ruby{series}.1"), "a page"),
        package("ruby", &format!("1:{series}"))
            .field("Depends", &format!("ruby{series}"))
            .member(link("usr/bin/ruby", &format!("ruby{series}"))),
    ]
}

/// The library that an extension of the Ruby needs, in that version.
pub(crate) fn libyaml(version: &str) -> Package {
    let folder = format!("usr/lib/{TRIPLET}");
    let library = Elf::library("libyaml-0.so.2").needs("libc.so.6");
    package("libyaml-0-2", version)
        .field("Depends", "libc6")
        .member(link(&format!("{folder}/libyaml-0.so.2"), "libyaml-0.so.2.0.9"))
        .member(object(&format!("{folder}/libyaml-0.so.2.0.9"), &library))
}

/// A package with a copyright file.
pub(crate) fn package(name: &str, version: &str) -> Package {
    Package::new(name, version).file(&format!("usr/share/doc/{name}/copyright"), format!("{name} is free\n"))
}

fn rbconfig(series: &str) -> String {
    format!(
        r#"module RbConfig
  TOPDIR = File.dirname(__FILE__).chomp!("/lib/{TRIPLET}/ruby/{series}.0")
  CONFIG = {{}}
  CONFIG["prefix"] = (TOPDIR || DESTDIR + "/usr")
  CONFIG["RUBY_PROGRAM_VERSION"] = "{series}.8"
  CONFIG["ruby_version"] = "{series}.0"
  CONFIG["ruby_install_name"] = "ruby{series}"
  CONFIG["arch"] = "{TRIPLET}"
  CONFIG["bindir"] = "$(prefix)/bin"
  CONFIG["libdir"] = "$(prefix)/lib"
  CONFIG["archlibdir"] = "$(libdir)/$(arch)"
  CONFIG["rubylibprefix"] = "$(libdir)/ruby"
  CONFIG["rubylibdir"] = "$(rubylibprefix)/$(ruby_version)"
  CONFIG["rubyarchdir"] = "$(libdir)/$(arch)/ruby/$(ruby_version)"
  CONFIG["LIBRUBY_SO"] = "libruby-{series}.so.{series}.8"
end
"#
    )
}

fn file(path: &str, content: impl AsRef<[u8]>) -> Member {
    Member::file(format!("./{path}"), content).mtime(CHANGED)
}

fn object(path: &str, elf: &Elf) -> Member {
    file(path, elf.build())
}

/// A file that may be executed.
pub(crate) fn program(path: &str, content: impl AsRef<[u8]>) -> Member {
    file(path, content).mode(0o755)
}

fn link(path: &str, target: &str) -> Member {
    Member::symlink(format!("./{path}"), target).mtime(CHANGED)
}

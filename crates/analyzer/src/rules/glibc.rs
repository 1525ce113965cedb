//! What glibc opens by name: `libgcc_s` to end a thread, modules of its name service, data in `/etc`, and the locale that
//! images set (`C.UTF-8`).
//!
//! Not opened here: modules of `iconv` (gconv). Ruby converts with its own tables, and UTF-8, UTF-16, ISO-8859-1 and ASCII
//! are inside of glibc; libraries that could use others (libunistring, libxml2) do so for a locale or a document in an
//! old encoding. Whoever has such adds `/usr/lib/*/gconv` as a root. Other locales than C.UTF-8 likewise.

use std::collections::BTreeSet;

use rootfs::Kind;

use super::Rule;
use crate::engine::{Answer, Role, Strength, Visit};
use crate::finding::FindingKind;
use crate::loader::release;
use crate::scope::Scope;
use crate::search::{Defaults, resolve_text};

/// Databases that the functions of netdb.h, pwd.h and grp.h read (nsswitch.conf(5)), with their settings.
const DATA: [&str; 9] = [
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/group",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/networks",
];

/// Where the locale lies, the newer name first: Debian calls it `C.UTF-8` up to glibc 2.34.
const UTF8_LOCALES: [&str; 2] = ["/usr/lib/locale/C.utf8", "/usr/lib/locale/C.UTF-8"];

/// From here on the name service modules `files` and `dns` are part of libc (its NEWS for 2.34).
const NAME_SERVICE_INSIDE: (u32, u32) = (2, 34);

pub(super) struct Glibc;

impl Rule for Glibc {
    fn name(&self) -> &'static str {
        "glibc"
    }

    fn apply(&self, scope: &Scope<'_>, visit: &Visit<'_>, answer: &mut Answer<'_>) {
        if !visit.is_first {
            return;
        }
        if let Some(bytes) = visit.library(b"libc.so.") {
            self.libraries(scope, visit, bytes, answer);
            self.locale(scope, visit, answer);
            for path in DATA {
                answer.text(path.as_bytes(), self.reason(visit, "database"), Strength::Soft);
            }
        }
    }
}

impl Glibc {
    fn libraries(&self, scope: &Scope<'_>, visit: &Visit<'_>, bytes: &[u8], answer: &mut Answer<'_>) {
        let names = |name: &[u8]| memchr::memmem::find(bytes, name).is_some();
        if names(b"libgcc_s.so.1\0") {
            self.library(scope, visit, "libgcc_s.so.1", "unwinder of ended threads", Strength::Hard, answer);
        }
        if names(b"libidn2.so.0\0") {
            self.library(
                scope,
                visit,
                "libidn2.so.0",
                "internationalized host names",
                Strength::Soft,
                answer,
            );
        }
        if release(bytes).is_some_and(|version| version < NAME_SERVICE_INSIDE) {
            for name in ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"] {
                self.library(scope, visit, name, "name service", Strength::Hard, answer);
            }
        }
        for service in services(scope) {
            // glibc goes on to the next service where one is not there.
            let name = format!("libnss_{service}.so.2");
            self.library(scope, visit, &name, "name service", Strength::Soft, answer);
        }
    }

    fn library(
        &self,
        scope: &Scope<'_>,
        visit: &Visit<'_>,
        name: &str,
        because: &str,
        strength: Strength,
        answer: &mut Answer<'_>,
    ) {
        let Some(object) = visit.whole_object() else { return };
        let reason = self.reason(visit, format!("{because} ({name})"));
        let system = scope.search.system_of(object);
        match scope.search.find(&system, name.as_bytes(), &[], Defaults::Searched) {
            Ok(place) => {
                if let Some(folder) = &place.folder {
                    answer.on_the_way(&folder.links, &reason, strength);
                }
                answer.resolved(place.library.file.clone(), Role::Own, reason, strength);
            }
            Err(_) => {
                let kind = FindingKind::LibraryNotFound { name: name.to_owned(), other_architecture: None };
                answer.miss(reason.from, kind, strength);
            }
        }
    }

    /// Without the locale, Ruby under `LANG=C.UTF-8` takes every text for US-ASCII, and says nothing.
    fn locale(&self, scope: &Scope<'_>, visit: &Visit<'_>, answer: &mut Answer<'_>) {
        let is_there = |path: &&str| resolve_text(scope.tree, path.as_bytes()).is_some();
        let path = UTF8_LOCALES.into_iter().find(is_there).unwrap_or(UTF8_LOCALES[0]);
        answer.below(path.as_bytes(), &self.reason(visit, "locale C.UTF-8"), Strength::ForRuby);
    }
}

/// The services that `nsswitch.conf` names and that no glibc has inside (nsswitch.conf(5)).
fn services(scope: &Scope<'_>) -> BTreeSet<String> {
    let entry = resolve_text(scope.tree, DATA[0].as_bytes()).and_then(|file| scope.tree.get(&file.path));
    let Some(Kind::File(file)) = entry.map(|entry| &entry.kind) else { return BTreeSet::new() };
    let text = String::from_utf8_lossy(&file.content);
    let lines = text.lines().map(|line| line.split_once('#').map_or(line, |(before, _)| before));
    let words =
        lines.filter_map(|line| line.split_once(':')).flat_map(|(_, services)| services.split_whitespace());
    let is_name = |word: &&str| {
        word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !matches!(*word, "files" | "dns")
    };
    // `[NOTFOUND=return]` says what to do, and is no service.
    words.filter(is_name).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use crate::fixture::{RBCONFIG, closure_of, tree};
    use testkit::elf::Elf;

    fn libc(version: &str) -> Vec<u8> {
        let text = format!(
            "GNU C Library (Debian GLIBC) stable release version {version}.\nlibgcc_s.so.1\0libidn2.so.0\0"
        );
        Elf::library("libc.so.6").payload(text).build()
    }

    fn library(name: &str) -> Vec<u8> {
        Elf::library(name).build()
    }

    #[test]
    fn what_libc_opens_by_name_comes_with_it() {
        for (version, old) in [("2.41", false), ("2.34", false), ("2.31", true)] {
            let tree = tree(&[
                ("/lib/libc.so.6", libc(version)),
                ("/lib/libgcc_s.so.1", library("libgcc_s.so.1")),
                ("/lib/libidn2.so.0", Elf::library("libidn2.so.0").needs("libunistring.so.5").build()),
                ("/lib/libunistring.so.5", library("libunistring.so.5")),
                ("/lib/libnss_files.so.2", library("libnss_files.so.2")),
                ("/lib/libnss_dns.so.2", library("libnss_dns.so.2")),
                ("/lib/libresolv.so.2", library("libresolv.so.2")),
                ("/etc/passwd", Vec::new()),
                ("/etc/shadow", Vec::new()),
                ("/usr/lib/locale/C.utf8/LC_CTYPE", Vec::new()),
                ("/usr/lib/locale/de_DE.utf8/LC_CTYPE", Vec::new()),
                ("/usr/lib/gconv/EUC-JP.so", Vec::new()),
            ]);
            let found = closure_of(&tree, &["/lib/libc.so.6"]);
            let of_libc = |line: &str| found.contains(&format!("{line} of /lib/libc.so.6"));
            assert!(of_libc("/lib/libgcc_s.so.1: unwinder of ended threads (libgcc_s.so.1)"));
            assert!(of_libc("/lib/libidn2.so.0: internationalized host names (libidn2.so.0)"));
            assert!(of_libc("/etc/passwd: database"));
            assert!(of_libc("/usr/lib/locale/C.utf8/LC_CTYPE: locale C.UTF-8"));
            assert!(
                found.contains(
                    &"/lib/libunistring.so.5: NEEDED libunistring.so.5 of /lib/libidn2.so.0".into()
                )
            );
            for name in ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"] {
                assert_eq!(of_libc(&format!("/lib/{name}: name service ({name})")), old, "{version} {name}");
            }
            assert!(
                !found
                    .iter()
                    .any(|line| line.contains("shadow") || line.contains("gconv") || line.contains("de_DE"))
            );
        }
    }

    #[test]
    fn what_ruby_goes_wrong_without_is_a_finding() {
        let findings = |tree: &rootfs::Tree, roots: &[&str]| {
            let found = closure_of(tree, roots);
            found.into_iter().filter(|line| line.starts_with("! ")).collect::<Vec<_>>()
        };
        let bare = [("/lib/libc.so.6", libc("2.31"))];
        let libraries = [
            "! /lib/libc.so.6: cannot find the library libgcc_s.so.1",
            "! /lib/libc.so.6: cannot find the library libnss_dns.so.2",
            "! /lib/libc.so.6: cannot find the library libnss_files.so.2",
            "! /lib/libc.so.6: cannot find the library libresolv.so.2",
        ];
        let data = [
            "! /lib/libc.so.6: cannot find /usr/lib/locale/C.utf8, its locale C.UTF-8",
            "! /lib/libc.so.6: cannot find /usr/share/zoneinfo, its time zones",
        ];
        let with_ruby = tree(&[&bare[..], &[(RBCONFIG.0, RBCONFIG.1.into())]].concat());
        let libc = "/lib/libc.so.6";
        assert_eq!(findings(&with_ruby, &[libc]), libraries, "a Ruby that nothing needs is none");
        assert_eq!(findings(&with_ruby, &[libc, RBCONFIG.0]), [&libraries[..], &data].concat());
    }

    #[test]
    fn services_that_the_switch_names() {
        let switch = "# passwd: none\npasswd:\tfiles systemd\nhosts: files mdns4_minimal [NOTFOUND=return] dns # winbind\nbad ../x\n";
        let tree = tree(&[
            ("/lib/libc.so.6", libc("2.41")),
            ("/lib/libgcc_s.so.1", library("libgcc_s.so.1")),
            ("/etc/nsswitch.conf", switch.into()),
            ("/lib/libnss_mdns4_minimal.so.2", library("libnss_mdns4_minimal.so.2")),
            ("/lib/libnss_winbind.so.2", library("libnss_winbind.so.2")),
            ("/lib/libnss_files.so.2", library("libnss_files.so.2")),
        ]);
        let found = closure_of(&tree, &["/lib/libc.so.6"]);
        let services: Vec<_> = found.iter().filter(|line| line.contains("libnss_")).collect();
        let wanted =
            "/lib/libnss_mdns4_minimal.so.2: name service (libnss_mdns4_minimal.so.2) of /lib/libc.so.6";
        assert_eq!(services, [wanted]);
        assert!(!found.iter().any(|line| line.starts_with("! ")), "{found:?}");
    }

    #[test]
    fn the_older_name_of_the_locale() {
        let tree =
            tree(&[("/lib/libc.so.6", libc("2.31")), ("/usr/lib/locale/C.UTF-8/LC_CTYPE", Vec::new())]);
        let wanted = "/usr/lib/locale/C.UTF-8: locale C.UTF-8 of /lib/libc.so.6";
        assert!(closure_of(&tree, &["/lib/libc.so.6"]).contains(&wanted.to_owned()));
    }
}

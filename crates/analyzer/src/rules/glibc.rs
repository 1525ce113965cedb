//! What glibc opens by name: `libgcc_s` to end a thread, modules of its name service, data in `/etc`, the locale that
//! images set (`C.UTF-8`), modules that convert encodings (gconv); each where a program calls what leads there
//! ([`LibcUse`]).
//!
//! Of the 250 modules for conversions a program that asks for one gets those that today's texts may need ([`CURRENT`]); that
//! others are left out is a finding, undecided, since a program has the names of old encodings from its arguments or its
//! texts. Libraries that could convert (libunistring, libxml2) get none: UTF-8, UCS-2, UCS-4 and ASCII are inside of glibc.
//! Whoever has texts in old encodings names `/usr/lib/*/gconv` as a root. Other locales than C.UTF-8 likewise.

use std::collections::BTreeSet;

use rootfs::{Kind, RootPath};

use super::Rule;
use crate::engine::{Answer, LIBC, Role, Strength, Visit};
use crate::finding::FindingKind;
use crate::libc_use::LibcUse;
use crate::loader::release;
use crate::scope::Scope;
use crate::search::{Defaults, resolve_text};

/// Databases that the functions of netdb.h, pwd.h and grp.h read (nsswitch.conf(5)), with their settings.
const DATA: [(&str, LibcUse); 9] = [
    (SWITCH, LibcUse::NAMES),
    ("/etc/passwd", LibcUse::USERS),
    ("/etc/group", LibcUse::USERS),
    ("/etc/hosts", LibcUse::HOSTS),
    ("/etc/host.conf", LibcUse::HOSTS),
    ("/etc/gai.conf", LibcUse::HOSTS),
    ("/etc/services", LibcUse::SERVICES),
    ("/etc/protocols", LibcUse::SERVICES),
    ("/etc/networks", LibcUse::SERVICES),
];

/// Which services are asked for names.
const SWITCH: &str = "/etc/nsswitch.conf";

/// What libc has inside: its folder of modules for encodings stands before this.
const CONVERSIONS: &[u8] = b"/gconv/gconv-modules.cache\0";

/// What conversions between Unicode and the encodings of the web take, beside what is inside: what glibc itself sets apart
/// from the modules for everything else, which distributors may leave out (`iconvdata/gconv-modules`, its NEWS for 2.34).
const CURRENT: [&str; 10] = [
    "gconv-modules",
    "gconv-modules.cache",
    "ANSI_X3.110.so",
    "CP1252.so",
    "ISO8859-1.so",
    "ISO8859-15.so",
    "UNICODE.so",
    "UTF-16.so",
    "UTF-32.so",
    "UTF-7.so",
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
        if visit.uses == LibcUse::NOTHING && !visit.is_first {
            return;
        }
        if let Some(bytes) = visit.library(LIBC) {
            self.libraries(scope, visit, bytes, answer);
            if visit.uses.has(LibcUse::LOCALES) {
                self.locale(scope, visit, answer);
            }
            if visit.uses.has(LibcUse::CONVERSION) {
                self.conversions(scope, visit, bytes, answer);
            }
            for (path, _) in DATA.iter().filter(|(_, uses)| visit.uses.has(*uses)) {
                answer.text(path.as_bytes(), self.reason(visit, "database"), Strength::Soft);
            }
        }
    }
}

impl Glibc {
    fn libraries(&self, scope: &Scope<'_>, visit: &Visit<'_>, bytes: &[u8], answer: &mut Answer<'_>) {
        let mut library = |name: &str, because, strength| {
            self.library(scope, visit, name, because, strength, answer);
        };
        let names = |name: &[u8]| memchr::memmem::find(bytes, name).is_some();
        // Of small cost where it is there; who ends no thread does without.
        let unwinding = if visit.uses.has(LibcUse::UNWINDING) { Strength::Hard } else { Strength::Soft };
        if (visit.is_first || unwinding == Strength::Hard) && names(b"libgcc_s.so.1\0") {
            library("libgcc_s.so.1", "unwinder of ended threads", unwinding);
        }
        if visit.uses.has(LibcUse::HOSTS) && names(b"libidn2.so.0\0") {
            library("libidn2.so.0", "internationalized host names", Strength::Soft);
        }
        if !visit.uses.has(LibcUse::NAMES) {
            return;
        }
        if release(bytes).is_some_and(|version| version < NAME_SERVICE_INSIDE) {
            for name in ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"] {
                library(name, "name service", Strength::Hard);
            }
        }
        for service in services(scope) {
            // glibc goes on to the next service where one is not there.
            library(&format!("libnss_{service}.so.2"), "name service", Strength::Soft);
        }
    }

    /// Modules of the folder that this libc was built with.
    fn conversions(&self, scope: &Scope<'_>, visit: &Visit<'_>, bytes: &[u8], answer: &mut Answer<'_>) {
        let Some(end) = memchr::memmem::find(bytes, CONVERSIONS) else { return };
        let start = memchr::memrchr(0, &bytes[..end]).map_or(0, |nul| nul + 1);
        let folder = [&bytes[start..end], b"/gconv"].concat();
        let Some(folder) = resolve_text(scope.tree, &folder) else { return };
        let reason = self.reason(visit, "conversions of encodings");
        let is_current = |path: &RootPath| CURRENT.iter().any(|name| name.as_bytes() == path.name());
        let (current, others): (Vec<_>, Vec<_>) =
            scope.tree.children(&folder.path).map(|(path, _)| path).partition(|path| is_current(path));
        answer.on_the_way(&folder.links, &reason, Strength::Soft);
        for path in current {
            answer.text(path.as_bytes(), reason.clone(), Strength::Soft);
        }
        if others.iter().any(|path| path.name().ends_with(b".so")) {
            let kind = FindingKind::ConversionsLeftOut { folder: folder.path };
            answer.find(Some(visit.path.clone()), kind);
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
        answer.data_below(path.as_bytes(), &self.reason(visit, "locale C.UTF-8"), Strength::ForRuby);
    }
}

/// The services that `nsswitch.conf` names and that no glibc has inside (nsswitch.conf(5)).
fn services(scope: &Scope<'_>) -> BTreeSet<String> {
    let entry = resolve_text(scope.tree, SWITCH.as_bytes()).and_then(|file| scope.tree.get(&file.path));
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
    use crate::fixture::{RBCONFIG, closure_of, path, tree};
    use testkit::elf::Elf;

    fn libc(version: &str) -> Vec<u8> {
        let text = format!(
            "GNU C Library (Debian GLIBC) stable release version {version}.\nlibgcc_s.so.1\0libidn2.so.0\0"
        );
        Elf::library("libc.so.6").payload(text).build()
    }

    /// A program that takes all of this from libc.
    fn program(functions: &[&str]) -> Vec<u8> {
        functions
            .iter()
            .fold(Elf::program().interpreter("/lib/ld.so"), |program, name| program.imports(name))
            .needs("libc.so.6")
            .build()
    }

    fn library(name: &str) -> Vec<u8> {
        Elf::library(name).build()
    }

    #[test]
    fn what_libc_opens_by_name_comes_with_it() {
        for (version, old) in [("2.41", false), ("2.34", false), ("2.31", true)] {
            let tree = tree(&[
                ("/bin/a", program(&["getaddrinfo", "getpwuid_r", "newlocale", "pthread_cancel"])),
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
            let found = closure_of(&tree, &["/bin/a"]);
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
        let bare = [
            ("/lib/libc.so.6", libc("2.31")),
            ("/bin/a", program(&["getpwnam", "pthread_exit"])),
            ("/lib/ld.so", library("ld-linux.so.2")),
        ];
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
        let (libc, program) = ("/lib/libc.so.6", "/bin/a");
        assert_eq!(findings(&with_ruby, &[libc]), [""; 0], "nothing calls it");
        assert_eq!(findings(&with_ruby, &[program]), libraries, "a Ruby that nothing needs is none");
        assert_eq!(findings(&with_ruby, &[libc, RBCONFIG.0]), [&libraries[..], &data].concat());
    }

    #[test]
    fn services_that_the_switch_names() {
        let switch = "# passwd: none\npasswd:\tfiles systemd\nhosts: files mdns4_minimal [NOTFOUND=return] dns # winbind\nbad ../x\n";
        let tree = tree(&[
            ("/bin/a", program(&["getservbyname"])),
            ("/lib/ld.so", library("ld-linux.so.2")),
            ("/lib/libc.so.6", libc("2.41")),
            ("/etc/nsswitch.conf", switch.into()),
            ("/lib/libnss_mdns4_minimal.so.2", library("libnss_mdns4_minimal.so.2")),
            ("/lib/libnss_winbind.so.2", library("libnss_winbind.so.2")),
            ("/lib/libnss_files.so.2", library("libnss_files.so.2")),
        ]);
        let found = closure_of(&tree, &["/bin/a"]);
        let services: Vec<_> = found.iter().filter(|line| line.contains("libnss_")).collect();
        let wanted =
            "/lib/libnss_mdns4_minimal.so.2: name service (libnss_mdns4_minimal.so.2) of /lib/libc.so.6";
        assert_eq!(services, [wanted]);
        assert!(!found.iter().any(|line| line.starts_with("! ")), "{found:?}");
    }

    #[test]
    fn the_older_name_of_the_locale() {
        let tree = tree(&[
            ("/bin/a", program(&["setlocale"])),
            ("/lib/libc.so.6", libc("2.31")),
            ("/usr/lib/locale/C.UTF-8/LC_CTYPE", Vec::new()),
        ]);
        let wanted = "/usr/lib/locale/C.UTF-8: locale C.UTF-8 of /lib/libc.so.6";
        assert!(closure_of(&tree, &["/bin/a"]).contains(&wanted.to_owned()));
    }

    /// What comes with libc where a program calls these functions: files that rules bring in, by their names.
    fn brought(functions: &[&str]) -> Vec<String> {
        let text =
            "stable release version 2.41.\nlibgcc_s.so.1\0libidn2.so.0\0/lib/gconv/gconv-modules.cache\0";
        let tree = tree(&[
            ("/bin/a", program(functions)),
            ("/lib/ld.so", library("ld-linux.so.2")),
            ("/lib/libc.so.6", Elf::library("libc.so.6").imports("iconv_open").payload(text).build()),
            ("/lib/libgcc_s.so.1", library("libgcc_s.so.1")),
            ("/lib/libidn2.so.0", library("libidn2.so.0")),
            ("/lib/gconv/UTF-16.so", Elf::dynamic().build()),
            ("/lib/gconv/gconv-modules.cache", Vec::new()),
            ("/etc/nsswitch.conf", Vec::new()),
            ("/etc/passwd", Vec::new()),
            ("/etc/hosts", Vec::new()),
            ("/etc/services", Vec::new()),
            ("/usr/lib/locale/C.utf8/LC_CTYPE", Vec::new()),
            ("/usr/share/zoneinfo/Asia/Tokyo", Vec::new()),
        ]);
        let found = closure_of(&tree, &["/bin/a"]);
        assert!(!found.iter().any(|line| line.starts_with("! ")), "{found:?}");
        let by_libc = found.iter().filter(|line| line.ends_with(" of /lib/libc.so.6"));
        let paths = by_libc.filter_map(|line| line.split_once(": ")).map(|(at, _)| path(at));
        let files = paths.filter(|path| tree.get(path).is_some_and(|entry| !entry.is_directory()));
        let names = files.map(|path| String::from_utf8_lossy(path.name()).into_owned());
        names.filter(|name| name != "libgcc_s.so.1").collect()
    }

    #[test]
    fn each_comes_with_the_functions_that_lead_to_it() {
        for (functions, wanted) in [
            (&[][..], &[][..]),
            (&["open", "iconv", "gmtime"], &[]),
            (&["localtime"], &["Tokyo"]),
            (&["setlocale"], &["LC_CTYPE"]),
            (&["getgrnam_r"], &["nsswitch.conf", "passwd"]),
            (&["getaddrinfo"], &["hosts", "nsswitch.conf", "services", "libidn2.so.0"]),
            (&["getservbyname"], &["nsswitch.conf", "services"]),
            (&["iconv_open"], &["UTF-16.so", "gconv-modules.cache"]),
        ] {
            assert_eq!(brought(functions), wanted, "{functions:?}");
        }
    }

    #[test]
    fn conversions_that_are_left_out_are_told() {
        let text = "/usr/lib/gconv/gconv-modules.cache\0";
        let converts = |object: Elf| object.needs("libc.so.6").imports("iconv_open").build();
        let files = tree(&[
            ("/bin/a", Elf::dynamic().needs("libxml2.so.2").build()),
            ("/bin/b", converts(Elf::dynamic())),
            ("/lib", b"-> usr/lib".to_vec()),
            ("/usr/lib/libxml2.so.2", converts(Elf::library("libxml2.so.2"))),
            ("/usr/lib/libc.so.6", Elf::library("libc.so.6").payload(text).build()),
            ("/usr/lib/gconv/UTF-16.so", Elf::dynamic().build()),
            ("/usr/lib/gconv/EUC-JP.so", Elf::dynamic().build()),
            ("/usr/lib/gconv/gconv-modules", Vec::new()),
        ]);
        let finding = "! /usr/lib/libc.so.6: is asked for conversions of encodings, for which only some modules of \
                       /usr/lib/gconv are taken: name that folder as a root where texts are in old encodings";
        for (roots, has_current, has_others, is_told) in [
            // A library that could convert.
            (&["/bin/a"][..], false, false, false),
            (&["/lib/libxml2.so.2"], true, false, true),
            (&["/bin/b"], true, false, true),
            (&["/bin/b", "/usr/lib/gconv"], true, true, false),
        ] {
            let found = closure_of(&files, roots);
            let has =
                |name: &str| found.iter().any(|line| line.starts_with(&format!("/usr/lib/gconv/{name}:")));
            assert_eq!(has("UTF-16.so"), has_current, "{roots:?}");
            assert_eq!(has("EUC-JP.so"), has_others, "{roots:?}");
            assert_eq!(found.contains(&finding.to_owned()), is_told, "{roots:?}: {found:#?}");
        }
    }
}

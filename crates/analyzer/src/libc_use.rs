//! What programs use of glibc that leads it to files by name: which of its functions the objects of a closure import. A file
//! that no function leads to is not needed, as `cat` needs no time zone.
//!
//! Invariants: an object whose symbols cannot be told uses everything; so does a Ruby, whose programs may call whatever it
//! knows. The parts of glibc itself use nothing: they call what somebody calls them for.

use std::ops::{BitOr, BitOrAssign};

use crate::elf::Object;
use crate::engine::Role;

/// A set of uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LibcUse(u8);

/// The start of a function of `std::chrono` for time zones, which libstdc++ reads itself.
const CHRONO: [&[u8]; 2] = [b"_ZNSt6chrono", b"_ZNKSt6chrono"];

/// The starts of the sonames of glibc's parts.
const PARTS: [&[u8]; 11] = [
    b"ld-linux",
    b"ld64.so",
    b"libc.so.",
    b"libanl.so.",
    b"libdl.so.",
    b"libnsl.so.",
    b"libnss_",
    b"libpthread.so.",
    b"libresolv.so.",
    b"librt.so.",
    b"libutil.so.",
];

impl LibcUse {
    pub(crate) const NOTHING: Self = Self(0);
    /// Local times (tzset(3)).
    pub(crate) const TIME_ZONES: Self = Self(1);
    /// Locales (setlocale(3), newlocale(3)).
    pub(crate) const LOCALES: Self = Self(1 << 1);
    /// Names of users and groups (getpwnam(3), getgrnam(3)).
    pub(crate) const USERS: Self = Self(1 << 2);
    /// Names and addresses of hosts (getaddrinfo(3)).
    pub(crate) const HOSTS: Self = Self(1 << 3);
    /// Names of services, protocols and networks (getservbyname(3)).
    pub(crate) const SERVICES: Self = Self(1 << 4);
    /// Threads that end before their function returns (`pthread_exit(3)`, `pthread_cancel(3)`), and backtraces.
    pub(crate) const UNWINDING: Self = Self(1 << 5);
    /// Conversion of texts from one encoding to another (`iconv_open(3)`).
    pub(crate) const CONVERSION: Self = Self(1 << 6);

    /// Whatever the name service knows (nsswitch.conf(5)).
    pub(crate) const NAMES: Self = Self(Self::USERS.0 | Self::HOSTS.0 | Self::SERVICES.0);
    /// Ruby has encodings of its own.
    pub(crate) const OF_RUBY: Self = Self(Self::CONVERSION.0 - 1);
    const EVERYTHING: Self = Self(Self::OF_RUBY.0 | Self::CONVERSION.0);

    /// What an object uses in this role.
    pub(crate) fn of(object: &Object<'_>, role: &Role) -> Self {
        if Self::is_of_libc(object) {
            return Self::NOTHING;
        }
        let Some(names) = object.imports.names() else { return Self::EVERYTHING };
        let uses = names.map(Self::of_function).fold(Self::NOTHING, BitOr::bitor);
        match role {
            // libstdc++ and many others could convert, for programs that ask for it with the name of an old encoding.
            Role::Needed => uses.without(Self::CONVERSION),
            Role::Own | Role::OpenedBy(_) => uses,
        }
    }

    /// Whether an object is a part of glibc.
    pub(crate) fn is_of_libc(object: &Object<'_>) -> bool {
        object.soname.is_some_and(|soname| PARTS.iter().any(|part| soname.starts_with(part)))
    }

    fn of_function(name: &[u8]) -> Self {
        // Variants: for threads (`_r`), for times of 64 bits on machines of 32, and glibc's own names (`__`).
        let plain = name.strip_prefix(b"__").unwrap_or(name);
        let plain = plain.strip_suffix(b"_r").unwrap_or(plain);
        let plain = plain.strip_suffix(b"64").unwrap_or(plain);
        match plain.strip_suffix(b"_r").unwrap_or(plain) {
            b"tzset" | b"tzname" | b"timezone" | b"daylight" | b"localtime" | b"mktime" | b"timelocal" | b"ctime"
            | b"getdate" | b"getdate_err" => Self::TIME_ZONES,
            b"setlocale" | b"newlocale" | b"duplocale" => Self::LOCALES,
            b"getpwnam" | b"getpwuid" | b"getpwent" | b"setpwent" | b"getgrnam" | b"getgrgid" | b"getgrent"
            | b"setgrent" | b"getgrouplist" | b"initgroups" | b"getspnam" | b"getspent" | b"getlogin" | b"cuserid"
            // They know `~user`.
            | b"glob" | b"wordexp" => Self::USERS,
            b"getaddrinfo" | b"getaddrinfo_a" | b"getnameinfo" | b"gethostbyname" | b"gethostbyname2"
            | b"gethostbyaddr" | b"gethostent" | b"sethostent" | b"res_init" | b"res_query" | b"res_search" | b"rcmd"
            | b"rexec" => Self::HOSTS | Self::SERVICES,
            b"getservbyname" | b"getservbyport" | b"getservent" | b"getprotobyname" | b"getprotobynumber"
            | b"getprotoent" | b"getnetbyname" | b"getnetbyaddr" | b"getnetent" => Self::SERVICES,
            b"pthread_exit" | b"pthread_cancel" | b"thrd_exit" | b"backtrace" => Self::UNWINDING,
            b"iconv_open" => Self::CONVERSION,
            _ if CHRONO.iter().any(|start| name.starts_with(start)) => Self::TIME_ZONES,
            _ => Self::NOTHING,
        }
    }

    /// Whether any of these uses is among them.
    pub(crate) fn has(self, uses: Self) -> bool {
        self.0 & uses.0 != 0
    }

    pub(crate) fn without(self, uses: Self) -> Self {
        Self(self.0 & !uses.0)
    }
}

impl BitOr for LibcUse {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for LibcUse {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_and_their_variants() {
        for (name, wanted) in [
            ("localtime", LibcUse::TIME_ZONES),
            ("__localtime64_r", LibcUse::TIME_ZONES),
            ("localtime_r", LibcUse::TIME_ZONES),
            ("__tzname", LibcUse::TIME_ZONES),
            ("gmtime", LibcUse::NOTHING),
            ("_ZNSt6chrono11locate_zoneESt17basic_string_viewIcSt11char_traitsIcEE", LibcUse::TIME_ZONES),
            ("__newlocale", LibcUse::LOCALES),
            ("getpwuid_r", LibcUse::USERS),
            ("glob64", LibcUse::USERS),
            ("getservbyname_r", LibcUse::SERVICES),
            ("pthread_create", LibcUse::NOTHING),
            ("pthread_exit", LibcUse::UNWINDING),
            ("iconv_open", LibcUse::CONVERSION),
            ("iconv", LibcUse::NOTHING),
            ("__", LibcUse::NOTHING),
            ("", LibcUse::NOTHING),
        ] {
            assert_eq!(LibcUse::of_function(name.as_bytes()), wanted, "{name}");
        }
        assert!(LibcUse::of_function(b"getaddrinfo").has(LibcUse::HOSTS));
        assert!(!LibcUse::OF_RUBY.has(LibcUse::CONVERSION));
        assert_eq!(LibcUse::OF_RUBY | LibcUse::CONVERSION, LibcUse::EVERYTHING);
    }
}

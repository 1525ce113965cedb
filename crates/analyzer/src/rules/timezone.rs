//! The C library reads time zones by name, and the local one from `/etc` (tzset(3)). With `TZ` set to a zone that is not
//! there, every time is in UTC, and nothing says so. A program that knows no local time needs none of them.

use super::Rule;
use crate::engine::{Answer, LIBC, Strength, Visit};
use crate::libc_use::LibcUse;
use crate::scope::Scope;

pub(super) struct TimeZone;

impl Rule for TimeZone {
    fn name(&self) -> &'static str {
        "timezone"
    }

    fn apply(&self, _: &Scope<'_>, visit: &Visit<'_>, answer: &mut Answer<'_>) {
        if visit.uses.has(LibcUse::TIME_ZONES) && visit.library(LIBC).is_some() {
            let zones = self.reason(visit, "time zones");
            answer.data_below(b"/usr/share/zoneinfo", &zones, Strength::ForRuby);
            for path in ["/etc/localtime", "/etc/timezone"] {
                answer.text(path.as_bytes(), self.reason(visit, "local time zone"), Strength::Soft);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{closure_of, tree};
    use testkit::elf::Elf;

    #[test]
    fn zones_and_the_local_one_come_with_who_tells_local_times() {
        let tree = tree(&[
            (
                "/lib/libc.so.6",
                Elf::library("libc.so.6").imports("tzset").payload("/usr/share/zoneinfo").build(),
            ),
            ("/bin/date", Elf::dynamic().needs("libc.so.6").imports("localtime_r").build()),
            ("/bin/chrono", Elf::dynamic().needs("libc.so.6").payload("\0/usr/share/zoneinfo\0").build()),
            ("/bin/cat", Elf::dynamic().needs("libc.so.6").imports("setlocale").exports("localtime").build()),
            ("/usr/share/zoneinfo/Asia/Tokyo", Vec::new()),
            ("/etc/localtime", b"-> /usr/share/zoneinfo/Asia/Tokyo".to_vec()),
        ]);
        for (program, is_used) in [("/bin/date", true), ("/bin/chrono", true), ("/bin/cat", false)] {
            let found = closure_of(&tree, &[program]);
            for line in [
                "/etc/localtime: local time zone of /lib/libc.so.6",
                "/usr/share/zoneinfo/Asia: time zones of /lib/libc.so.6",
                "/usr/share/zoneinfo/Asia/Tokyo: time zones of /lib/libc.so.6",
            ] {
                assert_eq!(found.contains(&line.to_owned()), is_used, "{program}: {line}");
            }
        }
    }
}

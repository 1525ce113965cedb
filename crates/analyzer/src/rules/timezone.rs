//! The C library reads time zones by name, and the local one from `/etc` (tzset(3)). With `TZ` set to a zone that is not
//! there, every time is in UTC, and nothing says so.

use super::Rule;
use crate::engine::{Answer, Strength, Visit};
use crate::scope::Scope;

pub(super) struct TimeZone;

impl Rule for TimeZone {
    fn name(&self) -> &'static str {
        "timezone"
    }

    fn apply(&self, _: &Scope<'_>, visit: &Visit<'_>, answer: &mut Answer<'_>) {
        if visit.is_first && visit.library(b"libc.so.").is_some() {
            let zones = self.reason(visit, "time zones");
            answer.below(b"/usr/share/zoneinfo", &zones, Strength::ForRuby);
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
    fn zones_and_the_local_one_come_with_libc() {
        let tree = tree(&[
            ("/lib/libc.so.6", Elf::library("libc.so.6").build()),
            ("/usr/share/zoneinfo/Asia/Tokyo", Vec::new()),
            ("/etc/localtime", b"-> /usr/share/zoneinfo/Asia/Tokyo".to_vec()),
        ]);
        let found = closure_of(&tree, &["/lib/libc.so.6"]);
        for line in [
            "/etc/localtime: local time zone of /lib/libc.so.6",
            "/usr/share/zoneinfo/Asia: time zones of /lib/libc.so.6",
            "/usr/share/zoneinfo/Asia/Tokyo: time zones of /lib/libc.so.6",
        ] {
            assert!(found.contains(&line.to_owned()), "{line}");
        }
    }
}

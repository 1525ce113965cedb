//! Whose the things in a container engine are: their names tell the process that made them, so that a later one finds
//! what a killed one has left behind.
//!
//! A process is told by its number, its start time, and the place from which it can be seen at all: this start of this
//! machine, this namespace of processes, this user. Of other places nothing is known, so nothing of theirs is touched.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;

use fs_err as fs;
use schema::Digest;

/// A process that makes things in a container engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    place: String,
    process: u32,
    /// In clock ticks since the start of the machine.
    started: u64,
}

impl Owner {
    /// This process.
    pub(crate) fn this() -> io::Result<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let namespace = fs::read_link("/proc/self/ns/pid")?;
        // Another user's processes may be hidden (`hidepid` of proc(5)).
        let user = fs::metadata("/proc/self")?.uid();
        let place = Digest::of(format!("{boot} {} {user}", namespace.display()).as_bytes());
        let process = std::process::id();
        Ok(Self { place: place.hex()[..16].to_owned(), process, started: started(process)? })
    }

    /// Who made a thing of this name; names end in an owner, a dash and a number.
    fn of(name: &str) -> Option<Self> {
        let mut words = name.rsplit('-').skip(1);
        let started = words.next()?.parse().ok()?;
        let process = words.next()?.parse().ok()?;
        Some(Self { place: words.next()?.to_owned(), process, started })
    }

    /// Those of the names, one a line, whose owner has certainly ended.
    pub(crate) fn left_behind<'a>(&self, names: &'a str) -> Vec<&'a str> {
        let dead = |owner: Self| owner.place == self.place && !owner.may_live();
        names.lines().map(str::trim).filter(|name| Self::of(name).is_some_and(dead)).collect()
    }

    fn may_live(&self) -> bool {
        match started(self.process) {
            Ok(started) => started == self.started,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}-{}", self.place, self.process, self.started)
    }
}

/// When a process started: field 22 of its `stat` (`proc_pid_stat(5)`), counted from behind the name in parentheses,
/// which is field 2 and may have anything in it.
fn started(process: u32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let started = fields.split_ascii_whitespace().nth(19).and_then(|field| field.parse().ok());
    started.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One that was here and has ended.
    pub(crate) fn dead() -> Owner {
        let mut process = std::process::Command::new("true").spawn().unwrap();
        process.wait().unwrap();
        Owner { process: process.id(), ..Owner::this().unwrap() }
    }

    #[test]
    fn only_what_certainly_has_no_owner_is_left_behind() {
        let this = Owner::this().unwrap();
        let again = Owner { started: this.started - 1, ..this.clone() };
        let elsewhere = Owner { place: "0123456789abcdef".to_owned(), ..dead() };
        let names = [
            format!("check-{this}-0"),
            format!("check-{}-12", dead()),
            format!("check-{again}-3"),
            format!("check-{elsewhere}-0"),
            format!("{}-0", dead()),
            "check".to_owned(),
            "check-1-2-3".to_owned(),
            "<none>".to_owned(),
            String::new(),
        ];
        let text = names.join("\r\n");
        assert_eq!(this.left_behind(&text), [names[1].as_str(), &names[2], &names[4]]);
    }

    #[test]
    fn a_name_tells_its_owner() {
        let this = Owner::this().unwrap();
        assert_eq!(Owner::of(&format!("a-b-{this}-7")), Some(this));
        assert_eq!(Owner::of("a-b-c-7"), None);
    }
}

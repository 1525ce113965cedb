//! Who the command is: id maps, limits, and the way from all capabilities of the namespace to none.

use std::io;

use rustix::io::Errno;
use rustix::process::{Gid, Pid, Resource, Rlimit, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::error::{Doing, Failure, Step};
use crate::wire::Setup;

/// How ids inside stand for ids outside (`user_namespaces(7)`).
pub(super) enum Mapping {
    /// Each id that the caller's own namespace has stands for itself; the text of the two maps.
    Every {
        users: String,
        groups: String,
        /// May supplementary groups be given up? Not where the caller's own namespace was made without that right.
        may_set_groups: bool,
    },
    /// The caller's one id outside is the one asked for inside.
    One { users: String, groups: String },
}

impl Mapping {
    /// Every id for who may set any id, else one.
    pub(super) fn choose(setup: &Setup) -> io::Result<Self> {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        let may_set = CapabilitySet::SETUID | CapabilitySet::SETGID;
        let held = rustix::thread::capabilities(None)?.effective;
        if uid.is_root() && held.contains(may_set) {
            let users = identity_map(&std::fs::read_to_string("/proc/self/uid_map")?);
            let groups = identity_map(&std::fs::read_to_string("/proc/self/gid_map")?);
            let denied = std::fs::read_to_string("/proc/self/setgroups")?.trim() == "deny";
            return Ok(Self::Every { users, groups, may_set_groups: !denied });
        }
        let users = format!("{} {} 1\n", setup.uid, uid.as_raw());
        let groups = format!("{} {} 1\n", setup.gid, gid.as_raw());
        Ok(Self::One { users, groups })
    }

    /// Gives the maps to the user namespace of `init`.
    pub(super) fn write(&self, init: Pid) -> io::Result<()> {
        let folder = format!("/proc/{}", init.as_raw_nonzero());
        let (users, groups) = match self {
            Self::Every { users, groups, .. } => (users, groups),
            Self::One { users, groups } => {
                // Without it the kernel refuses the group map of who may not set groups outside.
                std::fs::write(format!("{folder}/setgroups"), "deny")?;
                (users, groups)
            }
        };
        std::fs::write(format!("{folder}/uid_map"), users)?;
        std::fs::write(format!("{folder}/gid_map"), groups)
    }

    /// The ids that a process of the caller has to take on to look into the command's memory, if any: its owner may do
    /// so in a user namespace, otherwise who has the same ids (`ptrace(2)`).
    pub(super) fn ids_to_look_in(setup: &Setup) -> Option<(Uid, Gid)> {
        let (uid, gid) = (Uid::from_raw(setup.uid), Gid::from_raw(setup.gid));
        let own = (rustix::process::geteuid(), rustix::process::getegid());
        (!setup.root.is_namespaced() && own != (uid, gid)).then_some((uid, gid))
    }

    /// Makes the user owner of the output pipes, or opening `/dev/stdout` by name would be denied.
    pub(super) fn give_output(&self, setup: &Setup) -> io::Result<()> {
        if let Self::Every { .. } = self {
            let (uid, gid) = (Some(Uid::from_raw(setup.uid)), Some(Gid::from_raw(setup.gid)));
            rustix::fs::fchown(rustix::stdio::stdout(), uid, gid)?;
            rustix::fs::fchown(rustix::stdio::stderr(), uid, gid)?;
        }
        Ok(())
    }

    /// Becomes the user of the command, for good. The process can't be looked into from inside any more.
    pub(super) fn drop_privileges(&self, setup: &Setup) -> io::Result<()> {
        match empty_bounding_set() {
            // Who may not, has `no_new_privs` to the same end. Process 1 of a user namespace may.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !setup.root.is_namespaced() => {}
            other => other?,
        }
        if let Self::Every { may_set_groups: true, .. } = self {
            rustix::thread::set_thread_groups(&[])?;
        }
        let (uid, gid) = (Uid::from_raw(setup.uid), Gid::from_raw(setup.gid));
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)?;
        let none = CapabilitySet::empty();
        let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
        rustix::thread::set_capabilities(None, sets)?;
        rustix::thread::set_no_new_privs(true)?;
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
        Ok(())
    }
}

/// Lines of `uid_map` ("inside outside count") as a map in which each id inside stands for itself.
fn identity_map(own: &str) -> String {
    let mut map = String::new();
    for line in own.lines() {
        let mut fields = line.split_ascii_whitespace();
        if let (Some(inside), Some(_), Some(count)) = (fields.next(), fields.next(), fields.next()) {
            map.extend([inside, " ", inside, " ", count, "\n"]);
        }
    }
    map
}

/// What is not in the bounding set is never gained by `execve`, whoever the user (`capabilities(7)`).
fn empty_bounding_set() -> io::Result<()> {
    for number in 0..u64::BITS {
        match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(
            1 << number,
        )) {
            Ok(()) => {}
            // Past the last one that this kernel knows.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Sets the limits that the kernel holds for each process (`getrlimit(2)`).
pub(super) fn set_limits(setup: &Setup) -> Result<(), Failure> {
    let limits = setup.limits;
    // The init counts as a process of the same user. So do all others where the command has no namespace.
    let processes = if setup.root.is_namespaced() { limits.processes.saturating_add(1) } else { u64::MAX };
    for (resource, name, value) in [
        (Resource::Core, "RLIMIT_CORE", 0),
        (Resource::Data, "RLIMIT_DATA", limits.memory),
        (Resource::Fsize, "RLIMIT_FSIZE", limits.storage),
        (Resource::Nproc, "RLIMIT_NPROC", processes),
    ] {
        // Who may not raise a limit keeps the lower one.
        let ceiling = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let value = Some(value.min(ceiling));
        let limit = Rlimit { current: value, maximum: value };
        rustix::process::setrlimit(resource, limit).doing_to(Step::SetLimit, name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::identity_map;

    #[test]
    fn every_id_of_the_callers_namespace_stands_for_itself() {
        let cases = [
            ("         0          0 4294967295\n", "0 0 4294967295\n"),
            ("0 1000 1\n1 100000 65536\n", "0 0 1\n1 1 65536\n"),
            ("", ""),
            ("no map", ""),
        ];
        for (own, expected) in cases {
            assert_eq!(identity_map(own), expected, "{own:?}");
        }
    }
}

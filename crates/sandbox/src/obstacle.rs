//! What keeps a machine from making sandboxes, told from the step that failed and a few settings of the host.

use std::fmt;
use std::path::Path;

use crate::error::{Failure, Step};

/// What is missing, and is not the fault of the command or its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The kernel was told to allow none (`user.max_user_namespaces` is 0) or all it allows are taken.
    NamespaceLimit,
    /// Only root may make user namespaces (`kernel.unprivileged_userns_clone` is 0).
    UnprivilegedNamespaces,
    /// `AppArmor` strips user namespaces of their rights (`kernel.apparmor_restrict_unprivileged_userns` is 1).
    AppArmor,
    /// A filter on system calls, as container engines set it, forbids them.
    SystemCallFilter,
    /// They are denied for a reason that the kernel does not tell.
    Denied,
    /// The kernel was built without one of the namespaces, or is older than what they need.
    Kernel,
    /// `/proc` of the surrounding container is covered in part, so the kernel grants no new one.
    CoveredProc,
    /// The kernel has no overlay file system, or not for user namespaces.
    Overlay,
    /// The kernel cannot tell of system calls (`seccomp_unotify(2)`), or is none of x86-64 or ARM.
    Notifications,
    /// The kernel has no table of program formats for user namespaces (`binfmt_misc`), or this one has no user 0 to change it.
    Formats,
    /// The surrounding container has its own system calls told already, and the kernel tells one only.
    Notified,
}

impl Obstacle {
    /// What is behind a failure; `None` where the machine is not to blame.
    pub(crate) fn behind(failure: &Failure, host: Host) -> Option<Self> {
        let denied = matches!(failure.errno, libc::EPERM | libc::EACCES);
        match (failure.step, failure.errno) {
            (Step::FilterCalls, libc::EBUSY) => Some(Self::Notified),
            (Step::FilterCalls, libc::EINVAL | libc::ENOSYS) => Some(Self::Notifications),
            (Step::FilterCalls, _) if denied => Some(Self::SystemCallFilter),
            (Step::CreateNamespaces, libc::ENOSPC | libc::EUSERS) => Some(Self::NamespaceLimit),
            (Step::CreateNamespaces, libc::EINVAL | libc::ENOSYS) => Some(Self::Kernel),
            (Step::CreateNamespaces, _) if !denied => None,
            (step, _) if denied && is_privileged(step) => Some(host.denial(step)),
            (Step::StackLayers, libc::ENODEV | libc::EINVAL) => Some(Self::Overlay),
            (Step::RegisterEmulator, libc::ENODEV | libc::EPERM | libc::EOPNOTSUPP) => Some(Self::Formats),
            _ => None,
        }
    }

    /// What to do about it.
    pub(crate) fn hint(self) -> String {
        let remedy = match self {
            Self::NamespaceLimit => "raise `sysctl user.max_user_namespaces`",
            Self::UnprivilegedNamespaces => "set `sysctl kernel.unprivileged_userns_clone=1`",
            Self::AppArmor => "set `sysctl kernel.apparmor_restrict_unprivileged_userns=0`",
            Self::SystemCallFilter | Self::CoveredProc => {
                "run outside of the container, or in a privileged one"
            }
            Self::Denied => "run as root",
            Self::Kernel => "use Linux 5.11 or later with all namespaces",
            Self::Overlay => "load the module with `modprobe overlay`, on Linux 5.11 or later",
            Self::Notifications => return "use Linux 5.11 or later with seccomp filters".to_owned(),
            Self::Notified => return "run outside of the container".to_owned(),
            Self::Formats => return "use Linux 6.7 or later with binfmt_misc, as root".to_owned(),
        };
        format!("{remedy}; or use another engine: docker or podman")
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NamespaceLimit => "the kernel allows no further user namespace (user.max_user_namespaces)",
            Self::UnprivilegedNamespaces => {
                "user namespaces are for root only (kernel.unprivileged_userns_clone is 0)"
            }
            Self::AppArmor => {
                "AppArmor takes the rights from user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1)"
            }
            Self::SystemCallFilter => "a system call filter forbids it, as in most containers",
            Self::Denied => "the kernel denies namespaces",
            Self::Kernel => "the kernel lacks a kind of namespace",
            Self::CoveredProc => "the surrounding container covers parts of /proc",
            Self::Overlay => "the kernel has no overlay file system for user namespaces",
            Self::Notifications => "the kernel cannot tell of system calls (seccomp)",
            Self::Formats => "the kernel lets this user namespace run no programs of other machines (binfmt_misc)",
            Self::Notified => "the system calls of this process are told to somebody already, as in some containers",
        })
    }
}

/// Steps that need nothing but the rights of a fresh user namespace: denied, the machine is to blame.
fn is_privileged(step: Step) -> bool {
    matches!(
        step,
        Step::CreateNamespaces
            | Step::MapIds
            | Step::SetHostname
            | Step::RaiseLoopback
            | Step::MountStorage
            | Step::StackLayers
            | Step::EnterRoot
            | Step::MountProc
    )
}

/// The settings of a host that explain a denial.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Host {
    unprivileged_clone_denied: bool,
    apparmor_restricts: bool,
    filtered: bool,
}

impl Host {
    /// Reads the settings; what can't be read does not explain anything.
    pub(crate) fn read() -> Self {
        let setting = |path: &str, value: &str| {
            std::fs::read_to_string(Path::new("/proc/sys/kernel").join(path))
                .is_ok_and(|text| text.trim() == value)
        };
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let root = rustix::process::geteuid().is_root();
        Self {
            unprivileged_clone_denied: !root && setting("unprivileged_userns_clone", "0"),
            apparmor_restricts: !root && setting("apparmor_restrict_unprivileged_userns", "1"),
            filtered: status.lines().any(|line| line == "Seccomp:\t2"),
        }
    }

    fn denial(self, step: Step) -> Obstacle {
        match step {
            Step::CreateNamespaces if self.unprivileged_clone_denied => Obstacle::UnprivilegedNamespaces,
            _ if self.apparmor_restricts => Obstacle::AppArmor,
            Step::MountProc => Obstacle::CoveredProc,
            _ if self.filtered => Obstacle::SystemCallFilter,
            Step::StackLayers => Obstacle::Overlay,
            _ => Obstacle::Denied,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Host, Obstacle};
    use crate::error::{Failure, Step};

    const PLAIN: Host = Host { unprivileged_clone_denied: false, apparmor_restricts: false, filtered: false };
    const DEBIAN: Host = Host { unprivileged_clone_denied: true, ..PLAIN };
    const UBUNTU: Host = Host { apparmor_restricts: true, ..PLAIN };
    const CONTAINER: Host = Host { filtered: true, ..PLAIN };

    #[test]
    fn a_failure_is_traced_to_what_the_machine_lacks() {
        let cases = [
            (Step::CreateNamespaces, libc::ENOSPC, PLAIN, Some(Obstacle::NamespaceLimit)),
            (Step::CreateNamespaces, libc::EUSERS, CONTAINER, Some(Obstacle::NamespaceLimit)),
            (Step::CreateNamespaces, libc::EINVAL, PLAIN, Some(Obstacle::Kernel)),
            (Step::CreateNamespaces, libc::EPERM, DEBIAN, Some(Obstacle::UnprivilegedNamespaces)),
            (Step::CreateNamespaces, libc::EPERM, UBUNTU, Some(Obstacle::AppArmor)),
            (Step::CreateNamespaces, libc::EPERM, CONTAINER, Some(Obstacle::SystemCallFilter)),
            (Step::CreateNamespaces, libc::EPERM, PLAIN, Some(Obstacle::Denied)),
            (Step::CreateNamespaces, libc::ENOMEM, PLAIN, None),
            (Step::MapIds, libc::EACCES, UBUNTU, Some(Obstacle::AppArmor)),
            (Step::SetHostname, libc::EPERM, UBUNTU, Some(Obstacle::AppArmor)),
            (Step::MountProc, libc::EPERM, CONTAINER, Some(Obstacle::CoveredProc)),
            (Step::MountProc, libc::ENOTDIR, CONTAINER, None),
            (Step::StackLayers, libc::ENODEV, PLAIN, Some(Obstacle::Overlay)),
            (Step::StackLayers, libc::EPERM, PLAIN, Some(Obstacle::Overlay)),
            (Step::OpenLayer, libc::EACCES, UBUNTU, None),
            (Step::Execute, libc::EACCES, UBUNTU, None),
            (Step::FilterCalls, libc::EBUSY, CONTAINER, Some(Obstacle::Notified)),
            (Step::FilterCalls, libc::ENOSYS, PLAIN, Some(Obstacle::Notifications)),
            (Step::FilterCalls, libc::EPERM, PLAIN, Some(Obstacle::SystemCallFilter)),
            (Step::RegisterEmulator, libc::EPERM, PLAIN, Some(Obstacle::Formats)),
            (Step::RegisterEmulator, libc::ENODEV, CONTAINER, Some(Obstacle::Formats)),
            (Step::RegisterEmulator, libc::ENOENT, PLAIN, None),
            (Step::ChangeRoot, libc::EPERM, CONTAINER, None),
        ];
        for (step, errno, host, expected) in cases {
            let failure = Failure { step, subject: None, errno };
            assert_eq!(Obstacle::behind(&failure, host), expected, "{failure} on {host:?}");
        }
    }

    #[test]
    fn every_hint_names_the_other_engines() {
        for obstacle in [
            Obstacle::NamespaceLimit,
            Obstacle::UnprivilegedNamespaces,
            Obstacle::AppArmor,
            Obstacle::SystemCallFilter,
            Obstacle::Denied,
            Obstacle::Kernel,
            Obstacle::CoveredProc,
            Obstacle::Overlay,
        ] {
            assert!(obstacle.hint().ends_with("docker or podman"), "{obstacle}");
        }
    }
}

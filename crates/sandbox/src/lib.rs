//! A command in a root of its own: namespaces, limits, a loopback network, nothing left behind.
//!
//! Three processes take part. The **caller** uses this library and may have any number of threads. The **monitor** is
//! the caller's executable started anew (a [`Program`], which ends in [`init_main`]), so that nothing is ever forked
//! beside threads; it stays outside, maps the ids and ends everything when the caller goes away. The **init** is
//! process 1 of the new namespaces: it builds the root, gives up every privilege, starts the command and reaps.
//! They talk over one socket, which the monitor gets as its standard input.
//!
//! # What a command finds
//!
//! - Its own mount, process, IPC, host name, user, cgroup and network namespaces; `127.0.0.1` is up and is all the
//!   network there is.
//! - The layers of its [`Root`] under a writable one that is thrown away, `/proc` (read-only), a small `/dev`, an empty
//!   `/tmp`, `/etc/hosts` and `/etc/hostname` as container engines write them. No path of the host leads in.
//! - No capability, no way to get one (`no_new_privs`, empty bounding set, no further user namespace), umask 022,
//!   default signal handling, no open file but the standard three, no variable but those given.
//!
//! - Its own session, without a terminal to control: it can neither type for the person (`TIOCSTI`) nor signal a group
//!   of processes outside. Where a person is at it, the caller passes the terminal's signals on ([`Streams::Attached`]).
//!
//! # Root or not
//!
//! A caller that may set ids (root) maps every id it has: owners of files in layers count, and the command runs as
//! the very user asked for. Any other caller has one id to give: inside, it is the user asked for, and so is the
//! owner of everything that the caller owns outside.
//!
//! # What the limits hold
//!
//! No control group is used: where one may be made differs from machine to machine, and an empty one stays
//! behind when everything is killed. So [`Limits`] hold alike for root and others:
//!
//! - `time`: hard, for the whole tree.
//! - `storage`: hard, for all that is written outside of memory; also the most a single file may hold.
//! - `memory`: hard for the private memory of each process (`RLIMIT_DATA`: what it may write to, not what it merely
//!   reserves, as a just-in-time compiler does). For the sum over the tree the init looks every 50 ms and
//!   ends the tree when it is past the limit; pages that processes share count once for each.
//! - `processes`: hard (`RLIMIT_NPROC`), but for user 0 of a caller that is root: the kernel exempts that one, so
//!   there the same look every 50 ms ends the tree.
//!
//! # Needs
//!
//! Linux 5.11 (overlay in a user namespace). Before 6.6 a tmpfs keeps no user attributes, and there a folder of a
//! layer that was removed cannot be made again (`EIO`). Where user namespaces are denied, the error says what is missing
//! ([`SandboxError::Unsupported`]).

#![expect(
    clippy::disallowed_methods,
    reason = "a `Failure` names the path, and needs the bare number of the error"
)]

mod command;
mod error;
mod init;
mod obstacle;
mod running;
mod signals;
mod sys;
mod trace;
mod wire;

pub use command::{Command, Limits, Program, Root, Streams};
pub use error::{Failure, SandboxError, Step};
pub use init::init_main;
pub use obstacle::Obstacle;
pub use running::{Captured, Outcome, Status, run, trace};
pub use trace::{Access, Trace, Use};

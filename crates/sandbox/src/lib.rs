//! A command in a root of its own: namespaces, limits, a loopback network, nothing left behind; and, on request, every
//! file that it used.
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
//! - The layers of its [`Root`] under a writable one that is thrown away, `/proc` (read-only), a small `/dev`, a `/tmp`
//!   that any user may write to, with what the layers have there, `/etc/hosts` and `/etc/hostname` as container engines
//!   write them. No path of the host leads in, but for a folder that the caller gives it to work in ([`Workplace`]).
//! - No capability, no way to get one (`no_new_privs`, empty bounding set, no further user namespace), umask 022,
//!   default signal handling, no open file but the standard three, no variable but those given.
//! - Its own session, without a terminal to control, or with one that is its own ([`Streams::Terminal`]): it can neither
//!   type for the person (`TIOCSTI`) nor signal a group of processes outside. Where a person is at it, the caller passes
//!   signals on.
//! - Programs of another machine, where the caller has an emulator for them ([`Emulator`]): it is started by the kernel,
//!   and is no file of the root.
//!
//! # Without namespaces
//!
//! [`Root::Chroot`] and [`Root::InPlace`] are for where no namespace can be made, as in a container that builds an
//! image. Then the last two of these promises hold (user namespaces are denied by a filter on system calls then, and the
//! bounding set is not empty where the caller may not empty it), and:
//!
//! - The root is the folder, or the caller's own, as it is: what is written stays, nothing is mounted, the host name is
//!   the machine's. Processes and the network are the machine's too: the command may signal what runs as the same user,
//!   the monitor included.
//! - The tree ends with the command, its limits, or the caller all the same: the kernel gives orphans to the init, and
//!   to the monitor should the init be killed (`PR_SET_CHILD_SUBREAPER`). Only killing both at once leaves something.
//! - The user is the one asked for, which for a caller without the right to change ids is its own, or an error.
//!
//! It is less, and no boundary for hostile programs: a `chroot` without namespaces confines who has no privilege and
//! no open folder outside, and nothing but that.
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
//! - `storage`: hard, for all that is written outside of memory; also the most a single file may hold, which is all
//!   there is of it without namespaces.
//! - `memory`: hard for the private memory of each process (`RLIMIT_DATA`: what it may write to, not what it merely
//!   reserves, as a just-in-time compiler does). For the sum over the tree the init looks every 50 ms and
//!   ends the tree when it is past the limit; pages that processes share count once for each.
//! - `processes`: hard (`RLIMIT_NPROC`), but for user 0 of a caller that is root: the kernel exempts that one, so
//!   there, and without namespaces, the same look every 50 ms ends the tree.
//!
//! # Traces
//!
//! [`trace()`] has the kernel tell every call that takes a path (`seccomp_unotify(2)`) to a thread of the monitor, which
//! reads the path in the caller's memory, records it, and lets the kernel go on. So the command does what it would do,
//! but for this:
//!
//! - Each such call takes about 10 microseconds more.
//! - A signal whose handler was set without `SA_RESTART` may end a call that waits to be told with `EINTR`, which
//!   `stat` and `open` of a plain file do not know otherwise. Then nothing was done, and nothing is recorded.
//! - It finds no `io_uring` and cannot have its own calls told by `seccomp`.
//!
//! Not recorded are files that come over a socket, sockets themselves, and what the kernel opens by itself: the
//! interpreter of a `#!` line or a program header follows from the program that was executed. In namespaces memory is
//! read whatever a process does to hide it; without them that wants the same user and a program that does not hide
//! (`PR_SET_DUMPABLE`), or `CAP_SYS_PTRACE`. Where it cannot be read, the trace is an error.
//!
//! # Needs
//!
//! Linux 5.11 (overlay in a user namespace; notifications). Before 6.6 a tmpfs keeps no user attributes, and there a
//! folder of a layer that was removed cannot be made again (`EIO`). An [`Emulator`] needs 6.7. Where namespaces or
//! notifications are denied, the error says what is missing ([`SandboxError::Unsupported`]).

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
mod terminal;
mod trace;
mod wire;

pub use command::{Command, Emulator, Limits, Program, Root, Streams, Workplace};
pub use error::{Failure, SandboxError, Step};
pub use init::init_main;
pub use obstacle::Obstacle;
pub use running::{Captured, Outcome, Output, Status, run, trace, watch};
pub use trace::{Access, Trace, Use};

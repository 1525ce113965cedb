//! A person at a command: what is typed, and what is sent to the caller, reaches the command, and the caller lives on.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use crate::fixture::{Fixture, probe};

/// The two sides of a new terminal: the person's, and that of programs.
fn terminal() -> (File, File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let person = rustix::pty::openpt(flags).expect("a terminal");
    rustix::pty::grantpt(&person).expect("its owner");
    rustix::pty::unlockpt(&person).expect("it opens");
    let programs = rustix::pty::ioctl_tiocgptpeer(&person, flags).expect("its other side");
    (person.into(), programs.into())
}

/// A caller whose command is a script.
struct Session {
    /// What it reads and writes.
    person: File,
    caller: Child,
    said: String,
}

impl Session {
    /// As a person starts it: the job of a shell in the foreground of a terminal.
    fn on_terminal(fixture: &Fixture, script: &str) -> Self {
        let job = r#""$0" "$@"; echo "the job ended with $?""#;
        let mut command = Self::with_default_signals();
        command.args(["setsid", "--ctty", "sh", "-mc", job]).arg(probe());
        Self::start(command, fixture, script)
    }

    /// As another program starts it, with these signals ignored.
    fn without_terminal(fixture: &Fixture, ignored: &str, script: &str) -> Self {
        let mut command = Self::with_default_signals();
        command.args(["setsid", "sh", "-c", &format!(r#"trap "" {ignored}; exec "$0" "$@""#)]).arg(probe());
        Self::start(command, fixture, script)
    }

    /// Whoever runs the tests in the background may ignore signals, and a shell cannot undo that.
    fn with_default_signals() -> Command {
        let mut command = Command::new("env");
        command.arg("--default-signal");
        command
    }

    fn start(mut command: Command, fixture: &Fixture, script: &str) -> Self {
        let (person, programs) = terminal();
        fixture.add_shell();
        let stream = || Stdio::from(OwnedFd::from(programs.try_clone().expect("a copy")));
        let caller = command
            .arg("call")
            .arg(&fixture.layers[0])
            .args(["/bin/sh", "-c", script])
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .spawn()
            .expect("env, of coreutils, and setsid, of util-linux");
        Self { person, caller, said: String::new() }
    }

    /// Reads until this was said.
    fn hear(&mut self, text: &str) {
        let mut buffer = [0; 1024];
        while !self.said.contains(text) {
            let length =
                self.person.read(&mut buffer).unwrap_or_else(|error| panic!("{error}: {}", self.said));
            self.said.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    }

    fn type_in(&mut self, keys: &str) {
        self.person.write_all(keys.as_bytes()).expect("the terminal");
    }

    fn signal(&self, signal: Signal) {
        let caller = i32::try_from(self.caller.id()).ok().and_then(Pid::from_raw).expect("a process");
        rustix::process::kill_process(caller, signal).expect("it lives");
    }

    /// All that was said, when nobody is left to say more.
    fn end(mut self) -> String {
        let mut rest = Vec::new();
        // Thus a terminal says that its other side is closed.
        let error = self.person.read_to_end(&mut rest).expect_err("the end");
        assert_eq!(error.raw_os_error(), Some(libc::EIO));
        self.caller.wait().expect("its end");
        self.said + &String::from_utf8_lossy(&rest)
    }
}

#[test]
fn what_interrupts_is_for_the_command_and_all_it_started() {
    let fixture = Fixture::new();
    // The shell hears it as well, but goes on only when the other one has ended of it.
    let script = "trap 'echo heard' INT QUIT; /bin/probe sleep; exit 5";
    for key in ["\u{3}", "\u{1c}"] {
        let mut session = Session::on_terminal(&fixture, script);
        session.hear("asleep");
        session.type_in(key);
        let said = session.end();
        assert!(said.contains("heard\r\nExited(5)\r\nthe job ended with 0"), "{said}");
    }
    let mut session = Session::on_terminal(&fixture, "exec /bin/probe sleep");
    session.hear("asleep");
    session.type_in("\u{3}");
    let said = session.end();
    assert!(said.contains("Signaled(2)\r\nthe job ended with 0"), "{said}");
}

#[test]
fn suspending_leaves_nothing_behind() {
    let fixture = Fixture::new();
    let mut session = Session::on_terminal(&fixture, "echo ready; read line; echo \"heard $line\"");
    session.hear("ready");
    session.type_in("\u{1a}");
    session.type_in("all\r");
    let said = session.end();
    assert!(said.contains("heard all\r\nExited(0)\r\nthe job ended with 0"), "{said}");
}

#[test]
fn the_size_of_the_terminal_is_known_and_its_change_is_told() {
    let fixture = Fixture::new();
    let script = "trap '/bin/probe size; exit 0' WINCH; /bin/probe size; /bin/probe sleep & wait";
    let mut session = Session::on_terminal(&fixture, script);
    session.hear("0 rows, 0 columns");
    session.hear("asleep");
    let size = Winsize { ws_row: 50, ws_col: 132, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&session.person, size).expect("another size");
    let said = session.end();
    assert!(said.contains("50 rows, 132 columns\r\nExited(0)"), "{said}");
}

#[test]
fn signals_that_would_end_the_caller_are_for_the_command() {
    let fixture = Fixture::new();
    // A shell that waits hears a signal at any moment; one that reads may have come to the very call too late.
    let script = "for name in HUP INT QUIT TERM; do trap \"echo heard $name; exit 5\" $name; done; \
                  /bin/probe sleep & wait";
    for (signal, name) in
        [(Signal::HUP, "HUP"), (Signal::INT, "INT"), (Signal::QUIT, "QUIT"), (Signal::TERM, "TERM")]
    {
        let mut session = Session::without_terminal(&fixture, "USR1", script);
        session.hear("asleep");
        session.signal(signal);
        let said = session.end();
        assert!(said.contains(&format!("heard {name}\r\nExited(5)")), "{said}");
    }
}

#[test]
fn what_the_caller_ignores_is_not_for_the_command() {
    let fixture = Fixture::new();
    let script = "trap 'echo hung up' HUP; trap 'echo heard; exit 5' TERM; /bin/probe sleep & wait";
    let mut session = Session::without_terminal(&fixture, "HUP", script);
    session.hear("asleep");
    session.signal(Signal::HUP);
    session.signal(Signal::TERM);
    let said = session.end();
    assert!(said.contains("asleep\r\nheard\r\nExited(5)"), "{said}");
}

//! A person at a command: what is typed, and what is sent to the caller, reaches the command, and the caller lives on. The
//! command has the caller's streams, or a terminal of its own.

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
    /// As a person starts it: the job of a shell in the foreground of a terminal, whose streams the command has.
    fn on_terminal(fixture: &Fixture, script: &str) -> Self {
        Self::job(r#""$0" "$@"; echo "the job ended with $?""#, "call", fixture, script)
    }

    /// The same, and the command has a terminal of its own.
    fn on_own_terminal(fixture: &Fixture, script: &str) -> Self {
        let job = r#"stty rows 30 columns 90; before=$(stty -g)
            "$0" "$@"; echo "the job ended with $?"; test "$before" = "$(stty -g)" && echo "the terminal is as it was""#;
        Self::job(job, "call-on-terminal", fixture, script)
    }

    fn job(job: &str, call: &str, fixture: &Fixture, script: &str) -> Self {
        let mut command = Self::with_default_signals();
        command.args(["setsid", "--ctty", "sh", "-mc", job]).arg(probe());
        Self::start(command, call, fixture, script)
    }

    /// As another program starts it, with these signals ignored.
    fn without_terminal(fixture: &Fixture, ignored: &str, script: &str) -> Self {
        let mut command = Self::with_default_signals();
        command.args(["setsid", "sh", "-c", &format!(r#"trap "" {ignored}; exec "$0" "$@""#)]).arg(probe());
        Self::start(command, "call", fixture, script)
    }

    /// Whoever runs the tests in the background may ignore signals, and a shell cannot undo that.
    fn with_default_signals() -> Command {
        let mut command = Command::new("env");
        command.arg("--default-signal");
        command
    }

    fn start(mut command: Command, call: &str, fixture: &Fixture, script: &str) -> Self {
        let (person, programs) = terminal();
        fixture.add_shell();
        let stream = || Stdio::from(OwnedFd::from(programs.try_clone().expect("a copy")));
        let caller = command
            .arg(call)
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

    /// Signals the processes in the foreground of the terminal: the caller, where a shell has started it as a job.
    fn signal_foreground(&self, signal: Signal) {
        let group = rustix::termios::tcgetpgrp(&self.person).expect("a terminal that is somebody's");
        rustix::process::kill_process_group(group, signal).expect("it lives");
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

#[test]
fn a_terminal_of_its_own_is_what_the_command_controls() {
    let fixture = Fixture::new();
    let script = "echo ready; read line < /dev/tty; echo \"heard $line\" > /dev/tty; /bin/probe size; exit 5";
    let mut session = Session::on_own_terminal(&fixture, script);
    session.hear("ready");
    session.type_in("words\r");
    session.hear("30 rows, 90 columns");
    let said = session.end();
    // What is typed is shown once: by the command's terminal, and not by the caller's.
    assert_eq!(said.matches("words").count(), 2, "{said}");
    assert!(
        said.contains("heard words\r\n30 rows, 90 columns\r\nExited(5)\r\nthe job ended with 0"),
        "{said}"
    );
    assert!(said.contains("the terminal is as it was"), "{said}");
}

#[test]
fn keys_interrupt_and_suspend_what_is_in_the_foreground() {
    let fixture = Fixture::new();
    for key in ["\u{3}", "\u{1c}"] {
        let script = "trap 'echo heard' INT QUIT; /bin/probe sleep; exit 5";
        let mut session = Session::on_own_terminal(&fixture, script);
        session.hear("asleep");
        session.type_in(key);
        let said = session.end();
        assert!(said.contains("heard\r\nExited(5)\r\nthe job ended with 0"), "{said}");
    }
    // A shell with jobs: the suspended one stays, and the shell goes on.
    let script = "set -m; /bin/probe sleep; echo \"job $?\"; kill %1; wait %1; read line; echo \"heard $line\"; kill -9 $$";
    let mut session = Session::on_own_terminal(&fixture, script);
    session.hear("asleep");
    session.type_in("\u{1a}");
    session.hear("job 148");
    session.type_in("all\r");
    let said = session.end();
    assert!(said.contains("heard all\r\nSignaled(9)"), "{said}");
    assert!(said.contains("the terminal is as it was"), "{said}");
}

#[test]
fn its_size_follows_the_callers() {
    let fixture = Fixture::new();
    let script = "trap '/bin/probe size; exit 0' WINCH; /bin/probe size; /bin/probe sleep & wait";
    let mut session = Session::on_own_terminal(&fixture, script);
    session.hear("30 rows, 90 columns");
    session.hear("asleep");
    let size = Winsize { ws_row: 50, ws_col: 132, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&session.person, size).expect("another size");
    let said = session.end();
    assert!(said.contains("50 rows, 132 columns\r\nExited(0)"), "{said}");
}

#[test]
fn more_than_a_terminal_holds_is_shown_and_taken() {
    let fixture = Fixture::new();
    // It reads only after a while: meanwhile more is typed than a terminal keeps, so the caller has to wait with it.
    let script = "stty -icanon -echo; echo ready; n=0; while [ $n -lt 3000 ]; do echo 'a line that is shown'; n=$((n+1)); done; \
                  head -c 20000 | wc -c; stty icanon echo";
    for tool in ["stty", "head", "wc"] {
        fixture.install(std::path::Path::new(&format!("/bin/{tool}")), &format!("bin/{tool}"));
    }
    let script = format!("PATH=/bin; {script}");
    let mut session = Session::on_own_terminal(&fixture, &script);
    session.hear("ready");
    let mut keys = session.person.try_clone().expect("a copy");
    let typing = std::thread::spawn(move || keys.write_all(&vec![b'x'; 20000]));
    let said = session.end();
    typing.join().expect("no panic").expect("all is typed");
    assert_eq!(said.matches("a line that is shown").count(), 3000);
    assert!(said.contains("20000\r\nExited(0)"), "{}", &said[said.len().saturating_sub(200)..]);
}

#[test]
fn what_ends_the_caller_ends_the_command_on_its_terminal() {
    let fixture = Fixture::new();
    let script = "trap 'echo heard; exit 5' TERM; /bin/probe sleep & wait";
    let mut session = Session::on_own_terminal(&fixture, script);
    session.hear("asleep");
    session.signal_foreground(Signal::TERM);
    let said = session.end();
    assert!(said.contains("heard\r\nExited(5)"), "{said}");
    assert!(said.contains("the terminal is as it was"), "{said}");
}

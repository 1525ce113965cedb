//! A network of its own, with a door for the caller.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use sandbox::{SandboxError, Step};

use crate::fixture::{Fixture, NONROOT, command, errno, program};

/// Answers every question with a name and the question, until `accept` fails.
fn answer(listener: &TcpListener, name: &str) -> std::io::Error {
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                let mut question = String::new();
                stream.read_to_string(&mut question).expect("a question");
                write!(stream, "{name} heard {question}").expect("an answer");
            }
            Err(error) => return error,
        }
    }
}

#[test]
fn there_is_no_network_but_loopback() {
    let fixture = Fixture::new();
    assert_eq!(fixture.output(&["interfaces"]), "lo\nroutes 0");
    assert_eq!(fixture.output(&["connect", "192.0.2.1:80"]), errno(libc::ENETUNREACH));
    let host = TcpListener::bind("127.0.0.1:0").expect("a port of the host");
    let address = host.local_addr().expect("its address").to_string();
    TcpStream::connect(&address).expect("it is open outside");
    assert_eq!(fixture.output(&["connect", &address]), errno(libc::ECONNREFUSED));
    assert_eq!(fixture.output(&["listen", "8080"]), "done");
    assert_eq!(fixture.output(&["connect-to-itself", "127.0.0.1:0"]), "done");
    assert_eq!(fixture.output(&["connect-to-itself", "[::1]:0"]), "done");
}

#[test]
fn the_caller_serves_the_command_until_it_ends() {
    let fixture = Fixture::new();
    let mut ask = command(&["ask", "8080", "why"]);
    ask.listen = vec![8080];
    ask.uid = NONROOT;
    let mut ended = None;
    let serve = |listeners: Vec<TcpListener>| ended = Some(answer(&listeners[0], "caller"));
    let outcome = sandbox::run(&program(), &fixture.root, &ask, serve).expect("an outcome");
    assert_eq!(outcome.stdout.bytes, b"caller heard why\n");
    assert!(ended.is_some(), "accept went on after the end of the command");
}

#[test]
fn two_sandboxes_use_the_same_port() {
    let fixture = Fixture::new();
    let mut ask = command(&["ask", "80", "why"]);
    ask.listen = vec![80, 8080];
    let mut both = ["one", "two"]
        .map(|name| (name, sandbox::spawn(&program(), &fixture.root, &ask).expect("a running command")));
    let listeners = both.each_mut().map(|(name, running)| (*name, running.take_listeners()));
    std::thread::scope(|scope| {
        for (name, listeners) in &listeners {
            assert_eq!(listeners.len(), 2);
            assert_eq!(listeners[1].local_addr().expect("an address").port(), 8080);
            scope.spawn(|| answer(&listeners[0], name));
        }
        for (name, running) in both {
            let outcome = running.wait().expect("an outcome");
            assert_eq!(outcome.stdout.bytes, format!("{name} heard why\n").into_bytes());
        }
    });
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let fixture = Fixture::new();
    let mut command = command(&["exit", "0"]);
    command.listen = vec![8080, 8080];
    match fixture.try_run(&command) {
        Err(SandboxError::Failed(failure)) => {
            assert_eq!((failure.step, failure.errno), (Step::Listen, libc::EADDRINUSE));
            let expected =
                "cannot listen on `127.0.0.1:8080` for the sandbox: Address already in use (os error 98)";
            assert_eq!(failure.to_string(), expected);
        }
        other => panic!("{other:?}"),
    }
}

//! A network of its own.

use std::net::{TcpListener, TcpStream};

use crate::fixture::{Fixture, errno};

#[test]
fn there_is_no_network_but_loopback() {
    let fixture = Fixture::new();
    assert_eq!(fixture.output(&["interfaces"]), "lo\nroutes 0");
    assert_eq!(fixture.output(&["connect", "192.0.2.1:80"]), errno(libc::ENETUNREACH));
    let host = TcpListener::bind("127.0.0.1:0").expect("a port of the host");
    let address = host.local_addr().expect("its address");
    let (address, port) = (address.to_string(), address.port().to_string());
    TcpStream::connect(&address).expect("it is open outside");
    assert_eq!(fixture.output(&["connect", &address]), errno(libc::ECONNREFUSED));
    assert_eq!(fixture.output(&["listen", &port]), "done");
    assert_eq!(fixture.output(&["connect-to-itself", "127.0.0.1:0"]), "done");
    assert_eq!(fixture.output(&["connect-to-itself", "[::1]:0"]), "done");
}

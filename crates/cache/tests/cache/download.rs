//! Servers that do everything wrong, and what comes of it.

use std::fs;
use std::time::Duration;

use cache::{Client, Fault, FetchError, Limit, Limits, Options};
use schema::Digest;
use testkit::web::Reply::{self, *};
use testkit::web::Server;

use crate::{Counter, Workplace, client, impatient_client, limits, package, wanted};

fn raw(head: &str, body: &[u8]) -> Reply {
    Raw([head.as_bytes(), b"\r\n\r\n", body].concat())
}

/// A body whose end is the end of the connection.
fn unannounced(body: &[u8]) -> Reply {
    raw("HTTP/1.1 200 OK\r\nConnection: close", body)
}

/// These bytes, whatever was asked for.
fn whole(body: &[u8]) -> Reply {
    raw(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}", body.len()), body)
}

fn chunked(body: &[u8]) -> Reply {
    let size = format!("{:x}\r\n", body.len());
    raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", &[size.as_bytes(), body, b"\r\n0\r\n\r\n"].concat())
}

/// The first 1000 bytes, all of them wrong, and then nothing.
fn wrong_start() -> Reply {
    raw(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}", package().len()), &[7; 1000])
}

/// The part from byte 5 on, whatever was asked for.
fn other_part() -> Reply {
    let size = package().len();
    let head = format!(
        "HTTP/1.1 206 Partial\r\nContent-Range: bytes 5-{}/{size}\r\nContent-Length: {}",
        size - 1,
        size - 5
    );
    raw(&head, &package()[5..])
}

fn client_for(replies: &[Reply]) -> Client {
    let silent = replies.iter().any(|reply| matches!(reply, Hang | Stalled(_)));
    if silent { impatient_client() } else { client() }
}

#[test]
fn passing_faults_pass() {
    // What the server does in turn, and from which byte on each request wants it.
    let cases: &[(&str, &[Reply], &[usize])] = &[
        ("good", &[Good], &[0]),
        ("the server's own fault", &[Status(500), Status(503), Good], &[0, 0, 0]),
        ("too many requests", &[Status(429), Good], &[0, 0]),
        ("ends early", &[Truncated(1000), Good], &[0, 1000]),
        ("ends early twice", &[Truncated(1000), Truncated(500), Good], &[0, 1000, 1500]),
        ("ends early, has no ranges", &[Truncated(1000), WithoutRanges], &[0, 1000]),
        ("ends before the body", &[Truncated(0), Good], &[0, 0]),
        ("silent from the start", &[Hang, Good], &[0, 0]),
        ("falls silent", &[Stalled(1000), Good], &[0, 1000]),
        ("a wrong start", &[wrong_start(), Good, Good], &[0, 1000, 0]),
        ("another part", &[Truncated(1000), other_part(), Good], &[0, 1000, 0]),
        ("no such part", &[Truncated(1000), Status(416), Good], &[0, 1000, 0]),
        ("no length", &[unannounced(&package())], &[0]),
        ("no length, ends early", &[unannounced(&package()[..1000]), Good], &[0, 1000]),
        ("chunked", &[chunked(&package())], &[0]),
        ("the connection ends at once", &[Raw(Vec::new()), Good], &[0, 0]),
    ];
    for (name, replies, offsets) in cases {
        let place = Workplace::new();
        place.server.script("/package", replies.iter().cloned());
        let progress = Counter::default();
        let blob = client_for(replies).fetch(&place.store, &place.wanted(), &progress).expect(name);
        assert_eq!(**blob.content(), package(), "{name}");
        assert_eq!(place.offsets(), *offsets, "{name}");
        assert_eq!(progress.0.into_inner(), package().len() as u64, "{name}: progress counts each byte once");
        assert!(!place.partial().exists(), "{name}");
    }
}

#[test]
fn a_reset_connection_is_made_again() {
    let place = Workplace::new();
    place.server.script("/package", [Reset(1000), Good]);
    let blob = client().fetch(&place.store, &place.wanted(), &()).unwrap();
    assert_eq!(**blob.content(), package());
    assert_eq!(place.server.requests().len(), 2);
}

/// Faults that stay: how many requests are spent on them, and what the error says of the address `ADDRESS`.
#[test]
fn lasting_faults_are_told() {
    let size = package().len();
    let mut altered = package();
    *altered.last_mut().unwrap() ^= 1;
    let found = Digest::of(&altered);
    let expected = Digest::of(&package());
    let cases: &[(&[Reply], usize, String)] = &[
        (&[Status(404)], 1, "cannot find ADDRESS".into()),
        (&[Status(410)], 1, "cannot find ADDRESS".into()),
        (&[Status(403)], 1, "cannot download ADDRESS: the server answered with status 403".into()),
        (
            &[Status(500)],
            4,
            "cannot download ADDRESS: the server answered with status 500 (4 attempts)".into(),
        ),
        (&[Hang], 4, "cannot download ADDRESS: nothing came within 0.5 s (4 attempts)".into()),
        (
            &[Truncated(1000), whole(&altered)],
            2,
            format!("cannot download ADDRESS: expected {expected}, but the bytes are {found} (2 attempts)"),
        ),
        (&[Altered], 1, format!("cannot download ADDRESS: expected {expected}, but the bytes are {found}")),
        (
            &[Longer],
            1,
            format!("cannot download ADDRESS: expected {size} bytes, but the server has {}", size + 1),
        ),
        (
            &[unannounced(&[package(), vec![0]].concat())],
            1,
            format!("cannot download ADDRESS: the server sent more than {size} bytes"),
        ),
        (
            &[unannounced(&[])],
            4,
            format!("cannot download ADDRESS: the connection ended after 0 of {size} bytes (4 attempts)"),
        ),
        (
            &[Redirect("/package".into())],
            6,
            "cannot download ADDRESS: redirected to `ADDRESS`, after too many others".into(),
        ),
        (
            &[Redirect("ftp://example/package".into())],
            1,
            "cannot download ADDRESS: redirected to `ftp://example/package`, which is neither http nor https"
                .into(),
        ),
        (&[Raw(b"no HTTP\r\n\r\n".to_vec())], 1, "cannot download ADDRESS: protocol: ".into()),
    ];
    for (replies, requests, message) in cases {
        let place = Workplace::new();
        place.server.script("/package", replies.iter().cloned());
        let error = client_for(replies).fetch(&place.store, &place.wanted(), &()).unwrap_err();
        let expected = message.replace("ADDRESS", &place.server.url("/package"));
        assert!(error.to_string().starts_with(&expected), "{error}\n is not\n{expected}");
        assert_eq!(place.server.requests().len(), *requests, "{error}");
        assert!(!place.store.contains(&place.wanted().digest), "{error}");
        assert_eq!(matches!(error, FetchError::NotFound { .. }), message.starts_with("cannot find"));
    }
}

#[test]
fn a_server_that_drips_is_given_up() {
    let place = Workplace::new();
    place.server.script("/package", [Drip(Duration::from_millis(5))]);
    let limits = Limits { attempt: Duration::from_millis(200), slowest: u64::MAX, attempts: 1, ..limits() };
    let client = Client::new(Options { limits, ..Options::default() }).unwrap();
    match client.fetch(&place.store, &place.wanted(), &()).unwrap_err() {
        FetchError::Failed { failures } => {
            assert!(matches!(
                failures[..],
                [cache::Failure { fault: Fault::TimedOut { limit: Limit::Whole, .. }, .. }]
            ));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn the_next_address_is_tried_after_any_fault() {
    for fault in [Status(404), Status(500), Altered, Longer, Redirect("//".into())] {
        let place = Workplace::new();
        place.server.page("/bad", package()).script("/bad", [fault.clone()]);
        let nobody = "http://127.0.0.1:1/package".to_owned();
        let download = wanted([nobody, place.server.url("/bad"), place.server.url("/package")]);
        let blob =
            client().fetch(&place.store, &download, &()).unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(**blob.content(), package());
    }
}

#[test]
fn what_one_address_began_another_ends() {
    for fault in [Status(403), whole(b"please log in")] {
        let place = Workplace::new();
        place.server.page("/first", package()).script("/first", [Truncated(1000), fault]);
        let download = wanted([place.server.url("/first"), place.server.url("/package")]);
        client().fetch(&place.store, &download, &()).unwrap();
        assert_eq!(place.offsets(), [0, 1000, 1000]);
    }
}

#[test]
fn not_found_is_only_said_when_all_say_so() {
    let place = Workplace::new();
    place.server.script("/other", [Status(403)]);
    let missing = [place.server.url("/1"), place.server.url("/2")];
    let error = client().fetch(&place.store, &wanted(missing.clone()), &()).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot find {}; nor {}", missing[0], missing[1]));
    let mixed = wanted([place.server.url("/1"), place.server.url("/other")]);
    let error = client().fetch(&place.store, &mixed, &()).unwrap_err();
    assert!(matches!(&error, FetchError::Failed { failures } if failures.len() == 2), "{error}");
}

#[test]
fn redirects_are_followed() {
    let place = Workplace::new();
    let other = Server::start();
    other.page("/there", package()).script("/there", [Truncated(1000), Good]);
    place
        .server
        .script("/package", [Redirect("/moved".into())])
        .script("/moved", [Redirect(other.url("/there"))]);
    client().fetch(&place.store, &place.wanted(), &()).unwrap();
    let second = &other.requests()[1];
    assert_eq!(second.header("range"), Some("bytes=1000-"), "the range goes along");
}

#[test]
fn what_is_in_the_store_is_not_asked_for() {
    let place = Workplace::new();
    place.store.put(&package()).unwrap();
    let progress = Counter::default();
    let offline = Client::new(Options { offline: true, ..Options::default() }).unwrap();
    for client in [client(), offline] {
        client.fetch(&place.store, &place.wanted(), &progress).unwrap();
    }
    assert_eq!(progress.0.into_inner(), 2 * package().len() as u64);
    assert_eq!(place.server.requests(), []);
}

#[test]
fn offline_says_so() {
    let place = Workplace::new();
    let client = Client::new(Options { offline: true, ..Options::default() }).unwrap();
    let address = "http://user:secret@host.example/package";
    let error = client.fetch(&place.store, &wanted([address.to_owned()]), &()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot download http://host.example/package: offline, and it is not in the cache"
    );
    let error = client.fetch_bytes(address, 10).unwrap_err();
    assert!(matches!(error, FetchError::Offline { .. }) && error.hint().is_some());
}

#[test]
fn a_rotten_blob_is_fetched_again() {
    let place = Workplace::new();
    client().fetch(&place.store, &place.wanted(), &()).unwrap();
    let mut bytes = fs::read(place.blob()).unwrap();
    bytes[4321] ^= 0x10;
    fs::remove_file(place.blob()).unwrap();
    fs::write(place.blob(), bytes).unwrap();
    let blob = client().fetch(&place.store, &place.wanted(), &()).unwrap();
    assert_eq!(**blob.content(), package());
    assert_eq!(place.server.requests().len(), 2);
}

#[test]
fn what_an_earlier_run_left_is_used_if_it_is_good() {
    let longer = [package(), vec![0]].concat();
    let mut rotten = package();
    rotten[0] ^= 1;
    let cases: &[(&str, &[u8], &[usize])] = &[
        ("empty", b"", &[0]),
        ("a beginning", &package()[..1000], &[1000]),
        ("all but the last byte", &package()[..package().len() - 1], &[package().len() - 1]),
        ("everything, without its name", &package(), &[]),
        ("too much", &longer, &[0]),
        ("zeros, as after a power cut", &[0; 1000], &[1000, 0]),
        ("everything, rotten", &rotten, &[0]),
    ];
    for (name, left, offsets) in cases {
        let place = Workplace::new();
        fs::write(place.partial(), left).unwrap();
        let progress = Counter::default();
        let blob = client().fetch(&place.store, &place.wanted(), &progress).expect(name);
        assert_eq!(**blob.content(), package(), "{name}");
        assert_eq!(place.offsets(), *offsets, "{name}");
        assert_eq!(progress.0.into_inner(), package().len() as u64, "{name}");
    }
}

#[test]
fn nothing_is_a_blob_too() {
    let place = Workplace::new();
    place.server.page("/nothing", "");
    let download =
        cache::Download { urls: vec![place.server.url("/nothing")], size: 0, digest: Digest::of(b"") };
    assert_eq!(**client().fetch(&place.store, &download, &()).unwrap().content(), *b"");
}

#[test]
fn documents_come_whole_and_bounded() {
    let server = Server::start();
    server.page("/InRelease", "0123456789");
    let fetch = |limit| client().fetch_bytes(&server.url("/InRelease"), limit);
    assert_eq!(fetch(10).unwrap(), b"0123456789");
    assert!(fetch(9).unwrap_err().to_string().ends_with("the server sent more than 9 bytes"));
    server.script("/InRelease", [unannounced(b"0123456789")]);
    assert_eq!(fetch(10).unwrap(), b"0123456789");
    assert!(fetch(9).unwrap_err().to_string().ends_with("the server sent more than 9 bytes"));
    server.script("/InRelease", [Truncated(3), Status(502), Raw(Vec::new()), Good]);
    assert_eq!(fetch(10).unwrap(), b"0123456789");
    server.script("/InRelease", [Status(404)]);
    assert!(matches!(fetch(10), Err(FetchError::NotFound { .. })));
}

#[test]
fn connections_are_used_again() {
    let server = Server::start();
    server.page("/page", "page");
    let client = client();
    for _ in 0..5 {
        client.fetch_bytes(&server.url("/page"), 10).unwrap();
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn requests_go_through_a_proxy() {
    let proxy = Server::start();
    proxy.page("/package", package());
    let place = Workplace::new();
    let options = Options {
        http_proxy: Some(proxy.url("").replace("://", "://user:pass%20word@")),
        no_proxy: vec!["127.0.0.1".into()],
        limits: limits(),
        ..Options::default()
    };
    let client = Client::new(options).unwrap();
    let far = "http://mirror.example/package";
    client.fetch(&place.store, &wanted([far.to_owned()]), &()).unwrap();
    let asked = proxy.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].target, far, "the whole address, so that the proxy can keep it");
    assert_eq!(asked[0].header("host"), Some("mirror.example"));
    assert_eq!(asked[0].header("proxy-authorization"), Some("Basic dXNlcjpwYXNzIHdvcmQ="));
    client.fetch_bytes(&place.server.url("/package"), 1_000_000).unwrap();
    assert_eq!(place.server.requests().len(), 1, "a host that needs no proxy is asked itself");
    assert_eq!(place.server.requests()[0].header("proxy-authorization"), None);
}

#[test]
fn protected_requests_go_through_a_tunnel() {
    let (proxy, server) = (Server::start(), Server::start());
    let options = Options { https_proxy: Some(proxy.url("")), limits: limits(), ..Options::default() };
    let client = Client::new(options).unwrap();
    let address = server.url("/page").replace("http:", "https:");
    // The server at the end speaks no TLS: that the tunnel was made is all there is to see.
    client.fetch_bytes(&address, 10).unwrap_err();
    let asked = &proxy.requests()[0];
    assert_eq!(
        (asked.method.as_str(), asked.target.as_str()),
        ("CONNECT", &server.url("")["http://".len()..])
    );
}

#[test]
fn a_proxy_that_is_none_is_refused() {
    for address in ["http://", "socks5://host:1080", "http://user:secret@", "ftp://host"] {
        let options = Options { http_proxy: Some(address.into()), ..Options::default() };
        let error = Client::new(options).unwrap_err();
        assert!(
            error.to_string().starts_with("cannot use the proxy `") && !error.to_string().contains("secret")
        );
    }
    assert!(Client::new(Options { http_proxy: Some(String::new()), ..Options::default() }).is_ok());
}

#[test]
fn passwords_are_not_shown() {
    let server = Server::start();
    let address = server.url("/missing").replace("://", "://user:secret@");
    let error = client().fetch_bytes(&address, 10).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot find {}", server.url("/missing")));
    for address in ["http://user:secret@[::1", "not an address", "user:secret@host"] {
        let error = client().fetch_bytes(address, 10).unwrap_err();
        let message = error.to_string();
        assert!(
            message.ends_with(": this is no http or https address") && !message.contains("secret"),
            "{message}"
        );
    }
}

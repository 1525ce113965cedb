//! Requests of every kind: what is sent, what comes back, and who is told who we are.

use std::sync::atomic::Ordering;

use cache::{Client, Fault, Method, Options, Request, Upload};
use testkit::web::{Answer, Reply, Server};

use crate::{Counter, client, limits};

#[test]
fn a_body_is_sent_and_an_answer_is_read_up_to_its_limit() {
    let server = Server::start();
    let made = Answer::new(201)
        .header("Location", "/there?x=1")
        .header("X-Two", "a")
        .header("X-Two", "b")
        .body("0123456789");
    server.script("PUT /page", [Reply::Answer(made)]);
    let url = server.url("/page");
    let progress = Counter::default();
    let body = Upload { bytes: &vec![7; 300_000], progress: &progress };
    let request = Request { body: Some(body), limit: 10, ..Request::new(Method::Put, &url) };
    let answer = client().exchange(&request).unwrap();
    assert_eq!((answer.status, answer.body.as_slice(), answer.is_cut), (201, &b"0123456789"[..], false));
    assert_eq!(answer.location().unwrap(), server.url("/there?x=1"));
    assert_eq!(answer.headers("x-two").collect::<Vec<_>>(), ["a", "b"]);
    assert!(answer.passing_fault().is_none());
    assert_eq!(progress.0.load(Ordering::Relaxed), 300_000);
    let answer = client().exchange(&Request { limit: 9, ..request }).unwrap();
    assert_eq!((answer.body.as_slice(), answer.is_cut), (&b"012345678"[..], true));
    let requests = server.requests();
    assert_eq!((requests[0].body.len(), requests[0].header("content-length")), (300_000, Some("300000")));
}

#[test]
fn an_answer_without_a_body_and_a_request_with_an_empty_one() {
    let server = Server::start();
    server.page("/page", "0123456789");
    let url = server.url("/page");
    let answer = client().exchange(&Request::new(Method::Head, &url)).unwrap();
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("10")));
    let empty = Upload { bytes: &[], progress: &() };
    client().exchange(&Request { body: Some(empty), ..Request::new(Method::Post, &url) }).unwrap();
    assert_eq!(server.requests()[1].header("content-length"), Some("0"));
}

#[test]
fn an_authorization_stays_with_its_origin() {
    let (server, other) = (Server::start(), Server::start());
    other.page("/page", "elsewhere");
    server
        .script("/away", [Reply::Redirect(other.url("/page"))])
        .script("/near", [Reply::Redirect("/away".into())]);
    let url = server.url("/near");
    let request = Request { authorization: Some("Bearer x"), limit: 100, ..Request::new(Method::Get, &url) };
    let answer = client().exchange(&request).unwrap();
    assert_eq!((answer.body.as_slice(), answer.url), (&b"elsewhere"[..], other.url("/page")));
    let told = |server: &Server| -> Vec<bool> {
        server.requests().iter().map(|request| request.header("authorization").is_some()).collect()
    };
    assert_eq!((told(&server), told(&other)), (vec![true, true], vec![false]));
}

#[test]
fn what_is_posted_follows_only_who_asks_for_the_same_again() {
    let server = Server::start();
    let to = |status: u16| Reply::Answer(Answer::new(status).header("Location", "/there"));
    server
        .script("/302", [to(302)])
        .script("/307", [to(307)])
        .script("/there", [Reply::Answer(Answer::new(204))]);
    for (path, status) in [("/302", 302), ("/307", 204)] {
        let url = server.url(path);
        let body = Upload { bytes: b"abc", progress: &() };
        let answer =
            client().exchange(&Request { body: Some(body), ..Request::new(Method::Post, &url) }).unwrap();
        assert_eq!(answer.status, status);
    }
    assert_eq!(server.requests()[2].body, b"abc");
}

#[test]
fn a_proxy_that_forwards_gets_whole_addresses_of_every_method_and_bodies_as_they_are() {
    let proxy = Server::start();
    proxy.page("/page", "through");
    let options = Options { http_proxy: Some(proxy.url("")), limits: limits(), ..Options::default() };
    let client = Client::new(options).unwrap();
    let url = "http://host.example/page";
    // A body that begins as a request does, and is sent in several pieces.
    let body = b"GET / HTTP/1.1\r\n".repeat(40_000);
    for method in [Method::Put, Method::Post, Method::Head, Method::Get] {
        let body =
            matches!(method, Method::Put | Method::Post).then_some(Upload { bytes: &body, progress: &() });
        client.exchange(&Request { body, limit: 100, ..Request::new(method, url) }).unwrap();
    }
    let requests = proxy.requests();
    let asked: Vec<String> = requests.iter().map(|one| format!("{} {}", one.method, one.target)).collect();
    assert_eq!(asked, ["PUT", "POST", "HEAD", "GET"].map(|method| format!("{method} {url}")));
    assert!(requests[0].body == body && requests[1].body == body);
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn attempts_end_with_a_success_a_lasting_fault_or_patience() {
    let client = client();
    let server = Server::start();
    server.script("/page", [Reply::Status(503), Reply::Raw(Vec::new()), Reply::Status(404)]);
    let url = server.url("/page");
    let ask = || {
        let answer = client.exchange(&Request::new(Method::Get, &url))?;
        answer.passing_fault().map_or(Ok(answer.status), Err)
    };
    assert_eq!(client.attempts(&url, ask).unwrap(), 404);
    assert_eq!(server.requests().len(), 3);
    let wait = Answer::new(429).header("Retry-After", "31");
    server.script("/page", [Reply::Answer(wait)]);
    let failure = client.attempts(&url, ask).unwrap_err();
    assert_eq!(failure.attempts, 1, "who asks for more than is heeded is not asked again");
    assert!(matches!(failure.fault, Fault::Status { status: 429, .. }));
}

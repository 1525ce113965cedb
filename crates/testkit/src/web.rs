//! A web server on loopback that does what a test tells it to, also the wrong thing, and remembers what it was asked.
//!
//! It serves bytes by path. Each path may have a script: one [`Reply`] for each request to it, the last of them for
//! all further ones; a script for a method and a path, as `PUT /path`, goes before one for the path alone, both may
//! have a query or leave it out, and one for a method alone comes last. As an HTTP proxy it answers for every host from
//! the same paths, and as a tunnel it connects to where it was asked to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// What the server does when it is asked for a path.
#[derive(Debug, Clone)]
pub enum Reply {
    /// The bytes, or the part of them that was asked for.
    Good,
    /// The bytes, all of them whatever was asked for.
    WithoutRanges,
    /// The bytes, but the last one is another.
    Altered,
    /// The announced bytes and one more, with the length of both announced.
    Longer,
    /// As `Good`, but only once [`Server::release`] was called.
    Held,
    /// As `Good`, one byte after each pause.
    Drip(Duration),
    /// As `Good`, but the connection ends after that many bytes of the body.
    Truncated(usize),
    /// As `Truncated`, but the connection is reset.
    Reset(usize),
    /// As `Truncated`, but the connection stays open and silent.
    Stalled(usize),
    /// No answer, and the connection stays open.
    Hang,
    /// A status and a short text.
    Status(u16),
    /// A status, headers and a body of one's own.
    Answer(Answer),
    /// A redirect (302) to that address.
    Redirect(String),
    /// These bytes in place of an answer, and the end of the connection.
    Raw(Vec<u8>),
}

/// An answer as an API gives it.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    /// An answer without a body.
    pub fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut head =
            format!("HTTP/1.1 {} Scripted\r\nContent-Length: {}\r\n", self.status, self.body.len());
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }
}

/// What the server was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `PUT` and so on, or `CONNECT`.
    pub method: String,
    /// The target as it was sent: a path, or for a proxy an address, or a host and a port.
    pub target: String,
    /// What was sent with it.
    pub body: Vec<u8>,
    headers: BTreeMap<String, String>,
}

impl Request {
    /// The value of a header; its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// A running server. It ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    site: Mutex<Site>,
    released: Mutex<bool>,
    on_release: Condvar,
    on_request: Condvar,
    connections: AtomicUsize,
    ended: AtomicBool,
}

#[derive(Debug, Default)]
struct Site {
    pages: BTreeMap<String, Vec<u8>>,
    /// In reverse order, so that the next reply is the last.
    scripts: BTreeMap<String, Vec<Reply>>,
    requests: Vec<Request>,
}

impl Server {
    /// Starts a server that has nothing yet.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let address = listener.local_addr().expect("the address of a bound socket");
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.ended.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let state = Arc::clone(&shared);
                // A client that goes away is none of the server's concern.
                thread::spawn(move || drop(serve(stream, &state)));
            }
        });
        Self { address, state }
    }

    /// The address of a path, which starts with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Puts bytes at a path.
    pub fn page(&self, path: &str, bytes: impl Into<Vec<u8>>) -> &Self {
        self.site().pages.insert(path.to_owned(), bytes.into());
        self
    }

    /// Says what happens at a path, or at a method and a path: the first reply to the next request, and so on; the last one stays.
    pub fn script(&self, path: &str, replies: impl IntoIterator<Item = Reply>) -> &Self {
        let mut replies: Vec<_> = replies.into_iter().collect();
        replies.reverse();
        self.site().scripts.insert(path.to_owned(), replies);
        self
    }

    /// Everything it was asked so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.site().requests.clone()
    }

    /// Waits until it was asked that many times.
    pub fn wait_for_requests(&self, count: usize) {
        let site = self.site();
        drop(self.state.on_request.wait_while(site, |site| site.requests.len() < count));
    }

    /// How many connections there were so far.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Lets the [`Reply::Held`] ones go.
    pub fn release(&self) {
        *locked(&self.state.released) = true;
        self.state.on_release.notify_all();
    }

    fn site(&self) -> MutexGuard<'_, Site> {
        locked(&self.state.site)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.release();
        self.state.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        drop(TcpStream::connect(self.address));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection, request after request.
fn serve(mut stream: TcpStream, state: &State) -> io::Result<()> {
    while let Some(head) = peek_head(&stream)? {
        let mut request = parse(&head);
        let path = path_of(&request.target).to_owned();
        let (reply, page) = {
            let mut site = locked(&state.site);
            (next_reply(&mut site, &request.method, &path), site.pages.get(&path).cloned())
        };
        if let Some(Reply::Reset(sent)) = reply {
            state.remember(&request);
            // Closing with the request unread resets the connection.
            let page = page.unwrap_or_default();
            return stream.write_all(&answer(&page, &request, sent, page.len()));
        }
        stream.read_exact(&mut vec![0; head.len()])?;
        let length = request.header("content-length").and_then(|length| length.parse().ok());
        request.body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut request.body)?;
        state.remember(&request);
        let send = |stream: &mut TcpStream, bytes: &[u8]| stream.write_all(answer_to(&request, bytes));
        if request.method == "CONNECT" {
            return tunnel(stream, &request.target);
        }
        match (reply.unwrap_or(Reply::Good), page) {
            (Reply::Status(status), _) => send(&mut stream, &plain(status, ""))?,
            (Reply::Answer(answer), _) => send(&mut stream, &answer.bytes())?,
            (Reply::Redirect(to), _) => send(&mut stream, &plain(302, &format!("Location: {to}\r\n")))?,
            (Reply::Raw(bytes), _) => return stream.write_all(&bytes),
            (Reply::Hang, _) => return wait_for_end(&mut stream),
            (_, None) => send(&mut stream, &plain(404, ""))?,
            (reply, Some(page)) => {
                if send_page(&mut stream, state, &request, &reply, page)? == Then::Close {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Then {
    Continue,
    Close,
}

fn send_page(
    stream: &mut TcpStream,
    state: &State,
    request: &Request,
    reply: &Reply,
    mut page: Vec<u8>,
) -> io::Result<Then> {
    let size = page.len();
    let good = answer(&page, request, size, size);
    match reply {
        Reply::WithoutRanges => {
            let request = Request { headers: BTreeMap::new(), ..request.clone() };
            stream.write_all(&answer(&page, &request, size, size))?;
        }
        Reply::Altered => {
            if let Some(last) = page.last_mut() {
                *last ^= 1;
            }
            stream.write_all(&answer(&page, request, size, size))?;
        }
        Reply::Longer => {
            page.push(0);
            stream.write_all(&answer(&page, request, size + 1, size + 1))?;
        }
        Reply::Truncated(sent) => {
            stream.write_all(&answer(&page, request, *sent, size))?;
            return Ok(Then::Close);
        }
        Reply::Stalled(sent) => {
            stream.write_all(&answer(&page, request, *sent, size))?;
            wait_for_end(stream)?;
            return Ok(Then::Close);
        }
        Reply::Drip(pause) => {
            drip(stream, &good, *pause)?;
            return Ok(Then::Close);
        }
        Reply::Held => {
            let released = locked(&state.released);
            drop(state.on_release.wait_while(released, |released| !*released));
            stream.write_all(&good)?;
        }
        _ => stream.write_all(answer_to(request, &good))?,
    }
    Ok(Then::Continue)
}

/// One byte after each pause, until the client goes away.
fn drip(stream: &mut TcpStream, bytes: &[u8], pause: Duration) -> io::Result<()> {
    stream.set_read_timeout(Some(pause))?;
    for byte in bytes {
        stream.write_all(&[*byte])?;
        if matches!(stream.peek(&mut [0]), Ok(0)) {
            break;
        }
    }
    Ok(())
}

impl State {
    fn remember(&self, request: &Request) {
        locked(&self.site).requests.push(request.clone());
        self.on_request.notify_all();
    }
}

fn next_reply(site: &mut Site, method: &str, target: &str) -> Option<Reply> {
    let path = target.split('?').next().unwrap_or(target);
    let names = [
        format!("{method} {target}"),
        format!("{method} {path}"),
        target.to_owned(),
        path.to_owned(),
        method.to_owned(),
    ];
    let name = names.into_iter().find(|name| site.scripts.contains_key(name))?;
    let script = site.scripts.get_mut(&name)?;
    if script.len() > 1 { script.pop() } else { script.last().cloned() }
}

/// What goes over the wire of an answer: without a body where a head was asked for.
fn answer_to<'a>(request: &Request, bytes: &'a [u8]) -> &'a [u8] {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    match head {
        Some(end) if request.method == "HEAD" => &bytes[..end + 4],
        _ => bytes,
    }
}

/// The head and the body of the answer with `page`, of which only `sent` bytes are there, though `size` are announced.
fn answer(page: &[u8], request: &Request, sent: usize, size: usize) -> Vec<u8> {
    let start = request.header("range").and_then(range_start);
    let mut head = String::new();
    let body = match start {
        Some(start) if start >= page.len() => {
            return plain(416, &format!("Content-Range: bytes */{size}\r\n"));
        }
        Some(start) => {
            let last = size - 1;
            let _ = write!(head, "HTTP/1.1 206 Partial\r\nContent-Range: bytes {start}-{last}/{size}\r\n");
            let _ = write!(head, "Content-Length: {}\r\n\r\n", size - start);
            &page[start..]
        }
        None => {
            let _ = write!(head, "HTTP/1.1 200 OK\r\nAccept-Ranges: bytes\r\nContent-Length: {size}\r\n\r\n");
            page
        }
    };
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&body[..sent.min(body.len())]);
    bytes
}

fn plain(status: u16, headers: &str) -> Vec<u8> {
    let body = format!("status {status}\n");
    format!("HTTP/1.1 {status} Scripted\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

fn range_start(value: &str) -> Option<usize> {
    value.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

/// The head of the next request, which stays in the socket. `None` when the client ends the connection. What starts
/// otherwise than a method, such as TLS, is an error.
fn peek_head(stream: &TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = stream.peek(&mut buffer)?;
        if count == 0 {
            return Ok(None);
        }
        let end = buffer[..count].windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            buffer.truncate(end + 4);
            return Ok(Some(buffer));
        }
        if count == buffer.len() || !buffer[0].is_ascii_uppercase() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        thread::yield_now();
    }
}

fn parse(head: &[u8]) -> Request {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.lines();
    let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let pairs = lines.filter_map(|line| line.split_once(':'));
    let headers = pairs.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
    Request { method, target, body: Vec::new(), headers }
}

/// The path of a target, which a proxy is given as a whole address.
fn path_of(target: &str) -> &str {
    match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |start| &rest[start..]),
        None => target,
    }
}

fn wait_for_end(stream: &mut TcpStream) -> io::Result<()> {
    while stream.read(&mut [0; 1024])? > 0 {}
    Ok(())
}

fn tunnel(mut client: TcpStream, target: &str) -> io::Result<()> {
    let mut server = TcpStream::connect(target)?;
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        to_server.shutdown(Shutdown::Write)
    });
    // However that end came, it ends this one: the other thread still holds it open.
    let _ = io::copy(&mut server, &mut client);
    client.shutdown(Shutdown::Both)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(server: &Server, request: &str) -> String {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn pages_parts_of_them_and_what_is_missing() {
        let server = Server::start();
        server.page("/page", "0123456789");
        assert!(ask(&server, "GET /page HTTP/1.1\r\n\r\n").ends_with("Content-Length: 10\r\n\r\n0123456789"));
        let part = ask(&server, "GET http://example/page HTTP/1.1\r\nRange: bytes=7-\r\n\r\n");
        assert!(
            part.contains("206") && part.contains("bytes 7-9/10") && part.ends_with("\r\n\r\n789"),
            "{part}"
        );
        assert!(ask(&server, "GET /page HTTP/1.1\r\nRange: bytes=10-\r\n\r\n").starts_with("HTTP/1.1 416"));
        assert!(ask(&server, "GET /other HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
        let requests = server.requests();
        assert_eq!(requests.len(), 4);
        assert_eq!(requests[1].header("range"), Some("bytes=7-"));
    }

    #[test]
    fn an_answer_to_a_method_goes_before_one_to_the_path() {
        let server = Server::start();
        let made = Answer::new(201).header("Location", "/there").body("made");
        server.page("/page", "0123456789").script("PUT /page", [Reply::Answer(made)]);
        let answers =
            ask(&server, "PUT /page?x=1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcHEAD /page HTTP/1.1\r\n\r\n");
        assert!(answers.starts_with("HTTP/1.1 201") && answers.contains("Location: /there"), "{answers}");
        assert!(answers.ends_with("Content-Length: 10\r\n\r\n"), "{answers}");
        assert_eq!(server.requests()[0].body, b"abc");
    }

    #[test]
    fn a_script_goes_on_to_its_last_reply() {
        let server = Server::start();
        server.page("/page", "0123456789").script("/page", [Reply::Status(500), Reply::Truncated(3)]);
        assert!(ask(&server, "GET /page HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 500"));
        for _ in 0..2 {
            assert!(ask(&server, "GET /page HTTP/1.1\r\n\r\n").ends_with("Content-Length: 10\r\n\r\n012"));
        }
    }
}

//! The real registry of Docker's, from the Debian package `docker-registry`, on a port of loopback that is free, with a
//! storage of its own that goes with it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use fs_err as fs;

/// The user that [`DockerRegistry::with_password`] knows.
pub const USER: &str = "tester";
/// That user's password.
pub const PASSWORD: &str = "correct horse";
/// The same, as htpasswd(1) writes it with `-B`.
const HTPASSWD: &str = "tester:$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n";

/// A running registry. It ends when it is dropped.
#[derive(Debug)]
pub struct DockerRegistry {
    child: Child,
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
    folder: tempfile::TempDir,
}

impl DockerRegistry {
    /// Starts an empty registry that lets everybody in.
    ///
    /// # Panics
    /// When the program is not there or does not start.
    pub fn start() -> Self {
        Self::launch("")
    }

    /// Starts an empty registry that lets [`USER`] in, by Basic authentication.
    ///
    /// # Panics
    /// When the program is not there or does not start.
    pub fn with_password() -> Self {
        Self::launch("auth:\n  htpasswd:\n    realm: test\n    path: FOLDER/htpasswd\n")
    }

    fn launch(more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = folder.path().display().to_string();
        let config = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {place}/storage\n  \
             delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:0\n  secret: test\n{}",
            more.replace("FOLDER", &place)
        );
        fs::write(folder.path().join("config.yml"), config).expect("its configuration");
        fs::write(folder.path().join("htpasswd"), HTPASSWD).expect("its users");
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(folder.path().join("config.yml"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker-registry starts: it is the Debian package of that name");
        let mut log = BufReader::new(child.stderr.take().expect("a pipe"));
        let address = listening(&mut log);
        // It stops where nobody reads what it says.
        thread::spawn(move || log.lines().for_each(drop));
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let access = BufReader::new(child.stdout.take().expect("a pipe"));
        let known = Arc::clone(&asked);
        thread::spawn(move || {
            for line in access.lines().map_while(Result::ok) {
                known.lock().unwrap_or_else(PoisonError::into_inner).extend(request(&line));
            }
        });
        Self { child, address, asked, folder }
    }

    /// Its host and port.
    pub fn host(&self) -> &str {
        &self.address
    }

    /// What its log says it was asked and how it answered, so far: `PUT /v2/ruby/manifests/3.3 201`. The log is behind by
    /// a moment.
    pub fn log(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same, with all that was answered before this call: it is asked one thing more, and the log is read up to that.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn whole_log(&self) -> Vec<String> {
        static MARKS: AtomicUsize = AtomicUsize::new(0);
        let mark = format!("/v2/mark-{}/tags/list", MARKS.fetch_add(1, Ordering::Relaxed));
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let request = format!("GET {mark} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).expect("it reads");
        stream.read_to_end(&mut Vec::new()).expect("it answers");
        loop {
            let log = self.log();
            if log.iter().any(|line| line.contains(&mark)) {
                return log.into_iter().filter(|line| !line.contains("/v2/mark-")).collect();
            }
            thread::yield_now();
        }
    }

    /// The folder that it keeps everything in.
    pub fn storage(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a line of the access log is about, in the combined format of web servers.
fn request(line: &str) -> Option<String> {
    let (_, rest) = line.split_once('"')?;
    let (request, rest) = rest.split_once('"')?;
    let mut words = request.split(' ');
    let (method, address) = (words.next()?, words.next()?);
    let status = rest.split_whitespace().next()?;
    Some(format!("{method} {} {status}", address.split('?').next()?))
}

/// The address that it says it listens on.
fn listening(log: &mut impl BufRead) -> String {
    let mut said = String::new();
    let mut line = String::new();
    while log.read_line(&mut line).is_ok_and(|count| count > 0) {
        if let Some((_, rest)) = line.split_once("listening on ") {
            return rest
                .split(|end: char| end == '"' || end.is_whitespace())
                .next()
                .unwrap_or_default()
                .into();
        }
        said.push_str(&line);
        line.clear();
    }
    panic!("docker-registry did not start: {said}");
}

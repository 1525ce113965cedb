//! The store and the client as their users see them: over real files and a real connection on loopback.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
#![allow(clippy::disallowed_methods, reason = "a test that panics shows where")]

mod disk;
mod download;
mod exchange;
mod processes;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache::{Client, Download, Limits, Options, Progress, Store};
use schema::Digest;
use testkit::web::Server;

/// The bytes that the tests download: long enough for several reads and writes.
fn package() -> Vec<u8> {
    (0..200_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn wanted(urls: impl IntoIterator<Item = String>) -> Download {
    let bytes = package();
    Download { urls: urls.into_iter().collect(), size: bytes.len() as u64, digest: Digest::of(&bytes) }
}

/// No pauses, so that no test sleeps.
fn limits() -> Limits {
    Limits { pause: Duration::ZERO, ..Limits::default() }
}

fn client() -> Client {
    Client::new(Options { limits: limits(), ..Options::default() }).unwrap()
}

/// A client that a silent server does not keep for long.
fn impatient_client() -> Client {
    let limits = Limits { inactivity: Duration::from_millis(500), ..limits() };
    Client::new(Options { limits, ..Options::default() }).unwrap()
}

/// A store in a new folder, which goes with the folder.
struct Workplace {
    folder: tempfile::TempDir,
    store: Store,
    server: Server,
}

impl Workplace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let server = Server::start();
        server.page("/package", package());
        Self { folder, store, server }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn wanted(&self) -> Download {
        wanted([self.server.url("/package")])
    }

    /// From which byte on each request wanted it.
    fn offsets(&self) -> Vec<usize> {
        let requests = self.server.requests();
        let start = |range: &str| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok();
        requests
            .iter()
            .map(|request| request.header("range").map_or(0, |range| start(range).unwrap()))
            .collect()
    }

    fn partial(&self) -> std::path::PathBuf {
        self.path().join("partial").join(self.wanted().digest.hex())
    }

    fn blob(&self) -> std::path::PathBuf {
        let hex = self.wanted().digest.hex();
        self.path().join("blobs/sha256").join(&hex[..2]).join(hex)
    }
}

#[derive(Default)]
struct Counter(AtomicU64);

impl Progress for Counter {
    fn bytes(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
}

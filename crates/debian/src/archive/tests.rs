//! The archive client against mirrors on loopback, good ones and bad ones.

use std::error::Error;

use cache::{Limits, Options};
use testkit::archive::{self as fixture, MADE};
use testkit::deb::{Package, Packing};
use testkit::web::{Reply, Server};

use super::*;
use crate::deb::Deb;
use crate::relation::Relation;
use crate::resolve;
use crate::universe::Universe;

const DAY: u32 = 24 * 60 * 60;
const INDEX: &str = "/debian/dists/trixie/main/binary-amd64/Packages";

/// A machine with a cache of its own and one or more mirrors, a day after everything was made.
struct Machine {
    _folder: tempfile::TempDir,
    store: Store,
    client: Client,
    keyring: Keyring,
    mirrors: Vec<Mirror>,
}

impl Machine {
    fn new(mirrors: &[&Server]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { attempts: 1, ..Limits::default() };
        let mirror = |server: &&Server| Mirror { debian: server.url("/debian"), security: None };
        Self {
            store: Store::open(folder.path()).unwrap(),
            _folder: folder,
            client: Client::new(Options { limits, ..Options::default() }).unwrap(),
            keyring: Keyring::parse([fixture::certificate().as_bytes()]).unwrap(),
            mirrors: mirrors.iter().map(mirror).collect(),
        }
    }

    fn read(&self, suite: &Suite) -> Result<SuiteIndex, ArchiveError> {
        let archive = Archive {
            client: &self.client,
            store: &self.store,
            mirrors: &self.mirrors,
            keyring: &self.keyring,
            now: Timestamp::from_second(i64::from(MADE + DAY)).unwrap(),
        };
        archive.suite(suite, Architecture::Amd64).map(|(index, _)| index)
    }

    /// The names of the packages, or the whole error.
    fn names(&self, suite: &Suite) -> Result<Vec<String>, String> {
        let index = self.read(suite).map_err(|error| chain(&error))?;
        Ok(index.components[0].iter().map(|package| package.name().to_owned()).collect())
    }
}

fn chain(error: &dyn Error) -> String {
    let errors = std::iter::successors(Some(error), |error| (*error).source());
    errors.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn trixie() -> Suite {
    Suite {
        name: "trixie".to_owned(),
        archive: ArchiveName::Main,
        components: vec!["main".to_owned()],
        archived: false,
        seen: None,
    }
}

fn suite_of_ruby() -> fixture::Suite {
    let ruby = Package::new("ruby", "1:3.3").field("Depends", "libruby").file("usr/bin/ruby", "#!");
    fixture::Suite::new("trixie").package(ruby).package(Package::new("libruby", "3.3"))
}

fn serve(suite: &fixture::Suite) -> Server {
    let server = Server::start();
    for (path, bytes) in suite.build() {
        server.page(&format!("/debian/{path}"), bytes);
    }
    server
}

fn asked_for(server: &Server) -> Vec<String> {
    server.requests().into_iter().map(|request| request.target).collect()
}

#[test]
fn from_a_suite_to_an_opened_package() {
    let server = serve(&suite_of_ruby());
    let machine = Machine::new(&[&server]);
    let universe = Universe::new(vec![machine.read(&trixie()).unwrap()], Architecture::Amd64);
    let chosen = resolve(&universe, &[Relation::parse("ruby").unwrap()]).unwrap();
    let names: Vec<_> = chosen.iter().map(|record| record.name.as_str()).collect();
    assert_eq!(names, ["libruby", "ruby"]);
    let urls = vec![format!("{}/{}", machine.mirrors[0].debian, chosen[1].filename)];
    let download = Download { urls, size: chosen[1].size, digest: chosen[1].sha256 };
    let blob = machine.client.fetch(&machine.store, &download, &()).unwrap();
    assert!(Deb::open(blob.content()).unwrap().control().starts_with("Package: ruby\n"));
}

#[test]
fn while_a_suite_stays_the_same_only_its_release_file_is_fetched() {
    let server = serve(&suite_of_ruby());
    let machine = Machine::new(&[&server]);
    machine.names(&trixie()).unwrap();
    assert_eq!(asked_for(&server).len(), 2);
    machine.names(&trixie()).unwrap();
    assert_eq!(asked_for(&server)[2..], ["/debian/dists/trixie/InRelease"]);
}

#[test]
fn every_form_of_an_index_is_read() {
    let all = [Packing::None, Packing::Gzip, Packing::Xz];
    let cases: [(&str, fixture::Suite, &str); 5] = [
        ("by hash", suite_of_ruby(), "/debian/dists/trixie/main/binary-amd64/by-hash/SHA256/"),
        ("by name", suite_of_ruby().without_by_hash(), "Packages.xz"),
        ("gzip", suite_of_ruby().without_by_hash().packings(&[Packing::Gzip]), "Packages.gz"),
        ("plain", suite_of_ruby().without_by_hash().packings(&[Packing::None]), "Packages"),
        ("the smallest", suite_of_ruby().without_by_hash().packings(&all), "Packages.xz"),
    ];
    for (case, suite, address) in cases {
        let server = serve(&suite);
        assert_eq!(Machine::new(&[&server]).names(&trixie()).unwrap(), ["libruby", "ruby"], "{case}");
        let asked = asked_for(&server);
        assert!(asked.len() == 2 && asked[1].contains(address), "{case}: {asked:?}");
    }
}

#[test]
fn an_index_that_is_not_there_by_hash_is_read_by_name() {
    let server = serve(&suite_of_ruby());
    let machine = Machine::new(&[&server]);
    let files = suite_of_ruby().build();
    let by_hash = files.keys().find(|path| path.contains("by-hash")).unwrap();
    server.script(&format!("/debian/{by_hash}"), [Reply::Status(404)]);
    machine.names(&trixie()).unwrap();
    assert!(asked_for(&server)[2].ends_with("/Packages.xz"), "{:?}", asked_for(&server));
}

#[test]
fn what_a_release_file_says_about_itself_is_heeded() {
    let seen = |time: &str| Suite { seen: Some(time.parse().unwrap()), ..trixie() };
    let yesterday = suite_of_ruby().valid_until("Sat, 21 Nov 2026 12:00:00 UTC");
    let tomorrow = suite_of_ruby().date("Mon, 23 Nov 2026 00:00:00 UTC");
    let other = fixture::Suite::new("bookworm");
    let cases: [(&str, &fixture::Suite, Suite, Option<&str>); 6] = [
        ("expired", &yesterday, trixie(), Some("is refused: it was valid until 2026-11-21T12:00:00Z")),
        ("archived", &yesterday, Suite { archived: true, ..trixie() }, None),
        (
            "of the future",
            &tomorrow,
            trixie(),
            Some("is refused: it is dated 2026-11-23T00:00:00Z, which is in the future"),
        ),
        (
            "replayed",
            &suite_of_ruby(),
            seen("2026-11-21T00:00:01Z"),
            Some(
                "is refused: it is dated 2026-11-21T00:00:00Z, but one of 2026-11-21T00:00:01Z was seen before",
            ),
        ),
        ("seen", &suite_of_ruby(), seen("2026-11-21T00:00:00Z"), None),
        ("another suite", &other, trixie(), Some("is refused: it is the index of `bookworm`")),
    ];
    for (case, served, suite, refusal) in cases {
        let server = Server::start();
        for (path, bytes) in served.build() {
            server.page(&format!("/debian/{path}").replace("bookworm", "trixie"), bytes);
        }
        let error = Machine::new(&[&server]).names(&suite).err();
        let address = server.url("/debian/dists/trixie/InRelease");
        let expected = refusal.map(|refusal| format!("cannot read the suite trixie: {address} {refusal}"));
        assert_eq!(error, expected, "{case}");
    }
}

#[test]
fn a_flipped_byte_is_one_clear_error_and_leaves_the_cache_good() {
    let server = serve(&suite_of_ruby().without_by_hash());
    let machine = Machine::new(&[&server]);
    let (release, index) = ("/debian/dists/trixie/InRelease", format!("{INDEX}.xz"));
    server.script(&index, [Reply::Altered, Reply::Good]);
    let error = machine.names(&trixie()).unwrap_err();
    assert!(error.contains("Packages.xz: expected sha256:"), "{error}");

    let mut altered = suite_of_ruby().without_by_hash().build()["dists/trixie/InRelease"].clone();
    let position =
        altered.windows(6).position(|window| window == b"SHA256").unwrap() + "SHA256\n\nOrigin: T".len();
    altered[position] ^= 1;
    let good = suite_of_ruby().without_by_hash().build()["dists/trixie/InRelease"].clone();
    server.page(release, altered);
    let error = machine.read(&trixie()).unwrap_err();
    assert!(error.hint().is_some());
    let error = chain(&error);
    assert!(error.contains("InRelease is not to be trusted: it has no good signature: by key"), "{error}");

    server.page(release, good);
    assert_eq!(machine.names(&trixie()).unwrap(), ["libruby", "ruby"]);
}

#[test]
fn an_index_goes_no_further_than_it_is_listed() {
    let cases = [
        (
            "shorter",
            suite_of_ruby().listed_as(b"Package: ruby\n"),
            "cannot unpack its index main/binary-amd64/Packages: it has more than 14 bytes",
        ),
        (
            "another",
            suite_of_ruby().listed_as(&[b' '; 4000]),
            "its index main/binary-amd64/Packages unpacks to sha256:",
        ),
    ];
    for (case, suite, expected) in cases {
        let error = Machine::new(&[&serve(&suite)]).names(&trixie()).unwrap_err();
        assert!(error.starts_with(&format!("cannot read the suite trixie: {expected}")), "{case}: {error}");
    }
}

#[test]
fn the_next_mirror_makes_up_for_one_that_is_no_good() {
    let good = serve(&suite_of_ruby());
    let expired = serve(&suite_of_ruby().valid_until("Sat, 21 Nov 2026 12:00:00 UTC"));
    let strange = Server::start();
    strange.page("/debian/dists/trixie/InRelease", "an archive of somebody else");
    let without_index = Server::start();
    let files = suite_of_ruby().build();
    without_index.page("/debian/dists/trixie/InRelease", files["dists/trixie/InRelease"].clone());
    let empty = Server::start();
    for (case, first) in
        [("expired", &expired), ("strange", &strange), ("in part", &without_index), ("empty", &empty)]
    {
        let machine = Machine::new(&[first, &good]);
        assert_eq!(machine.names(&trixie()).unwrap(), ["libruby", "ruby"], "{case}");
    }
    let error = Machine::new(&[&strange, &empty]).names(&trixie()).unwrap_err();
    assert!(error.contains(&strange.url("/debian/dists/trixie/InRelease")), "{error}");
}

#[test]
fn what_is_not_there_is_said() {
    let server = serve(&suite_of_ruby());
    let machine = Machine::new(&[&server]);
    let cases = [
        (
            Suite { components: vec!["contrib".to_owned()], ..trixie() },
            "cannot read the suite trixie: it has no packages for amd64 in the component contrib",
        ),
        (
            Suite { archive: ArchiveName::Security, ..trixie() },
            "cannot read the suite trixie: no mirror is known for the debian-security archive",
        ),
    ];
    for (suite, expected) in cases {
        let error = machine.read(&suite).unwrap_err();
        assert_eq!(chain(&error), expected);
        assert!(error.hint().is_some(), "{expected}");
    }
    let missing = Suite { name: "woody".to_owned(), ..trixie() };
    let address = server.url("/debian/dists/woody/InRelease");
    assert_eq!(
        machine.names(&missing).unwrap_err(),
        format!("cannot read the suite woody: cannot find {address}")
    );
}

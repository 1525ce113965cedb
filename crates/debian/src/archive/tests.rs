//! The archive client against mirrors on loopback, good ones and bad ones.

use std::error::Error;
use std::time::Duration;

use cache::{Limits, Options};
use testkit::archive::{self as fixture, MADE};
use testkit::deb::{Package, Packing};
use testkit::web::{Reply, Server};

use super::*;
use crate::deb::Deb;
use crate::relation::Relation;
use crate::resolve;
use crate::sources::UpstreamTarball;
use crate::universe::Universe;

const DAY: u32 = 24 * 60 * 60;
/// Digests, which say nothing to the reader.
const DIGEST: &str = "[0-9a-f]{64}";
const RELEASE: &str = "/debian/dists/trixie/InRelease";
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
        let mirror = |server: &&Server| Mirror { debian: server.url("/debian"), security: None };
        Self {
            store: Store::open(folder.path()).unwrap(),
            _folder: folder,
            client: client(2),
            keyring: Keyring::parse([fixture::certificate().as_bytes()]).unwrap(),
            mirrors: mirrors.iter().map(mirror).collect(),
        }
    }

    fn archive(&self) -> Archive<'_> {
        Archive {
            client: &self.client,
            store: &self.store,
            mirrors: &self.mirrors,
            keyring: &self.keyring,
            now: Timestamp::from_second(i64::from(MADE + DAY)).unwrap(),
        }
    }

    fn read(&self, suite: &Suite) -> Result<SuiteIndex, ArchiveError> {
        self.archive().suite(suite, Architecture::Amd64)
    }

    fn sources(&self, suite: &Suite, package: &str) -> Result<SourceIndex, ArchiveError> {
        self.archive().sources(suite, package)
    }

    /// The names of the packages, or the whole error.
    fn names(&self, suite: &Suite) -> Result<Vec<String>, String> {
        let index = self.read(suite).map_err(|error| errors(&error).join(": "))?;
        Ok(index.components[0].iter().map(|package| package.name().to_owned()).collect())
    }

    /// What a person is told when a suite cannot be read.
    fn complaint(&self, suite: &Suite) -> String {
        let error = self.read(suite).expect_err("a suite that cannot be read");
        let hint = error.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        let text = errors(&error).join("\n  because: ") + &hint;
        let mirrors = self.mirrors.iter().zip(["[first]", "[second]"]);
        mirrors
            .fold(text, |text, (mirror, name)| text.replace(mirror.debian.trim_end_matches("/debian"), name))
    }
}

/// A client that tries each address that often.
fn client(attempts: u32) -> Client {
    let limits = Limits { attempts, pause: Duration::ZERO, ..Limits::default() };
    Client::new(Options { limits, ..Options::default() }).unwrap()
}

fn errors(error: &dyn Error) -> Vec<String> {
    std::iter::successors(Some(error), |error| (*error).source()).map(ToString::to_string).collect()
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

/// The same, its index at one place alone, so that a fault there cannot be avoided.
fn by_name() -> fixture::Suite {
    suite_of_ruby().without_by_hash().packings(&[Packing::None])
}

fn serve(suite: &fixture::Suite) -> Server {
    serve_as(suite, "trixie")
}

/// Serves a suite under a name that need not be its own.
fn serve_as(suite: &fixture::Suite, name: &str) -> Server {
    let server = Server::start();
    for (path, bytes) in suite.build() {
        let path = match path.strip_prefix("dists/").and_then(|path| path.split_once('/')) {
            Some((_, path)) => format!("dists/{name}/{path}"),
            None => path,
        };
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
    let index = machine.read(&trixie()).unwrap();
    assert_eq!(index.release, Digest::of(&suite_of_ruby().build()["dists/trixie/InRelease"]));
    let universe = Universe::new([&index], Architecture::Amd64);
    let chosen = resolve(&universe, &[Relation::parse("ruby").unwrap()]).unwrap();
    let names: Vec<_> = chosen.iter().map(|record| record.name.as_str()).collect();
    assert_eq!(names, ["libruby", "ruby"]);
    let urls = vec![format!("{}/{}", machine.mirrors[0].debian, chosen[1].filename)];
    let download = Download { urls, size: chosen[1].size, digest: chosen[1].sha256 };
    let blob = machine.client.fetch(&machine.store, &download, &()).unwrap();
    assert!(Deb::open(blob.content()).unwrap().control().starts_with("Package: ruby\n"));
}

#[test]
fn from_a_suite_to_the_tarball_of_a_source_package() {
    let suite = suite_of_ruby().source("ruby", "3.3.8-2", b"new").source("ruby", "3.3.7-1", b"old");
    let server = serve(&suite);
    let machine = Machine::new(&[&server]);
    let found = machine.sources(&trixie(), "ruby").unwrap();
    assert_eq!(found.release, Digest::of(&suite.build()["dists/trixie/InRelease"]));
    let versions: Vec<_> = found.tarballs.iter().map(|tarball| tarball.version.as_str()).collect();
    assert_eq!(versions, ["3.3.8-2", "3.3.7-1"]);
    let UpstreamTarball { path, size, sha256, .. } = found.tarballs[0].clone();
    let download =
        Download { urls: vec![format!("{}/{path}", machine.mirrors[0].debian)], size, digest: sha256 };
    let blob = machine.client.fetch(&machine.store, &download, &()).unwrap();
    assert_eq!(&**blob.content(), b"new");
    // Its index is kept, as that of the packages is.
    machine.sources(&trixie(), "other").unwrap();
    assert_eq!(asked_for(&server)[3..], [RELEASE]);
}

#[test]
fn a_source_package_is_taken_from_a_signed_index_alone() {
    let suite = suite_of_ruby().source("ruby", "3.3.8-2", b"new").without_by_hash();
    let none = serve(&suite_of_ruby());
    let machine = Machine::new(&[&none]);
    let error = machine.sources(&trixie(), "ruby").unwrap_err();
    assert_eq!(
        errors(&error).join(": "),
        "cannot read the suite trixie: it has no source packages in the component main"
    );
    let changed = serve(&suite);
    changed.page("/debian/dists/trixie/main/source/Sources.xz", Packing::Xz.pack(b"Package: ruby\n"));
    let error = Machine::new(&[&changed]).sources(&trixie(), "ruby").unwrap_err();
    assert!(errors(&error).join(": ").contains("Sources.xz"), "{error:?}");
    // Another mirror has it.
    let good = serve(&suite);
    assert_eq!(Machine::new(&[&changed, &good]).sources(&trixie(), "ruby").unwrap().tarballs.len(), 1);
}

#[test]
fn while_a_suite_stays_the_same_only_its_release_file_is_fetched() {
    let server = serve(&suite_of_ruby());
    let machine = Machine::new(&[&server]);
    machine.names(&trixie()).unwrap();
    assert_eq!(asked_for(&server).len(), 2);
    machine.names(&trixie()).unwrap();
    assert_eq!(asked_for(&server)[2..], [RELEASE]);
}

#[test]
fn every_form_of_an_index_is_read() {
    let all = [Packing::None, Packing::Gzip, Packing::Xz];
    let cases: [(&str, fixture::Suite, &str); 5] = [
        ("by hash", suite_of_ruby(), "/debian/dists/trixie/main/binary-amd64/by-hash/SHA256/"),
        ("by name", by_name().packings(&[Packing::Xz]), "Packages.xz"),
        ("gzip", by_name().packings(&[Packing::Gzip]), "Packages.gz"),
        ("plain", by_name(), "Packages"),
        ("the smallest", by_name().packings(&all), "Packages.xz"),
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
fn the_suites_of_a_distro_come_from_the_archive_that_has_them() {
    let main = serve(&suite_of_ruby());
    let security = fixture::Suite::new("trixie-security").package(Package::new("libruby", "3.3+deb13u1"));
    let security = serve_as(&security, "trixie-security");
    let machine = Machine {
        mirrors: vec![Mirror { debian: main.url("/debian"), security: Some(security.url("/debian")) }],
        ..Machine::new(&[])
    };
    let of_security =
        Suite { name: "trixie-security".to_owned(), archive: ArchiveName::Security, ..trixie() };
    let indexes = [trixie(), of_security].map(|suite| machine.read(&suite).unwrap());
    let universe = Universe::new(&indexes, Architecture::Amd64);
    let chosen = resolve(&universe, &[Relation::parse("ruby").unwrap()]).unwrap();
    let chosen: Vec<_> = chosen.iter().map(|record| (record.name.as_str(), record.suite.as_str())).collect();
    assert_eq!(chosen, [("libruby", "trixie-security"), ("ruby", "trixie")]);
}

#[test]
fn a_passing_fault_passes() {
    for (path, fault) in [
        (RELEASE, Reply::Status(500)),
        (RELEASE, Reply::Truncated(100)),
        (INDEX, Reply::Status(503)),
        (INDEX, Reply::Truncated(1)),
        (INDEX, Reply::Reset(10)),
    ] {
        let server = serve(&by_name());
        server.script(path, [fault.clone(), Reply::Good]);
        assert_eq!(
            Machine::new(&[&server]).names(&trixie()).unwrap(),
            ["libruby", "ruby"],
            "{path} {fault:?}"
        );
    }
}

#[test]
fn a_lasting_fault_is_one_clear_error() {
    let complaint = |path: &str, fault: Reply| {
        let server = serve(&by_name());
        server.script(path, [fault, Reply::Good]);
        let machine = Machine::new(&[&server]);
        let machine = Machine { client: client(1), ..machine };
        let complaint = machine.complaint(&trixie());
        // The cache is as good as before.
        assert_eq!(machine.names(&trixie()).unwrap(), ["libruby", "ruby"], "{complaint}");
        complaint
    };
    insta::with_settings!({ filters => [(DIGEST, "[digest]")] }, {
        insta::assert_snapshot!(complaint(RELEASE, Reply::Status(404)), @"
        cannot read the suite trixie
          because: cannot find [first]/debian/dists/trixie/InRelease
        hint: is the name of the suite right, and does the mirror have it?
        ");
        insta::assert_snapshot!(complaint(RELEASE, Reply::Status(500)), @"
        cannot read the suite trixie
          because: cannot download [first]/debian/dists/trixie/InRelease: the server answered with status 500
        hint: the server is in trouble: run it again later, or try another mirror
        ");
        insta::assert_snapshot!(complaint(RELEASE, Reply::Truncated(100)), @"
        cannot read the suite trixie
          because: cannot download [first]/debian/dists/trixie/InRelease: the connection ended after 100 of 563 bytes
        hint: is the network up, and is a proxy needed? What was downloaded so far is kept: run it again
        ");
        insta::assert_snapshot!(complaint(RELEASE, Reply::Altered), @"
        cannot read the suite trixie
          because: [first]/debian/dists/trixie/InRelease is not to be trusted
          because: it is no signed text
          because: an armour does not end
        hint: use another mirror; if the archive has keys of its own, name them as `keyring` of the distro in matrix.toml
        ");
        insta::assert_snapshot!(complaint(INDEX, Reply::Status(404)), @"
        cannot read the suite trixie
          because: cannot find [first]/debian/dists/trixie/main/binary-amd64/Packages
        hint: the index and the files of the server do not match: is it being updated?
        ");
        insta::assert_snapshot!(complaint(INDEX, Reply::Truncated(20)), @"
        cannot read the suite trixie
          because: cannot download [first]/debian/dists/trixie/main/binary-amd64/Packages: the connection ended after 20 of 365 bytes
        hint: is the network up, and is a proxy needed? What was downloaded so far is kept: run it again
        ");
        insta::assert_snapshot!(complaint(INDEX, Reply::Altered), @"
        cannot read the suite trixie
          because: cannot download [first]/debian/dists/trixie/main/binary-amd64/Packages: expected sha256:[digest], but the bytes are sha256:[digest]
        hint: the server, or something in between, changes files: try another mirror
        ");
        insta::assert_snapshot!(complaint(INDEX, Reply::Longer), @"
        cannot read the suite trixie
          because: cannot download [first]/debian/dists/trixie/main/binary-amd64/Packages: expected 365 bytes, but the server has 366
        hint: the server, or something in between, changes files: try another mirror
        ");
    });
}

/// A flipped byte in what was signed.
#[test]
fn a_text_that_was_not_signed_is_not_read() {
    let server = serve(&suite_of_ruby());
    let mut release = suite_of_ruby().build()["dists/trixie/InRelease"].clone();
    let position = release.windows(6).position(|window| window == b"Origin").unwrap() + "Origin: ".len();
    release[position] ^= 1;
    server.page(RELEASE, release);
    insta::assert_snapshot!(Machine::new(&[&server]).complaint(&trixie()), @"
    cannot read the suite trixie
      because: [first]/debian/dists/trixie/InRelease is not to be trusted
      because: it has no good signature: by key 49869D1697CAD862E3EB200F19678776BA025BDA, it does not fit the text
    hint: use another mirror; if the archive has keys of its own, name them as `keyring` of the distro in matrix.toml
    ");
    assert_eq!(asked_for(&server), [RELEASE]);
}

#[test]
fn a_key_has_to_be_kept() {
    let server = serve(&suite_of_ruby());
    let machine = Machine { keyring: Keyring::debian(), ..Machine::new(&[&server]) };
    insta::assert_snapshot!(machine.complaint(&trixie()), @"
    cannot read the suite trixie
      because: [first]/debian/dists/trixie/InRelease is not to be trusted
      because: it has no good signature: by key 49869D1697CAD862E3EB200F19678776BA025BDA, the key is not among those kept
    hint: use another mirror; if the archive has keys of its own, name them as `keyring` of the distro in matrix.toml
    ");
}

#[test]
fn a_release_file_has_to_be_one_to_rely_on_now() {
    let seen = |time: &str| Suite { seen: Some(time.parse().unwrap()), ..trixie() };
    let expired = suite_of_ruby().valid_until("Sat, 21 Nov 2026 12:00:00 UTC");
    let of_the_future = suite_of_ruby().date("Mon, 23 Nov 2026 00:00:00 UTC");
    let dateless = suite_of_ruby().date("yesterday");
    let complaint = |served: &fixture::Suite, suite: &Suite| {
        Machine::new(&[&serve_as(served, "trixie")]).complaint(suite)
    };
    insta::assert_snapshot!(complaint(&expired, &trixie()), @"
    cannot read the suite trixie
      because: [first]/debian/dists/trixie/InRelease is refused
      because: it was valid until 2026-11-21T12:00:00Z
    hint: the mirror is behind, or the clock is wrong: use another mirror; if nobody updates the suite any more, mark its distro as archived in matrix.toml
    ");
    insta::assert_snapshot!(complaint(&of_the_future, &trixie()), @"
    cannot read the suite trixie
      because: [first]/debian/dists/trixie/InRelease is refused
      because: it is dated 2026-11-23T00:00:00Z, which is in the future
    hint: set the clock of this machine
    ");
    insta::assert_snapshot!(complaint(&dateless, &trixie()), @"
    cannot read the suite trixie
      because: [first]/debian/dists/trixie/InRelease is no release file
      because: its `Date` is `yesterday`, which is no date
    hint: use another mirror
    ");
    insta::assert_snapshot!(complaint(&suite_of_ruby(), &seen("2026-11-21T00:00:01Z")), @"
    cannot read the suite trixie
      because: [first]/debian/dists/trixie/InRelease is refused
      because: it is dated 2026-11-21T00:00:00Z, but one of 2026-11-21T00:00:01Z was seen before
    hint: the mirror is behind: wait for it, or use another one
    ");
    insta::assert_snapshot!(complaint(&fixture::Suite::new("bookworm"), &trixie()), @"
    cannot read the suite trixie
      because: [first]/debian/dists/trixie/InRelease is refused
      because: it is the index of `bookworm`
    hint: the mirror serves another suite under this name: use another mirror
    ");
    for (served, suite) in
        [(&expired, Suite { archived: true, ..trixie() }), (&suite_of_ruby(), seen("2026-11-21T00:00:00Z"))]
    {
        assert_eq!(Machine::new(&[&serve(served)]).names(&suite).unwrap(), ["libruby", "ruby"]);
    }
}

#[test]
fn nothing_goes_further_than_it_is_listed() {
    let complaint = |suite: &fixture::Suite| Machine::new(&[&serve(suite)]).complaint(&trixie());
    insta::with_settings!({ filters => [(DIGEST, "[digest]")] }, {
        insta::assert_snapshot!(complaint(&suite_of_ruby().listed_as(b"Package: ruby\n")), @"
        cannot read the suite trixie
          because: cannot unpack its index main/binary-amd64/Packages
          because: it has more than 14 bytes
        ");
        insta::assert_snapshot!(complaint(&suite_of_ruby().listed_as(&[b' '; 4000])), @"
        cannot read the suite trixie
          because: its index main/binary-amd64/Packages unpacks to sha256:[digest] instead of sha256:[digest]
        hint: use another mirror
        ");
    });
    let endless = serve(&suite_of_ruby());
    endless.page(RELEASE, vec![b'-'; usize::try_from(RELEASE_LIMIT).unwrap() + 1]);
    insta::assert_snapshot!(Machine::new(&[&endless]).complaint(&trixie()), @"
    cannot read the suite trixie
      because: cannot download [first]/debian/dists/trixie/InRelease: the server sent more than 8388608 bytes
    hint: the server, or something in between, changes files: try another mirror
    ");
}

#[test]
fn what_is_not_there_is_said() {
    let server = serve(&suite_of_ruby());
    let machine = Machine::new(&[&server]);
    let contrib = Suite { components: vec!["contrib".to_owned()], ..trixie() };
    insta::assert_snapshot!(machine.complaint(&contrib), @"
    cannot read the suite trixie
      because: it has no packages for amd64 in the component contrib
    hint: look at the components and architectures of the suite
    ");
    let security = Suite { archive: ArchiveName::Security, ..trixie() };
    insta::assert_snapshot!(machine.complaint(&security), @"
    cannot read the suite trixie
      because: no mirror is known for the debian-security archive
    hint: name one with `--mirror`, or in matrix.toml
    ");
    let woody = Suite { name: "woody".to_owned(), ..trixie() };
    insta::assert_snapshot!(machine.complaint(&woody), @"
    cannot read the suite woody
      because: cannot find [first]/debian/dists/woody/InRelease
    hint: is the name of the suite right, and does the mirror have it?
    ");
}

#[test]
fn the_next_mirror_makes_up_for_one_that_is_of_no_use() {
    let [down, strange, expired, altered, in_part] = useless();
    for (case, first) in [
        ("down", &down),
        ("strange", &strange),
        ("expired", &expired),
        ("altered", &altered),
        ("in part", &in_part),
    ] {
        let good = serve(&suite_of_ruby());
        let machine = Machine::new(&[first, &good]);
        assert_eq!(machine.names(&trixie()).unwrap(), ["libruby", "ruby"], "{case}");
        let unused = Machine::new(&[&good, first]);
        let before = first.requests().len();
        assert_eq!(unused.names(&trixie()).unwrap(), ["libruby", "ruby"], "{case}");
        assert_eq!(first.requests().len(), before, "{case}");
    }
}

#[test]
fn what_is_wrong_with_every_mirror_is_said() {
    let [down, strange, expired, altered, in_part] = useless();
    let complaint = |first, second| Machine::new(&[first, second]).complaint(&trixie());
    insta::with_settings!({ filters => [(DIGEST, "[digest]")] }, {
        insta::assert_snapshot!(complaint(&down, &strange), @"
        cannot read the suite trixie
          because: no mirror is of use: cannot download [first]/debian/dists/trixie/InRelease: the server answered with status 502 (2 attempts); [second]/debian/dists/trixie/InRelease is not to be trusted: it is no signed text: it does not begin with a signed message
        hint: the server is in trouble: run it again later, or try another mirror
        ");
        insta::assert_snapshot!(complaint(&expired, &altered), @"
        cannot read the suite trixie
          because: no mirror is of use: [first]/debian/dists/trixie/InRelease is refused: it was valid until 2026-11-21T12:00:00Z; cannot download [second]/debian/dists/trixie/main/binary-amd64/Packages: expected sha256:[digest], but the bytes are sha256:[digest]
        hint: the mirror is behind, or the clock is wrong: use another mirror; if nobody updates the suite any more, mark its distro as archived in matrix.toml
        ");
        insta::assert_snapshot!(complaint(&in_part, &expired), @"
        cannot read the suite trixie
          because: no mirror is of use: cannot find [first]/debian/dists/trixie/main/binary-amd64/Packages; [second]/debian/dists/trixie/InRelease is refused: it was valid until 2026-11-21T12:00:00Z
        hint: the index and the files of the server do not match: is it being updated?
        ");
    });
}

/// Mirrors that are down, serve something else, are behind, change files, and have not everything yet.
fn useless() -> [Server; 5] {
    let down = Server::start();
    down.script(RELEASE, [Reply::Status(502)]);
    let strange = Server::start();
    strange.page(RELEASE, "the files of somebody else");
    let expired = serve(&suite_of_ruby().valid_until("Sat, 21 Nov 2026 12:00:00 UTC"));
    let altered = serve(&by_name());
    altered.script(INDEX, [Reply::Altered]);
    let in_part = Server::start();
    in_part.page(RELEASE, by_name().build()["dists/trixie/InRelease"].clone());
    [down, strange, expired, altered, in_part]
}

#[test]
fn no_mirror_is_asked_for_what_is_wrong_with_the_machine() {
    let servers = [serve(&suite_of_ruby()), serve(&suite_of_ruby())];
    let machine = Machine::new(&[&servers[0], &servers[1]]);
    let offline = Client::new(Options { offline: true, ..Options::default() }).unwrap();
    insta::assert_snapshot!(Machine { client: offline, ..machine }.complaint(&trixie()), @"
    cannot read the suite trixie
      because: cannot download [first]/debian/dists/trixie/InRelease: offline, and it is not in the cache
    hint: run once without `--offline`
    ");
    assert!(servers.iter().all(|server| server.requests().is_empty()));
}

#[test]
fn passwords_are_not_shown() {
    let server = Server::start();
    server.page(RELEASE, "no release file");
    let secret = server.url("/debian").replace("http://", "http://user:secret@");
    let mirrors = vec![Mirror { debian: secret, security: None }];
    let machine = Machine { mirrors, ..Machine::new(&[]) };
    let error = machine.names(&trixie()).unwrap_err();
    assert!(error.contains(&server.url(RELEASE)) && !error.contains("secret"), "{error}");
    assert_eq!(shown("no address"), "no address");
}

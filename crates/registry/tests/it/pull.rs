//! Pulls from a server that does as it is told: what is asked, what is kept, and what is asked no more.

use cache::Options;
use oci::media_type;
use registry::Hosts;
use schema::{Architecture, Digest};
use testkit::web::{Answer, Reply, Server};

use crate::fixture::{Heard, Place, Scripted, blob, changed, files, index_of, manifest, stacked, told};

#[test]
fn an_image_is_pulled_once() {
    let (scripted, place) = (Scripted::new(), Place::new());
    let heard = Heard::default();
    let reference = scripted.reference().parse().unwrap();
    let pulled = place.registry().pull(&place.store, &reference, Architecture::Amd64, &heard).unwrap();
    assert_eq!(files(&pulled), stacked("amd64"));
    assert_eq!(pulled.config.config.user, "65532");
    let digest = scripted.image.descriptor.digest;
    assert_eq!(pulled.reference.to_string(), format!("{}@{digest}", scripted.reference()));
    assert_eq!((heard.of("bytes"), heard.of("begun")), (heard.of("to come"), 3));

    let before = scripted.server.requests().len();
    let heard = Heard::default();
    let again = place.registry().pull(&place.store, &pulled.reference, Architecture::Amd64, &heard).unwrap();
    assert_eq!(files(&again), stacked("amd64"));
    assert_eq!(heard.of("there"), 3);
    assert_eq!(scripted.server.requests().len(), before, "nothing is asked where all is there");
    place.pull(&scripted.reference()).unwrap();
    assert_eq!(scripted.server.requests().len(), before + 1, "but what the tag leads to now");
}

#[test]
fn a_storage_behind_a_redirect_is_not_told_who_we_are() {
    let scripted = Scripted::new();
    let storage = Server::start();
    for packed in &scripted.layers {
        let digest = packed.layer.digest;
        storage.page(&format!("/{digest}"), packed.bytes.clone());
        scripted.server.script(&blob(&digest), [Reply::Redirect(storage.url(&format!("/{digest}")))]);
    }
    let secret = registry::Credential::Password { user: "u".into(), password: "p".into() };
    let mut place = Place::new();
    place.keychain = place.keychain.given(&scripted.host(), secret);
    let login = Answer::new(401).header("WWW-Authenticate", "Basic realm=\"x\"");
    scripted.server.script(&manifest("3"), [Reply::Answer(login), Reply::Good]);
    let pulled = place.pull(&scripted.reference()).unwrap();
    assert_eq!(files(&pulled), stacked("amd64"));
    let sent = |server: &Server| {
        server.requests().iter().filter(|one| one.header("authorization").is_some()).count()
    };
    assert_eq!(sent(&scripted.server), 4, "the manifest again, the configuration and two layers");
    assert_eq!((sent(&storage), storage.requests().len()), (0, 2));
}

#[test]
fn what_was_cut_is_continued() {
    let (scripted, place) = (Scripted::new(), Place::new());
    let layer = &scripted.layers[0];
    let path = blob(&layer.layer.digest);
    scripted
        .server
        .script(&path, [Reply::Truncated(50), Reply::Status(503), Reply::Truncated(20), Reply::Good]);
    let heard = Heard::default();
    let reference = scripted.reference().parse().unwrap();
    place.registry().pull(&place.store, &reference, Architecture::Amd64, &heard).unwrap();
    let requests = scripted.server.requests();
    let ranges: Vec<_> =
        requests.iter().filter(|one| one.target == path).map(|one| one.header("range")).collect();
    assert_eq!(ranges, [None, Some("bytes=50-"), Some("bytes=50-"), Some("bytes=70-")]);
    assert_eq!(heard.of("bytes"), heard.of("to come"), "each byte is counted once");
}

#[test]
fn mirrors_are_asked_first_and_the_registry_at_last() {
    let (mirror, origin) = (Scripted::new(), Scripted::new());
    let mut place = Place::new();
    place.hosts = Hosts::default().mirror(&origin.host(), &mirror.host()).unwrap();
    // The mirror has the manifest and one layer.
    mirror.server.script(&blob(&mirror.layers[1].layer.digest), [Reply::Status(404)]);
    let pulled = place.pull(&origin.reference()).unwrap();
    assert_eq!(files(&pulled), stacked("amd64"));
    assert!(pulled.reference.to_string().starts_with(&origin.reference()));
    assert_eq!(origin.server.requests().len(), 1, "the layer alone");

    let place = Place { hosts: place.hosts, ..Place::new() };
    for server in [&mirror.server, &origin.server] {
        server.script(&manifest("3"), [Reply::Status(404)]);
    }
    let error = told(&place.pull(&origin.reference()).unwrap_err());
    let (first, second) = (mirror.server.url(&manifest("3")), origin.server.url(&manifest("3")));
    assert!(error.contains(&format!("{first} was not found")), "{error}");
    assert!(error.contains(&format!("{second} was not found")), "{error}");
}

#[test]
fn a_machine_is_chosen_or_named() {
    let (scripted, place) = (Scripted::new(), Place::new());
    scripted.server.page(&manifest("many"), index_of(scripted.image.descriptor.clone()));
    let reference = format!("{}/library/ruby:many", scripted.host());
    assert_eq!(files(&place.pull(&reference).unwrap()), stacked("amd64"));
    for reference in [reference, scripted.reference()] {
        let error = place.pull_for(&reference, Architecture::Arm64).unwrap_err();
        assert_eq!(told(&error), format!("cannot pull `{reference}`: there is no image for arm64"));
        assert_eq!(error.hint().unwrap(), "there is one for linux/amd64");
    }
}

#[test]
fn dockers_forms_are_understood() {
    let (scripted, place) = (Scripted::new(), Place::new());
    let names = [
        (media_type::MANIFEST, media_type::DOCKER_MANIFEST),
        (media_type::CONFIG, media_type::DOCKER_CONFIG),
        (media_type::LAYER_GZIP, media_type::DOCKER_LAYER_GZIP),
    ];
    let docker =
        names.iter().fold(scripted.image.manifest.to_vec(), |bytes, (from, to)| changed(&bytes, from, to));
    scripted.server.page(&manifest("docker"), docker);
    let pulled = place.pull(&format!("{}/library/ruby:docker", scripted.host())).unwrap();
    assert_eq!(files(&pulled), stacked("amd64"));
}

#[test]
fn offline_what_the_store_has_is_enough() {
    let scripted = Scripted::new();
    let place = Place::new();
    let pulled = place.pull(&scripted.reference()).unwrap();
    let offline = Place::with(Options { offline: true, ..Options::default() });
    let place = Place { client: offline.client, ..place };
    assert_eq!(files(&place.pull(&pulled.reference.to_string()).unwrap()), stacked("amd64"));
    let error = place.pull(&scripted.reference()).unwrap_err();
    assert!(told(&error).contains("offline, and "), "{}", told(&error));
    let other = format!("{}/library/ruby@{}", scripted.host(), Digest::of(b"other"));
    assert!(place.pull(&other).is_err());
}

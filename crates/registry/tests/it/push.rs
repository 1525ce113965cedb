//! Pushes to the real registry, and to one that fails on the way.

use std::collections::BTreeMap;

use cache::{Method, Request};
use oci::Layout;
use oci::document::{self, Index};
use registry::{Credential, Fault, Keychain, PushPlan, Pushed};
use schema::reference::Repository;
use testkit::docker_registry::{DockerRegistry, PASSWORD, USER};
use testkit::web::{Answer, Reply, Server};

use crate::fixture::{Heard, Place, files, layout, stacked, told};

/// Blobs of the layout: a configuration and an upper layer for each machine, in two compressions for one; a lower layer
/// in each compression; the document about two of them, and its empty configuration.
const BLOBS: usize = 2 + 3 + 2 + 2;
/// Three images, an index, two referrers.
const DOCUMENTS: usize = 6;

fn names(layout: &Layout) -> BTreeMap<oci::Reference, oci::document::Descriptor> {
    layout.references().unwrap()
}

fn repository(host: &str, path: &str) -> Repository {
    format!("{host}/{path}").parse().unwrap()
}

fn plan(place: &Place, layout: &Layout, to: &Repository) -> PushPlan {
    place.registry().plan_push(layout, &names(layout), to, &[]).unwrap()
}

fn push(place: &Place, layout: &Layout, to: &Repository) -> Pushed {
    let plan = plan(place, layout, to);
    place.registry().push(layout, &plan, &()).unwrap()
}

#[test]
fn everything_is_pushed_and_then_nothing() {
    let (server, place) = (DockerRegistry::start(), Place::new());
    let layout = layout(&place.folder.path().join("oci"));
    let to = repository(server.host(), "team/ruby");
    let planned = plan(&place, &layout, &to);
    assert_eq!((planned.missing.len(), planned.there, planned.documents.len()), (BLOBS, 0, DOCUMENTS));
    let tags: Vec<String> = planned.tags.iter().map(|change| change.reference.to_string()).collect();
    assert_eq!(tags, [format!("{to}:3.4"), format!("{to}:3.4-trixie")]);
    assert!(planned.tags.iter().all(|change| change.before.is_none() && !change.is_done()));
    let still = plan(&place, &layout, &to);
    assert_eq!(still.missing.len(), BLOBS, "a plan changes nothing");

    let heard = Heard::default();
    let pushed = place.registry().push(&layout, &planned, &heard).unwrap();
    assert_eq!((pushed.sent, pushed.there, pushed.mounted), (BLOBS, 0, 0));
    assert_eq!((pushed.bytes, heard.of("bytes")), (planned.bytes(), planned.bytes()));
    // This registry keeps no lists of referrers: two indexes under tags, beside the two tags of the index.
    assert_eq!(pushed.documents, DOCUMENTS + 4);

    for (machine, architecture) in
        [("amd64", schema::Architecture::Amd64), ("arm64", schema::Architecture::Arm64)]
    {
        let pulled = place.pull_for(&format!("{to}:3.4-trixie"), architecture).unwrap();
        assert_eq!(files(&pulled), stacked(machine));
    }
    let again = plan(&place, &layout, &to);
    assert!(again.tags.iter().all(registry::TagChange::is_done));
    let pushed = place.registry().push(&layout, &again, &()).unwrap();
    assert_eq!(pushed, Pushed { there: BLOBS, ..Pushed::default() });
}

#[test]
fn referrers_are_found_under_the_tag_of_their_subject_and_others_stay() {
    let (server, place) = (DockerRegistry::start(), Place::new());
    let layout = layout(&place.folder.path().join("oci"));
    let to = repository(server.host(), "ruby");
    push(&place, &layout, &to);
    let index = names(&layout).into_values().next().unwrap();
    let subject = index.digest;
    let about: Vec<_> =
        layout.referrers().unwrap().of(&subject).map(|referrer| referrer.descriptor.clone()).collect();
    let tag = format!("sha256-{}", subject.hex());
    let url = format!("http://{}/v2/ruby/manifests/{tag}", server.host());
    let listed = || {
        let headers = vec![("accept", oci::media_type::INDEX.to_owned())];
        let request = Request { headers, limit: 1 << 20, ..Request::new(Method::Get, &url) };
        let answer = place.client.exchange(&request).unwrap();
        document::parse::<Index>(&answer.body).unwrap().manifests
    };
    assert_eq!(listed(), about);

    // Somebody else has something to say about it.
    let writer = layout.writer().unwrap();
    let other =
        oci::NewArtifact::new(&index, "application/x-other", "other", oci::NewBlob::new(b"other".to_vec()));
    writer.put_artifact(&other).unwrap();
    writer
        .set_listing(|listing| {
            listing.referrers.clear();
            listing.refer([other.referrer.clone()]);
            Ok(())
        })
        .unwrap();
    let pushed = push(&place, &layout, &to);
    assert_eq!((pushed.sent, pushed.documents), (1, 2));
    assert_eq!(listed(), [about, vec![other.referrer.descriptor]].concat());
}

#[test]
fn blobs_are_taken_from_another_repository() {
    let (server, place) = (DockerRegistry::start(), Place::new());
    let layout = layout(&place.folder.path().join("oci"));
    let (first, second) = (repository(server.host(), "staging/ruby"), repository(server.host(), "ruby"));
    push(&place, &layout, &first);
    let registry = place.registry();
    let elsewhere = repository("other.example", "ruby");
    let plan = registry.plan_push(&layout, &names(&layout), &second, &[elsewhere, first]).unwrap();
    assert!(plan.missing.iter().all(|(_, from)| from.as_deref() == Some("staging/ruby")));
    assert_eq!(plan.bytes(), 0);
    let pushed = registry.push(&layout, &plan, &()).unwrap();
    assert_eq!((pushed.mounted, pushed.sent, pushed.bytes), (BLOBS, 0, 0));
    assert_eq!(files(&place.pull(&format!("{second}:3.4")).unwrap()), stacked("amd64"));
}

#[test]
fn a_registry_with_a_password_takes_a_push_of_those_whom_it_knows() {
    let (server, mut place) = (DockerRegistry::with_password(), Place::new());
    let layout = layout(&place.folder.path().join("oci"));
    let to = repository(server.host(), "ruby");
    let error = place.registry().plan_push(&layout, &names(&layout), &to, &[]).unwrap_err();
    assert!(matches!(*error.fault, Fault::Denied { is_known: false, .. }), "{}", told(&error));
    let config = place.folder.path().join("config.json");
    let auth = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("{USER}:{PASSWORD}"));
    std::fs::write(&config, format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, server.host())).unwrap();
    place.keychain = Keychain::default().file(config);
    assert_eq!(push(&place, &layout, &to).sent, BLOBS);
    assert_eq!(files(&place.pull(&format!("{to}:3.4")).unwrap()), stacked("amd64"));
    place.keychain = Keychain::default()
        .given(server.host(), Credential::Password { user: USER.into(), password: "wrong".into() });
    let error = place.pull(&format!("{to}:3.4")).unwrap_err();
    assert!(matches!(*error.fault, Fault::Denied { is_known: true, .. }), "{}", told(&error));
}

/// A registry that has nothing and takes everything, but for what a test says.
fn empty() -> Server {
    let server = Server::start();
    let session = Answer::new(202).header("Location", "/session?state=1");
    server.script("POST /v2/ruby/blobs/uploads/", [Reply::Answer(session)]);
    server.script("PUT /session", [Reply::Answer(Answer::new(201))]);
    server
}

fn host(server: &Server) -> String {
    server.url("").trim_start_matches("http://").to_owned()
}

#[test]
fn a_broken_upload_begins_anew() {
    let (server, place) = (empty(), Place::new());
    let layout = layout(&place.folder.path().join("oci"));
    let to = repository(&host(&server), "ruby");
    let mut plan = plan(&place, &layout, &to);
    plan.missing.truncate(1);
    let blob = plan.missing[0].0.clone();
    server.script(
        "PUT /session",
        [Reply::Raw(Vec::new()), Reply::Status(503), Reply::Answer(Answer::new(201))],
    );
    let before = server.requests().len();
    let heard = Heard::default();
    let error = place.registry().push(&layout, &plan, &heard).unwrap_err();
    let sent: Vec<String> = server.requests()[before..]
        .iter()
        .take(7)
        .map(|request| format!("{} {}", request.method, request.target.split('?').next().unwrap()))
        .collect();
    let pair = ["POST /v2/ruby/blobs/uploads/", "PUT /session"];
    assert_eq!(sent[..6], [pair, pair, pair].concat());
    assert!(sent[6].starts_with("PUT /v2/ruby/manifests/sha256:"), "{sent:?}");
    let put = server.requests().into_iter().find(|request| request.target.starts_with("/session")).unwrap();
    assert_eq!(put.target, format!("/session?state=1&digest={}", blob.digest));
    assert_eq!(put.body.len() as u64, blob.size);
    assert_eq!(heard.of("bytes"), blob.size, "what is sent again is not counted again");
    assert!(told(&error).contains("was not found"), "{}", told(&error));
}

#[test]
fn a_session_elsewhere_is_told_nothing_of_us() {
    let (server, storage, mut place) = (empty(), Server::start(), Place::new());
    let layout = layout(&place.folder.path().join("oci"));
    let to = repository(&host(&server), "ruby");
    let asks = Answer::new(401).header("WWW-Authenticate", "Basic realm=\"x\"");
    let session = Answer::new(202).header("Location", storage.url("/session"));
    server.script("HEAD /v2/ruby/manifests/3.4", [Reply::Answer(asks.clone()), Reply::Status(404)]);
    server.script("POST /v2/ruby/blobs/uploads/", [Reply::Answer(session)]);
    storage.script("PUT /session", [Reply::Answer(asks)]);
    place.keychain = Keychain::default()
        .given(&host(&server), Credential::Password { user: USER.into(), password: PASSWORD.into() });
    let registry = place.registry();
    let plan = registry.plan_push(&layout, &names(&layout), &to, &[]).unwrap();
    let error = registry.push(&layout, &plan, &()).unwrap_err();
    let knows_us = |server: &Server| -> Vec<bool> {
        server.requests().iter().map(|request| request.header("authorization").is_some()).collect()
    };
    assert!(knows_us(&server)[1..].iter().all(|knows| *knows));
    assert!(!storage.requests().is_empty() && !knows_us(&storage).contains(&true));
    assert!(matches!(*error.fault, Fault::Denied { .. }), "{}", told(&error));
}

#[test]
fn nothing_is_tagged_after_a_failure() {
    let (server, place) = (empty(), Place::new());
    let layout = layout(&place.folder.path().join("oci"));
    let to = repository(&host(&server), "ruby");
    let plan = plan(&place, &layout, &to);
    for (status, says) in [(400, "answered with status 400"), (413, "status 413"), (405, "status 405")] {
        server.script("PUT /session", [Reply::Status(status)]);
        let error = place.registry().push(&layout, &plan, &()).unwrap_err();
        assert!(told(&error).contains(says), "{}", told(&error));
    }
    let stored = Answer::new(201).header("Docker-Content-Digest", "sha256:other");
    server.script("PUT /session", [Reply::Answer(stored)]);
    let error = place.registry().push(&layout, &plan, &()).unwrap_err();
    assert!(matches!(*error.fault, Fault::StoredOther { .. }), "{}", told(&error));
    let requests = server.requests();
    assert!(
        !requests.iter().any(|request| request.method == "PUT" && request.target.contains("/manifests/"))
    );
}

#[test]
fn a_damaged_layout_is_told_before_anything_is_tagged() {
    let (server, place) = (DockerRegistry::start(), Place::new());
    let layout = layout(&place.folder.path().join("oci"));
    let to = repository(server.host(), "ruby");
    let plan = plan(&place, &layout, &to);
    std::fs::write(layout.blob_path(&plan.missing[0].0.digest), "damaged").unwrap();
    let error = place.registry().push(&layout, &plan, &()).unwrap_err();
    assert!(matches!(*error.fault, Fault::Layout(_)), "{}", told(&error));
    let error = place.pull(&format!("{to}:3.4")).unwrap_err();
    assert!(matches!(*error.fault, Fault::NotFound { .. }), "{}", told(&error));
}

#[test]
fn two_images_of_one_tag_are_told() {
    let place = Place::new();
    let layout = layout(&place.folder.path().join("oci"));
    let mut names = names(&layout);
    let other = layout.resolve("ruby:3.4").unwrap().images[0].clone();
    names.insert("other:3.4".parse().unwrap(), other);
    let to = repository("127.0.0.1:1", "ruby");
    let error = place.registry().plan_push(&layout, &names, &to, &[]).unwrap_err();
    assert!(
        told(&error).contains("`other:3.4` and `ruby:3.4` would have the same tag `3.4`"),
        "{}",
        told(&error)
    );
}

#[test]
fn referrers_that_a_registry_lists_itself_need_no_tag() {
    let (server, place) = (empty(), Place::new());
    let layout = layout(&place.folder.path().join("oci"));
    let to = repository(&host(&server), "ruby");
    let contents = layout.contents(names(&layout).into_values()).unwrap();
    let list = Answer::new(200)
        .header("Content-Type", oci::media_type::INDEX)
        .body(document::canonical(&Index::new(Vec::new())));
    for subject in contents.referrers.iter().map(|one| one.subject) {
        server.script(&format!("GET /v2/ruby/referrers/{subject}"), [Reply::Answer(list.clone())]);
    }
    for name in contents.documents.iter().chain(contents.referrers.iter().map(|one| &one.descriptor)) {
        server.script(&format!("PUT /v2/ruby/manifests/{}", name.digest), [Reply::Answer(Answer::new(201))]);
    }
    for tag in ["3.4", "3.4-trixie"] {
        server.script(&format!("PUT /v2/ruby/manifests/{tag}"), [Reply::Answer(Answer::new(201))]);
    }
    let pushed = push(&place, &layout, &to);
    assert_eq!(pushed.documents, DOCUMENTS + 2);
    let requests = server.requests();
    let put: Vec<&str> = requests
        .iter()
        .filter(|request| request.method == "PUT")
        .filter_map(|request| request.target.strip_prefix("/v2/ruby/manifests/"))
        .collect();
    // Images first, then what is about them, the index, and tags at last.
    let place_of = |name: &str| put.iter().position(|one| *one == name).unwrap();
    let index = place_of(&names(&layout).into_values().next().unwrap().digest.to_string());
    assert_eq!((index, &put[index + 1..]), (DOCUMENTS - 1, &["3.4", "3.4-trixie"][..]));
    let images = contents.documents.iter().filter(|one| one.media_type == oci::media_type::MANIFEST);
    let last_image = images.map(|one| place_of(&one.digest.to_string())).max().unwrap();
    assert!(contents.referrers.iter().all(|one| place_of(&one.descriptor.digest.to_string()) > last_image));
}

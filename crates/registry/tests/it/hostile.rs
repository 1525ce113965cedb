//! Servers that do everything wrong: each fault is told with what was wanted and what came, and nothing wrong is kept.

use oci::media_type;
use registry::Fault;
use schema::Digest;
use testkit::web::Answer;
use testkit::web::Reply::{self, Altered, Hang, Longer, Raw, Reset, Stalled, Status, Truncated};

use crate::fixture::{Place, Scripted, blob, changed, index_of, manifest, told};

/// What a pull comes to where a layer is answered for so, and how often it was asked for.
fn with_layer(replies: impl IntoIterator<Item = Reply>) -> (String, usize) {
    let (scripted, place) = (Scripted::new(), Place::new());
    let digest = scripted.layers[0].layer.digest;
    scripted.server.script(&blob(&digest), replies);
    let error = place.pull(&scripted.reference()).expect_err("a wrong layer");
    assert!(place.store.get(&digest).unwrap().is_none(), "nothing wrong is kept");
    let text = told(&error).replace(&scripted.host(), "HOST").replace(&digest.to_string(), "LAYER");
    (text, scripted.asked(&format!("GET {}", blob(&digest))))
}

#[test]
fn a_wrong_blob_is_told_with_what_came() {
    let size = Scripted::new().layers[0].layer.size;
    let address = "http://HOST/v2/library/ruby/blobs/LAYER";
    let short = |received: u64| format!("the connection ended after {received} of {size} bytes (4 attempts)");
    let cases: [(&str, Reply, String, usize); 7] = [
        ("truncated", Truncated(40), short(160), 4),
        ("half-closed", Raw(b"HTTP/1.1 200 OK\r\n".to_vec()), " (4 attempts)".into(), 4),
        ("too long", Longer, format!("expected {size} bytes, but the server has {}", size + 1), 1),
        ("stalled", Stalled(0), "nothing came within 0.5 s (4 attempts)".into(), 4),
        ("gone", Status(404), format!("cannot find {address}"), 1),
        ("in trouble", Status(500), "the server answered with status 500 (4 attempts)".into(), 4),
        ("altered", Altered, "expected LAYER, but the bytes are sha256:".into(), 1),
    ];
    for (name, reply, says, asked) in cases {
        let (told, times) = with_layer([reply]);
        let begin = "cannot pull `HOST/library/ruby:3`: the blob LAYER could not be fetched: ";
        assert!(told.starts_with(begin) && told.contains(&says), "{name}: {told}");
        assert_eq!(times, asked, "{name}");
    }
}

#[test]
fn a_manifest_is_the_one_that_was_asked_for() {
    let (scripted, place) = (Scripted::new(), Place::new());
    let digest = scripted.image.descriptor.digest;
    scripted
        .server
        .page(&manifest(&digest.to_string()), changed(&scripted.image.manifest, "layers", "lairs"));
    let reference = format!("{}/library/ruby@{digest}", scripted.host());
    let error = place.pull(&reference).unwrap_err();
    let Fault::WrongDigest { expected, found, .. } = *error.fault else { panic!("{}", told(&error)) };
    assert_eq!(expected, digest);
    assert_ne!(found, digest);
    // What a tag leads to is no less than what the registry says of it.
    let answer = Answer::new(200).header("Docker-Content-Digest", digest.to_string()).body("{}");
    scripted.server.script(&manifest("3"), [Reply::Answer(answer)]);
    let error = place.pull(&scripted.reference()).unwrap_err();
    assert!(matches!(*error.fault, Fault::WrongDigest { size: 2, .. }), "{}", told(&error));
}

#[test]
fn what_is_no_image_is_refused() {
    let scripted = Scripted::new();
    let (config, layer) = (&scripted.image.config, &scripted.layers[0].layer);
    let good = &scripted.image.manifest;
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let huge = |digest: Digest, size: u64| {
        let text = String::from_utf8(good.to_vec()).unwrap();
        let at = text.find(&digest.to_string()).unwrap();
        let (before, after) = text.split_at(at);
        format!("{before}{}", after.replacen(&format!("\"size\":{size}"), "\"size\":99000000000", 1))
            .into_bytes()
    };
    let schema1 = br#"{"schemaVersion":1,"name":"ruby"}"#.to_vec();
    let mut nested = scripted.image.descriptor.clone();
    nested.digest = Digest::of(&index_of(nested.clone()));
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("schema 1", schema1, "which is none of an image"),
        ("not JSON", b"<html>".to_vec(), "which is none of an image"),
        ("half of it", good[..good.len() / 2].to_vec(), "which is none of an image"),
        ("foreign layer", changed(good, media_type::LAYER_GZIP, foreign), "is a foreign one"),
        ("unknown layer", changed(good, media_type::LAYER_GZIP, "application/x-rar"), "`application/x-rar`"),
        (
            "a chart",
            changed(good, media_type::CONFIG, "application/vnd.cncf.helm.config.v1+json"),
            "helm.config",
        ),
        ("huge configuration", huge(Digest::of(config), config.len() as u64), "has 99000000000 bytes"),
        ("huge layer", huge(layer.digest, layer.size), "has 99000000000 bytes"),
    ];
    for (name, bytes, says) in cases {
        let place = Place::new();
        scripted.server.page(&manifest("wrong"), bytes);
        let error = place.pull(&format!("{}/library/ruby:wrong", scripted.host())).expect_err(name);
        assert!(told(&error).contains(says), "{name}: {}", told(&error));
    }
    // As large as it likes.
    let place = Place::new();
    scripted.server.page(&manifest("wrong"), vec![b' '; (4 << 20) + 1]);
    let error = place.pull(&format!("{}/library/ruby:wrong", scripted.host())).unwrap_err();
    assert!(matches!(*error.fault, Fault::TooLarge { limit: 4_194_304, .. }), "{}", told(&error));
    // An index that says of another index that it is an image.
    scripted.server.page(&manifest(&nested.digest.to_string()), index_of(scripted.image.descriptor.clone()));
    scripted.server.page(&manifest("wrong"), index_of(nested));
    let error = place.pull(&format!("{}/library/ruby:wrong", scripted.host())).unwrap_err();
    assert!(matches!(*error.fault, Fault::MediaType { .. }), "{}", told(&error));
}

#[test]
fn layers_and_configuration_agree() {
    let (one, two) = (Scripted::of(&[b"a".to_vec()]), Scripted::new());
    let lies = changed(
        &two.image.manifest,
        &Digest::of(&two.image.config).to_string(),
        &Digest::of(&one.image.config).to_string(),
    );
    let lies = changed(
        &lies,
        &format!("\"size\":{}}},\"layers\"", two.image.config.len()),
        &format!("\"size\":{}}},\"layers\"", one.image.config.len()),
    );
    two.server
        .page(&manifest("lies"), lies)
        .page(&blob(&Digest::of(&one.image.config)), one.image.config.to_vec());
    let error = Place::new().pull(&format!("{}/library/ruby:lies", two.host())).unwrap_err();
    assert!(matches!(*error.fault, Fault::LayerCount { layers: 2, diff_ids: 1, .. }), "{}", told(&error));
}

#[test]
fn a_limit_is_explained() {
    let (scripted, place) = (Scripted::new(), Place::new());
    let body =
        r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached\nyour pull rate limit."}]}"#;
    let busy =
        Answer::new(429).header("Retry-After", "3600").header("RateLimit-Limit", "100;w=21600").body(body);
    scripted.server.script(&manifest("3"), [Reply::Answer(busy)]);
    let error = place.pull(&scripted.reference()).unwrap_err();
    let address = scripted.server.url(&manifest("3"));
    assert_eq!(
        told(&error),
        format!(
            "cannot pull `{}`: the registry limits how much is pulled, to 100 pulls in 6 h, and asks to wait 3600 s \
             (TOOMANYREQUESTS: You have reached your pull rate limit.): {address}",
            scripted.reference()
        )
    );
    assert!(error.hint().unwrap().contains("docker login"));
    assert_eq!(scripted.server.requests().len(), 1, "nobody waits for an hour");

    let soon = Answer::new(429).header("Retry-After", "0").body(body);
    scripted.server.script(&manifest("3"), [Reply::Answer(soon), Reply::Good]);
    let layer = scripted.layers[0].layer.digest;
    scripted.server.script(&blob(&layer), [Status(429)]);
    let error = place.pull(&scripted.reference()).unwrap_err();
    assert!(matches!(*error.fault, Fault::RateLimited { .. }), "{}", told(&error));
    assert_eq!(scripted.asked(&format!("GET {}", blob(&layer))), 4);
}

#[test]
fn a_registry_that_is_not_there_is_named() {
    for reply in [Hang, Raw(Vec::new()), Reset(0)] {
        let (scripted, place) = (Scripted::new(), Place::new());
        scripted.server.script(&manifest("3"), [reply]);
        let error = place.pull(&scripted.reference()).unwrap_err();
        assert!(matches!(*error.fault, Fault::Unreachable(_)), "{}", told(&error));
        assert!(told(&error).contains("(4 attempts)"), "{}", told(&error));
        assert!(error.hint().is_some());
    }
    // Half-way into a document.
    let (scripted, place) = (Scripted::new(), Place::new());
    scripted.server.script(&manifest("3"), [Truncated(10)]);
    let error = place.pull(&scripted.reference()).unwrap_err();
    assert!(told(&error).contains("the connection ended after 10 of "), "{}", told(&error));
}

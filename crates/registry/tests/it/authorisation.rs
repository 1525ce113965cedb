//! Logins: nobody, a user and a password, and tokens from a service, which end.

use registry::{Credential, Fault, Keychain};
use testkit::web::{Answer, Reply, Request, Server};

use crate::fixture::{Place, Scripted, blob, files, manifest, stacked, told};

fn password(user: &str, password: &str) -> Credential {
    Credential::Password { user: user.to_owned(), password: password.to_owned() }
}

/// A repository whose manifest and first layer want a token, each of them once.
fn guarded() -> Scripted {
    let scripted = Scripted::new();
    scripted.server.script(&manifest("3"), [challenge(&scripted), Reply::Good]);
    scripted
}

fn challenge(scripted: &Scripted) -> Reply {
    let realm = scripted.server.url("/token?account=x");
    let value =
        format!(r#"Bearer realm="{realm}",service="test.registry",scope="repository:library/ruby:pull""#);
    Reply::Answer(Answer::new(401).header("WWW-Authenticate", value))
}

fn token(text: &str) -> Reply {
    Reply::Answer(Answer::new(200).body(text))
}

/// What was sent to the token service.
fn to_service(scripted: &Scripted) -> Vec<Request> {
    scripted.server.requests().into_iter().filter(|request| request.target.starts_with("/token")).collect()
}

#[test]
fn a_token_is_asked_for_once_and_told_to_the_registry() {
    let scripted = guarded();
    scripted.server.script("/token", [token(r#"{"token":"abc","expires_in":300}"#)]);
    let pulled = Place::new().pull(&scripted.reference()).unwrap();
    assert_eq!(files(&pulled), stacked("amd64"));
    let service = to_service(&scripted);
    assert_eq!(service.len(), 1);
    assert_eq!(
        service[0].target,
        "/token?account=x&service=test.registry&scope=repository%3Alibrary%2Fruby%3Apull&client_id=distroless-ruby"
    );
    assert_eq!(service[0].header("authorization"), None, "nobody is known");
    let requests = scripted.server.requests();
    let after: Vec<_> = requests[2..].iter().map(|request| request.header("authorization")).collect();
    assert_eq!(after, [Some("Bearer abc"); 4], "the manifest again, the configuration and two layers");
}

#[test]
fn the_service_is_told_who_we_are() {
    let scripted = guarded();
    scripted.server.script("/token", [token(r#"{"access_token":"abc"}"#)]);
    let mut place = Place::new();
    place.keychain = Keychain::default().given(&scripted.host(), password("u", "p"));
    place.pull(&scripted.reference()).unwrap();
    assert_eq!(to_service(&scripted)[0].header("authorization"), Some("Basic dTpw"));

    // An identity token is exchanged for one of the registry.
    let scripted = guarded();
    scripted.server.script("POST /token", [token(r#"{"access_token":"abc"}"#)]);
    place.keychain = Keychain::default().given(&scripted.host(), Credential::IdentityToken("i&d".into()));
    place.pull(&scripted.reference()).unwrap();
    let form = String::from_utf8(to_service(&scripted)[0].body.clone()).unwrap();
    assert_eq!(
        form,
        "grant_type=refresh_token&refresh_token=i%26d&client_id=distroless-ruby&service=test.registry&scope=repository%3Alibrary%2Fruby%3Apull"
    );

    // A token of the registry's own needs no service.
    let scripted = guarded();
    place.keychain = Keychain::default().given(&scripted.host(), Credential::RegistryToken("own".into()));
    place.pull(&scripted.reference()).unwrap();
    assert_eq!(to_service(&scripted), []);
    assert_eq!(scripted.server.requests()[1].header("authorization"), Some("Bearer own"));
}

#[test]
fn a_token_that_ends_is_renewed_and_what_came_is_kept() {
    let scripted = guarded();
    let layer = blob(&scripted.layers[0].layer.digest);
    scripted.server.script("/token", [token(r#"{"token":"one"}"#), token(r#"{"token":"two"}"#)]);
    scripted.server.script(&format!("HEAD {layer}"), [challenge(&scripted), Reply::Good]);
    scripted.server.script(
        &format!("GET {layer}"),
        [Reply::Truncated(30), Reply::Answer(Answer::new(401)), Reply::Good],
    );
    let pulled = Place::new().pull(&scripted.reference()).unwrap();
    assert_eq!(files(&pulled), stacked("amd64"));
    let requests = scripted.server.requests();
    let asked = requests.iter().filter(|request| request.method == "GET" && request.target == layer);
    let asked: Vec<_> =
        asked.map(|one| (one.header("range"), one.header("authorization").unwrap())).collect();
    assert_eq!(
        asked,
        [(None, "Bearer one"), (Some("bytes=30-"), "Bearer one"), (Some("bytes=30-"), "Bearer two")]
    );
    assert_eq!(to_service(&scripted).len(), 2);
}

#[test]
fn a_token_that_ended_is_not_sent() {
    let scripted = guarded();
    scripted.server.script("/token", [token(r#"{"token":"abc","expires_in":0}"#)]);
    Place::new().pull(&scripted.reference()).unwrap();
    assert!(to_service(&scripted).len() > 1, "one that lives for no time is got anew for the next request");
}

#[test]
fn a_login_that_somebody_else_asks_for_is_none() {
    let (scripted, storage) = (Scripted::new(), Server::start());
    let elsewhere = Answer::new(307).header("Location", storage.url("/manifest"));
    scripted.server.script(&manifest("3"), [Reply::Answer(elsewhere)]);
    let asks = format!("Bearer realm=\"{}\"", storage.url("/token"));
    storage.script("/manifest", [Reply::Answer(Answer::new(401).header("WWW-Authenticate", asks))]);
    storage.script("/token", [token(r#"{"token":"abc"}"#)]);
    let mut place = Place::new();
    place.keychain = Keychain::default().given(&scripted.host(), password("u", "p"));
    let error = place.pull(&scripted.reference()).unwrap_err();
    assert!(matches!(*error.fault, Fault::Denied { .. }), "{}", told(&error));
    let asked: Vec<String> = storage.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(asked, ["/manifest"]);
}

#[test]
fn refusals_are_told_with_what_to_do() {
    let denied = r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#;
    let basic =
        || Reply::Answer(Answer::new(401).header("WWW-Authenticate", "Basic realm=\"x\"").body(denied));
    let known = |scripted: &Scripted| Keychain::default().given(&scripted.host(), password("u", "p"));
    // Nobody, where somebody is wanted.
    let scripted = Scripted::new();
    scripted.server.script(&manifest("3"), [basic()]);
    let mut place = Place::new();
    let error = place.pull(&scripted.reference()).unwrap_err();
    assert!(matches!(*error.fault, Fault::Denied { is_known: false, .. }), "{}", told(&error));
    assert!(
        told(&error).contains("(DENIED: requested access to the resource is denied)"),
        "{}",
        told(&error)
    );
    assert!(error.hint().unwrap().contains("docker login"));
    // A wrong password, which is tried once.
    place.keychain = known(&scripted);
    let before = scripted.server.requests().len();
    let error = place.pull(&scripted.reference()).unwrap_err();
    assert!(matches!(*error.fault, Fault::Denied { is_known: true, .. }), "{}", told(&error));
    assert_eq!(scripted.server.requests().len() - before, 2);
    assert!(!told(&error).contains("dTpw"));
    // A service that does not like it either.
    let scripted = guarded();
    place.keychain = known(&scripted);
    scripted.server.script("/token", [Reply::Answer(Answer::new(401).body(denied))]);
    let error = place.pull(&scripted.reference()).unwrap_err();
    assert!(matches!(*error.fault, Fault::Denied { is_known: true, .. }), "{}", told(&error));
    // Tokens that do not help.
    let scripted = Scripted::new();
    scripted
        .server
        .script(&manifest("3"), [challenge(&scripted)])
        .script("/token", [token(r#"{"token":"abc"}"#)]);
    assert!(matches!(*Place::new().pull(&scripted.reference()).unwrap_err().fault, Fault::Denied { .. }));
}

#[test]
fn what_is_no_login_is_told() {
    for (challenge, answer, says) in [
        ("Negotiate", "", "in a way that is not understood here: negotiate"),
        ("", "", "asks for a login, and does not say in which way"),
        ("Bearer realm=\"ftp://x/\"", "", "`ftp://x/` is not reached over TLS"),
        ("Bearer", "", "is not reached over TLS"),
        ("Bearer realm=\"TOKEN\"", "no JSON", "gave no token: it answered with no JSON"),
        ("Bearer realm=\"TOKEN\"", "{}", "gave no token: its answer has none"),
        ("Bearer realm=\"TOKEN\"", r#"{"token":"a\r\nX: y"}"#, "gave no token: its answer has none"),
    ] {
        let scripted = Scripted::new();
        let value = challenge.replace("TOKEN", &scripted.server.url("/token"));
        let refusal = Answer::new(401);
        let refusal = if value.is_empty() { refusal } else { refusal.header("WWW-Authenticate", value) };
        scripted.server.script(&manifest("3"), [Reply::Answer(refusal)]).script("/token", [token(answer)]);
        let error = told(&Place::new().pull(&scripted.reference()).unwrap_err());
        assert!(error.contains(says), "{challenge}: {error}");
    }
}

//! Bytes under tags, in the real registry and against one that lies.

use registry::Entry;
use schema::reference::Repository;
use testkit::docker_registry::DockerRegistry;

use crate::fixture::{Place, Scripted, blob, changed, layout, told};

fn entries(place: &Place, texts: &[(&str, &str)]) -> Vec<Entry> {
    let entry = |(tag, text): &(&str, &str)| Entry {
        tag: (*tag).to_owned(),
        blob: place.store.put(text.as_bytes()).unwrap(),
    };
    texts.iter().map(entry).collect()
}

#[test]
fn what_one_keeps_another_finds() {
    let (server, one, other) = (DockerRegistry::start(), Place::new(), Place::new());
    let cache: Repository = format!("{}/team/cache", server.host()).parse().unwrap();
    let kept = entries(&one, &[("a-1", "first"), ("a-2", "second"), ("b-1", "first")]);
    assert_eq!(one.registry().keep_entries(&cache, &kept, &()).unwrap(), 3);
    assert_eq!(one.registry().keep_entries(&cache, &kept, &()).unwrap(), 0, "they are there");
    let find = |tag: &str| {
        let found = other.registry().entry(&other.store, &cache, tag).unwrap();
        found.map(|blob| String::from_utf8(blob.content().to_vec()).unwrap())
    };
    assert_eq!(find("a-1").as_deref(), Some("first"));
    assert_eq!(find("a-2").as_deref(), Some("second"));
    assert_eq!(find("b-1").as_deref(), Some("first"));
    assert_eq!(find("a-3"), None);
    // The last one who keeps something under a tag is right.
    one.registry().keep_entries(&cache, &entries(&one, &[("a-1", "other")]), &()).unwrap();
    assert_eq!(find("a-1").as_deref(), Some("other"));
    assert_eq!(one.registry().keep_entries(&cache, &[], &()).unwrap(), 0);
}

#[test]
fn an_image_is_no_entry() {
    let (server, place) = (DockerRegistry::start(), Place::new());
    let folder = place.folder.path().join("oci");
    let layout = layout(&folder);
    let to: Repository = format!("{}/images", server.host()).parse().unwrap();
    let names = layout.references().unwrap();
    let plan = place.registry().plan_push(&layout, &names, &to, &[]).unwrap();
    place.registry().push(&layout, &plan, &()).unwrap();
    let error = place.registry().entry(&place.store, &to, "3.4").unwrap_err();
    assert!(told(&error).contains("application/vnd.oci.image.index.v1+json"), "{}", told(&error));
}

#[test]
fn bytes_that_are_not_what_the_entry_says_are_refused() {
    let scripted = Scripted::new();
    let place = Place::new();
    let from: Repository = format!("{}/library/ruby", scripted.host()).parse().unwrap();
    // An image of one layer is of the same form but for the type.
    let one = Scripted::of(&[crate::fixture::lower()]);
    let layer = one.layers[0].layer.digest;
    let kind = "\"artifactType\":\"application/vnd.distroless-ruby.cache-entry\",\"config\"";
    let manifest = changed(&one.image.manifest, "\"config\"", kind);
    scripted.server.page("/v2/library/ruby/manifests/entry", manifest);
    scripted.server.page(&blob(&layer), b"something else".to_vec());
    let error = place.registry().entry(&place.store, &from, "entry").unwrap_err();
    assert!(told(&error).contains(&layer.to_string()), "{}", told(&error));
    assert!(place.store.get(&layer).unwrap().is_none());
}

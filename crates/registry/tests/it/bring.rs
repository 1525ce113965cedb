//! Everything that a reference leads to, from the real registry into a layout; and what is refused on the way.

use oci::Layout;
use schema::reference::{Reference, Repository};
use testkit::docker_registry::DockerRegistry;

use crate::fixture::{Place, Scripted, blob, layout, told};

#[test]
fn an_index_comes_with_all_of_its_images() {
    let (server, one, other) = (DockerRegistry::start(), Place::new(), Place::new());
    let from = layout(&one.folder.path().join("oci"));
    let to: Repository = format!("{}/images", server.host()).parse().unwrap();
    let names = from.references().unwrap();
    let plan = one.registry().plan_push(&from, &names, &to, &[]).unwrap();
    one.registry().push(&from, &plan, &()).unwrap();

    let copy = Layout::create(&other.folder.path().join("oci")).unwrap();
    let writer = copy.writer().unwrap();
    let root = names["ruby:3.4"].clone();
    for reference in [to.tagged("3.4").unwrap(), to.at(root.digest)] {
        let brought = other.registry().bring(&other.store, &writer, &reference, &()).unwrap();
        assert_eq!((brought.digest, brought.size), (root.digest, root.size));
    }
    copy.check(&root).unwrap();
    assert!(copy.references().unwrap().is_empty(), "nothing has a name");
    let images = |layout: &Layout| layout.listed(&root).unwrap();
    assert_eq!(images(&copy), images(&from));

    let missing: Reference = to.tagged("none").unwrap();
    let error = other.registry().bring(&other.store, &writer, &missing, &()).unwrap_err();
    assert!(told(&error).contains("was not found"), "{}", told(&error));
}

#[test]
fn a_blob_that_is_another_one_is_refused() {
    let scripted = Scripted::new();
    let place = Place::new();
    let layer = scripted.layers[1].layer.digest;
    scripted.server.page(&blob(&layer), b"something else".to_vec());
    let copy = Layout::create(&place.folder.path().join("oci")).unwrap();
    let writer = copy.writer().unwrap();
    let reference: Reference = scripted.reference().parse().unwrap();
    let error = place.registry().bring(&place.store, &writer, &reference, &()).unwrap_err();
    assert!(told(&error).contains(&layer.to_string()), "{}", told(&error));
}

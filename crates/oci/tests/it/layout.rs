//! Writing into a layout and reading back what was written.

use std::sync::Barrier;

use oci::{Fault, Layout, Swept};
use schema::Digest;

use crate::fixture::{files, index, open, put, reference, ruby, traces};

#[test]
fn an_image_is_read_back_as_it_was_put() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    put(&layout, &["ruby:3.3-trixie"], "3.3.8");

    let image = open(&Layout::open(folder.path()).unwrap(), "ruby:3.3-trixie").unwrap();
    assert_eq!(image.config.config.cmd, ["irb"]);
    assert_eq!(image.layers.len(), 2);
    assert_eq!(Digest::of(&image.layer_tar(&image.layers[1]).unwrap()), ruby("3.3.8").layer.diff_id);
    let tree: Vec<String> = image
        .tree()
        .unwrap()
        .iter()
        .map(|(path, entry)| format!("{path} from layer {}", entry.origin.0))
        .collect();
    insta::assert_snapshot!(tree.join("\n"), @r"
    /etc from layer 1
    /etc/os-release from layer 0
    /usr from layer 1
    /usr/bin from layer 1
    /usr/bin/ruby from layer 1
    ");
}

#[test]
fn the_documents_never_change() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let descriptor = put(&layout, &["ruby:3.3", "ruby:3.3-trixie"], "3.3.8");
    let blob = |digest| fs_err::read_to_string(layout.blob_path(digest)).unwrap();
    let image = open(&layout, "ruby:3.3").unwrap();
    let documents = [&descriptor, &image.descriptor, &image.manifest.config].map(|at| blob(&at.digest));
    let files =
        ["oci-layout", "index.json"].map(|file| fs_err::read_to_string(folder.path().join(file)).unwrap());
    let lines = [&files[..], &documents].concat().join("\n\n").replace(",\"", ",\n\"");
    insta::assert_snapshot!(lines, @r#"
    {"imageLayoutVersion":"1.0.0"}

    {"manifests":[{"annotations":{"org.opencontainers.image.ref.name":"ruby:3.3"},
    "digest":"sha256:efa728380e8961a0c2868fb6c5d0aaf82e8e02f70dfa5d32a40b2d62d9b38899",
    "mediaType":"application/vnd.oci.image.index.v1+json",
    "size":352},{"annotations":{"org.opencontainers.image.ref.name":"ruby:3.3-trixie"},
    "digest":"sha256:efa728380e8961a0c2868fb6c5d0aaf82e8e02f70dfa5d32a40b2d62d9b38899",
    "mediaType":"application/vnd.oci.image.index.v1+json",
    "size":352}],
    "mediaType":"application/vnd.oci.image.index.v1+json",
    "schemaVersion":2}

    {"manifests":[{"annotations":{"io.github.containers.compression.zstd":"true"},
    "digest":"sha256:a47bda73a3c6412cf637a8d1f837dae637ea836136c09b67afe10b548c9b2095",
    "mediaType":"application/vnd.oci.image.manifest.v1+json",
    "platform":{"architecture":"amd64",
    "os":"linux"},
    "size":611}],
    "mediaType":"application/vnd.oci.image.index.v1+json",
    "schemaVersion":2}

    {"annotations":{"org.opencontainers.image.title":"ruby"},
    "config":{"digest":"sha256:16bda8395b66e4d9cb61e6d04116332746beb34cdc1314e0773a762f0530870e",
    "mediaType":"application/vnd.oci.image.config.v1+json",
    "size":528},
    "layers":[{"digest":"sha256:a9f77a206552d84173b309a05481f8d678d86da8b48e03f7cbc4500309cf6dc5",
    "mediaType":"application/vnd.oci.image.layer.v1.tar+gzip",
    "size":170},{"digest":"sha256:971547e2f531918c86bf64dba0f2fe68d9bc0c79311d905ff18f312ab6ce5103",
    "mediaType":"application/vnd.oci.image.layer.v1.tar+zstd",
    "size":145}],
    "mediaType":"application/vnd.oci.image.manifest.v1+json",
    "schemaVersion":2}

    {"architecture":"amd64",
    "config":{"Cmd":["irb"],
    "Env":["LANG=C.UTF-8"],
    "User":"65532:65532",
    "WorkingDir":"/"},
    "created":"1970-01-01T00:00:00Z",
    "history":[{"comment":"a layer",
    "created":"1970-01-01T00:00:00Z",
    "created_by":"distroless-ruby"},{"comment":"a layer",
    "created":"1970-01-01T00:00:00Z",
    "created_by":"distroless-ruby"}],
    "os":"linux",
    "rootfs":{"diff_ids":["sha256:9a91091e7624290b9467c4d70c2f58e94152c00c9de2211537a5286a234fbc43",
    "sha256:a365f24901a1d89728c90249e4e050765985ee80d64f2600d9323c3230f6d3bf"],
    "type":"layers"}}
    "#);
}

#[test]
fn a_second_run_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    put(&Layout::create(folder.path()).unwrap(), &["ruby:3.3", "ruby:3.3-trixie"], "3.3.8");
    let before = traces(folder.path());

    let layout = Layout::create(folder.path()).unwrap();
    let descriptor = put(&layout, &["ruby:3.3-trixie", "ruby:3.3"], "3.3.8");
    layout.check(&descriptor).unwrap();
    assert_eq!(layout.remove_unreferenced().unwrap(), Some(Swept::default()));
    assert_eq!(traces(folder.path()), before);
}

#[test]
fn says_what_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let writer = layout.writer().unwrap();
    let blob = b"blob";
    let put = || writer.put_blob(&Digest::of(blob), blob).unwrap();
    assert!(put() && !put());
    let path = layout.blob_path(&Digest::of(blob));
    assert!(!path.exists(), "it has no place yet");
    writer.publish().unwrap();
    assert!(!put());
    for damage in [&b""[..], b"blub", b"blob and more"] {
        fs_err::write(&path, damage).unwrap();
        assert!(put() && !put(), "{damage:?}");
        writer.publish().unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), blob);
    }
    assert!(!writer.set_refs(|_| ()).unwrap());

    let error = writer.put_blob(&Digest::of(b"other"), blob).unwrap_err();
    assert!(matches!(*error.fault, Fault::BlobDigest { .. }), "{error}");
}

#[test]
fn what_is_not_published_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let before = files(folder.path());
    let writer = layout.writer().unwrap();
    for blob in [&b"one"[..], b"two"] {
        writer.put_blob(&Digest::of(blob), blob).unwrap();
    }
    drop(writer);
    assert_eq!(files(folder.path()), before);
}

#[test]
fn names_are_added_moved_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let old = put(&layout, &["ruby:3.3", "ruby:3.3-trixie"], "3.3.7");
    let new = put(&layout, &["ruby:3.3"], "3.3.8");
    let names = layout.references().unwrap();
    assert_eq!(names["ruby:3.3"], new);
    assert_eq!(names["ruby:3.3-trixie"], old);

    let writer = layout.writer().unwrap();
    assert!(writer.set_refs(|refs| refs.retain(|name, _| name.as_str() == "ruby:3.3")).unwrap());
    assert_eq!(layout.references().unwrap().into_keys().collect::<Vec<_>>(), [reference("ruby:3.3")]);
}

#[test]
fn what_others_put_into_the_index_stays() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let descriptor = put(&layout, &["ruby:3.3"], "3.3.8");
    let path = folder.path().join("index.json");
    let unnamed = |text: &str| text.replace("ruby:3.3", "not a name");
    fs_err::write(&path, unnamed(&fs_err::read_to_string(&path).unwrap())).unwrap();
    assert!(layout.references().unwrap().is_empty());

    put(&layout, &["ruby:3"], "3.3.8");
    let index = fs_err::read_to_string(&path).unwrap();
    assert_eq!(index.matches(&descriptor.digest.to_string()).count(), 2);
    assert!(index.contains("not a name"));
}

#[test]
fn an_image_gets_no_name_before_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let before = files(folder.path());
    let (index, image, layers) = index("3.3.8");
    let writer = layout.writer().unwrap();
    let name = || writer.set_refs(|refs| drop(refs.insert(reference("ruby:3.3"), index.descriptor.clone())));
    let missing = |digest: Digest| {
        let error = name().unwrap_err();
        assert!(matches!(*error.fault, Fault::NoBlob(found) if found == digest), "{error}");
        assert_eq!(fs_err::read(folder.path().join("index.json")).unwrap(), before["index.json"]);
    };

    missing(index.descriptor.digest);
    writer.put_index(&index).unwrap();
    missing(image.descriptor.digest);
    writer.put_image(&image).unwrap();
    writer.put_blob(&layers[0].layer.digest, &layers[0].bytes).unwrap();
    missing(layers[1].layer.digest);
    writer.put_blob(&layers[1].layer.digest, &layers[1].bytes).unwrap();
    assert!(name().unwrap());
}

#[test]
fn what_has_no_name_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    put(&layout, &["ruby:3.3"], "3.3.8");
    let before = files(folder.path());
    // The index, the manifest, the configuration and the layer of another image, and what a killed run left.
    put(&layout, &["ruby:3.4"], "3.4.5");
    let writer = layout.writer().unwrap();
    writer.set_refs(|refs| drop(refs.remove("ruby:3.4"))).unwrap();
    fs_err::write(folder.path().join("blobs/sha256/.tmpabc"), "half").unwrap();

    assert_eq!(layout.remove_unreferenced().unwrap(), None, "a writer may be about to name a blob");
    drop(writer);
    let swept = layout.remove_unreferenced().unwrap().unwrap();
    assert_eq!(swept.files, 5);
    assert_eq!(files(folder.path()), before);
}

#[test]
fn nothing_is_removed_when_it_is_not_known_what_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let descriptor = put(&layout, &["ruby:3.3"], "3.3.8");
    fs_err::write(layout.blob_path(&descriptor.digest), "damaged").unwrap();
    let before = files(folder.path());
    layout.remove_unreferenced().unwrap_err();
    assert_eq!(files(folder.path()), before);
}

#[test]
fn many_runs_at_once_keep_what_each_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let start = Barrier::new(8);
    std::thread::scope(|scope| {
        for run in 0..8 {
            let (folder, start) = (folder.path(), &start);
            scope.spawn(move || {
                start.wait();
                let layout = Layout::create(folder).unwrap();
                for step in 0..4 {
                    put(&layout, &[&format!("ruby:{run}.{step}")], &format!("{}", (run + step) % 5));
                    layout.remove_unreferenced().unwrap();
                }
            });
        }
    });
    let layout = Layout::open(folder.path()).unwrap();
    let names = layout.references().unwrap();
    assert_eq!(names.len(), 32);
    for descriptor in names.values() {
        layout.check(descriptor).unwrap();
    }
    layout.remove_unreferenced().unwrap();
    // A layer, a configuration, a manifest and an index for each of five Rubies, and the base.
    assert_eq!(fs_err::read_dir(folder.path().join("blobs/sha256")).unwrap().count(), 21);
}

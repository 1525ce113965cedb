//! Documents about images.

use oci::document::Descriptor;
use oci::{Fault, Layout, LayoutError, NewArtifact, NewBlob, Part, Referrer, Writer, export};
use schema::Digest;

use crate::fixture::{files, open, put, put_all, reference, traces};

const SPDX: &str = "application/spdx+json";
const CYCLONEDX: &str = "application/vnd.cyclonedx+json";

/// Puts and lists a document about each of `subjects`.
fn put_artifact(writer: &Writer<'_>, subject: &Descriptor, media_type: &str, text: &str) -> Descriptor {
    let artifact = NewArtifact::new(subject, media_type, "about", NewBlob::new(text.as_bytes().to_vec()));
    writer.put_artifact(&artifact).unwrap();
    list(writer, &artifact).unwrap();
    artifact.referrer.descriptor
}

fn list(writer: &Writer<'_>, artifact: &NewArtifact) -> Result<bool, LayoutError> {
    writer.set_listing(|listing| {
        listing.refer([artifact.referrer.clone()]);
        Ok(())
    })
}

fn referrers(layout: &Layout, subject: &Descriptor) -> Vec<Digest> {
    layout.referrers().unwrap().of(&subject.digest).map(|referrer| referrer.descriptor.digest).collect()
}

#[test]
fn the_documents_of_an_artifact_never_change() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    put(&layout, &["ruby:3.3"], "3.3.8");
    // A descriptor with a platform and annotations.
    let subject = open(&layout, "ruby:3.3").unwrap().descriptor;
    let artifact = NewArtifact::new(
        &subject,
        SPDX,
        "ruby.spdx.json",
        NewBlob::new(b"{\"spdxVersion\":\"SPDX-2.3\"}".to_vec()),
    );
    let manifest = String::from_utf8(artifact.manifest.to_vec()).unwrap();
    insta::assert_snapshot!(manifest.replace(",\"", ",\n\""), @r#"
    {"artifactType":"application/spdx+json",
    "config":{"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    "mediaType":"application/vnd.oci.empty.v1+json",
    "size":2},
    "layers":[{"annotations":{"org.opencontainers.image.title":"ruby.spdx.json"},
    "digest":"sha256:d4f269605ffe72fbe7a3021d68284798ec364111376ee2eace17688bb52a9e1d",
    "mediaType":"application/spdx+json",
    "size":26}],
    "mediaType":"application/vnd.oci.image.manifest.v1+json",
    "schemaVersion":2,
    "subject":{"digest":"sha256:a47bda73a3c6412cf637a8d1f837dae637ea836136c09b67afe10b548c9b2095",
    "mediaType":"application/vnd.oci.image.manifest.v1+json",
    "size":611}}
    "#);
    let Referrer { descriptor, subject: about, title } = artifact.referrer;
    assert_eq!(descriptor.artifact_type.as_deref(), Some(SPDX));
    assert_eq!(descriptor.digest, Digest::of(&artifact.manifest));
    assert_eq!((about, title.as_deref()), (subject.digest, Some("ruby.spdx.json")));
}

#[test]
fn referrers_are_listed_by_their_subject_without_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let index = put_all(&layout, "ruby:3.3");
    let writer = layout.writer().unwrap();
    let of_index = put_artifact(&writer, &index.descriptor, SPDX, "{}");
    let mut of_image = [
        put_artifact(&writer, &index.images[0], SPDX, "{}"),
        put_artifact(&writer, &index.images[0], CYCLONEDX, "{}"),
    ];
    of_image.sort_by_key(|descriptor| descriptor.digest);
    let found = layout.referrers().unwrap();
    let of = |subject: &Descriptor| -> Vec<_> {
        found.of(&subject.digest).map(|referrer| referrer.descriptor.clone()).collect()
    };
    assert_eq!(of(&index.descriptor), [of_index]);
    assert_eq!(of(&index.images[0]), of_image);
    assert_eq!(of(&index.images[1]), []);
    assert_eq!(layout.references().unwrap().len(), 1);
    let document = layout.manifest(&of_image[0]).unwrap().layers.remove(0);
    assert_eq!(*layout.blob(&document).unwrap(), *b"{}");
}

#[test]
fn a_second_run_writes_nothing_and_the_order_makes_no_difference() {
    let once = |turned: bool| {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        let index = put_all(&layout, "ruby:3.3");
        let writer = layout.writer().unwrap();
        let mut types = [SPDX, CYCLONEDX];
        if turned {
            types.reverse();
        }
        let put = || types.map(|media_type| put_artifact(&writer, &index.descriptor, media_type, "{}"));
        put();
        let before = traces(folder.path());
        put();
        put_all(&layout, "ruby:3.3");
        assert_eq!(traces(folder.path()), before);
        files(folder.path())
    };
    assert_eq!(once(false), once(true));
}

#[test]
fn a_referrer_stays_as_long_as_its_subject() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let subject = put(&layout, &["ruby:3.3", "ruby:3"], "3.3.8");
    let image = open(&layout, "ruby:3.3").unwrap().descriptor;
    put(&layout, &["ruby:3.4"], "3.4.5");
    let without = files(folder.path());

    let writer = layout.writer().unwrap();
    let sbom = put_artifact(&writer, &image, SPDX, "{}");
    let signature = put_artifact(&writer, &sbom, "application/x-signature", "signed");
    let others = put_artifact(&writer, &subject, CYCLONEDX, "{}");
    writer.set_refs(|refs| drop(refs.remove("ruby:3"))).unwrap();
    drop(writer);
    layout.remove_unreferenced().unwrap().unwrap();
    assert_eq!(referrers(&layout, &image), [sbom.digest]);
    assert_eq!(referrers(&layout, &sbom), [signature.digest], "a referrer of a referrer");
    assert_eq!(referrers(&layout, &subject), [others.digest]);
    for descriptor in [&sbom, &signature, &others] {
        layout.check(descriptor).unwrap();
    }

    let writer = layout.writer().unwrap();
    writer.set_refs(|refs| drop(refs.remove("ruby:3.3"))).unwrap();
    drop(writer);
    layout.remove_unreferenced().unwrap().unwrap();
    put(&layout, &["ruby:3.3", "ruby:3"], "3.3.8");
    assert_eq!(files(folder.path()), without, "nothing of them is left");
}

#[test]
fn what_is_missing_or_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let subject = put(&layout, &["ruby:3.3"], "3.3.8");
    let writer = layout.writer().unwrap();
    let artifact = NewArtifact::new(&subject, SPDX, "about", NewBlob::new(b"{}{}".to_vec()));
    let digest = artifact.referrer.descriptor.digest;
    let error = list(&writer, &artifact).unwrap_err();
    assert!(matches!(&*error.fault, Fault::NoBlob(missing) if *missing == digest), "{error}");
    writer.put_artifact(&artifact).unwrap();
    assert!(list(&writer, &artifact).unwrap());

    // It is repaired by what put it, and goes by itself where nothing does.
    fs_err::write(layout.blob_path(&digest), "damage").unwrap();
    assert_eq!(referrers(&layout, &subject), []);
    writer.put_artifact(&artifact).unwrap();
    writer.publish().unwrap();
    assert_eq!(referrers(&layout, &subject), [digest]);
    fs_err::write(layout.blob_path(&digest), "damage").unwrap();
    assert!(writer.set_refs(|_| ()).unwrap());
    drop(writer);
    layout.remove_unreferenced().unwrap().unwrap();
    assert!(!layout.blob_path(&digest).exists());
}

#[test]
fn a_layout_is_handed_on_with_what_refers_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(&folder.path().join("layout")).unwrap();
    let index = put_all(&layout, "ruby:3.3");
    let subject = put(&layout, &["ruby:3.4"], "3.4.5");
    let writer = layout.writer().unwrap();
    put_artifact(&writer, &subject, SPDX, "of another image");
    let of_index = put_artifact(&writer, &index.descriptor, SPDX, "of all");
    let of_amd64 = put_artifact(&writer, &index.images[0], SPDX, "of amd64");
    let of_arm64 = put_artifact(&writer, &index.images[1], SPDX, "of arm64");
    let source = layout.resolve("ruby:3.3").unwrap();
    let exported = |name: &str, architecture| {
        let output = folder.path().join(name);
        let names = [reference("ruby:3.3")];
        let part = Part { architecture, compression: None };
        export::oci_layout(&source, part, &names, &output, export::Existing::Refuse).unwrap();
        let layout = Layout::open(&output).unwrap();
        let listed = [&index.descriptor, &index.images[0], &index.images[1], &subject];
        (listed.map(|subject| referrers(&layout, subject)), files(&output))
    };
    let (whole, exported_files) = exported("whole", None);
    assert_eq!(whole, [vec![of_index.digest], vec![of_amd64.digest], vec![of_arm64.digest], vec![]]);
    assert!(!exported_files.values().any(|bytes| bytes.starts_with(b"of another")));
    let (part, _) = exported("arm64", Some(schema::Architecture::Arm64));
    assert_eq!(part, [vec![], vec![], vec![of_arm64.digest], vec![]]);
}

#[test]
fn contents_are_in_an_order_in_which_each_finds_what_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let index = put(&layout, &["ruby:3.3", "ruby:3"], "3.3.8");
    let image = layout.resolve("ruby:3.3").unwrap().images[0].clone();
    let (_, _, [base, ruby]) = crate::fixture::index("3.3.8");
    let writer = layout.writer().unwrap();
    let sbom = put_artifact(&writer, &index, SPDX, "an SBOM");
    let signature = put_artifact(&writer, &sbom, "application/x-signature", "of the SBOM");
    let contents = layout.contents([index.clone(), index.clone()]).unwrap();
    let documents: Vec<Digest> = contents.documents.iter().map(|one| one.digest).collect();
    assert_eq!(documents, [image.digest, index.digest]);
    let about: Vec<(Digest, Digest)> =
        contents.referrers.iter().map(|one| (one.descriptor.digest, one.subject)).collect();
    assert_eq!(about, [(sbom.digest, index.digest), (signature.digest, sbom.digest)]);
    let texts = ["{}", "an SBOM", "of the SBOM"].map(|text| Digest::of(text.as_bytes()));
    let config = layout.image(image).unwrap().manifest.config.digest;
    let blobs: std::collections::BTreeSet<Digest> =
        texts.into_iter().chain([config, base.layer.digest, ruby.layer.digest]).collect();
    assert!(contents.blobs.into_keys().eq(blobs));
}

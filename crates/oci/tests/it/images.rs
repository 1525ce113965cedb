//! One reference for every machine and every compression.

use std::collections::BTreeMap;

use oci::document::Descriptor;
use oci::export::ExportError;
use oci::{Fault, Layout, NewIndex, Part, Prefer, export, media_type};
use schema::Architecture;

use crate::fixture::{files, index, open, put, put_all, reference};

const BOTH: [Architecture; 2] = Architecture::ALL;

/// How an index lists its images, for people to read.
fn listed(images: &[Descriptor]) -> Vec<String> {
    let line = |image: &Descriptor| {
        let platform = image.platform.as_ref().unwrap();
        let marks = image.annotations.iter().map(|(name, value)| format!(" {name}={value}"));
        format!("{}/{}{}", platform.os, platform.architecture, marks.collect::<String>())
    };
    images.iter().map(line).collect()
}

#[test]
fn an_index_lists_gzip_first_and_marks_zstd() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let index = put_all(&layout, "ruby:3.3");
    insta::assert_debug_snapshot!(listed(&index.images), @r#"
    [
        "linux/amd64",
        "linux/arm64",
        "linux/amd64 io.github.containers.compression.zstd=true",
        "linux/arm64 io.github.containers.compression.zstd=true",
    ]
    "#);
    let mut turned = index.images.clone();
    turned.reverse();
    turned.extend(index.images.clone());
    let annotations = BTreeMap::from([("about".to_owned(), "all of them".to_owned())]);
    assert_eq!(NewIndex::new(turned, annotations), index, "whatever the order, and each once");
    assert_eq!(layout.resolve("ruby:3.3").unwrap().images, index.images);
}

#[test]
fn an_image_is_chosen_by_machine_and_by_compression_where_there_is_a_choice() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let all = put_all(&layout, "all");
    let alone = |images: &[Descriptor], name: &str| {
        let index = NewIndex::new(images.iter().cloned(), BTreeMap::new());
        let writer = layout.writer().unwrap();
        writer.put_index(&index).unwrap();
        writer.set_refs(|refs| drop(refs.insert(reference(name), index.descriptor.clone()))).unwrap();
    };
    let (gzip, zstd) = all.images.split_at(2);
    alone(gzip, "gzip");
    alone(zstd, "zstd");
    let cases = [
        ("all", Prefer::Gzip, media_type::LAYER_GZIP),
        ("all", Prefer::Zstd, media_type::LAYER_ZSTD),
        ("gzip", Prefer::Zstd, media_type::LAYER_GZIP),
        ("zstd", Prefer::Gzip, media_type::LAYER_ZSTD),
    ];
    for (name, prefer, wanted) in cases {
        let mut configs = Vec::new();
        for architecture in BOTH {
            let image = layout.resolve(name).unwrap().image(architecture, prefer).unwrap();
            assert_eq!(image.manifest.layers[0].media_type, wanted, "{name} {architecture} {prefer:?}");
            assert_eq!(image.config.architecture, architecture.name());
            configs.push(image.manifest.config.digest);
        }
        let others = BOTH.map(|architecture| {
            let image = layout.resolve("all").unwrap().image(architecture, Prefer::Gzip).unwrap();
            image.manifest.config.digest
        });
        assert_eq!(configs, others, "the configuration is the same in either compression");
    }
}

#[test]
fn an_architecture_that_is_not_there_is_told_with_those_that_are() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    put(&layout, &["ruby:3.3"], "3.3.8");
    let error = layout.resolve("ruby:3.3").unwrap().image(Architecture::Arm64, Prefer::Gzip).unwrap_err();
    assert!(matches!(&*error.fault, Fault::NoArchitecture { known, .. } if *known == ["amd64"]));
    insta::assert_snapshot!(error.fault, @"cannot find an image for arm64 under `ruby:3.3`");
    insta::assert_snapshot!(error.hint().unwrap(), @"there is one for amd64");

    let none = NewIndex::new([], BTreeMap::new());
    let writer = layout.writer().unwrap();
    writer.put_index(&none).unwrap();
    writer.set_refs(|refs| drop(refs.insert(reference("none"), none.descriptor))).unwrap();
    assert_eq!(open(&layout, "none").unwrap_err().hint(), None);
}

/// As other programs write layouts, with no index and with no platform.
#[test]
fn a_reference_may_name_a_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    put(&layout, &["ruby:3.3"], "3.3.8");
    let (_, image, _) = index("3.3.8");
    let bare = Descriptor::of(media_type::MANIFEST, &image.manifest);
    let writer = layout.writer().unwrap();
    for (name, descriptor) in [("bare", &bare), ("with-platform", &image.descriptor)] {
        writer.set_refs(|refs| drop(refs.insert(reference(name), descriptor.clone()))).unwrap();
        let found = layout.resolve(name).unwrap();
        assert_eq!(found.descriptor, *descriptor);
        assert_eq!(found.image(Architecture::Amd64, Prefer::Zstd).unwrap().descriptor.digest, bare.digest);
        let error = found.image(Architecture::Arm64, Prefer::Gzip).unwrap_err();
        assert_eq!(error.hint().unwrap(), "there is one for amd64", "{name}");
    }
}

#[test]
fn what_is_no_image_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let nested = put(&layout, &["ruby:3.3"], "3.3.8");
    let (_, image, _) = index("3.3.8");
    let mut attestation = image.descriptor.clone();
    let platform = attestation.platform.as_mut().unwrap();
    (platform.os, platform.architecture) = ("unknown".to_owned(), "unknown".to_owned());
    let many = NewIndex::new([nested, attestation, image.descriptor.clone()], BTreeMap::new());
    let writer = layout.writer().unwrap();
    writer.put_index(&many).unwrap();
    writer.set_refs(|refs| drop(refs.insert(reference("many"), many.descriptor.clone()))).unwrap();
    assert_eq!(open(&layout, "many").unwrap().descriptor, image.descriptor);
    let error = layout.resolve("many").unwrap().image(Architecture::Arm64, Prefer::Gzip).unwrap_err();
    assert_eq!(error.hint().unwrap(), "there is one for amd64 and unknown/unknown");
}

#[test]
fn a_layout_is_handed_on_with_all_machines_or_one() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(&folder.path().join("layout")).unwrap();
    let index = put_all(&layout, "ruby:3.3");
    let source = layout.resolve("ruby:3.3").unwrap();
    let exported = |name: &str, architecture, compression| {
        let output = folder.path().join(name);
        let names = [reference("ruby:3.3")];
        let part = Part { architecture, compression };
        export::oci_layout(&source, part, &names, &output, export::Existing::Refuse).unwrap();
        Layout::open(&output).unwrap()
    };
    let whole = exported("whole", None, None);
    assert_eq!(files(whole.directory()), files(layout.directory()));

    for architecture in BOTH {
        let part = exported(architecture.name(), Some(architecture), None);
        let found = part.resolve("ruby:3.3").unwrap();
        let wanted = listed(&index.images).into_iter().filter(|image| image.contains(architecture.name()));
        assert_eq!(listed(&found.images), wanted.collect::<Vec<_>>());
        assert_ne!(found.descriptor, index.descriptor);
        let bytes = part.blob(&found.descriptor).unwrap();
        assert!(String::from_utf8_lossy(&bytes).contains("all of them"), "the annotations stay");
        // Two manifests and two layers, one configuration, the index.
        assert_eq!(files(&part.directory().join("blobs")).len(), 6);
        part.check(&found.descriptor).unwrap();
    }
    for (compression, is_zstd) in [(Prefer::Gzip, false), (Prefer::Zstd, true)] {
        let all = exported(&compression.to_string(), None, Some(compression)).resolve("ruby:3.3").unwrap();
        assert_eq!(all.images.len(), 2, "one for each machine");
        assert!(all.images.iter().all(|image| image.is_zstd() == is_zstd));
        let name = format!("one-{compression}");
        let one = exported(&name, Some(Architecture::Amd64), Some(compression)).resolve("ruby:3.3").unwrap();
        assert_eq!(listed(&one.images), listed(&all.images[..1]));
    }

    put(&layout, &["one"], "3.3.8");
    let one = layout.resolve("one").unwrap();
    let output = folder.path().join("one");
    let export = |architecture, compression| {
        let part = Part { architecture: Some(architecture), compression };
        export::oci_layout(&one, part, &[reference("one")], &output, export::Existing::Refuse)
    };
    export(Architecture::Arm64, None).unwrap_err();
    let Err(ExportError::Layout(error)) = export(Architecture::Amd64, Some(Prefer::Gzip)) else {
        panic!("it is in zstd alone")
    };
    insta::assert_snapshot!(error.fault, @"cannot find an image in gzip under `one`");
    insta::assert_snapshot!(error.hint().unwrap(), @r#"leave it to the image, or build with `compression = "both"` in matrix.toml"#);
    assert!(!output.exists());
    export(Architecture::Amd64, Some(Prefer::Zstd)).unwrap();
    let found = Layout::open(&output).unwrap().resolve("one").unwrap();
    assert_eq!(found.descriptor, one.descriptor, "it is for this machine alone already");
}

#[test]
fn images_for_one_machine_take_the_place_of_those_that_there_were() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let all = put_all(&layout, "ruby:3.3");
    let old = layout.resolve("ruby:3.3").unwrap();
    let annotations = |text: &str| BTreeMap::from([("about".to_owned(), text.to_owned())]);
    let arm64 = vec![all.images[1].clone(), all.images[3].clone()];
    assert_eq!(old.joined(arm64, annotations("all of them")), all, "what is the same changes nothing");

    let (_, image, _) = index("3.3.8");
    let joined = old.joined(vec![image.descriptor.clone()], annotations("another"));
    let kept = [all.images[1].clone(), image.descriptor.clone(), all.images[3].clone()];
    assert_eq!(joined, NewIndex::new(kept, BTreeMap::new()), "what is true of one alone is not said");
    put(&layout, &["one"], "3.3.7");
    let joined = layout.resolve("one").unwrap().joined(vec![image.descriptor.clone()], annotations("new"));
    assert_eq!(joined, NewIndex::new([image.descriptor], annotations("new")));
}

#[test]
fn the_sweep_keeps_every_image_of_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    put_all(&layout, "ruby:3.3");
    let before = files(folder.path());
    layout.remove_unreferenced().unwrap().unwrap();
    assert_eq!(files(folder.path()), before);
}

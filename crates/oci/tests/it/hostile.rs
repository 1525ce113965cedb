//! Layouts that are damaged or were made to do harm: one typed error each.

use std::path::Path;

use oci::{Fault, Layout, LayoutError, UnpackError};

use crate::fixture::{base, image, open, put, reference, ruby};

/// What is done, how, and whether the fault is the one it should give.
type Case<Change> = (&'static str, Change, IsExpected);
type IsExpected = fn(&Fault) -> bool;
type Damage = fn(&Layout, &Path);

/// A layout with one image, `change`d, and the error of reading all of that image.
fn error_after(change: impl FnOnce(&Layout, &Path)) -> LayoutError {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    put(&layout, &["ruby:3.3"], "3.3.8");
    read(&layout).unwrap();
    change(&layout, folder.path());
    let error = read(&layout).unwrap_err();
    assert_eq!(error.layout, folder.path());
    assert!(error.to_string().contains(folder.path().to_str().unwrap()));
    error
}

fn read(layout: &Layout) -> Result<(), LayoutError> {
    open(&Layout::open(layout.directory())?, "ruby:3.3")?.tree().map(drop)
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs_err::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text} has no {from}");
    fs_err::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn each_damage_has_its_error() {
    let cases: [Case<Damage>; 14] = [
        (
            "no marker",
            |_, at| fs_err::remove_file(at.join("oci-layout")).unwrap(),
            |f| matches!(f, Fault::NoLayout),
        ),
        (
            "another version",
            |_, at| edit(&at.join("oci-layout"), "1.0.0", "2.0.0"),
            |f| matches!(f, Fault::LayoutVersion(version) if version == "2.0.0"),
        ),
        (
            "no index",
            |_, at| fs_err::remove_file(at.join("index.json")).unwrap(),
            |f| matches!(f, Fault::Io { .. }),
        ),
        (
            "a cut index",
            |_, at| fs_err::write(at.join("index.json"), r#"{"manifests":["#).unwrap(),
            |f| matches!(f, Fault::Malformed { path, .. } if path.ends_with("index.json")),
        ),
        (
            "a huge index",
            |_, at| fs_err::write(at.join("index.json"), vec![b' '; 5 << 20]).unwrap(),
            |f| matches!(f, Fault::DocumentTooLarge { .. }),
        ),
        (
            "another name",
            |_, at| edit(&at.join("index.json"), "ruby:3.3", "ruby:3.4"),
            |f| matches!(f, Fault::NoReference { known, .. } if *known == [reference("ruby:3.4")]),
        ),
        (
            "a doubled name",
            |_, at| {
                let path = at.join("index.json");
                let text = fs_err::read_to_string(&path).unwrap();
                let entry = &text[text.find('[').unwrap() + 1..text.rfind(']').unwrap()];
                fs_err::write(&path, text.replace(entry, &format!("{entry},{entry}"))).unwrap();
            },
            |f| matches!(f, Fault::DoubledReference(name) if name.as_str() == "ruby:3.3"),
        ),
        (
            "a manifest said to be huge",
            |_, at| edit(&at.join("index.json"), r#""size":"#, r#""size":99999999"#),
            |f| matches!(f, Fault::DocumentTooLarge { .. }),
        ),
        (
            "an index that is listed as an image",
            |_, at| {
                let listed = r#""mediaType":"application/vnd.oci.image.index.v1+json","size""#;
                edit(&at.join("index.json"), listed, &listed.replace("index.v1", "manifest.v1"));
            },
            |f| matches!(f, Fault::MediaType { expected, found, .. } if expected.contains("manifest") && found.contains("index")),
        ),
        (
            "no layer",
            |layout, _| fs_err::remove_file(layout.blob_path(&base().layer.digest)).unwrap(),
            |f| matches!(f, Fault::NoBlob(digest) if *digest == base().layer.digest),
        ),
        (
            "a cut layer",
            |layout, _| {
                let bytes = base().bytes;
                fs_err::write(layout.blob_path(&base().layer.digest), &bytes[..bytes.len() - 1]).unwrap();
            },
            |f| matches!(f, Fault::BlobSize { expected, found, .. } if *found == expected - 1),
        ),
        (
            "a flipped bit",
            |layout, _| {
                let mut bytes = base().bytes;
                bytes[20] ^= 1;
                fs_err::write(layout.blob_path(&base().layer.digest), bytes).unwrap();
            },
            |f| matches!(f, Fault::BlobDigest { expected, .. } if *expected == base().layer.digest),
        ),
        (
            "a folder for a blob",
            |layout, _| {
                let path = layout.blob_path(&base().layer.digest);
                fs_err::remove_file(&path).unwrap();
                fs_err::create_dir(&path).unwrap();
            },
            |f| matches!(f, Fault::Io { .. }),
        ),
        (
            "a device for a blob",
            |layout, _| {
                let path = layout.blob_path(&base().layer.digest);
                fs_err::remove_file(&path).unwrap();
                fs_err::os::unix::fs::symlink("/dev/zero", &path).unwrap();
            },
            |f| matches!(f, Fault::Io { .. }),
        ),
    ];
    for (what, change, is_expected) in cases {
        let error = error_after(change);
        assert!(is_expected(&error.fault), "{what}: {:?}", error.fault);
    }
}

/// Puts an image of these layers, with its documents changed before they get their digests.
fn put_changed(layout: &Layout, layers: &[oci::Packed], change: impl Fn(String) -> String) {
    use oci::document::Descriptor;
    use oci::media_type;
    use schema::Digest;

    let image = image(layers);
    let config = change(String::from_utf8(image.config.to_vec()).unwrap()).into_bytes();
    let manifest = String::from_utf8(image.manifest.to_vec()).unwrap();
    let manifest = manifest
        .replace(&Digest::of(&image.config).to_string(), &Digest::of(&config).to_string())
        .replace(&format!("\"size\":{}}}", image.config.len()), &format!("\"size\":{}}}", config.len()));
    let manifest = change(manifest).into_bytes();
    let writer = layout.writer().unwrap();
    for blob in layers.iter().map(|layer| &layer.bytes).chain([&config, &manifest]) {
        writer.put_blob(&Digest::of(blob), blob).unwrap();
    }
    let descriptor = Descriptor::of(media_type::MANIFEST, &manifest);
    writer.set_refs(|refs| drop(refs.insert(reference("ruby:3.3"), descriptor))).unwrap();
}

#[test]
fn documents_that_contradict_one_another_are_told() {
    let diff_id = || base().layer.diff_id.to_string();
    let other = || ruby("3.3.8").layer.diff_id.to_string();
    let cases: [Case<&dyn Fn(String) -> String>; 4] = [
        (
            "one tar too many",
            &|text| {
                text.replace(&format!("\"{}\"", diff_id()), &format!("\"{}\",\"{}\"", diff_id(), diff_id()))
            },
            |f| matches!(f, Fault::LayerCount { layers: 1, diff_ids: 2, .. }),
        ),
        ("another tar", &|text| text.replace(&diff_id(), &other()), |f| {
            matches!(f, Fault::Layer { source: UnpackError::DiffId { .. }, .. })
        }),
        ("another compression", &|text| text.replace("tar+gzip", "tar+zstd"), |f| {
            matches!(f, Fault::Layer { source: UnpackError::Damaged(_), .. })
        }),
        ("an unknown compression", &|text| text.replace("tar+gzip", "tar+lzma"), |f| {
            matches!(f, Fault::Layer { source: UnpackError::MediaType(_), .. })
        }),
    ];
    for (what, change, is_expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        put_changed(&layout, &[base()], change);
        let error = read(&layout).unwrap_err();
        assert!(is_expected(&error.fault), "{what}: {:?}", error.fault);
    }
}

#[test]
fn a_layer_that_is_no_tar_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let packed = oci::pack(&[7; 4096], oci::Compression::GZIP_FAST).unwrap();
    let digest = packed.layer.digest;
    put_changed(&layout, &[packed], |text| text);
    let error = read(&layout).unwrap_err();
    assert!(matches!(*error.fault, Fault::Tar { digest: found, .. } if found == digest), "{error}");
}

#[test]
fn a_damaged_blob_is_repaired_by_what_wrote_it() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let descriptor = put(&layout, &["ruby:3.3"], "3.3.8");
    for digest in [descriptor.digest, base().layer.digest] {
        for damage in [&b""[..], b"damage"] {
            fs_err::write(layout.blob_path(&digest), damage).unwrap();
            let error = read(&layout).unwrap_err();
            assert_eq!(error.hint().unwrap(), "build all images again: what is damaged is written anew");
            put(&layout, &["ruby:3.3"], "3.3.8");
            read(&layout).unwrap();
        }
    }
}

#[test]
fn a_damaged_file_of_the_layout_itself_is_not() {
    for file in ["index.json", "oci-layout"] {
        for damage in ["", "{", "{}", r#"{"schemaVersion":1,"imageLayoutVersion":"2"}"#] {
            let error = error_after(|_, at| fs_err::write(at.join(file), damage).unwrap());
            let hint = error.hint().unwrap();
            assert!(hint.starts_with(&format!("remove the folder `{}`", error.layout.display())), "{hint}");
            assert!(hint.ends_with("and build again: nothing is in it that cannot be built"), "{hint}");
        }
    }
}

#[test]
fn hints_name_the_next_step() {
    let folder = tempfile::tempdir().unwrap();
    let hint = |error: LayoutError| error.hint().unwrap();
    insta::assert_snapshot!(hint(Layout::open(folder.path()).unwrap_err()), @"build an image first");
    let layout = Layout::create(folder.path()).unwrap();
    insta::assert_snapshot!(hint(layout.resolve("ruby:3.3").unwrap_err()), @"the layout names no image yet: build one first");
    let names: Vec<String> = (0..9).map(|number| format!("ruby:3.{number}")).collect();
    put(&layout, &names.iter().map(String::as_str).collect::<Vec<_>>(), "3.3.8");
    insta::assert_snapshot!(hint(layout.resolve("ruby:4").unwrap_err()), @"there is ruby:3.0, ruby:3.1, ruby:3.2, ruby:3.3, ruby:3.4, ruby:3.5, ruby:3.6, ruby:3.7, ...");
}

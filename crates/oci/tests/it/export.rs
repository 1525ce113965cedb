//! Handing images on.

use std::path::Path;

use oci::export::{self, Existing, ExportError};
use oci::{Image, Layout};
use rootfs::{Content, Dialect, Kind, Layer, Limits, Origin, Ownership, Tree};
use schema::Digest;

use crate::fixture::{files, put, reference};

fn with_image(test: impl FnOnce(&Image, &Path)) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(&folder.path().join("layout")).unwrap();
    put(&layout, &["ruby:3.3", "ruby:3.3-trixie"], "3.3.8");
    put(&layout, &["ruby:3.4"], "3.4.5");
    let out = folder.path().join("out");
    fs_err::create_dir(&out).unwrap();
    test(&layout.resolve("ruby:3.3").unwrap(), &out);
}

fn listing(folder: &Path) -> String {
    let lines: Vec<String> =
        files(folder).iter().map(|(name, bytes)| format!("{name} {} bytes", bytes.len())).collect();
    lines.join("\n")
}

#[test]
fn a_layout_has_the_one_image_and_nothing_else() {
    with_image(|image, out| {
        let output = out.join("layout");
        export::oci_layout(image, &[reference("mine:1")], &output, Existing::Refuse).unwrap();
        let layout = Layout::open(&output).unwrap();
        let exported = layout.resolve("mine:1").unwrap();
        assert_eq!(exported.manifest, image.manifest);
        assert_eq!(exported.tree().unwrap().len(), image.tree().unwrap().len());
        assert_eq!(layout.references().unwrap().len(), 1);
        assert_eq!(files(&output.join("blobs")).len(), 4);
        assert_eq!(fs_err::read_dir(out).unwrap().count(), 1);
    });
}

#[test]
fn a_docker_archive_has_tars_and_a_manifest() {
    with_image(|image, out| {
        let output = out.join("image.tar");
        let names = [reference("ruby:3.3"), reference("ruby:3.3-trixie")];
        export::docker_archive(image, &names, &output, Existing::Refuse).unwrap();
        let bytes = fs_err::read(&output).unwrap();
        let digest = Digest::of(&bytes).to_string();

        let layer = Layer::parse(Content::from(bytes), Dialect::Debian, Limits::default()).unwrap();
        let mut tree = Tree::new();
        tree.stack(&layer, Origin::default()).unwrap();
        let mut lines = vec![digest];
        for (path, entry) in tree.iter() {
            let Kind::File(file) = &entry.kind else { panic!("{path} is no file") };
            if path.name() == b"manifest.json" {
                lines.push(String::from_utf8(file.content.to_vec()).unwrap());
            } else {
                let stem = path.name().split(|byte| *byte == b'.').next().unwrap();
                assert_eq!(Digest::of(&file.content).hex().as_bytes(), stem);
            }
        }
        insta::assert_snapshot!(lines.join("\n"), @r#"
        sha256:10b090e2a51f0cca8f4b6a91b5894be0e25099e06a00bc911508a14391123b71
        [{"Config":"16bda8395b66e4d9cb61e6d04116332746beb34cdc1314e0773a762f0530870e.json","Layers":["9a91091e7624290b9467c4d70c2f58e94152c00c9de2211537a5286a234fbc43.tar","a365f24901a1d89728c90249e4e050765985ee80d64f2600d9323c3230f6d3bf.tar"],"RepoTags":["ruby:3.3","ruby:3.3-trixie"]}]
        "#);
    });
}

#[test]
fn a_folder_is_the_root_of_the_image() {
    with_image(|image, out| {
        let output = out.join("root");
        export::directory(image, &output, Existing::Refuse, Ownership::Ignore).unwrap();
        insta::assert_snapshot!(listing(out), @r"
        root/etc/os-release 10 bytes
        root/usr/bin/ruby 5 bytes
        ");
    });
}

/// Every form, with the same arguments.
fn each(image: &Image, output: &Path, existing: Existing) -> [Result<(), ExportError>; 3] {
    [
        export::oci_layout(image, &[reference("ruby:3.3")], output, existing),
        export::docker_archive(image, &[reference("ruby:3.3")], output, existing),
        export::directory(image, output, existing, Ownership::Ignore),
    ]
}

#[test]
fn what_exists_is_replaced_only_when_asked_for() {
    with_image(|image, out| {
        let output = out.join("output");
        fs_err::create_dir(&output).unwrap();
        fs_err::write(output.join("mine"), "precious").unwrap();
        for result in each(image, &output, Existing::Refuse) {
            assert!(matches!(result, Err(ExportError::Exists(path)) if path == output));
        }
        insta::assert_snapshot!(listing(out), @"output/mine 8 bytes");
        // Each finds what the one before it left: a folder, a folder, a file.
        for result in each(image, &output, Existing::Replace) {
            result.unwrap();
        }
        insta::assert_snapshot!(listing(out), @r"
        output/etc/os-release 10 bytes
        output/usr/bin/ruby 5 bytes
        ");
    });
}

#[test]
fn a_failed_export_leaves_everything_as_it_was() {
    with_image(|image, out| {
        let output = out.join("output");
        fs_err::write(&output, "precious").unwrap();
        let layer = image.layout().blob_path(&image.layers[1].descriptor.digest);
        fs_err::write(layer, "damaged").unwrap();
        for result in each(image, &output, Existing::Replace) {
            assert!(matches!(result, Err(ExportError::Layout(_))), "{result:?}");
        }
        insta::assert_snapshot!(listing(out), @"output 8 bytes");

        let nowhere = out.join("no/such/folder");
        for result in each(image, &nowhere, Existing::Refuse) {
            assert!(result.is_err());
        }
        assert_eq!(fs_err::read_dir(out).unwrap().count(), 1);
    });
}

#[test]
fn docker_wants_a_repository_and_a_tag() {
    with_image(|image, out| {
        let result = export::docker_archive(image, &[reference("ruby")], &out.join("x"), Existing::Refuse);
        assert!(matches!(result, Err(ExportError::NoTag(name)) if name == reference("ruby")));
        assert_eq!(fs_err::read_dir(out).unwrap().count(), 0);
    });
}

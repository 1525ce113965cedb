//! Handing images on.

use std::path::Path;

use oci::export::{self, Existing, ExportError};
use oci::{Image, Layout, Part};
use rootfs::{Content, Dialect, Kind, Layer, Limits, Origin, Ownership, RootPath, Tree};
use schema::Digest;

use crate::fixture::{files, open, put, reference};

fn with_image(test: impl FnOnce(&Image, &Path)) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(&folder.path().join("layout")).unwrap();
    put(&layout, &["ruby:3.3", "ruby:3.3-trixie"], "3.3.8");
    put(&layout, &["ruby:3.4"], "3.4.5");
    let out = folder.path().join("out");
    fs_err::create_dir(&out).unwrap();
    test(&open(&layout, "ruby:3.3").unwrap(), &out);
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
        oci_layout(image, "mine:1", &output, Existing::Refuse).unwrap();
        let layout = Layout::open(&output).unwrap();
        let exported = open(&layout, "mine:1").unwrap();
        assert_eq!(exported.manifest, image.manifest);
        assert_eq!(exported.tree().unwrap().len(), image.tree().unwrap().len());
        assert_eq!(layout.references().unwrap().len(), 1);
        assert_eq!(files(&output.join("blobs")).len(), 5);
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
        directory(image, &output, Existing::Refuse).unwrap();
        insta::assert_snapshot!(listing(out), @r"
        root/etc/os-release 10 bytes
        root/usr/bin/ruby 5 bytes
        ");
    });
}

fn oci_layout(image: &Image, name: &str, output: &Path, existing: Existing) -> Result<(), ExportError> {
    let index = image.layout().resolve("ruby:3.3")?;
    export::oci_layout(&index, Part::default(), &[reference(name)], output, existing)
}

fn directory(image: &Image, output: &Path, existing: Existing) -> Result<(), ExportError> {
    let mark = RootPath::parse("/usr/bin/ruby").unwrap();
    export::directory(image, output, existing, Ownership::Ignore, &mark)
}

type Export = fn(&Image, &Path, Existing) -> Result<(), ExportError>;

/// Every form, with its name.
const FORMS: [(&str, Export); 3] = [
    ("layout", |image, output, existing| oci_layout(image, "ruby:3.3", output, existing)),
    ("archive", |image, output, existing| {
        export::docker_archive(image, &[reference("ruby:3.3")], output, existing)
    }),
    ("root", directory),
];

#[test]
fn a_stream_has_the_bytes_of_the_file() {
    with_image(|image, out| {
        let output = out.join("image.tar");
        export::docker_archive(image, &[reference("ruby:3.3")], &output, Existing::Refuse).unwrap();
        let mut stream = Vec::new();
        export::stream_docker_archive(image, &[reference("ruby:3.3")], &mut stream).unwrap();
        assert!(stream == fs_err::read(output).unwrap());

        let mut full = &mut [0; 600][..];
        let result = export::stream_docker_archive(image, &[reference("ruby:3.3")], &mut full);
        assert!(matches!(result, Err(ExportError::Stream(_))), "{result:?}");
    });
}

#[test]
fn an_earlier_export_is_replaced_only_when_asked_for() {
    for (form, export) in FORMS {
        with_image(|image, out| {
            let output = out.join("output");
            export(image, &output, Existing::Refuse).unwrap();
            let before = listing(out);
            let error = export(image, &output, Existing::Refuse).unwrap_err();
            assert!(matches!(&error, ExportError::Exists(path) if *path == output), "{form}: {error}");
            assert_eq!(error.hint().unwrap(), "name another output, or replace this one with `--force`");
            export(image, &output, Existing::Replace).unwrap();
            assert_eq!(listing(out), before, "{form}");
        });
    }
}

/// Puts something at an output that the test then exports to.
type Put = fn(&Path);

fn folder(output: &Path) {
    fs_err::create_dir_all(output.join("src")).unwrap();
    fs_err::write(output.join("src/mine"), "precious").unwrap();
}

#[test]
fn what_is_no_earlier_export_is_never_replaced() {
    let empty: Put = |output| fs_err::create_dir(output).unwrap();
    let file: Put = |output| fs_err::write(output, "precious").unwrap();
    let link: Put = |output| {
        folder(&output.with_file_name("elsewhere"));
        fs_err::os::unix::fs::symlink("elsewhere", output).unwrap();
    };
    let more_than_a_layout: Put = |output| {
        Layout::create(output).unwrap();
        fs_err::write(output.join("mine"), "precious").unwrap();
    };
    let no_layout: Put = |output| {
        fs_err::create_dir(output).unwrap();
        fs_err::write(output.join("oci-layout"), "precious").unwrap();
    };
    let root: Put = |output| {
        fs_err::create_dir_all(output.join("usr/bin")).unwrap();
        fs_err::write(output.join("usr/bin/ruby"), "3.2").unwrap();
    };
    // What is there, and which of the forms replace it.
    let cases: [(&str, Put, &[&str]); 7] = [
        ("a folder of somebody", folder, &[]),
        ("an empty folder", empty, &["layout", "root"]),
        ("a file", file, &["archive"]),
        ("a link", link, &[]),
        ("a layout and more", more_than_a_layout, &[]),
        ("a folder with the marker of a layout", no_layout, &[]),
        ("the root of another image", root, &["root"]),
    ];
    for (what, put, replacing) in cases {
        for (form, export) in FORMS {
            with_image(|image, out| {
                let output = out.join("output");
                put(&output);
                let before = listing(out);
                let result = export(image, &output, Existing::Replace);
                if replacing.contains(&form) {
                    result.unwrap();
                    return;
                }
                let error = result.unwrap_err();
                assert!(matches!(error, ExportError::NotReplaceable { .. }), "{form} to {what}: {error}");
                assert_eq!(error.hint().unwrap(), "name another output: `--force` does not replace this one");
                assert_eq!(listing(out), before, "{form} to {what}");
            });
        }
    }
}

#[test]
fn the_layout_of_the_image_itself_is_never_replaced() {
    with_image(|image, _| {
        let layout = image.layout().directory();
        let before = files(layout);
        let error = oci_layout(image, "ruby:3.3", &layout.join("../layout"), Existing::Replace).unwrap_err();
        assert!(error.to_string().ends_with("is the layout that the image comes from"), "{error}");
        assert_eq!(files(layout), before);
    });
}

#[test]
fn a_failed_export_leaves_everything_as_it_was() {
    with_image(|image, out| {
        for (form, export) in FORMS {
            export(image, &out.join(form), Existing::Refuse).unwrap();
        }
        let before = files(out);
        let layer = image.layout().blob_path(&image.layers[1].descriptor.digest);
        fs_err::write(layer, "damaged").unwrap();
        for (form, export) in FORMS {
            let result = export(image, &out.join(form), Existing::Replace);
            assert!(matches!(result, Err(ExportError::Layout(_))), "{result:?}");
        }
        assert_eq!(files(out), before);
        assert_eq!(fs_err::read_dir(out).unwrap().count(), 3);
    });
}

#[test]
fn the_folder_of_an_output_is_not_made() {
    with_image(|image, out| {
        for (_, export) in FORMS {
            let error = export(image, &out.join("no/such/folder"), Existing::Refuse).unwrap_err();
            assert_eq!(error.hint().unwrap(), "make the folder that it goes into first");
        }
        assert_eq!(fs_err::read_dir(out).unwrap().count(), 0);
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

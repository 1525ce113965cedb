//! Whole documents about a small image.

use proptest::prelude::*;
use sbom::{
    Checksums, Contents, Copyright, CopyrightFile, Distro, File, Format, Gem, Image, Owner, Package,
    PulledImage, Software, Source, Specification, Tarball,
};
use schema::{Architecture, Digest};
use serde_json::Value;

const COPYRIGHT: &str = "\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: 2001 One
License: Expat or GPL-2+ with autoconf exception

Files: table.c
Copyright: none
License: public-domain
 Nobody owns it.

Files: debian/*
Copyright: 2002 Two
License: Unstated
";

fn image() -> Image {
    Image {
        name: "example/tool:1-trixie".to_owned(),
        version: "1.2".to_owned(),
        architecture: Architecture::Amd64,
        digest: Digest::of(b"manifest"),
        created: "2026-02-03T04:05:06.789Z".parse().expect("a timestamp"),
        vendor: "example".to_owned(),
    }
}

fn contents() -> Contents {
    let file = |path: &str, owner: Option<Owner>| File {
        path: path.to_owned(),
        checksums: Checksums::of(path.as_bytes()),
        owner,
    };
    let of = |package: &str| Some(Owner::Package(package.to_owned()));
    let package = |name: &str, version: &str, source: (&str, &str), copyright: Option<&str>| Package {
        name: name.to_owned(),
        version: version.to_owned(),
        architecture: "amd64".to_owned(),
        source: Source { name: source.0.to_owned(), version: source.1.to_owned() },
        archive: copyright.map(|_| Digest::of(name.as_bytes())),
        copyright: copyright.map(|text| CopyrightFile {
            path: format!("/usr/share/doc/{name}/copyright"),
            copyright: Copyright::parse(text.as_bytes()),
        }),
    };
    let gem = |specification: &str, path: &str| {
        let specification =
            Specification::parse(format!("Gem::Specification.new do |s|\n{specification}\nend").as_bytes())
                .expect("a name and a version are there");
        let Specification { name, version, platform, licences } = specification;
        Gem { name, version, platform, licences, path: path.to_owned() }
    };
    Contents {
        distro: Distro { id: "debian".to_owned(), vendor: "Debian".to_owned(), version: "13".to_owned() },
        packages: vec![
            package("libtool1", "2:1.2-3", ("tool", "2:1.2-3"), Some(COPYRIGHT)),
            package("empty", "1", ("empty", "1"), None),
            package("g++-base", "14.2+b1", ("gcc", "14.2"), Some("Prose.\n")),
        ],
        software: vec![Software {
            name: "tool".to_owned(),
            version: "1.2".to_owned(),
            cpe: Some("cpe:2.3:a:example:tool:1.2:*:*:*:*:*:*:*".to_owned()),
            licences: vec!["BSD-2-Clause".to_owned(), "Tool".to_owned()],
            tarball: Some(Tarball {
                path: "pub/tool-1.2.tar.xz".to_owned(),
                address: Some("https://example.org/pub/tool-1.2.tar.xz".to_owned()),
                digest: Digest::of(b"tarball"),
            }),
        }],
        images: vec![PulledImage {
            repository: "registry.example.org/team/tool".to_owned(),
            tag: Some("1".to_owned()),
            digest: Digest::of(b"pulled"),
        }],
        gems: vec![
            gem("s.name = 'tool'\ns.version = '1'", "/usr/local/tool-1.gemspec"),
            gem("s.name = 'racc'\ns.version = '1.7'\ns.licenses = ['Ruby', 'MIT']", "/gems/racc-1.7.gemspec"),
            gem(
                "s.name = 'odd'\ns.version = '1'\ns.platform = 'x86_64-linux'\ns.license = 'Nonstandard'",
                "/usr/local/odd-1.gemspec",
            ),
        ],
        files: vec![
            file("/usr/lib/libtool.so.1", of("libtool1")),
            file("/usr/share/doc/libtool1/copyright", of("libtool1")),
            file("/usr/share/doc/g++-base/copyright", of("g++-base")),
            file("/gems/racc-1.7.gemspec", of("libtool1")),
            file("/usr/local/bin/tool", Some(Owner::Software("tool".to_owned()))),
            file("/usr/local/tool-1.gemspec", Some(Owner::Software("tool".to_owned()))),
            file("/etc/made", None),
            file("/etc/of-a-package-that-is-not-listed", of("gone")),
            file("/a_b", None),
            file("/a-b", None),
        ],
    }
}

fn document(format: Format, image: &Image, contents: &Contents) -> Value {
    serde_json::from_slice(&format.render(image, contents)).expect("a document is JSON")
}

#[test]
fn spdx() {
    insta::assert_snapshot!(format!("{:#}", document(Format::Spdx, &image(), &contents())));
}

#[test]
fn cyclonedx() {
    insta::assert_snapshot!(format!("{:#}", document(Format::CycloneDx, &image(), &contents())));
}

#[test]
fn bytes_are_canonical_and_the_order_of_lists_does_not_matter() {
    let contents = contents();
    let mut shuffled = contents.clone();
    shuffled.packages.reverse();
    shuffled.gems.reverse();
    shuffled.files.rotate_left(3);
    for format in Format::ALL {
        let bytes = format.render(&image(), &contents);
        assert_eq!(bytes, format.render(&image(), &shuffled));
        let mut canonical = serde_json::to_vec(&document(format, &image(), &contents)).unwrap();
        canonical.push(b'\n');
        assert_eq!(String::from_utf8(bytes), String::from_utf8(canonical));
    }
}

#[test]
fn what_has_to_be_unique_follows_the_digest() {
    let other = Image { digest: Digest::of(b"another"), ..image() };
    for (format, field) in [(Format::Spdx, "documentNamespace"), (Format::CycloneDx, "serialNumber")] {
        let unique = |image: &Image| document(format, image, &contents())[field].as_str().unwrap().to_owned();
        assert_eq!(unique(&image()), unique(&image()));
        assert_ne!(unique(&image()), unique(&other));
    }
}

#[test]
fn every_element_of_an_spdx_document_is_declared_once_and_contained() {
    let document = document(Format::Spdx, &image(), &contents());
    let list = |name: &str| document[name].as_array().unwrap().clone();
    let mut declared: Vec<Value> = ["packages", "files"]
        .iter()
        .flat_map(|name| list(name))
        .map(|element| element["SPDXID"].clone())
        .collect();
    declared.sort_by_key(ToString::to_string);
    let all = declared.len();
    declared.dedup();
    assert_eq!(declared.len(), all);
    for element in &declared {
        let is_reached = |relationship: &Value| {
            let is_forward = relationship["relationshipType"] != "METAFILE_OF";
            is_forward && relationship["relatedSpdxElement"] == *element
        };
        assert!(list("relationships").iter().any(is_reached), "{element}");
    }
}

proptest! {
    #[test]
    fn any_names_make_documents(names in proptest::collection::vec(any::<String>(), 1..6)) {
        let (mut image, mut contents) = (image(), contents());
        let name = |position: usize| names[position % names.len()].clone();
        image.name = name(0);
        for (position, package) in contents.packages.iter_mut().enumerate() {
            (package.name, package.version, package.source.version) = (name(position), name(1), name(2));
        }
        for (position, gem) in contents.gems.iter_mut().enumerate() {
            (gem.name, gem.version, gem.licences) = (name(position), name(3), names.clone());
        }
        for (position, file) in contents.files.iter_mut().enumerate() {
            (file.path, file.owner) = (name(position), Some(Owner::Package(name(4))));
        }
        for software in &mut contents.software {
            (software.name, software.version, software.licences) = (name(2), name(4), names.clone());
            software.tarball = Some(Tarball { path: name(0), address: None, digest: Digest::of(b"") });
        }
        for pulled in &mut contents.images {
            (pulled.repository, pulled.tag) = (name(3), None);
        }
        for format in Format::ALL {
            let document: Result<Value, _> = serde_json::from_slice(&format.render(&image, &contents));
            prop_assert!(document.is_ok());
        }
        let kept = serde_json::to_vec(&contents).expect("contents can be kept");
        prop_assert_eq!(serde_json::from_slice::<Contents>(&kept).expect("and read again"), contents);
    }
}

//! SPDX 2.3 documents as JSON.
//!
//! The document describes the image, which contains the distribution, the packages, the software and what belongs to none of
//! them; a package, as software, contains its files and gems; a gem's specification is its metafile. The image descends from
//! those that files were taken from. A source package is no element: scanners
//! would count it as one more package, and report everything twice. A package names it in words and in its package URL.
//! Fields are declared in the order of their names in JSON; lists have an order of their own.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sha1::{Digest as _, Sha1};

use crate::contents::{
    File, Gem, Image, Listed, Listing, Package, PulledImage, Software, Source, TOOL, TOOL_VERSION,
};
use crate::identifiers::{Identifiers, readable, uuid};
use crate::licences::{Expression, LicenceText};

/// "The creator does not say" (SPDX 2.3, 7.13 and others).
const NO_ASSERTION: &str = "NOASSERTION";
/// SPDX has it that the data of a document is free (SPDX 2.3, 6.2).
const DATA_LICENCE: &str = "CC0-1.0";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
/// The addresses of documents whose creator has no site for them (SPDX 2.3, 6.5). Nothing is there.
const NAMESPACE: &str = "https://spdx.org/spdxdocs";

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document {
    #[serde(rename = "SPDXID")]
    id: &'static str,
    creation_info: CreationInfo,
    data_license: &'static str,
    #[serde(rename = "documentNamespace")]
    namespace: String,
    files: Vec<FileInformation>,
    has_extracted_licensing_infos: Vec<ExtractedLicence>,
    name: String,
    packages: Vec<PackageInformation>,
    relationships: Vec<Relationship>,
    spdx_version: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CreationInfo {
    created: String,
    creators: Vec<String>,
    license_list_version: &'static str,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct PackageInformation {
    #[serde(rename = "SPDXID")]
    id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    copyright_text: &'static str,
    download_location: String,
    external_refs: Vec<ExternalReference>,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    license_comments: Option<String>,
    license_concluded: &'static str,
    license_declared: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_file_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_verification_code: Option<VerificationCode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_package_purpose: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    supplier: String,
    version_info: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Debug, Serialize)]
struct ExternalReference {
    #[serde(rename = "referenceCategory")]
    category: &'static str,
    #[serde(rename = "referenceLocator")]
    locator: String,
    #[serde(rename = "referenceType")]
    kind: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct VerificationCode {
    package_verification_code_value: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FileInformation {
    #[serde(rename = "SPDXID")]
    id: String,
    checksums: [Checksum; 2],
    copyright_text: &'static str,
    file_name: String,
    license_concluded: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExtractedLicence {
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    extracted_text: String,
    license_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    related_spdx_element: String,
    #[serde(rename = "relationshipType")]
    kind: &'static str,
    spdx_element_id: String,
}

/// The document about an image.
pub(crate) fn document(listing: &Listing<'_>) -> Document {
    let mut writer = Writer::default();
    writer.image(listing);
    let image = listing.image;
    let unique = uuid(&["spdx-2.3", TOOL_VERSION, &image.name, &image.digest.to_string()]);
    Document {
        id: DOCUMENT,
        creation_info: CreationInfo {
            created: image.created(),
            creators: vec![format!("Tool: {TOOL}-{TOOL_VERSION}"), format!("Organization: {}", image.vendor)],
            license_list_version: licence_list_version(),
        },
        data_license: DATA_LICENCE,
        namespace: format!("{NAMESPACE}/{}-{unique}", readable(&image.name)),
        files: writer.files,
        has_extracted_licensing_infos: writer.licences.into_values().map(Extracted::information).collect(),
        name: image.name.clone(),
        packages: writer.packages,
        relationships: writer.relationships,
        spdx_version: "SPDX-2.3",
    }
}

/// The version of the list that identifiers are from, without its last number (SPDX 2.3, 6.7).
fn licence_list_version() -> &'static str {
    let version = spdx::identifiers::VERSION;
    version.rsplit_once('.').filter(|(short, _)| short.contains('.')).map_or(version, |(short, _)| short)
}

/// A licence that is on no list, and where it was met.
struct Extracted<'a> {
    licence: LicenceText,
    places: BTreeSet<&'a str>,
}

impl Extracted<'_> {
    fn information(self) -> ExtractedLicence {
        let places = self.places.into_iter().collect::<Vec<_>>().join(", ");
        let LicenceText { reference, name, text } = self.licence;
        ExtractedLicence {
            extracted_text: text.unwrap_or_else(|| format!("Named in {places}, where its text is not.")),
            comment: Some(format!("From {places}")),
            license_id: reference,
            name: Some(name).filter(|name| !name.is_empty()),
        }
    }
}

/// The lists of a document in the making.
#[derive(Default)]
struct Writer<'a> {
    identifiers: Identifiers,
    packages: Vec<PackageInformation>,
    files: Vec<FileInformation>,
    relationships: Vec<Relationship>,
    licences: BTreeMap<String, Extracted<'a>>,
}

impl<'a> Writer<'a> {
    fn image(&mut self, listing: &Listing<'a>) {
        let Image { name, version, digest, vendor, .. } = listing.image;
        let image = self.identifiers.give("SPDXRef-Image", name);
        self.relate(DOCUMENT, "DESCRIBES", &image);
        self.packages.push(PackageInformation {
            id: image.clone(),
            checksums: vec![sha256(&digest.hex())],
            external_refs: vec![package_url(listing.image.purl())],
            primary_package_purpose: Some("CONTAINER"),
            supplier: format!("Organization: {vendor}"),
            ..package(name, version).analysed(&listing.files)
        });
        self.distro(listing, &image);
        for pulled in &listing.images {
            let id = self.pulled(pulled);
            self.relate(&image, "DESCENDANT_OF", &id);
        }
        let files = self.files(listing);
        self.packages(listing, &image, &files);
        for file in &listing.unowned {
            self.relate(&image, "CONTAINS", &files[file.path.as_str()]);
        }
    }

    fn distro(&mut self, listing: &Listing<'a>, image: &str) {
        let distro = listing.distro;
        let id = self.identifiers.give("SPDXRef-OperatingSystem", &distro.id);
        self.relate(image, "CONTAINS", &id);
        self.packages.push(PackageInformation {
            id,
            // The standard's text writes it with a hyphen, its schema with an underscore; Trivy goes by the identifier.
            primary_package_purpose: None,
            supplier: format!("Organization: {}", distro.vendor),
            ..package(&distro.id, &distro.version)
        });
    }

    /// Declares the files; gives their identifiers by path.
    fn files(&mut self, listing: &Listing<'a>) -> BTreeMap<&'a str, String> {
        let mut identifiers = BTreeMap::new();
        for file in &listing.files {
            let id = self.identifiers.give("SPDXRef-File", &file.path);
            let sha1 = Checksum { algorithm: "SHA1", checksum_value: file.checksums.sha1_hex() };
            self.files.push(FileInformation {
                id: id.clone(),
                checksums: [sha1, sha256(&file.checksums.sha256.hex())],
                copyright_text: NO_ASSERTION,
                // Relative to the root of the package (SPDX 2.3, 8.1).
                file_name: format!(".{}", file.path),
                license_concluded: NO_ASSERTION,
            });
            identifiers.insert(file.path.as_str(), id);
        }
        identifiers
    }

    fn packages(&mut self, listing: &Listing<'a>, image: &str, files: &BTreeMap<&str, String>) {
        let mut owners: BTreeMap<&str, String> = BTreeMap::new();
        for listed in &listing.packages {
            let id = self.package(listed, listing);
            self.contain(image, &id, &listed.files, files, &mut owners);
        }
        for listed in &listing.software {
            let id = self.software(listed);
            self.contain(image, &id, &listed.files, files, &mut owners);
        }
        for gem in &listing.gems {
            let id = self.gem(gem);
            let owner = owners.get(gem.path.as_str()).map_or(image, String::as_str);
            self.relate(owner, "CONTAINS", &id);
            if let Some(specification) = files.get(gem.path.as_str()) {
                self.relate(specification, "METAFILE_OF", &id);
            }
        }
    }

    /// Says that the image contains an element, and that one its files.
    fn contain(
        &mut self,
        image: &str,
        id: &str,
        of: &[&'a File],
        files: &BTreeMap<&str, String>,
        owners: &mut BTreeMap<&'a str, String>,
    ) {
        self.relate(image, "CONTAINS", id);
        for file in of {
            self.relate(id, "CONTAINS", &files[file.path.as_str()]);
            owners.insert(&file.path, id.to_owned());
        }
    }

    fn software(&mut self, Listed { what, files }: &Listed<'a, Software>) -> String {
        let Software { name, version, cpe, tarball, .. } = what;
        let id = self.identifiers.give("SPDXRef-Software", name);
        let (licence, texts) = what.licence();
        for text in texts {
            self.refer(text, name);
        }
        let cpe = cpe.iter().map(|cpe| ExternalReference {
            category: "SECURITY",
            locator: cpe.clone(),
            kind: "cpe23Type",
        });
        let address = tarball.as_ref().and_then(|tarball| tarball.address.clone());
        self.packages.push(PackageInformation {
            id: id.clone(),
            checksums: tarball.iter().map(|tarball| sha256(&tarball.digest.hex())).collect(),
            download_location: address.unwrap_or_else(|| NO_ASSERTION.to_owned()),
            external_refs: [package_url(what.purl())].into_iter().chain(cpe).collect(),
            license_declared: expression(licence.as_ref()),
            package_file_name: tarball.as_ref().map(|tarball| tarball.file_name().to_owned()),
            primary_package_purpose: Some("APPLICATION"),
            source_info: tarball.as_ref().map(|tarball| format!("compiled from {}", tarball.path)),
            ..package(name, version).analysed(files)
        });
        id
    }

    fn pulled(&mut self, pulled: &PulledImage) -> String {
        let PulledImage { repository, tag, digest } = pulled;
        let id = self.identifiers.give("SPDXRef-PulledImage", repository);
        self.packages.push(PackageInformation {
            id: id.clone(),
            checksums: vec![sha256(&digest.hex())],
            external_refs: vec![package_url(pulled.purl())],
            primary_package_purpose: Some("CONTAINER"),
            ..package(repository, tag.as_ref().unwrap_or(&digest.to_string()))
        });
        id
    }

    fn package(&mut self, listed: &Listed<'a, Package>, listing: &Listing<'a>) -> String {
        let Listed { what: described, files } = listed;
        let id = self.identifiers.give("SPDXRef-Package", &described.name);
        let file = described.copyright.as_ref();
        for licence in file.iter().flat_map(|file| &file.copyright.texts) {
            self.refer(licence.clone(), file.map_or("", |file| &file.path));
        }
        let Source { name, version } = &described.source;
        self.packages.push(PackageInformation {
            id: id.clone(),
            checksums: described.archive.iter().map(|digest| sha256(&digest.hex())).collect(),
            external_refs: vec![package_url(described.purl(listing.distro))],
            license_comments: file.map(|file| match described.licence() {
                Some(_) => format!("Read from {}, which is about the whole source package.", file.path),
                None => format!("{} says it, in no form for machines.", file.path),
            }),
            license_declared: expression(described.licence()),
            // Trivy reads the source package from this very sentence.
            source_info: Some(format!("built package from: {name} {version}")),
            supplier: format!("Organization: {}", listing.distro.vendor),
            ..package(&described.name, &described.version).analysed(files)
        });
        id
    }

    fn gem(&mut self, gem: &'a Gem) -> String {
        let id = self.identifiers.give("SPDXRef-Gem", &format!("{}-{}", gem.name, gem.version));
        let (licences, texts): (Vec<_>, Vec<_>) = gem.licences().unzip();
        for text in texts.into_iter().flatten() {
            self.refer(text, &gem.path);
        }
        let several = licences.len() > 1;
        self.packages.push(PackageInformation {
            id: id.clone(),
            external_refs: vec![package_url(gem.purl())],
            license_comments: several.then(|| {
                "RubyGems does not say whether all of several licences apply or one may be chosen.".to_owned()
            }),
            license_declared: expression(Expression::all(licences).as_ref()),
            ..package(&gem.name, &gem.version)
        });
        id
    }

    fn refer(&mut self, licence: LicenceText, place: &'a str) {
        let reference = licence.reference.clone();
        let extracted =
            self.licences.entry(reference).or_insert_with(|| Extracted { licence, places: BTreeSet::new() });
        extracted.places.insert(place);
    }

    fn relate(&mut self, subject: &str, kind: &'static str, object: &str) {
        self.relationships.push(Relationship {
            related_spdx_element: object.to_owned(),
            kind,
            spdx_element_id: subject.to_owned(),
        });
    }
}

/// A package of which nothing more is known.
fn package(name: &str, version: &str) -> PackageInformation {
    PackageInformation {
        copyright_text: NO_ASSERTION,
        download_location: NO_ASSERTION.to_owned(),
        license_concluded: NO_ASSERTION,
        license_declared: NO_ASSERTION.to_owned(),
        name: name.to_owned(),
        primary_package_purpose: Some("LIBRARY"),
        supplier: NO_ASSERTION.to_owned(),
        version_info: version.to_owned(),
        ..PackageInformation::default()
    }
}

impl PackageInformation {
    /// With these files looked at, if there are any.
    fn analysed(self, files: &[&File]) -> Self {
        let files_analyzed = !files.is_empty();
        Self {
            files_analyzed,
            package_verification_code: files_analyzed
                .then(|| VerificationCode { package_verification_code_value: verification_code(files) }),
            ..self
        }
    }
}

/// The SHA-1 of the sorted SHA-1s of the files, as hexadecimal digits without anything between them (SPDX 2.3, 7.9).
fn verification_code(files: &[&File]) -> String {
    let mut sums: Vec<String> = files.iter().map(|file| file.checksums.sha1_hex()).collect();
    sums.sort_unstable();
    hex::encode(Sha1::digest(sums.concat().as_bytes()))
}

fn sha256(digits: &str) -> Checksum {
    Checksum { algorithm: "SHA256", checksum_value: digits.to_owned() }
}

fn package_url(locator: String) -> ExternalReference {
    ExternalReference { category: "PACKAGE-MANAGER", locator, kind: "purl" }
}

fn expression(licence: Option<&Expression>) -> String {
    licence.map_or_else(|| NO_ASSERTION.to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::contents::Checksums;

    #[test]
    fn a_verification_code_does_not_depend_on_the_order_of_files() {
        let file =
            |content: &[u8]| File { path: "/x".into(), checksums: Checksums::of(content), owner: None };
        let (one, two) = (file(b"one"), file(b"two"));
        // What sha1sum(1) says of the two sums, sorted and without anything between them.
        assert_eq!(verification_code(&[&one, &two]), "1352a4b8934de6f3866f3b605cd80bff78d59663");
        assert_eq!(verification_code(&[&two, &one]), verification_code(&[&one, &two]));
    }

    #[test]
    fn the_version_of_the_licence_list_has_two_numbers() {
        let (major, minor) = licence_list_version().split_once('.').unwrap();
        assert!(major.parse::<u32>().is_ok() && minor.parse::<u32>().is_ok());
    }
}

//! CycloneDX 1.6 documents as JSON.
//!
//! The subject is the image, with the files of no package, and the images that files were taken from as its ancestors; the
//! components are the distribution, the packages and the software with their files, and the gems. Files are not on the first
//! level, where scanners warn of what they cannot look up. Fields are declared in the order of their names in JSON; lists have
//! an order of their own.

use serde::Serialize;

use crate::contents::{
    Distro, File, Gem, Image, Listed, Listing, Package, PulledImage, Software, Source, TOOL, TOOL_VERSION,
    Tarball,
};
use crate::identifiers::uuid;
use crate::licences::{Expression, LicenceText};

/// The property that says where a package's copyright file is.
const COPYRIGHT_FILE: &str = "distroless-ruby:copyright-file";

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    components: Vec<Component>,
    metadata: Metadata,
    serial_number: String,
    spec_version: &'static str,
    version: u32,
}

#[derive(Debug, Serialize)]
struct Metadata {
    component: Component,
    supplier: Organisation,
    timestamp: String,
    tools: Tools,
}

#[derive(Debug, Serialize)]
struct Tools {
    components: Vec<Component>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    #[serde(rename = "bom-ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<Component>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpe: Option<String>,
    #[serde(skip_serializing_if = "Evidence::is_empty")]
    evidence: Evidence,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_references: Vec<ExternalReference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<LicenceChoice>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pedigree: Option<Pedigree>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<Organisation>,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

#[derive(Debug, Serialize)]
struct Pedigree {
    ancestors: Vec<Component>,
}

#[derive(Debug, Serialize)]
struct ExternalReference {
    hashes: Vec<Hash>,
    #[serde(rename = "type")]
    kind: &'static str,
    url: String,
}

#[derive(Debug, Serialize)]
struct Organisation {
    name: String,
}

#[derive(Debug, Default, Serialize)]
struct Evidence {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<LicenceChoice>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    occurrences: Vec<Occurrence>,
}

impl Evidence {
    fn is_empty(&self) -> bool {
        self.licenses.is_empty() && self.occurrences.is_empty()
    }
}

#[derive(Debug, Serialize)]
struct Occurrence {
    location: String,
}

#[derive(Debug, Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Debug, Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

/// A list of these is either of licences, or one expression.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum LicenceChoice {
    #[serde(rename = "license")]
    Licence(Licence),
    #[serde(untagged)]
    Expression { acknowledgement: &'static str, expression: String },
}

#[derive(Debug, Default, Serialize)]
struct Licence {
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledgement: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Attachment>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Attachment {
    content: String,
    content_type: &'static str,
}

/// Whose word a licence is: that of who made the component.
const DECLARED: &str = "declared";

/// The document about an image.
pub(crate) fn document(listing: &Listing<'_>) -> Document {
    let Listing { image, distro, packages, software, images, gems, unowned, .. } = listing;
    let mut components = vec![distribution(distro)];
    components.extend(packages.iter().map(|listed| package(listed, distro)));
    components.extend(software.iter().map(compiled));
    components.extend(gems.iter().map(|one| gem(one)));
    let unique = uuid(&["cyclonedx-1.6", TOOL_VERSION, &image.name, &image.digest.to_string()]);
    Document {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        components,
        metadata: Metadata {
            component: container(image, unowned, images),
            supplier: Organisation { name: image.vendor.clone() },
            timestamp: image.created(),
            tools: Tools { components: vec![component("application", TOOL, TOOL_VERSION)] },
        },
        serial_number: format!("urn:uuid:{unique}"),
        spec_version: "1.6",
        version: 1,
    }
}

fn component(kind: &'static str, name: &str, version: &str) -> Component {
    Component { kind, name: name.to_owned(), version: Some(version.to_owned()), ..Component::default() }
}

fn container(image: &Image, files: &[&File], pulled: &[&PulledImage]) -> Component {
    let ancestors: Vec<Component> = pulled.iter().map(|one| ancestor(one)).collect();
    Component {
        reference: Some(image.purl()),
        components: files.iter().map(|one| file(one)).collect(),
        hashes: vec![sha256(image.digest.hex())],
        pedigree: Some(Pedigree { ancestors }).filter(|pedigree| !pedigree.ancestors.is_empty()),
        purl: Some(image.purl()),
        supplier: Some(Organisation { name: image.vendor.clone() }),
        ..component("container", &image.name, &image.version)
    }
}

fn ancestor(pulled: &PulledImage) -> Component {
    let PulledImage { repository, tag, digest } = pulled;
    Component {
        hashes: vec![sha256(digest.hex())],
        purl: Some(pulled.purl()),
        ..component("container", repository, tag.as_ref().unwrap_or(&digest.to_string()))
    }
}

fn distribution(distro: &Distro) -> Component {
    Component {
        reference: Some(format!("{}-{}", distro.id, distro.version)),
        supplier: Some(Organisation { name: distro.vendor.clone() }),
        ..component("operating-system", &distro.id, &distro.version)
    }
}

fn package(listed: &Listed<'_, Package>, distro: &Distro) -> Component {
    let Listed { what: package, files } = listed;
    let purl = package.purl(distro);
    let texts = package.copyright.iter().flat_map(|file| &file.copyright.texts);
    Component {
        reference: Some(purl.clone()),
        components: files.iter().map(|one| file(one)).collect(),
        // An expression cannot carry the texts of its references.
        evidence: Evidence { licenses: texts.map(evidence).collect(), ..Evidence::default() },
        hashes: package.archive.iter().map(|digest| sha256(digest.hex())).collect(),
        licenses: package.licence().map(declared).into_iter().collect(),
        properties: properties(package),
        purl: Some(purl),
        supplier: Some(Organisation { name: distro.vendor.clone() }),
        ..component("library", &package.name, &package.version)
    }
}

fn compiled(listed: &Listed<'_, Software>) -> Component {
    let Listed { what: software, files } = listed;
    let purl = software.purl();
    let tarball = |tarball: &Tarball| ExternalReference {
        hashes: vec![sha256(tarball.digest.hex())],
        kind: "source-distribution",
        // A reference may be relative (RFC 3986, 4.2).
        url: tarball.address.as_ref().unwrap_or(&tarball.path).clone(),
    };
    Component {
        reference: Some(purl.clone()),
        components: files.iter().map(|one| file(one)).collect(),
        cpe: software.cpe.clone(),
        external_references: software.tarball.iter().map(tarball).collect(),
        licenses: software.licence().0.as_ref().map(declared).into_iter().collect(),
        purl: Some(purl),
        ..component("application", &software.name, &software.version)
    }
}

fn properties(package: &Package) -> Vec<Property> {
    let copyright = package.copyright.iter().map(|file| (COPYRIGHT_FILE, file.path.as_str()));
    let all = source_properties(&package.source).into_iter().chain(copyright);
    all.map(|(name, value)| Property { name, value: value.to_owned() }).collect()
}

/// The source package as Trivy reads it, which looks advisories up by it and does not read it from a package URL.
fn source_properties(source: &Source) -> Vec<(&'static str, &str)> {
    let (epoch, rest) = match source.version.split_once(':') {
        Some((epoch, rest)) => (epoch, rest),
        None => ("", source.version.as_str()),
    };
    let (version, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    let all = [
        ("aquasecurity:trivy:SrcEpoch", epoch),
        ("aquasecurity:trivy:SrcName", source.name.as_str()),
        ("aquasecurity:trivy:SrcRelease", revision),
        ("aquasecurity:trivy:SrcVersion", version),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// A gem. Two of one version may be there, so the place of its specification names it.
fn gem(gem: &Gem) -> Component {
    let purl = gem.purl();
    Component {
        reference: Some(format!("{purl}#{}", gem.path)),
        evidence: Evidence {
            occurrences: vec![Occurrence { location: gem.path.clone() }],
            ..Evidence::default()
        },
        // A list, not an expression: RubyGems does not say whether all of them apply or one may be chosen.
        licenses: gem
            .licences()
            .zip(&gem.licences)
            .map(|((licence, _), name)| named(&licence, name))
            .collect(),
        purl: Some(purl),
        ..component("library", &gem.name, &gem.version)
    }
}

fn file(file: &File) -> Component {
    Component {
        kind: "file",
        name: file.path.clone(),
        hashes: vec![sha256(file.checksums.sha256.hex())],
        ..Component::default()
    }
}

fn sha256(content: String) -> Hash {
    Hash { alg: "SHA-256", content }
}

fn declared(licence: &Expression) -> LicenceChoice {
    match licence.identifier() {
        Some(id) => named(licence, id),
        None => LicenceChoice::Expression { acknowledgement: DECLARED, expression: licence.to_string() },
    }
}

fn named(licence: &Expression, name: &str) -> LicenceChoice {
    let id = licence.identifier().map(str::to_owned);
    let name = id.is_none().then(|| name.to_owned());
    LicenceChoice::Licence(Licence { acknowledgement: Some(DECLARED), id, name, text: None })
}

fn evidence(licence: &LicenceText) -> LicenceChoice {
    LicenceChoice::Licence(Licence {
        name: Some(licence.reference.clone()),
        text: licence.text.clone().map(|content| Attachment { content, content_type: "text/plain" }),
        ..Licence::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_source_package_in_parts() {
        let parts = |version: &str| -> Vec<String> {
            let source = Source { name: "x".to_owned(), version: version.to_owned() };
            source_properties(&source).iter().map(|(_, value)| (*value).to_owned()).collect()
        };
        assert_eq!(parts("1:2.3-rc-4+b1"), ["1", "x", "4+b1", "2.3-rc"]);
        assert_eq!(parts("2025b"), ["x", "2025b"]);
        assert_eq!(parts(""), ["x"]);
    }
}

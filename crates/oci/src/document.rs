//! The JSON documents of an image: descriptor, index, manifest and configuration.
//!
//! Written documents are canonical: keys sorted, no spaces, absent where there is nothing to say, so that equal values
//! have equal digests. The fields of each struct are declared in the order of their names in JSON for that reason.
//! Reading takes what the specification and Go's encoder allow: unknown fields are passed over, `null` is the same as
//! absence.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schema::{Architecture, Digest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{annotation, media_type};

/// `schemaVersion` of manifests and indexes (OCI image specification, "Image Manifest Property Descriptions").
const SCHEMA_VERSION: u32 = 2;

/// Free-form statements about a document or a descriptor; keys as in [`crate::annotation`].
pub type Annotations = BTreeMap<String, String>;

/// A typed reference to a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What is said of the blob.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
    /// What the manifest is about where it is not an image, as an SBOM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The digest of the blob.
    pub digest: Digest,
    /// What the blob is, as in [`crate::media_type`].
    pub media_type: String,
    /// The machine that a manifest is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The bytes of the blob.
    pub size: u64,
}

impl Descriptor {
    /// Describes `bytes`.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Describes the blob that has this digest and size.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            annotations: Annotations::new(),
            artifact_type: None,
            digest,
            media_type: media_type.to_owned(),
            platform: None,
            size,
        }
    }

    /// Whether it says that its layers are in zstd.
    pub fn is_zstd(&self) -> bool {
        self.annotations.get(annotation::ZSTD).is_some_and(|value| value == "true")
    }
}

/// A kind of machine. The values are those of Go's `GOARCH` and `GOOS`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// The processor.
    pub architecture: String,
    /// The operating system.
    pub os: String,
    /// The variant of the processor, as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Linux on this architecture.
    pub fn linux(architecture: Architecture) -> Self {
        Self { architecture: architecture.name().to_owned(), os: "linux".to_owned(), variant: None }
    }

    /// Whether it is Linux on this architecture.
    pub fn is_linux(&self, architecture: Architecture) -> bool {
        self.os == "linux" && self.architecture == architecture.name()
    }
}

/// A list of manifests: the entry point of a layout, or one tag for several machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// What is said of the index.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
    /// What it lists.
    #[serde(default, deserialize_with = "null_is_absent")]
    pub manifests: Vec<Descriptor>,
    /// [`media_type::INDEX`]; some programs leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    schema_version: SchemaVersion,
}

impl Index {
    /// An index of these manifests.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            annotations: Annotations::new(),
            manifests,
            media_type: Some(media_type::INDEX.to_owned()),
            schema_version: SchemaVersion,
        }
    }
}

/// What an image is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// What is said of the image.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
    /// What it is about where it is not an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    #[serde(default, deserialize_with = "null_is_absent")]
    pub layers: Vec<Descriptor>,
    /// [`media_type::MANIFEST`]; some programs leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    schema_version: SchemaVersion,
    /// The manifest that this one says something about (a referrer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
}

impl Manifest {
    /// The manifest of an image.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>, annotations: Annotations) -> Self {
        Self {
            annotations,
            artifact_type: None,
            config,
            layers,
            media_type: Some(media_type::MANIFEST.to_owned()),
            schema_version: SchemaVersion,
            subject: None,
        }
    }

    /// The manifest of a document, about `subject` or by itself (OCI image specification, "Guidelines for Artifact Usage").
    pub(crate) fn artifact(artifact_type: &str, document: Descriptor, subject: Option<Descriptor>) -> Self {
        let empty = Descriptor::of(media_type::EMPTY, EMPTY);
        Self {
            artifact_type: Some(artifact_type.to_owned()),
            subject,
            ..Self::new(empty, vec![document], Annotations::new())
        }
    }
}

/// The bytes of a configuration that says nothing.
pub const EMPTY: &[u8] = b"{}";

/// What a manifest or an index says that it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Claim {
    #[serde(default)]
    pub(crate) media_type: Option<String>,
}

/// The configuration of an image (OCI image specification, "Image Configuration").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// The processor, as in [`Platform`].
    pub architecture: String,
    /// How a container starts.
    #[serde(default, deserialize_with = "null_is_absent")]
    pub config: Execution,
    /// When the image was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// What each step of making it did.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// The operating system, as in [`Platform`].
    pub os: String,
    /// What its root filesystem is stacked from.
    pub rootfs: RootFilesystem,
    /// The variant of the processor, as in [`Platform`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// How a container of an image starts; the `config` of its configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Execution {
    /// The default command, or the arguments of the entry point where there is one.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// What runs whatever the command is.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// The environment, each as `NAME=value`.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// What is said of the image; shown by `docker inspect`, unlike annotations.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Annotations,
    /// User and group, by name or number: `65532:65532`. Root where it is empty.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// The folder that the command starts in.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
}

/// One step of making an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// A remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// What did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// It changed no file, so it has no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// What a root filesystem is stacked from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFilesystem {
    /// The digest of each layer's tar before compression, lowest first.
    #[serde(default, deserialize_with = "null_is_absent")]
    pub diff_ids: Vec<Digest>,
    #[serde(rename = "type")]
    kind: LayersKind,
}

impl RootFilesystem {
    /// Stacked from the layers that have these tars.
    pub fn new(diff_ids: Vec<Digest>) -> Self {
        Self { diff_ids, kind: LayersKind::Layers }
    }
}

/// The one value that `rootfs.type` may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LayersKind {
    Layers,
}

/// The marker file of a layout (OCI image specification, "oci-layout file").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LayoutMarker {
    pub(crate) image_layout_version: String,
}

/// The one value that `schemaVersion` may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
struct SchemaVersion;

impl TryFrom<u32> for SchemaVersion {
    type Error = String;

    fn try_from(version: u32) -> Result<Self, String> {
        if version == SCHEMA_VERSION {
            Ok(Self)
        } else {
            Err(format!("schemaVersion {version} is not understood: expected {SCHEMA_VERSION}"))
        }
    }
}

impl From<SchemaVersion> for u32 {
    fn from(_: SchemaVersion) -> Self {
        SCHEMA_VERSION
    }
}

/// The canonical bytes of a document.
pub fn canonical(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("documents have text keys and no value that JSON lacks")
}

/// What a manifest or an index says that it is, where it says so.
pub fn claimed_media_type(bytes: &[u8]) -> Option<String> {
    parse::<Claim>(bytes).ok()?.media_type
}

/// Reads a document from bytes that were verified, whatever they claim to be.
///
/// # Errors
/// No JSON, or not that of such a document.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes)
}

fn null_is_absent<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(document: &impl Serialize) -> String {
        String::from_utf8(canonical(document)).unwrap()
    }

    /// A line for each field, for people to read.
    fn lines(document: &impl Serialize) -> String {
        text(document).replace(",\"", ",\n\"")
    }

    fn annotated(mut descriptor: Descriptor) -> Descriptor {
        descriptor.annotations.insert(annotation::REF_NAME.to_owned(), "ruby:3.3-trixie".to_owned());
        descriptor.artifact_type = Some("application/spdx+json".to_owned());
        descriptor.platform =
            Some(Platform { variant: Some("v8".to_owned()), ..Platform::linux(Architecture::Arm64) });
        descriptor
    }

    fn every_field() -> (Index, Manifest, ImageConfig) {
        let descriptor = annotated(Descriptor::of(media_type::MANIFEST, b"{}"));
        let mut index = Index::new(vec![descriptor.clone()]);
        index.annotations.insert("b".to_owned(), "é\"\n".to_owned());
        index.annotations.insert("a".to_owned(), String::new());
        let mut manifest = Manifest::new(
            Descriptor::of(media_type::CONFIG, b"c"),
            vec![Descriptor::of(media_type::LAYER_GZIP, b"l")],
            index.annotations.clone(),
        );
        manifest.artifact_type = Some("application/spdx+json".to_owned());
        manifest.subject = Some(descriptor);
        let config = ImageConfig {
            architecture: "arm64".to_owned(),
            config: Execution {
                cmd: vec!["irb".to_owned()],
                entrypoint: vec!["/usr/bin/env".to_owned()],
                env: vec!["LANG=C.UTF-8".to_owned()],
                labels: index.annotations.clone(),
                user: "65532".to_owned(),
                working_dir: "/".to_owned(),
            },
            created: Some(Timestamp::UNIX_EPOCH),
            history: vec![History {
                comment: Some("base".to_owned()),
                created: Some(Timestamp::UNIX_EPOCH),
                created_by: Some("distroless-ruby".to_owned()),
                empty_layer: true,
            }],
            os: "linux".to_owned(),
            rootfs: RootFilesystem::new(vec![Digest::of(b"tar")]),
            variant: Some("v8".to_owned()),
        };
        (index, manifest, config)
    }

    /// Whether the keys of every object in `json` are sorted, by their places in the text.
    fn assert_sorted(json: &str) {
        fn object(parser: &mut std::iter::Peekable<std::str::Chars<'_>>) {
            let mut last = String::new();
            loop {
                match parser.next() {
                    Some('"') => {
                        let key = string(parser);
                        assert!(last < key, "{last} stands before {key}");
                        assert_eq!(parser.next(), Some(':'), "no space before a value");
                        value(parser);
                        last = key;
                    }
                    Some(',') => {}
                    Some('}') => return,
                    other => panic!("unexpected {other:?}"),
                }
            }
        }
        fn string(parser: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
            let mut text = String::new();
            while let Some(c) = parser.next() {
                match c {
                    '"' => return text,
                    '\\' => text.extend(parser.next()),
                    _ => text.push(c),
                }
            }
            panic!("a string without an end")
        }
        fn value(parser: &mut std::iter::Peekable<std::str::Chars<'_>>) {
            match parser.next() {
                Some('{') => object(parser),
                Some('[') => {
                    while parser.next_if_eq(&']').is_none() {
                        parser.next_if_eq(&',');
                        value(parser);
                    }
                }
                Some('"') => drop(string(parser)),
                Some(c) if c.is_ascii_alphanumeric() => {
                    while parser.next_if(char::is_ascii_alphanumeric).is_some() {}
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        value(&mut json.chars().peekable());
    }

    #[test]
    fn written_documents_are_sorted_without_spaces_and_read_back() {
        let (index, manifest, config) = every_field();
        for json in [text(&index), text(&manifest), text(&config)] {
            assert_sorted(&json);
        }
        assert_eq!(parse::<Index>(&canonical(&index)).unwrap(), index);
        assert_eq!(parse::<Manifest>(&canonical(&manifest)).unwrap(), manifest);
        assert_eq!(parse::<ImageConfig>(&canonical(&config)).unwrap(), config);
    }

    #[test]
    fn a_configuration_has_the_names_of_the_specification() {
        let (_, _, config) = every_field();
        insta::assert_snapshot!(lines(&config), @r#"
        {"architecture":"arm64",
        "config":{"Cmd":["irb"],
        "Entrypoint":["/usr/bin/env"],
        "Env":["LANG=C.UTF-8"],
        "Labels":{"a":"",
        "b":"é\"\n"},
        "User":"65532",
        "WorkingDir":"/"},
        "created":"1970-01-01T00:00:00Z",
        "history":[{"comment":"base",
        "created":"1970-01-01T00:00:00Z",
        "created_by":"distroless-ruby",
        "empty_layer":true}],
        "os":"linux",
        "rootfs":{"diff_ids":["sha256:90aebae315675cbf04612de4f7d5874850f48e0b8dd82becbeaa47ca93f5ebfb"],
        "type":"layers"},
        "variant":"v8"}
        "#);
    }

    #[test]
    fn a_manifest_has_the_names_of_the_specification() {
        let (_, manifest, _) = every_field();
        insta::assert_snapshot!(lines(&manifest), @r#"
        {"annotations":{"a":"",
        "b":"é\"\n"},
        "artifactType":"application/spdx+json",
        "config":{"digest":"sha256:2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6",
        "mediaType":"application/vnd.oci.image.config.v1+json",
        "size":1},
        "layers":[{"digest":"sha256:acac86c0e609ca906f632b0e2dacccb2b77d22b0621f20ebece1a4835b93f6f0",
        "mediaType":"application/vnd.oci.image.layer.v1.tar+gzip",
        "size":1}],
        "mediaType":"application/vnd.oci.image.manifest.v1+json",
        "schemaVersion":2,
        "subject":{"annotations":{"org.opencontainers.image.ref.name":"ruby:3.3-trixie"},
        "artifactType":"application/spdx+json",
        "digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "mediaType":"application/vnd.oci.image.manifest.v1+json",
        "platform":{"architecture":"arm64",
        "os":"linux",
        "variant":"v8"},
        "size":2}}
        "#);
    }

    #[test]
    fn what_is_empty_is_left_out() {
        let config = ImageConfig {
            architecture: "amd64".to_owned(),
            config: Execution::default(),
            created: None,
            history: Vec::new(),
            os: "linux".to_owned(),
            rootfs: RootFilesystem::new(Vec::new()),
            variant: None,
        };
        insta::assert_snapshot!(text(&config), @r#"{"architecture":"amd64","config":{},"os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}"#);
        insta::assert_snapshot!(
            text(&Index::new(Vec::new())),
            @r#"{"manifests":[],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}"#
        );
    }

    #[test]
    fn reads_what_other_programs_write() {
        let config: ImageConfig = parse(
            br#"{"architecture":"amd64","author":"someone","config":{"Env":null,"Cmd":["sh"],"Labels":null,"User":"",
                "Volumes":{"/data":{}},"OnBuild":null},"container":"x","created":"2024-05-06T07:08:09.123456789+02:00",
                "history":null,"os":"linux","rootfs":{"diff_ids":null,"type":"layers"}}"#,
        )
        .unwrap();
        assert_eq!(config.config, Execution { cmd: vec!["sh".to_owned()], ..Execution::default() });
        assert_eq!(config.created.unwrap().to_string(), "2024-05-06T05:08:09.123456789Z");
        let config: ImageConfig =
            parse(br#"{"architecture":"amd64","config":null,"os":"linux","rootfs":{"type":"layers"}}"#)
                .unwrap();
        assert_eq!(config.config, Execution::default());
        let index: Index = parse(br#"{"schemaVersion":2,"manifests":null}"#).unwrap();
        assert_eq!(index.manifests, []);
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        for wrong in [
            r"{}",
            r#"{"schemaVersion":1,"manifests":[]}"#,
            r#"{"schemaVersion":2,"manifests":[{"mediaType":"x","size":1,"digest":"sha256:00"}]}"#,
            r#"{"schemaVersion":2,"manifests":[{"mediaType":"x","size":-1,"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]}"#,
            r#"{"schemaVersion":2,"manifests":{}}"#,
        ] {
            assert!(parse::<Index>(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let rootless = br#"{"architecture":"amd64","os":"linux","rootfs":{"diff_ids":[],"type":"tarfs"}}"#;
        assert!(parse::<ImageConfig>(rootless).is_err());
    }

    #[test]
    fn a_document_cut_anywhere_is_an_error() {
        let (index, manifest, config) = every_field();
        for bytes in [canonical(&index), canonical(&manifest), canonical(&config)] {
            for length in 0..bytes.len() {
                let cut = &bytes[..length];
                assert!(parse::<Index>(cut).is_err() && parse::<Manifest>(cut).is_err(), "cut at {length}");
                assert!(parse::<ImageConfig>(cut).is_err(), "cut at {length}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_changed_document_never_makes_it_panic(at in any::<prop::sample::Index>(), byte: u8) {
            let (index, manifest, config) = every_field();
            let damaged = |mut bytes: Vec<u8>| {
                let at = at.index(bytes.len());
                bytes[at] = byte;
                bytes
            };
            // What is still understood can be written and read again.
            if let Ok(index) = parse::<Index>(&damaged(canonical(&index))) {
                prop_assert_eq!(parse::<Index>(&canonical(&index)).unwrap(), index);
            }
            if let Ok(manifest) = parse::<Manifest>(&damaged(canonical(&manifest))) {
                prop_assert_eq!(parse::<Manifest>(&canonical(&manifest)).unwrap(), manifest);
            }
            if let Ok(config) = parse::<ImageConfig>(&damaged(canonical(&config))) {
                prop_assert_eq!(parse::<ImageConfig>(&canonical(&config)).unwrap(), config);
            }
        }
    }
}

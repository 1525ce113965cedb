//! Images made in memory, a layout that has them, and places to pull them to and from.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use cache::{Client, Limits, Options, Store};
use jiff::Timestamp;
use oci::document::{Descriptor, Execution, canonical};
use oci::{
    Compression, Layout, NewArtifact, NewBlob, NewImage, NewIndex, NewLayer, Packed, PackedLayer, Recipe,
    media_type, pack,
};
use registry::{Event, Hosts, Keychain, Outcome, Progress, PulledImage, Registry, RegistryError};
use rootfs::{Dialect, Kind, Layer, Origin, Tree};
use schema::reference::Reference;
use schema::{Architecture, Digest};
use testkit::tar::{Member, Tar};
use testkit::web::Server;

/// A folder, two files and a hard link.
pub(crate) fn lower() -> Vec<u8> {
    Tar::new()
        .folder("etc")
        .file("etc/hosts", "127.0.0.1 localhost\n")
        .file("etc/motd", "welcome\n")
        .folder("opt")
        .file("opt/old", "old")
        .folder("usr")
        .folder("usr/bin")
        .add(Member::file("usr/bin/ruby", "a ruby").mode(0o755))
        .hard_link("usr/bin/ruby3", "usr/bin/ruby")
        .finish()
}

/// Hides a file and all of a folder, and adds a file to that.
pub(crate) fn upper(machine: &str) -> Vec<u8> {
    Tar::new()
        .folder("etc")
        .file("etc/.wh.motd", "")
        .file("etc/machine", machine)
        .folder("opt")
        .file("opt/.wh..wh..opq", "")
        .file("opt/new", "new")
        .finish()
}

/// What the two come to.
pub(crate) fn stacked(machine: &str) -> Vec<String> {
    let machine = format!("/etc/machine {machine}");
    ["/etc", "/etc/hosts 127.0.0.1 localhost\n", &machine, "/opt", "/opt/new new", "/usr", "/usr/bin"]
        .into_iter()
        .chain(["/usr/bin/ruby a ruby", "/usr/bin/ruby3 a ruby"])
        .map(str::to_owned)
        .collect()
}

/// An image of the two layers, and its blobs by digest.
pub(crate) fn image(architecture: Architecture, compression: Compression) -> (NewImage, Vec<Packed>) {
    image_of(architecture, &[lower(), upper(architecture.name())], compression)
}

pub(crate) fn image_of(
    architecture: Architecture,
    tars: &[Vec<u8>],
    compression: Compression,
) -> (NewImage, Vec<Packed>) {
    let layers: Vec<Packed> = tars.iter().map(|tar| pack(tar, compression).unwrap()).collect();
    let recipe = Recipe {
        architecture,
        created: Timestamp::UNIX_EPOCH,
        execution: Execution {
            cmd: vec!["irb".to_owned()],
            env: vec!["LANG=C.UTF-8".to_owned()],
            user: "65532".to_owned(),
            ..Execution::default()
        },
        annotations: BTreeMap::new(),
    };
    let new = |layer: PackedLayer| NewLayer { layer, created_by: "test".into(), comment: "a layer".into() };
    (NewImage::new(recipe, layers.iter().map(|packed| new(packed.layer.clone())).collect()), layers)
}

/// A layout with an image for each machine, one of them in both compressions, under two names; and a document about one
/// of them and about the index.
pub(crate) fn layout(folder: &Path) -> Layout {
    let layout = Layout::create(folder).unwrap();
    let writer = layout.writer().unwrap();
    let all = [
        image(Architecture::Amd64, Compression::GZIP_FAST),
        image(Architecture::Amd64, Compression::ZSTD_FAST),
        image(Architecture::Arm64, Compression::GZIP_FAST),
    ];
    for (image, layers) in &all {
        writer.put_image(image).unwrap();
        for packed in layers {
            writer.put_blob(&packed.layer.digest, &packed.bytes).unwrap();
        }
    }
    let index = NewIndex::new(all.iter().map(|(image, _)| image.descriptor.clone()), BTreeMap::new());
    writer.put_index(&index).unwrap();
    let about = [&all[0].0.descriptor, &index.descriptor].map(|subject| {
        NewArtifact::new(
            subject,
            "application/spdx+json",
            "about.spdx.json",
            NewBlob::new(b"{\"spdx\":1}".to_vec()),
        )
    });
    for artifact in &about {
        writer.put_artifact(artifact).unwrap();
    }
    writer
        .set_listing(|listing| {
            for name in ["ruby:3.4-trixie", "ruby:3.4"] {
                listing.names.insert(name.parse().unwrap(), index.descriptor.clone());
            }
            listing.refer(about.iter().map(|one| one.referrer.clone()));
            Ok(())
        })
        .unwrap();
    drop(writer);
    layout
}

/// A store in a new folder, and how registries are reached.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) client: Client,
    pub(crate) hosts: Hosts,
    pub(crate) keychain: Keychain,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        // No pauses, so that no test sleeps; and a silent server does not keep it for long.
        let limits =
            Limits { pause: Duration::ZERO, inactivity: Duration::from_millis(500), ..Limits::default() };
        let folder = tempfile::tempdir().unwrap();
        Self {
            store: Store::open(&folder.path().join("store")).unwrap(),
            client: Client::new(Options { limits, ..options }).unwrap(),
            hosts: Hosts::default(),
            keychain: Keychain::default(),
            folder,
        }
    }

    pub(crate) fn registry(&self) -> Registry<'_> {
        Registry::new(&self.client, &self.hosts, &self.keychain)
    }

    pub(crate) fn pull(&self, reference: &str) -> Result<PulledImage, RegistryError> {
        self.pull_for(reference, Architecture::Amd64)
    }

    pub(crate) fn pull_for(
        &self,
        reference: &str,
        architecture: Architecture,
    ) -> Result<PulledImage, RegistryError> {
        let reference: Reference = reference.parse().unwrap();
        self.registry().pull(&self.store, &reference, architecture, &())
    }
}

/// The files of a pulled image, a line each.
pub(crate) fn files(image: &PulledImage) -> Vec<String> {
    let mut tree = Tree::new();
    for layer in &image.layers {
        let mut tar = Vec::new();
        oci::unpack(layer.blob.content(), &layer.descriptor.media_type, layer.diff_id, 1 << 20, &mut tar)
            .unwrap();
        let layer = Layer::parse(tar.into(), Dialect::Oci, rootfs::Limits::default()).unwrap();
        tree.stack(&layer, Origin(0)).unwrap();
    }
    let entries = tree.iter().filter(|(path, _)| !path.as_bytes().ends_with(b"/"));
    let lines = entries.map(|(path, entry)| match &entry.kind {
        Kind::File(file) => format!("{path} {}", String::from_utf8_lossy(&file.content)),
        _ => path.to_string(),
    });
    lines.collect()
}

/// A repository `library/ruby` on a scripted server, with one image behind the tag `3`.
pub(crate) struct Scripted {
    pub(crate) server: Server,
    pub(crate) image: NewImage,
    pub(crate) layers: Vec<Packed>,
}

impl Scripted {
    pub(crate) fn new() -> Self {
        Self::of(&[lower(), upper("amd64")])
    }

    pub(crate) fn of(tars: &[Vec<u8>]) -> Self {
        let (image, layers) = image_of(Architecture::Amd64, tars, Compression::GZIP_FAST);
        let server = Server::start();
        server.page(&blob(&Digest::of(&image.config)), image.config.to_vec());
        for packed in &layers {
            server.page(&blob(&packed.layer.digest), packed.bytes.clone());
        }
        for name in ["3", &image.descriptor.digest.to_string()] {
            server.page(&manifest(name), image.manifest.to_vec());
        }
        Self { server, image, layers }
    }

    pub(crate) fn host(&self) -> String {
        self.server.url("").trim_start_matches("http://").to_owned()
    }

    pub(crate) fn reference(&self) -> String {
        format!("{}/library/ruby:3", self.host())
    }

    /// How often something was asked for, by method and path.
    pub(crate) fn asked(&self, what: &str) -> usize {
        let asked = |request: &testkit::web::Request| {
            let path = request.target.split('?').next().unwrap_or_default();
            format!("{} {path}", request.method) == what
        };
        self.server.requests().iter().filter(|request| asked(request)).count()
    }
}

/// The path of a blob of `library/ruby`.
pub(crate) fn blob(digest: &Digest) -> String {
    format!("/v2/library/ruby/blobs/{digest}")
}

/// The path of what a tag or digest names there.
pub(crate) fn manifest(name: &str) -> String {
    format!("/v2/library/ruby/manifests/{name}")
}

/// The bytes of a document in which a text is another one.
pub(crate) fn changed(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(text.contains(from), "{text}");
    text.replace(from, to).into_bytes()
}

/// An index of one image.
pub(crate) fn index_of(image: Descriptor) -> Vec<u8> {
    assert_eq!(image.media_type, media_type::MANIFEST);
    canonical(&oci::document::Index::new(vec![image]))
}

/// An error with its causes, and what to do.
pub(crate) fn told(error: &RegistryError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Counts what it hears.
#[derive(Default)]
pub(crate) struct Heard(Mutex<BTreeMap<String, u64>>);

impl Heard {
    pub(crate) fn of(&self, what: &str) -> u64 {
        self.0.lock().unwrap().get(what).copied().unwrap_or_default()
    }
}

impl Progress for Heard {
    fn tell(&self, event: &Event<'_>) {
        let (what, count) = match event {
            Event::Begin { bytes, .. } => ("to come", *bytes),
            Event::Blob { .. } => ("begun", 1),
            Event::Bytes { count, .. } => ("bytes", *count),
            Event::Done { outcome: Outcome::Moved, .. } => ("moved", 1),
            Event::Done { outcome: Outcome::There, .. } => ("there", 1),
            Event::Done { outcome: Outcome::Mounted, .. } => ("mounted", 1),
        };
        *self.0.lock().unwrap().entry(what.to_owned()).or_default() += count;
    }
}

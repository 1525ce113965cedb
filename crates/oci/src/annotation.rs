//! Keys of annotations and labels (OCI image specification, "Annotations").

/// The reference of a descriptor in the index of a layout.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Set to `true` on the descriptor of a manifest in an index: its layers are in zstd, so whoever understands that may
/// prefer it over its gzip siblings. Not of the specification: `podman push --add-compression` began it.
pub const ZSTD: &str = "io.github.containers.compression.zstd";
/// When it was made, in RFC 3339.
pub const CREATED: &str = "org.opencontainers.image.created";
/// A title for people; of the layer of an artifact, the name of its file (as ORAS has it).
pub const TITLE: &str = "org.opencontainers.image.title";
/// A description for people.
pub const DESCRIPTION: &str = "org.opencontainers.image.description";
/// Where the source is.
pub const SOURCE: &str = "org.opencontainers.image.source";
/// The version of what is packaged.
pub const VERSION: &str = "org.opencontainers.image.version";
/// The licences of what is in it, as an SPDX expression.
pub const LICENSES: &str = "org.opencontainers.image.licenses";
/// Who distributes it.
pub const VENDOR: &str = "org.opencontainers.image.vendor";

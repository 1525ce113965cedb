//! OCI images: layers, config, manifest, index, layout and archives.

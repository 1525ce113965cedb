//! Packing a tar into a layer.
//!
//! Invariant: the same tar and the same [`Compression`] give the same bytes, on any machine and with any number of
//! threads. The compressors are pinned in `Cargo.toml` and golden digests guard them.
//!
//! Choices, measured on the 38 MB tar of a Ruby:
//! - gzip is **one member** by libdeflater: every reader takes it, it is smaller than zlib's at every level, and
//!   packing the layers of several images side by side keeps the processors as busy as blocks of one layer would.
//! - zstd states the content size, so that a reader can refuse or allocate in time, and **no checksum**: SHA-256 names
//!   the bytes already, before and after compression. Long-distance matching stays off: it saves half a percent, and its
//!   window would ask every reader for 128 MB.

use libdeflater::{CompressionLvl, Compressor};
use schema::Digest;
use zstd::zstd_safe::CParameter;

use crate::document::Descriptor;
use crate::media_type;

/// With no worker zstd takes another code path, which gives other bytes; with one or more they are the same.
const ZSTD_WORKERS: u32 = 1;

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Understood by every engine.
    Gzip {
        /// 1 (fast) to 12 (small).
        level: u8,
    },
    /// Smaller and faster to unpack; engines before 2023 may not know it.
    Zstd {
        /// 1 (fast) to 19 (small).
        level: u8,
    },
}

/// What is known of a packed layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedLayer {
    /// The digest of the compressed bytes: the name of the blob.
    pub digest: Digest,
    /// The digest of the tar.
    pub diff_id: Digest,
    /// The size of the compressed bytes.
    pub size: u64,
    /// The size of the tar.
    pub uncompressed: u64,
    /// As in [`media_type`].
    pub media_type: &'static str,
}

/// A packed layer with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// What is known of it.
    pub layer: PackedLayer,
    /// The compressed bytes.
    pub bytes: Vec<u8>,
}

/// Why a tar was not packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The compressor does not have this level.
    #[error("cannot compress with {0:?}: gzip has levels 1 to 12, zstd 1 to 19")]
    Level(Compression),
    /// The zstd library gave up, as when memory ran out.
    #[error("cannot compress a layer of {size} bytes with zstd")]
    Zstd {
        /// The size of the tar.
        size: u64,
        /// What the library says.
        source: std::io::Error,
    },
}

impl Compression {
    /// Gzip at the level for daily work.
    pub const GZIP_FAST: Self = Self::Gzip { level: 6 };
    /// Gzip as small as can be, for a release: about ten times as slow, 4 % smaller.
    pub const GZIP_BEST: Self = Self::Gzip { level: 12 };
    /// Zstd at the level for daily work.
    pub const ZSTD_FAST: Self = Self::Zstd { level: 9 };
    /// Zstd as small as can be without asking readers for more than the usual 8 MB window: about twenty times as slow,
    /// 12 % smaller.
    pub const ZSTD_BEST: Self = Self::Zstd { level: 19 };

    /// The media type of a layer compressed so.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Gzip { .. } => media_type::LAYER_GZIP,
            Self::Zstd { .. } => media_type::LAYER_ZSTD,
        }
    }
}

impl PackedLayer {
    /// Its descriptor in a manifest.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type, self.digest, self.size)
    }
}

/// Compresses `tar`, on the calling thread: several run side by side.
///
/// # Errors
/// A level that does not exist, or a failure of the zstd library.
pub fn compress(tar: &[u8], compression: Compression) -> Result<Vec<u8>, PackError> {
    match compression {
        Compression::Gzip { level } => gzip(tar, level).ok_or(PackError::Level(compression)),
        Compression::Zstd { level: level @ 1..=19 } => zstd(tar, level, ZSTD_WORKERS)
            .map_err(|source| PackError::Zstd { size: tar.len() as u64, source }),
        Compression::Zstd { .. } => Err(PackError::Level(compression)),
    }
}

/// Compresses `tar` to a layer, on the calling thread.
///
/// # Errors
/// Those of [`compress`].
pub fn pack(tar: &[u8], compression: Compression) -> Result<Packed, PackError> {
    let bytes = compress(tar, compression)?;
    let layer = PackedLayer {
        digest: Digest::of(&bytes),
        diff_id: Digest::of(tar),
        size: bytes.len() as u64,
        uncompressed: tar.len() as u64,
        media_type: compression.media_type(),
    };
    Ok(Packed { layer, bytes })
}

/// One gzip member, whose header has no name and no time. `None` where there is no such level.
fn gzip(tar: &[u8], level: u8) -> Option<Vec<u8>> {
    // Level 0 exists, and stores.
    let level = CompressionLvl::new(level.into()).ok().filter(|_| level > 0)?;
    let mut compressor = Compressor::new(level);
    let mut bytes = vec![0; compressor.gzip_compress_bound(tar.len())];
    let size = compressor.gzip_compress(tar, &mut bytes).expect("the output has room for the worst case");
    bytes.truncate(size);
    bytes.shrink_to_fit();
    Some(bytes)
}

fn zstd(tar: &[u8], level: u8, workers: u32) -> std::io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(level.into())?;
    compressor.set_parameter(CParameter::NbWorkers(workers))?;
    compressor.set_parameter(CParameter::ContentSizeFlag(true))?;
    compressor.set_parameter(CParameter::ChecksumFlag(false))?;
    compressor.compress(tar)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that compress about as well as text, the same on every machine.
    fn sample(size: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut words = std::iter::repeat_with(move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ["def ", "end\n", "module ", "Ruby", "::", "\0\0\0", "require "][(state >> 24) as usize % 7]
                .as_bytes()
        });
        let mut bytes = Vec::with_capacity(size + 8);
        while bytes.len() < size {
            bytes.extend_from_slice(words.next().unwrap());
        }
        bytes.truncate(size);
        bytes
    }

    #[test]
    fn the_bytes_never_change() {
        let tar = sample(300_000);
        let digests: Vec<String> = [
            Compression::Gzip { level: 1 },
            Compression::GZIP_FAST,
            Compression::GZIP_BEST,
            Compression::Zstd { level: 1 },
            Compression::ZSTD_FAST,
            Compression::ZSTD_BEST,
        ]
        .into_iter()
        .map(|compression| {
            let layer = pack(&tar, compression).unwrap().layer;
            format!("{compression:?} {} bytes {}", layer.size, layer.digest)
        })
        .collect();
        insta::assert_snapshot!(digests.join("\n"), @r"
        Gzip { level: 1 } 56977 bytes sha256:76671cfbe09068548fbe732f40100a04b6bbf0b42fc00fe8e10cf144a2734409
        Gzip { level: 6 } 44806 bytes sha256:28fd4a4eb909f3cebcb22696cdcf790de2c494b442910985c9ed8291c4106deb
        Gzip { level: 12 } 35524 bytes sha256:f92bb1d0cac6a02795b21e6c958541a03b5f73876d056fe36603ec85f702bab4
        Zstd { level: 1 } 53598 bytes sha256:d9149c2eec11e3cdd0dac25263cc46c093ab4a03f7303eed31b7deea2ec09aae
        Zstd { level: 9 } 43506 bytes sha256:dd425fc1885ef0b9bc1f7e06cdc477520647fbc50013f769b78728422e2612b2
        Zstd { level: 19 } 34402 bytes sha256:36191ba3ce3cc363734c30f67e7223619a44854dcb6be081eff84f127ea4e732
        ");
    }

    #[test]
    fn describes_what_it_packed() {
        let tar = sample(10_000);
        for (compression, media_type) in [
            (Compression::GZIP_FAST, media_type::LAYER_GZIP),
            (Compression::ZSTD_FAST, media_type::LAYER_ZSTD),
        ] {
            let Packed { layer, bytes } = pack(&tar, compression).unwrap();
            assert_eq!(
                layer,
                PackedLayer {
                    digest: Digest::of(&bytes),
                    diff_id: Digest::of(&tar),
                    size: bytes.len() as u64,
                    uncompressed: 10_000,
                    media_type,
                }
            );
            assert_eq!(layer.descriptor(), Descriptor::of(media_type, &bytes));
        }
    }

    #[test]
    fn gzip_names_no_file_and_no_time() {
        let bytes = pack(b"tar", Compression::GZIP_FAST).unwrap().bytes;
        // RFC 1952, 2.3: magic, deflate, no optional field, no time; byte 9: the system is not said.
        assert_eq!(bytes[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[9], 255);
    }

    #[test]
    fn zstd_is_the_same_with_any_number_of_workers_and_states_the_size() {
        // Large enough for several jobs at this level.
        let tar = sample(6 << 20);
        let one = zstd(&tar, 3, 1).unwrap();
        for workers in [2, 4, 7] {
            assert!(zstd(&tar, 3, workers).unwrap() == one, "{workers} workers");
        }
        assert_eq!(zstd::zstd_safe::get_frame_content_size(&one).unwrap(), Some(6 << 20));
    }

    #[test]
    fn only_levels_that_exist() {
        for compression in [
            Compression::Gzip { level: 0 },
            Compression::Gzip { level: 13 },
            Compression::Zstd { level: 0 },
            Compression::Zstd { level: 20 },
        ] {
            assert!(matches!(pack(b"", compression), Err(PackError::Level(_))), "{compression:?}");
        }
    }
}

//! Reading a layer back: the tar in it, as a stream that ends with an error where the tar is too long, damaged, or not
//! the one that the image's configuration names.

use std::io::{self, Read, Write};

use schema::{Digest, Hasher};

use crate::media_type;

const BUFFER: usize = 128 * 1024;

/// What is wrong with a layer.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is none of the layers that are understood here.
    #[error("its media type `{0}` is not one of a layer that is understood here")]
    MediaType(String),
    /// It is cut, or not what its media type says.
    #[error("it does not decompress")]
    Damaged(#[source] io::Error),
    /// Its tar is larger than is accepted.
    #[error("its tar is larger than the limit of {limit} bytes")]
    TooLarge {
        /// How many bytes are accepted.
        limit: u64,
    },
    /// Its tar is another one.
    #[error("its tar has the digest {found}, the configuration names {expected}")]
    DiffId {
        /// The digest in the image's configuration.
        expected: Digest,
        /// The digest of the tar in the layer.
        found: Digest,
    },
    /// The tar could not be written to where it was wanted.
    #[error("its tar cannot be written")]
    Output(#[source] io::Error),
}

/// Writes the tar in a layer of one's own to `out`, and gives its size. What was written counts only if this succeeds.
///
/// # Errors
/// A layer that is damaged, or has another tar than the one of this digest; an error of `out`.
pub fn decompress(
    layer: &[u8],
    media_type: &str,
    diff_id: Digest,
    out: &mut dyn Write,
) -> Result<u64, UnpackError> {
    unpack(layer, media_type, diff_id, u64::MAX, out)
}

/// Writes the tar in `layer` to `out`, and gives its size. What was written counts only if this succeeds.
///
/// At most `limit` bytes are written, whatever the layer says of itself.
///
/// # Errors
/// A layer of another form, one that is damaged or too large, or the tar of another layer; an error of `out`.
pub fn unpack(
    layer: &[u8],
    media_type: &str,
    diff_id: Digest,
    limit: u64,
    out: &mut dyn Write,
) -> Result<u64, UnpackError> {
    let mut tar: Box<dyn Read + '_> = match media_type {
        media_type::LAYER | media_type::DOCKER_LAYER => Box::new(layer),
        // Other programs write several members.
        media_type::LAYER_GZIP | media_type::DOCKER_LAYER_GZIP => {
            Box::new(flate2::bufread::MultiGzDecoder::new(layer))
        }
        media_type::LAYER_ZSTD | media_type::DOCKER_LAYER_ZSTD => {
            Box::new(zstd::stream::read::Decoder::with_buffer(layer).map_err(UnpackError::Damaged)?)
        }
        other => return Err(UnpackError::MediaType(other.to_owned())),
    };
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; BUFFER];
    let mut size = 0_u64;
    loop {
        let count = match tar.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(UnpackError::Damaged(error)),
        };
        size = size.saturating_add(count as u64);
        if size > limit {
            return Err(UnpackError::TooLarge { limit });
        }
        hasher.update(&buffer[..count]);
        out.write_all(&buffer[..count]).map_err(UnpackError::Output)?;
    }
    let found = hasher.finish();
    if found == diff_id { Ok(size) } else { Err(UnpackError::DiffId { expected: diff_id, found }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pack::{Compression, pack};

    const TAR: &[u8] = b"not really a tar, not really a tar, not really a tar";
    const ALL: [&str; 3] = [media_type::LAYER, media_type::LAYER_GZIP, media_type::LAYER_ZSTD];

    fn packed(media_type: &str) -> Vec<u8> {
        match media_type {
            media_type::LAYER_GZIP => pack(TAR, Compression::GZIP_FAST).unwrap().bytes,
            media_type::LAYER_ZSTD => pack(TAR, Compression::ZSTD_FAST).unwrap().bytes,
            _ => TAR.to_vec(),
        }
    }

    fn read(layer: &[u8], media_type: &str, limit: u64) -> Result<Vec<u8>, UnpackError> {
        let mut out = Vec::new();
        let size = unpack(layer, media_type, Digest::of(TAR), limit, &mut out)?;
        assert_eq!(size, out.len() as u64);
        Ok(out)
    }

    #[test]
    fn gives_the_tar_up_to_the_limit() {
        let size = TAR.len() as u64;
        for media_type in ALL {
            let layer = packed(media_type);
            assert_eq!(read(&layer, media_type, size).unwrap(), TAR, "{media_type}");
            assert!(
                matches!(read(&layer, media_type, size - 1), Err(UnpackError::TooLarge { limit }) if limit == size - 1),
                "{media_type}"
            );
        }
    }

    #[test]
    fn reads_several_members_and_frames() {
        for (media_type, compression) in [
            (media_type::LAYER_GZIP, Compression::GZIP_FAST),
            (media_type::LAYER_ZSTD, Compression::ZSTD_FAST),
        ] {
            let (first, second) = TAR.split_at(20);
            let mut layer = pack(first, compression).unwrap().bytes;
            layer.extend(pack(second, compression).unwrap().bytes);
            assert_eq!(read(&layer, media_type, 1 << 20).unwrap(), TAR);
        }
    }

    #[test]
    fn another_tar_is_told() {
        let other = pack(b"other", Compression::GZIP_FAST).unwrap().bytes;
        let error = read(&other, media_type::LAYER_GZIP, 1 << 20).unwrap_err();
        assert!(
            matches!(error, UnpackError::DiffId { found, .. } if found == Digest::of(b"other")),
            "{error}"
        );
    }

    #[test]
    fn a_small_layer_cannot_fill_the_memory() {
        let bomb = pack(&vec![0; 32 << 20], Compression::ZSTD_FAST).unwrap().bytes;
        assert!(bomb.len() < 64 << 10);
        let mut out = Vec::new();
        let error = unpack(&bomb, media_type::LAYER_ZSTD, Digest::of(TAR), 1 << 20, &mut out).unwrap_err();
        assert!(matches!(error, UnpackError::TooLarge { .. }));
        assert!(out.len() <= 1 << 20);
    }

    #[test]
    fn another_media_type_is_named() {
        let error = read(TAR, "application/x-bzip2", 1 << 20).unwrap_err();
        assert!(matches!(error, UnpackError::MediaType(found) if found == "application/x-bzip2"));
    }

    #[test]
    fn a_layer_cut_anywhere_is_an_error() {
        for media_type in ALL {
            let layer = packed(media_type);
            for length in 0..layer.len() {
                assert!(read(&layer[..length], media_type, 1 << 20).is_err(), "{media_type} cut at {length}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), which in 0_usize..3) {
            prop_assert!(read(&bytes, ALL[which], 1 << 20).is_err());
        }

        #[test]
        fn no_changed_byte_goes_unseen(at in any::<prop::sample::Index>(), change in 1_u8.., which in 0_usize..3) {
            let mut layer = packed(ALL[which]);
            let at = at.index(layer.len());
            layer[at] ^= change;
            // A header may change without harm; the tar may not.
            if let Ok(tar) = read(&layer, ALL[which], 1 << 20) {
                prop_assert_eq!(tar, TAR);
            }
        }
    }
}

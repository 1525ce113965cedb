//! Compressed data: indexes and the parts of packages, unpacked into a writer up to a limit.

use std::io::{self, Read, Write};

use cache::StoreError;
use liblzma::stream::{CONCATENATED, Stream};

/// The most memory that unpacking xz may take. The strongest preset asks for 65 MiB (xz(1)).
const XZ_MEMORY: u64 = 256 << 20;

/// How much is unpacked at a time.
const BLOCK: usize = 128 << 10;

/// How data is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Xz,
    Zstd,
}

/// Compressed data cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It gives more than it may.
    #[error("it has more than {limit} bytes")]
    TooLarge {
        /// The most that was allowed.
        limit: u64,
    },
    /// It is damaged or cut short.
    #[error("its compressed data is damaged")]
    Damaged(#[source] io::Error),
    /// The unpacked data cannot be written.
    #[error("cannot write what is in it")]
    Write(#[source] io::Error),
}

impl UnpackError {
    /// What went wrong in the store, if the data was being unpacked into it.
    pub(crate) fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Write(error) => error.get_ref()?.downcast_ref(),
            _ => None,
        }
    }
}

impl Compression {
    /// The compression that the end of a file's name tells, as `.xz`; an empty end tells that there is none.
    pub(crate) fn from_suffix(suffix: &[u8]) -> Option<Self> {
        match suffix {
            b"" => Some(Self::None),
            b".gz" => Some(Self::Gzip),
            b".xz" => Some(Self::Xz),
            b".zst" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Unpacks `data` into `out`, at most `limit` bytes, and gives their number.
    pub(crate) fn unpack(self, data: &[u8], out: &mut dyn Write, limit: u64) -> Result<u64, UnpackError> {
        let mut reader = self.reader(data).map_err(UnpackError::Damaged)?;
        let mut block = vec![0; BLOCK];
        let mut total = 0;
        loop {
            let length = match reader.read(&mut block) {
                Ok(0) => return Ok(total),
                Ok(length) => length,
                Err(error) => return Err(UnpackError::Damaged(error)),
            };
            total += length as u64;
            if total > limit {
                return Err(UnpackError::TooLarge { limit });
            }
            out.write_all(&block[..length]).map_err(UnpackError::Write)?;
        }
    }

    /// Data may consist of several streams, one after the other; anything else after the first is an error.
    fn reader<'a>(self, data: &'a [u8]) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::None => Box::new(data),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(data)),
            Self::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(data, stream))
            }
            Self::Zstd => Box::new(zstd::Decoder::with_buffer(data)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use testkit::deb::Packing;

    use super::*;

    const PACKINGS: [(Packing, Compression); 4] = [
        (Packing::None, Compression::None),
        (Packing::Gzip, Compression::Gzip),
        (Packing::Xz, Compression::Xz),
        (Packing::Zstd, Compression::Zstd),
    ];

    fn unpack(compression: Compression, data: &[u8], limit: u64) -> Result<Vec<u8>, UnpackError> {
        let mut out = Vec::new();
        let length = compression.unpack(data, &mut out, limit)?;
        assert_eq!(length, out.len() as u64);
        Ok(out)
    }

    #[test]
    fn what_was_packed_comes_out_up_to_the_limit() {
        let bytes = vec![7; 300_000];
        for (packing, compression) in PACKINGS {
            let packed = packing.pack(&bytes);
            assert_eq!(unpack(compression, &packed, 300_000).unwrap(), bytes, "{packing:?}");
            let error = unpack(compression, &packed, 299_999).unwrap_err();
            assert!(matches!(error, UnpackError::TooLarge { limit: 299_999 }), "{packing:?}: {error}");
            assert_eq!(Compression::from_suffix(packing.suffix().as_bytes()), Some(compression));
        }
    }

    #[test]
    fn data_that_is_cut_or_followed_by_other_data_is_damaged() {
        for (packing, compression) in &PACKINGS[1..] {
            let packed = packing.pack(b"some bytes, some bytes");
            for length in 1..packed.len() {
                let error = unpack(*compression, &packed[..length], 1000).unwrap_err();
                assert!(matches!(error, UnpackError::Damaged(_)), "{packing:?} cut at {length}: {error}");
            }
            let followed = [&packed[..], b"other data"].concat();
            assert!(unpack(*compression, &followed, 1000).is_err(), "{packing:?}");
        }
    }

    #[test]
    fn a_writer_that_is_full_is_told_from_damage() {
        let mut full = [0; 2];
        let error =
            Compression::Gzip.unpack(&Packing::Gzip.pack(b"bytes"), &mut &mut full[..], 100).unwrap_err();
        assert!(matches!(error, UnpackError::Write(_)), "{error}");
    }
}

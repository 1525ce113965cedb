//! Packets: the framing of OpenPGP data (RFC 9580, section 4), and a reader for what is inside of them.
//!
//! Only complete packets are taken: no partial and no indeterminate lengths, which keys and signatures never need.

use super::{Malformed, PACKET};

/// Packet types that keys and signatures consist of (RFC 9580, section 5).
pub(super) mod tag {
    pub(in super::super) const SIGNATURE: u8 = 2;
    pub(in super::super) const PUBLIC_KEY: u8 = 6;
    pub(in super::super) const MARKER: u8 = 10;
    pub(in super::super) const USER_ID: u8 = 13;
    pub(in super::super) const PUBLIC_SUBKEY: u8 = 14;
    pub(in super::super) const USER_ATTRIBUTE: u8 = 17;
}

/// One packet: its type and its content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet<'a> {
    pub(super) tag: u8,
    pub(super) body: &'a [u8],
}

/// Splits `bytes` into packets.
pub(super) fn packets(bytes: &[u8]) -> Result<Vec<Packet<'_>>, Malformed> {
    let mut reader = Reader(bytes);
    let mut packets = Vec::new();
    while !reader.is_empty() {
        packets.push(reader.packet()?);
    }
    Ok(packets)
}

/// What is left to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed("data ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed("data ends too early"))?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn number16(&mut self) -> Result<usize, Malformed> {
        self.array().map(|bytes| usize::from(u16::from_be_bytes(bytes)))
    }

    pub(super) fn number32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// A multiprecision integer without leading zeros (section 3.2). One whose bit count is not exact is refused:
    /// so no two encodings are the same number.
    pub(super) fn integer(&mut self) -> Result<&'a [u8], Malformed> {
        let bits = self.number16()?;
        let bytes = self.take(bits.div_ceil(8))?;
        let leading = bytes.first().map_or(0, |byte| byte.leading_zeros() as usize);
        if bytes.len() * 8 - leading != bits {
            return Err(Malformed("a number's bit count is wrong"));
        }
        Ok(bytes)
    }

    fn packet(&mut self) -> Result<Packet<'a>, Malformed> {
        let header = self.byte()?;
        if header & PACKET == 0 {
            return Err(Malformed("no packet begins where one should"));
        }
        let (tag, length) = if header & 0x40 == 0 {
            let length = match header & 3 {
                0 => u32::from(self.byte()?),
                1 => u32::from(u16::from_be_bytes(self.array()?)),
                2 => self.number32()?,
                _ => return Err(Malformed("a packet has no length")),
            };
            ((header >> 2) & 0x0f, length)
        } else {
            let length = match self.byte()? {
                short @ 0..192 => u32::from(short),
                high @ 192..224 => two_octet_length(high, self.byte()?),
                255 => self.number32()?,
                _ => return Err(Malformed("a packet comes in parts")),
            };
            (header & 0x3f, length)
        };
        let length = usize::try_from(length).map_err(|_| Malformed("a packet is too long"))?;
        Ok(Packet { tag, body: self.take(length)? })
    }

    /// The next subpacket of a signature (section 5.2.3.7): its type octet and its content.
    pub(super) fn subpacket(&mut self) -> Result<(u8, &'a [u8]), Malformed> {
        let length = match self.byte()? {
            short @ 0..192 => u32::from(short),
            high @ 192..255 => two_octet_length(high, self.byte()?),
            255 => self.number32()?,
        };
        let length = usize::try_from(length).map_err(|_| Malformed("a subpacket is too long"))?;
        let (kind, content) = self.take(length)?.split_first().ok_or(Malformed("a subpacket has no type"))?;
        Ok((*kind, content))
    }
}

fn two_octet_length(high: u8, low: u8) -> u32 {
    ((u32::from(high) - 192) << 8) + u32::from(low) + 192
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_header_formats_are_read() {
        let cases: [(&[u8], u8, usize); 5] = [
            (&[0x88, 2, 7, 7], tag::SIGNATURE, 2),
            (&[0x89, 0, 1, 7], tag::SIGNATURE, 1),
            (&[0x8a, 0, 0, 0, 0], tag::SIGNATURE, 0),
            (&[0xc2, 1, 7], tag::SIGNATURE, 1),
            (&[0xc6, 255, 0, 0, 0, 1, 9], tag::PUBLIC_KEY, 1),
        ];
        for (bytes, tag, length) in cases {
            let packets = packets(bytes).unwrap();
            assert_eq!((packets.len(), packets[0].tag, packets[0].body.len()), (1, tag, length), "{bytes:?}");
        }
        let mut long = vec![0xc2, 192, 8];
        long.extend([7; 200]);
        assert_eq!(packets(&long).unwrap()[0].body.len(), 200);
    }

    #[test]
    fn what_cannot_be_bounded_is_refused() {
        for bytes in
            [&[0x8b_u8, 1][..], &[0xc2, 224, 1], &[0x08, 0], &[0x88, 3, 1], &[0xc2, 255, 255, 255, 255, 255]]
        {
            assert!(packets(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_number_has_one_encoding() {
        assert_eq!(Reader(&[0, 9, 1, 2]).integer().unwrap(), [1, 2]);
        for bytes in [[0, 10, 1, 2], [0, 16, 1, 2], [0, 8, 1, 2].map(|byte| byte & 0xfe)] {
            assert!(Reader(&bytes).integer().is_err(), "{bytes:?}");
        }
    }
}

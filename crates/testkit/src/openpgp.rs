//! OpenPGP keys and signatures in memory, good ones and bent ones: throw-away Ed25519 keys from a seed (RFC 9580).
//!
//! Everything is written as given and nothing checked, so that a test can make what no OpenPGP program would.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

/// The object identifier of Ed25519.
const ED25519_CURVE: [u8; 9] = [0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01];

/// A key that signs.
#[derive(Debug)]
pub struct Key {
    pair: Ed25519KeyPair,
    created: u32,
}

/// A hash to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// Too weak. Only its name: what is signed is a SHA-256, as nobody should come so far as to look.
    Md5,
    /// Too weak.
    Sha1,
    /// Good.
    Sha256,
    /// Good.
    Sha512,
}

/// A signature to be made: its kind and what it states.
#[derive(Debug, Clone)]
pub struct Signature {
    kind: u8,
    hash: Hash,
    subpackets: Vec<u8>,
    unhashed: Vec<u8>,
}

/// A certificate under construction.
#[derive(Debug)]
pub struct Certificate<'a> {
    primary: &'a Key,
    packets: Vec<u8>,
}

impl Key {
    /// The key of that seed, made at `created` (seconds since 1970).
    ///
    /// # Panics
    /// Never: every seed is a key.
    pub fn new(seed: u8, created: u32) -> Self {
        Self { pair: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("32 bytes are a seed"), created }
    }

    fn body(&self) -> Vec<u8> {
        let point = [&[0x40], self.pair.public_key().as_ref()].concat();
        [
            &[4][..],
            &self.created.to_be_bytes(),
            &[22, length8(&ED25519_CURVE)],
            &ED25519_CURVE,
            &integer(&point),
        ]
        .concat()
    }

    fn hashed(&self) -> Vec<u8> {
        let body = self.body();
        [&[0x99][..], &length16(&body), &body].concat()
    }

    /// Its fingerprint.
    pub fn fingerprint(&self) -> Vec<u8> {
        digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.hashed()).as_ref().to_vec()
    }
}

impl Signature {
    /// The signature of a text.
    pub fn of_text(created: u32) -> Self {
        Self::of_kind(0x01, created)
    }

    /// The certification of a user id, for a key that certifies and signs.
    pub fn certification(created: u32) -> Self {
        Self::of_kind(0x13, created).key_flags(0x03)
    }

    /// The binding of a subkey that signs.
    pub fn binding(created: u32) -> Self {
        Self::of_kind(0x18, created).key_flags(0x02)
    }

    /// The signature of a subkey over its primary key.
    pub fn back(created: u32) -> Self {
        Self::of_kind(0x19, created)
    }

    /// A signature of any kind, with SHA-256.
    pub fn of_kind(kind: u8, created: u32) -> Self {
        let subpackets = subpacket(2, &created.to_be_bytes());
        Self { kind, hash: Hash::Sha256, subpackets, unhashed: Vec::new() }
    }

    /// With this hash.
    #[must_use]
    pub fn hash(mut self, hash: Hash) -> Self {
        self.hash = hash;
        self
    }

    /// It expires that many seconds after it was made.
    #[must_use]
    pub fn expires_after(self, seconds: u32) -> Self {
        self.states(3, &seconds.to_be_bytes())
    }

    /// The key that it is about expires that many seconds after that was made.
    #[must_use]
    pub fn key_expires_after(self, seconds: u32) -> Self {
        self.states(9, &seconds.to_be_bytes())
    }

    /// The key that it is about may be used like that: 1 to certify, 2 to sign, 12 to encrypt.
    #[must_use]
    pub fn key_flags(self, flags: u8) -> Self {
        self.states(27, &[flags])
    }

    /// With this subpacket in the part that is signed.
    #[must_use]
    pub fn states(mut self, kind: u8, content: &[u8]) -> Self {
        self.subpackets.extend(subpacket(kind, content));
        self
    }

    /// With this subpacket in the part that is not signed.
    #[must_use]
    pub fn claims(mut self, kind: u8, content: &[u8]) -> Self {
        self.unhashed.extend(subpacket(kind, content));
        self
    }

    /// The content of its packet, made by `key` over `data`.
    pub fn by(&self, key: &Key, data: &[u8]) -> Vec<u8> {
        let (id, algorithm) = match self.hash {
            Hash::Md5 => (1, &digest::SHA256),
            Hash::Sha1 => (2, &digest::SHA1_FOR_LEGACY_USE_ONLY),
            Hash::Sha256 => (8, &digest::SHA256),
            Hash::Sha512 => (10, &digest::SHA512),
        };
        let fingerprint = key.fingerprint();
        // GnuPG finds the keys of certifications by the shorter name alone.
        let short = subpacket(16, &fingerprint[12..]);
        let full = subpacket(33, &[&[4], fingerprint.as_slice()].concat());
        let hashed_area = [self.subpackets.clone(), short, full].concat();
        let mut body = vec![4, self.kind, 22, id];
        body.extend(length16(&hashed_area));
        body.extend(hashed_area);
        let trailer = [&[4, 0xff][..], &length32(&body)].concat();
        let digest = digest::digest(algorithm, &[data, &body, &trailer].concat());
        let signature = key.pair.sign(digest.as_ref());
        let (r, s) = signature.as_ref().split_at(32);
        body.extend(length16(&self.unhashed));
        body.extend(&self.unhashed);
        body.extend(&digest.as_ref()[..2]);
        body.extend([integer(r), integer(s)].concat());
        body
    }
}

impl<'a> Certificate<'a> {
    /// A primary key and a user id that it certifies.
    pub fn new(primary: &'a Key, certification: &Signature) -> Self {
        Self::bare(primary).certified(certification)
    }

    /// A primary key alone.
    pub fn bare(primary: &'a Key) -> Self {
        Self { primary, packets: packet(6, &primary.body()) }
    }

    /// A plain one, which certifies and signs, made when its key was.
    pub fn plain(primary: &'a Key) -> Self {
        Self::new(primary, &Signature::certification(primary.created))
    }

    /// With its user id, again if it has that already, and a certification of it.
    #[must_use]
    pub fn certified(mut self, certification: &Signature) -> Self {
        let user_id = b"Archive <archive@example.org>";
        let hashed = [&self.primary.hashed(), &[0xb4][..], &length32(user_id), user_id].concat();
        self.packets.extend(packet(13, user_id));
        self.packets.extend(packet(2, &certification.by(self.primary, &hashed)));
        self
    }

    /// With a signature of the primary key over itself alone.
    #[must_use]
    pub fn direct(mut self, signature: &Signature) -> Self {
        self.packets.extend(packet(2, &signature.by(self.primary, &self.primary.hashed())));
        self
    }

    /// With a subkey, its binding, and in the binding the subkey's own signature, if there is one.
    #[must_use]
    pub fn subkey(mut self, subkey: &Key, binding: &Signature, back: Option<&Signature>) -> Self {
        let hashed = [self.primary.hashed(), subkey.hashed()].concat();
        let mut binding = binding.clone();
        if let Some(back) = back {
            binding = binding.claims(32, &back.by(subkey, &hashed));
        }
        self.packets.extend(packet(14, &subkey.body()));
        self.packets.extend(packet(2, &binding.by(self.primary, &hashed)));
        self
    }

    /// With a signature of that kind by the primary key after what came last: 0x20 revokes the key, 0x28 a subkey,
    /// 0x30 a certification or a signature of the key over itself. What it signs is nothing.
    #[must_use]
    pub fn then(mut self, kind: u8) -> Self {
        let body = Signature::of_kind(kind, self.primary.created).by(self.primary, b"");
        self.packets.extend(packet(2, &body));
        self
    }

    /// The certificate.
    pub fn bytes(&self) -> &[u8] {
        &self.packets
    }

    /// The armoured certificate.
    pub fn armored(&self) -> String {
        armored("PGP PUBLIC KEY BLOCK", &self.packets)
    }
}

/// A cleartext message: `text` with signatures of it. The text has no line that begins with a dash, no white space at
/// the ends of lines, and no line feed at its end.
pub fn cleartext(text: &str, signatures: &[(&Signature, &Key)]) -> String {
    let data = text.replace('\n', "\r\n");
    let packets: Vec<u8> = signatures
        .iter()
        .flat_map(|(signature, key)| packet(2, &signature.by(key, data.as_bytes())))
        .collect();
    format!(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{text}\n{}",
        armored("PGP SIGNATURE", &packets)
    )
}

fn armored(kind: &str, bytes: &[u8]) -> String {
    let digits = STANDARD.encode(bytes);
    let lines = digits.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
    let checksum = STANDARD.encode(&crc24(bytes).to_be_bytes()[1..]);
    format!("-----BEGIN {kind}-----\n\n{lines}\n={checksum}\n-----END {kind}-----\n")
}

/// The checksum of an armour (section 6.1), which `GnuPG` insists on.
fn crc24(bytes: &[u8]) -> u32 {
    let shift = |crc: u32| if crc & 0x80_0000 == 0 { crc << 1 } else { crc << 1 ^ 0x0186_4cfb };
    bytes.iter().fold(0x00b7_04ce, |crc, byte| (0..8).fold(crc ^ u32::from(*byte) << 16, |crc, _| shift(crc)))
}

fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[0xc0 | tag, 0xff][..], &length32(body), body].concat()
}

fn subpacket(kind: u8, content: &[u8]) -> Vec<u8> {
    let content = [&[kind], content].concat();
    [&[length8(&content)][..], &content].concat()
}

/// A multiprecision integer: the number of its bits, then its bytes without leading zeros.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let bytes = &bytes[start..];
    let unused = bytes.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = u16::try_from(bytes.len() * 8 - unused).expect("no number here is that long");
    [&bits.to_be_bytes()[..], bytes].concat()
}

fn length8(bytes: &[u8]) -> u8 {
    u8::try_from(bytes.len()).expect("no subpacket here is that long")
}

fn length16(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).expect("no key or area here is that long").to_be_bytes()
}

fn length32(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("no packet here is that long").to_be_bytes()
}

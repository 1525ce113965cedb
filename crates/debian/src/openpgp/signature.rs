//! Signatures of version 4 (RFC 9580, section 5.2.3): what they say, and whether a key made them.

use ring::digest;
use ring::signature::{
    ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
};

use super::key::{Fingerprint, KeyMaterial, PublicKey};
use super::packet::Reader;
use super::{CLOCK_TOLERANCE, Fault, Malformed};

/// Signature types (section 5.2.1).
pub(super) mod kind {
    pub(in super::super) const TEXT: u8 = 0x01;
    pub(in super::super) const CERTIFICATIONS: std::ops::RangeInclusive<u8> = 0x10..=0x13;
    pub(in super::super) const SUBKEY_BINDING: u8 = 0x18;
    pub(in super::super) const PRIMARY_KEY_BINDING: u8 = 0x19;
    pub(in super::super) const DIRECT_KEY: u8 = 0x1f;
    pub(in super::super) const KEY_REVOCATION: u8 = 0x20;
    pub(in super::super) const SUBKEY_REVOCATION: u8 = 0x28;
    pub(in super::super) const CERTIFICATION_REVOCATION: u8 = 0x30;
}

/// The key flag "may be used to sign data" (section 5.2.3.29).
const MAY_SIGN: u8 = 0x02;

/// A hash algorithm that is good enough to sign with.
#[derive(Debug, Clone, Copy)]
struct Hash {
    digest: &'static digest::Algorithm,
    rsa: &'static RsaParameters,
}

impl Hash {
    fn from_id(id: u8) -> Result<Self, Fault> {
        match id {
            8 => Ok(Self { digest: &digest::SHA256, rsa: &RSA_PKCS1_2048_8192_SHA256 }),
            9 => Ok(Self { digest: &digest::SHA384, rsa: &RSA_PKCS1_2048_8192_SHA384 }),
            10 => Ok(Self { digest: &digest::SHA512, rsa: &RSA_PKCS1_2048_8192_SHA512 }),
            1 => Err(Fault::WeakHash("MD5")),
            2 => Err(Fault::WeakHash("SHA-1")),
            3 => Err(Fault::WeakHash("RIPEMD-160")),
            _ => Err(Fault::Unsupported("its hash algorithm")),
        }
    }
}

/// What the signer of a key or of data states beside the signature itself.
#[derive(Debug, Default)]
struct Statements<'a> {
    created: Option<i64>,
    lifetime: Option<i64>,
    key_lifetime: Option<i64>,
    key_flags: Option<u8>,
    embedded: Vec<&'a [u8]>,
    /// A statement that must not be ignored, and that is not known here.
    unknown_critical: bool,
}

/// A parsed signature, not verified.
#[derive(Debug)]
pub(super) struct Signature<'a> {
    pub(super) kind: u8,
    /// The fingerprint of the key that is said to have made it.
    issuer: Option<Fingerprint>,
    /// The same by its shorter name, for signatures that lack the fingerprint.
    issuer_id: Option<[u8; 8]>,
    algorithm: u8,
    hash: u8,
    /// From the version to the last hashed subpacket: the part of the packet that is signed.
    hashed: &'a [u8],
    digest_prefix: [u8; 2],
    numbers: Reader<'a>,
    statements: Statements<'a>,
}

impl<'a> Signature<'a> {
    /// Parses the content of a signature packet.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader(body);
        if reader.byte()? != 4 {
            return Err(Fault::Unsupported("its version"));
        }
        let (kind, algorithm, hash) = (reader.byte()?, reader.byte()?, reader.byte()?);
        let hashed_length = reader.number16()?;
        let hashed_area = reader.take(hashed_length)?;
        let hashed = &body[..6 + hashed_length];
        let unhashed_length = reader.number16()?;
        let unhashed_area = reader.take(unhashed_length)?;
        let digest_prefix = reader.array()?;
        let mut signature = Self {
            kind,
            issuer: None,
            issuer_id: None,
            algorithm,
            hash,
            hashed,
            digest_prefix,
            numbers: reader,
            statements: Statements::default(),
        };
        // The area that is not signed may only help to find keys and carry signatures, which stand for themselves.
        signature.read_subpackets(unhashed_area)?;
        let embedded = signature.statements.embedded.drain(..).collect();
        signature.statements = Statements { embedded, ..Statements::default() };
        signature.read_subpackets(hashed_area)?;
        Ok(signature)
    }

    fn read_subpackets(&mut self, area: &'a [u8]) -> Result<(), Malformed> {
        let mut area = Reader(area);
        while !area.is_empty() {
            let (kind, content) = area.subpacket()?;
            let mut content = Reader(content);
            let seconds = |content: &mut Reader<'a>| content.number32().map(i64::from).map(Some);
            let statements = &mut self.statements;
            match kind & 0x7f {
                2 => statements.created = seconds(&mut content)?,
                3 => statements.lifetime = seconds(&mut content)?,
                9 => statements.key_lifetime = seconds(&mut content)?,
                16 => self.issuer_id = Some(content.array()?),
                27 => statements.key_flags = Some(content.byte().unwrap_or(0)),
                32 => statements.embedded.push(content.0),
                33 if content.0.first() == Some(&4) => {
                    content.byte()?;
                    self.issuer = Some(Fingerprint(content.array()?));
                }
                // Preferences, features, revocability and the like, which no decision here depends on.
                4 | 5 | 7 | 11 | 12 | 21..=26 | 28..=30 | 33 => {}
                _ => statements.unknown_critical |= kind & 0x80 != 0,
            }
        }
        Ok(())
    }

    /// Whether it claims to be by that key.
    pub(super) fn names(&self, key: Fingerprint) -> bool {
        match (self.issuer, self.issuer_id) {
            (Some(issuer), _) => issuer == key,
            (None, Some(id)) => key.0.ends_with(&id),
            (None, None) => false,
        }
    }

    /// The name of the key that it claims to be by.
    pub(super) fn issuer_name(&self) -> String {
        match (self.issuer, self.issuer_id) {
            (Some(issuer), _) => issuer.to_string(),
            (None, Some(id)) => format!("{:016X}", u64::from_be_bytes(id)),
            (None, None) => "unnamed".to_owned(),
        }
    }

    /// When it was made, in seconds since 1970. Every signature must say so.
    pub(super) fn created(&self) -> Option<i64> {
        self.statements.created
    }

    /// Whether it states that the key it is about may sign data; nothing when it states no use of it.
    pub(super) fn may_sign(&self) -> Option<bool> {
        self.statements.key_flags.map(|flags| flags & MAY_SIGN != 0)
    }

    /// When the key that it is about expires, if it does.
    pub(super) fn key_expiry(&self, key: &PublicKey) -> Option<i64> {
        self.statements.key_lifetime.filter(|lifetime| *lifetime != 0).map(|lifetime| key.created + lifetime)
    }

    /// The signatures inside of it.
    pub(super) fn embedded(&self) -> impl Iterator<Item = Signature<'a>> {
        self.statements.embedded.iter().filter_map(|body| Signature::parse(body).ok())
    }

    /// Whether `key` made it over `data`, which is everything signed up to the signature itself, and whether it
    /// can be relied on at the time `now`.
    pub(super) fn verify(&self, key: &PublicKey, data: &[u8], now: i64) -> Result<(), Fault> {
        let hash = Hash::from_id(self.hash)?;
        self.verify_time(key, now)?;
        if self.statements.unknown_critical {
            return Err(Fault::Unsupported("one of its critical statements"));
        }
        let mut message = Vec::with_capacity(data.len() + self.hashed.len() + 6);
        message.extend(data);
        message.extend(self.hashed);
        let length = u32::try_from(self.hashed.len()).map_err(|_| Malformed("a signature is too long"))?;
        message.extend([4, 0xff]);
        message.extend(length.to_be_bytes());
        let digest = digest::digest(hash.digest, &message);
        if !digest.as_ref().starts_with(&self.digest_prefix) {
            return Err(Fault::Wrong);
        }
        let mut numbers = self.numbers;
        match (&key.material, self.algorithm) {
            (KeyMaterial::Rsa { modulus, exponent }, 1 | 3) => {
                let signature = left_padded(numbers.integer()?, modulus.len())?;
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(hash.rsa, &message, &signature).map_err(|_| Fault::Wrong)?;
            }
            (KeyMaterial::Ed25519(point), 22) => {
                let mut signature = left_padded(numbers.integer()?, 32)?;
                signature.extend(left_padded(numbers.integer()?, 32)?);
                let key = UnparsedPublicKey::new(&ED25519, point);
                key.verify(digest.as_ref(), &signature).map_err(|_| Fault::Wrong)?;
            }
            _ => return Err(Fault::Unsupported("its algorithm")),
        }
        if numbers.is_empty() { Ok(()) } else { Err(Malformed("data follows a signature").into()) }
    }

    fn verify_time(&self, key: &PublicKey, now: i64) -> Result<(), Fault> {
        let created = self.created().ok_or(Malformed("a signature does not say when it was made"))?;
        if created > now + CLOCK_TOLERANCE {
            return Err(Fault::FromFuture(created));
        }
        if created < key.created {
            return Err(Fault::OlderThanKey);
        }
        match self.statements.lifetime {
            Some(lifetime) if lifetime != 0 && created + lifetime <= now => {
                Err(Fault::Expired(created + lifetime))
            }
            _ => Ok(()),
        }
    }
}

/// `number` with leading zeros, so that it has `length` bytes.
fn left_padded(number: &[u8], length: usize) -> Result<Vec<u8>, Malformed> {
    let missing = length.checked_sub(number.len()).ok_or(Malformed("a signature's number is too large"))?;
    let mut padded = vec![0; missing];
    padded.extend(number);
    Ok(padded)
}

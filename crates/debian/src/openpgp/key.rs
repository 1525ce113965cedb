//! Keys: a primary key, its subkeys, and which of them may sign data (RFC 9580, sections 5.5 and 10.1).
//!
//! A certificate is only taken apart when it is read; what its signatures say is verified when a key of it is wanted.

use std::fmt;

use ring::digest;

use super::packet::{Packet, Reader, packets, tag};
use super::signature::{Signature, kind};
use super::{Fault, Malformed};

/// The name of a key: a SHA-1 of it (section 5.5.4). It only tells keys apart; no trust rests on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint(pub(super) [u8; 20]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02X}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The numbers of a key of a kind that Debian's archives sign with.
#[derive(Debug)]
pub(super) enum KeyMaterial {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    Ed25519([u8; 32]),
    /// Nothing that is verified here; a certificate may carry such a subkey all the same.
    Other,
}

/// A public key or subkey.
#[derive(Debug)]
pub(super) struct PublicKey {
    pub(super) fingerprint: Fingerprint,
    /// Seconds since 1970.
    pub(super) created: i64,
    pub(super) material: KeyMaterial,
    /// What stands for the key in anything that is signed about it (section 5.2.4).
    hashed: Vec<u8>,
}

/// The object identifier of Ed25519 in keys of the older algorithm 22 (section 9.2).
const ED25519_CURVE: [u8; 9] = [0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01];

impl PublicKey {
    fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(body);
        if reader.byte()? != 4 {
            return Err(Malformed("a key is of a version other than 4"));
        }
        let created = i64::from(reader.number32()?);
        let material = match reader.byte()? {
            1 | 3 => {
                KeyMaterial::Rsa { modulus: reader.integer()?.to_vec(), exponent: reader.integer()?.to_vec() }
            }
            22 => {
                let length = usize::from(reader.byte()?);
                let curve = reader.take(length)?;
                match (curve == ED25519_CURVE, reader.integer()?.split_first()) {
                    // 0x40 marks a point in its native form (section 11.2.2).
                    (true, Some((0x40, point))) => KeyMaterial::Ed25519(
                        point.try_into().map_err(|_| Malformed("a point has the wrong length"))?,
                    ),
                    _ => KeyMaterial::Other,
                }
            }
            _ => KeyMaterial::Other,
        };
        let length = u16::try_from(body.len()).map_err(|_| Malformed("a key is too long"))?;
        let mut hashed = vec![0x99];
        hashed.extend(length.to_be_bytes());
        hashed.extend(body);
        let fingerprint = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &hashed);
        let fingerprint =
            fingerprint.as_ref().try_into().map_err(|_| Malformed("a key has no fingerprint"))?;
        Ok(Self { fingerprint: Fingerprint(fingerprint), created, material, hashed })
    }
}

/// A subkey with the signatures that tie it to its primary key.
#[derive(Debug)]
struct Subkey {
    key: PublicKey,
    bindings: Vec<Vec<u8>>,
    revoked: bool,
}

/// A signature of a certificate on itself, with what it signs.
#[derive(Debug)]
struct SelfSignature {
    /// What is signed beside the primary key: a user id or nothing.
    about: Vec<u8>,
    body: Vec<u8>,
}

/// A primary key and everything that belongs to it.
#[derive(Debug)]
pub(super) struct Certificate {
    primary: PublicKey,
    self_signatures: Vec<SelfSignature>,
    /// What self-signatures are about that were revoked, wherever the revocation stands.
    withdrawn: Vec<Vec<u8>>,
    subkeys: Vec<Subkey>,
    revoked: bool,
}

/// What the signatures that come next are about.
enum Component {
    Primary,
    UserId(Vec<u8>),
    Ignored,
    Subkey,
}

impl Certificate {
    /// Parses the packets of one certificate or of several, one after the other.
    ///
    /// A revocation is believed without a look at its signature: keys come from the project's own files, and a key
    /// that is wrongly taken as revoked only refuses.
    pub(super) fn parse_all(bytes: &[u8]) -> Result<Vec<Self>, Malformed> {
        let mut certificates: Vec<Self> = Vec::new();
        let mut component = Component::Primary;
        for Packet { tag, body } in packets(bytes)? {
            if tag == tag::PUBLIC_KEY {
                certificates.push(Self {
                    primary: PublicKey::parse(body)?,
                    self_signatures: Vec::new(),
                    withdrawn: Vec::new(),
                    subkeys: Vec::new(),
                    revoked: false,
                });
                component = Component::Primary;
                continue;
            }
            let certificate = certificates.last_mut().ok_or(Malformed("no public key comes first"))?;
            match tag {
                tag::USER_ID => component = Component::UserId(user_id_hashed(body)?),
                tag::USER_ATTRIBUTE => component = Component::Ignored,
                tag::PUBLIC_SUBKEY => {
                    let key = PublicKey::parse(body)?;
                    certificate.subkeys.push(Subkey { key, bindings: Vec::new(), revoked: false });
                    component = Component::Subkey;
                }
                tag::SIGNATURE => certificate.take_signature(&component, body),
                tag::MARKER => {}
                _ => return Err(Malformed("a packet is none of a public key")),
            }
        }
        Ok(certificates)
    }

    fn take_signature(&mut self, component: &Component, body: &[u8]) {
        // What cannot be read vouches for nothing: certifications by others come in every form of thirty years.
        let Ok(signature) = Signature::parse(body) else { return };
        match (component, signature.kind) {
            (_, kind::KEY_REVOCATION) => self.revoked = true,
            (Component::Subkey, _) => {
                let Some(subkey) = self.subkeys.last_mut() else { return };
                match signature.kind {
                    kind::SUBKEY_BINDING => subkey.bindings.push(body.to_vec()),
                    kind::SUBKEY_REVOCATION => subkey.revoked = true,
                    _ => {}
                }
            }
            // By somebody else, who has no say in what the key is for.
            _ if !signature.names(self.primary.fingerprint) => {}
            (Component::Primary, kind) => self.take_self_signature(&[], kind, body),
            (Component::UserId(user_id), kind) => self.take_self_signature(user_id, kind, body),
            (Component::Ignored, _) => {}
        }
    }

    /// Takes what the primary key signed about a user id, or about itself when `about` is empty.
    fn take_self_signature(&mut self, about: &[u8], kind: u8, body: &[u8]) {
        let is_user_id = !about.is_empty();
        if kind == kind::CERTIFICATION_REVOCATION {
            self.withdrawn.push(about.to_vec());
        } else if (is_user_id && kind::CERTIFICATIONS.contains(&kind))
            || (!is_user_id && kind == kind::DIRECT_KEY)
        {
            self.self_signatures.push(SelfSignature { about: about.to_vec(), body: body.to_vec() });
        }
    }

    /// The key of this certificate that `signature` claims to be by.
    pub(super) fn claimed_key(&self, signature: &Signature<'_>) -> Option<&PublicKey> {
        self.keys().find(|key| signature.names(key.fingerprint))
    }

    /// The primary key and the subkeys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        std::iter::once(&self.primary).chain(self.subkeys.iter().map(|subkey| &subkey.key))
    }

    /// Whether `key`, one of this certificate, may sign data at the time `now`.
    pub(super) fn may_sign(&self, key: &PublicKey, now: i64) -> Result<(), Fault> {
        if self.revoked {
            return Err(Fault::KeyRevoked);
        }
        let primary_may_sign = self.primary_may_sign(now)?;
        let Some(subkey) = self.subkeys.iter().find(|subkey| subkey.key.fingerprint == key.fingerprint)
        else {
            return if primary_may_sign { Ok(()) } else { Err(Fault::NotForSigning) };
        };
        if subkey.revoked {
            return Err(Fault::KeyRevoked);
        }
        self.subkey_may_sign(subkey, now)
    }

    /// Reads the newest good self-signature that states what the primary key is for: an expired key is refused, and
    /// so is one without such a statement.
    fn primary_may_sign(&self, now: i64) -> Result<bool, Fault> {
        let key = &self.primary;
        let standing = self.self_signatures.iter().filter(|signed| !self.withdrawn.contains(&signed.about));
        let good = standing.filter_map(|SelfSignature { about, body }| {
            let signature = Signature::parse(body).ok()?;
            let data = [key.hashed.as_slice(), about].concat();
            signature.verify(key, &data, now).ok()?;
            Some((signature.created(), signature.may_sign()?, signature.key_expiry(key)))
        });
        let (_, may_sign, expiry) = good.max_by_key(|(created, ..)| *created).ok_or(Fault::NotBound)?;
        not_expired(expiry, now)?;
        Ok(may_sign)
    }

    /// Reads the newest good binding of a subkey. A subkey that signs has to sign its primary key in turn, so that
    /// nobody can claim the key of another as theirs (section 5.2.1.9).
    fn subkey_may_sign(&self, subkey: &Subkey, now: i64) -> Result<(), Fault> {
        let data = [self.primary.hashed.as_slice(), &subkey.key.hashed].concat();
        let good = subkey.bindings.iter().filter_map(|body| {
            let binding = Signature::parse(body).ok()?;
            binding.verify(&self.primary, &data, now).ok()?;
            Some(binding)
        });
        let binding = good.max_by_key(Signature::created).ok_or(Fault::NotBound)?;
        not_expired(binding.key_expiry(&subkey.key), now)?;
        if binding.may_sign() != Some(true) {
            return Err(Fault::NotForSigning);
        }
        let signed_back = binding.embedded().any(|back| {
            back.kind == kind::PRIMARY_KEY_BINDING && back.verify(&subkey.key, &data, now).is_ok()
        });
        if signed_back { Ok(()) } else { Err(Fault::NotBound) }
    }
}

fn not_expired(expiry: Option<i64>, now: i64) -> Result<(), Fault> {
    match expiry {
        Some(expiry) if expiry <= now => Err(Fault::KeyExpired(expiry)),
        _ => Ok(()),
    }
}

fn user_id_hashed(user_id: &[u8]) -> Result<Vec<u8>, Malformed> {
    let length = u32::try_from(user_id.len()).map_err(|_| Malformed("a user id is too long"))?;
    let mut hashed = vec![0xb4];
    hashed.extend(length.to_be_bytes());
    hashed.extend(user_id);
    Ok(hashed)
}

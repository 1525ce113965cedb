//! OpenPGP, as much as it takes to verify the `InRelease` of an archive against keys that are kept (RFC 9580).
//!
//! A [`Keyring`] holds certificates, and gives the text of a cleartext message if one of them signed it. Policy: SHA-2
//! alone; the signing key neither expired nor revoked now, meant for signing, and a subkey tied to its primary key in
//! both directions; nothing from the future. One good signature is enough. Versions and algorithms are those that
//! Debian's archives use: version 4, RSA and Ed25519.

mod armor;
mod key;
mod packet;
mod signature;

use std::fmt;

use jiff::Timestamp;

use key::Certificate;
use packet::{packets, tag};
use signature::{Signature, kind};

/// How far a clock may be behind the one that dated a signature or an index, in seconds.
pub(crate) const CLOCK_TOLERANCE: i64 = 60 * 60;

/// The most signatures that a message may have: Debian's have one for each release whose users may check them. Each
/// takes a pass over the text.
const MAX_SIGNATURES: usize = 16;

/// The first bit of every packet, which no armour begins with (section 4.2).
const PACKET: u8 = 0x80;

/// Something that is not what the format asks for; the text says what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(&'static str);

/// Why one signature is not good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// None of the kept keys made it.
    #[error("the key is not among those kept")]
    UnknownKey,
    /// The bytes or the key are not those that were signed.
    #[error("it does not fit the text")]
    Wrong,
    /// It relies on a hash that can be forged.
    #[error("it relies on {0}, which is too weak")]
    WeakHash(&'static str),
    /// It is of a kind that is not verified here.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// It signs something other than a text.
    #[error("it is not the signature of a text")]
    NotOfText,
    /// It was made later than now.
    #[error("it was made in the future, at {}", seconds(*.0))]
    FromFuture(i64),
    /// It is older than the key.
    #[error("it is older than its key")]
    OlderThanKey,
    /// Its own time is over.
    #[error("it expired at {}", seconds(*.0))]
    Expired(i64),
    /// The time of the key is over.
    #[error("its key expired at {}", seconds(*.0))]
    KeyExpired(i64),
    /// The key was revoked.
    #[error("its key was revoked")]
    KeyRevoked,
    /// The key is meant for other things.
    #[error("its key is not for signing")]
    NotForSigning,
    /// The key is not tied to the certificate it is in.
    #[error("its key is not bound to its certificate by a good signature")]
    NotBound,
    /// It is no signature.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

fn seconds(since_1970: i64) -> String {
    Timestamp::from_second(since_1970).map_or_else(|_| since_1970.to_string(), |time| time.to_string())
}

/// Why a message is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It is no cleartext message, or has more in it than a signed text.
    #[error("it is no signed text")]
    NotSigned(#[from] Malformed),
    /// No signature is good. Each is named by its key, with what is wrong.
    #[error("it has no good signature{}", Reasons(.0))]
    Untrusted(Vec<(String, Fault)>),
}

/// Keys with what is wrong with their signatures.
struct Reasons<'a>(&'a [(String, Fault)]);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(index, (key, fault))| {
            write!(out, "{} by key {key}, {fault}", if index == 0 { ":" } else { ";" })
        })
    }
}

/// A text with a good signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedText(String);

impl SignedText {
    /// The text, exactly as signed: lines end in a line feed, without white space before it.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// The certificates that are trusted to sign.
#[derive(Debug)]
pub struct Keyring(Vec<Certificate>);

impl Keyring {
    /// Reads certificates, one or more in each file, armoured or not.
    ///
    /// # Errors
    /// When a file holds anything else, a key of a version other than 4, or no key at all.
    pub fn parse<'a>(files: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Malformed> {
        let mut certificates = Vec::new();
        for file in files {
            let before = certificates.len();
            if file.first().is_some_and(|byte| byte & PACKET != 0) {
                certificates.extend(Certificate::parse_all(file)?);
            } else {
                for packets in armor::keys(file)? {
                    certificates.extend(Certificate::parse_all(&packets)?);
                }
            }
            if certificates.len() == before {
                return Err(Malformed("there is no key in it"));
            }
        }
        Ok(Self(certificates))
    }

    /// Debian's own keys, which are kept in the project: `keys/README.md` says where they come from.
    ///
    /// # Panics
    /// Never: that these files can be read is tested.
    pub fn debian() -> Self {
        macro_rules! key {
            ($name:literal) => {
                include_bytes!(concat!("../../keys/debian-archive-", $name, ".asc")).as_slice()
            };
        }
        Self::parse([
            key!("bullseye-automatic"),
            key!("bullseye-security-automatic"),
            key!("bullseye-stable"),
            key!("bookworm-automatic"),
            key!("bookworm-security-automatic"),
            key!("bookworm-stable"),
            key!("trixie-automatic"),
            key!("trixie-security-automatic"),
            key!("trixie-stable"),
        ])
        .expect("the keys of the project are well-formed")
    }

    /// Gives the text of a cleartext message if a key of this ring signed it and may do so at the time `now`.
    ///
    /// # Errors
    /// When the message is no single signed text, or none of its signatures is good.
    pub(crate) fn verify(&self, message: &[u8], now: Timestamp) -> Result<SignedText, SignatureError> {
        let armor::Cleartext { text, signature } = armor::cleartext(message)?;
        let now = now.as_second();
        let mut faults = Vec::new();
        let hashed = text.replace('\n', "\r\n");
        let packets = packets(&signature)?;
        if packets.len() > MAX_SIGNATURES {
            return Err(Malformed("it has more signatures than anybody makes").into());
        }
        for packet in packets {
            if packet.tag != tag::SIGNATURE {
                return Err(Malformed("a packet is no signature").into());
            }
            let signature = match Signature::parse(packet.body) {
                Ok(signature) => signature,
                Err(fault) => {
                    faults.push(("unnamed".to_owned(), fault));
                    continue;
                }
            };
            match self.vouch(&signature, hashed.as_bytes(), now) {
                Ok(()) => return Ok(SignedText(text)),
                Err(fault) => faults.push((signature.issuer_name(), fault)),
            }
        }
        Err(SignatureError::Untrusted(faults))
    }

    /// Whether that signature of `text` is by a key of this ring, and good.
    fn vouch(&self, signature: &Signature<'_>, text: &[u8], now: i64) -> Result<(), Fault> {
        if signature.kind != kind::TEXT {
            return Err(Fault::NotOfText);
        }
        let (certificate, key) = self
            .0
            .iter()
            .find_map(|certificate| Some((certificate, certificate.claimed_key(signature)?)))
            .ok_or(Fault::UnknownKey)?;
        signature.verify(key, text, now)?;
        certificate.may_sign(key, now)
    }
}

#[cfg(test)]
mod tests;

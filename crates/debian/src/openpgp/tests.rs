//! Keys and signatures, made here and by others, whole and bent anywhere.

use std::process::Command;

use proptest::prelude::*;
use testkit::archive::MADE;
use testkit::openpgp::{Certificate, Hash, Key, Signature, cleartext};

use super::*;
use crate::reference::run_if_there;

const DAY: u32 = 24 * 60 * 60;
const TEXT: &str = "Origin: Test\nSuite: trixie\n\nlast line";

fn at(seconds: u32) -> Timestamp {
    Timestamp::from_second(seconds.into()).unwrap()
}

fn keyring(certificate: &Certificate<'_>) -> Keyring {
    Keyring::parse([certificate.armored().as_bytes()]).unwrap()
}

/// What is wrong with the only signature of a message, seen a day after everything was made.
fn fault(keyring: &Keyring, message: &str) -> Option<Fault> {
    match keyring.verify(message.as_bytes(), at(MADE + DAY)) {
        Ok(signed) => {
            assert_eq!(signed.text(), TEXT);
            None
        }
        Err(SignatureError::Untrusted(mut faults)) => {
            assert_eq!(faults.len(), 1, "{faults:?}");
            faults.pop().map(|(_, fault)| fault)
        }
        Err(error) => panic!("{error}"),
    }
}

/// Real keys, of RSA and of Ed25519, as they are in use: certifications, bindings, back-signatures and flags are all good.
#[test]
fn debian_keys_are_those_of_the_readme() {
    let row = |certificate: &super::Certificate| {
        let fingerprints: Vec<_> = certificate.keys().map(|key| format!("`{}`", key.fingerprint)).collect();
        let centuries_later = at(u32::MAX).as_second();
        let expiries = certificate.keys().map(|key| {
            assert_eq!(certificate.may_sign(key, at(MADE).as_second()), Ok(()), "{}", key.fingerprint);
            match certificate.may_sign(key, centuries_later) {
                Err(Fault::KeyExpired(expiry)) => {
                    Timestamp::from_second(expiry).unwrap().strftime("%F").to_string()
                }
                other => panic!("{}: {other:?}", key.fingerprint),
            }
        });
        let expiry =
            expiries.reduce(|one, other| if one == other { one } else { panic!("{one} and {other}") });
        format!("{} | {}", fingerprints.join("<br>"), expiry.unwrap())
    };
    let kept: Vec<_> = Keyring::debian().0.iter().map(row).collect();
    let readme = include_str!("../../keys/README.md").lines();
    let rows = readme.filter_map(|line| line.strip_suffix(" |")?.split_once(" | `"));
    let described: Vec<_> = rows.map(|(_, row)| format!("`{row}")).collect();
    assert_eq!(kept, described);
}

#[test]
fn a_message_signed_by_gnupg_is_read() {
    let keyring = Keyring::parse([include_bytes!("gnupg-key.asc").as_slice()]).unwrap();
    let message = include_bytes!("gnupg-message.asc");
    let now = "2026-11-24T12:00:00Z".parse().unwrap();
    let text = "A line that ends in blanks\n- and one with a dash\n\nFrom here to the end\n";
    assert_eq!(keyring.verify(message, now).unwrap().text(), text);
}

#[test]
fn every_key_that_may_sign_is_accepted() {
    let (primary, subkey) = (Key::new(1, MADE), Key::new(2, MADE));
    let certification = Signature::certification(MADE);
    let (binding, back) = (Signature::binding(MADE), Signature::back(MADE));
    let direct = Signature::of_kind(0x1f, MADE).key_flags(3);
    let cases = [
        ("primary key", Certificate::plain(&primary), &primary),
        ("subkey", Certificate::plain(&primary).subkey(&subkey, &binding, Some(&back)), &subkey),
        (
            "expiry to come",
            Certificate::new(&primary, &certification.clone().key_expires_after(2 * DAY)),
            &primary,
        ),
        (
            "primary key that only certifies",
            Certificate::new(&primary, &Signature::of_kind(0x13, MADE).key_flags(1)).subkey(
                &subkey,
                &binding,
                Some(&back),
            ),
            &subkey,
        ),
        ("statement about the key alone", Certificate::bare(&primary).direct(&direct), &primary),
        (
            "expiry put off",
            Certificate::new(&primary, &certification.clone().key_expires_after(DAY))
                .certified(&Signature::certification(MADE + 1).key_expires_after(2 * DAY)),
            &primary,
        ),
    ];
    for (case, certificate, signer) in cases {
        for hash in [Hash::Sha256, Hash::Sha512] {
            let message = cleartext(TEXT, &[(&Signature::of_text(MADE).hash(hash), signer)]);
            assert_eq!(fault(&keyring(&certificate), &message), None, "{case} {hash:?}");
        }
    }
}

#[test]
fn a_key_that_may_not_sign_is_refused() {
    let (primary, subkey) = (Key::new(1, MADE), Key::new(2, MADE));
    let plain = || Certificate::plain(&primary);
    let certification = Signature::certification(MADE);
    let (binding, back) = (Signature::binding(MADE), Signature::back(MADE));
    let cases = [
        ("unknown key", plain(), &subkey, Fault::UnknownKey),
        ("revoked", plain().then(0x20), &primary, Fault::KeyRevoked),
        (
            "subkey of a revoked key",
            plain().subkey(&subkey, &binding, Some(&back)).then(0x20),
            &subkey,
            Fault::KeyRevoked,
        ),
        (
            "revoked subkey",
            plain().subkey(&subkey, &binding, Some(&back)).then(0x28),
            &subkey,
            Fault::KeyRevoked,
        ),
        ("revoked user id", plain().then(0x30), &primary, Fault::NotBound),
        (
            "revoked user id that is there again",
            plain().then(0x30).certified(&certification),
            &primary,
            Fault::NotBound,
        ),
        (
            "revoked statement about the key alone",
            Certificate::bare(&primary).direct(&Signature::of_kind(0x1f, MADE).key_flags(3)).then(0x30),
            &primary,
            Fault::NotBound,
        ),
        (
            "statement about the key in place of a certification",
            Certificate::bare(&primary).certified(&Signature::of_kind(0x1f, MADE).key_flags(3)),
            &primary,
            Fault::NotBound,
        ),
        ("nothing but a key", Certificate::bare(&primary), &primary, Fault::NotBound),
        (
            "expiry brought forward",
            plain().certified(&Signature::certification(MADE + 1).key_expires_after(DAY)),
            &primary,
            Fault::KeyExpired(i64::from(MADE + DAY)),
        ),
        (
            "no more for signing",
            plain().certified(&Signature::of_kind(0x13, MADE + 1).key_flags(1)),
            &primary,
            Fault::NotForSigning,
        ),
        (
            "expired",
            Certificate::new(&primary, &certification.clone().key_expires_after(DAY)),
            &primary,
            Fault::KeyExpired(i64::from(MADE + DAY)),
        ),
        (
            "subkey of an expired key",
            Certificate::new(&primary, &certification.clone().key_expires_after(DAY)).subkey(
                &subkey,
                &binding,
                Some(&back),
            ),
            &subkey,
            Fault::KeyExpired(i64::from(MADE + DAY)),
        ),
        (
            "expired subkey",
            plain().subkey(&subkey, &binding.clone().key_expires_after(DAY), Some(&back)),
            &subkey,
            Fault::KeyExpired(i64::from(MADE + DAY)),
        ),
        (
            "expired binding",
            plain().subkey(&subkey, &binding.clone().expires_after(DAY), Some(&back)),
            &subkey,
            Fault::NotBound,
        ),
        (
            "not for signing",
            Certificate::new(&primary, &Signature::of_kind(0x13, MADE).key_flags(0x0d)),
            &primary,
            Fault::NotForSigning,
        ),
        (
            "for nothing known",
            Certificate::new(&primary, &Signature::of_kind(0x13, MADE)),
            &primary,
            Fault::NotBound,
        ),
        (
            "subkey not for signing",
            plain().subkey(&subkey, &Signature::of_kind(0x18, MADE).key_flags(0x0c), Some(&back)),
            &subkey,
            Fault::NotForSigning,
        ),
        (
            "subkey for nothing known",
            plain().subkey(&subkey, &Signature::of_kind(0x18, MADE), Some(&back)),
            &subkey,
            Fault::NotForSigning,
        ),
        ("subkey that does not sign back", plain().subkey(&subkey, &binding, None), &subkey, Fault::NotBound),
        (
            "subkey that signs back in another way",
            plain().subkey(&subkey, &binding, Some(&Signature::of_kind(0x18, MADE))),
            &subkey,
            Fault::NotBound,
        ),
        (
            "weak back-signature",
            plain().subkey(&subkey, &binding, Some(&back.clone().hash(Hash::Sha1))),
            &subkey,
            Fault::NotBound,
        ),
        (
            "weak binding",
            plain().subkey(&subkey, &binding.clone().hash(Hash::Sha1), Some(&back)),
            &subkey,
            Fault::NotBound,
        ),
        (
            "weak certification",
            Certificate::new(&primary, &certification.clone().hash(Hash::Sha1)),
            &primary,
            Fault::NotBound,
        ),
        (
            "certification from the future",
            Certificate::new(&primary, &Signature::certification(MADE + 3 * DAY)),
            &primary,
            Fault::NotBound,
        ),
    ];
    for (case, certificate, signer, expected) in cases {
        let message = cleartext(TEXT, &[(&Signature::of_text(MADE), signer)]);
        assert_eq!(fault(&keyring(&certificate), &message), Some(expected), "{case}");
    }
}

#[test]
fn a_signature_that_cannot_be_relied_on_is_refused() {
    let key = Key::new(1, MADE);
    let keyring = keyring(&Certificate::plain(&key));
    let text = Signature::of_text;
    let cases = [
        ("weak hash", text(MADE).hash(Hash::Sha1), Fault::WeakHash("SHA-1")),
        ("weaker hash", text(MADE).hash(Hash::Md5), Fault::WeakHash("MD5")),
        ("from the future", text(MADE + 2 * DAY), Fault::FromFuture(i64::from(MADE + 2 * DAY))),
        ("older than its key", text(MADE - 1), Fault::OlderThanKey),
        ("expired", text(MADE).expires_after(DAY), Fault::Expired(i64::from(MADE + DAY))),
        ("of bytes", Signature::of_kind(0x00, MADE), Fault::NotOfText),
        ("of a key", Signature::certification(MADE), Fault::NotOfText),
        (
            "critical unknown statement",
            text(MADE).states(0x80 | 0x63, b""),
            Fault::Unsupported("one of its critical statements"),
        ),
        (
            "critical notation",
            text(MADE).states(0x80 | 0x14, b""),
            Fault::Unsupported("one of its critical statements"),
        ),
    ];
    for (case, signature, expected) in cases {
        assert_eq!(fault(&keyring, &cleartext(TEXT, &[(&signature, &key)])), Some(expected), "{case}");
    }
    for (case, signature) in [
        ("clocks differ a little", text(MADE + DAY + 600)),
        ("unknown statement", text(MADE).states(99, b"")),
        ("expiry that is not signed", text(MADE).claims(3, &1_u32.to_be_bytes())),
    ] {
        assert_eq!(fault(&keyring, &cleartext(TEXT, &[(&signature, &key)])), None, "{case}");
    }
}

#[test]
fn one_good_signature_is_enough() {
    let (key, other) = (Key::new(1, MADE), Key::new(2, MADE));
    let keyring = keyring(&Certificate::plain(&key));
    let (good, weak) = (Signature::of_text(MADE), Signature::of_text(MADE).hash(Hash::Sha1));
    let message = cleartext(TEXT, &[(&weak, &key), (&good, &other), (&good, &key)]);
    let signed = keyring.verify(message.as_bytes(), at(MADE)).unwrap();
    assert_eq!(signed.text(), TEXT);
    let message = cleartext(TEXT, &[(&weak, &key), (&good, &other)]);
    let error = keyring.verify(message.as_bytes(), at(MADE)).unwrap_err();
    let expected = format!(
        "it has no good signature: by key {}, it relies on SHA-1, which is too weak; by key {}, the key is not among those kept",
        hex(&key.fingerprint()),
        hex(&other.fingerprint())
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn signatures_are_not_tried_without_end() {
    let (key, other) = (Key::new(1, MADE), Key::new(2, MADE));
    let keyring = keyring(&Certificate::plain(&key));
    let signature = Signature::of_text(MADE);
    let message = |strangers| {
        let mut signatures = vec![(&signature, &other); strangers];
        signatures.push((&signature, &key));
        cleartext(TEXT, &signatures)
    };
    assert!(keyring.verify(message(MAX_SIGNATURES - 1).as_bytes(), at(MADE)).is_ok());
    let error = keyring.verify(message(MAX_SIGNATURES).as_bytes(), at(MADE)).unwrap_err();
    assert!(matches!(error, SignatureError::NotSigned(_)), "{error}");
}

/// What testkit makes is what others read, and what is refused here is refused there.
#[test]
fn gpgv_agrees() {
    // Long ago, whatever the clock of this machine says.
    const LONG_AGO: u32 = 1_500_000_000;
    let (primary, subkey) = (Key::new(1, LONG_AGO), Key::new(2, LONG_AGO));
    let (binding, back) = (Signature::binding(LONG_AGO), Signature::back(LONG_AGO));
    let text = Signature::of_text(LONG_AGO);
    let plain = || Certificate::plain(&primary);
    let cases = [
        ("primary key", plain(), &primary, text.clone(), true),
        ("subkey", plain().subkey(&subkey, &binding, Some(&back)), &subkey, text.clone(), true),
        ("no back-signature", plain().subkey(&subkey, &binding, None), &subkey, text.clone(), false),
        ("unknown key", plain(), &subkey, text.clone(), false),
        ("weak hash", plain(), &primary, text.clone().hash(Hash::Sha1), false),
        ("expired", plain(), &primary, text.clone().expires_after(1), false),
        ("nothing but a key", Certificate::bare(&primary), &primary, text, false),
    ];
    let folder = tempfile::tempdir().unwrap();
    let (keys, signed) = (folder.path().join("keys.gpg"), folder.path().join("signed"));
    for (case, certificate, signer, signature, good) in cases {
        let message = cleartext(TEXT, &[(&signature, signer)]);
        let verdict = keyring(&certificate).verify(message.as_bytes(), at(MADE));
        assert_eq!(verdict.is_ok(), good, "{case}: {verdict:?}");
        fs_err::write(&keys, certificate.bytes()).unwrap();
        fs_err::write(&signed, &message).unwrap();
        let mut gpgv = Command::new("gpgv");
        gpgv.args(["--weak-digest", "SHA1", "--keyring"]).arg(&keys).arg(&signed);
        let Some(output) = run_if_there(&mut gpgv) else { return };
        assert_eq!(output.status.success(), good, "{case}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().concat()
}

/// No change of any one byte gives another text, and none of the text or of the signature's packet is passed over.
#[test]
fn a_flipped_byte_is_noticed() {
    let key = Key::new(1, MADE);
    let keyring = keyring(&Certificate::plain(&key));
    let message = cleartext(TEXT, &[(&Signature::of_text(MADE), &key)]).into_bytes();
    let find = |text: &str| message.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
    let (text, signature) = (find(TEXT), find("SIGNATURE-----\n\n") + "SIGNATURE-----\n\n".len());
    let end = find("\n=");
    for position in 0..message.len() {
        for mask in [0x01, 0x20, 0x80] {
            let mut message = message.clone();
            message[position] ^= mask;
            let signed = keyring.verify(&message, at(MADE));
            let inside =
                (text..text + TEXT.len()).contains(&position) || (signature..end).contains(&position);
            match signed {
                Ok(signed) => assert!(signed.text() == TEXT && !inside, "{position} ^ {mask}"),
                Err(error) => drop(error.to_string()),
            }
        }
    }
}

#[test]
fn keys_that_cannot_be_relied_on_are_no_keyring() {
    let key = Key::new(1, MADE);
    let good = Certificate::plain(&key).armored();
    assert!(Keyring::parse([good.repeat(2).as_bytes()]).is_ok());
    for file in [
        format!("text\n{good}"),
        format!("{good}text\n"),
        good.replace("PUBLIC", "PRIVATE"),
        good.replace("END", "FIN"),
    ] {
        assert!(Keyring::parse([file.as_bytes()]).is_err(), "{file}");
    }
    for length in 0..good.len() - 1 {
        assert!(Keyring::parse([&good.as_bytes()[..length]]).is_err(), "cut at {length}");
    }
    let certificate = Certificate::plain(&key);
    let bare = certificate.bytes();
    assert!(Keyring::parse([bare]).is_ok());
    assert!(Keyring::parse([bare, b""]).is_err());
    for length in 0..bare.len() {
        // Up to the first whole packet there is no key; after that the packets that are whole count.
        let _ = Keyring::parse([&bare[..length]]);
    }
}

proptest! {
    #[test]
    fn any_packets_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), tag in 0_u8..20) {
        let _ = super::Certificate::parse_all(&bytes);
        let mut packet = vec![0xc0 | tag, 0xff];
        packet.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
        packet.extend(&bytes);
        let key = [0xc6, 12, 4, 0, 0, 0, 0, 1, 0, 1, 1, 0, 1, 1];
        let _ = super::Certificate::parse_all(&[&key, packet.as_slice()].concat());
    }

    #[test]
    fn any_signature_is_read_or_refused(tail in prop::collection::vec(any::<u8>(), 0..120), hashed in 0_u16..40) {
        let body = [&[4, 1, 22, 8][..], &hashed.to_be_bytes(), &tail].concat();
        if let Ok(signature) = super::Signature::parse(&body) {
            let _ = (signature.issuer_name(), signature.created(), signature.embedded().count());
        }
    }

    #[test]
    fn any_message_is_read_or_refused(text in "((-----(BEGIN|END) PGP (SIGNED MESSAGE|SIGNATURE)-----)?[- a:=\\n]{0,4}){0,10}") {
        let keyring = Keyring::parse([Certificate::plain(&Key::new(1, MADE)).bytes()]).unwrap();
        prop_assert!(keyring.verify(text.as_bytes(), at(MADE)).is_err());
        let _ = Keyring::parse([text.as_bytes()]);
    }
}

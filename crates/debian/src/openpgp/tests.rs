use proptest::prelude::*;
use testkit::archive::MADE;
use testkit::openpgp::{Certificate, Hash, Key, Signature, cleartext};

use super::*;

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

#[test]
fn debian_keys_are_those_of_the_readme() {
    let readme = include_str!("../../keys/README.md");
    let keyring = Keyring::debian();
    assert_eq!(keyring.0.len(), 9);
    for certificate in &keyring.0 {
        for key in certificate.keys() {
            assert!(readme.contains(&key.fingerprint.to_string()), "{}", key.fingerprint);
            // Real keys, made by GnuPG, with RSA and with Ed25519: bindings, back-signatures and flags are all good.
            assert_eq!(certificate.may_sign(key, at(MADE).as_second()), Ok(()), "{}", key.fingerprint);
            let after = "2036-01-01T00:00:00Z".parse::<Timestamp>().unwrap().as_second();
            assert!(
                matches!(certificate.may_sign(key, after), Err(Fault::KeyExpired(_))),
                "{}",
                key.fingerprint
            );
        }
    }
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().concat()
}

/// No change of any one byte gives another text, and none of the text or of the signature's packet gives any.
#[test]
fn a_flipped_byte_is_noticed() {
    let key = Key::new(1, MADE);
    let keyring = keyring(&Certificate::plain(&key));
    let message = cleartext(TEXT, &[(&Signature::of_text(MADE), &key)]).into_bytes();
    let find = |text: &str| message.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
    let (text, signature) = (find(TEXT), find("SIGNATURE-----\n\n") + "SIGNATURE-----\n\n".len());
    let end = find("-----END");
    for position in 0..message.len() {
        for mask in [0x01, 0x20, 0x80] {
            let mut message = message.clone();
            message[position] ^= mask;
            let signed = keyring.verify(&message, at(MADE));
            let inside =
                (text..text + TEXT.len()).contains(&position) || (signature..end - 1).contains(&position);
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
    for length in 1..good.len() - 1 {
        assert!(Keyring::parse([&good.as_bytes()[..length]]).is_err(), "cut at {length}");
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
}

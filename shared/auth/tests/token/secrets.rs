//! Secrets, algorithms and signatures.

use auth::{BadSecret, JwtSecret, Verifier};
use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::common::{
    HEADER, OTHER_SECRET, REFUSED, SECRET, assert_refused, encode, good, good_payload, later,
    message, now, seal, seal_with, secret, signed, verifier, verify, with,
};

const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAK\n\
                   -----END PUBLIC KEY-----\n";
const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[test]
fn a_guessable_secret_and_a_public_key_are_no_secrets() {
    assert_eq!("".parse::<JwtSecret>().unwrap_err(), BadSecret::Short(0));
    assert_eq!(
        "x".repeat(31).parse::<JwtSecret>().unwrap_err(),
        BadSecret::Short(31)
    );
    assert_eq!(PEM.parse::<JwtSecret>().unwrap_err(), BadSecret::Pem);
}

#[test]
fn an_unsigned_token_is_refused() {
    let token = good();
    let (_, signature) = token.rsplit_once('.').unwrap();
    for alg in ["none", "None", "NONE", "nOnE"] {
        let message = message(format!(r#"{{"alg":"{alg}"}}"#), good_payload());
        assert_refused(&message);
        assert_refused(&format!("{message}."));
        assert_refused(&format!("{message}.{signature}"));
        assert_refused(&seal(&message));
    }
}

#[test]
fn the_algorithm_is_exactly_hs256() {
    let algorithms = [
        ("HS256", Algorithm::HS256),
        ("HS384", Algorithm::HS384),
        ("HS512", Algorithm::HS512),
    ];
    for (name, named) in algorithms {
        for (_, used) in algorithms {
            let message = message(format!(r#"{{"alg":"{name}"}}"#), good_payload());
            let verified = verify(&seal_with(SECRET, used, &message));
            if (named, used) == (Algorithm::HS256, Algorithm::HS256) {
                assert!(verified.is_ok());
            } else {
                assert_eq!(verified, REFUSED, "{name} signed with {used:?}");
            }
        }
    }
    for alg in [
        json!("hs256"),
        json!("HS256 "),
        json!("HS256\0"),
        json!(""),
        json!(null),
        json!(256),
        json!(["HS256"]),
        json!({"HS256": null}),
    ] {
        let header = json!({"alg": alg}).to_string();
        assert_refused(&signed(header, good_payload()));
    }
    assert_refused(&signed(r#"{"typ":"JWT"}"#, good_payload()));
}

#[test]
fn an_asymmetric_algorithm_is_refused() {
    let zeros = |bytes: usize| encode(vec![0_u8; bytes]);
    for alg in [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
    ] {
        let message = message(format!(r#"{{"alg":"{alg}"}}"#), good_payload());
        assert_refused(&seal(&message));
        assert_refused(&seal_with(PEM, Algorithm::HS256, &message));
        for signature in [String::new(), zeros(32), zeros(64), zeros(96), zeros(256)] {
            assert_refused(&format!("{message}.{signature}"));
        }
    }
}

#[test]
fn another_secret_is_refused() {
    let message = message(HEADER, good_payload());
    let longer = format!("{SECRET}0");
    let shorter = &SECRET[1..];
    for secret in [OTHER_SECRET, PEM, longer.as_str(), shorter, ""] {
        let token = seal_with(secret, Algorithm::HS256, &message);
        assert_refused(&token);
    }
}

#[test]
fn a_signature_is_whole_and_of_its_own_message() {
    let token = good();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let other = with(r#""jti":"1""#);
    let (_, stranger) = other.rsplit_once('.').unwrap();
    for signature in [
        String::new(),
        stranger.to_owned(),
        encode([0_u8; 32]),
        encode([0xff_u8; 32]),
        signature[..4].to_owned(),
        signature[..40].to_owned(),
        format!("{signature}{signature}"),
        format!("{signature}A"),
    ] {
        assert_refused(&format!("{message}.{signature}"));
    }
}

#[test]
fn every_character_counts() {
    let verifier = verifier();
    let token = good();
    assert!(verifier.verify(&token, now()).is_ok());
    for (position, character) in token.char_indices() {
        for other in ALPHABET.chars().filter(|other| *other != character) {
            let mut forged = token.clone();
            forged.replace_range(position..=position, other.encode_utf8(&mut [0; 4]));
            assert_eq!(
                verifier.verify(&forged, now()),
                REFUSED,
                "{position}: {forged}"
            );
        }
    }
}

#[test]
fn a_previous_secret_counts_until_it_is_dropped() {
    let (previous, current) = (secret(OTHER_SECRET), secret(SECRET));
    let text = message(HEADER, good_payload());
    let older = seal_with(OTHER_SECRET, Algorithm::HS256, &text);
    let newer = seal(&text);
    let stranger = seal_with(
        "a secret of nobody at all, 0123456789",
        Algorithm::HS256,
        &text,
    );

    let during = Verifier::new(&current, Some(&previous), None, None);
    assert!(during.verify(&older, now()).is_ok());
    assert!(during.verify(&newer, now()).is_ok());
    assert_eq!(during.verify(&stranger, now()), REFUSED);
    assert_eq!(during.verify(&older, later(90_000)), REFUSED);
    assert_eq!(
        during.verify(&seal_with(OTHER_SECRET, Algorithm::HS512, &text), now()),
        REFUSED
    );

    let afterwards = Verifier::new(&current, None, None, None);
    assert_eq!(afterwards.verify(&older, now()), REFUSED);
    assert!(afterwards.verify(&newer, now()).is_ok());
}

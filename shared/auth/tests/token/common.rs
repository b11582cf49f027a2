//! What the tests share.

use auth::{Caller, JwtSecret, Refusal, Verifier};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use model::time::Moment;

pub(crate) const SECRET: &str = "the secret of these tests, 0123456789";
pub(crate) const OTHER_SECRET: &str = "a secret of somebody else, 0123456789";

const NOW: i64 = 1_800_000_000;
pub(crate) const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
pub(crate) const MEMBERS: &str = r#""sub":"user_1","tenant_id":"acme","exp":1800000060"#;

pub(crate) const REFUSED: Result<Caller, Refusal> = Err(Refusal::Invalid);

pub(crate) fn later(millis: i64) -> Moment {
    Moment::from_timestamp_millis(NOW * 1_000 + millis).expect("a moment of this century")
}

pub(crate) fn now() -> Moment {
    later(0)
}

pub(crate) fn secret(text: &str) -> JwtSecret {
    text.parse().expect("a long secret")
}

pub(crate) fn verifier() -> Verifier {
    Verifier::new(&secret(SECRET), None, None, None)
}

pub(crate) fn verify(token: &str) -> Result<Caller, Refusal> {
    verifier().verify(token, now())
}

/// The parts of a token as text, for the message of a failed test.
fn shown(token: &str) -> String {
    let read = |part: &str| match URL_SAFE_NO_PAD.decode(part) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => part.to_owned(),
    };
    format!(
        "{token:?}: {:?}",
        token.split('.').map(read).collect::<Vec<_>>()
    )
}

#[track_caller]
pub(crate) fn assert_passes(token: &str) {
    assert!(verify(token).is_ok(), "{}", shown(token));
}

#[track_caller]
pub(crate) fn assert_refused(token: &str) {
    assert_eq!(verify(token), REFUSED, "{}", shown(token));
}

pub(crate) fn encode(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

pub(crate) fn message(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    format!("{}.{}", encode(header), encode(payload))
}

/// Signs a message as it stands, however malformed it is.
pub(crate) fn seal_with(secret: &str, algorithm: Algorithm, message: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    let signature = crypto::sign(message.as_bytes(), &key, algorithm).expect("a signature");
    format!("{message}.{signature}")
}

pub(crate) fn seal(message: &str) -> String {
    seal_with(SECRET, Algorithm::HS256, message)
}

pub(crate) fn signed(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    seal(&message(header, payload))
}

pub(crate) fn good_payload() -> String {
    format!("{{{MEMBERS}}}")
}

pub(crate) fn good() -> String {
    signed(HEADER, good_payload())
}

/// A good token whose payload has more members.
pub(crate) fn with(members: &str) -> String {
    signed(HEADER, format!("{{{MEMBERS},{members}}}"))
}

/// A good token whose header has more members.
pub(crate) fn headed(members: &str) -> String {
    signed(format!(r#"{{"alg":"HS256",{members}}}"#), good_payload())
}

/// A token that is good but for its tenant, which `members` may name.
pub(crate) fn placed(members: &str) -> String {
    signed(
        HEADER,
        format!(r#"{{"sub":"user_1","exp":1800000060,{members}}}"#),
    )
}

//! Calls that may be sent again: an `Idempotency-Key`, and what is kept of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::fault::{Fault, length};

/// How long a key is, in characters.
const SHORTEST: usize = 8;
const LONGEST: usize = 200;

/// What a client calls a call, so that it can be sent again: 8 to 200 printable characters of ASCII.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// A client may take what it likes for a key, also a secret.
impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("IdempotencyKey")
    }
}

impl FromStr for IdempotencyKey {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let is_printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !is_printable {
            return Err(Fault::new(
                "string_pattern_mismatch",
                "String should have printable ASCII characters only",
            ));
        }
        length(text, SHORTEST, LONGEST)?;
        Ok(Self(text.to_owned()))
    }
}

/// A call under a key. Neither the key nor the body can be read from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Which call it is: a hash of method, path and key.
    pub call: Sha256Hex,
    /// A hash of what it asks for.
    pub body: Sha256Hex,
}

impl Attempt {
    /// A call of a method and a path, by the hash of its body.
    #[must_use]
    pub fn new(method: &str, path: &str, key: &IdempotencyKey, body: Sha256Hex) -> Self {
        let mut hashing = Hashing::default();
        hashing.part(method.as_bytes());
        hashing.part(path.as_bytes());
        hashing.part(key.0.as_bytes());
        Self {
            call: hashing.finish(),
            body,
        }
    }
}

/// A SHA-256 in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sha256Hex(String);

impl fmt::Display for Sha256Hex {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Sha256Hex {
    /// The hash of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hashing = Hashing::default();
        hashing.piece(bytes);
        hashing.finish()
    }
}

/// A hash of several parts, of which no other parts have the same.
#[derive(Default)]
pub struct Hashing(Sha256);

impl Hashing {
    /// Takes in a part, its length in front of it.
    pub fn part(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    /// Takes in a part that may be missing.
    pub fn optional(&mut self, part: Option<&str>) {
        self.0.update([u8::from(part.is_some())]);
        self.part(part.unwrap_or_default().as_bytes());
    }

    /// Takes in a piece of what comes last.
    pub fn piece(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The hash.
    #[must_use]
    pub fn finish(self) -> Sha256Hex {
        Sha256Hex(hex::encode(self.0.finalize()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_printable_ascii_of_a_bounded_length() {
        let long = "x".repeat(200);
        for text in ["12345678", "a key with blanks ~!", long.as_str()] {
            assert!(text.parse::<IdempotencyKey>().is_ok(), "{text}");
        }
        let longer = "x".repeat(201);
        for (text, kind) in [
            ("", "string_too_short"),
            ("1234567", "string_too_short"),
            (longer.as_str(), "string_too_long"),
            ("12345678\u{e4}", "string_pattern_mismatch"),
            ("1234\t5678", "string_pattern_mismatch"),
            ("12345678\u{7f}", "string_pattern_mismatch"),
        ] {
            let fault = text.parse::<IdempotencyKey>().unwrap_err();
            assert_eq!(fault.kind, kind, "{text:?}");
        }
    }

    #[test]
    fn calls_are_told_apart_by_every_part_of_them() {
        let key = |text: &str| text.parse::<IdempotencyKey>().unwrap();
        let body = || Sha256Hex::of(b"{}");
        let calls = [
            Attempt::new("POST", "/portal/keys", &key("12345678"), body()),
            Attempt::new("POST", "/portal/keys", &key("12345679"), body()),
            Attempt::new("POST", "/auth/keys", &key("12345678"), body()),
            Attempt::new("PUT", "/portal/keys", &key("12345678"), body()),
            Attempt::new("POST/", "portal/keys", &key("12345678"), body()),
        ];
        for (at, one) in calls.iter().enumerate() {
            for other in &calls[at + 1..] {
                assert_ne!(one.call, other.call);
            }
        }
    }
}

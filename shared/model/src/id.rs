//! Identifiers. Each kind is a type of its own, so that the wrong one does not compile.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::fault::Fault;
use crate::json;
use crate::record::Identity;

/// A tenant: 1 to 64 of `A-Z a-z 0-9 _ -`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct TenantId(String);

impl FromStr for TenantId {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if (1..=64).contains(&text.len()) && text.bytes().all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Fault::new(
                "string_pattern_mismatch",
                "A tenant is 1 to 64 letters, digits, '_' or '-'",
            ))
        }
    }
}

/// A user: the token's `sub`, 1 to 255 bytes, the longest that OpenID Connect allows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct UserId(String);

impl FromStr for UserId {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        if (1..=255).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Fault::new("value_error", "A user id is 1 to 255 bytes"))
        }
    }
}

/// A collection's name: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct CollectionName(String);

/// A record type: the same form as a collection's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct RecordType(String);

fn named(text: &str) -> Result<String, Fault> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let first = text
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric());
    if first && text.len() <= 64 && text.bytes().all(good) {
        Ok(text.to_owned())
    } else {
        Err(Fault::new(
            "string_pattern_mismatch",
            "String should match pattern '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'",
        ))
    }
}

impl FromStr for CollectionName {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        named(text).map(Self)
    }
}

impl FromStr for RecordType {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        named(text).map(Self)
    }
}

impl TryFrom<String> for CollectionName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map_err(|_| "not a collection's name")
    }
}

impl TryFrom<String> for RecordType {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map_err(|_| "not a record type")
    }
}

macro_rules! shown_as_text {
    ($($kind:ident)*) => {$(
        impl $kind {
            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    )*};
}

shown_as_text!(TenantId UserId CollectionName RecordType);

/// An API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub Uuid);

/// One upload call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadId(pub Uuid);

/// A record: a UUID of version 8 that begins with its collection's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordId(pub Uuid);

/// How many partitions the records of a collection, and the counters that many writers touch,
/// are spread over. A partition of the table takes about 1,000 writes a second.
pub const SHARDS: u8 = 16;

impl RecordId {
    /// The id of a record by where it stands and what identifies it there.
    ///
    /// The first 32 bits are the collection's number within its tenant; the rest, but for the
    /// six bits that every UUID has fixed, is a SHA-256 over tenant, collection, record type and
    /// identity. So an id leads to its collection, and never equals another tenant's.
    #[must_use]
    pub fn derive(
        tenant: &TenantId,
        collection: &CollectionName,
        number: u32,
        record_type: &RecordType,
        identity: &Identity,
    ) -> Self {
        let mut hash = Sha256::new();
        let mut write = |bytes: &[u8]| hash.update(bytes);
        json::part(b"tenant", tenant.0.as_bytes(), &mut write);
        json::part(b"collection", collection.0.as_bytes(), &mut write);
        json::part(b"type", record_type.0.as_bytes(), &mut write);
        identity.digest(&mut write);

        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        bytes[4..].copy_from_slice(&hash.finalize()[..12]);
        Self(Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The number of the collection that the record belongs to.
    #[must_use]
    pub fn collection_number(self) -> u32 {
        let [a, b, c, d, ..] = self.0.into_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// The shard that the record and its counters lie in.
    #[must_use]
    pub fn shard(self) -> u8 {
        self.0.as_bytes()[15] % SHARDS
    }
}

macro_rules! uuid_kind {
    ($($kind:ident)*) => {$(
        impl fmt::Display for $kind {
            fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                self.0.hyphenated().fmt(formatter)
            }
        }

        impl FromStr for $kind {
            type Err = ();

            /// Only the hyphenated form, so that one thing has one address.
            fn from_str(text: &str) -> Result<Self, ()> {
                match Uuid::try_parse(text) {
                    Ok(id) if text.len() == 36 => Ok(Self(id)),
                    _ => Err(()),
                }
            }
        }
    )*};
}

uuid_kind!(KeyId UploadId RecordId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_short_plain_ascii() {
        let long = "x".repeat(64);
        for good in ["t_abc123", "A-1", long.as_str()] {
            assert!(good.parse::<TenantId>().is_ok(), "{good}");
        }
        let too_long = "x".repeat(65);
        for bad in [
            "",
            "t#KEY#x",
            "t ",
            "t\0",
            "\u{ff11}",
            "e\u{301}",
            too_long.as_str(),
        ] {
            assert!(bad.parse::<TenantId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_starts_with_a_letter_or_digit() {
        for good in ["a", "9", "Fasteners_2026.v1-x"] {
            assert!(good.parse::<CollectionName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            ".a",
            "_a",
            "a b",
            "a/b",
            "a#b",
            "\u{e9}",
            &"a".repeat(65),
        ] {
            assert!(bad.parse::<CollectionName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_uuid_has_one_form() {
        let id = "550e8400-e29b-41d4-a716-446655440000";
        assert_eq!(id.parse::<KeyId>().unwrap().to_string(), id);
        for bad in [
            "",
            "x",
            &id.replace('-', ""),
            &format!("{{{id}}}"),
            &format!("urn:uuid:{id}"),
        ] {
            assert!(bad.parse::<KeyId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_record_id_leads_to_its_collection_and_depends_on_all_of_its_place() {
        let derive = |tenant: &str, collection: &str, number, kind: &str, source: &str| {
            RecordId::derive(
                &tenant.parse().unwrap(),
                &collection.parse().unwrap(),
                number,
                &kind.parse().unwrap(),
                &Identity::Source(source),
            )
        };
        let id = derive("t", "c", 7, "p", "1");
        assert_eq!(id.collection_number(), 7);
        assert_eq!(id.0.get_version_num(), 8);
        assert_eq!(id, derive("t", "c", 7, "p", "1"));
        for other in [
            derive("u", "c", 7, "p", "1"),
            derive("t", "d", 7, "p", "1"),
            derive("t", "c", 7, "q", "1"),
            derive("t", "c", 7, "p", "2"),
        ] {
            assert_ne!(id, other);
        }
    }

    #[test]
    fn shards_fill_evenly() {
        let mut filled = [0_u32; SHARDS as usize];
        for n in 0..16_000 {
            let source = n.to_string();
            let id = RecordId::derive(
                &"t".parse().unwrap(),
                &"c".parse().unwrap(),
                1,
                &"p".parse().unwrap(),
                &Identity::Source(&source),
            );
            filled[usize::from(id.shard())] += 1;
        }
        assert!(filled.iter().all(|n| (850..1150).contains(n)), "{filled:?}");
    }
}

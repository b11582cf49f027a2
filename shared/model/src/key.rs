//! API keys: what a key may be called and may do, how its secret is made and what is kept of it.

use std::fmt;

use chrono::{DateTime, Datelike, TimeDelta};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::fault::{self, Fault, Faults, Fields};
use crate::id::{KeyId, TenantId};
use crate::time::Moment;

/// How many keys a tenant may have, expired ones included.
pub const MAX_KEYS: u32 = 100;

/// How long a key's last use stands before a later one is written.
pub const USE_STANDS: TimeDelta = TimeDelta::minutes(1);

/// What an API key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Search, list and read collections and records.
    Search,
    /// Upload and batch ingestion, upload status.
    Upload,
    /// Create, change, delete records; collection settings.
    Records,
    /// All of these, and the keys themselves.
    Admin,
}

const SCOPES: [(&str, Scope); 4] = [
    ("search", Scope::Search),
    ("upload", Scope::Upload),
    ("records", Scope::Records),
    ("admin", Scope::Admin),
];

/// An API key as the tenant sees it. Its secret is elsewhere: in the answer that issued it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The id, which outlives every rotation.
    pub id: KeyId,
    /// The name, 1 to 100 characters.
    pub name: String,
    /// What it allows; never empty.
    pub scopes: Vec<Scope>,
    /// When the key was created; a rotation does not move it.
    pub created_at: Moment,
    /// When it was last used; written at most once a minute.
    pub last_used_at: Option<Moment>,
    /// When it ends; never, if `None`.
    pub expires_at: Option<Moment>,
}

impl Key {
    /// Makes the key that `draft` asks for.
    #[must_use]
    pub fn new(draft: KeyDraft, id: KeyId, now: Moment) -> Self {
        Self {
            id,
            name: draft.name,
            scopes: draft.scopes,
            created_at: now,
            last_used_at: None,
            expires_at: draft.expires_at,
        }
    }

    /// Whether the key has ended: from the very instant of its expiry.
    #[must_use]
    pub fn has_expired(&self, now: Moment) -> bool {
        ended(self.expires_at, now)
    }
}

fn ended(end: Option<Moment>, now: Moment) -> bool {
    end.is_some_and(|end| end <= now)
}

/// What a secret opens: whose it is and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHolder {
    /// The tenant whose data the caller sees.
    pub tenant: TenantId,
    /// The key that the secret is of.
    pub key: KeyId,
    /// What the key allows.
    pub scopes: Vec<Scope>,
    /// When it ends; never, if `None`.
    pub expires_at: Option<Moment>,
}

impl KeyHolder {
    /// Whether the key has ended, as [`Key::has_expired`].
    #[must_use]
    pub fn has_expired(&self, now: Moment) -> bool {
        ended(self.expires_at, now)
    }

    /// Whether the key may do what `scope` stands for. [`Scope::Admin`] may do everything.
    #[must_use]
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }
}

/// What `POST /portal/keys` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDraft {
    /// The name, 1 to 100 characters.
    pub name: String,
    /// What it shall allow; never empty.
    pub scopes: Vec<Scope>,
    /// When it shall end.
    pub expires_at: Option<Moment>,
}

impl KeyDraft {
    /// Parses the body; `now` is what an expiry has to lie after.
    pub fn parse(body: &Value, now: Moment) -> Result<Self, Faults> {
        let mut fields = Fields::of(body)?;
        let name = fields.required("name", name);
        let scopes = fields.required("scopes", scopes);
        let expires_at = fields.optional("expires_at", |value| expiry(value, now));
        match (name, scopes, expires_at) {
            (Some(name), Some(scopes), Some(expires_at)) => Ok(Self {
                name,
                scopes,
                expires_at,
            }),
            _ => Err(fields.into_faults()),
        }
    }
}

/// What `PATCH /portal/keys/{key_id}` changes; `None` leaves a field as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPatch {
    /// The new name.
    pub name: Option<String>,
    /// The new scopes.
    pub scopes: Option<Vec<Scope>>,
}

impl KeyPatch {
    /// Parses the body.
    pub fn parse(body: &Value) -> Result<Self, Faults> {
        let mut fields = Fields::of(body)?;
        let name = fields.present("name", name);
        let scopes = fields.present("scopes", scopes);
        match (name, scopes) {
            (Some(name), Some(scopes)) => Ok(Self { name, scopes }),
            _ => Err(fields.into_faults()),
        }
    }
}

fn name(value: &Value) -> Result<String, Fault> {
    let name = fault::string(value)?.trim();
    fault::length(name, 1, 100)?;
    if name.chars().any(char::is_control) {
        return Err(Fault::new(
            "value_error",
            "Name must not contain control characters",
        ));
    }
    Ok(name.to_owned())
}

fn scopes(value: &Value) -> Result<Vec<Scope>, Fault> {
    let Value::Array(items) = value else {
        return Err(Fault::new("list_type", "Input should be a valid list"));
    };
    if items.is_empty() {
        return Err(Fault::new(
            "too_short",
            "List should have at least 1 item after validation, not 0",
        ));
    }
    let mut scopes = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let scope = fault::one_of(item, &SCOPES).map_err(|fault| fault.at_index(index))?;
        if scopes.contains(&scope) {
            return Err(Fault::new("value_error", "Scopes must not repeat").at_index(index));
        }
        scopes.push(scope);
    }
    Ok(scopes)
}

fn expiry(value: &Value, now: Moment) -> Result<Moment, Fault> {
    let moment = DateTime::parse_from_rfc3339(fault::string(value)?)
        .ok()
        // In whole milliseconds, and a leap second as the one after it: most clocks know no other.
        .and_then(|moment| Moment::from_timestamp_millis(moment.timestamp_millis()))
        .ok_or_else(|| {
            Fault::new(
                "datetime_from_date_parsing",
                "Input should be a valid RFC 3339 datetime with a time zone",
            )
        })?;
    if moment.year() > 9999 {
        return Err(Fault::new(
            "datetime_from_date_parsing",
            "Input should lie before the year 10000",
        ));
    }
    if moment <= now {
        return Err(Fault::new(
            "datetime_future",
            "Input should be in the future",
        ));
    }
    Ok(moment)
}

/// How many random bytes a secret holds.
pub const SECRET_BYTES: usize = 28;

/// What every secret begins with.
const PREFIX: &str = "sk_live_";

/// The secret of a key: `sk_live_`, 56 random hex digits and their CRC-32 in 8 more, so that a
/// typo or a fake is told without a read, and a scanner can confirm a leak offline.
///
/// It cannot be printed; [`KeySecret::reveal`] is for the one answer that issues it.
pub struct KeySecret(SecretString);

impl KeySecret {
    /// Makes a secret of random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; SECRET_BYTES]) -> Self {
        let random = hex::encode(bytes);
        let check = checksum(&random);
        Self(format!("{PREFIX}{random}{check}").into())
    }

    /// Reads a secret that somebody shows. One that was mistyped or made up is none: its checksum
    /// says so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        let (random, check) = digits.split_at_checked(2 * SECRET_BYTES)?;
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_secret = random.bytes().all(is_digit) && check == checksum(random);
        is_secret.then(|| Self(text.to_owned().into()))
    }

    /// What is kept of the secret.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash(hex::encode(Sha256::digest(
            self.0.expose_secret().as_bytes(),
        )))
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

/// The CRC-32 of a secret's random digits, in 8 more.
fn checksum(random: &str) -> String {
    format!("{:08x}", crc32fast::hash(random.as_bytes()))
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("KeySecret([REDACTED])")
    }
}

/// The SHA-256 of a secret in hex: all that the table knows of it. It is not shown in logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyHash(String);

impl KeyHash {
    /// The hash in 64 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("KeyHash([REDACTED])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> Moment {
        "2026-03-08T12:00:00Z".parse().unwrap()
    }

    fn kinds(body: &Value) -> Vec<(String, &'static str)> {
        KeyDraft::parse(body, now())
            .unwrap_err()
            .into_iter()
            .map(|fault| (format!("{:?}", fault.path), fault.kind))
            .collect()
    }

    #[test]
    fn a_name_is_trimmed_and_may_be_of_any_script() {
        let draft =
            |name: &str| KeyDraft::parse(&json!({"name": name, "scopes": ["search"]}), now());
        assert_eq!(
            draft("  Produktion \u{1f511} ").unwrap().name,
            "Produktion \u{1f511}"
        );
        assert!(draft(&"\u{e9}".repeat(100)).is_ok());
        for bad in ["", "   ", &"x".repeat(101), "a\u{7}b", "a\nb"] {
            assert!(draft(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_fault_is_named_at_once() {
        assert_eq!(
            kinds(&json!({"name": 7, "expires_at": "2020-01-01T00:00:00Z"})),
            [
                (r#"[Name("name")]"#.to_owned(), "string_type"),
                (r#"[Name("scopes")]"#.to_owned(), "missing"),
                (r#"[Name("expires_at")]"#.to_owned(), "datetime_future"),
            ]
        );
        assert_eq!(
            kinds(&json!({"name": "x", "scopes": ["search", "fly"]})),
            [(r#"[Name("scopes"), Index(1)]"#.to_owned(), "enum")]
        );
    }

    #[test]
    fn scopes_are_known_and_do_not_repeat() {
        for bad in [
            json!([]),
            json!("search"),
            json!(null),
            json!(["search", "search"]),
            json!([1]),
        ] {
            let body = json!({"name": "x", "scopes": bad});
            assert!(KeyDraft::parse(&body, now()).is_err(), "{body}");
        }
    }

    #[test]
    fn an_expiry_has_a_zone_and_lies_ahead() {
        let parse = |text: Value| {
            KeyDraft::parse(
                &json!({"name": "x", "scopes": ["search"], "expires_at": text}),
                now(),
            )
        };
        assert_eq!(parse(json!(null)).unwrap().expires_at, None);
        assert!(parse(json!("2036-03-08T12:00:00+02:00")).is_ok());
        for bad in [
            "9999-12-31T23:59:59-23:59",
            "2026-03-08T12:00:00Z",
            "2027-01-01T00:00:00",
            "2027-01-01",
            "soon",
            "",
        ] {
            assert!(parse(json!(bad)).is_err(), "{bad}");
        }
        assert!(parse(json!(4_102_444_800_u64)).is_err());
    }

    #[test]
    fn a_key_ends_at_the_instant_of_its_expiry() {
        let body = json!({"name": "x", "scopes": ["search"], "expires_at": "2026-03-08T12:00:01Z"});
        let draft = KeyDraft::parse(&body, now()).unwrap();
        let key = Key::new(draft, KeyId(uuid::Uuid::nil()), now());
        assert!(!key.has_expired("2026-03-08T12:00:00.999Z".parse().unwrap()));
        assert!(key.has_expired("2026-03-08T12:00:01Z".parse().unwrap()));
    }

    #[test]
    fn a_secret_carries_its_checksum_and_is_not_printed() {
        let secret = KeySecret::from_random([0xa5; SECRET_BYTES]);
        let digits = secret.reveal().strip_prefix("sk_live_").unwrap();
        assert_eq!(digits.len(), 64);
        let (random, check) = digits.split_at(56);
        assert_eq!(check, format!("{:08x}", crc32fast::hash(random.as_bytes())));
        assert_eq!(secret.hash().as_str().len(), 64);
        assert!(!format!("{secret:?}{:?}", secret.hash()).contains("a5a5"));
    }

    #[test]
    fn a_secret_is_read_as_it_was_issued() {
        let secret = KeySecret::from_random([0xa5; SECRET_BYTES]);
        let read = KeySecret::parse(secret.reveal()).unwrap();
        assert_eq!(read.reveal(), secret.reveal());
        assert_eq!(read.hash(), secret.hash());
    }

    #[test]
    fn no_text_with_a_single_character_changed_is_a_secret() {
        let secret = KeySecret::from_random([0xa5; SECRET_BYTES]);
        let text = secret.reveal();
        for at in 0..text.len() {
            for other in ["0", "b", "f", "g", "S", " ", "\u{e9}", ""] {
                let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                let same = changed == text;
                assert_eq!(KeySecret::parse(&changed).is_some(), same, "{at} {other:?}");
            }
        }
    }

    #[test]
    fn what_only_looks_like_a_secret_is_none() {
        let secret = KeySecret::from_random([0xa5; SECRET_BYTES]);
        let text = secret.reveal();
        let digits = text.strip_prefix(PREFIX).unwrap();
        for bad in [
            String::new(),
            PREFIX.to_owned(),
            digits.to_owned(),
            format!("{PREFIX}{}", "0".repeat(64)),
            format!("{PREFIX}{}", "\u{e9}".repeat(32)),
            format!("sk_test_{digits}"),
            format!("{PREFIX}{}", digits.to_uppercase()),
            format!("{text}0"),
            format!("{text} "),
            format!(" {text}"),
            format!("{text}{digits}"),
        ] {
            assert!(KeySecret::parse(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn an_admins_key_allows_everything_and_another_what_it_names() {
        let holder = |scopes: &[Scope]| KeyHolder {
            tenant: "t".parse().unwrap(),
            key: KeyId(uuid::Uuid::nil()),
            scopes: scopes.to_vec(),
            expires_at: Some("2026-03-08T12:00:01Z".parse().unwrap()),
        };
        for (_, scope) in SCOPES {
            assert!(holder(&[Scope::Admin]).allows(scope));
            for (_, other) in SCOPES {
                assert_eq!(
                    holder(&[other]).allows(scope),
                    other == scope || other == Scope::Admin
                );
            }
        }
        assert!(!holder(&[Scope::Admin]).has_expired(now()));
        assert!(holder(&[Scope::Admin]).has_expired("2026-03-08T12:00:01Z".parse().unwrap()));
    }
}

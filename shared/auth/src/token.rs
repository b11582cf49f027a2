//! Verifying a token: size, form, header, signature, claims, in this order, each before the next.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use model::account::Profile;
use model::id::UserId;
use model::json;
use model::time::Moment;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Caller, JwtSecret, Role};

/// A larger token is refused unread.
const MAX_BYTES: usize = 8 * 1024;

/// How far the issuer's clock may be from ours, in seconds.
const LEEWAY: f64 = 30.0;

/// The last second of the year 9999: a later expiry is an overflow, not an intention.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// Why a token is refused. It says no more than its caller may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a token of ours, or not valid now.
    #[error("invalid or expired token")]
    Invalid,
    /// Ours and valid, but of no tenant.
    #[error("the token names no usable tenant")]
    NoTenant,
}

/// Verifies tokens.
#[derive(Clone)]
pub struct Verifier {
    keys: Vec<DecodingKey>,
    issuer: Option<String>,
    audience: Option<String>,
}

impl Verifier {
    /// A verifier for HS256 tokens under `secret` or, while that is being changed, `previous`.
    /// `issuer` and `audience` are checked if they are given.
    #[must_use]
    pub fn new(
        secret: &JwtSecret,
        previous: Option<&JwtSecret>,
        issuer: Option<String>,
        audience: Option<String>,
    ) -> Self {
        let keys = [Some(secret), previous]
            .into_iter()
            .flatten()
            .map(|secret| DecodingKey::from_secret(secret.bytes()))
            .collect();
        Self {
            keys,
            issuer,
            audience,
        }
    }

    /// Who the bearer of `token` is.
    pub fn verify(&self, token: &str, now: Moment) -> Result<Caller, Refusal> {
        if token.len() > MAX_BYTES {
            return Err(Refusal::Invalid);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Refusal::Invalid)?;
        let (header, payload) = message.split_once('.').ok_or(Refusal::Invalid)?;

        decode::<Header>(header)?.check()?;
        let signed = self.keys.iter().any(|key| {
            crypto::verify(signature, message.as_bytes(), key, Algorithm::HS256).unwrap_or(false)
        });
        if !signed {
            return Err(Refusal::Invalid);
        }
        let claims = decode::<Claims>(payload)?;
        claims.check_times(now)?;
        claims.check_origin(self.issuer.as_deref(), self.audience.as_deref())?;
        claims.into_caller()
    }
}

/// Decodes one part, which is an object. Padding, another alphabet, loose trailing bits and a
/// member that stands twice, at any depth, are all refused.
fn decode<T: DeserializeOwned>(part: &str) -> Result<T, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Invalid)?;
    match json::parse(&bytes) {
        Ok(object @ Value::Object(_)) => {
            serde_json::from_value(object).map_err(|_| Refusal::Invalid)
        }
        _ => Err(Refusal::Invalid),
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default, deserialize_with = "present")]
    typ: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    kid: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    crit: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    b64: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    jwk: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    jku: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    x5u: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    x5c: Option<Value>,
}

/// Tells an absent member from one that is null.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Header {
    fn check(&self) -> Result<(), Refusal> {
        let typed = match &self.typ {
            None => true,
            Some(Value::String(typ)) => {
                typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("at+jwt")
            }
            Some(_) => false,
        };
        // A symmetric secret has no use for a key's name, but a name is text.
        let named = self.kid.as_ref().is_none_or(Value::is_string);
        // Whoever brings a key along, or asks for rules of their own, is not our issuer.
        let plain = [
            &self.crit, &self.b64, &self.jwk, &self.jku, &self.x5u, &self.x5c,
        ]
        .iter()
        .all(|member| member.is_none());
        if self.alg == "HS256" && typed && named && plain {
            Ok(())
        } else {
            Err(Refusal::Invalid)
        }
    }
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    iss: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    aud: Option<Value>,
    #[serde(default)]
    tenant_id: Option<Value>,
    #[serde(default)]
    role: Option<Value>,
    #[serde(default)]
    app_metadata: Option<Value>,
    #[serde(default)]
    user_metadata: Option<Value>,
    #[serde(default)]
    email: Option<Value>,
    #[serde(default)]
    name: Option<Value>,
}

impl Claims {
    fn check_times(&self, now: Moment) -> Result<(), Refusal> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "microseconds of this century are below 2^53"
        )]
        let now = now.timestamp_micros() as f64 / 1e6;
        // Valid until the instant of `exp`, and the leeway after it.
        let alive = self.exp.is_finite() && self.exp <= LAST_SECOND && now < self.exp + LEEWAY;
        let past = |claim: &Option<Value>| match claim {
            None => true,
            Some(value) => value.as_f64().is_some_and(|time| time <= now + LEEWAY),
        };
        if alive && past(&self.nbf) && past(&self.iat) {
            Ok(())
        } else {
            Err(Refusal::Invalid)
        }
    }

    fn check_origin(&self, issuer: Option<&str>, audience: Option<&str>) -> Result<(), Refusal> {
        let issued =
            issuer.is_none_or(|issuer| self.iss.as_ref().and_then(Value::as_str) == Some(issuer));
        let meant = audience.is_none_or(|audience| match &self.aud {
            Some(Value::String(aud)) => aud == audience,
            Some(Value::Array(list)) => list.iter().any(|aud| aud.as_str() == Some(audience)),
            _ => false,
        });
        if issued && meant {
            Ok(())
        } else {
            Err(Refusal::Invalid)
        }
    }

    fn into_caller(self) -> Result<Caller, Refusal> {
        let user: UserId = self.sub.parse().map_err(|_| Refusal::Invalid)?;
        let member = |object: &Option<Value>, name: &str| {
            object.as_ref().and_then(|object| object.get(name)).cloned()
        };
        let text = |value: Option<Value>| match value {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        };
        let tenant = self
            .tenant_id
            .or_else(|| member(&self.app_metadata, "tenant_id"))
            .as_ref()
            .and_then(Value::as_str)
            .and_then(|tenant| tenant.parse().ok())
            .ok_or(Refusal::NoTenant)?;
        let role = member(&self.app_metadata, "role")
            .filter(|role| !role.is_null())
            .or(self.role);
        let role = if role.as_ref().and_then(Value::as_str) == Some(Role::VIEWER) {
            Role::Viewer
        } else {
            Role::Member
        };
        let profile = Profile {
            email: text(self.email),
            display_name: text(self.name)
                .or_else(|| text(member(&self.user_metadata, "full_name"))),
        };
        Ok(Caller {
            tenant,
            user,
            role,
            profile,
        })
    }
}

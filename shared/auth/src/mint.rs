//! Tokens for local work and tests; in production the portal's sign-in issues them.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use model::id::{TenantId, UserId};
use model::time::Moment;
use serde_json::json;

use crate::{JwtSecret, Role};

/// What a token shall say.
#[derive(Debug, Clone)]
pub struct Grant<'a> {
    /// `tenant_id`.
    pub tenant: &'a TenantId,
    /// `sub`.
    pub user: &'a UserId,
    /// `role`; a member's token has none.
    pub role: Role,
    /// `email`.
    pub email: Option<&'a str>,
    /// `name`.
    pub name: Option<&'a str>,
    /// `iat`.
    pub issued_at: Moment,
    /// `exp`.
    pub expires_at: Moment,
}

/// Signs a token with HS256.
///
/// # Errors
/// Those of the signing library, which has none for an HMAC over a few strings.
pub fn mint(secret: &JwtSecret, grant: &Grant) -> Result<String, jsonwebtoken::errors::Error> {
    let mut claims = json!({
        "sub": grant.user,
        "tenant_id": grant.tenant,
        "iat": grant.issued_at.timestamp(),
        "exp": grant.expires_at.timestamp(),
    });
    if grant.role == Role::Viewer {
        claims["role"] = Role::VIEWER.into();
    }
    if let Some(email) = grant.email {
        claims["email"] = email.into();
    }
    if let Some(name) = grant.name {
        claims["name"] = name.into();
    }
    let key = EncodingKey::from_secret(secret.bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
}

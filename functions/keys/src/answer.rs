//! How keys look in answers.

use api::{App, Error, Path};
use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use model::id::KeyId;
use model::key::{Key, KeySecret, Scope};
use model::time::{self, Moment};
use serde::Serialize;

/// A key in a list; its secret is not there.
#[derive(Serialize)]
pub(crate) struct ListedKey {
    id: KeyId,
    name: String,
    scopes: Vec<Scope>,
    #[serde(serialize_with = "time::shown")]
    created_at: Moment,
    #[serde(serialize_with = "time::shown_option")]
    last_used_at: Option<Moment>,
    #[serde(serialize_with = "time::shown_option")]
    expires_at: Option<Moment>,
}

impl From<Key> for ListedKey {
    fn from(key: Key) -> Self {
        Self {
            id: key.id,
            name: key.name,
            scopes: key.scopes,
            created_at: key.created_at,
            last_used_at: key.last_used_at,
            expires_at: key.expires_at,
        }
    }
}

/// A key with its new secret: this answer is the only place where it is ever shown, and no cache
/// may keep it.
pub(crate) struct IssuedKey {
    pub(crate) key: Key,
    pub(crate) secret: KeySecret,
}

impl IntoResponse for IssuedKey {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body<'a> {
            id: KeyId,
            name: &'a str,
            key: &'a str,
            scopes: &'a [Scope],
            #[serde(serialize_with = "time::shown")]
            created_at: Moment,
            #[serde(serialize_with = "time::shown_option")]
            expires_at: Option<Moment>,
            message: &'static str,
        }
        let body = Body {
            id: self.key.id,
            name: &self.key.name,
            key: self.secret.reveal(),
            scopes: &self.key.scopes,
            created_at: self.key.created_at,
            expires_at: self.key.expires_at,
            message: "Store this key securely \u{2014} it cannot be retrieved again.",
        };
        let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        (no_store, Json(body)).into_response()
    }
}

/// The key that a path names. A malformed id is as unknown as any other.
pub(crate) struct KeyPath(pub(crate) KeyId);

impl FromRequestParts<App> for KeyPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let path = Path::<String>::from_request_parts(parts, app).await;
        let id = path.ok().and_then(|Path(id)| id.parse().ok());
        id.map(Self).ok_or_else(not_found)
    }
}

pub(crate) fn not_found() -> Error {
    Error::NotFound("API key")
}

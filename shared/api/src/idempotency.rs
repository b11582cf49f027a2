//! Calls that may be sent again: the header `Idempotency-Key`, and the answer that is given again.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use model::Fault;
use model::id::TenantId;
use model::idempotency::{Attempt, IdempotencyKey, Sha256Hex};
use table::idempotency::Earlier;

use crate::app::App;
use crate::error::{Error, Place, Result};

/// The header, as faults name it.
const NAME: &str = "Idempotency-Key";

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Under which key a call was sent, if it was under one. A header that is no key is a 422.
pub struct Idempotency(Option<Call>);

struct Call {
    method: Method,
    path: String,
    key: IdempotencyKey,
}

/// An answer, and whether it was given before.
pub struct Replayable<T> {
    answer: T,
    replayed: bool,
}

impl FromRequestParts<App> for Idempotency {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self> {
        let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let key = match (values.next(), values.next()) {
            (None, _) => return Ok(Self(None)),
            // What is no text is not printable either.
            (Some(value), None) => {
                String::from_utf8_lossy(value.as_bytes()).parse::<IdempotencyKey>()
            }
            _ => Err(Fault::new("value_error", "Header must not repeat")),
        };
        let key = key.map_err(|fault| Error::invalid(Place::Header, NAME, fault))?;
        Ok(Self(Some(Call {
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            key,
        })))
    }
}

impl Idempotency {
    /// Whether there is a key.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.0.is_some()
    }

    /// The call, if it was sent under a key, by a hash of what it asks for.
    pub fn attempt(&self, body: impl FnOnce() -> Sha256Hex) -> Option<Attempt> {
        let call = self.0.as_ref()?;
        Some(Attempt::new(
            call.method.as_str(),
            &call.path,
            &call.key,
            body(),
        ))
    }
}

impl App {
    /// The earlier call under the same key, if there was one; it has to have asked for the same.
    pub async fn earlier(
        &self,
        tenant: &TenantId,
        attempt: Option<&Attempt>,
    ) -> Result<Option<Earlier>> {
        let Some(attempt) = attempt else {
            return Ok(None);
        };
        let now = self.clock.now();
        let earlier = self.table.find_call(tenant, attempt, now).await?;
        earlier.map(|earlier| same(attempt, earlier)).transpose()
    }
}

/// An earlier call, which has to have asked for the same.
pub fn same(attempt: &Attempt, earlier: Earlier) -> Result<Earlier> {
    if earlier.body == attempt.body {
        return Ok(earlier);
    }
    let fault = Fault::new(
        "idempotency_key_reused",
        "The key was used for a call with another body",
    );
    Err(Error::invalid(Place::Header, NAME, fault))
}

impl<T> Replayable<T> {
    /// An answer that is given for the first time.
    pub fn first(answer: T) -> Self {
        Self {
            answer,
            replayed: false,
        }
    }

    /// The answer to an earlier call.
    pub fn again(answer: T) -> Self {
        Self {
            answer,
            replayed: true,
        }
    }
}

impl<T: IntoResponse> IntoResponse for Replayable<T> {
    fn into_response(self) -> Response {
        let mut response = self.answer.into_response();
        if self.replayed {
            let headers = response.headers_mut();
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

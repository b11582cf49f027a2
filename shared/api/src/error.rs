//! Every failure of an endpoint, and the one place that gives it status and body.

use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::fault::{Fault, Faults, Step};
use model::plan::Plan;
use serde_json::{Value, json};

/// What every handler returns.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure, as a client may know it. Only [`Error::Internal`] and [`Error::Unavailable`] have a
/// cause, which is logged and never sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No valid token.
    #[error("invalid or expired token")]
    Unauthorized,
    /// No valid API key.
    #[error("invalid or expired API key")]
    BadKey,
    /// A valid token or key that does not suffice; why.
    #[error("forbidden: {0}")]
    Forbidden(&'static str),
    /// There is none, or it is another tenant's, which the caller may not know; what.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// The path takes other methods.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// A plan's hard cap; which.
    #[error("payment required: {0}")]
    PaymentRequired(String),
    /// The thing is in a state in which it cannot be done; why.
    #[error("conflict: {0}")]
    Conflict(String),
    /// A call under the same `Idempotency-Key` is still at work.
    #[error("the same call is at work")]
    AtWork,
    /// The body is larger than it may be; how large it may be.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The body is not of a type that the endpoint takes; which it takes.
    #[error("unsupported media type: {0}")]
    UnsupportedMediaType(String),
    /// The input is wrong; where and how.
    #[error("invalid input")]
    Invalid(Place, Faults),
    /// Over the rate limit; seconds to wait.
    #[error("rate limit exceeded")]
    RateLimited(u32),
    /// The database or the search store does not keep up. The call may be repeated.
    #[error("unavailable")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// A fault of ours.
    #[error("internal error")]
    Internal(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

/// The part of a request that a fault is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The body.
    Body,
    /// The query string.
    Query,
    /// The path.
    Path,
    /// The headers.
    Header,
}

impl Error {
    /// One fault of one named part of a request.
    #[must_use]
    pub fn invalid(place: Place, name: &str, fault: Fault) -> Self {
        Self::Invalid(place, vec![fault.at(name)])
    }

    /// There would be more records than the plan has room for; what brings them.
    #[must_use]
    pub fn over_records(what: &str, plan: Plan) -> Self {
        let limit = plan.limits().records.unwrap_or_default();
        Self::PaymentRequired(format!(
            "The {what} would pass the {limit} records of the {plan} plan"
        ))
    }

    /// There would be more collections than the plan has room for; what makes the next.
    #[must_use]
    pub fn over_collections(what: &str, plan: Plan) -> Self {
        let limit = plan.limits().collections.unwrap_or_default();
        let noun = if limit == 1 {
            "collection"
        } else {
            "collections"
        };
        Self::PaymentRequired(format!(
            "The {what} would pass the {limit} {noun} of the {plan} plan"
        ))
    }

    /// A fault of ours.
    pub fn internal(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Internal(Arc::new(cause))
    }
}

impl From<table::Error> for Error {
    fn from(error: table::Error) -> Self {
        match error {
            table::Error::Unavailable(_) => Self::Unavailable(Arc::new(error)),
            _ => Self::internal(error),
        }
    }
}

impl From<indexing::Error> for Error {
    fn from(error: indexing::Error) -> Self {
        use search::{Error as Search, StoreError};
        match error {
            indexing::Error::Table(error) => error.into(),
            // The collection was deleted while it was searched.
            indexing::Error::Gone => Self::NotFound("Collection"),
            indexing::Error::Search(Search::Filter(fault)) => {
                Self::invalid(Place::Body, "filters", fault)
            }
            indexing::Error::Search(Search::Store(StoreError::Failed(_)))
            | indexing::Error::Building
            | indexing::Error::Newer
            | indexing::Error::Outdated => Self::Unavailable(Arc::new(error)),
            _ => Self::internal(error),
        }
    }
}

impl From<files::Error> for Error {
    fn from(error: files::Error) -> Self {
        match error {
            files::Error::Failed(_) => Self::Unavailable(Arc::new(error)),
            _ => Self::internal(error),
        }
    }
}

impl From<tokio::task::JoinError> for Error {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::internal(error)
    }
}

/// How long a client waits for a database that does not keep up, or for its own call, in seconds.
const UNAVAILABLE_SECONDS: u32 = 5;

/// The cause of a 5xx, for the log; it travels in the answer's extensions.
#[derive(Clone)]
pub(crate) struct Cause(pub Arc<dyn std::error::Error + Send + Sync>);

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, detail): (StatusCode, Value) = match &self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "Invalid or expired token".into()),
            Self::BadKey => (
                StatusCode::UNAUTHORIZED,
                "Invalid or expired API key".into(),
            ),
            Self::Forbidden(why) => (StatusCode::FORBIDDEN, (*why).into()),
            Self::NotFound(what) => (StatusCode::NOT_FOUND, format!("{what} not found").into()),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed".into()),
            Self::PaymentRequired(why) => (StatusCode::PAYMENT_REQUIRED, why.clone().into()),
            Self::Conflict(why) => (StatusCode::CONFLICT, why.clone().into()),
            Self::AtWork => (
                StatusCode::CONFLICT,
                "A call with the same Idempotency-Key is at work".into(),
            ),
            Self::TooLarge(why) => (StatusCode::PAYLOAD_TOO_LARGE, why.clone().into()),
            Self::UnsupportedMediaType(why) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, why.clone().into())
            }
            Self::Invalid(place, faults) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                faults.iter().map(|fault| entry(*place, fault)).collect(),
            ),
            Self::RateLimited(seconds) => (
                StatusCode::TOO_MANY_REQUESTS,
                format!("Rate limit exceeded. Retry after {seconds} seconds.").into(),
            ),
            Self::Unavailable(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Service temporarily unavailable".into(),
            ),
            Self::Internal(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Internal server error".into(),
            ),
        };
        let mut response = (status, Json(json!({ "detail": detail }))).into_response();
        let headers = response.headers_mut();
        match &self {
            Self::Unauthorized | Self::BadKey => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::RateLimited(seconds) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
            }
            Self::Unavailable(_) | Self::AtWork => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(UNAVAILABLE_SECONDS));
            }
            _ => {}
        }
        if let Self::Unavailable(cause) | Self::Internal(cause) = self {
            response.extensions_mut().insert(Cause(cause));
        }
        response
    }
}

fn entry(place: Place, fault: &Fault) -> Value {
    let mut loc = vec![Value::from(match place {
        Place::Body => "body",
        Place::Query => "query",
        Place::Path => "path",
        Place::Header => "header",
    })];
    loc.extend(fault.path.iter().map(|step| match step {
        Step::Name(name) => Value::from(name.as_str()),
        Step::Index(index) => Value::from(*index),
    }));
    json!({ "loc": loc, "msg": fault.message, "type": fault.kind })
}

//! The layers of every request: its id, its log line, what every answer carries.

use std::str::EscapeDebug;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use model::id::UserId;
use model::limit::Reading;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;
use tracing::Instrument;
use tracing::field::DisplayValue;

use crate::app::App;
use crate::caller::Ticket;
use crate::error::{Cause, Error};
use crate::idempotency::IDEMPOTENCY_KEY;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const AGENT_ID: HeaderName = HeaderName::from_static("x-agent-id");
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// How long a browser may keep a preflight's answer.
const PREFLIGHT_AGE: std::time::Duration = std::time::Duration::from_mins(10);

/// Puts routes under `/api/v1`, behind the layers of every request.
pub fn serve(routes: crate::Router, app: &App) -> axum::Router {
    serve_with_open(routes, crate::Router::new(), app)
}

/// The same with the open routes under `/open/v1`.
pub fn serve_with_open(routes: crate::Router, open: crate::Router, app: &App) -> axum::Router {
    axum::Router::new()
        .nest("/api/v1", routes)
        .nest("/open/v1", open)
        .fallback(|| async { Error::NotFound("Resource") })
        .method_not_allowed_fallback(|| async { Error::MethodNotAllowed })
        .layer(CatchPanicLayer::custom(panicked))
        .layer(cors(app))
        .layer(from_fn_with_state(app.clone(), edge))
        .with_state(app.clone())
}

fn cors(app: &App) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(app.config.cors_origins.clone())
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PATCH,
            Method::PUT,
            Method::DELETE,
            Method::OPTIONS,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            IDEMPOTENCY_KEY,
            AGENT_ID,
        ])
        .expose_headers([REQUEST_ID, LIMIT, REMAINING, RESET, header::RETRY_AFTER])
        .max_age(PREFLIGHT_AGE)
}

fn panicked(payload: Box<dyn std::any::Any + Send>) -> Response {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    Error::internal(Panicked(text.to_owned())).into_response()
}

#[derive(Debug, thiserror::Error)]
#[error("panicked: {0}")]
struct Panicked(String);

async fn edge(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = app.ids.request();
    let method = request.method().clone();
    // The route and not the path: a path may hold what somebody took for a secret place.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let ticket = Ticket::default();
    request.extensions_mut().insert(ticket.clone());
    let started = Instant::now();
    let span = tracing::info_span!("request", id);

    async move {
        let mut response = next.run(request).await;
        let cause = response.extensions_mut().remove::<Cause>();
        let visit = ticket.take();
        if let Some(admission) = visit.admission
            && let Some(reading) = admission.await
        {
            if let Some(seconds) = reading.retry_after {
                response = refuse(&response, seconds);
            }
            limit_headers(response.headers_mut(), &reading);
        }
        if let Some(beside) = visit.beside
            && let Ok(Some(search)) = beside.await
            && response.status() != StatusCode::OK
        {
            search.take_back(&app).await;
        }
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        response.headers_mut().insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        if let Some(Cause(cause)) = cause {
            tracing::error!(error = %chain(cause.as_ref()), "the request failed");
        }
        tracing::info!(
            %method,
            route = route.as_deref().unwrap_or("none"),
            status = response.status().as_u16(),
            duration_ms = crate::millis(started.elapsed()),
            tenant = visit.tenant.as_ref().map(tracing::field::display),
            key = visit.key.map(tracing::field::display),
            user = visit.user.as_ref().map(shown),
            "answered"
        );
        response
    }
    .instrument(span)
    .await
}

/// A user for the log: an issuer may put anything into an id, also what looks like another line.
fn shown(user: &UserId) -> DisplayValue<EscapeDebug<'_>> {
    tracing::field::display(user.as_str().escape_debug())
}

/// The refusal in place of an answer that was prepared before the limiter had decided. What CORS
/// put on that one stays.
fn refuse(response: &Response, seconds: u32) -> Response {
    let mut refused = Error::RateLimited(seconds).into_response();
    let cors = response
        .headers()
        .iter()
        .filter(|(name, _)| **name == header::VARY || name.as_str().starts_with("access-control-"))
        .map(|(name, value)| (name.clone(), value.clone()));
    refused.headers_mut().extend(cors);
    refused
}

fn limit_headers(headers: &mut HeaderMap, reading: &Reading) {
    headers.insert(LIMIT, HeaderValue::from(reading.limit));
    headers.insert(REMAINING, HeaderValue::from(reading.remaining));
    headers.insert(RESET, HeaderValue::from(reading.reset));
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text += ": ";
            text += &next;
        }
        source = error.source();
    }
    text
}

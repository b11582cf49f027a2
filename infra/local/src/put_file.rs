//! `PUT /local/files/{tenant}/{upload}`: takes in a file by a signed address, as S3 does in AWS.

use anyhow::Error;
use api::App;
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use files::{Door, Grant, Received, Refused};
use model::id::{TenantId, UploadId};
use serde_json::json;
use tower_http::cors::CorsLayer;

use crate::arrivals::Arrivals;

/// The route. The address says who may call, so nobody else is asked.
pub(crate) fn router(app: &App, arrivals: Arrivals) -> axum::Router {
    let cors = CorsLayer::new()
        .allow_origin(app.config.cors_origins.clone())
        .allow_methods([Method::PUT])
        .allow_headers([
            header::CONTENT_LENGTH,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
        ]);
    axum::Router::new()
        .route(Door::ROUTE, put(put_file))
        .method_not_allowed_fallback(|| async { api::Error::MethodNotAllowed })
        .layer(cors)
        .with_state((app.clone(), arrivals))
}

/// Why a file is not taken, and how that is answered.
struct Refusal(StatusCode, String);

fn refusal(status: StatusCode, why: impl Into<String>) -> Refusal {
    Refusal(status, why.into())
}

/// What is our fault is told to the log.
fn failure(error: impl Into<Error>) -> Refusal {
    tracing::error!("a file was not taken: {:#}", error.into());
    refusal(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "detail": self.1 }))).into_response()
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let why = match refused {
            Refused::Signature => "The address is not signed for this file",
            Refused::Expired => "The address has expired",
        };
        refusal(StatusCode::FORBIDDEN, why)
    }
}

async fn put_file(
    State((app, arrivals)): State<(App, Arrivals)>,
    path: Result<Path<(String, String)>, PathRejection>,
    grant: Result<Query<Grant>, QueryRejection>,
    request: Request,
) -> Result<(), Refusal> {
    let (tenant, upload) = path.ok().and_then(named).ok_or(Refused::Signature)?;
    let Query(grant) = grant.map_err(|_| Refused::Signature)?;
    let files = app.files().map_err(failure)?.clone();
    files.admit(&tenant, upload, &grant, app.clock.now())?;
    check(request.headers(), grant.size)?;
    // Before the body, which then need not come.
    let there = files.head(&tenant, upload).await.map_err(failure)?;
    if there.is_some() {
        return Err(exists());
    }
    // A task of its own: a client that hangs up once all is sent has uploaded its file.
    let taking = tokio::spawn(async move {
        let body = request.into_body().into_data_stream();
        let received = files.receive(&tenant, upload, grant.size, body).await?;
        if received == Received::Stored {
            tracing::info!(%tenant, %upload, size = grant.size, "a file arrived");
            arrivals.add(tenant, upload);
        }
        Ok::<_, files::Error>(received)
    });
    match taking.await.map_err(failure)?.map_err(failure)? {
        Received::Stored => Ok(()),
        Received::Exists => Err(exists()),
        Received::Cut => Err(refusal(
            StatusCode::BAD_REQUEST,
            "The file ended before it was complete",
        )),
    }
}

fn named(Path((tenant, upload)): Path<(String, String)>) -> Option<(TenantId, UploadId)> {
    Some((tenant.parse().ok()?, upload.parse().ok()?))
}

/// Checks the headers that are signed.
fn check(headers: &HeaderMap, size: u64) -> Result<(), Refusal> {
    let length = headers.get(header::CONTENT_LENGTH).ok_or_else(|| {
        let why = "Content-Length is needed";
        refusal(StatusCode::LENGTH_REQUIRED, why)
    })?;
    if length.as_bytes() != size.to_string().as_bytes() {
        let why = format!("The address is signed for a file of {size} bytes");
        return Err(refusal(StatusCode::FORBIDDEN, why));
    }
    let once = headers.get(header::IF_NONE_MATCH);
    if once.is_none_or(|value| value.as_bytes() != b"*") {
        let why = "The address is signed for If-None-Match: *";
        return Err(refusal(StatusCode::FORBIDDEN, why));
    }
    Ok(())
}

fn exists() -> Refusal {
    refusal(StatusCode::PRECONDITION_FAILED, "The file is there already")
}

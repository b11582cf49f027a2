//! `--demo`: a small realistic catalogue, uploaded as a user would upload it.

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use tower::ServiceExt;

const FILES: [(&str, &str, &str, &str); 2] = [
    (
        "manufacturing",
        "product",
        "fasteners.csv",
        include_str!("../demo/fasteners.csv"),
    ),
    (
        "hotels",
        "hotel",
        "hotels.ndjson",
        include_str!("../demo/hotels.ndjson"),
    ),
];

const BOUNDARY: &str = "demo-file-boundary";

/// Uploads the catalogue. Rows that are there already stay as they are.
pub(crate) async fn load(router: &Router, token: &str) -> Result<()> {
    for (collection, record_type, file, content) in FILES {
        let body = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; \
             filename=\"{file}\"\r\n\r\n{content}\r\n--{BOUNDARY}--\r\n"
        );
        let path = format!("/api/v1/portal/upload/{collection}/{record_type}/upload");
        let request = Request::post(path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(
                header::CONTENT_TYPE,
                format!("multipart/form-data; boundary={BOUNDARY}"),
            )
            .body(Body::from(body))
            .context("cannot load the demo catalogue")?;
        let Ok(response) = router.clone().oneshot(request).await;
        if response.status() != StatusCode::CREATED {
            bail!(
                "cannot load the demo catalogue {file}: {}",
                response.status()
            );
        }
    }
    Ok(())
}

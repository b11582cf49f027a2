//! `POST|GET /open/v1/search`: searches all public records.

use std::time::Instant;

use api::{App, Body, Params, Result};
use axum::extract::State;
use axum::response::Response;
use finding::Ask;

use crate::seeker::Seeker;

pub(crate) async fn search_everything(
    State(app): State<App>,
    seeker: Seeker,
    body: Body,
) -> Result<Response> {
    let started = Instant::now();
    let ask = body.parse(Ask::from_body)?;
    seeker.search(&app, None, ask, started).await
}

/// The short form: `GET /open/v1/search?q=`.
pub(crate) async fn search_everything_shortly(
    State(app): State<App>,
    seeker: Seeker,
    params: Params,
) -> Result<Response> {
    let started = Instant::now();
    let ask = Ask::from_params(params)?;
    seeker.search(&app, None, ask, started).await
}

//! `GET /collections`: the tenant's collections, and what their owner says of them.

use api::{App, Caller, Result};
use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::collection::Shown;

#[derive(Serialize)]
pub(crate) struct Answer {
    collections: Vec<Shown>,
}

pub(crate) async fn show_collections(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<Answer>> {
    let collections = Shown::all(&app, &caller.tenant).await?;
    Ok(Json(Answer { collections }))
}

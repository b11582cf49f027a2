//! `GET /uploads/{id}/dlq`: the row errors of an upload, in the order of the rows.

use api::{App, Caller, Params, Path, Result};
use axum::Json;
use axum::extract::State;
use model::upload::RowError;
use serde::Serialize;

use crate::list_errors::page;

/// How many errors a page has at most, and where nobody says how many: who calls this path may not know
/// of pages.
const MOST: u32 = 500;

#[derive(Serialize)]
pub(crate) struct Answer {
    entries: Vec<RowError>,
    /// Where the next page begins, if there is one.
    cursor: Option<String>,
    has_more: bool,
}

pub(crate) async fn list_dlq(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Answer>> {
    let (entries, cursor) = page(&app, &caller.tenant, &id, params, (MOST, MOST)).await?;
    Ok(Json(Answer {
        entries,
        has_more: cursor.is_some(),
        cursor,
    }))
}
